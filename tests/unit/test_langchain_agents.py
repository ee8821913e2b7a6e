"""`ChatConfRoute` and `ConfRouteMiddleware` in agents that talk for several turns and call tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

pytest.importorskip("langchain", reason="agents need the extra agents")

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from confroute import EntropyRouter
from confroute.decision import Router, RouteRequest
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute, ConfRouteMiddleware
from tests.langchain_doubles import ScriptedChat
from tests.unit.test_langchain_chat import decision_of
from tests.unit.test_langchain_middleware import LOOP, add, search
from tests.unit.test_langchain_middleware import call as tool_call

FACES = pytest.mark.parametrize("face", ["create_agent", "langgraph", "middleware"])


def agent(
    face: str, edge: ScriptedChat, cloud: ScriptedChat, router: Router, tools: Sequence[Any] = (search, add)
) -> Any:
    """Make an agent with two tools and a memory: `ChatConfRoute` twice, and the middleware."""
    saver = InMemorySaver()
    if face == "middleware":
        own = ScriptedChat(model="own-model", answers=[AssertionError("the agent's own model was asked")])
        routing = ConfRouteMiddleware(edge=edge, cloud=cloud, router=router)
        return create_agent(own, tools, middleware=[routing], checkpointer=saver)
    llm = ChatConfRoute(edge=edge, cloud=cloud, router=router)
    if face == "create_agent":
        return create_agent(llm, tools, checkpointer=saver)
    bound = llm.bind_tools(tools)

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableLambda(call, acall))
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)


def models(edge: Sequence[Any], cloud: Sequence[Any]) -> tuple[ScriptedChat, ScriptedChat]:
    return ScriptedChat(model="edge-model", answers=edge), ScriptedChat(model="cloud-model", answers=cloud)


def by_word(request: RouteRequest) -> Any:
    return "cloud" if "hard" in request.messages[-1].text else "edge"


THREAD: Any = {"configurable": {"thread_id": "t"}}


def turn(agent: Any, text: str, way: str = "invoke") -> list[AIMessage]:
    """Say something, and return this turn's answers."""
    asked = {"messages": [HumanMessage(text)]}
    found = agent.invoke(asked, THREAD) if way == "invoke" else asyncio.run(agent.ainvoke(asked, THREAD))
    last = max(i for i, message in enumerate(found["messages"]) if message.type == "human")
    return [message for message in found["messages"][last:] if isinstance(message, AIMessage)]


@FACES
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_both_models_take_part_and_no_loop_switches_in_the_middle(face: str, way: str) -> None:
    edge, cloud = models([*LOOP, "edge done"], [*LOOP, "cloud done"])
    router = ScriptedRouter(by_word)
    talking = agent(face, edge, cloud, router)
    for text, route in (("easy", "edge"), ("hard", "cloud"), ("easy", "edge"), ("hard", "cloud")):
        said = turn(talking, text, way)
        assert said[-1].text == f"{route} done"
        assert [decision_of(message).route for message in said] == [route] * 3
    assert len(router.requests) == 4
    assert (len(edge.seen), len(cloud.seen)) == (6, 6)


@FACES
def test_a_loop_switches_by_fallback_only_and_then_stays(face: str) -> None:
    edge, cloud = models([LOOP[0], ConnectionError("refused"), "edge done"], [LOOP[1], "cloud done"])
    said = turn(agent(face, edge, cloud, ScriptedRouter("edge")), "hi")
    stamps = [decision_of(message) for message in said]
    assert [stamp.route for stamp in stamps] == ["edge", "cloud", "cloud"]
    assert [stamp.fallback_from for stamp in stamps[:2]] == [None, "edge"]
    assert len(edge.seen) == 2


@FACES
def test_a_loop_whose_tool_shows_a_picture_leaves_a_model_that_cannot_see(face: str) -> None:
    @tool
    def look(query: str) -> list[dict[str, Any]]:
        """Look."""
        return [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]

    edge, cloud = models([tool_call("look", query="x")], [LOOP[1], "seen"])
    edge.profile, cloud.profile = {"image_inputs": False}, {"image_inputs": True}
    said = turn(agent(face, edge, cloud, ScriptedRouter("edge"), [look, add]), "hi")
    assert [decision_of(message).route for message in said] == ["edge", "cloud", "cloud"]
    assert decision_of(said[1]).method == "capability"
    assert len(edge.seen) == 1


@FACES
@pytest.mark.parametrize("probe", ["brief", "full"])
@pytest.mark.parametrize("agrees", [True, False])
def test_the_token_stream_shows_one_model_only(face: str, probe: Any, agrees: bool) -> None:
    samples = ["Paris it is"] * 3 if agrees else ["Paris", "Rome", "Bern"]
    edge, cloud = models([*samples, "from the edge"], ["from the cloud"])
    talking = agent(face, edge, cloud, EntropyRouter(n_samples=3, probe=probe))
    shown, told = "", []
    for chunk, metadata in talking.stream({"messages": [("user", "?")]}, THREAD, stream_mode="messages"):
        shown += chunk.text
        told.append(metadata.get("confroute_route"))
    if not agrees:
        assert shown == "from the cloud"
    else:
        assert shown == ("from the edge" if probe == "brief" else "Paris it is")
    if not (agrees and probe == "full"):  # a draft has no run of its own that could tell
        assert set(told) == {"edge" if agrees else "cloud"}


class CutOff(ScriptedChat):
    """Breaks off after its first word."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield next(super()._stream(*args, **kwargs))
        raise ConnectionError("cut")


def show(talking: Any, shown: list[str]) -> None:
    for chunk, _ in talking.stream({"messages": [("user", "?")]}, THREAD, stream_mode="messages"):
        shown.append(chunk.text)


def ashow(talking: Any, shown: list[str]) -> None:
    async def collect() -> None:
        async for chunk, _ in talking.astream({"messages": [("user", "?")]}, THREAD, stream_mode="messages"):
            shown.append(chunk.text)

    asyncio.run(collect())


@FACES
@pytest.mark.parametrize("watch", [show, ashow])
def test_after_its_first_token_an_error_is_an_error(face: str, watch: Any) -> None:
    _, cloud = models([], ["from the cloud"])
    talking = agent(face, CutOff(model="edge-model", answers=["two words"]), cloud, ScriptedRouter("edge"))
    shown: list[str] = []
    with pytest.raises(ConnectionError, match="cut"):
        watch(talking, shown)
    assert shown == ["two"]
    assert cloud.seen == []


@FACES
def test_a_refused_stream_falls_back_before_its_first_token(face: str) -> None:
    edge, cloud = models([ConnectionError("refused")], ["from the cloud"])
    talking = agent(face, edge, cloud, ScriptedRouter("edge"))
    stream = talking.stream({"messages": [("user", "?")]}, THREAD, stream_mode="messages")
    assert "".join(chunk.text for chunk, _ in stream) == "from the cloud"


@FACES
def test_a_checkpoint_is_taken_up_by_another_agent(face: str) -> None:
    edge, cloud = models([*LOOP, "edge done"], [*LOOP, "cloud done"])
    first = agent(face, edge, cloud, ScriptedRouter("cloud"))
    turn(first, "hard")
    edge, cloud = models(["edge done"], ["cloud done"])
    second = agent(face, edge, cloud, ScriptedRouter("edge"))
    second.checkpointer = first.checkpointer
    assert turn(second, "easy")[-1].text == "edge done"
    stored = second.get_state(THREAD).values["messages"]
    assert [decision_of(m).route for m in stored if isinstance(m, AIMessage)] == ["cloud"] * 3 + ["edge"]


@FACES
def test_chunks_add_up_to_the_message(face: str) -> None:
    edge, cloud = models(["three words here"], ["from the cloud"])
    talking = agent(face, edge, cloud, ScriptedRouter("edge"))
    found = list(talking.stream({"messages": [("user", "?")]}, THREAD, stream_mode=["messages", "values"]))
    chunks = [data[0] for mode, data in found if mode == "messages"]
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert found[-1][1]["messages"][-1].text == "".join(chunk.text for chunk in chunks) == "three words here"
