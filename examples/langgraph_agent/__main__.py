"""``python -m examples.langgraph_agent``: a conversation with the agent, step by step."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Any

import click

from confroute.errors import ConfRouteError
from examples.options import Options, options

QUESTIONS = ("At what time does the shop close on Saturdays?", "Who repairs the forklifts?")


@click.command()
@options
@click.argument("questions", nargs=-1)
@click.option("--private", is_flag=True, help="Keep the conversation on the edge.")
def main(chosen: Options, questions: Sequence[str], private: bool) -> None:
    """Talk with an agent that may search a folder of documents; each turn is one model's.

    QUESTIONS are the turns of one conversation. The demo's edge cannot call tools, so without --edge every
    turn is the cloud's; try --edge ollama:qwen2.5:1.5b.
    """
    logging.getLogger("confroute").setLevel(logging.ERROR)  # each decision is printed
    try:
        routing, agent = made(chosen)
    except ConfRouteError as error:
        raise click.ClickException(str(error)) from error
    for note in chosen.notes():
        click.secho(note, fg="yellow")
    config = {"configurable": {"thread_id": str(uuid.uuid4()), "confroute_private": private}}
    for question in questions or QUESTIONS:
        click.secho(f"\n{question}", bold=True)
        for step in agent.stream({"messages": [("user", question)]}, config, stream_mode="updates"):
            for node in step.values():
                for message in (node or {}).get("messages", []):
                    click.echo(told(message))
    click.echo(f"\n{routing.stats}")


def made(chosen: Options) -> tuple[Any, Any]:
    """Return the middleware and the agent for what a user chose."""
    from examples.langchain_rag.app import models, opened
    from examples.langgraph_agent.agent import agent
    from langchain_confroute import ConfRouteMiddleware

    edge, cloud = models(chosen)
    routing = ConfRouteMiddleware(edge=edge, cloud=cloud, router=chosen.router)
    return routing, agent(routing, opened(chosen))


def told(message: Any) -> str:
    """Return one step as a line: who said what, and why that model."""
    if message.type == "tool":
        return f"  tool   {len(message.text)} characters of passages"
    decision = message.response_metadata.get("confroute", {})
    calls = "; ".join(f"{call['name']}({call['args']})" for call in getattr(message, "tool_calls", []))
    said = calls or " ".join(str(message.text).split())
    return f"  {decision.get('route', '?'):6} {said}\n         {decision.get('reason', '')}"


if __name__ == "__main__":
    main()
