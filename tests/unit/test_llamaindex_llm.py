import asyncio
import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ThinkingBlock
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import MockLLM

import confroute
from confroute import EntropyRouter
from confroute.errors import BothModelsFailedError, ConfigurationError
from confroute.execution.accounts import SpendCap
from confroute.execution.log import DecisionLog
from confroute.execution.side import Side
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM, RouteDecisionEvent
from tests.llamaindex_doubles import ScriptedLLM
from tests.llamaindex_paths import (
    AGREE,
    ALL_PATHS,
    DISAGREE,
    HI,
    PATHS,
    Calls,
    Events,
    add,
    decision_of,
    listening,
    pair,
    seen,
    text_of,
)


@pytest.fixture
def events() -> Iterator[Events]:
    with listening() as handler:
        yield handler


@ALL_PATHS
@pytest.mark.parametrize("route", ["edge", "cloud"])
def test_the_chosen_model_answers(path: str, route: Any) -> None:
    chunks = PATHS[path](pair(ScriptedRouter(route)))
    assert text_of(chunks) == f"{route} says hello"
    assert decision_of(chunks).route == route


@ALL_PATHS
def test_every_call_is_seen_exactly_once(path: str, events: Events) -> None:
    calls = Calls()
    llm = pair(ScriptedRouter("cloud"), callback_manager=CallbackManager([calls]))
    PATHS[path](llm)
    assert calls.models == ["cloud-model"]
    kind = "Completion" if "complete" in path else "Chat"
    assert len(events.named(f"LLM{kind}StartEvent")) == len(events.named(f"LLM{kind}EndEvent")) == 1
    (event,) = events.named("RouteDecisionEvent")
    assert isinstance(event, RouteDecisionEvent)
    assert (event.decision.route, event.evidence) == ("cloud", None)
    assert event.span_id is not None


@ALL_PATHS
@pytest.mark.parametrize("probe", ["full", "brief"])
def test_samples_are_seen_once_each_and_never_shown(path: str, probe: Any, events: Events) -> None:
    calls = Calls()
    llm = pair(
        EntropyRouter(n_samples=3, probe=probe), edge=DISAGREE, callback_manager=CallbackManager([calls])
    )
    chunks = PATHS[path](llm)
    assert text_of(chunks) == "cloud says hello"
    decision = decision_of(chunks)
    assert (decision.route, decision.n_samples, decision.usage.output_tokens) == ("cloud", 3, 3)
    assert calls.models == ["edge-model"] * 3 + ["cloud-model"]
    (event,) = events.named("RouteDecisionEvent")
    assert sorted(event.evidence["meanings"]) == [["Bern"], ["Paris"], ["Rome"]]
    assert (llm.stats.samples, llm.stats.input_tokens) == (3, 4 * 3)


@ALL_PATHS
def test_a_draft_is_the_reply(path: str) -> None:
    llm = pair(EntropyRouter(n_samples=3), edge=AGREE)
    chunks = PATHS[path](llm)
    reply = text_of(chunks)
    assert reply in AGREE
    decision = decision_of(chunks)
    assert (decision.route, decision.n_samples) == ("edge", 3)
    assert decision.usage.output_tokens == 5 - len(reply.split())
    assert seen(llm) == (3, 0)
    assert llm.stats.output_tokens == 5


@ALL_PATHS
def test_samples_are_set_and_the_reply_is_not(path: str) -> None:
    llm = pair(EntropyRouter(n_samples=3, probe="brief"), edge=[*AGREE, "edge replies"])
    assert text_of(PATHS[path](llm)) == "edge replies"
    settings = [(used["temperature"], used["max_tokens"]) for used in llm.edge.settings]  # type: ignore[attr-defined]  # the double's record
    longest = 256 if "tools" in path else 32
    assert settings == [(1.0, longest)] * 3 + [(None, None)]
    *probes, asked = [given if isinstance(given, str) else given[-1].content for given in llm.edge.seen]  # type: ignore[attr-defined]  # the same
    assert asked == "hi"
    assert probes == ["hi\nAnswer in as few words as possible."] * 3


def test_a_model_without_such_fields_is_set_by_the_call() -> None:
    class Plain(MockLLM):
        given: list[dict[str, Any]] = []  # noqa: RUF012 - a pydantic field

        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            self.given.append(kwargs)
            return super().complete(prompt, formatted, **kwargs)

    llm = ConfRouteLLM(
        edge=Plain(max_tokens=None), cloud=MockLLM(), router=EntropyRouter(n_samples=2, probe="brief")
    )
    assert llm.complete("hi").text == "hi"
    assert llm.edge.given == [{"temperature": 1.0}] * 2 + [{}]  # type: ignore[attr-defined]  # its length is a field


def test_every_path_gives_one_verdict() -> None:
    verdicts = [
        decision_of(PATHS[path](pair(EntropyRouter(n_samples=3, probe="brief"), edge=DISAGREE)))
        for path in PATHS
    ]
    assert all(verdict == verdicts[0] for verdict in verdicts)


@ALL_PATHS
@pytest.mark.parametrize(("down", "other"), [("edge", "cloud"), ("cloud", "edge")])
def test_the_other_model_answers_when_one_is_down(path: str, down: Any, other: str) -> None:
    broken: dict[str, Any] = {down: [ConnectionError("refused")]}
    chunks = PATHS[path](pair(ScriptedRouter(down), **broken))
    assert text_of(chunks) == f"{other} says hello"
    decision = decision_of(chunks)
    assert (decision.route, decision.fallback_from, decision.method) == (other, down, "fallback")


@ALL_PATHS
def test_both_down(path: str, events: Events) -> None:
    down = [ConnectionError("refused")]
    with pytest.raises(BothModelsFailedError, match="refused"):
        PATHS[path](pair(edge=down, cloud=down))
    assert events.named("RouteDecisionEvent") == []


@ALL_PATHS
def test_an_empty_answer_is_a_failure(path: str) -> None:
    chunks = PATHS[path](pair(edge=[""]))
    assert text_of(chunks) == "cloud says hello"
    assert decision_of(chunks).fallback_cause == "EmptyAnswerError: the model gave an empty answer"


def test_a_thought_is_no_answer() -> None:
    thought = ChatMessage(role=MessageRole.ASSISTANT, blocks=[ThinkingBlock(content="hm")])
    assert text_of([pair(edge=[thought]).chat(HI)]) == "cloud says hello"


@ALL_PATHS
def test_a_private_question_stays(path: str) -> None:
    llm = pair(EntropyRouter(n_samples=3), edge=DISAGREE)
    with confroute.control(private=True):
        chunks = PATHS[path](llm)
    assert decision_of(chunks).method == "private"
    assert seen(llm) == (1, 0)


def test_a_stream_read_outside_the_block_stays_private() -> None:
    llm = pair(ScriptedRouter("cloud"))
    with confroute.control(private=True):
        chunks = llm.stream_chat(HI)
    assert decision_of(list(chunks)).method == "private"
    assert seen(llm) == (1, 0)


def test_a_thread_with_a_private_answer_is_private() -> None:
    llm = pair(ScriptedRouter("cloud"))
    with confroute.control(private=True):
        first = llm.chat(HI).message
    later = llm.chat([*HI, ChatMessage.model_validate_json(first.model_dump_json()), ChatMessage("and now?")])
    assert decision_of([later]).method == "private"


def test_control_forces_a_route() -> None:
    llm = pair(ScriptedRouter("cloud"))
    with confroute.control(route="edge"):
        assert decision_of([llm.chat(HI)]).method == "forced"


def test_stamps_are_not_shown_to_the_models() -> None:
    """Completion models print additional_kwargs into the prompt; OpenAI's client sends them along."""
    llm = pair()
    first = llm.chat(HI).message
    llm.chat([*HI, first, ChatMessage("go on")])
    llm.chat_with_tools([add], "go on", [*HI, first])
    assert "confroute" in first.additional_kwargs
    for messages in llm.edge.seen:  # type: ignore[attr-defined]  # the double's record
        assert all(message.additional_kwargs == {} for message in messages)


def test_an_error_in_mid_stream_is_an_error() -> None:
    class Breaks(ScriptedLLM):
        def _chunks(self, *args: Any) -> Any:
            yield next(super()._chunks(*args))
            raise ConnectionError("cut")

    llm = ConfRouteLLM(
        edge=Breaks(model="m", answers=["two words"]),
        cloud=ScriptedLLM(model="c"),
        router=ScriptedRouter("edge"),
    )
    said: list[str] = []
    with pytest.raises(ConnectionError, match="cut"):
        said.extend(chunk.delta or "" for chunk in llm.stream_chat(HI))
    assert llm.stats.fallbacks == 0


def priced(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> ConfRouteLLM:
    """A cloud at a dollar a token, with replies of three tokens at most."""

    def side_of(model: ScriptedLLM, **kwargs: Any) -> Side:
        cost = 1.0 if model.model == "cloud-model" else 0.0
        return Side(model.model, price=(0.0, cost), max_output_tokens=3)

    def usage(usage: Any, model: Any, name: str = "") -> Any:
        return usage.model_copy(update={"usd": float(usage.output_tokens) if name_is_cloud(model) else 0.0})

    def name_is_cloud(model: Any) -> bool:
        return bool(model.model == "cloud-model")

    monkeypatch.setattr("llamaindex_confroute.llms.side_of", side_of)
    monkeypatch.setattr("llamaindex_confroute._routing.priced", usage)
    return pair(ScriptedRouter("cloud"), **settings)


def test_a_cap_sends_to_the_edge_when_it_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = priced(monkeypatch, cap=SpendCap(7.0))
    methods = [decision_of([llm.chat(HI)]).method for _ in range(3)]
    assert methods == ["trained", "trained", "budget"]
    assert llm.stats.usd == 6.0


def test_a_stream_that_nobody_reads_gives_its_reservation_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cap = SpendCap(7.0)
    llm = priced(monkeypatch, cap=cap)
    chunks = llm.stream_chat(HI)
    assert cap.left == 4.0
    del chunks
    gc.collect()
    assert cap._reserved == 0.0
    assert cap.left == 4.0  # it may have been billed


def test_a_cap_needs_a_known_price() -> None:
    with pytest.raises(ConfigurationError, match="a budget cannot be kept"):
        pair(cap=SpendCap(1.0))


def test_decisions_are_logged(tmp_path: Any) -> None:
    llm = pair(log=DecisionLog(tmp_path / "log.jsonl"))
    for path in PATHS:
        PATHS[path](llm)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(rows) == len(PATHS) == llm.stats.calls
    assert all(row["reply_usage"]["output_tokens"] == 3 for row in rows)


async def test_two_hundred_concurrent_calls_are_not_mixed_up() -> None:
    router = ScriptedRouter(lambda request: "cloud" if int(request.query) % 3 == 0 else "edge")

    def echo(side: str) -> list[Any]:
        return [lambda messages: f"{side} {messages[-1].content}"]

    llm = pair(router, edge=echo("edge"), cloud=echo("cloud"))
    replies = await asyncio.gather(*(llm.achat([ChatMessage(str(i))]) for i in range(200)))
    for i, reply in enumerate(replies):
        route = "cloud" if i % 3 == 0 else "edge"
        assert reply.message.content == f"{route} {i}"
        assert decision_of([reply]).route == route
    assert (llm.stats.calls, llm.stats.cloud_calls) == (200, 67)


def test_a_router_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected an object with decide"):
        pair("entropy")  # type: ignore[arg-type]  # the point of the test
