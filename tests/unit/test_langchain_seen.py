"""What is seen of a call: its tag, its event, its money; and small things that users of a model do."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

import confroute
from confroute import EntropyRouter
from confroute.execution.accounts import SpendCap
from confroute.prices import register_price
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute, RunnableConfRoute
from langchain_confroute._routing import DECISION_EVENT
from tests.langchain_doubles import ScriptedChat
from tests.unit.test_langchain_chat import (
    AGREE,
    ALL_PATHS,
    PATHS,
    Path,
    Recorder,
    decision_of,
    generate,
    pair,
    sampling,
)
from tests.unit.test_langchain_standard import Obliging


class Book(BaseModel):
    """A book."""

    title: str


# Tags and events


@PATHS
def test_a_draft_is_traced_like_any_answer(ask: Path) -> None:
    runs = Recorder()
    reply = ask(sampling(AGREE, probe="full"), "Capital of France?", {"callbacks": [runs]})
    (draft,) = [start for start in runs.chain_starts if "route:edge" in start["tags"]]
    assert draft["metadata"]["confroute_method"] == "entropy"
    assert draft["metadata"]["confroute_reason"] == decision_of(reply).reason
    assert draft["parent_run_id"] is not None


@ALL_PATHS
def test_every_path_tells_its_decision_once(ask: Path) -> None:
    for llm in (pair(), sampling(AGREE, probe="full"), sampling(AGREE, probe="brief")):
        runs = Recorder()
        reply = ask(llm, "Capital of France?", {"callbacks": [runs]})
        ((name, event),) = runs.events
        assert name == DECISION_EVENT
        assert {**event, "evidence": None} == {**decision_of(reply).to_dict(), "evidence": None}


def test_generate_tags_its_run_when_it_ends() -> None:
    class Ends(Recorder):
        tags: list[Any] = []  # noqa: RUF012 - one test, one object

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            self.tags.append(kwargs["tags"])

    runs = Ends()
    generate(pair(ScriptedRouter("cloud")), "hi", {"callbacks": [runs]})
    assert runs.tags == [["route:cloud"]]


async def test_version_3_tells_the_decision() -> None:
    runs = Recorder()
    async for _ in await pair().astream_events("hi", {"callbacks": [runs]}, version="v3"):
        pass
    assert [event["route"] for _, event in runs.events] == ["edge"]


# Money


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
@pytest.mark.parametrize("route", ["edge", "cloud"])
def test_a_structured_output_counts_its_tokens_and_its_money(way: str, route: Any) -> None:
    register_price("seen-model", usd_per_million_input=1e6, usd_per_million_output=2e6)
    model = Obliging(model="seen-model")
    llm = ChatConfRoute(edge=model, cloud=model, router=ScriptedRouter(route))
    chain, usage = llm.with_structured_output(Book), UsageMetadataCallbackHandler()
    config: Any = {"callbacks": [usage]}
    if way == "stream":
        found = list(chain.stream("Which?", config))[-1]
    else:
        found = (
            chain.invoke("Which?", config)
            if way == "invoke"
            else asyncio.run(chain.ainvoke("Which?", config))
        )
    assert isinstance(found, Book)
    counted = usage.usage_metadata["seen-model"]
    assert (llm.stats.input_tokens, llm.stats.output_tokens) == (
        counted["input_tokens"],
        counted["output_tokens"],
    )
    assert llm.stats.usd == counted["input_tokens"] + 2 * counted["output_tokens"]


def test_a_schema_is_part_of_the_prompt_that_a_cap_reserves_for() -> None:
    register_price("schema-model", usd_per_million_input=1e6, usd_per_million_output=0)
    cloud = Obliging(model="schema-model")
    edge = Obliging(model="free-model")

    class Long(BaseModel):
        """Such a long story that it does not fit."""

        title: str

    def route_with(usd: float) -> str:
        llm = ChatConfRoute(edge=edge, cloud=cloud, router=ScriptedRouter("cloud"), cap=SpendCap(usd))
        found: Any = llm.with_structured_output(Long, include_raw=True).invoke("?")
        return decision_of(found["raw"]).route

    assert route_with(100.0) == "edge"  # the question alone would fit
    assert route_with(1_000.0) == "cloud"


def test_a_chain_counts_what_its_models_used() -> None:
    model = ScriptedChat(model="m", answers=["one two"])
    chain = model | (lambda message: str(message.text)) | (lambda text: {"answer": text})
    routed = RunnableConfRoute(edge=chain, cloud=chain, router=ScriptedRouter("edge"))
    assert routed.invoke("hi") == {"answer": "one two"}
    assert (routed.stats.input_tokens, routed.stats.output_tokens) == (3, 2)


# Empty answers


@pytest.mark.parametrize(
    "empty",
    ["", "  ", [{"type": "text", "text": " "}], [{"type": "thinking", "thinking": "hm", "signature": ""}]],
)
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_answer_without_text_is_a_failure_in_blocks_too(empty: Any, way: str) -> None:
    llm = pair(edge=[AIMessage(content=empty)])
    reply = llm.invoke("hi") if way == "invoke" else asyncio.run(llm.ainvoke("hi"))
    assert (decision_of(reply).route, decision_of(reply).fallback_from) == ("cloud", "edge")


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_structured_output_that_never_came_is_a_failure(way: str) -> None:
    edge, cloud = ScriptedChat(model="edge-model", answers=["no call"]), Obliging(model="cloud-model")
    llm = ChatConfRoute(edge=edge, cloud=cloud, router=ScriptedRouter("edge"))
    chain = llm.with_structured_output(Book)
    found = chain.invoke("Which?") if way == "invoke" else list(chain.stream("Which?"))[-1]
    assert isinstance(found, Book)
    assert llm.stats.fallbacks == 1


# Whatever is around the models


def test_an_edge_with_retries_or_fallbacks_is_sampled() -> None:
    edge = ScriptedChat(model="edge-model", answers=["Paris", "Rome", "Bern"])
    cloud = ScriptedChat(model="cloud-model", answers=["from the cloud"])
    for wrapped in (edge.with_retry(), edge.with_fallbacks([cloud]), edge.with_retry().bind(stop=["x"])):
        llm = ChatConfRoute(edge=wrapped, cloud=cloud, router=EntropyRouter(n_samples=3, probe="brief"))
        assert decision_of(llm.invoke("Capital?")).method == "entropy"
        assert llm._execution.edge.name == "edge-model"


def test_a_structured_output_keeps_what_the_pair_is_traced_with() -> None:
    runs = Recorder()
    model = Obliging(model="m")
    llm = ChatConfRoute(
        edge=model,
        cloud=model,
        router=ScriptedRouter("edge"),
        tags=["mine"],
        metadata={"team": "a"},
        callbacks=[runs],
    )
    llm.with_structured_output(Book).invoke("Which?")
    assert "mine" in runs.chain_starts[0]["tags"]
    assert runs.chain_starts[0]["metadata"]["team"] == "a"


@pytest.mark.parametrize("way", ["generate", "agenerate", "v3"])
def test_each_models_rate_limiter_is_asked_by_generate_too(way: str) -> None:
    asked: list[str] = []

    class Limiter(InMemoryRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:
            asked.append("sync")
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            asked.append("async")
            return True

    llm = pair()
    llm.edge.rate_limiter = Limiter()  # type: ignore[attr-defined]  # a chat model
    if way == "generate":
        llm.generate([[HumanMessage("hi")]])
    elif way == "agenerate":
        asyncio.run(llm.agenerate([[HumanMessage("hi")]]))
    else:

        async def collect() -> None:
            async for _ in await llm.astream_events("hi", version="v3"):
                pass

        asyncio.run(collect())
    assert len(asked) == 1


def test_a_deep_copy_shares_models_and_accounts() -> None:
    llm = pair()
    copied = copy.deepcopy(llm)
    copied.invoke("hi")
    assert llm.stats.calls == 1
    assert copied.edge is llm.edge
    routed = RunnableConfRoute(edge=llm.edge, cloud=llm.cloud, router=ScriptedRouter("edge"))
    copy.deepcopy({"a": routed})["a"].invoke("hi")
    assert routed.stats.calls == 1


def test_tokens_are_counted_as_the_more_careful_model_does() -> None:
    class Counting(ScriptedChat):
        per_word: int = 1

        def get_num_tokens(self, text: str) -> int:
            return self.per_word * len(text.split())

        def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
            return sum(self.get_num_tokens(str(message.text)) for message in messages)

    llm = ChatConfRoute(
        edge=Counting(model="e", per_word=2).bind(stop=["x"]),
        cloud=Counting(model="c", per_word=3),
        router=ScriptedRouter("edge"),
    )
    assert llm.get_num_tokens("one two") == 6
    assert llm.get_num_tokens_from_messages([HumanMessage("one two three")]) == 9


def test_a_misspelt_argument_is_told() -> None:
    with pytest.warns(UserWarning, match="treshold: ChatConfRoute has no such argument"):
        ChatConfRoute(
            edge=ScriptedChat(model="e"),
            cloud=ScriptedChat(model="c"),
            router=ScriptedRouter("edge"),
            treshold=0.5,  # type: ignore[call-arg]  # the point of the test
        )


def test_a_routed_chain_has_a_breaker_to_be_set() -> None:
    calls: list[str] = []

    def dead(_: Any) -> str:
        calls.append("edge")
        raise TimeoutError

    routed = RunnableConfRoute(
        edge=RunnableLambda(dead),
        cloud=RunnableLambda(lambda _: "from the cloud"),
        router=ScriptedRouter("edge"),
        breaker_reset_after=60.0,
    )
    assert [routed.invoke("hi") for _ in range(3)] == ["from the cloud"] * 3
    assert calls == ["edge"]


def test_an_ollama_server_elsewhere_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    ollama = pytest.importorskip("langchain_ollama", reason="needs langchain-ollama")
    from langchain_confroute._usage import is_local

    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert is_local(ollama.ChatOllama(model="m"))
    monkeypatch.setenv("OLLAMA_HOST", "http://plant.example:11434")
    assert not is_local(ollama.ChatOllama(model="m"))


def test_a_forced_route_goes_before_the_budget_of_the_call() -> None:
    register_price("forced-model", usd_per_million_input=1e6, usd_per_million_output=1e6)
    llm = ChatConfRoute(
        edge=ScriptedChat(model="e"),
        cloud=ScriptedChat(model="forced-model", max_tokens=5),
        router=ScriptedRouter("edge"),
    )
    with confroute.control(route="cloud", budget=0.01):
        assert decision_of(llm.invoke("hi")).method == "forced"


@pytest.mark.parametrize("way", ["call", "bound"])
def test_a_longer_reply_that_the_caller_asks_for_is_reserved(way: str) -> None:
    register_price("long-model", usd_per_million_input=0, usd_per_million_output=1e6)
    cloud: Any = ScriptedChat(model="long-model", max_tokens=10)
    cap = SpendCap(100.0)
    llm = ChatConfRoute(
        edge=ScriptedChat(model="e"),
        cloud=cloud.bind(max_tokens=1_000) if way == "bound" else cloud,
        router=ScriptedRouter("cloud"),
        cap=cap,
    )
    reply = llm.invoke("hi", max_tokens=1_000) if way == "call" else llm.invoke("hi")
    assert decision_of(reply).method == "budget"


def test_a_file_is_as_long_as_its_bytes_for_money() -> None:
    register_price("file-model", usd_per_million_input=1e6, usd_per_million_output=0)
    cap = SpendCap(10_000.0)
    llm = ChatConfRoute(
        edge=ScriptedChat(model="e"),
        cloud=ScriptedChat(model="file-model"),
        router=ScriptedRouter("cloud"),
        cap=cap,
    )
    block = {"type": "file", "base64": "A" * 20_000, "mime_type": "application/pdf"}
    reply = llm.invoke([HumanMessage([{"type": "text", "text": "?"}, block])])
    assert decision_of(reply).method == "budget"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_answer_that_is_rejected_is_paid_for(way: str) -> None:
    register_price("rejected-model", usd_per_million_input=1e6, usd_per_million_output=1e6)
    cap = SpendCap(1_000.0)
    model = ScriptedChat(model="rejected-model", answers=["no JSON here"], max_tokens=10)
    llm = ChatConfRoute(edge=ScriptedChat(model="e"), cloud=model, router=ScriptedRouter("cloud"), cap=cap)
    chain = llm.with_structured_output(Book)
    with pytest.raises(Exception, match="neither model answered"):
        chain.invoke("?") if way == "invoke" else asyncio.run(chain.ainvoke("?"))
    assert len(model.seen) == 1
    assert cap.left == pytest.approx(1_000.0 - 3 - 3)


def test_an_empty_answer_is_paid_for_at_what_it_used() -> None:
    register_price("empty-model", usd_per_million_input=1e6, usd_per_million_output=1e6)
    cap = SpendCap(1_000.0)
    model = ScriptedChat(model="empty-model", answers=[""], max_tokens=10)
    llm = ChatConfRoute(edge=ScriptedChat(model="e"), cloud=model, router=ScriptedRouter("cloud"), cap=cap)
    assert decision_of(llm.invoke("?")).route == "edge"
    assert cap.left == pytest.approx(1_000.0 - 3)
