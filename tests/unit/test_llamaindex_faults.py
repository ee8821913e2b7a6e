"""Every fault, on either side and while sampling, by every path: a real server and the real client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MockLLM

import confroute
from confroute import EntropyRouter, RouteDecision
from confroute.decision import Route
from confroute.errors import BothModelsFailedError
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM
from tests.openai_server import OpenAIServer

client = pytest.importorskip("llama_index.llms.openai_like", reason="needs llama-index-llms-openai-like")

FAULTS = ["timeout", "refused", "401", "429", "500", "malformed", "empty", "cut"]
TIMEOUT = 0.5
PATIENCE = 20.0
HI = [ChatMessage("hi")]


class Pair:
    """A routed pair of real servers."""

    def __init__(self, edge: OpenAIServer, cloud: OpenAIServer) -> None:
        self.servers = {"edge": edge, "cloud": cloud}
        self.urls = {side: server.url for side, server in self.servers.items()}
        self.timeouts = {"edge_timeout": PATIENCE, "cloud_timeout": PATIENCE}

    def break_(self, side: str, fault: str) -> None:
        if fault == "timeout":
            self.servers[side].hang_seconds = TIMEOUT * 3
            self.timeouts[f"{side}_timeout"] = TIMEOUT
        if fault == "refused":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.urls[side] = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        else:
            self.servers[side].fault = fault

    def llm(self, router: Any, **settings: Any) -> ConfRouteLLM:
        clients = {side: model(f"{side}-model", url) for side, url in self.urls.items()}
        return ConfRouteLLM(router=router, **{**clients, **self.timeouts, **settings})


def model(name: str, url: str) -> Any:
    return client.OpenAILike(
        model=name,
        api_base=url,
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        max_tokens=50,
        additional_kwargs={"stream_options": {"include_usage": True}},
    )


@pytest.fixture
def pair() -> Iterator[Pair]:
    with (
        OpenAIServer("the edge says hello", model="edge-model") as edge,
        OpenAIServer("the cloud says hello", model="cloud-model") as cloud,
    ):
        yield Pair(edge, cloud)


def stream(chunks: Any) -> tuple[str, dict[str, Any]]:
    said = list(chunks)
    decisions = [chunk.additional_kwargs["confroute"] for chunk in said]
    assert all(decision == decisions[0] for decision in decisions)
    return "".join(chunk.delta or "" for chunk in said), decisions[-1]


async def astream(llm: ConfRouteLLM) -> tuple[str, dict[str, Any]]:
    return stream([chunk async for chunk in await llm.astream_chat(HI)])


def whole(reply: Any) -> tuple[str, dict[str, Any]]:
    return str(getattr(reply, "text", None) or reply.message.content), reply.additional_kwargs["confroute"]


PATHS: dict[str, Callable[[ConfRouteLLM], tuple[str, dict[str, Any]]]] = {
    "chat": lambda llm: whole(llm.chat(HI)),
    "achat": lambda llm: whole(asyncio.run(llm.achat(HI))),
    "stream_chat": lambda llm: stream(llm.stream_chat(HI)),
    "astream_chat": lambda llm: asyncio.run(astream(llm)),
    "complete": lambda llm: whole(llm.complete("hi")),
}
STREAMS = ("stream_chat", "astream_chat")


def asked(llm: ConfRouteLLM, path: str) -> tuple[str, RouteDecision]:
    text, decision = PATHS[path](llm)
    return text, RouteDecision.model_validate(decision)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("side", ["edge", "cloud"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_fails(pair: Pair, fault: str, side: Route, path: str) -> None:
    pair.break_(side, fault)
    llm = pair.llm(ScriptedRouter(side))
    if fault == "cut" and path in STREAMS:
        with pytest.raises(Exception, match=r"(?i)connection|peer closed|incomplete|read"):
            asked(llm, path)
        return
    text, decision = asked(llm, path)
    other = "cloud" if side == "edge" else "edge"
    assert text == f"the {other} says hello"
    assert (decision.route, decision.fallback_from, decision.method) == (other, side, "fallback")
    assert decision.fallback_cause
    stats = llm.stats
    assert stats.fallbacks == stats.calls == 1
    assert (stats.input_tokens, stats.output_tokens, stats.usd) == (7, 4, 0.0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "empty"])
def test_sampling_fails(pair: Pair, fault: str, path: str) -> None:
    pair.break_("edge", fault)
    text, decision = asked(pair.llm(EntropyRouter(n_samples=3, probe="brief")), path)
    assert text == "the cloud says hello"
    assert (decision.route, decision.method, decision.score) == ("cloud", "fallback", None)
    assert decision.fallback_cause


@pytest.mark.parametrize("path", PATHS)
def test_empty_samples_make_no_reply(pair: Pair, path: str) -> None:
    """Answers that all say nothing agree, and are doubt all the same."""
    pair.break_("edge", "empty")
    text, decision = asked(pair.llm(EntropyRouter(n_samples=3, probe="full")), path)
    assert text == "the cloud says hello"
    assert "3 of 3 edge answers say nothing" in decision.reason


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "cut"])
def test_both_fail(pair: Pair, fault: str, path: str) -> None:
    for side in ("edge", "cloud"):
        pair.break_(side, fault)
    with pytest.raises(BothModelsFailedError) as caught:
        asked(pair.llm(ScriptedRouter("edge")), path)
    assert list(caught.value.causes) == ["edge", "cloud"]


@pytest.mark.parametrize("path", PATHS)
def test_a_bad_request_is_handed_on(pair: Pair, path: str) -> None:
    pair.break_("edge", "400")
    with pytest.raises(Exception, match="scripted 400"):
        asked(pair.llm(ScriptedRouter("edge")), path)
    assert pair.servers["cloud"].requests == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_private_question_never_leaves(pair: Pair, fault: str, path: str) -> None:
    pair.break_("edge", fault)
    with pytest.raises(Exception), confroute.control(private=True):  # noqa: B017,PT011 - whatever the edge raised
        asked(pair.llm(EntropyRouter(n_samples=3)), path)
    assert pair.servers["cloud"].requests == []


@pytest.mark.parametrize("path", PATHS)
def test_samples_come_in_one_request(pair: Pair, path: str) -> None:
    answers = ["Paris", "Rome", "Bern"]
    edge = pair.servers["edge"]
    edge.answer = lambda body, i: answers[i]
    _, decision = asked(pair.llm(EntropyRouter(n_samples=3)), path)
    assert decision.route == "cloud"
    (body,) = edge.requests
    assert (body["n"], body["temperature"], body["logprobs"]) == (3, 1.0, True)
    assert (decision.usage.input_tokens, decision.usage.output_tokens) == (7, 3)


@pytest.mark.parametrize("path", PATHS)
def test_samples_that_a_server_did_not_give_are_drawn_one_by_one(pair: Pair, path: str) -> None:
    edge = pair.servers["edge"]
    edge.honours_n = False
    text, decision = asked(pair.llm(EntropyRouter(n_samples=3, max_tokens=9)), path)
    assert text == "the edge says hello"  # a draft
    assert len(edge.requests) == 3
    assert {(body["temperature"], body["max_tokens"]) for body in edge.requests} == {(1.0, 9)}
    assert (decision.n_samples, decision.usage.input_tokens) == (3, 2 * 7)


def test_a_fixed_seed_does_not_make_the_samples_alike(pair: Pair) -> None:
    pair.servers["edge"].honours_n = False
    llm = pair.llm(EntropyRouter(n_samples=3))
    llm.edge.additional_kwargs = {"seed": 7}  # type: ignore[attr-defined]  # OpenAI's options
    asked(llm, "chat")
    assert sorted(body["seed"] for body in pair.servers["edge"].requests) == [7, 8, 9]


def test_copies_for_sampling_share_one_client(pair: Pair) -> None:
    llm = pair.llm(EntropyRouter(n_samples=2, probe="brief"))
    for _ in range(3):
        asked(llm, "chat")
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
        asked: Any = getattr(llm, way)([ChatMessage("?")], temperature=0.0, n=1)
        reply = asyncio.run(asked) if way == "achat" else asked
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
