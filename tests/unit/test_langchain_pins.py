"""What must not undo a pin or a sample: bound configs, other ways in, failed turns, arguments of the call."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

import confroute
from confroute import EntropyRouter, RouteDecision
from confroute.execution.log import DecisionLog
from confroute.heads.storage import Pair
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute, RunnableConfRoute
from langchain_confroute.models import chat_model
from tests.langchain_doubles import ScriptedChat
from tests.openai_server import OpenAIServer
from tests.unit.test_langchain_standard import Obliging

PRIVATE: Any = {"configurable": {"confroute_private": True}}


class Answer(BaseModel):
    """An answer."""

    text: str


def pair(**settings: Any) -> Any:
    edge, cloud = (ScriptedChat(model=name, answers=[f"from the {name}"]) for name in ("edge", "cloud"))
    fields: Any = {"edge": edge, "cloud": cloud, "router": ScriptedRouter("cloud")} | settings
    return ChatConfRoute(**fields)


def test_version_3_heeds_the_runs_config() -> None:
    llm = pair()
    if not hasattr(BaseChatModel, "stream_events"):
        pytest.skip("this langchain-core has no events of version 3")
    for _ in llm.stream_events("secret", PRIVATE, version="v3"):
        pass
    for _ in llm.with_config(PRIVATE).stream_events("secret", version="v3"):
        pass

    async def events() -> None:
        async for _ in await llm.astream_events("secret", PRIVATE, version="v3"):
            pass

    asyncio.run(events())
    assert (len(llm.edge.seen), len(llm.cloud.seen)) == (3, 0)


@pytest.mark.parametrize(
    "built",
    [
        lambda llm: llm,
        lambda llm: llm.bind_tools([Answer]),
        lambda llm: llm.with_structured_output(Answer, include_raw=True),
        lambda llm: llm.bind(stop=["x"]),
    ],
)
def test_a_bound_pin_holds_for_what_is_built_on_it(built: Any) -> None:
    llm = pair()
    built(llm.with_config(PRIVATE)).invoke("secret")
    assert (len(llm.edge.seen), len(llm.cloud.seen)) == (1, 0)
    built(llm).invoke("no secret")
    assert len(llm.cloud.seen) == 1, "the pin is the copy's alone"


def test_a_failed_private_turn_pins_its_thread() -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent
    from langgraph.checkpoint.memory import InMemorySaver

    from langchain_confroute import ConfRouteMiddleware

    edge = ScriptedChat(model="edge", answers=[ConnectionError("refused"), "from the edge"])
    cloud = ScriptedChat(model="cloud")
    routing = ConfRouteMiddleware(
        edge=edge, cloud=cloud, router=ScriptedRouter("cloud"), breaker_reset_after=0.01
    )
    agent: Any = create_agent(cloud, tools=[], middleware=[routing], checkpointer=InMemorySaver())
    thread = {"thread_id": "1"}
    with pytest.raises(ConnectionError):
        agent.invoke(
            {"messages": [("user", "SECRET")]}, {"configurable": {**thread, "confroute_private": True}}
        )
    time.sleep(0.02)
    agent.invoke({"messages": [("user", "and what is due?")]}, {"configurable": thread})
    assert not cloud.seen


def test_an_agents_thread_behind_a_runnable_stays_pinned() -> None:
    def agent(name: str) -> Any:
        return RunnableLambda(lambda given: {"messages": [*given["messages"], AIMessage(f"from the {name}")]})

    routed = RunnableConfRoute(edge=agent("edge"), cloud=agent("cloud"), router=ScriptedRouter("cloud"))
    first = routed.invoke({"messages": [HumanMessage("SECRET")]}, PRIVATE)
    second = routed.invoke({"messages": [*first["messages"], HumanMessage("next")]})
    assert [m.text for m in second["messages"] if m.type == "ai"] == ["from the edge", "from the edge"]


@pytest.mark.parametrize("bound", [True, False])
def test_greedy_arguments_of_a_call_do_not_make_samples_greedy(bound: bool) -> None:
    with OpenAIServer(lambda body, i: f"answer {i}") as server:
        edge: Any = chat_model(server.url)
        greedy: dict[str, Any] = {"temperature": 0, "n": 1, "seed": 1, "stop": ["\n"]}
        edge, given = (edge.bind(**greedy), {}) if bound else (edge, greedy)
        llm = pair(edge=edge, router=EntropyRouter(n_samples=3, probe="brief"))
        assert llm.invoke("?", **given).response_metadata["confroute"]["route"] == "cloud"
    assert {body["temperature"] for body in server.requests} == {1.0}
    assert [body["n"] for body in server.requests] == [3]
    assert {tuple(body["stop"]) for body in server.requests} == {("\n",)}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_provider_that_refuses_n_is_asked_one_by_one(way: str) -> None:
    with OpenAIServer("the same") as server:
        server.fault = lambda body: "400" if (body.get("n") or 1) > 1 else None
        llm = pair(edge=chat_model(server.url), router=EntropyRouter(n_samples=3, probe="brief"))
        reply: Any = llm.invoke("?") if way == "invoke" else asyncio.run(llm.ainvoke("?"))
    decision = reply.response_metadata["confroute"]
    assert (decision["route"], decision["method"], decision["n_samples"]) == ("edge", "entropy", 3)


class SlowlySpoken(ScriptedChat):
    """Shows a word every tenth of a second."""

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        for word in ("one", " two", " three", " four"):
            time.sleep(self.pause)
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word))
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk

    pause: float = 0.1


class Shown(BaseCallbackHandler):
    def __init__(self) -> None:
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(str(token))


async def events_of(llm: Any) -> list[str]:
    chain: Any = RunnableLambda(lambda text: llm.invoke(text))
    return [
        event["data"]["chunk"].text
        async for event in chain.astream_events("?", version="v2")
        if event["event"] == "on_chat_model_stream" and event["data"]["chunk"].text
    ]


async def test_an_answer_that_has_begun_is_not_timed_out() -> None:
    llm = pair(cloud=SlowlySpoken(model="cloud"), cloud_timeout=0.25)
    assert await events_of(llm) == ["one", " two", " three", " four"]


async def test_an_answer_that_came_too_late_never_begins() -> None:
    llm = pair(cloud=SlowlySpoken(model="cloud", pause=0.4), cloud_timeout=0.1)
    shown = await events_of(llm)
    await asyncio.sleep(0.6)
    assert "one" not in shown
    assert llm.stats.fallbacks == 1


def test_a_router_that_samples_nothing_is_asked_though_the_edge_is_down() -> None:
    edge = ScriptedChat(model="edge", answers=[ConnectionError("refused")])
    llm = pair(edge=edge, router=ScriptedRouter("edge"), on_error="raise")
    decisions = [llm.invoke("?").response_metadata["confroute"] for _ in range(3)]
    assert {(d["route"], d["fallback_from"]) for d in decisions} == {("cloud", "edge")}
    assert len(edge.seen) == 1


def test_a_failing_router_is_not_the_edges_fault() -> None:
    llm = pair(router=ScriptedRouter("edge", error=ConnectionError("the encoder's server is down")))
    assert llm.invoke("?").text == "from the cloud"
    assert llm.invoke("secret", PRIVATE).text == "from the edge"


def test_a_model_that_cannot_see_gets_no_image_by_fallback() -> None:
    blind = ScriptedChat(model="edge", profile={"image_inputs": False})
    llm = pair(edge=blind, cloud=ScriptedChat(model="cloud", answers=[ConnectionError("refused")]))
    picture = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])
    with pytest.raises(ConnectionError):
        llm.invoke([picture])
    assert not blind.seen


def test_a_window_that_ollama_was_given_is_known() -> None:
    pytest.importorskip("langchain_ollama", reason="needs the dependency group 'examples'")
    from langchain_ollama import ChatOllama

    llm = pair(edge=ChatOllama(model="qwen2.5:1.5b", num_ctx=2048))
    assert llm._execution.edge.max_input_tokens == 2048


def test_a_stamp_of_another_version_is_left_alone() -> None:
    llm = pair()
    thread = [
        HumanMessage("?"),
        AIMessage("", response_metadata={"confroute": {"route": "edge", "new_field": 1}}),
    ]
    assert llm.invoke([*thread, HumanMessage("next")]).text == "from the cloud"


def test_a_log_makes_its_folder_and_loses_no_answer(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "logs" / "decisions.jsonl")
    llm = pair(log=log)
    llm.invoke("?")
    assert len(log.path.read_text().splitlines()) == 1
    log.path.unlink()
    log.path.mkdir()
    assert llm.invoke("?").text == "from the cloud"


def test_a_router_of_another_edge_warns_in_every_face() -> None:
    from confroute.heads import KNNHead
    from confroute.routers.trained import TrainedRouter

    class Letters:
        name = "letters"

        def encode(self, texts: Any) -> Any:
            raise NotImplementedError

    router = TrainedRouter(
        head=KNNHead(), encoder=Letters(), pair=Pair(edge="qwen2.5-coder-0.5b", cloud="gpt-5")
    )
    with pytest.warns(UserWarning, match="the edge at hand is 'edge'"):
        pair(router=router)
    with confroute.control(route="edge"):
        pair(edge=ScriptedChat(model="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"), router=router).invoke("?")


def test_a_local_stream_without_counts_costs_nothing() -> None:
    with OpenAIServer("hello there") as server:
        edge: Any = chat_model(server.url)
        edge.stream_usage = False
        llm = pair(edge=edge, router=ScriptedRouter("edge"))
        for _ in llm.stream("?"):
            pass
    assert llm.stats.usd == 0.0


@pytest.mark.parametrize("first", ["config", "bind", "tools"])
@pytest.mark.parametrize("then", ["structured", "tools", "generate", "invoke"])
def test_a_pin_that_is_bound_late_holds_for_all_that_is_built_on_it(first: str, then: str) -> None:
    class Book(BaseModel):
        """A book."""

        title: str

    edge, cloud = Obliging(model="edge-model"), Obliging(model="cloud-model")
    llm: Any = ChatConfRoute(edge=edge, cloud=cloud, router=ScriptedRouter("cloud"))
    llm = {
        "config": lambda: llm.with_config(tags=["a"]),
        "bind": lambda: llm.bind(stop=["x"]),
        "tools": lambda: llm.bind_tools([Book]),
    }[first]()
    llm = llm.with_config(configurable={"confroute_private": True}).with_config(tags=["b"])
    if then == "structured":
        llm.with_structured_output(Book, include_raw=True).invoke("q")
    elif then == "tools":
        llm.bind_tools([Book]).invoke("q")
    elif then == "generate":
        llm.generate([[HumanMessage("q")]])
    else:
        llm.invoke("q")
    assert llm.stats.calls == 1
    assert llm.stats.cloud_calls == 0


def test_streamed_answers_in_a_history_speak_as_the_model() -> None:
    stamp = RouteDecision(route="edge", method="trained", reason="x").to_dict()
    call: Any = {"name": "search", "args": {}, "id": "1", "type": "tool_call"}
    history: list[Any] = [
        HumanMessage("q"),
        AIMessageChunk(content="", tool_calls=[call], response_metadata={"confroute": stamp}),
        ToolMessage("r", tool_call_id="1"),
    ]
    router = ScriptedRouter("cloud")
    llm = ChatConfRoute(edge=Obliging(model="e"), cloud=Obliging(model="c"), router=router)
    assert llm.invoke(history).response_metadata["confroute"]["route"] == "edge"
    assert router.requests == []
