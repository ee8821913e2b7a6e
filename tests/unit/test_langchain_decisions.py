"""LangChain's own `ModelRouterMiddleware`, driven by our routers."""

from __future__ import annotations

import asyncio
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

import langchain_confroute
from confroute import EntropyRouter
from confroute.errors import ConfigurationError, MissingExtraError
from confroute.testing import ScriptedRouter
from tests.langchain_doubles import ScriptedChat

decisions: Any = import_module("langchain_core.decisions") if find_spec("langchain_core.decisions") else None

HERE = pytest.mark.skipif(decisions is None, reason="this langchain-core is older than 1.8")


@pytest.mark.skipif(decisions is not None, reason="this langchain-core has decision models")
def test_before_core_1_8_the_message_says_what_is_needed() -> None:
    assert "ConfRouteDecisionModel" not in langchain_confroute.__all__
    with pytest.raises(
        MissingExtraError, match=r"needs langchain-core 1\.8 or newer, and 1\.\d.*pip install"
    ):
        _ = langchain_confroute.ConfRouteDecisionModel


def model(router: Any, **arguments: Any) -> Any:
    return langchain_confroute.ConfRouteDecisionModel(router=router, **arguments)


def question(*labels: str) -> dict[str, Any]:
    choice = decisions.Choice(instructions="Which model?", criteria=dict.fromkeys(labels, "?"))
    return {"state": "Capital of France?", "questions": {"route": choice}}


def classify(classifier: Any, asked: dict[str, Any]) -> Any:
    return classifier.invoke(asked)


def aclassify(classifier: Any, asked: dict[str, Any]) -> Any:
    return asyncio.run(classifier.ainvoke(asked))


WAYS = pytest.mark.parametrize("ask", [classify, aclassify])


@HERE
@WAYS
@pytest.mark.parametrize("route", ["edge", "cloud"])
def test_the_verdict_is_the_choice(ask: Any, route: Any) -> None:
    answer = ask(model(ScriptedRouter(route)), question("edge", "cloud")).choices["route"]
    assert (answer.choice, answer.confidence) == (route, 1.0)
    assert answer.probabilities == {"edge": float(route == "edge"), "cloud": float(route == "cloud")}


@HERE
@WAYS
def test_a_sampling_router_samples_the_edge(ask: Any) -> None:
    edge = ScriptedChat(model="edge-model", answers=["Paris", "Rome", "paris", "Paris."])
    answer = ask(model(EntropyRouter(n_samples=4), edge=edge), question("edge", "cloud")).choices["route"]
    assert len(edge.seen) == 4
    assert 0 < answer.probabilities["cloud"] < 1
    assert answer.probabilities["edge"] + answer.probabilities["cloud"] == pytest.approx(1.0)
    assert answer.confidence == answer.probabilities[answer.choice]


@HERE
def test_other_questions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="is a Choice between fast, slow: expected a Choice between"):
        model(ScriptedRouter("edge")).invoke(question("fast", "slow"))
    noul = {"state": "hi", "questions": {"sure": decisions.Noul(instructions="Sure?")}}
    with pytest.raises(ConfigurationError, match="'sure' is a Noul"):
        model(ScriptedRouter("edge")).invoke(noul)


@HERE
@pytest.mark.parametrize("route", ["edge", "cloud"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_in_langchains_own_router(route: Any, way: str) -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "ModelRouterMiddleware"):
        pytest.skip("this langchain is older than 1.5")
    from langchain.agents import create_agent

    models = {name: ScriptedChat(model=name, answers=[f"from the {name}"]) for name in ("edge", "cloud")}
    router = middleware.ModelRouterMiddleware(
        choices={name: middleware.ModelChoice(chat, "?") for name, chat in models.items()},
        instructions="Which model?",
        classifier=model(ScriptedRouter(route)),
    )
    agent: Any = create_agent(models["cloud"], tools=[], middleware=[router])
    asked = {"messages": [("user", "Capital of France?")]}
    found = agent.invoke(asked) if way == "invoke" else asyncio.run(agent.ainvoke(asked))
    assert found["messages"][-1].text == f"from the {route}"
    assert found["model_route"].choice == route
