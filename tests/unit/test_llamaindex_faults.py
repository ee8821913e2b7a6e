"""Every fault, on either side and while sampling, by every path: a real server and the real client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MockLLM

import confroute
from confroute import EntropyRouter
from confroute.decision import Route
from confroute.errors import BothModelsFailedError
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_pairs import (
    AS_JSON,
    FAULTS,
    STREAMS,
    STRUCTURED,
    City,
    Pair,
    ask,
    cities,
    model,
    said,
    served,
)
from tests.llamaindex_paths import ALL_PATHS
from tests.openai_server import OpenAIServer


@pytest.fixture
def pair() -> Iterator[Pair]:
    with served() as servers:
        yield servers


@ALL_PATHS
@pytest.mark.parametrize("side", ["edge", "cloud"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_fails(pair: Pair, fault: str, side: Route, path: str) -> None:
    pair.break_(side, fault)
    llm = pair.llm(ScriptedRouter(side))
    if fault == "cut" and path in STREAMS:
        with pytest.raises(Exception, match=r"(?i)connection|peer closed|incomplete|read"):
            ask(llm, path)
        return
    text, decision = ask(llm, path)
    other = "cloud" if side == "edge" else "edge"
    assert text == f"the {other} says hello"
    assert (decision.route, decision.fallback_from, decision.method) == (other, side, "fallback")
    assert decision.fallback_cause
    stats = llm.stats
    assert stats.fallbacks == stats.calls == 1
    assert (stats.input_tokens, stats.output_tokens, stats.usd) == (7, 4, 0.0)


@ALL_PATHS
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "empty"])
def test_sampling_fails(pair: Pair, fault: str, path: str) -> None:
    pair.break_("edge", fault)
    text, decision = ask(pair.llm(EntropyRouter(n_samples=3, probe="brief")), path)
    assert text == "the cloud says hello"
    assert (decision.route, decision.method, decision.score) == ("cloud", "fallback", None)
    assert decision.fallback_cause


@ALL_PATHS
def test_empty_samples_make_no_reply(pair: Pair, path: str) -> None:
    """Answers that all say nothing agree, and are doubt all the same."""
    pair.break_("edge", "empty")
    text, decision = ask(pair.llm(EntropyRouter(n_samples=3, probe="full")), path)
    assert text == "the cloud says hello"
    assert "3 of 3 edge answers cannot be used (the first is empty)" in decision.reason


@ALL_PATHS
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "cut"])
def test_both_fail(pair: Pair, fault: str, path: str) -> None:
    for side in ("edge", "cloud"):
        pair.break_(side, fault)
    with pytest.raises(BothModelsFailedError) as caught:
        ask(pair.llm(ScriptedRouter("edge")), path)
    assert list(caught.value.causes) == ["edge", "cloud"]


@ALL_PATHS
def test_a_bad_request_is_handed_on(pair: Pair, path: str) -> None:
    pair.break_("edge", "400")
    with pytest.raises(Exception, match="scripted 400"):
        ask(pair.llm(ScriptedRouter("edge")), path)
    assert pair.servers["cloud"].requests == []


@ALL_PATHS
@pytest.mark.parametrize("fault", FAULTS)
def test_a_private_question_never_leaves(pair: Pair, fault: str, path: str) -> None:
    pair.break_("edge", fault)
    with pytest.raises(Exception), confroute.control(private=True):  # noqa: B017,PT011 - whatever the edge raised
        ask(pair.llm(EntropyRouter(n_samples=3)), path)
    assert pair.servers["cloud"].requests == []


@ALL_PATHS
def test_samples_come_in_one_request(pair: Pair, path: str) -> None:
    answers = ["Paris", "Rome", "Bern"]
    edge = pair.servers["edge"]
    edge.answer = lambda body, i: answers[i]
    _, decision = ask(pair.llm(EntropyRouter(n_samples=3)), path)
    assert decision.route == "cloud"
    (body,) = edge.requests
    assert (body["n"], body["temperature"], body["logprobs"]) == (3, 1.0, True)
    assert (decision.usage.input_tokens, decision.usage.output_tokens) == (7, 3)


@ALL_PATHS
def test_samples_that_a_server_did_not_give_are_drawn_one_by_one(pair: Pair, path: str) -> None:
    edge = pair.servers["edge"]
    edge.honours_n = False
    text, decision = ask(pair.llm(EntropyRouter(n_samples=3, max_tokens=9)), path)
    assert text == "the edge says hello"  # a draft
    assert len(edge.requests) == 3
    assert {(body["temperature"], body["max_tokens"]) for body in edge.requests} == {(1.0, 9)}
    assert (decision.n_samples, decision.usage.input_tokens) == (3, 2 * 7)


def test_a_fixed_seed_does_not_make_the_samples_alike(pair: Pair) -> None:
    pair.servers["edge"].honours_n = False
    llm = pair.llm(EntropyRouter(n_samples=3))
    llm.edge.additional_kwargs = {"seed": 7}  # type: ignore[attr-defined]  # OpenAI's options
    ask(llm, "chat")
    assert sorted(body["seed"] for body in pair.servers["edge"].requests) == [7, 8, 9]


def test_copies_for_sampling_share_one_client(pair: Pair) -> None:
    llm = pair.llm(EntropyRouter(n_samples=2, probe="brief"))
    for _ in range(3):
        ask(llm, "chat")
    copies = {id(copy): copy for _, copy in llm._copies._copies.values()}
    assert len(copies) == 1


async def test_two_hundred_concurrent_calls_are_not_mixed_up(pair: Pair) -> None:
    for side, server in pair.servers.items():
        server.answer = lambda body, i, side=side: f"{side} answers {body['messages'][-1]['content']}"  # type: ignore[misc]  # mypy reads no default in a lambda
    router = ScriptedRouter(lambda request: "cloud" if int(request.query) % 3 == 0 else "edge")
    llm = pair.llm(router, edge_timeout=60.0, cloud_timeout=60.0)
    replies = await asyncio.gather(*(llm.achat([ChatMessage(str(i))]) for i in range(200)))
    for i, reply in enumerate(replies):
        route = "cloud" if i % 3 == 0 else "edge"
        assert reply.message.content == f"{route} answers {i}"
        assert reply.additional_kwargs["confroute"]["route"] == route
    stats = llm.stats
    assert (stats.calls, stats.cloud_calls, stats.fallbacks) == (200, 67, 0)
    assert (stats.input_tokens, stats.output_tokens, stats.usd) == (200 * 7, 200 * 3, 0.0)


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_greedy_arguments_of_a_call_do_not_make_samples_greedy(way: str) -> None:
    with OpenAIServer(lambda body, i: f"answer {i}") as server:
        llm = ConfRouteLLM(
            edge=model("edge-model", server.url),
            cloud=MockLLM(),
            router=EntropyRouter(n_samples=3, probe="brief"),
        )
        reply: Any = getattr(llm, way)([ChatMessage("?")], temperature=0.0, n=1)
        reply = asyncio.run(reply) if way == "achat" else reply
    assert reply.additional_kwargs["confroute"]["route"] == "cloud"
    assert {body["temperature"] for body in server.requests} == {1.0}
    assert [body["n"] for body in server.requests] == [3]


def test_a_server_that_refuses_n_is_asked_one_by_one() -> None:
    with OpenAIServer("the same") as server:
        server.fault = lambda body: "400" if (body.get("n") or 1) > 1 else None
        llm = ConfRouteLLM(
            edge=model("edge-model", server.url),
            cloud=MockLLM(),
            router=EntropyRouter(n_samples=3, probe="brief"),
        )
        decision = llm.chat([ChatMessage("?")]).additional_kwargs["confroute"]
    assert (decision["route"], decision["method"], decision["n_samples"]) == ("edge", "entropy", 3)


@pytest.fixture
def naming(pair: Pair) -> Pair:
    """A pair whose servers each name a city after themselves."""
    pair.fields = AS_JSON
    for side, server in pair.servers.items():
        server.answer = cities(side)
    return pair


BY_EVERY_PREDICTION = pytest.mark.parametrize("how", STRUCTURED)


@BY_EVERY_PREDICTION
@pytest.mark.parametrize("side", ["edge", "cloud"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_model_fails_to_predict(naming: Pair, fault: str, side: Route, how: str) -> None:
    naming.break_(side, fault)
    llm = naming.llm(ScriptedRouter(side))
    if fault == "cut" and "stream" in how:
        with pytest.raises(Exception, match=r"(?i)connection|peer closed|incomplete|read"):
            await said(llm, how)
        assert (sum(naming.asked()), llm.stats.fallbacks) == (1, 0)
        return
    other = "cloud" if side == "edge" else "edge"
    assert (await said(llm, how))[-1] == City(name=other)
    assert (len(naming.servers[other].requests), llm.stats.fallbacks, llm.stats.calls) == (1, 1, 1)
    assert llm.stats.cloud_calls == (other == "cloud")


@BY_EVERY_PREDICTION
@pytest.mark.parametrize("fault", ["timeout", "500", "malformed"])
async def test_sampling_fails_before_a_prediction(naming: Pair, fault: str, how: str) -> None:
    naming.break_("edge", fault)
    llm = naming.llm(EntropyRouter(n_samples=3))
    assert (await said(llm, how))[-1] == City(name="cloud")
    assert (len(naming.servers["cloud"].requests), llm.stats.fallbacks) == (1, 1)


@BY_EVERY_PREDICTION
async def test_both_fail_to_predict(naming: Pair, how: str) -> None:
    naming.break_("edge", "500")
    naming.break_("cloud", "malformed")
    with pytest.raises(BothModelsFailedError):
        await said(naming.llm(ScriptedRouter("edge")), how)


@BY_EVERY_PREDICTION
@pytest.mark.parametrize("fault", ["timeout", "500", "malformed"])
async def test_a_private_prediction_never_leaves(naming: Pair, fault: str, how: str) -> None:
    naming.break_("edge", fault)
    with pytest.raises(Exception), confroute.control(private=True):  # noqa: B017,PT011 - whatever the edge raised
        await said(naming.llm(ScriptedRouter("cloud")), how)
    assert naming.servers["cloud"].requests == []


@BY_EVERY_PREDICTION
async def test_an_answer_that_is_no_object_is_a_failure(naming: Pair, how: str) -> None:
    naming.servers["edge"].answer = lambda body, i: "It is Lyon."
    llm = naming.llm(ScriptedRouter("edge"))
    assert (await said(llm, how))[-1] == City(name="cloud")
    assert (naming.asked(), llm.stats.fallbacks) == ((1, 1), 1)
