"""The middleware in real agents: one decision per user turn, whatever stands around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

pytest.importorskip("langchain", reason="the middleware needs the extra agents")

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

import confroute
from confroute import EntropyRouter
from confroute.decision import Router
from confroute.errors import BothModelsFailedError, ConfigurationError
from confroute.execution.failures import CircuitOpenError
from confroute.testing import ScriptedRouter
from langchain_confroute import ConfRouteMiddleware
from langchain_confroute._routing import DECISION_EVENT
from langchain_confroute.middleware import STATE_KEY
from langchain_confroute.sampling import SAMPLE_TAG
from tests.langchain_doubles import ScriptedChat
from tests.unit.test_langchain_chat import Recorder, decision_of


@tool
def search(query: str) -> str:
    """Search the library."""
    return f"found {query}"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def call(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{name}"}])


LOOP = [call("search", query="x"), call("add", a=1, b=2)]
"""Two rounds of tools, before an answer."""


class Setting:
    """An agent with the middleware, and what its models were asked."""

    def __init__(
        self,
        router: Router | None = None,
        *,
        edge: Sequence[Any] = ("from the edge",),
        cloud: Sequence[Any] = ("from the cloud",),
        around: Iterable[AgentMiddleware[Any, Any]] = (),
        within: Iterable[AgentMiddleware[Any, Any]] = (),
        settings: dict[str, Any] | None = None,
        **agent: Any,
    ) -> None:
        self.own = ScriptedChat(model="own-model", answers=["from the agent's own"])
        self.edge = ScriptedChat(model="edge-model", answers=list(edge))
        self.cloud = ScriptedChat(model="cloud-model", answers=list(cloud))
        self.router = router or ScriptedRouter("edge")
        self.middleware = ConfRouteMiddleware(
            edge=self.edge, cloud=self.cloud, router=self.router, **(settings or {})
        )
        self.agent: Any = create_agent(
            self.own, tools=[search, add], middleware=[*around, self.middleware, *within], **agent
        )

    @property
    def asked(self) -> dict[str, int]:
        return {m.model: len(m.seen) for m in (self.own, self.edge, self.cloud)}


Run = Callable[..., list[Any]]


def run(setting: Setting, text: str | list[Any], config: Any = None) -> list[Any]:
    messages = [("user", text)] if isinstance(text, str) else text
    found: list[Any] = setting.agent.invoke({"messages": messages}, config)["messages"]
    return found


def arun(setting: Setting, text: str | list[Any], config: Any = None) -> list[Any]:
    messages = [("user", text)] if isinstance(text, str) else text
    found: list[Any] = asyncio.run(setting.agent.ainvoke({"messages": messages}, config))["messages"]
    return found


WAYS = pytest.mark.parametrize("ask", [run, arun])


def answers(messages: list[Any]) -> list[AIMessage]:
    return [message for message in messages if isinstance(message, AIMessage)]


def thread() -> Any:
    return {"configurable": {"thread_id": "t"}}


@WAYS
@pytest.mark.parametrize("route", ["edge", "cloud"])
def test_one_decision_serves_the_whole_tool_loop(ask: Run, route: Any) -> None:
    script: Any = {route: [*LOOP, f"from the {route}"]}
    setting = Setting(ScriptedRouter(route), **script)
    said = answers(ask(setting, "Look it up and add."))
    assert said[-1].text == f"from the {route}"
    assert [decision_of(message).route for message in said] == [route] * 3
    assert len(setting.router.requests) == 1  # type: ignore[attr-defined]  # the double's record
    other = "cloud" if route == "edge" else "edge"
    assert setting.asked == {"own-model": 0, f"{route}-model": 3, f"{other}-model": 0}


@WAYS
def test_each_turn_is_decided_anew(ask: Run) -> None:
    router = ScriptedRouter(lambda request: "cloud" if "hard" in request.messages[-1].text else "edge")
    setting = Setting(
        router, edge=[*LOOP, "easy one"], cloud=[*LOOP, "hard one"], checkpointer=InMemorySaver()
    )
    for text, route in (("an easy question", "edge"), ("a hard question", "cloud"), ("easy again", "edge")):
        said = answers(ask(setting, text, thread()))[-3:]
        assert [decision_of(message).route for message in said] == [route] * 3
    assert len(router.requests) == 3
    assert router.requests[-1].query.endswith("easy again")
    assert "a hard question" in router.requests[-1].query  # a short turn is read in its context


@WAYS
def test_the_decision_is_plain_data_in_the_state(ask: Run) -> None:
    setting = Setting(edge=[*LOOP, "done"], checkpointer=InMemorySaver())
    ask(setting, "hi", thread())
    state = setting.agent.get_state(thread()).values[STATE_KEY]
    assert json.loads(json.dumps(state)) == state
    assert state["decision"]["route"] == "edge"
    assert state["private"] is False
    assert STATE_KEY not in setting.agent.get_output_jsonschema()["properties"]


@WAYS
def test_a_loop_that_was_interrupted_goes_on_with_its_model(ask: Run) -> None:
    saver = InMemorySaver()
    setting = Setting(
        ScriptedRouter("cloud"), cloud=[*LOOP, "done"], checkpointer=saver, interrupt_before=["tools"]
    )
    ask(setting, "hi", thread())
    resumed = Setting(ScriptedRouter("edge"), cloud=["done"], checkpointer=saver)  # as after a restart
    said = answers(resumed.agent.invoke(None, thread())["messages"])
    assert said[-1].text == "done"
    assert resumed.router.requests == []  # type: ignore[attr-defined]  # the double's record


def test_tool_results_sent_by_the_caller_go_on_with_their_model() -> None:
    setting = Setting(ScriptedRouter("cloud"), cloud=[LOOP[0], "done"])
    before = run(setting, "hi")[:2]
    again = Setting(ScriptedRouter("edge"), cloud=["done"])
    said = run(again, [*before, ToolMessage("found", tool_call_id="call-search")])
    assert said[-1].text == "done"
    assert again.asked["cloud-model"] == 1


@WAYS
@pytest.mark.parametrize(("down", "other"), [("edge", "cloud"), ("cloud", "edge")])
def test_after_a_fallback_the_loop_stays_with_the_model_that_answered(
    ask: Run, down: Any, other: str
) -> None:
    script: Any = {down: [LOOP[0], ConnectionError("refused")], other: [LOOP[1], "done"]}
    said = answers(ask(Setting(ScriptedRouter(down), **script), "hi"))
    stamps = [decision_of(message) for message in said]
    assert [stamp.route for stamp in stamps] == [down, other, other]
    assert stamps[1].fallback_cause == "ConnectionError: refused"
    assert said[-1].text == "done"


@WAYS
def test_both_down(ask: Run) -> None:
    setting = Setting(edge=[ConnectionError("refused")], cloud=[ConnectionError("down")])
    with pytest.raises(BothModelsFailedError, match=r"refused.*down"):
        ask(setting, "hi")


@WAYS
def test_an_empty_answer_is_a_failure(ask: Run) -> None:
    said = answers(ask(Setting(edge=[""]), "hi"))
    assert said[-1].text == "from the cloud"
    assert "EmptyAnswerError" in str(decision_of(said[-1]).fallback_cause)


@WAYS
@pytest.mark.parametrize("order", ["around", "within"])
def test_with_the_fallback_middleware_in_both_orders(ask: Run, order: Any) -> None:
    backup = ScriptedChat(model="backup-model", answers=["from the backup"])
    down = [ConnectionError("refused")]
    fallback: Any = {order: [ModelFallbackMiddleware(backup)]}
    setting = Setting(edge=down, cloud=down, **fallback)
    (said,) = answers(ask(setting, "hi"))
    assert said.text == "from the backup"
    assert "confroute" not in said.response_metadata  # neither edge nor cloud answered
    assert setting.middleware.stats.calls == 0
    healthy = Setting(**fallback)
    (said,) = answers(ask(healthy, "hi"))
    assert decision_of(said).route == "edge"


@WAYS
@pytest.mark.parametrize("order", ["around", "within"])
def test_a_private_request_never_leaves_the_edge(ask: Run, order: Any) -> None:
    backup = ScriptedChat(model="backup-model", answers=["from the backup"])
    fallback: Any = {order: [ModelFallbackMiddleware(backup)]}
    setting = Setting(ScriptedRouter("cloud"), edge=[ConnectionError("refused")], **fallback)
    with (
        confroute.control(private=True),
        pytest.raises((ConnectionError, CircuitOpenError, ConfigurationError)),
    ):
        ask(setting, "hi")
    assert backup.seen == setting.cloud.seen == setting.own.seen == []


@WAYS
def test_a_private_thread_stays_private_even_if_its_messages_are_forgotten(ask: Run) -> None:
    setting = Setting(ScriptedRouter("cloud"), checkpointer=InMemorySaver())
    config = thread()
    config["configurable"]["confroute_private"] = True
    ask(setting, "my diagnosis", config)
    state = setting.agent.get_state(thread())
    for message in state.values["messages"]:
        setting.agent.update_state(thread(), {"messages": [RemoveMessage(message.id)]})
    said = answers(ask(setting, "and now?", thread()))
    assert decision_of(said[-1]).method == "private"
    assert setting.cloud.seen == []


@WAYS
def test_control_by_block_and_by_config(ask: Run) -> None:
    setting = Setting()
    with confroute.control(route="cloud"):
        (said,) = answers(ask(setting, "hi"))
    assert (decision_of(said).route, decision_of(said).method) == ("cloud", "forced")
    (said,) = answers(ask(setting, "hi", {"configurable": {"confroute_route": "cloud"}}))
    assert decision_of(said).method == "forced"
    (said,) = answers(ask(setting, "hi", {"configurable": {"confroute_threshold": 0.0}}))
    assert decision_of(said).route == "cloud"


@WAYS
def test_without_a_human_message_the_agents_own_model_answers(ask: Run) -> None:
    setting = Setting()
    (said,) = answers(ask(setting, [SystemMessage("Begin.")]))
    assert said.text == "from the agent's own"
    assert setting.router.requests == []  # type: ignore[attr-defined]  # the double's record
    with confroute.control(private=True):
        (said,) = answers(ask(setting, [SystemMessage("Begin.")]))
    assert said.text == "from the edge"


@WAYS
def test_the_verdict_is_on_the_run_of_the_model_that_answers(ask: Run) -> None:
    runs, usage = Recorder(), UsageMetadataCallbackHandler()
    ask(Setting(ScriptedRouter("cloud")), "hi", {"callbacks": [runs, usage]})
    (start,) = runs.chat_starts
    assert start["metadata"]["confroute_route"] == "cloud"
    assert "route:cloud" in start["tags"]
    assert usage.usage_metadata == {"cloud-model": {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}}
    ((name, data),) = runs.events
    assert (name, data["route"]) == (DECISION_EVENT, "cloud")


@WAYS
def test_samples_are_drawn_as_the_agent_would_answer(ask: Run) -> None:
    runs, usage = Recorder(), UsageMetadataCallbackHandler()
    setting = Setting(
        EntropyRouter(n_samples=3, probe="brief"), edge=["Paris", "Rome", "Bern"], system_prompt="Be brief."
    )
    (said,) = answers(ask(setting, "Capital?", {"callbacks": [runs, usage]}))
    decision = decision_of(said)
    assert (decision.route, decision.n_samples) == ("cloud", 3)
    assert all(messages[0].text == "Be brief." for messages in setting.edge.seen)
    assert all(len(settings["tools"]) == 2 for settings in setting.edge.settings)
    sampled = [start for start in runs.chat_starts if SAMPLE_TAG in start["tags"]]
    assert len(sampled) == 3
    assert usage.usage_metadata["edge-model"]["input_tokens"] == 3 * 3


@WAYS
def test_a_draft_is_the_answer_and_may_call_tools(ask: Run) -> None:
    usage = UsageMetadataCallbackHandler()
    setting = Setting(EntropyRouter(n_samples=2), edge=[LOOP[0], LOOP[0], "done"], name="helper")
    said = answers(ask(setting, "Look it up.", {"callbacks": [usage]}))
    assert [message.text for message in said] == ["", "done"]
    assert [decision_of(message).n_samples for message in said] == [2, 0]
    assert {message.name for message in said} == {"helper"}
    assert setting.asked["edge-model"] == 3
    assert usage.usage_metadata["edge-model"]["input_tokens"] == 3 * 3


def test_structured_output() -> None:
    class Book(BaseModel):
        title: str

    answer = call("Book", title="Effi Briest")
    setting = Setting(ScriptedRouter("cloud"), cloud=[answer], response_format=ToolStrategy(Book))
    found = setting.agent.invoke({"messages": [("user", "Which book?")]})
    assert found["structured_response"] == Book(title="Effi Briest")
    assert decision_of(answers(found["messages"])[0]).route == "cloud"


def test_model_strings_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    middleware = ConfRouteMiddleware(
        edge="openai:gpt-5-nano", cloud="openai:gpt-5", router=ScriptedRouter("edge")
    )
    assert [model.model_name for model in middleware.models.values()] == ["gpt-5-nano", "gpt-5"]  # type: ignore[attr-defined]  # OpenAI's


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"edge": object()}, "edge is a object: expected a chat model"),
        ({"cloud": ScriptedChat(model="m").bind_tools([search])}, "without tools bound"),
        ({"router": "entropy"}, "expected an object with decide"),
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any], told: str) -> None:
    arguments = {
        "edge": ScriptedChat(model="e"),
        "cloud": ScriptedChat(model="c"),
        "router": ScriptedRouter("edge"),
    }
    with pytest.raises(ConfigurationError, match=told):
        ConfRouteMiddleware(**{**arguments, **wrong})


def test_prompts_stay_out_of_the_spans_of_hooks() -> None:
    policy = ConfRouteMiddleware.trace_policy if hasattr(ConfRouteMiddleware, "trace_policy") else None
    if policy is None:
        pytest.skip("this langchain has no trace policies")
    assert policy.process_inputs is not None
    assert "secret" not in str(policy.process_inputs({"messages": [HumanMessage("secret")]}))


@WAYS
def test_the_accounts(ask: Run) -> None:
    setting = Setting(edge=[*LOOP, "done"])
    ask(setting, "hi")
    with confroute.control(route="cloud"):
        ask(setting, "hi")
    stats = setting.middleware.stats
    assert (stats.calls, stats.cloud_calls) == (4, 1)
    assert stats.input_tokens == 4 * 3


def test_one_object_serves_agents_with_other_models_of_their_own() -> None:
    shared = Setting()
    other: Any = create_agent(ScriptedChat(model="other-own"), tools=[], middleware=[shared.middleware])
    run(shared, "hi")
    found = other.invoke({"messages": [("user", "hi")]})
    assert decision_of(answers(found["messages"])[0]).route == "edge"


@WAYS
def test_a_failing_router_leaves_the_turn_to_the_cloud(ask: Run) -> None:
    setting = Setting(ScriptedRouter("edge", error=RuntimeError("broken")))
    (said,) = answers(ask(setting, "hi"))
    decision = decision_of(said)
    assert (decision.route, decision.method) == ("cloud", "fallback")
    with pytest.raises(RuntimeError, match="broken"):
        ask(Setting(setting.router, settings={"on_error": "raise"}), "hi")
