"""Agents and chat engines over `ConfRouteLLM`: inside a turn the route sticks."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context
from pydantic import BaseModel

import confroute
from confroute import EntropyRouter
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_doubles import ScriptedLLM, tool_call


def _add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


add = FunctionTool.from_defaults(_add, name="add")

ACT = 'Thought: I need a tool.\nAction: add\nAction Input: {"a": 1, "b": 2}'
DONE = "Thought: I can answer.\nAnswer: 3"


def pair(router: Any, edge: list[Any], cloud: list[Any]) -> ConfRouteLLM:
    return ConfRouteLLM(
        edge=ScriptedLLM(model="edge-model", answers=edge),
        cloud=ScriptedLLM(model="cloud-model", answers=cloud),
        router=router,
    )


def seen(llm: ConfRouteLLM) -> tuple[int, int]:
    return len(llm.edge.seen), len(llm.cloud.seen)  # type: ignore[attr-defined]  # the doubles' records


async def answer(agent: Any, question: str, **settings: Any) -> Any:
    return await agent.run(user_msg=question, **settings)


class Alternating(ScriptedRouter):
    """Sends every request elsewhere than the one before."""

    def __init__(self, *routes: Any) -> None:
        super().__init__(lambda request: routes[(len(self.requests) - 1) % len(routes)])


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("route", ["edge", "cloud"])
async def test_a_function_agents_turn_keeps_its_route(route: Any, streaming: bool) -> None:
    steps = [tool_call("add", a=1, b=2), tool_call("add", a=3, b=3), "It is 6."]
    other = "cloud" if route == "edge" else "edge"
    router = Alternating(route, other)
    llm = pair(router, steps, steps)
    agent = FunctionAgent(tools=[add], llm=llm, streaming=streaming)
    context = Context(agent)
    output = await answer(agent, "1 + 2, plus 3?", ctx=context)
    assert str(output) == "It is 6."
    assert seen(llm) == ((3, 0) if route == "edge" else (0, 3))
    assert len(router.requests) == 1
    decision = output.response.additional_kwargs["confroute"]
    assert (decision["route"], decision["n_samples"]) == (route, 0)
    await answer(agent, "And once more?", ctx=context)  # a new turn is decided anew
    assert len(router.requests) == 2
    assert seen(llm) == (3, 3)


async def test_a_turn_is_sampled_once() -> None:
    calls = [tool_call("add", a=1, b=2)] * 3
    llm = pair(EntropyRouter(n_samples=3), [*calls, "It is 3."], ["never"])
    output = await answer(FunctionAgent(tools=[add], llm=llm), "1 + 2?")
    assert str(output) == "It is 3."
    assert (llm.stats.samples, llm.stats.calls) == (3, 2)


async def test_after_a_fallback_the_turn_stays_with_the_model_that_answered() -> None:
    steps = [tool_call("add", a=1, b=2), "It is 3."]
    llm = pair(ScriptedRouter("edge"), [ConnectionError("refused")], steps)
    assert str(await answer(FunctionAgent(tools=[add], llm=llm), "1 + 2?")) == "It is 3."
    assert seen(llm) == (1, 2)


async def test_a_private_agent_thread_stays_private() -> None:
    steps = [tool_call("add", a=1, b=2), "It is 3."]
    llm = pair(ScriptedRouter("cloud"), steps, steps)
    agent = FunctionAgent(tools=[add], llm=llm)
    memory = ChatMemoryBuffer.from_defaults(token_limit=9_999, tokenizer_fn=str.split)
    with confroute.control(private=True):
        await answer(agent, "1 + 2?", memory=memory)
    await answer(agent, "And again?", memory=memory)
    assert seen(llm) == (4, 0)


async def test_a_function_agent_over_llamaindexs_own_double() -> None:
    edge, cloud = MockFunctionCallingLLM(is_chat_model=True), MockFunctionCallingLLM(is_chat_model=True)
    llm = ConfRouteLLM(edge=edge, cloud=cloud, router=ScriptedRouter("edge"))
    zero = FunctionTool.from_defaults(lambda n=0: n, name="zero", description="Return n.")
    assert str(await answer(FunctionAgent(tools=[zero], llm=llm), "hi")) == "Tool calls complete."
    assert llm.stats.calls == 2


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("route", ["edge", "cloud"])
async def test_a_react_agents_turn_keeps_its_route(route: Any, streaming: bool) -> None:
    other = "cloud" if route == "edge" else "edge"
    router = Alternating(route, other)
    llm = pair(router, [ACT, ACT, DONE], [ACT, ACT, DONE])
    agent = ReActAgent(tools=[add], llm=llm, streaming=streaming)
    context = Context(agent)
    assert str(await answer(agent, "What is 1 + 2?", ctx=context)) == "3"
    assert seen(llm) == ((3, 0) if route == "edge" else (0, 3))
    assert [request.query for request in router.requests] == ["What is 1 + 2?"]
    assert str(await answer(agent, "What is 1 + 2 once more?", ctx=context)) == "3"
    assert seen(llm) == (3, 3)


async def test_a_react_agent_that_is_asked_to_mend_its_answer_keeps_its_route() -> None:
    router = Alternating("edge", "cloud")
    llm = pair(router, ["no format at all, Action: none", DONE], ["never"])
    assert str(await answer(ReActAgent(tools=[add], llm=llm), "What is 1 + 2?")) == "3"
    assert seen(llm) == (2, 0)


async def test_a_react_agent_stays_after_a_fallback() -> None:
    llm = pair(ScriptedRouter("edge"), [ConnectionError("refused")], [ACT, DONE])
    assert str(await answer(ReActAgent(tools=[add], llm=llm), "What is 1 + 2?")) == "3"
    assert seen(llm) == (1, 2)


def test_a_human_who_writes_like_an_observation_is_decided_anew() -> None:
    router = ScriptedRouter("edge")
    llm = pair(router, ["fine"], ["never"])
    first = llm.chat([ChatMessage("hi")]).message
    llm.chat([ChatMessage("hi"), first, ChatMessage("Observation: it rains")])
    assert [request.query for request in router.requests] == ["hi", "hi\nfine\nObservation: it rains"]


@pytest.mark.parametrize("how", ["chat", "stream_chat", "achat", "astream_chat"])
async def test_a_chat_engine_with_memory(how: str) -> None:
    router = ScriptedRouter(lambda request: "cloud" if "hard" in request.query else "edge")
    llm = pair(router, ["edge says hello"], ["cloud says hello"])
    memory = ChatMemoryBuffer.from_defaults(token_limit=10_000, tokenizer_fn=str.split)
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
    said = []
    for question in ("an easy question, please, about hello", "a hard question, please, about hello and all"):
        reply = getattr(engine, how)(question)
        reply = await reply if how.startswith("a") else reply
        if how == "stream_chat":
            said.append("".join(reply.response_gen))
        elif how == "astream_chat":
            said.append("".join([token async for token in reply.async_response_gen()]))
        else:
            said.append(reply.response)
    assert said == ["edge says hello", "cloud says hello"]
    stamps = [message.additional_kwargs.get("confroute", {}).get("route") for message in memory.get_all()]
    assert stamps == [None, "edge", None, "cloud"]


def test_a_private_turn_pins_a_chat_engines_thread() -> None:
    llm = pair(ScriptedRouter("cloud"), ["edge"], ["cloud"])
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults(token_limit=9_999))
    assert engine.chat("open").response == "cloud"
    with confroute.control(private=True):
        assert engine.chat("my contract").response == "edge"
    assert engine.chat("and now?").response == "edge"


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_private_thread_of_a_react_agent_stays_private(streaming: bool) -> None:
    llm = pair(ScriptedRouter("cloud"), [ACT, DONE], [ACT, DONE])
    agent = ReActAgent(tools=[add], llm=llm, streaming=streaming)
    memory = ChatMemoryBuffer.from_defaults(token_limit=9_999, tokenizer_fn=str.split)
    with confroute.control(private=True):
        await answer(agent, "SECRET question: 1 + 2?", memory=memory)
    await answer(agent, "And again?", memory=memory)
    assert seen(llm) == (4, 0)
    await answer(
        agent, "Another thread: 1 + 2?", memory=ChatMemoryBuffer.from_defaults(tokenizer_fn=str.split)
    )
    assert seen(llm) == (4, 2)


def test_a_private_thread_of_a_context_chat_engine_stays_private() -> None:
    llm = pair(ScriptedRouter("cloud"), ["from the edge"], ["from the cloud"])
    index = SummaryIndex.from_documents([Document(text="The boiler is due in May.")])
    memory = ChatMemoryBuffer.from_defaults(token_limit=9_999, tokenizer_fn=str.split)
    engine = index.as_chat_engine(ChatMode.CONTEXT, llm=llm, memory=memory)
    with confroute.control(private=True):
        engine.chat("SECRET question?")
    assert str(engine.chat("And the boiler?")) == "from the edge"
    assert seen(llm)[1] == 0


async def test_the_default_chat_engine_and_a_second_object_keep_a_private_thread() -> None:
    llm, second = (pair(ScriptedRouter("cloud"), ["from the edge"], ["from the cloud"]) for _ in range(2))
    index = SummaryIndex.from_documents([Document(text="The boiler is due in May.")])
    memory = ChatMemoryBuffer.from_defaults(token_limit=9_999, tokenizer_fn=str.split)
    with confroute.control(private=True):
        index.as_chat_engine(llm=llm, memory=memory).chat("My secret illness, is it covered?")
    assert str(index.as_chat_engine(llm=second, memory=memory).chat("And the boiler?")) == "from the edge"
    assert seen(llm)[1] == seen(second)[1] == 0


def test_a_public_answer_does_not_hide_a_private_question_whose_stamp_was_lost() -> None:
    llm = pair(ScriptedRouter("cloud"), ["from the edge"], ["from the cloud"])
    with confroute.control(private=True):
        llm.chat([ChatMessage("What does my own contract say?")])
    public = llm.chat([ChatMessage("Who wrote Effi Briest?")]).message
    thread = [
        ChatMessage("Who wrote Effi Briest?"), public,
        ChatMessage("What does my own contract say?"), ChatMessage("three months", role="assistant"),
        ChatMessage("And then?"),
    ]  # fmt: skip
    assert llm.chat(thread).message.content == "from the edge"


def test_short_words_and_other_questions_pin_nobody() -> None:
    llm = pair(ScriptedRouter("cloud"), ["from the edge"], ["from the cloud"])
    with confroute.control(private=True):
        llm.chat([ChatMessage("hello")])
        llm.chat([ChatMessage("A private matter of mine")])
    thread = [
        ChatMessage("hello"),
        ChatMessage("hi", role="assistant"),
        ChatMessage("A private matter of mine"),
    ]
    assert llm.chat(thread).message.content == "from the cloud", "a new question is no thread yet"


def test_a_failed_private_turn_pins_its_thread() -> None:
    llm = pair(ScriptedRouter("cloud"), [RuntimeError("down"), "from the edge"], ["from the cloud"])
    with confroute.control(private=True), pytest.raises(RuntimeError):
        llm.chat([ChatMessage("The diagnosis of my neighbour?")])
    thread = [ChatMessage("The diagnosis of my neighbour?"), ChatMessage("And what is due?")]
    assert llm.chat(thread).message.content == "from the edge"


async def test_a_question_that_was_private_once_may_be_asked_publicly_with_one_route() -> None:
    llm = pair(ScriptedRouter("cloud"), ["from the edge"], [tool_call("add", a=1, b=2), "It is 3."])
    with confroute.control(private=True):
        llm.chat([ChatMessage("How much is one and two?")])
    agent = FunctionAgent(tools=[add], llm=llm, streaming=False)
    assert "It is 3." in str(await answer(agent, "How much is one and two?"))
    assert seen(llm) == (1, 2), "the loop switched in the middle"


class Sum(BaseModel):
    """A sum."""

    value: int


class Structured(ScriptedLLM):
    """Predicts an object, whatever it is asked."""

    async def astructured_predict(self, output_cls: Any, prompt: Any, *_: Any, **values: Any) -> Any:
        self.seen.append(prompt.format_messages(**values))
        return output_cls(value=3)


@pytest.mark.parametrize("kind", [FunctionAgent, ReActAgent])
@pytest.mark.parametrize("route", ["edge", "cloud"])
async def test_an_answer_is_put_into_a_form_by_the_model_that_gave_it(kind: Any, route: Any) -> None:
    steps = [tool_call("add", a=1, b=2), "3"] if kind is FunctionAgent else [ACT, DONE]
    other = "cloud" if route == "edge" else "edge"
    models: dict[str, Any] = {side: Structured(model=side, answers=steps) for side in ("edge", "cloud")}
    llm = ConfRouteLLM(router=Alternating(route, other), **models)
    agent = kind(tools=[add], llm=llm, output_cls=Sum, streaming=False, system_prompt="Add up.")
    output = await answer(agent, "What is 1 + 2?")
    assert output.structured_response == {"value": 3}
    assert seen(llm) == ((3, 0) if route == "edge" else (0, 3))


@pytest.mark.parametrize("route", ["edge", "cloud"])
async def test_an_agent_that_is_told_to_come_to_an_end_keeps_its_route(route: Any) -> None:
    def step(messages: Any) -> Any:
        return "I stop." if messages[-1].role == "system" else tool_call("add", a=1, b=2)

    steps, other = [step], "cloud" if route == "edge" else "edge"
    llm = pair(Alternating(route, other), steps, steps)
    agent = FunctionAgent(tools=[add], llm=llm, streaming=False)
    output = await answer(agent, "What is 1 + 2?", max_iterations=2, early_stopping_method="generate")
    assert str(output) == "I stop."
    n_edge, n_cloud = seen(llm)
    assert (n_cloud if route == "edge" else n_edge) == 0
    assert n_edge + n_cloud > 1


@pytest.mark.parametrize("route", ["edge", "cloud"])
async def test_an_agent_that_is_handed_a_turn_keeps_its_route(route: Any) -> None:
    steps = [tool_call("handoff", to_agent="second", reason="sums"), tool_call("add", a=1, b=2), "3"]
    other = "cloud" if route == "edge" else "edge"
    llm = pair(Alternating(route, other), steps, steps)
    tools: dict[str, list[Any]] = {"first": [], "second": [add]}
    agents: list[Any] = [
        FunctionAgent(
            name=name, description=name, tools=tools[name], llm=llm, streaming=False, system_prompt=name
        )
        for name in tools
    ]
    output = await answer(AgentWorkflow(agents=agents, root_agent="first"), "What is 1 + 2?")
    assert str(output) == "3"
    assert seen(llm) == ((3, 0) if route == "edge" else (0, 3))
