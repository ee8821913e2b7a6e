"""Take the README's picture of the example page, from the real page.

Usage: python -m scripts.screenshot_page [--framework langchain] [--width 1180] [--out docs/images/page.png]

Starts the app with its default models, asks a question in a headless Chromium, and waits for the answer.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from playwright.sync_api import sync_playwright

from examples.apps import FRAMEWORKS, app_of
from examples.options import Options, options
from examples.page.page import build, serve

OUT = Path(__file__).parents[1] / "docs" / "images" / "page.png"


@click.command()
@options
@click.option("--framework", default="langchain", type=click.Choice(FRAMEWORKS))
@click.option("--question", help="By default the last of the app's own.")
@click.option("--width", default=1180, show_default=True)
@click.option("--height", default=900, show_default=True)
@click.option("--out", default=OUT, type=click.Path(dir_okay=False, path_type=Path))
def main(chosen: Options, framework: str, question: str | None, width: int, height: int, out: Path) -> None:
    """Take a picture of the page with one question answered."""
    app = app_of(framework, chosen)
    page = build(app, threshold=chosen.threshold)
    url = serve(page, host="127.0.0.1", port=None, wait=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": width, "height": height})
        shown.goto(url)
        shown.locator("#question textarea").fill(question or app.about.questions[-1])
        shown.get_by_role("button", name="Ask", exact=True).click()
        shown.locator("#route").wait_for(timeout=120_000)
        shown.wait_for_function(
            "document.querySelector('#tally #questions').innerText !== '0'", timeout=120_000
        )
        shown.wait_for_timeout(500)
        shown.screenshot(path=out)
        browser.close()
    page.close()
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
