"""Every fault, on either side and while sampling, by every path: a real server and the real client."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr

import confroute
from confroute import EntropyRouter, RouteDecision
from confroute.decision import Route
from confroute.errors import BothModelsFailedError
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute
from tests.openai_server import OpenAIServer

FAULTS = ["timeout", "refused", "401", "429", "500", "malformed", "empty", "cut"]
TIMEOUT = 0.5
PATIENCE = 20.0


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

    def llm(self, router: Any, **settings: Any) -> ChatConfRoute:
        clients = {
            side: BaseChatOpenAI(
                model=f"{side}-model",
                base_url=url,
                api_key=SecretStr("none"),
                max_retries=0,
                max_tokens=50,
                stream_usage=True,
            )
            for side, url in self.urls.items()
        }
        return ChatConfRoute(router=router, **{**clients, **self.timeouts, **settings})


@pytest.fixture
def pair() -> Iterator[Pair]:
    with (
        OpenAIServer("the edge says hello", model="edge-model") as edge,
        OpenAIServer("the cloud says hello", model="cloud-model") as cloud,
    ):
        yield Pair(edge, cloud)


def joined(chunks: list[Any]) -> AIMessage:
    whole: AIMessage = sum(chunks[1:], chunks[0])
    return whole


def astream(llm: ChatConfRoute) -> AIMessage:
    async def collect() -> list[Any]:
        return [chunk async for chunk in llm.astream("hi")]

    return joined(asyncio.run(collect()))


PATHS: dict[str, Callable[[ChatConfRoute], AIMessage]] = {
    "invoke": lambda llm: llm.invoke("hi"),
    "ainvoke": lambda llm: asyncio.run(llm.ainvoke("hi")),
    "stream": lambda llm: joined(list(llm.stream("hi"))),
    "astream": astream,
    "batch": lambda llm: llm.batch(["hi"])[0],
}


def decision_of(message: AIMessage) -> RouteDecision:
    return RouteDecision.model_validate(message.response_metadata["confroute"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("side", ["edge", "cloud"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_fails(pair: Pair, fault: str, side: Route, path: str) -> None:
    pair.break_(side, fault)
    llm = pair.llm(ScriptedRouter(side))
    if fault == "cut" and path in ("stream", "astream"):
        with pytest.raises(Exception, match=r"(?i)connection|peer closed|incomplete|read"):
            PATHS[path](llm)
        return
    reply = PATHS[path](llm)
    other = "cloud" if side == "edge" else "edge"
    assert reply.text == f"the {other} says hello"
    decision = decision_of(reply)
    assert (decision.route, decision.fallback_from, decision.method) == (other, side, "fallback")
    assert decision.fallback_cause
    assert reply.response_metadata["model_name"] == f"{other}-model"
    assert llm.stats.fallbacks == llm.stats.calls == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "empty"])
def test_sampling_fails(pair: Pair, fault: str, path: str) -> None:
    pair.break_("edge", fault)
    reply = PATHS[path](pair.llm(EntropyRouter(n_samples=3, probe="brief")))
    assert reply.text == "the cloud says hello"
    decision = decision_of(reply)
    assert (decision.route, decision.method, decision.score) == ("cloud", "fallback", None)
    assert decision.fallback_cause


@pytest.mark.parametrize("path", PATHS)
def test_empty_samples_make_no_reply(pair: Pair, path: str) -> None:
    """Answers that all say nothing agree, and are doubt all the same."""
    pair.break_("edge", "empty")
    reply = PATHS[path](pair.llm(EntropyRouter(n_samples=3, probe="full")))
    assert reply.text == "the cloud says hello"
    assert "3 of 3 edge answers cannot be used (the first is empty)" in decision_of(reply).reason


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "cut"])
def test_both_fail(pair: Pair, fault: str, path: str) -> None:
    for side in ("edge", "cloud"):
        pair.break_(side, fault)
    with pytest.raises(BothModelsFailedError) as caught:
        PATHS[path](pair.llm(ScriptedRouter("edge")))
    assert list(caught.value.causes) == ["edge", "cloud"]


@pytest.mark.parametrize("path", PATHS)
def test_a_bad_request_is_handed_on(pair: Pair, path: str) -> None:
    pair.break_("edge", "400")
    with pytest.raises(Exception, match="scripted 400"):
        PATHS[path](pair.llm(ScriptedRouter("edge")))
    assert pair.servers["cloud"].requests == []


@pytest.mark.parametrize("path", PATHS)
def test_a_prompt_too_long_for_the_edge_goes_to_the_cloud(pair: Pair, path: str) -> None:
    edge = pair.servers["edge"]
    edge.fault, edge.fault_message = "400", "This model's maximum context length is 10 tokens"
    reply = PATHS[path](pair.llm(ScriptedRouter("edge")))
    assert decision_of(reply).route == "cloud"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_private_question_never_leaves(pair: Pair, fault: str, path: str) -> None:
    pair.break_("edge", fault)
    with pytest.raises(Exception), confroute.control(private=True):  # noqa: B017,PT011 - whatever the edge raised
        PATHS[path](pair.llm(EntropyRouter(n_samples=3)))
    assert pair.servers["cloud"].requests == []


def test_a_dead_cloud_costs_one_timeout(pair: Pair) -> None:
    pair.break_("cloud", "timeout")
    llm = pair.llm(ScriptedRouter("cloud"))
    replies = [llm.invoke("hi") for _ in range(4)]
    assert [reply.text for reply in replies] == ["the edge says hello"] * 4
    assert len(pair.servers["cloud"].requests) == 1
    assert decision_of(replies[-1]).fallback_cause.startswith("CircuitOpenError")  # type: ignore[union-attr]  # asserted by the text


def test_a_dead_edge_costs_one_timeout(pair: Pair) -> None:
    pair.break_("edge", "timeout")
    llm = pair.llm(EntropyRouter(n_samples=2))
    replies = [llm.invoke("hi") for _ in range(3)]
    assert [reply.text for reply in replies] == ["the cloud says hello"] * 3
    assert len(pair.servers["edge"].requests) == 1


@pytest.mark.parametrize("fault", ["400", "401", "429"])
def test_what_never_opens_the_breaker(pair: Pair, fault: str) -> None:
    pair.break_("cloud", fault)
    llm = pair.llm(ScriptedRouter("cloud"))
    for _ in range(4):
        with nullcontext() if fault != "400" else pytest.raises(Exception, match="scripted 400"):
            llm.invoke("hi")
    assert len(pair.servers["cloud"].requests) == 4


def test_three_server_errors_in_a_row_open_the_breaker(pair: Pair) -> None:
    pair.break_("cloud", "500")
    llm = pair.llm(ScriptedRouter("cloud"))
    for _ in range(5):
        assert llm.invoke("hi").text == "the edge says hello"
    assert len(pair.servers["cloud"].requests) == 3


def test_the_breaker_closes_again(pair: Pair) -> None:
    pair.break_("cloud", "500")
    llm = pair.llm(ScriptedRouter("cloud"), breaker_server_errors=1, breaker_reset_after=0.2)
    assert llm.invoke("hi").text == "the edge says hello"
    pair.servers["cloud"].fault = None
    assert llm.invoke("hi").text == "the edge says hello"
    time.sleep(0.25)
    assert llm.invoke("hi").text == "the cloud says hello"
    assert llm.invoke("hi").text == "the cloud says hello"


def test_a_stream_that_starts_in_time_may_take_its_time(pair: Pair) -> None:
    llm = pair.llm(ScriptedRouter("cloud"), cloud_timeout=5.0)
    assert len(list(llm.stream("hi"))) > 3
