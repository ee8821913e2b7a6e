"""Run every benchmark whose data are at hand, and put their sections together in ``benchmarks/RESULTS.md``.

    python -m benchmarks.refresh DATA --encoder FOLDER_OR_NAME [--labels FILE] [--recording STORE]
        [--folds FOLDER] [--peers FOLDER] [--cache FOLDER] [--only NAME]
    python -m benchmarks.refresh --assemble

A benchmark that fails or lacks its data keeps the section that it has; which ones were run is said.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results"
_ORDER = ("one_look", "cascades", "public_routing", "table1", "adaptive_sampling", "equivalence")
_HEAD = """# Results

Put together by `benchmarks/refresh.py` from `benchmarks/results/`, each section written by the script that it
names. Figures name their data, n and interval; no router was trained on the questions that it is measured on.
"""


_ENCODER = (("--encoder", "{encoder}"),)
_ENCODER_IF_KNOWN = (("--encoder-name", "{encoder_name}"), ("--cache", "{cache}"))


@dataclass(frozen=True)
class Run:
    """A benchmark that is a module of this folder and writes one section.

    Attributes:
        name: The module.
        needs: Its arguments, in groups; it is not run where something within braces is not at hand.
        takes: Further ones; a group is left out where something in it is not at hand.
    """

    name: str
    needs: tuple[tuple[str, ...], ...] = ()
    takes: tuple[tuple[str, ...], ...] = ()


RUNS = (
    Run("public_routing", (("{data}",), *_ENCODER), _ENCODER_IF_KNOWN),
    Run("cascades", (("{data}",), *_ENCODER), _ENCODER_IF_KNOWN),
    Run("table1", (("{data}", "{labels}"), *_ENCODER), _ENCODER_IF_KNOWN),
    Run(
        "adaptive_sampling",
        (("--samples", "{data}/samples/llama-13b_triviaqa_20x500.jsonl"),),
        (("--recording", "{recording}"),),
    ),
    Run("recording", (("{labels}",), *_ENCODER), _ENCODER_IF_KNOWN),
    Run("one_look", (("{labels}",), ("--folds", "{folds}")), (("--data", "{data}"), ("--cache", "{cache}"))),
    Run("equivalence", (("--data", "{data}"), *_ENCODER)),
    Run("router_speed", (("{data}",), *_ENCODER), _ENCODER_IF_KNOWN),
    Run("label_throughput"),
    Run("clustering_speed", (("--peers", "{peers}"),)),
)


@click.command()
@click.argument("data", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--encoder", help="A sentence-transformers model: a hub name or a folder.")
@click.option("--encoder-name", help="What the reports call it.")
@click.option("--labels", type=click.Path(exists=True, dir_okay=False), help="Export of confroute label.")
@click.option("--recording", type=click.Path(exists=True, dir_okay=False), help="Store of confroute label.")
@click.option("--folds", type=click.Path(exists=True, file_okay=False), help="See one_look.py.")
@click.option("--peers", type=click.Path(exists=True, file_okay=False), help="See clustering_speed.py.")
@click.option("--cache", type=click.Path(file_okay=False), help="Keeps embeddings.")
@click.option("--only", multiple=True, type=click.Choice([run.name for run in RUNS]))
@click.option("--assemble", is_flag=True, help="Run nothing; put the sections together.")
def main(only: Sequence[str], assemble: bool, **at_hand: str | None) -> None:
    known = {name: value for name, value in at_hand.items() if value is not None}
    failed = []
    for run in () if assemble else RUNS:
        if only and run.name not in only:
            continue
        lacking = [word for group in run.needs for word in group if _filled(word, known) is None]
        if lacking:
            click.echo(f"{run.name}: not run, lacks {', '.join(lacking)}", err=True)
            continue
        groups = [[_filled(word, known) for word in group] for group in (*run.needs, *run.takes)]
        words = [word for group in groups if None not in group for word in group if word is not None]
        out = _RESULTS / f"{run.name}.md"
        click.echo(f"{run.name}: running", err=True)
        command = [sys.executable, "-m", f"benchmarks.{run.name}", *words, "--out", str(out)]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
            failed.append(run.name)
    (_HERE / "RESULTS.md").write_text(assembled(_RESULTS), encoding="utf-8")
    click.echo(f"wrote {_HERE / 'RESULTS.md'}", err=True)
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}; their sections are those of an earlier run")


def _filled(word: str, known: dict[str, str]) -> str | None:
    """Fill a word's braces in; None where something is not at hand, or a path within DATA is absent."""
    try:
        filled = word.format(**known)
    except KeyError:
        return None
    return None if word.startswith("{data}/") and not Path(filled).exists() else filled


def assembled(folder: Path) -> str:
    """Return all sections of a folder as one page, headings one level down, known ones first."""
    known = {name: i for i, name in enumerate(_ORDER)}
    files = sorted(folder.glob("*.md"), key=lambda file: (known.get(file.stem, len(known)), file.stem))
    sections = [_lowered(file.read_text(encoding="utf-8")).strip() for file in files]
    return "\n\n".join([_HEAD.strip(), *sections]) + "\n"


def _lowered(text: str) -> str:
    fenced = False
    lines = []
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        lines.append(f"#{line}" if line.startswith("#") and not fenced else line)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
