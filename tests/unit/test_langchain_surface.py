"""What else users of a chat model touch, and the traps that LangChain sets for a model that wraps models."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableWithFallbacks
from pydantic import BaseModel, Field, ValidationError

from confroute import EntropyRouter
from confroute.execution.accounts import SpendCap
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute, RunnableRouteDecision
from langchain_confroute.sampling import SAMPLE_TAG
from tests.langchain_doubles import ScriptedChat
from tests.unit.test_langchain_chat import Recorder, decision_of, pair
from tests.unit.test_langchain_standard import Obliging


class Book(BaseModel):
    """A book."""

    title: str = Field(description="its title")


def obliging(route: Any, **arguments: Any) -> ChatConfRoute:
    """Make a pair that calls whatever tool is bound."""
    edge, cloud = Obliging(model="edge-model"), Obliging(model="cloud-model")
    return ChatConfRoute(edge=edge, cloud=cloud, router=ScriptedRouter(route), **arguments)


def search(query: str) -> str:
    """Search the library."""
    return query


def test_return_annotations_are_there_at_run_time() -> None:  # LangChain reads them to rebind fallbacks
    for method in ("bind_tools", "with_structured_output"):
        hints = typing.get_type_hints(getattr(ChatConfRoute, method))
        assert typing.get_origin(hints["return"]).__name__ == "Runnable"


@pytest.mark.parametrize("step", ["bind_tools", "with_structured_output"])
def test_a_fallback_of_the_pair_survives_what_is_bound_to_it(step: str) -> None:
    down = pair(edge=[ConnectionError("refused")], cloud=[ConnectionError("down")])
    backup = Obliging(model="backup-model")
    llm: Any = down.with_fallbacks([backup])
    usage = UsageMetadataCallbackHandler()
    bound = llm.bind_tools([search]) if step == "bind_tools" else llm.with_structured_output(Book)
    assert isinstance(bound, RunnableWithFallbacks)
    bound.invoke("Find it.", {"callbacks": [usage]})
    assert usage.usage_metadata["backup-model"]["input_tokens"] == 5


def test_retries() -> None:
    down = ConnectionError("refused")
    llm = pair(edge=[down, "back again"], cloud=[down])
    llm.breaker_reset_after = 1e-9
    assert (
        llm.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke("hi").text == "back again"
    )


def test_with_config() -> None:
    runs = Recorder()
    llm = pair().with_config(tags=["t"], callbacks=[runs], configurable={"confroute_route": "cloud"})
    assert decision_of(llm.invoke("hi")).method == "forced"
    assert "t" in runs.chat_starts[0]["tags"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_configurable_fields_take_effect_and_keep_the_accounts(way: str) -> None:
    broken = ScriptedRouter("edge", error=RuntimeError("broken"))
    llm = pair(broken)
    fields: Any = llm.configurable_fields(on_error=ConfigurableField(id="on_error"))
    for route in ("edge", "cloud"):
        config: Any = {"configurable": {"on_error": route}}
        reply = fields.invoke("hi", config) if way == "invoke" else asyncio.run(fields.ainvoke("hi", config))
        assert decision_of(reply).route == route
    assert llm.stats.calls == 2
    assert len(broken.requests) == 2  # the router itself is passed on, never made anew


def test_configured_copies_share_breakers() -> None:
    llm = pair(ScriptedRouter("edge"), edge=[ConnectionError("refused")])
    fields: Any = llm.configurable_fields(on_error=ConfigurableField(id="on_error"))
    for _ in range(3):
        assert decision_of(fields.invoke("hi", {"configurable": {"on_error": "edge"}})).route == "cloud"
    llm.bind_tools([search]).invoke("hi")
    assert len(llm.edge.seen) == 2  # type: ignore[attr-defined]  # once for each setting, not once for each call


def test_configurable_alternatives() -> None:
    llm: Any = pair().configurable_alternatives(
        ConfigurableField(id="llm"), default_key="pair", alone=ScriptedChat(model="alone", answers=["alone"])
    )
    assert llm.invoke("hi").text == "edge says hello"
    assert llm.invoke("hi", {"configurable": {"llm": "alone"}}).text == "alone"


def test_a_cap_that_cannot_be_kept_is_refused_at_once() -> None:
    model = ScriptedChat(model="nobody-knows-this")
    with pytest.raises(ValidationError, match="its price is unknown"):
        ChatConfRoute(edge=model, cloud=model, router=ScriptedRouter("edge"), cap=SpendCap(1.0))


# Cache, rate limits, formats


@pytest.fixture
def cache() -> Iterator[InMemoryCache]:
    found = InMemoryCache()
    set_llm_cache(found)
    yield found
    set_llm_cache(None)


@pytest.mark.usefixtures("cache")
def test_the_global_cache_answers_but_does_not_decide() -> None:
    llm = pair(EntropyRouter(n_samples=3, probe="brief"), edge=["Paris", "Rome", "Bern"])
    replies = [llm.invoke("Capital?") for _ in range(2)]
    assert [decision_of(reply).score for reply in replies] == [pytest.approx(1.0)] * 2
    assert len(llm.edge.seen) == 6  # type: ignore[attr-defined]  # the double's record: samples are drawn
    assert len(llm.cloud.seen) == 1  # type: ignore[attr-defined]  # and the second answer is the first


@pytest.mark.usefixtures("cache")
def test_a_cached_answer_carries_the_decision_of_its_own_call() -> None:
    router = ScriptedRouter("edge")
    llm = pair(router)
    first = llm.invoke("hi")
    router.routes = "cloud"
    assert decision_of(llm.invoke("hi")).route == "cloud"
    assert decision_of(first).route == "edge"


class Limiter(BaseRateLimiter):
    """Counts."""

    acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire()


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
def test_each_models_rate_limiter_is_asked_for_answers_and_samples(way: str) -> None:
    llm = pair(EntropyRouter(n_samples=3, probe="brief"), edge=["Paris", "Rome", "Bern"])
    edge, cloud = Limiter(), Limiter()
    llm.edge.rate_limiter, llm.cloud.rate_limiter = edge, cloud  # type: ignore[attr-defined]  # chat models
    if way == "stream":
        list(llm.stream("Capital?"))
    else:
        _ = llm.invoke("Capital?") if way == "invoke" else asyncio.run(llm.ainvoke("Capital?"))
    assert (edge.acquired, cloud.acquired) == (3, 1)


def test_the_pairs_own_rate_limiter_is_asked_once_a_call() -> None:
    async def last(stream: Any) -> Any:
        return [chunk async for chunk in stream][-1]

    limiter = Limiter()
    llm = obliging("edge", rate_limiter=limiter)
    llm.invoke("hi")
    list(llm.stream("hi"))
    asyncio.run(llm.ainvoke("hi"))
    asyncio.run(last(llm.astream("hi")))
    llm.generate([[HumanMessage("hi")]])
    llm.bind_tools([search]).invoke("hi")
    llm.with_structured_output(Book).invoke("hi")
    assert limiter.acquired == 7


@pytest.mark.usefixtures("cache")
def test_the_pairs_own_cache_is_that_of_both_models() -> None:
    llm = pair(edge=["first", "second"]).model_copy(update={"cache": False})
    assert [llm.invoke("hi").text for _ in range(2)] == ["first", "second"]
    llm = pair(edge=["first", "second"]).model_copy(update={"cache": InMemoryCache()})
    assert [llm.invoke("hi").text for _ in range(2)] == ["first", "first"]


def test_streaming_can_be_disabled() -> None:
    llm = pair().model_copy(update={"disable_streaming": True})
    assert len(list(llm.stream("hi"))) == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_the_verdict_alone(way: str) -> None:
    edge = ScriptedChat(model="edge-model", answers=["Paris", "Rome", "Bern"])
    verdict = RunnableRouteDecision(router=EntropyRouter(n_samples=3), edge=edge)
    found = verdict.invoke("Capital?") if way == "invoke" else asyncio.run(verdict.ainvoke("Capital?"))
    assert (found.route, found.n_samples) == ("cloud", 3)
    forced: Any = {"configurable": {"confroute_route": "edge"}}
    found = verdict.invoke("?", forced) if way == "invoke" else asyncio.run(verdict.ainvoke("?", forced))
    assert (found.route, found.method) == ("edge", "forced")


@pytest.mark.parametrize("bound", [False, True])
def test_the_output_version_is_that_of_both_models(bound: bool) -> None:
    llm = obliging("cloud", output_version="v1")
    reply = (llm.bind_tools([search]) if bound else llm).invoke("Find it.")
    assert isinstance(reply.content, list)
    assert reply.response_metadata["output_version"] == "v1"
    assert decision_of(reply).route == "cloud"


# Conversations


def test_a_follow_up_is_read_in_its_context() -> None:
    router = ScriptedRouter("edge")
    llm = pair(router)
    llm.invoke(
        [
            ("user", "Shall I prove the theorem of Banach and Tarski for you?"),
            ("assistant", "I could prove it by paradoxical decompositions."),
            ("user", "yes, do it"),
        ]
    )
    query = router.requests[0].query
    assert query.endswith("yes, do it")
    assert "Banach" in query
    assert "paradoxical" in query


def test_a_tool_loop_keeps_its_model_without_asking_the_router() -> None:
    router = ScriptedRouter("cloud")
    llm = obliging("edge").model_copy(update={"router": router}).bind_tools([search])
    asked = HumanMessage("Find it.")
    first = llm.invoke([asked])
    router.routes = "edge"
    second = llm.invoke([asked, first, ToolMessage("found", tool_call_id="call_1")])
    assert [decision_of(first).route, decision_of(second).route] == ["cloud", "cloud"]
    third = llm.invoke(
        [asked, first, ToolMessage("found", tool_call_id="call_1"), second, HumanMessage("More?")]
    )
    assert decision_of(third).route == "edge"
    assert len(router.requests) == 2


# Traces


@pytest.mark.parametrize("probe", ["brief", "full"])
def test_events_tell_the_decision_and_show_one_model(probe: Any) -> None:
    llm = pair(EntropyRouter(n_samples=3, probe=probe), edge=["Paris", "Rome", "Bern"])

    async def collect() -> list[Any]:
        return [event async for event in llm.astream_events("?", version="v2", exclude_tags=[SAMPLE_TAG])]

    events = asyncio.run(collect())
    streamed = [e for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(e["data"]["chunk"].text for e in streamed) == "cloud says hello"
    assert {e["metadata"]["confroute_route"] for e in streamed} == {"cloud"}
    (decided,) = [e for e in events if e["event"] == "on_custom_event"]
    assert (decided["name"], decided["data"]["route"]) == ("confroute.decision", "cloud")
    assert decision_of(events[-1]["data"]["output"]).route == "cloud"


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("agrees", [True, False])
@pytest.mark.parametrize("probe", ["brief", "full"])
def test_the_events_of_version_3_carry_the_decision(way: str, agrees: bool, probe: Any) -> None:
    samples = ["Paris it is"] * 3 if agrees else ["Paris", "Rome", "Bern"]
    llm = pair(EntropyRouter(n_samples=3, probe=probe), edge=[*samples, "edge says hello"])
    if way == "sync":
        stream: Any = llm.stream_events("?", version="v3")
        deltas = [event for event in stream if event["event"] == "content-block-delta"]
        message = stream.output
    else:

        async def collect() -> Any:
            stream: Any = await llm.astream_events("?", version="v3")
            deltas = [event async for event in stream if event["event"] == "content-block-delta"]
            return deltas, await stream.output

        deltas, message = asyncio.run(collect())
    route = "edge" if agrees else "cloud"
    assert decision_of(message).route == route
    expected = "Paris it is" if agrees and probe == "full" else f"{route} says hello"
    assert message.text == expected
    assert len(deltas) == (1 if agrees and probe == "full" else 3)  # token by token, unless it is a draft


def test_the_events_of_version_3_fall_back_before_the_first_token() -> None:
    stream: Any = pair(edge=[ConnectionError("refused")]).stream_events("?", version="v3")
    list(stream)
    assert stream.output.text == "cloud says hello"
    assert decision_of(stream.output).fallback_from == "edge"


def test_the_events_of_version_3_count_tokens_once() -> None:
    usage = UsageMetadataCallbackHandler()
    list(pair().stream_events("?", {"callbacks": [usage]}, version="v3"))
    assert usage.usage_metadata == {"edge-model": {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}}


def test_models_without_a_stream_of_their_own_stream_as_a_whole() -> None:
    class Whole(ScriptedChat):
        _stream = BaseChatModel._stream

    llm = pair()
    llm.edge = Whole(model="edge-model", answers=["three words here"])
    stream: Any = llm.stream_events("?", version="v3")
    list(stream)
    assert stream.output.text == "three words here"
    assert decision_of(stream.output).route == "edge"


# Identity


def test_nobody_takes_the_pair_for_another_provider() -> None:
    llm = pair()
    assert llm._llm_type == "confroute"
    params = llm._get_ls_params()
    assert (params["ls_provider"], params["ls_model_name"]) == ("confroute", "confroute")


def test_serialisation_says_that_live_objects_cannot_be_carried() -> None:
    assert not ChatConfRoute.is_lc_serializable()
    assert "not_implemented" in dumps(pair())


def test_nothing_is_kept_on_the_object_between_calls() -> None:
    llm = pair()
    before = dict(llm.__dict__)
    llm.invoke("hi")
    list(llm.stream("hi"))
    assert dict(llm.__dict__) == before
    assert isinstance(llm.invoke("hi"), AIMessage)
