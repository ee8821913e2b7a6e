"""The README's Python runs as written, with scripted models behind the providers' names."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.providers import Asked, Said, langchain_models, llamaindex_models

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def block_with(text: str) -> str:
    found: list[str] = [block for block in BLOCKS if text in block]
    assert len(found) == 1
    return found[0]


def answer(asked: Asked) -> Said:
    return Said(f"{asked.model} answers", 0.9)


def run(block: str, known: dict[str, Any]) -> None:
    exec(compile(block, str(README), "exec"), known)  # the README is ours


def test_langchain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("langchain_core")
    langchain_models(monkeypatch, answer)
    known: dict[str, Any] = {}
    run(block_with("from langchain_confroute import ChatConfRoute"), known)
    assert capsys.readouterr().out == "qwen2.5:1.5b answers\n"
    run(block_with('reply.response_metadata["confroute"]'), known)
    assert capsys.readouterr().out == "probability 0.90: uncertainty at most 0.10 < 0.20, the edge is sure\n"
    pytest.importorskip("langchain")
    run(block_with("RunnableRouteDecision(router=router, edge=edge)"), known)
    assert capsys.readouterr().out == "edge qwen2.5:1.5b answers\nqwen2.5:1.5b answers\n"
    known["llm"].edge.max_tokens = known["llm"].cloud.max_tokens = 50
    known["llm"]._execution.cloud.price = (0.0, 0.0)
    run(block_with("confroute.control(private=True)"), known)
    assert "calls=" in capsys.readouterr().out


def test_llamaindex(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    core = pytest.importorskip("llama_index.core")
    llamaindex_models(monkeypatch, answer)
    before = core.Settings._llm
    try:
        known: dict[str, Any] = {}
        run(block_with("from llamaindex_confroute import ConfRouteLLM"), known)
        reply = core.Settings.llm.complete("Who wrote Effi Briest?")
        assert (reply.text, reply.additional_kwargs["confroute"]["route"]) == ("qwen2.5:1.5b answers", "edge")
        run(block_with("from llamaindex_confroute import ConfRouteSelector"), known)
        assert capsys.readouterr().out.endswith("the edge is sure → edge\n")
    finally:
        core.Settings._llm = before


def test_every_block_is_tested_or_named_here() -> None:
    tested = [
        "from langchain_confroute import ChatConfRoute",
        'reply.response_metadata["confroute"]',
        "RunnableRouteDecision(router=router, edge=edge)",
        "confroute.control(private=True)",
        "from llamaindex_confroute import ConfRouteLLM",
        "from llamaindex_confroute import ConfRouteSelector",
        'load_router("my-router")',  # needs a trained router; tests/unit/test_trained_router.py has it
    ]
    assert len(BLOCKS) == len(tested)
    for text in tested:
        assert block_with(text)
