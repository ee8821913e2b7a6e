"""Circuit breakers, slow streams and spend caps of `ConfRouteLLM`, against real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

import confroute
from confroute import EntropyRouter
from confroute.errors import BothModelsFailedError
from confroute.execution.accounts import SpendCap
from confroute.execution.failures import CircuitOpenError
from confroute.prices import register_price
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_pairs import STREAMS, TIMEOUT, Pair, replied, said, served
from tests.llamaindex_paths import ALL_PATHS, PATHS, decision_of, text_of
from tests.loopback import Handler
from tests.openai_server import OpenAIServer

SOME_PATHS = pytest.mark.parametrize("path", ["chat", "achat", "stream_chat", "astream_chat_with_tools"])


@pytest.fixture
def pair() -> Iterator[Pair]:
    with served() as servers:
        yield servers


async def texts(llm: ConfRouteLLM, path: str, times: int) -> list[str]:
    return [(await replied(llm, path))[0] for _ in range(times)]


# A dead model, and one that comes back


def at_most_one(pair: Pair, side: str) -> bool:
    """Whether a server got one request or, from a machine too busy to send it in time, none."""
    return len(pair.servers[side].requests) <= 1


@ALL_PATHS
async def test_a_prompt_too_long_for_the_edge_goes_to_the_cloud(pair: Pair, path: str) -> None:
    edge = pair.servers["edge"]
    edge.fault, edge.fault_message = "400", "This model's maximum context length is 10 tokens"
    text, decision = await replied(pair.llm(ScriptedRouter("edge")), path)
    assert (text, decision.route, decision.fallback_from) == ("the cloud says hello", "cloud", "edge")


@ALL_PATHS
async def test_a_prompt_too_long_for_the_cloud_is_handed_on(pair: Pair, path: str) -> None:
    cloud = pair.servers["cloud"]
    cloud.fault, cloud.fault_message = "400", "This model's maximum context length is 10 tokens"
    with pytest.raises(Exception, match="maximum context length"):
        await replied(pair.llm(ScriptedRouter("cloud")), path)
    assert pair.asked() == (0, 1)


@SOME_PATHS
async def test_a_dead_cloud_costs_one_timeout(pair: Pair, path: str) -> None:
    pair.break_("cloud", "timeout")
    llm = pair.llm(ScriptedRouter("cloud"))
    assert await texts(llm, path, 3) == ["the edge says hello"] * 3
    text, decision = await replied(llm, path)
    assert text == "the edge says hello"
    assert (decision.fallback_cause or "").startswith("CircuitOpenError")
    assert at_most_one(pair, "cloud")


@SOME_PATHS
@pytest.mark.parametrize("router", [EntropyRouter(n_samples=2), ScriptedRouter("edge")])
async def test_a_dead_edge_costs_one_timeout(pair: Pair, router: Any, path: str) -> None:
    pair.break_("edge", "timeout")
    assert await texts(pair.llm(router), path, 4) == ["the cloud says hello"] * 4
    assert at_most_one(pair, "edge")


@SOME_PATHS
async def test_samples_and_replies_share_the_edges_breaker(pair: Pair, path: str) -> None:
    """The samples time out; a forced question is not asked either, and a private one fails at once."""
    pair.break_("edge", "timeout")
    llm = pair.llm(EntropyRouter(n_samples=2))
    await replied(llm, path)
    with confroute.control(route="edge"):
        assert (await replied(llm, path))[1].fallback_from == "edge"
    with confroute.control(private=True), pytest.raises(CircuitOpenError):
        await replied(llm, path)
    assert at_most_one(pair, "edge")
    assert len(pair.servers["cloud"].requests) == 2


@SOME_PATHS
async def test_one_refused_connection_opens_the_breaker(pair: Pair, path: str) -> None:
    pair.break_("cloud", "refused")
    llm = pair.llm(ScriptedRouter("cloud"))
    causes = [(await replied(llm, path))[1].fallback_cause or "" for _ in range(3)]
    assert [cause.startswith("CircuitOpenError") for cause in causes] == [False, True, True]


@SOME_PATHS
async def test_two_dead_models_cost_one_timeout_each(pair: Pair, path: str) -> None:
    for side in ("edge", "cloud"):
        pair.break_(side, "timeout")
    llm = pair.llm(ScriptedRouter("cloud"))
    for _ in range(3):
        with pytest.raises(BothModelsFailedError):
            await replied(llm, path)
    assert at_most_one(pair, "edge")
    assert at_most_one(pair, "cloud")


@SOME_PATHS
@pytest.mark.parametrize("fault", ["400", "401", "429"])
async def test_what_never_opens_the_breaker(pair: Pair, fault: str, path: str) -> None:
    pair.break_("cloud", fault)
    llm = pair.llm(ScriptedRouter("cloud"))
    for _ in range(4):
        with nullcontext() if fault != "400" else pytest.raises(Exception, match="scripted 400"):
            await replied(llm, path)
    assert pair.asked() == ((0, 4) if fault == "400" else (4, 4))


@SOME_PATHS
async def test_three_server_errors_in_a_row_open_the_breaker(pair: Pair, path: str) -> None:
    pair.break_("cloud", "500")
    assert await texts(pair.llm(ScriptedRouter("cloud")), path, 5) == ["the edge says hello"] * 5
    assert pair.asked() == (5, 3)


@SOME_PATHS
async def test_three_server_errors_in_a_row_end_the_sampling(pair: Pair, path: str) -> None:
    pair.break_("edge", "500")
    assert await texts(pair.llm(EntropyRouter(n_samples=2)), path, 5) == ["the cloud says hello"] * 5
    assert pair.asked() == (3, 5)


@pytest.mark.parametrize("path", ["chat", "astream_chat"])
async def test_the_breaker_lets_one_call_try_and_closes_when_it_answers(pair: Pair, path: str) -> None:
    pair.break_("cloud", "500")
    llm = pair.llm(ScriptedRouter("cloud"), breaker_server_errors=1, breaker_reset_after=0.8)
    assert await texts(llm, path, 2) == ["the edge says hello"] * 2
    await asyncio.sleep(0.85)
    assert await texts(llm, path, 2) == ["the edge says hello"] * 2
    assert pair.asked() == (4, 2)
    pair.servers["cloud"].fault = None
    await asyncio.sleep(0.85)
    assert await texts(llm, path, 2) == ["the cloud says hello"] * 2


@pytest.mark.parametrize("path", ["achat", "astream_complete"])
async def test_of_many_calls_after_the_wait_one_tries(pair: Pair, path: str) -> None:
    pair.break_("cloud", "500")
    llm = pair.llm(ScriptedRouter("cloud"), breaker_server_errors=1, breaker_reset_after=0.4)
    await replied(llm, path)
    pair.servers["cloud"].fault = None
    await asyncio.sleep(0.45)
    replies = await asyncio.gather(*(replied(llm, path) for _ in range(20)))
    assert [text for text, _ in replies].count("the cloud says hello") == 1
    assert await texts(llm, path, 1) == ["the cloud says hello"]


async def test_a_router_that_samples_nothing_is_asked_though_the_edge_is_down(pair: Pair) -> None:
    pair.break_("edge", "timeout")
    llm = pair.llm(ScriptedRouter("edge"), on_error="raise")
    assert await texts(llm, "achat", 3) == ["the cloud says hello"] * 3
    assert len(llm.router.requests) == 3  # type: ignore[attr-defined]  # the double's record


async def test_a_failing_router_is_not_the_edges_fault(pair: Pair) -> None:
    llm = pair.llm(ScriptedRouter("edge", error=ConnectionError("the encoder's server is down")))
    assert await texts(llm, "achat", 2) == ["the cloud says hello"] * 2
    with confroute.control(private=True):
        assert await texts(llm, "achat", 1) == ["the edge says hello"]


# Slow streams


class Slow(OpenAIServer):
    """Pauses before every event of a stream from a certain one on; the second brings the first word."""

    def __init__(self, answer: str, *, pause: float, first: int) -> None:
        self._pause, self._first = pause, first
        super().__init__(answer)

    def _handler(self) -> type[Handler]:
        kind: Any = super()._handler()

        def event(handler: Any, data: dict[str, Any]) -> None:
            handler.sent = getattr(handler, "sent", 0) + 1
            if handler.sent >= self._first:
                time.sleep(self._pause)
            kind._event(handler, data)

        return type("Handler", (kind,), {"_event": event})


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_that_starts_in_time_may_take_its_time(pair: Pair, path: str) -> None:
    with Slow("one two three", pause=0.3, first=3) as cloud:
        pair.urls["cloud"] = cloud.url
        llm = pair.llm(ScriptedRouter("cloud"), cloud_timeout=0.9)
        began = time.monotonic()
        text, decision = await replied(llm, path)
    assert time.monotonic() - began > 0.9
    assert (text, decision.method) == ("one two three", "trained")


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_that_starts_too_late_is_not_shown(pair: Pair, path: str) -> None:
    """The role alone is no first token."""
    with Slow("too late", pause=0.6, first=2) as cloud:
        pair.urls["cloud"] = cloud.url
        text, decision = await replied(pair.llm(ScriptedRouter("cloud"), cloud_timeout=TIMEOUT), path)
    assert (text, decision.fallback_from) == ("the edge says hello", "cloud")
    assert (decision.fallback_cause or "").startswith("TimeoutError")


# Money

BOUND = 50 * 1e-6
"""US dollars of the longest reply, of a cloud whose prompts cost nothing."""


@pytest.fixture
def priced(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A cloud whose every reply costs the most that it can."""
    monkeypatch.setattr("confroute.prices._own", {})
    register_price("cloud-model", usd_per_million_input=0.0, usd_per_million_output=1.0)
    pair.servers["cloud"].answer = lambda body, i: " ".join(["word"] * 50)
    return pair


@pytest.mark.parametrize("path", ["chat", "achat", "stream_chat", "astream_complete", "achat_with_tools"])
async def test_a_cap_holds_under_fifty_concurrent_calls(priced: Pair, path: str) -> None:
    cap = SpendCap(BOUND * 7.5)
    llm = priced.llm(ScriptedRouter("cloud"), cap=cap)
    if path.startswith("a"):
        replies = await asyncio.gather(*(said(llm, path) for _ in range(50)))
    else:
        with ThreadPoolExecutor(50) as pool:
            replies = list(pool.map(lambda _: PATHS[path](llm), range(50)))
    methods = [decision_of(chunks).method for chunks in replies]
    assert (methods.count("trained"), methods.count("budget")) == (7, 43)
    assert priced.asked() == (43, 7)
    assert llm.stats.usd == pytest.approx(7 * BOUND)
    assert cap.left == pytest.approx(0.5 * BOUND)


async def test_a_cap_counts_what_may_have_been_billed(priced: Pair) -> None:
    for fault, left in (("500", 3.0), ("refused", 3.0), ("timeout", 2.0), ("empty", 2.0)):
        cap = SpendCap(BOUND * 3)
        priced.break_("cloud", fault)
        llm = priced.llm(ScriptedRouter("cloud"), cap=cap)
        assert await texts(llm, "achat", 1) == ["the edge says hello"]
        assert cap.left == pytest.approx(left * BOUND), fault
        priced.urls["cloud"] = priced.servers["cloud"].url


def test_a_local_stream_without_counts_costs_nothing(pair: Pair) -> None:
    pair.fields = {"additional_kwargs": {}}
    llm = pair.llm(ScriptedRouter("edge"))
    assert text_of(PATHS["stream_chat"](llm)) == "the edge says hello"
    assert (llm.stats.usd, llm.stats.output_tokens) == (0.0, 0)
