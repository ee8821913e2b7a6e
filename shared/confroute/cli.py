"""The command `confroute`. Commands are imported when they are called for, and import what they need then."""

from __future__ import annotations

import importlib
import os
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from confroute._version import __version__
from confroute.errors import ConfRouteError

_GROUP = "confroute.commands"
_OWN = {
    "calibrate": "confroute.commands.calibrate:calibrate",
    "evaluate": "confroute.commands.evaluate:evaluate",
    "label": "confroute.commands.label:label",
    "train": "confroute.commands.train:train",
    "route": "confroute.commands.route:route",
}


class _Commands(click.Group):
    """Our own commands, and those that installed packages register in ``confroute.commands``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*sorted(_registered()), *_OWN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            module, _, attribute = _OWN[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        point = _registered().get(cmd_name)
        return point.load() if point is not None else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfRouteError as error:
            raise click.ClickException(str(error)) from error


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP)}


# Progress bars and notes of the libraries below would break our own; whoever wants them sets these.
_QUIET = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="confroute")
def main() -> None:
    """Which of two language models should answer this question?

    A cheap edge model answers while it is sure; a question to which its answer is not probable enough, or to
    which its further answers differ in meaning, goes to a costly cloud model.

    \b
    Models are named by strings:
      ollama:qwen2.5:1.5b           a model that Ollama serves
      openai:gpt-5                  any provider that LangChain knows
      http://localhost:8000/v1      any OpenAI-compatible server (add #MODEL if it serves several)
      local:FOLDER                  a Hugging Face model, run in this process
      local:smollm2                 the small model of the demo

    \b
    Start here:
      confroute demo                              sixteen questions, end to end
      confroute route "Who wrote Effi Briest?"    the decision for one question
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    main()
