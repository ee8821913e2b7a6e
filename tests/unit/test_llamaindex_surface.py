"""What LlamaIndex asks of an LLM beyond answering: metadata, callbacks, formatting, tools, structure."""

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import MockLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, ValidationError

from confroute import EntropyRouter
from confroute.decision import Router
from confroute.errors import ConfigurationError
from confroute.testing import ScriptedRouter
from confroute.uncertainty import ExactEquivalence
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_doubles import ScriptedLLM, tool_call
from tests.llamaindex_paths import (
    DISAGREE,
    HI,
    PATHS,
    Calls,
    Events,
    add,
    decision_of,
    listed,
    listening,
    pair,
)


@pytest.fixture
def events() -> Iterator[Events]:
    with listening() as handler:
        yield handler


def test_the_metadata_is_merged_with_care() -> None:
    edge = ScriptedLLM(model="small", context_window=2_000, num_output=512)
    cloud = ScriptedLLM(model="large", context_window=9_000, num_output=128, has_tools=False)
    metadata = ConfRouteLLM(edge=edge, cloud=cloud, router=ScriptedRouter("edge")).metadata
    assert (metadata.context_window, metadata.num_output) == (2_000, 128)
    assert (metadata.is_chat_model, metadata.is_function_calling_model) == (True, False)
    assert metadata.model_name == "confroute:small,large"
    unset = ConfRouteLLM(edge=MockLLM(), cloud=cloud, router=ScriptedRouter("edge")).metadata
    assert (unset.num_output, unset.is_chat_model) == (128, False)


def test_metadata_of_a_server_that_is_down() -> None:
    class Down(ScriptedLLM):
        @property
        def metadata(self) -> Any:
            raise ConnectionError("refused")

    llm = ConfRouteLLM(
        edge=Down(model="edge"), cloud=ScriptedLLM(model="cloud"), router=ScriptedRouter("edge")
    )
    assert llm.metadata.context_window == 4096
    assert llm.predict(PromptTemplate("hi")) == "hello"


def test_it_is_a_function_calling_llm_with_a_safe_payload() -> None:
    llm = pair(edge_settings={"api_base": "http://user:secret@host"})
    assert isinstance(llm, FunctionCallingLLM)
    payload = json.dumps(llm.to_payload(), default=str)
    assert "edge-model" in payload
    assert "secret" not in payload
    saved = llm.to_dict()
    assert (saved["class_name"], saved["edge"]["model"]) == ("ConfRouteLLM", "edge-model")
    assert "router" not in saved


def test_the_callback_manager_of_settings_reaches_both_models() -> None:
    calls, own = Calls(), Calls()
    llm = pair(ScriptedRouter({"a": "edge", "b": "cloud"}))
    llm.edge.callback_manager = CallbackManager([own])
    llm = ConfRouteLLM(edge=llm.edge, cloud=llm.cloud, router=llm.router)
    before = (Settings._llm, Settings._callback_manager)
    try:
        Settings.llm, Settings.callback_manager = llm, CallbackManager([calls])
        Settings.llm.complete("a")
        Settings.llm.complete("b")
        assert calls.models == ["edge-model", "cloud-model"]
        assert own.models == ["edge-model"]
    finally:
        Settings._llm, Settings._callback_manager = before


def test_the_models_stay_as_their_owner_made_them() -> None:
    edge, cloud = ScriptedLLM(model="edge-model"), ScriptedLLM(model="cloud-model")
    first, second, late = Calls(), Calls(), Calls()
    pairs = [
        ConfRouteLLM(
            edge=edge,
            cloud=cloud,
            router=ScriptedRouter("edge"),
            callback_manager=CallbackManager([calls]),
        )
        for calls in (first, second)
    ]
    pairs[0].callback_manager.add_handler(late)
    assert edge.callback_manager.handlers == []
    for llm in pairs:
        llm.chat(HI)
    edge.chat(HI)
    assert [calls.models for calls in (first, second, late)] == [["edge-model"]] * 3


def test_handlers_that_change_make_no_new_copies() -> None:
    llm = pair(EntropyRouter(n_samples=2), edge=["a"])
    llm.edge.callback_manager = CallbackManager([Calls()])
    for _ in range(3):
        llm.callback_manager.add_handler(Calls())
        llm.chat(HI)
    assert len(llm._copies._copies) <= 3


def test_a_deep_copy_shares_models_and_accounts() -> None:
    llm = pair(ScriptedRouter("edge"))
    copied = copy.deepcopy(llm)
    copied.chat(HI)
    assert llm.stats.calls == 1
    assert copied.edge is llm.edge


def test_another_model_needs_another_pair() -> None:
    llm = pair(ScriptedRouter("edge"))
    with pytest.raises(ValidationError, match="frozen"):
        llm.edge = ScriptedLLM(model="other")


def test_tokens_are_counted_once() -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = pair(
        EntropyRouter(n_samples=3, probe="brief"), edge=DISAGREE, callback_manager=CallbackManager([counter])
    )
    llm.chat(HI)
    assert counter.prompt_llm_token_count == 4 * 3
    assert counter.completion_llm_token_count == 3 + 3


def test_the_rate_limiter_of_the_pair_is_asked() -> None:
    class Limiter:
        acquired = 0

        def acquire(self) -> None:
            self.acquired += 1

        async def async_acquire(self) -> None:
            self.acquired += 1

    limiter = Limiter()
    llm = pair(rate_limiter=limiter)
    for path in PATHS:
        PATHS[path](llm)
    assert limiter.acquired == len(PATHS)


def completion_pair(router: Router) -> ConfRouteLLM:
    def template(side: str) -> Any:
        return lambda prompt: f"<{side}>{prompt}</{side}>"

    edge, cloud = (
        ScriptedLLM(model=side, is_chat_model=False, completion_to_prompt=template(side), system_prompt=side)
        for side in ("edge", "cloud")
    )
    return ConfRouteLLM(edge=edge, cloud=cloud, router=router)


@pytest.mark.parametrize("route", ["edge", "cloud"])
@pytest.mark.parametrize("how", ["predict", "apredict", "stream", "astream"])
def test_predict_is_formatted_by_the_model_that_answers(how: str, route: Any, events: Events) -> None:
    llm, prompt = completion_pair(ScriptedRouter(route)), PromptTemplate("Say {word}!")
    if how == "predict":
        said = llm.predict(prompt, word="hi")
    elif how == "apredict":
        said = asyncio.run(llm.apredict(prompt, word="hi"))
    elif how == "stream":
        said = "".join(llm.stream(prompt, word="hi"))
    else:
        said = "".join(asyncio.run(listed(llm.astream(prompt, word="hi"))))
    assert said == "hello"
    assert getattr(llm, route).seen == [f"{route}\n\n<{route}>Say hi!</{route}>"]
    assert len(events.named("LLMPredictStartEvent")) == 1


@pytest.mark.parametrize("formatted", [False, True])
def test_a_prompt_is_formatted_by_the_model_that_answers(formatted: bool) -> None:
    llm = completion_pair(ScriptedRouter("edge"))
    llm.complete("hi", formatted=formatted)
    assert llm.edge.seen == ["<edge>hi</edge>"]  # type: ignore[attr-defined]  # the double's record


def test_the_system_prompt_of_the_pair_replaces_the_models_own() -> None:
    llm = pair(edge_settings={"system_prompt": "edge"})
    llm.predict(PromptTemplate("hi"))
    llm.system_prompt = "pair"
    llm.predict(PromptTemplate("hi"))
    heads = [messages[0].content for messages in llm.edge.seen]  # type: ignore[attr-defined]  # the double's record
    assert heads == ["edge", "pair"]


@pytest.mark.parametrize("path", [path for path in PATHS if "with_tools" in path])
def test_tool_calls_are_read_by_the_model_that_made_them(path: str) -> None:
    llm = pair(ScriptedRouter("cloud"), cloud=[tool_call("add", a=1, b=2)])
    (*_, last) = PATHS[path](llm)
    (call,) = llm.get_tool_calls_from_response(last)
    assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 1, "b": 2})
    last.additional_kwargs = {}  # an agent may keep the message alone
    assert len(llm.get_tool_calls_from_response(last)) == 1
    last.message.additional_kwargs = {}
    with pytest.raises(ConfigurationError, match="carries no decision"):
        llm.get_tool_calls_from_response(last)


def test_samples_that_call_the_same_tool_mean_the_same() -> None:
    router = EntropyRouter(n_samples=2)
    same = pair(router, edge=[tool_call("add", a=1, b=2), tool_call("add", b=2, a=1)])
    assert decision_of([same.chat_with_tools([add], "1 + 2?")]).score == 0.0
    other = pair(router, edge=[tool_call("add", a=1, b=2), tool_call("add", a=1, b=3)])
    assert decision_of([other.chat_with_tools([add], "1 + 2?")]).score == 1.0


def test_every_model_gets_a_history_of_its_own() -> None:
    """Some models append the user's message to the list that they are given."""
    history = [ChatMessage("before")]
    llm = pair(EntropyRouter(n_samples=3, probe="brief"), edge=DISAGREE)
    llm.chat_with_tools([add], "now", history)
    assert len(history) == 1
    for messages in (*llm.edge.seen, *llm.cloud.seen):  # type: ignore[attr-defined]  # the doubles' records
        assert len(messages) == 2


def test_tools_go_to_the_model_that_can_call_them() -> None:
    router = ScriptedRouter("edge")
    llm = ConfRouteLLM(edge=MockLLM(), cloud=ScriptedLLM(model="m"), router=router)
    decision = decision_of([llm.chat_with_tools([add], "hi")])
    assert (decision.route, decision.method) == ("cloud", "capability")
    assert decision.reason == "MockLLM cannot call tools, so the cloud answers"
    assert router.requests == []


def test_tools_need_a_model_that_can_call_them() -> None:
    llm = ConfRouteLLM(edge=MockLLM(), cloud=MockLLM(), router=ScriptedRouter("edge"))
    with pytest.raises(ConfigurationError, match="neither model can serve the request: MockLLM cannot call"):
        llm.chat_with_tools([add], "hi")
    with pytest.raises(ConfigurationError, match="prepared by the model that answers"):
        llm._prepare_chat_with_tools([add])


def test_the_router_sees_the_tools() -> None:
    router = ScriptedRouter("edge")
    pair(router).chat_with_tools([add], "hi")
    assert router.requests[0].tools == ("add",)


class City(BaseModel):
    """A city."""

    name: str = ""


async def structured(llm: ConfRouteLLM, how: str) -> list[Any]:
    prompt = PromptTemplate("Name a city in {land}.")
    if how == "structured_predict":
        return [llm.structured_predict(City, prompt, land="France")]
    if how == "astructured_predict":
        return [await llm.astructured_predict(City, prompt, land="France")]
    if how == "stream_structured_predict":
        return list(llm.stream_structured_predict(City, prompt, land="France"))
    return [partial async for partial in await llm.astream_structured_predict(City, prompt, land="France")]


@pytest.mark.parametrize("route", ["edge", "cloud"])
@pytest.mark.parametrize(
    "how",
    [
        "structured_predict",
        "astructured_predict",
        "stream_structured_predict",
        "astream_structured_predict",
    ],
)
async def test_structured_prediction_is_routed(how: str, route: Any, events: Events) -> None:
    answers: dict[str, Any] = {route: [tool_call("City", name="Lyon")]}
    llm = pair(ScriptedRouter(route), **answers)
    (*_, city) = await structured(llm, how)
    assert city.name == "Lyon"
    assert len(events.named("LLMStructuredPredictStartEvent")) == 1
    (event,) = events.named("RouteDecisionEvent")
    assert event.decision.route == route
    assert llm.stats.calls == 1
    assert (llm.stats.input_tokens, llm.stats.output_tokens) == (3, 0)  # a tool call has no words


async def test_concurrent_predictions_are_not_mixed_up() -> None:
    def city(messages: Any) -> Any:
        return tool_call("City", name=f"{messages[-1].content}")

    llm = pair(ScriptedRouter(lambda r: "cloud" if "3" in r.query else "edge"), edge=[city], cloud=[city])
    prompt = PromptTemplate("{n}")
    found = await asyncio.gather(*(llm.astructured_predict(City, prompt, n=str(i)) for i in range(50)))
    assert [one.name for one in found] == [str(i) for i in range(50)]
    assert (llm.stats.calls, llm.stats.input_tokens) == (50, 50 * 3)
    assert len(llm._copies._copies) <= 2 * 2  # of each model one that reports to the pair, and one of that


def test_structured_prediction_falls_back_and_samples_the_question() -> None:
    llm = pair(EntropyRouter(n_samples=2), edge=["Lyon", "Nice"], cloud=[tool_call("City", name="Paris")])
    assert llm.structured_predict(City, PromptTemplate("Name a city.")).name == "Paris"
    assert [messages[-1].content for messages in llm.edge.seen] == ["Name a city."] * 2  # type: ignore[attr-defined]  # the double's record
    down = pair(edge=[ConnectionError("refused")], cloud=[tool_call("City", name="Paris")])
    assert down.structured_predict(City, PromptTemplate("Name a city.")).name == "Paris"
    assert down.stats.fallbacks == 1


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_model_without_tools_can_be_looked_at_in_an_agents_step(how: str) -> None:
    router = EntropyRouter(probe="brief", n_samples=2, equivalence=ExactEquivalence())
    llm = pair(router, sampler=MockLLM(max_tokens=3))
    if how == "sync":
        reply = llm.chat_with_tools([add], "1 + 2?")
    else:
        reply = await llm.achat_with_tools([add], "1 + 2?")
    assert decision_of([reply]).method == "entropy"
