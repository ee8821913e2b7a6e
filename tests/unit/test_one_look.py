"""What deciding sends: one look, and more only where it can matter; counted at servers, by every path."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import ToolMetadata

from confroute import ConfidenceRouter, EntropyRouter
from confroute.routers.probing import BRIEF_INSTRUCTION
from langchain_confroute import (
    ChatConfRoute,
    ConfRouteMiddleware,
    RunnableConfRoute,
    RunnableRouteDecision,
)
from llamaindex_confroute import ConfRouteLLM, ConfRouteSelector
from tests.llamaindex_pairs import model, served
from tests.llamaindex_paths import PATHS, decision_of, text_of
from tests.looks import (
    ASK,
    CHAT_ONLY,
    EDGE_SAYS,
    LANGCHAIN,
    PROBES,
    Capital,
    Servers,
    check,
    prediction,
)
from tests.looks import servers as servers  # a fixture
from tests.openai_server import OpenAIServer


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


@pytest.mark.parametrize("path", ["generate", "agenerate"])
def test_an_edge_that_streams_by_itself_generates_too(servers: Servers, path: str) -> None:
    edge = servers.model(servers.edge, streaming=True)
    llm = ChatConfRoute(edge=edge, cloud=servers.model(servers.cloud), router=ConfidenceRouter(probe="brief"))
    asked: Any = [[HumanMessage(ASK)]]
    result = llm.generate(asked) if path == "generate" else asyncio.run(llm.agenerate(asked))
    assert result.generations[0][0].text == EDGE_SAYS
    assert (len(servers.edge.requests), len(servers.cloud.requests)) == (2, 0)


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


def test_generate_of_a_streaming_client(servers: Servers) -> None:
    sides: dict[str, Any] = servers.sides() | {"edge": servers.model(servers.edge, streaming=True)}
    llm = ChatConfRoute(**sides, router=ConfidenceRouter(probe="brief"))
    check(servers, CHAT_ONLY["generate"](llm), 2)


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


def test_a_brief_look_asks_for_few_words(servers: Servers) -> None:
    ChatConfRoute(**servers.sides(), router=ConfidenceRouter(probe="brief")).invoke(ASK)
    look, reply = servers.edge.requests
    assert look["messages"][-1]["content"].endswith(BRIEF_INSTRUCTION)
    assert (look["temperature"], look.get("max_tokens") or look.get("max_completion_tokens")) == (0.0, 32)
    assert BRIEF_INSTRUCTION not in str(reply["messages"])
