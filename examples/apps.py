"""The two apps behind one page, by framework."""

from __future__ import annotations

import click

from confroute.decision import Router
from confroute.errors import ConfRouteError
from examples.options import Options, options
from examples.page.turn import RagApp

FRAMEWORKS = ("langchain", "llamaindex")


def app_of(framework: str, chosen: Options, *, router: Router | None = None) -> RagApp:
    """Load an app.

    Args:
        framework: One of `FRAMEWORKS`.
        chosen: What the user chose.
        router: Who answers; by default the router of the options.

    Raises:
        ConfRouteError: If a model or the documents cannot be loaded.
    """
    if framework == "langchain":
        from examples.langchain_rag.app import LangChainApp

        return LangChainApp(chosen, router=router)
    from examples.llamaindex_rag.app import LlamaIndexApp

    return LlamaIndexApp(chosen, router=router)


def page_command(framework: str) -> click.Command:
    """Make the command that serves an app's page."""

    @click.command()
    @options
    @click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to open it to your phone.")
    @click.option("--port", type=int, help="The first free port from 7860 on by default.")
    def main(chosen: Options, host: str, port: int | None) -> None:
        """Ask a folder of documents; the edge answers while it is sure."""
        try:
            app = app_of(framework, chosen)
        except ConfRouteError as error:
            raise click.ClickException(str(error)) from error
        from examples.page.page import build, serve

        serve(build(app, threshold=chosen.threshold), host=host, port=port)

    return main
