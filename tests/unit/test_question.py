"""The router sees the question, also where it stands among passages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig
from llama_index.core import Document, MockEmbedding, SummaryIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.response_synthesizers import ResponseMode

from confroute.testing import ScriptedRouter
from langchain_confroute import (
    ChatConfRoute,
    ConfRouteMiddleware,
    RunnableConfRoute,
    RunnableRouteDecision,
)
from llamaindex_confroute import ConfRouteLLM
from tests.langchain_doubles import ScriptedChat
from tests.llamaindex_doubles import ScriptedLLM

QUESTION = "When is the boiler due?"
PASSAGES = "The boiler of the plant is serviced each year by the firm Meyer. " * 20
PROMPT = f"Question: {QUESTION}\nAnswer from these passages:\n{PASSAGES}"
ASKED: RunnableConfig = {"configurable": {"confroute_query": QUESTION}}


def first_line(messages: Any) -> str:
    return str(messages[-1].text).split("\n")[0].removeprefix("Question: ")


def sides() -> dict[str, Any]:
    return {"edge": ScriptedChat(model="edge-model"), "cloud": ScriptedChat(model="cloud-model")}


async def alisted(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


PATHS: dict[str, Callable[[Any, Any], Any]] = {
    "invoke": lambda llm, config: llm.invoke(PROMPT, config),
    "ainvoke": lambda llm, config: asyncio.run(llm.ainvoke(PROMPT, config)),
    "stream": lambda llm, config: list(llm.stream(PROMPT, config)),
    "astream": lambda llm, config: asyncio.run(alisted(llm.astream(PROMPT, config))),
    "batch": lambda llm, config: llm.batch([PROMPT], config),
}


@pytest.mark.parametrize("path", PATHS)
def test_a_function_finds_it(path: str) -> None:
    router = ScriptedRouter("edge")
    PATHS[path](ChatConfRoute(**sides(), router=router, query=first_line), None)
    (request,) = router.requests
    assert request.query == QUESTION
    assert PASSAGES.strip() in request.messages[-1].text


@pytest.mark.parametrize("path", PATHS)
def test_the_config_names_it(path: str) -> None:
    router = ScriptedRouter("edge")
    PATHS[path](ChatConfRoute(**sides(), router=router), ASKED)
    assert [request.query for request in router.requests] == [QUESTION]


def test_the_config_of_a_chain_names_it() -> None:
    router = ScriptedRouter("edge")
    llm = ChatConfRoute(**sides(), router=router)
    chain = ChatPromptTemplate.from_template("{passages}\n{question}") | llm
    chain.invoke({"passages": PASSAGES, "question": QUESTION}, ASKED)
    assert router.requests[-1].query == QUESTION


def test_it_is_the_question_of_one_call_only() -> None:
    inner, outer = ScriptedRouter("edge"), ScriptedRouter("edge")
    pair = ChatConfRoute(**sides(), router=inner)
    ChatConfRoute(edge=pair, cloud=sides()["cloud"], router=outer).invoke("Something else?", ASKED)
    assert (outer.requests[-1].query, inner.requests[-1].query) == (QUESTION, "Something else?")


def test_a_chain_around_the_models_finds_it() -> None:
    router = ScriptedRouter("edge")
    pair = RunnableConfRoute(**sides(), router=router, query=lambda given: given.split("\n")[0][10:])
    pair.invoke(PROMPT)
    (request,) = router.requests
    assert request.query == QUESTION
    assert PASSAGES.strip() in request.messages[-1].text
    verdict = RunnableRouteDecision(router=router, query=lambda given: given["asked"])
    verdict.invoke({"asked": QUESTION, "passages": PASSAGES})
    assert router.requests[-1].query == QUESTION


@pytest.mark.parametrize("settings", [{"query": first_line}, {}])
def test_an_agent_finds_it(settings: dict[str, Any]) -> None:
    router = ScriptedRouter("edge")
    routing = ConfRouteMiddleware(**sides(), router=router, **settings)
    agent = create_agent(sides()["cloud"], middleware=[routing])
    agent.invoke({"messages": [HumanMessage(PROMPT)]}, None if settings else ASKED)
    assert [request.query for request in router.requests] == [QUESTION]


def llm_of(router: ScriptedRouter, **settings: Any) -> ConfRouteLLM:
    edge, cloud = (
        ScriptedLLM(model=f"{side}-model", answers=["In May."] * 20, is_chat_model=settings.pop(side, True))
        for side in ("edge", "cloud")
    )
    return ConfRouteLLM(edge=edge, cloud=cloud, router=router, **settings)


@pytest.mark.parametrize(
    "mode",
    [ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE, ResponseMode.SIMPLE_SUMMARIZE],
)
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("chats", [False, True])
def test_llamaindex_engines_know_it(mode: ResponseMode, *, streaming: bool, chats: bool) -> None:
    router = ScriptedRouter("edge")
    llm = llm_of(router, edge=chats, cloud=chats)
    index = SummaryIndex.from_documents([Document(text=PASSAGES)], embed_model=MockEmbedding(8))
    engine = index.as_query_engine(llm=llm, response_mode=mode, streaming=streaming)
    str(engine.query(QUESTION))
    assert {request.query for request in router.requests} == {QUESTION}


@pytest.mark.parametrize("method", ["chat", "complete"])
def test_llamaindex_users_name_it(method: str) -> None:
    router = ScriptedRouter("edge")
    llm = llm_of(router, query=lambda given: str(getattr(given[-1], "content", given)).split("\n")[0][10:])
    getattr(llm, method)([ChatMessage(PROMPT)] if method == "chat" else PROMPT)
    assert router.requests[-1].query == QUESTION


def test_otherwise_it_is_the_last_human_turn() -> None:
    router = ScriptedRouter("edge")
    ChatConfRoute(**sides(), router=router).invoke(PROMPT)
    assert router.requests[-1].query == PROMPT
