"""``python -m examples.langchain_rag``: the page, over LangChain."""

from __future__ import annotations

import click

from confroute.errors import ConfRouteError
from examples.options import Options, options


@click.command()
@options
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to open it to your phone.")
@click.option("--port", type=int, help="The first free port from 7860 on by default.")
def main(chosen: Options, host: str, port: int | None) -> None:
    """Ask a folder of documents; the edge answers while it is sure."""
    from examples.langchain_rag.app import LangChainApp
    from examples.page.page import build, serve

    try:
        app = LangChainApp(chosen)
    except ConfRouteError as error:
        raise click.ClickException(str(error)) from error
    serve(build(app, threshold=chosen.threshold), host=host, port=port)


if __name__ == "__main__":
    main()
