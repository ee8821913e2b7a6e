"""The page itself, in Gradio."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from examples.page import render
from examples.page.turn import RagApp, Turn

# What a model writes is shown as Markdown; a picture in it must not tell another server what was said.
HEAD = """<meta http-equiv="Content-Security-Policy" content="default-src 'self'; img-src 'self' data: blob:;
script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; font-src 'self' data:;
connect-src 'self' ws: wss:; object-src 'none'; form-action 'none'; base-uri 'self'">"""
STYLE = Path(__file__).parent / "style.css"
START = 0.2  # where the slider stands before it is moved
Panels = tuple[str, str, str, str, str]  # answer, verdict, look, sources, tally
FONT = ("system-ui", "sans-serif")  # Gradio's own theme asks a font server, which a private question must not


def build(app: RagApp, *, threshold: float | None) -> gr.Blocks:
    """Lay the page out and wire it to an app; without a threshold the router's own holds."""

    def ask(question: str, own: bool, limit: float, private: bool) -> Iterator[Panels]:
        turn = Turn()
        if not question.strip():
            yield "", "<p class='quiet'>Write a question first.</p>", "", "", render.tally(app.stats)
            return
        yield "", render.WAITING, "", "", render.tally(app.stats)
        try:
            for turn in app.ask(question, threshold=None if own else limit, private=private):
                yield _shown(turn, app)
        except Exception as error:  # whatever the models did, the page says so
            logging.getLogger(__name__).exception("no answer")
            yield turn.answer, render.failure(error), "", render.sources(turn), render.tally(app.stats)
        else:
            yield _shown(turn, app)

    page = gr.Blocks(title="Ask the documents", analytics_enabled=False)
    with page:
        gr.HTML(render.heading(app.about), elem_id="heading")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                question = gr.Textbox(label="Question", lines=2, submit_btn="Ask", elem_id="question")
                private = gr.Checkbox(label="Keep private: never to the cloud", elem_id="private")
                if app.about.questions:
                    gr.Examples(app.about.questions, question, label="For instance")
                verdict = gr.HTML(elem_id="verdict")
                answer = gr.Markdown(elem_id="answer", container=True)
                with gr.Accordion("Sources"):
                    sources = gr.HTML(elem_id="sources")
            with gr.Column(scale=2, min_width=320):
                with gr.Accordion("What the edge said when it was looked at"):
                    look = gr.HTML(elem_id="look")
                own = gr.Checkbox(threshold is None, label="The router's own threshold", elem_id="own")
                limit = gr.Slider(
                    0,
                    1,
                    START if threshold is None else threshold,
                    step=0.05,
                    label="Threshold",
                    info="The cloud answers from this uncertainty on: at 0 always.",
                    visible=threshold is not None,
                    elem_id="threshold",
                )
                with gr.Accordion("So far"):
                    tally = gr.HTML(render.tally(app.stats), elem_id="tally")
        own.change(
            lambda is_own: gr.Slider(visible=not is_own),
            own,
            limit,
            api_visibility="private",
            show_progress="hidden",
        )
        question.submit(
            ask,
            [question, own, limit, private],
            [answer, verdict, look, sources, tally],
            api_visibility="private",
            show_progress="hidden",
        )
    return page


def _shown(turn: Turn, app: RagApp) -> Panels:
    return (
        turn.answer,
        render.verdict(turn),
        render.look(turn),
        render.sources(turn),
        render.tally(app.stats),
    )


def serve(page: gr.Blocks, *, host: str, port: int | None, wait: bool = True) -> str:
    """Serve the page and return its address; without `wait`, in the background."""
    font = list(FONT)
    _, url, _ = page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=not wait,
        theme=gr.themes.Default(font=font, font_mono=["monospace"]),
        css_paths=STYLE,
        head=HEAD,
        footer_links=[],
        show_error=True,
    )
    return str(url)
