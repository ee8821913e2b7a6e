"""Privacy, concurrency and control of ChatConfRoute, against real servers."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import BaseModel, SecretStr

import confroute
from confroute import EntropyRouter, RouteDecision
from confroute.execution.accounts import SpendCap
from confroute.execution.log import DecisionLog
from confroute.prices import register_price
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute
from tests.openai_server import OpenAIServer


def echo(body: dict[str, Any], i: int) -> str:
    return f"{body['model']} answers {body['messages'][-1]['content']}"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[OpenAIServer, OpenAIServer]]:
    with OpenAIServer(echo, model="edge") as edge, OpenAIServer(echo, model="cloud") as cloud:
        yield edge, cloud


def client(server: OpenAIServer, url: str | None = None) -> BaseChatOpenAI:
    return BaseChatOpenAI(
        model=server.model, base_url=url or server.url, api_key=SecretStr("none"), max_retries=0, max_tokens=9
    )


def decision_of(message: AIMessage) -> RouteDecision:
    return RouteDecision.model_validate(message.response_metadata["confroute"])


class Answer(BaseModel):
    """An answer."""

    text: str


@pytest.fixture(scope="module")
def nobody() -> str:
    """The URL of a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


_RUNNER = asyncio.Runner()


def run(coroutine: Any) -> Any:
    """Run it on one loop for all, since the client keeps its connections for a loop's lifetime."""
    return _RUNNER.run(coroutine, context=contextvars.copy_context())


WAYS_TO_PIN = ["control", "config", "thread"]
PATHS = ["invoke", "ainvoke", "stream", "astream", "batch", "generate", "v3", "structured"]
FAULTS = [None, "401", "429", "500", "malformed", "empty", "cut", "400", "timeout", "refused"]
LATE = 0.05  # seconds until the edge is given up


@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text(min_size=1, max_size=40),
    pin=st.sampled_from(WAYS_TO_PIN),
    path=st.sampled_from(PATHS),
    fault=st.sampled_from(FAULTS),
    router=st.sampled_from(["entropy", "edge", "cloud"]),
    force=st.booleans(),
)
def test_private_requests_never_reach_the_cloud(
    servers: tuple[OpenAIServer, OpenAIServer],
    nobody: str,
    text: str,
    pin: str,
    path: str,
    fault: str | None,
    router: Any,
    force: bool,
) -> None:
    edge, cloud = servers
    edge.fault, edge.hang_seconds = fault, 1.2 * LATE
    cloud.requests.clear()
    chosen = EntropyRouter(n_samples=2) if router == "entropy" else ScriptedRouter(router)
    llm = ChatConfRoute(
        edge=client(edge, nobody if fault == "refused" else edge.url),
        cloud=client(cloud),
        router=chosen,
        edge_timeout=LATE if fault == "timeout" else None,
    )
    messages: list[Any] = [HumanMessage(text)]
    if pin == "thread":
        pinned = RouteDecision(route="edge", method="private", reason="x", private=True)
        messages = [
            HumanMessage("before"),
            AIMessage("so", response_metadata={"confroute": pinned.to_dict()}),
            *messages,
        ]
    configurable: dict[str, Any] = {"confroute_private": True} if pin == "config" else {}
    if force:
        configurable["confroute_route"] = "cloud"
    if path == "generate" and pin == "config":
        pin = "control"  # generate() takes no config
    with confroute.control(private=pin == "control"):
        try:
            ask(llm, path, messages, {"configurable": configurable})
        except Exception:
            assert fault is not None or path == "structured"  # an echo is no object
        finally:
            edge.fault = None
    assert cloud.requests == []


def ask(llm: ChatConfRoute, path: str, messages: list[Any], config: Any) -> Any:
    if path == "generate":
        return llm.generate([messages])
    if path == "structured":
        return llm.with_structured_output(Answer, method="json_mode").invoke(messages, config)
    if path == "v3":

        async def events() -> list[Any]:
            return [event async for event in await llm.astream_events(messages, config, version="v3")]

        return run(events())
    if path == "batch":
        return llm.batch([messages], config)
    if path == "ainvoke":
        return run(llm.ainvoke(messages, config))
    if path == "astream":

        async def collect() -> list[Any]:
            return [chunk async for chunk in llm.astream(messages, config)]

        return run(collect())
    if path == "stream":
        return list(llm.stream(messages, config))
    return llm.invoke(messages, config)


def test_two_hundred_concurrent_calls_are_not_mixed_up(servers: tuple[OpenAIServer, OpenAIServer]) -> None:
    edge, cloud = servers
    router = ScriptedRouter(lambda request: "cloud" if int(request.query) % 3 == 0 else "edge")
    llm = ChatConfRoute(edge=client(edge), cloud=client(cloud), router=router)

    async def ask_all() -> list[AIMessage]:
        return await asyncio.gather(*(llm.ainvoke(str(i)) for i in range(200)))

    replies = run(ask_all())
    for i, reply in enumerate(replies):
        route = "cloud" if i % 3 == 0 else "edge"
        assert reply.text == f"{route} answers {i}"
        assert decision_of(reply).route == route
    stats = llm.stats
    assert (stats.calls, stats.cloud_calls, stats.fallbacks) == (200, 67, 0)
    assert (stats.input_tokens, stats.output_tokens) == (200 * 7, 200 * 3)
    assert stats.usd == 0.0


def test_control_by_block_and_by_config(servers: tuple[OpenAIServer, OpenAIServer]) -> None:
    edge, cloud = servers
    llm = ChatConfRoute(edge=client(edge), cloud=client(cloud), router=ScriptedRouter("edge"))
    with confroute.control(route="cloud"):
        forced = llm.invoke("hi")
    configured = llm.invoke("hi", {"configurable": {"confroute_route": "cloud"}})
    for reply in (forced, configured):
        assert (decision_of(reply).route, decision_of(reply).method) == ("cloud", "forced")
    free = llm.invoke("hi")
    assert decision_of(free).method == "trained"


def test_a_threshold_per_call(servers: tuple[OpenAIServer, OpenAIServer]) -> None:
    edge, cloud = servers
    llm = ChatConfRoute(
        edge=client(edge), cloud=client(cloud), router=EntropyRouter(n_samples=2, probe="brief")
    )
    reply = llm.invoke("hi", {"configurable": {"confroute_threshold": 0.0}})
    decision = decision_of(reply)
    assert (decision.route, decision.threshold) == ("cloud", 0.0)
    assert decision_of(llm.invoke("hi")).route == "edge"


def test_a_pinned_message_pins_its_thread(servers: tuple[OpenAIServer, OpenAIServer]) -> None:
    edge, cloud = servers
    llm = ChatConfRoute(edge=client(edge), cloud=client(cloud), router=ScriptedRouter("cloud"))
    thread: list[Any] = [HumanMessage("my salary is 1")]
    with confroute.control(private=True):
        thread.append(llm.invoke(thread))
    thread.append(HumanMessage("and now?"))
    assert decision_of(llm.invoke(thread)).private
    assert decision_of(llm.invoke("something else")).route == "cloud"


def test_decisions_are_logged(servers: tuple[OpenAIServer, OpenAIServer], tmp_path: Any) -> None:
    edge, cloud = servers
    log = DecisionLog(tmp_path / "log.jsonl")
    llm = ChatConfRoute(edge=client(edge), cloud=client(cloud), router=ScriptedRouter("edge"), log=log)
    llm.invoke("a secret word")
    list(llm.stream("a secret word"))
    text = log.path.read_text()
    assert len(text.splitlines()) == 2
    assert "secret" not in text


def test_a_stream_made_within_a_private_block_stays_private(
    servers: tuple[OpenAIServer, OpenAIServer],
) -> None:
    edge, cloud = servers
    cloud.requests.clear()
    llm = ChatConfRoute(edge=client(edge), cloud=client(cloud), router=ScriptedRouter("cloud"))
    with confroute.control(private=True):
        chunks, achunks = llm.stream("hi"), llm.astream("hi")

    async def read() -> list[Any]:
        return [chunk async for chunk in achunks]

    assert list(chunks)
    assert run(read())
    assert cloud.requests == []


def test_fifty_concurrent_calls_do_not_overrun_a_cap(
    servers: tuple[OpenAIServer, OpenAIServer],
) -> None:
    edge, cloud = servers
    register_price("cloud", usd_per_million_input=1e6, usd_per_million_output=1e6)
    cap = SpendCap(300.0)
    llm = ChatConfRoute(edge=client(edge), cloud=client(cloud), router=ScriptedRouter("cloud"), cap=cap)
    cloud.requests.clear()
    with ThreadPoolExecutor(50) as pool:
        decisions = [decision_of(reply) for reply in pool.map(llm.invoke, map(str, range(50)))]
    by_cloud = [d for d in decisions if d.route == "cloud"]
    assert 0 < len(by_cloud) == len(cloud.requests) < 50
    assert {d.method for d in decisions if d.route == "edge"} == {"budget"}
    assert llm.stats.usd == pytest.approx(300.0 - cap.left) == len(by_cloud) * (7 + 3)
    assert cap.left >= 0
