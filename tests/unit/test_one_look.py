"""What deciding sends: one look, and more only where it can matter; counted at servers, by every path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NotRequired

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_openai.chat_models.base import BaseChatOpenAI
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import ToolMetadata
from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict

from confroute import ConfidenceRouter, EntropyRouter, RouteDecision
from confroute.routers.probing import BRIEF_INSTRUCTION
from confroute.testing import ScriptedRouter
from langchain_confroute import (
    ChatConfRoute,
    ConfRouteMiddleware,
    RunnableConfRoute,
    RunnableRouteDecision,
)
from llamaindex_confroute import ConfRouteLLM, ConfRouteSelector
from tests.llamaindex_pairs import AS_JSON, model, served
from tests.llamaindex_paths import PATHS, decision_of, text_of
from tests.openai_server import OpenAIServer

EDGE_SAYS = "the edge says hello"


class Servers:
    """Real servers for the edge, the cloud and a model that is only looked at."""

    def __init__(self, edge: OpenAIServer, cloud: OpenAIServer, other: OpenAIServer) -> None:
        self.edge = edge
        self.cloud = cloud
        self.other = other

    def model(self, server: OpenAIServer, **settings: Any) -> BaseChatOpenAI:
        return BaseChatOpenAI(
            model=server.model,
            base_url=server.url,
            api_key=SecretStr("none"),
            max_retries=0,
            stream_usage=True,
            **settings,
        )

    def sides(self) -> dict[str, Any]:
        return {"edge": self.model(self.edge), "cloud": self.model(self.cloud)}

    def looks(self, server: OpenAIServer) -> list[dict[str, Any]]:
        """Return the requests that asked for log-probabilities, as looks do."""
        return [body for body in server.requests if body.get("logprobs")]


@pytest.fixture
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        names = {"edge-model": EDGE_SAYS, "cloud-model": "the cloud says hello", "other-model": "Paris"}
        made = [stack.enter_context(OpenAIServer(said, model=name)) for name, said in names.items()]
        for server in made:
            server.logprob = -0.05
        yield Servers(*made)


async def alisted(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


def whole(chunks: list[Any]) -> Any:
    return sum(chunks[1:], chunks[0])


ASK = "Which capital?"
LANGCHAIN: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda llm: llm.invoke(ASK),
    "ainvoke": lambda llm: asyncio.run(llm.ainvoke(ASK)),
    "stream": lambda llm: whole(list(llm.stream(ASK))),
    "astream": lambda llm: whole(asyncio.run(alisted(llm.astream(ASK)))),
    "batch": lambda llm: llm.batch([ASK])[0],
}
CHAT_ONLY: dict[str, Callable[[Any], Any]] = {
    "generate": lambda llm: llm.generate([[HumanMessage(ASK)]]).generations[0][0].message,
    "events": lambda llm: asyncio.run(alisted(llm.astream_events(ASK)))[-1]["data"]["output"],
}
PROBES = pytest.mark.parametrize(("probe", "requests"), [("full", 1), ("brief", 2)])


def check(servers: Servers, reply: Any, requests: int) -> None:
    decision = RouteDecision.model_validate(reply.response_metadata["confroute"])
    assert reply.text == EDGE_SAYS
    assert (decision.route, decision.method, decision.n_samples) == ("edge", "confidence", 1)
    assert decision.settled_early
    assert (len(servers.edge.requests), len(servers.looks(servers.edge))) == (requests, 1)
    assert servers.cloud.requests == []


@PROBES
@pytest.mark.parametrize("path", [*LANGCHAIN, *CHAT_ONLY])
def test_a_chat_model_looks_once(servers: Servers, probe: Any, requests: int, path: str) -> None:
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter(probe=probe))
    reply = (LANGCHAIN | CHAT_ONLY)[path](llm)
    check(servers, reply, requests)
    if "stream" in path and probe == "brief":
        assert servers.edge.requests[1]["stream"] is True
    assert llm.stats.samples == 1


@PROBES
@pytest.mark.parametrize("path", LANGCHAIN)
def test_a_runnable_looks_once(servers: Servers, probe: Any, requests: int, path: str) -> None:
    pair = RunnableConfRoute(**servers.sides(), router=ConfidenceRouter(probe=probe))
    check(servers, LANGCHAIN[path](pair), requests)


@PROBES
@pytest.mark.parametrize("path", ["invoke", "ainvoke", "stream"])
def test_an_agent_looks_once(servers: Servers, probe: Any, requests: int, path: str) -> None:
    routing = ConfRouteMiddleware(**servers.sides(), router=ConfidenceRouter(probe=probe))
    agent = create_agent(servers.model(servers.cloud), middleware=[routing])
    asked: Any = {"messages": [("user", ASK)]}
    if path == "stream":
        *_, state = agent.stream(asked, stream_mode="values")
    else:
        state = agent.invoke(asked) if path == "invoke" else asyncio.run(agent.ainvoke(asked))
    check(servers, state["messages"][-1], requests)


@pytest.mark.parametrize("probe", ["full", "brief"])
def test_a_verdict_alone_is_one_request(servers: Servers, probe: Any) -> None:
    verdict = RunnableRouteDecision(router=ConfidenceRouter(probe=probe), edge=servers.model(servers.edge))
    assert verdict.invoke(ASK).route == "edge"
    assert asyncio.run(verdict.ainvoke(ASK)).route == "edge"
    assert len(servers.edge.requests) == 2


class Capital(BaseModel):
    """A capital."""

    name: str
    people: int


@pytest.mark.parametrize("path", ["generate", "agenerate"])
def test_an_edge_that_streams_by_itself_generates_too(servers: Servers, path: str) -> None:
    edge = servers.model(servers.edge, streaming=True)
    llm = ChatConfRoute(edge=edge, cloud=servers.model(servers.cloud), router=ConfidenceRouter(probe="brief"))
    asked: Any = [[HumanMessage(ASK)]]
    result = llm.generate(asked) if path == "generate" else asyncio.run(llm.agenerate(asked))
    assert result.generations[0][0].text == EDGE_SAYS
    assert (len(servers.edge.requests), len(servers.cloud.requests)) == (2, 0)


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("path", ["invoke", "ainvoke", "stream"])
def test_a_structured_look_is_the_output(servers: Servers, path: str, *, include_raw: bool) -> None:
    servers.edge.answer = lambda body, i: json.dumps({"name": "Paris", "people": 2_100_000})
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter())
    structured = llm.with_structured_output(Capital, method="json_schema", include_raw=include_raw)
    if path == "stream":
        *_, found = structured.stream(ASK)
    else:
        found = structured.invoke(ASK) if path == "invoke" else asyncio.run(structured.ainvoke(ASK))
    found = found["parsed"] if include_raw else found
    assert found == Capital(name="Paris", people=2_100_000)
    (request,) = servers.edge.requests
    assert request["response_format"]["type"] == "json_schema"
    assert servers.cloud.requests == []


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize(
    "text", ["Paris, I would say", '{"name": "Paris"}', '{"name": "Paris", "people": "many"}']
)
def test_a_structured_look_against_its_schema_goes_to_the_cloud(
    servers: Servers, text: str, *, include_raw: bool
) -> None:
    servers.edge.answer = lambda body, i: text
    servers.cloud.answer = lambda body, i: json.dumps({"name": "Paris", "people": 1})
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter())
    structured = llm.with_structured_output(Capital, method="json_schema", include_raw=include_raw)
    found: Any = structured.invoke(ASK)
    assert (found["parsed"] if include_raw else found) == Capital(name="Paris", people=1)
    assert (len(servers.edge.requests), len(servers.cloud.requests)) == (1, 1)


_CAPITAL = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}


@pytest.mark.parametrize(
    "schema",
    [
        Capital,
        {"title": "capital", "description": "A capital.", **_CAPITAL},
        {"name": "capital", "description": "A capital.", "parameters": _CAPITAL},
        {"name": "capital", "strict": True, "schema": _CAPITAL},
    ],
)
def test_a_json_look_is_held_against_the_callers_schema(servers: Servers, schema: Any) -> None:
    servers.edge.answer = lambda body, i: json.dumps({"name": "Paris"})
    servers.cloud.answer = lambda body, i: json.dumps({"name": "Paris", "people": 1})
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter())
    structured = llm.with_structured_output(schema, method="json_mode", include_raw=True)
    found: Any = structured.invoke(ASK)
    assert dict(found["parsed"]) == {"name": "Paris", "people": 1}
    assert (len(servers.edge.requests), len(servers.cloud.requests)) == (1, 1)


def test_any_json_is_an_output_where_there_is_no_schema(servers: Servers) -> None:
    servers.edge.answer = lambda body, i: json.dumps({"name": "Paris"})
    llm: Any = ChatConfRoute(**servers.sides(), router=ConfidenceRouter())
    assert llm.with_structured_output(None, method="json_mode").invoke(ASK) == {"name": "Paris"}
    assert (len(servers.edge.requests), len(servers.cloud.requests)) == (1, 0)


class Aged(TypedDict):
    name: str
    age: NotRequired[int]


def test_a_schema_that_cannot_be_told_is_the_models_own_affair(servers: Servers) -> None:
    llm: Any = ChatConfRoute(**servers.sides(), router=ConfidenceRouter())
    for either in (servers.model(servers.edge), llm):
        either.with_structured_output(Aged, method="json_mode")


@pytest.mark.parametrize("router", [ConfidenceRouter(probe="brief"), EntropyRouter(probe="brief")])
@pytest.mark.parametrize("bound", [False, True])
def test_a_brief_look_is_not_held_against_the_schema(servers: Servers, router: Any, *, bound: bool) -> None:
    servers.edge.answer = lambda body, i: (
        json.dumps({"name": "Paris", "people": 1}) if "response_format" in body else "Paris"
    )
    llm = ChatConfRoute(**servers.sides(), router=router)
    if bound:
        asked = {"type": "json_schema", "json_schema": {"name": "c", "schema": Capital.model_json_schema()}}
        found = json.loads(llm.bind(response_format=asked).invoke(ASK).text)
    else:
        found = llm.with_structured_output(Capital, method="json_schema").invoke(ASK).model_dump()
    assert found == {"name": "Paris", "people": 1}
    assert ["response_format" in body for body in servers.edge.requests] == [False, True]
    assert servers.cloud.requests == []


def test_further_answers_come_in_as_few_requests_as_can_settle_it(servers: Servers) -> None:
    servers.edge.logprob = None
    answers = ["Paris", "Paris", "Paris", "Paris", "Rome"]
    drawn = iter(range(99))
    servers.edge.answer = lambda body, i: answers[next(drawn)]
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter())
    reply = llm.invoke(ASK)
    assert reply.text == "Paris"
    assert [body.get("n") for body in servers.edge.requests] == [None, 3]
    decision = reply.response_metadata["confroute"]
    assert decision["n_samples"] == 4
    assert "3 of 3 more answers agree" in decision["reason"]
    assert servers.cloud.requests == []


@PROBES
@pytest.mark.parametrize("path", PATHS)
def test_a_llamaindex_llm_looks_once(probe: Any, requests: int, path: str) -> None:
    with served() as pair:
        pair.servers["edge"].logprob = -0.05
        llm = pair.llm(ConfidenceRouter(probe=probe))
        chunks = PATHS[path](llm)
        assert text_of(chunks) == EDGE_SAYS
        decision = decision_of(chunks)
        assert (decision.route, decision.method, decision.n_samples) == ("edge", "confidence", 1)
        assert len(pair.servers["edge"].requests) == requests
        assert pair.servers["cloud"].requests == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_selector_looks_once(*, asynchronous: bool) -> None:
    with served() as pair:
        pair.servers["edge"].logprob = -0.05
        selector = ConfRouteSelector.from_defaults(edge=model("edge-model", pair.urls["edge"]))
        tools = [ToolMetadata("small", name="edge"), ToolMetadata("large", name="cloud")]
        query = QueryBundle(ASK)
        chosen = (
            asyncio.run(selector.aselect(tools, query)) if asynchronous else selector.select(tools, query)
        )
        assert chosen.ind == 0
        assert len(pair.servers["edge"].requests) == 1


@pytest.mark.parametrize("path", LANGCHAIN)
@pytest.mark.parametrize("probe", ["full", "brief"])
def test_another_model_can_be_looked_at(servers: Servers, path: str, probe: Any) -> None:
    llm = ChatConfRoute(
        **servers.sides(), router=ConfidenceRouter(probe=probe), sampler=servers.model(servers.other)
    )
    reply = LANGCHAIN[path](llm)
    assert reply.text == EDGE_SAYS
    assert (len(servers.other.requests), len(servers.edge.requests)) == (1, 1)
    assert servers.looks(servers.edge) == []
    assert llm.stats.samples == 1


def test_another_model_can_be_looked_at_in_llamaindex() -> None:
    with served() as pair, OpenAIServer("Paris", model="other-model") as other:
        other.logprob = -0.05
        llm = pair.llm(ConfidenceRouter(), sampler=model("other-model", other.url))
        assert isinstance(llm, ConfRouteLLM)
        assert llm.chat([ChatMessage(ASK)]).message.content == EDGE_SAYS
        assert (len(other.requests), len(pair.servers["edge"].requests)) == (1, 1)


@pytest.mark.parametrize(
    "schema",
    [
        Capital,
        Capital.model_json_schema(),
        {"name": "Capital", "strict": True, "schema": Capital.model_json_schema()},
        {"name": "Capital", "description": "one", "parameters": Capital.model_json_schema()},
    ],
)
@pytest.mark.parametrize("method", ["function_calling", "json_mode"])
@pytest.mark.parametrize("fits", [True, False])
def test_schemas_in_every_form_hold(servers: Servers, schema: Any, method: str, *, fits: bool) -> None:
    told = {"name": "Paris", "people": 1} if fits else {"name": "Paris"}

    servers.edge.answer = servers.cloud.answer = prediction(told)
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter(n_samples=1))
    llm.with_structured_output(schema, method=method, include_raw=True).invoke(ASK)
    assert (servers.cloud.requests == []) == fits


def test_generate_of_a_streaming_client(servers: Servers) -> None:
    sides: dict[str, Any] = servers.sides() | {"edge": servers.model(servers.edge, streaming=True)}
    llm = ChatConfRoute(**sides, router=ConfidenceRouter(probe="brief"))
    check(servers, CHAT_ONLY["generate"](llm), 2)


STRUCTURED: dict[str, Callable[[ConfRouteLLM], Any]] = {
    "predict": lambda llm: llm.structured_predict(Capital, PromptTemplate("{q}"), q=ASK),
    "apredict": lambda llm: asyncio.run(llm.astructured_predict(Capital, PromptTemplate("{q}"), q=ASK)),
    "stream": lambda llm: list(llm.stream_structured_predict(Capital, PromptTemplate("{q}"), q=ASK))[-1],
    "as_structured_llm": lambda llm: llm.as_structured_llm(Capital).complete(ASK).raw,
}


@pytest.mark.parametrize("path", STRUCTURED)
@pytest.mark.parametrize("native", [True, False])
def test_a_look_at_a_structured_prediction_is_the_object(path: str, *, native: bool) -> None:
    with served() as pair:
        pair.servers["edge"].logprob = -0.05
        pair.servers["edge"].answer = prediction({"name": "Paris", "people": 1})
        pair.fields = AS_JSON if native else {}
        llm = pair.llm(ConfidenceRouter(n_samples=1))
        assert STRUCTURED[path](llm) == Capital(name="Paris", people=1)
        looks = len(pair.servers["edge"].requests)
        assert looks == (1 if native else 2)  # a tool call tells no log-probability
        assert pair.servers["cloud"].requests == []
        assert llm.stats.samples == looks


@pytest.mark.parametrize("path", ["predict", "apredict", "as_structured_llm"])
@pytest.mark.parametrize("native", [True, False])
def test_a_prediction_against_its_schema_goes_to_the_cloud(path: str, *, native: bool) -> None:
    with served() as pair:
        pair.servers["edge"].answer = prediction({"name": "Paris"})
        pair.servers["cloud"].answer = prediction({"name": "Paris", "people": 1})
        pair.fields = AS_JSON if native else {}
        assert STRUCTURED[path](pair.llm(ConfidenceRouter())) == Capital(name="Paris", people=1)
        assert pair.asked() == (1, 1)


def prediction(told: dict[str, Any]) -> Callable[[dict[str, Any], int], Any]:
    """Answer with an object: as a call of the tool that asks for it, or as JSON."""

    def answer(body: dict[str, Any], i: int) -> Any:
        if not body.get("tools"):
            return json.dumps(told)
        name = body["tools"][0]["function"]["name"]
        call = {"id": "1", "type": "function", "function": {"name": name, "arguments": json.dumps(told)}}
        return {"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}

    return answer


@pytest.mark.parametrize("include_raw", [False, True])
def test_an_output_that_its_client_cannot_read_is_no_sure_answer(
    servers: Servers, *, include_raw: bool
) -> None:
    servers.edge.answer = prediction({"name": "Paris"})
    servers.cloud.answer = prediction({"name": "Paris", "people": 1})
    log: list[Any] = []
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter(), on_error="raise")
    structured = llm.with_structured_output(Capital, method="json_schema", include_raw=include_raw)
    structured.invoke(ASK, {"callbacks": [Decisions(log)]})
    (told,) = log
    assert (told["route"], told["method"], told["score"]) == ("cloud", "confidence", 1.0)
    assert "cannot be read as the output that was asked for" in told["reason"]
    assert told["usage"]["output_tokens"] > 0


def test_one_further_output_that_cannot_be_read_only_disagrees(servers: Servers) -> None:
    servers.edge.logprob = None
    said = iter([1, 1, None, 1, 1])
    good, bad = json.dumps({"name": "Paris", "people": 1}), "Paris"
    servers.edge.answer = lambda body, i: good if next(said) else bad
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter())
    structured = llm.with_structured_output(Capital, method="json_schema")
    assert structured.invoke(ASK) == Capital(name="Paris", people=1)
    assert servers.cloud.requests == []


class Decisions(BaseCallbackHandler):
    """Collects decisions from their events."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.log.append(data)


@pytest.mark.parametrize("fields", [{"model_kwargs": {"response_format": {"type": "json_object"}}}])
@pytest.mark.parametrize(("probe", "route"), [("full", "cloud"), ("brief", "edge")])
def test_a_schema_that_is_set_on_the_model_holds(
    servers: Servers, fields: dict[str, Any], probe: Any, route: str
) -> None:
    servers.edge.answer = lambda body, i: "Paris"
    sides: dict[str, Any] = servers.sides() | {"edge": servers.model(servers.edge, **fields)}
    reply = ChatConfRoute(**sides, router=ConfidenceRouter(probe=probe)).invoke(ASK)
    assert reply.response_metadata["confroute"]["route"] == route
    assert ("response_format" in servers.edge.requests[0]) == (probe == "full")


@pytest.mark.parametrize("probe", ["full", "brief"])
def test_a_request_that_is_bad_is_handed_on(servers: Servers, probe: Any) -> None:
    servers.edge.fault, servers.edge.fault_message = "400", "filtered"
    with pytest.raises(Exception, match="filtered"):
        ChatConfRoute(**servers.sides(), router=ConfidenceRouter(probe=probe)).invoke(ASK)
    assert servers.cloud.requests == []


def test_a_bad_request_to_another_model_than_the_edge_is_a_failure_of_the_router(servers: Servers) -> None:
    servers.other.fault = "400"
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter(), sampler=servers.model(servers.other))
    assert llm.invoke(ASK).response_metadata["confroute"]["method"] == "fallback"


@pytest.mark.parametrize("router", [ConfidenceRouter(probe="brief"), EntropyRouter(probe="brief")])
def test_a_brief_look_has_room_for_a_call_of_a_tool(servers: Servers, router: Any) -> None:
    servers.edge.answer = prediction({"name": "x" * 100, "people": 1})
    llm = ChatConfRoute(**servers.sides(), router=router)
    reply = llm.bind_tools([Capital]).invoke(ASK)
    assert reply.response_metadata["confroute"]["route"] == "edge"
    look = servers.edge.requests[0]
    assert (look.get("max_tokens") or look.get("max_completion_tokens")) == 256


def test_a_model_that_calls_no_tools_can_be_looked_at(servers: Servers) -> None:
    other = FakeListChatModel(responses=["Paris"])
    llm = ChatConfRoute(**servers.sides(), router=ConfidenceRouter(), sampler=other)
    assert llm.bind_tools([Capital]).invoke(ASK).text == EDGE_SAYS


def test_a_llamaindex_model_that_calls_no_tools_can_be_looked_at() -> None:
    with served() as pair:
        llm = pair.llm(ConfidenceRouter(), sampler=MockLLM())
        chunks = PATHS["chat_with_tools"](llm)
        assert decision_of(chunks).method == "confidence"


def test_the_question_of_a_structured_output_is_found_in_messages(servers: Servers) -> None:
    router = ScriptedRouter("edge")
    servers.edge.answer = prediction({"name": "Paris", "people": 1})
    llm = ChatConfRoute(**servers.sides(), router=router, query=lambda messages: messages[-1].text[:5])
    llm.with_structured_output(Capital).invoke(ASK)
    assert router.requests[-1].query == ASK[:5]


def test_a_brief_look_asks_for_few_words(servers: Servers) -> None:
    ChatConfRoute(**servers.sides(), router=ConfidenceRouter(probe="brief")).invoke(ASK)
    look, reply = servers.edge.requests
    assert look["messages"][-1]["content"].endswith(BRIEF_INSTRUCTION)
    assert (look["temperature"], look.get("max_tokens") or look.get("max_completion_tokens")) == (0.0, 32)
    assert BRIEF_INSTRUCTION not in str(reply["messages"])
