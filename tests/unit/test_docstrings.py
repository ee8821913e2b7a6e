"""The examples of the docstrings run as written, with scripted models behind the providers' names."""

from __future__ import annotations

import ast
import re
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import confroute
from confroute import CloudShare, ConfidenceRouter, EntropyRouter
from confroute.testing import ScriptedRouter
from tests.providers import Asked, Said, langchain_models, llamaindex_models

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "shared" / "confroute", ROOT / "langchain_confroute", ROOT / "llamaindex_confroute"]
QUESTION = {"messages": [("user", "Who wrote Effi Briest?")]}


def examples_in(docstring: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", cleandoc(docstring), re.DOTALL)


def example_of(thing: Any) -> str:
    (found,) = examples_in(thing.__doc__ or "")
    return dedent(found)


def run(code: str, known: dict[str, Any]) -> Any:
    """Run an example in a program that knows these names, and return the value of its last line."""
    *statements, last = ast.parse(code).body
    if isinstance(last, ast.Expr):
        exec(compile(ast.Module(statements, []), "example", "exec"), known)  # the examples are ours
        return eval(compile(ast.Expression(last.value), "example", "eval"), known)
    return exec(code, known)


def answer(asked: Asked) -> Said:
    return Said(f"{asked.model} answers", probability=0.9)


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """LangChain's chat models, scripted."""
    pytest.importorskip("langchain_core")
    langchain_models(monkeypatch, answer)
    from langchain_ollama import ChatOllama
    from langchain_openai import ChatOpenAI

    return {"ChatOllama": ChatOllama, "ChatOpenAI": ChatOpenAI, "ConfidenceRouter": ConfidenceRouter}


def test_chat_conf_route(providers: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from langchain_confroute import ChatConfRoute

    run(example_of(ChatConfRoute), {})
    assert capsys.readouterr().out.startswith(
        "qwen2.5:1.5b answers probability 0.90: uncertainty at most 0.10"
    )


def test_runnable_conf_route(providers: dict[str, Any]) -> None:
    from langchain_core.runnables import RunnableLambda

    from langchain_confroute import RunnableConfRoute

    known: dict[str, Any] = {
        "small_rag": RunnableLambda(lambda given: f"small: {given['question']}"),
        "large_rag": RunnableLambda(lambda given: f"large: {given['question']}"),
    }
    value = run(example_of(RunnableConfRoute), {**providers, **known, "RunnableConfRoute": RunnableConfRoute})
    assert value == "small: Who wrote Effi Briest?"


def test_runnable_route_decision(providers: dict[str, Any]) -> None:
    from langchain_confroute import RunnableRouteDecision

    known = {**providers, "RunnableRouteDecision": RunnableRouteDecision}
    assert run(example_of(RunnableRouteDecision), known) == "edge"


def test_conf_route_middleware(providers: dict[str, Any]) -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent

    from langchain_confroute import ConfRouteMiddleware

    def search(query: str) -> str:
        """Search the library."""
        return f"found {query}"

    known = {**providers, "create_agent": create_agent, "search": search}
    value = run(example_of(ConfRouteMiddleware), {**known, "ConfRouteMiddleware": ConfRouteMiddleware})
    last = value["messages"][-1]
    assert last.text == "qwen2.5:7b answers"
    assert last.response_metadata["confroute"]["route"] == "edge"


@pytest.mark.filterwarnings("ignore:The middleware `ModelRouterMiddleware` is in beta")
def test_conf_route_decision_model(providers: dict[str, Any]) -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "ModelRouterMiddleware"):
        pytest.skip("this langchain is older than 1.5")
    from langchain.agents import create_agent

    from langchain_confroute import ConfRouteDecisionModel

    known = {name: getattr(middleware, name) for name in ("ModelChoice", "ModelRouterMiddleware")}
    known |= {**providers, "ConfRouteDecisionModel": ConfRouteDecisionModel}
    known["edge"], known["cloud"] = known["ChatOllama"](model="small"), known["ChatOpenAI"](model="large")
    routing = run(example_of(ConfRouteDecisionModel), known)
    agent: Any = create_agent(known["cloud"], tools=[], middleware=[routing])
    assert agent.invoke(QUESTION)["messages"][-1].text == "small answers"


def test_cloud_share() -> None:
    known: dict[str, Any] = {"ConfidenceRouter": ConfidenceRouter, "CloudShare": CloudShare}
    run(example_of(CloudShare), known)
    assert known["router"].threshold.share == 0.3


def test_control(providers: dict[str, Any]) -> None:
    from langchain_confroute import ChatConfRoute

    edge, cloud = providers["ChatOllama"](model="small"), providers["ChatOpenAI"](model="large")
    llm = ChatConfRoute(edge=edge, cloud=cloud, router=ScriptedRouter("cloud"))
    run(example_of(confroute.control), {"confroute": confroute, "llm": llm})
    assert [len(model.seen) for model in (edge, cloud)] == [1, 0]


@pytest.fixture
def dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let LlamaIndex's root dispatcher forget the handlers of a test."""
    pytest.importorskip("llama_index.core")
    from llama_index_instrumentation import get_dispatcher

    root = get_dispatcher()
    monkeypatch.setattr(root, "event_handlers", [*root.event_handlers])


@pytest.mark.usefixtures("dispatcher")
def test_route_decision_event(capsys: pytest.CaptureFixture[str]) -> None:
    from llamaindex_confroute import ConfRouteLLM, RouteDecisionEvent
    from tests.llamaindex_doubles import ScriptedLLM

    run(example_of(RouteDecisionEvent), {})
    edge, cloud = ScriptedLLM(model="edge"), ScriptedLLM(model="cloud")
    llm = ConfRouteLLM(edge=edge, cloud=cloud, router=EntropyRouter(n_samples=3, probe="brief"))
    llm.complete("Who wrote Effi Briest?")
    list(llm.stream_complete("Who wrote Effi Briest?"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("3 edge answers with one meaning") for line in lines)


@pytest.mark.usefixtures("dispatcher")
@pytest.mark.parametrize("name", ["ConfRouteLLM", "ConfRouteSelector"])
def test_llamaindex(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from llama_index.core import Settings

    import llamaindex_confroute

    llamaindex_models(monkeypatch, answer)
    monkeypatch.setattr(Settings, "_llm", None)
    code = example_of(getattr(llamaindex_confroute, name))
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10
    run(code, {})
    assert "3 of 3 more answers agree" in capsys.readouterr().out


def test_every_example_is_tested_here() -> None:
    tested = {
        "ChatConfRoute",
        "CloudShare",
        "ConfRouteDecisionModel",
        "ConfRouteLLM",
        "ConfRouteMiddleware",
        "ConfRouteSelector",
        "RouteDecisionEvent",
        "RunnableConfRoute",
        "RunnableRouteDecision",
        "control",
    }
    found = [
        getattr(node, "name", path.name)
        for package in PACKAGES
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for _ in examples_in(ast.get_docstring(node) or "")
    ]
    assert sorted(found) == sorted(tested)
