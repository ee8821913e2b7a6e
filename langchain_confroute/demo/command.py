"""The click command; everything heavy waits in `langchain_confroute.demo.run`."""

from __future__ import annotations

import click


@click.command()
@click.option("--edge", default="local:smollm2", show_default=True, help="The edge model.")
@click.option(
    "--cloud", help="The cloud model; without it, recorded answers of a larger open model stand in."
)
@click.option(
    "--samples",
    default=4,
    show_default=True,
    help="Further edge answers to draw at most, where one does not settle who answers.",
)
@click.option("--threshold", type=float, help="Cloud from this uncertainty on.  [default: the router's own]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a question, and nothing else.")
def demo(edge: str, cloud: str | None, samples: int, threshold: float | None, as_json: bool) -> None:
    """Route sixteen questions between an edge and a cloud model.

    Shows for each question what the edge model answered and how sure of it it was, which further answers
    agree with that, and who answers in the end; and what it saved at the bottom.

    \b
    Examples:
      confroute demo
      confroute demo --edge ollama:qwen2.5:1.5b --cloud openai:gpt-5
    """
    from confroute.errors import require

    for module in ("langchain_core", "langchain"):
        require(module, extra="demo" if edge.startswith("local:") else "models", purpose="The demo")
    from langchain_confroute.demo.run import run

    run(edge=edge, cloud=cloud, samples=samples, threshold=threshold, as_json=as_json)
