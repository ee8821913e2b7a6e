"""The README's Python runs as written, with scripted models behind the providers' names."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.langchain_doubles import ScriptedChat

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def block_with(text: str) -> str:
    found: list[str] = [block for block in BLOCKS if text in block]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cls in (("langchain_ollama", "ChatOllama"), ("langchain_openai", "ChatOpenAI")):
        module = ModuleType(name)
        setattr(module, cls, lambda model: ScriptedChat(model=model, answers=[f"{model} answers"]))
        monkeypatch.setitem(sys.modules, name, module)


def run(block: str, known: dict[str, Any]) -> None:
    exec(compile(block, str(README), "exec"), known)  # the README is ours


def test_langchain(providers: None, capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, Any] = {}
    run(block_with("from langchain_confroute import ChatConfRoute"), known)
    assert capsys.readouterr().out == "qwen2.5:1.5b answers\n"
    run(block_with('reply.response_metadata["confroute"]'), known)
    assert "edge answers with one meaning" in capsys.readouterr().out
    pytest.importorskip("langchain")
    run(block_with("RunnableRouteDecision(router=router, edge=edge)"), known)
    assert capsys.readouterr().out == "edge qwen2.5:1.5b answers\nqwen2.5:1.5b answers\n"
    known["llm"].edge.max_tokens = known["llm"].cloud.max_tokens = 50
    known["llm"]._execution.cloud.price = (0.0, 0.0)
    run(block_with("confroute.control(private=True)"), known)
    assert "calls=" in capsys.readouterr().out


def test_entropy(capsys: pytest.CaptureFixture[str]) -> None:
    run(block_with("semantic_entropy(["), {})
    assert capsys.readouterr().out.startswith("(0, 0, 1) 0.63")


def test_llamaindex(monkeypatch: pytest.MonkeyPatch) -> None:
    core = pytest.importorskip("llama_index.core")
    mock = pytest.importorskip("llama_index.core.llms").MockLLM
    for name, cls in (("llama_index.llms.ollama", "Ollama"), ("llama_index.llms.openai", "OpenAI")):
        module = ModuleType(name)
        setattr(module, cls, lambda model: mock())
        monkeypatch.setitem(sys.modules, name, module)
    before = core.Settings._llm
    try:
        run(block_with("from llamaindex_confroute import ConfRouteLLM"), {})
        assert type(core.Settings.llm).__name__ == "ConfRouteLLM"
    finally:
        core.Settings._llm = before


def test_every_block_is_tested_or_named_here() -> None:
    tested = [
        "from langchain_confroute import ChatConfRoute",
        'reply.response_metadata["confroute"]',
        "RunnableRouteDecision(router=router, edge=edge)",
        "confroute.control(private=True)",
        "semantic_entropy([",
        "from llamaindex_confroute import ConfRouteLLM",
        'load_router("my-router")',  # needs a trained router; tests/unit/test_trained_router.py has it
    ]
    assert len(BLOCKS) == len(tested)
    for text in tested:
        assert block_with(text)
