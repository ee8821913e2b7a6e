"""The documents' code runs as written, with scripted models behind the providers' names."""

from __future__ import annotations

import csv
import doctest
import importlib.util
import json
import re
import shlex
import sys
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import confroute
from confroute import ConfidenceRouter, RouteDecision, RouteRequest, SelfCheckRouter, TrainedRouter
from confroute.calibration import calibrate
from confroute.cli import main
from confroute.decision import RouterInfo
from confroute.errors import BothModelsFailedError, ConfigurationError, MissingExtraError
from confroute.execution.log import DecisionLog
from confroute.heads import KNNHead
from confroute.heads.storage import Pair
from confroute.testing import ScriptedRouter
from tests.providers import Answer, Asked, Call, Said, command_models, langchain_models, llamaindex_models

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?:\]\(|src=\")([^)\"\s]+)")
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@dataclass
class Block:
    """A block of code, the line that it begins on, and the output that follows it."""

    language: str
    code: str
    line: int
    output: str | None = None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        follows = bool(found) and not text[end : match.start()].strip()
        if match[1] == "text" and follows and found[-1].language != "text":
            found[-1].output = match[2]
        else:
            found.append(Block(match[1], match[2], text.count("\n", 0, match.start()) + 1))
        end = match.end()
    return found


# What the models say

_ANSWERS: dict[str, tuple[Sequence[Answer], Answer]] = {
    "Who wrote Effi Briest?": ([Said("Theodor Fontane", 0.95)], "Theodor Fontane"),
    "What is 17 * 23?": ([Said(n, 0.4) for n in ("390", "391", "394", "383", "381")], "391"),
    "When is the boiler due?": (["In May"], "In May"),
    "How full is vat 7?": (["Vat 7 is 70 % full."], "Vat 7 is 70 % full."),
    "What does my contract say about notice?": (["Three months"], AssertionError("a private question left")),
    "Is the pump running?": ([ConnectionError("refused")], AssertionError("a private question left")),
}
_CALLS: dict[str, dict[str, Any]] = {"Book": {"author": "Theodor Fontane"}, "level": {"vat": 7}}


def script(asked: Asked) -> Answer:
    """A small model that knows some things, and sums of small numbers; a large one that knows all."""
    for tool in asked.tools:
        if not asked.after_tool:
            return Call(tool, _CALLS[tool])
    if found := re.search(r"What is (\d+) \+ (\d+)\?", asked.text):
        a, b = int(found[1]), int(found[2])
        guess = asked.number % 4 if b >= 2 and asked.model != "gpt-5" else 0
        return str(a + b + guess)
    edge, cloud = next(answers for question, answers in _ANSWERS.items() if question in asked.text)
    return cloud if asked.model == "gpt-5" else edge[asked.number % len(edge)]


class LetterEncoder:
    """Counts characters; stands in for the sentence encoder."""

    def __init__(self, model: str = "letters", *, name: str | None = None) -> None:
        self.name = name or model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[text.count(chr(c)) + 0.1 for c in range(48, 58)] for text in texts], np.float32)


def trained_router() -> TrainedRouter:
    router = TrainedRouter(
        head=KNNHead(), encoder=LetterEncoder(), pair=Pair(edge="qwen2.5:1.5b", cloud="gpt-5")
    )
    return router.fit(["What is 1 + 1?", "What is 12 * 34?"], ["edge", "cloud"])


def write_files(folder: Path, page: str) -> None:
    """Write the files that users are told to bring along."""
    sums = [{"question": f"What is {i} + {i % 5}?", "answers": [str(i + i % 5)]} for i in range(10, 130)]
    for name, rows in (("questions.jsonl", sums[:80]), ("new.jsonl", sums[80:])):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    rng = np.random.default_rng(0)
    scores = rng.random(600).round(4)
    edge, cloud = rng.random(600) > 0.9 * scores, rng.random(600) < 0.9
    with (folder / "held_out.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["score", "edge_correct", "cloud_correct", "edge_usd", "cloud_usd"])
        table.writerows(
            [s, int(a), int(b), 0.0002, 0.004] for s, a, b in zip(scores, edge, cloud, strict=True)
        )
    doubt = np.clip(0.3 + 0.4 * ~edge + rng.normal(0, 0.15, 600), 0.01, 0.99).round(4)
    with (folder / "both.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["score", "signal_score", "edge_correct", "cloud_correct"])
        table.writerows(zip(scores, doubt, edge.astype(int), cloud.astype(int), strict=True))
    with (folder / "outcomes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["question", "edge_quality", "cloud_quality", "score"])
        rows_of = zip(range(120), edge, cloud, scores, strict=False)
        table.writerows([f"Question number {i}?", int(a), int(b), s] for i, a, b, s in rows_of)
    if page == "how_it_works":
        trained_router().save(folder / "my-router")
    if page == "threshold":
        log, router = (
            DecisionLog(folder / "decisions.jsonl"),
            RouterInfo(name="entropy-discrete-brief-5", version="1"),
        )
        for s in scores[::2].tolist():
            route: Any = "cloud" if s >= 0.5 else "edge"
            told = RouteDecision(
                route=route, score=s, threshold=0.5, method="entropy", reason="", router=router
            )
            log.write(RouteRequest.from_text("?"), told, None)


# Running the pages

_NEEDS = {
    "edge_models": ["langchain_core"],
    "langchain": ["langchain_core", "langchain"],
    "llamaindex": ["llama_index.core"],
    "privacy": ["langchain_core"],
    "quick_start": ["langchain_core"],
    "threshold": ["langchain_core", "scipy", "matplotlib", "jinja2", "sklearn"],
    "training": ["pyarrow", "scipy", "matplotlib", "jinja2", "sklearn"],
}


@pytest.fixture
def desk(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with scripted models behind all names."""
    for module in _NEEDS.get(page.stem, []):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("confroute.prices._own", {})
    for module in ("confroute.encoders", "confroute.routers.trained"):
        monkeypatch.setattr(f"{module}.SentenceEncoder", LetterEncoder)
    command_models(monkeypatch, script)
    if "langchain_core" in _NEEDS.get(page.stem, []):
        langchain_models(monkeypatch, script)
    if page.stem == "llamaindex":
        from llama_index_instrumentation import get_dispatcher

        llamaindex_models(monkeypatch, script)
        monkeypatch.setattr(get_dispatcher(), "event_handlers", [*get_dispatcher().event_handlers])
    write_files(tmp_path, page.stem)
    return tmp_path


@each_page
@pytest.mark.filterwarnings("ignore:The middleware `ModelRouterMiddleware` is in beta")
def test_the_page_runs_and_prints_what_it_says(
    page: Path, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known: dict[str, Any] = {}
    for block in blocks_of(page):
        if "ModelRouterMiddleware" in block.code and not has_model_router():
            continue
        if block.language == "python":
            capsys.readouterr()
            exec(compile("\n" * block.line + block.code, str(page), "exec"), known)  # the pages are ours
            printed = capsys.readouterr().out
        elif block.language == "bash":
            printed = "".join(run_line(line) for line in block.code.replace("\\\n", " ").splitlines())
        else:
            continue
        if block.output is not None:
            where = f"{page.name}:{block.line} says\n{block.output}\nand prints\n{printed}"
            assert same_output(block.output, printed), where


def has_model_router() -> bool:
    return hasattr(importlib.import_module("langchain.agents.middleware"), "ModelRouterMiddleware")


def same_output(told: str, printed: str) -> bool:
    """Compare outputs; three dots stand for anything, and lines may be broken elsewhere."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(told, printed, flags)


def run_line(line: str) -> str:
    """Run or check one line of a shell block, and return what it prints."""
    program, *arguments = shlex.split(line)
    if program == "confroute":
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert done.exit_code == 0, f"{line}\n{done.output}"
        return done.output
    if program == "pip":
        assert arguments.pop(0) == "install"
        for requirement in arguments:
            check_requirement(requirement)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert arguments[0] in targets, line
    elif program == "python":
        assert arguments[0] == "-m"
        assert importlib.util.find_spec(arguments[1]) is not None, line
    else:
        assert program in {"export", "ollama"}, f"nothing tests the line {line!r}"
    return ""


def check_requirement(requirement: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    if own := re.fullmatch(r"(?:confroute|\.)\[([\w,]+)\]", requirement):
        assert set(own[1].split(",")) <= extras.keys(), requirement
        return
    listed = [*extras.values(), *PROJECT["dependency-groups"].values()]
    assert requirement in {re.split(r"[\[<>=;]", one)[0] for group in listed for one in group}, requirement


# The form of the pages


@each_page
def test_the_page_has_the_form_of_all(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(_BLOCK.findall(text)), (
        "a block is not closed, or not at a line's start"
    )
    assert {language for language, _ in _BLOCK.findall(text)} <= {"python", "bash", "text"}
    if page.stem != "README":
        assert 60 <= len(text.splitlines()) <= 200
    prose = [line for line in _CODE.sub("", text).splitlines() if not line.startswith("|")]
    assert max(map(len, prose)) <= 112


@each_page
def test_no_figure_is_missing(page: Path) -> None:
    assert "<!--" not in page.read_text(encoding="utf-8")


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, link


def slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_index_names_every_page() -> None:
    linked = set(_LINK.findall((DOCS / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in PAGES} - {"README.md"} <= linked


# The messages that the pages quote


def raised(kind: type[Exception], function: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        function()
    return str(caught.value)


def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Provoke what users meet."""
    import langchain_confroute
    from langchain_confroute import ChatConfRoute
    from tests.langchain_doubles import ScriptedChat

    def pair(router: Any, edge: Any = "yes", cloud: Any = "yes", **settings: Any) -> ChatConfRoute:
        models = (
            ScriptedChat(model="qwen2.5:1.5b", answers=[edge]),
            ScriptedChat(model="my-model", answers=[cloud]),
        )
        return ChatConfRoute(edge=models[0], cloud=models[1], router=router, **settings)

    def reason(llm: ChatConfRoute) -> str:
        return str(llm.invoke("Who?").response_metadata["confroute"]["reason"])

    class Slow(ScriptedRouter):
        def decide(self, *asked: Any) -> Any:
            time.sleep(0.1)

    find_spec, refused = importlib.util.find_spec, ConnectionError("refused")
    with monkeypatch.context() as patch:
        patch.setattr(
            "importlib.util.find_spec", lambda name: None if name == "langchain" else find_spec(name)
        )
        yield raised(MissingExtraError, lambda: langchain_confroute.ConfRouteMiddleware)
    yield reason(pair(SelfCheckRouter(), edge="Fontane"))
    yield reason(pair(Slow("edge"), edge_timeout=0.01))
    down = pair(ScriptedRouter("cloud"), cloud=refused)
    yield reason(down)
    yield reason(down)  # the breaker is open
    both = pair(ScriptedRouter("cloud"), edge=refused, cloud=refused)
    yield raised(BothModelsFailedError, lambda: both.invoke("Who?"))
    with confroute.control(budget=0.05):
        yield raised(ConfigurationError, lambda: pair(ScriptedRouter("cloud")).invoke("Who?"))
    edge = ScriptedChat(model="qwen2.5:1.5b", profile={"image_inputs": False})
    blind = ChatConfRoute(edge=edge, cloud=edge, router=ScriptedRouter("cloud"))
    shown: Any = [("human", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])]
    with confroute.control(private=True):
        yield raised(ConfigurationError, lambda: blind.invoke(shown))
    misspelt: Any = {"configurable": {"confroute_privat": True}}
    yield raised(ConfigurationError, lambda: blind.invoke("Who?", config=misspelt))
    yield raised(ConfigurationError, lambda: ConfidenceRouter().decide(RouteRequest.from_text("Who?")))
    yield reason(pair(ConfidenceRouter(), edge="Fontane"))
    yield calibrate([0.1] * 8 + [0.5] * 8 + [0.9] * 4, cloud_share=0.3).reason
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trained_router().check_edge("llama3.2:3b")
    yield str(told[0].message)


def test_quoted_messages_are_real(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_core")
    quoted = [block for page in PAGES for block in blocks_of(page) if block.language == "text"]
    real = {" ".join(message.split()) for message in messages(monkeypatch)}
    if importlib.util.find_spec("llama_index.core") is not None:
        from llama_index.core.llms.utils import resolve_llm

        monkeypatch.setitem(sys.modules, "llama_index.llms.openai", None)
        real.add(" ".join(raised(ImportError, lambda: resolve_llm("default")).split()))
    for block in quoted:
        assert " ".join(block.code.split()) in real, block.code
