"""``python -m examples.llamaindex_router``: questions through a `RouterQueryEngine`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from confroute.errors import ConfRouteError
from examples.options import Options, options


@click.command()
@options
@click.argument("questions", nargs=-1)
def main(chosen: Options, questions: Sequence[str]) -> None:
    """Ask a folder of documents through LlamaIndex's RouterQueryEngine."""
    from examples.llamaindex_rag.app import models, opened
    from examples.llamaindex_router.router import engine

    try:
        edge, cloud = models(chosen)
        asked = engine(opened(chosen), edge=edge, cloud=cloud, router=chosen.router)
    except ConfRouteError as error:
        raise click.ClickException(str(error)) from error
    for note in chosen.notes():
        click.secho(note, fg="yellow")
    for question in questions or chosen.questions():
        click.secho(f"\n{question}", bold=True)
        try:
            response = asked.query(question)
        except ConfRouteError as error:
            click.echo(f"  no answer: {error}")
            continue
        selection = (response.metadata or {})["selector_result"]
        click.echo(f"  {selection.reason}")
        click.echo(f"  {selection.decision.route}: {' '.join(str(response).split())}")


if __name__ == "__main__":
    main()
