import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from pydantic import ValidationError

from confroute import CloudShare, EntropyRouter, RouteDecision
from confroute.decision import Router
from confroute.errors import BothModelsFailedError
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute
from langchain_confroute._routing import DECISION_EVENT
from langchain_confroute.sampling import SAMPLE_TAG
from tests.langchain_doubles import ScriptedChat

AGREE = ["Paris", "paris", "It is Paris."]
DISAGREE = ["Paris", "Rome", "Bern"]


def pair(
    router: Router | None = None,
    edge: Iterable[Any] = ("edge says hello",),
    cloud: Iterable[Any] = ("cloud says hello",),
) -> ChatConfRoute:
    return ChatConfRoute(
        edge=ScriptedChat(model="edge-model", answers=list(edge)),
        cloud=ScriptedChat(model="cloud-model", answers=list(cloud)),
        router=router or ScriptedRouter("edge"),
    )


def sampling(answers: list[str], *, probe: Any, then: str = "edge replies") -> ChatConfRoute:
    return pair(EntropyRouter(n_samples=3, probe=probe), edge=[*answers, then])


def invoke(llm: Runnable[Any, Any], question: str, config: Any = None) -> AIMessage:
    reply: AIMessage = llm.invoke(question, config)
    return reply


def ainvoke(llm: Runnable[Any, Any], question: str, config: Any = None) -> AIMessage:
    reply: AIMessage = asyncio.run(llm.ainvoke(question, config))
    return reply


def stream(llm: Runnable[Any, Any], question: str, config: Any = None) -> AIMessage:
    return joined(llm.stream(question, config))


def astream(llm: Runnable[Any, Any], question: str, config: Any = None) -> AIMessage:
    async def collect() -> list[AIMessageChunk]:
        return [chunk async for chunk in llm.astream(question, config)]

    return joined(asyncio.run(collect()))


def generate(llm: ChatConfRoute, question: str, config: Any = None) -> AIMessage:
    callbacks = (config or {}).get("callbacks")
    generation = llm.generate([[HumanMessage(question)]], callbacks=callbacks).generations[0][0]
    assert isinstance(generation, ChatGeneration)
    assert isinstance(generation.message, AIMessage)
    return generation.message


def joined(chunks: Iterable[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    return sum(rest, first)


Path = Callable[..., AIMessage]
PATHS = pytest.mark.parametrize("ask", [invoke, ainvoke, stream, astream])
ALL_PATHS = pytest.mark.parametrize("ask", [invoke, ainvoke, stream, astream, generate])


def decision_of(message: BaseMessage) -> RouteDecision:
    return RouteDecision.model_validate(message.response_metadata["confroute"])


class Recorder(BaseCallbackHandler):
    """Records every run's start and every custom event."""

    def __init__(self) -> None:
        self.chat_starts: list[dict[str, Any]] = []
        self.chain_starts: list[dict[str, Any]] = []
        self.chain_errors: list[BaseException] = []
        self.outputs: list[Any] = []
        self.events: list[tuple[str, Any]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.chat_starts.append(kwargs)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.chain_starts.append(kwargs)

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.outputs.append(outputs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.chain_errors.append(error)

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.events.append((name, data))


@ALL_PATHS
@pytest.mark.parametrize("route", ["edge", "cloud"])
def test_the_chosen_model_answers(ask: Path, route: Any) -> None:
    reply = ask(pair(ScriptedRouter(route)), "hi")
    assert reply.text == f"{route} says hello"
    assert decision_of(reply).route == route
    assert reply.response_metadata["model_name"] == f"{route}-model"


@PATHS
@pytest.mark.parametrize("route", ["edge", "cloud"])
def test_tokens_are_counted_once_under_the_right_name(ask: Path, route: Any) -> None:
    usage, runs = UsageMetadataCallbackHandler(), Recorder()
    ask(pair(ScriptedRouter(route)), "hi", {"callbacks": [usage, runs]})
    assert usage.usage_metadata == {
        f"{route}-model": {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}
    }
    (start,) = runs.chat_starts
    assert start["metadata"]["confroute_route"] == route
    assert f"route:{route}" in start["tags"]
    assert start["parent_run_id"] is not None


@ALL_PATHS
def test_samples_are_counted_once_each(ask: Path) -> None:
    usage = UsageMetadataCallbackHandler()
    reply = ask(sampling(AGREE, probe="brief"), "Capital?", {"callbacks": [usage]})
    assert reply.text == "edge replies"
    assert decision_of(reply).n_samples == 3
    assert decision_of(reply).usage.output_tokens == 5
    assert usage.usage_metadata["edge-model"]["input_tokens"] == 4 * 3
    assert usage.usage_metadata["edge-model"]["output_tokens"] == 5 + 2


@ALL_PATHS
def test_a_draft_is_the_reply(ask: Path) -> None:
    llm = sampling(AGREE, probe="full")
    usage = UsageMetadataCallbackHandler()
    reply = ask(llm, "Capital?", {"callbacks": [usage]})
    assert reply.text == "Paris"
    assert reply.response_metadata["model_name"] == "edge-model"
    if ask is not generate:  # there the reply has a run of its own, which would count the draft again
        assert reply.usage_metadata == {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
    assert len(llm.edge.seen) == 3  # type: ignore[attr-defined]  # the double's record
    assert usage.usage_metadata["edge-model"]["input_tokens"] == 3 * 3
    decision = decision_of(reply)
    assert decision.usage.output_tokens == 5 - 1


@ALL_PATHS
@pytest.mark.parametrize("probe", ["full", "brief"])
def test_what_was_sampled_is_never_shown(ask: Path, probe: Any) -> None:
    reply = ask(sampling(DISAGREE, probe=probe), "Capital?")
    assert reply.text == "cloud says hello"
    assert decision_of(reply).route == "cloud"


def test_every_path_gives_one_verdict() -> None:
    verdicts = [
        decision_of(ask(sampling(DISAGREE, probe="brief"), "Q?"))
        for ask in (invoke, ainvoke, stream, astream, generate)
    ]
    assert all(verdict == verdicts[0] for verdict in verdicts)


def test_a_stream_carries_the_decision_on_its_first_chunk_only() -> None:
    chunks = list(pair().stream("hi"))
    assert len(chunks) > 2
    assert ["confroute" in chunk.response_metadata for chunk in chunks] == [True] + [False] * (
        len(chunks) - 1
    )
    assert decision_of(joined(chunks)).route == "edge"


@PATHS
def test_samples_are_tagged_and_hidden_from_token_streams(ask: Path) -> None:
    runs = Recorder()
    ask(sampling(DISAGREE, probe="brief"), "Q?", {"callbacks": [runs]})
    sampled = [start for start in runs.chat_starts if SAMPLE_TAG in start["tags"]]
    assert len(sampled) == 3
    assert all("nostream" in start["tags"] for start in sampled)
    (answering,) = [start for start in runs.chat_starts if SAMPLE_TAG not in start["tags"]]
    assert "nostream" not in answering["tags"]


@PATHS
def test_the_decision_is_an_event_and_the_chains_output(ask: Path) -> None:
    runs = Recorder()
    ask(sampling(DISAGREE, probe="brief"), "Q?", {"callbacks": [runs]})
    ((name, data),) = runs.events
    assert name == DECISION_EVENT
    assert data["route"] == "cloud"
    assert data["evidence"]["meanings"] == [["Paris"], ["Rome"], ["Bern"]]
    assert decision_of(runs.outputs[-1]).route == "cloud"
    assert runs.outputs[-1].text == "cloud says hello"
    (chain,) = runs.chain_starts
    assert chain["name"] == "ChatConfRoute"


@PATHS
def test_run_settings_are_honoured(ask: Path) -> None:
    runs, run_id = Recorder(), uuid4()
    llm = pair()
    llm.tags, llm.metadata = ["own"], {"team": "a"}
    config = {"callbacks": [runs], "tags": ["t"], "metadata": {"m": 1}, "run_name": "mine", "run_id": run_id}
    ask(llm, "hi", config)
    (chain,), (chat,) = runs.chain_starts, runs.chat_starts
    assert (chain["name"], chain["run_id"]) == ("mine", run_id)
    assert {"t", "own"} <= set(chain["tags"])
    assert {"t", "own"} <= set(chat["tags"])
    assert (chat["metadata"]["m"], chat["metadata"]["team"]) == (1, "a")
    assert chat["parent_run_id"] == run_id


def test_the_models_own_callbacks_are_called() -> None:
    runs = Recorder()
    llm = pair()
    llm.callbacks = [runs]
    llm.invoke("hi")
    assert len(runs.chain_starts) == len(runs.chat_starts) == 1


@PATHS
def test_in_a_chain(ask: Path) -> None:
    chain = ChatPromptTemplate.from_template("Q: {q}") | pair() | StrOutputParser()
    asked: Any = {"q": "hi"}
    found = "".join(chain.stream(asked)) if ask in (stream, astream) else ask(chain, asked)
    assert found == "edge says hello"


@PATHS
@pytest.mark.parametrize(("down", "other"), [("edge", "cloud"), ("cloud", "edge")])
def test_the_other_model_answers_when_one_is_down(ask: Path, down: Any, other: str) -> None:
    broken = {down: [ConnectionError("refused")]}
    reply = ask(pair(ScriptedRouter(down), **broken), "hi")
    assert reply.text == f"{other} says hello"
    decision = decision_of(reply)
    assert (decision.route, decision.fallback_from, decision.method) == (other, down, "fallback")
    assert decision.fallback_cause == "ConnectionError: refused"


@PATHS
def test_both_down(ask: Path) -> None:
    runs = Recorder()
    down = [ConnectionError("refused")]
    with pytest.raises(BothModelsFailedError, match="refused"):
        ask(pair(edge=down, cloud=down), "hi", {"callbacks": [runs]})
    assert len(runs.chain_errors) == 1


@PATHS
def test_an_empty_answer_is_a_failure(ask: Path) -> None:
    reply = ask(pair(edge=[""]), "hi")
    assert reply.text == "cloud says hello"
    assert decision_of(reply).fallback_cause == "EmptyAnswerError: the model gave an empty answer"


@PATHS
def test_a_failing_sampler_leaves_the_question_to_the_cloud(ask: Path) -> None:
    llm = pair(EntropyRouter(), edge=[ConnectionError("refused")])
    decision = decision_of(ask(llm, "hi"))
    assert (decision.route, decision.method) == ("cloud", "fallback")


def test_an_error_in_mid_stream_is_an_error() -> None:
    class Breaks(ScriptedChat):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            chunks = super()._stream(*args, **kwargs)
            yield next(chunks)
            raise ConnectionError("cut")

    llm = pair()
    llm.edge = Breaks(model="edge-model", answers=["two words"])
    said: list[str] = []
    with pytest.raises(ConnectionError, match="cut"):
        said.extend(chunk.text for chunk in llm.stream("hi"))


def test_tools_bound_to_both_models_reach_the_router() -> None:
    router = ScriptedRouter("edge")
    llm = pair(router)
    tools = [{"type": "function", "function": {"name": "search", "parameters": {}}}]
    llm.edge, llm.cloud = llm.edge.bind(tools=tools), llm.cloud.bind(tools=tools)
    llm.invoke("hi")
    llm.generate([[HumanMessage("hi")]])
    assert [request.tools for request in router.requests] == [("search",), ("search",)]


def test_batches_keep_answers_and_questions_together() -> None:
    class Echo(ScriptedChat):
        def _next(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
            return AIMessage(f"{self.model}: {messages[-1].text}")

    router = ScriptedRouter(lambda request: "cloud" if int(request.query) % 2 else "edge")
    llm = ChatConfRoute(edge=Echo(model="edge"), cloud=Echo(model="cloud"), router=router)
    replies = llm.batch([str(i) for i in range(50)])
    for i, reply in enumerate(replies):
        route = "cloud" if i % 2 else "edge"
        assert (reply.text, decision_of(reply).route) == (f"{route}: {i}", route)


def test_a_router_that_is_none_is_refused() -> None:
    model = ScriptedChat(model="m")
    with pytest.raises(ValidationError, match="expected an object with decide"):
        ChatConfRoute(edge=model, cloud=model, router="entropy")  # type: ignore[arg-type]  # the point of the test


def test_the_cache_key_tells_pairs_and_thresholds_apart() -> None:
    keys = {
        str(pair(EntropyRouter(threshold=0.5))._identifying_params),
        str(pair(EntropyRouter(threshold=0.6))._identifying_params),
        json.dumps(pair(EntropyRouter(threshold=CloudShare(0.3)))._identifying_params),
        json.dumps(pair(EntropyRouter(threshold=CloudShare(0.4)))._identifying_params),
        json.dumps(pair(EntropyRouter(threshold={"entropy-likelihood-full-5": 0.3}))._identifying_params),
    }
    assert len(keys) == 5
