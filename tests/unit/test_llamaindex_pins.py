"""What pins a thread whose prompts are made of texts, and what does not."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, SummaryIndex, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine.types import ChatMode
from llama_index.core.llms import LLM
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

import confroute
from confroute import EntropyRouter
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM
from llamaindex_confroute._turns import TurnMemory
from tests.llamaindex_doubles import ScriptedLLM, tool_call

SECRET = "What does the contract of Mr Smith (diabetes) say?"


@pytest.fixture(autouse=True)
def nothing_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_pins", "_said"):
        monkeypatch.setattr(TurnMemory, name, type(TurnMemory._pins)())


def pair(edge: list[Any] | None = None, router: Any = None, **settings: Any) -> ConfRouteLLM:
    return ConfRouteLLM(
        edge=ScriptedLLM(model="edge-model", answers=edge or ["the edge replies at length"]),
        cloud=ScriptedLLM(model="cloud-model", answers=["the cloud replies"]),
        router=router or ScriptedRouter("cloud"),
        **settings,
    )


def seen(model: LLM) -> list[Any]:
    asked: list[Any] = model.seen  # type: ignore[attr-defined]  # the double's record
    return asked


def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(
        [Document(text="The boiler is due for service in May.")], embed_model=MockEmbedding(3)
    )


@pytest.mark.parametrize(
    "mode", [ChatMode.CONDENSE_QUESTION, ChatMode.CONDENSE_PLUS_CONTEXT, ChatMode.CONTEXT]
)
def test_a_private_thread_stays_private_in_every_chat_engine(mode: ChatMode) -> None:
    def reply(messages: Any) -> str:
        text = str(messages)
        condenses = "standalone" in text.lower() or "rephrase" in text.lower()
        return (
            "Does Mr Smith, who has diabetes, get a longer one?" if condenses else "a month's notice it says"
        )

    llm = pair([reply])
    engine = index().as_chat_engine(chat_mode=mode, llm=llm)
    with confroute.control(private=True):
        engine.chat(SECRET)
    engine.chat("Does he get a longer one?")
    assert seen(llm.cloud) == []


@pytest.mark.parametrize("ask", ["query", "predict", "structured"])
def test_a_private_question_pins_no_other_that_shares_its_template(ask: str) -> None:
    class Answer(BaseModel):
        text: str

    def once(llm: ConfRouteLLM, question: str) -> None:
        if ask == "query":
            index().as_query_engine(llm=llm).query(question)
        elif ask == "predict":
            llm.predict(PromptTemplate("You are a careful translator.\nTranslate: {q}"), q=question)
        else:
            prompt = PromptTemplate("You are a careful translator.\nTranslate: {q}")
            llm.structured_predict(Answer, prompt, q=question)

    answers = [tool_call("Answer", text="x")] if ask == "structured" else None
    first, second = pair(answers), pair(answers)
    with confroute.control(private=True):
        once(first, SECRET)
    if ask == "structured":
        second.cloud.answers = answers  # type: ignore[attr-defined]  # the double's answers
    once(second, "Who wrote Effi Briest, and when was that?")
    assert (len(seen(second.edge)), len(seen(second.cloud))) == (0, 1)


def test_what_a_model_hands_to_a_tool_in_private_stays_private() -> None:
    first = pair([tool_call("search", query="Mr Smith diabetes notice")])
    with confroute.control(private=True):
        first.chat([ChatMessage(SECRET)])
    second = pair()
    index().as_query_engine(llm=second).query("Mr Smith diabetes notice")
    assert seen(second.cloud) == []


def test_a_turn_does_not_go_on_because_a_prompt_ends_in_a_system_message() -> None:
    llm = pair(router=ScriptedRouter("edge"))
    with confroute.control(route="cloud"):
        llm.chat([ChatMessage("What is our policy?")])
    reply = llm.chat([ChatMessage("What is our policy?"), ChatMessage("Answer in German.", role="system")])
    assert reply.message.additional_kwargs["confroute"]["method"] == "trained"


# Accounts


@pytest.mark.parametrize("way", ["break", "next"])
def test_a_stream_that_is_broken_off_is_counted(way: str) -> None:
    llm = pair(router=ScriptedRouter("edge"))
    if way == "break":
        for _ in llm.stream_complete("q"):
            break
    else:
        chunks = llm.stream_chat([ChatMessage("q")])
        next(chunks)
        del chunks
    gc.collect()
    assert llm.stats.calls == 1


def test_samples_drawn_before_one_failed_are_counted() -> None:
    def third_fails(messages: Any) -> str:
        if len(seen(llm.edge)) == 3:
            raise ConnectionError("refused")
        return "Paris"

    llm = pair([third_fails], EntropyRouter(n_samples=5, probe="brief"))
    decision = llm.chat([ChatMessage("Capital?")]).additional_kwargs["confroute"]
    assert (decision["method"], decision["n_samples"]) == ("fallback", 4)
    assert decision["usage"]["output_tokens"] == 4
    assert llm.stats.samples == 4


def test_samples_that_came_too_late_have_an_unknown_cost() -> None:
    def slow(messages: Any) -> str:
        import time

        time.sleep(0.3)
        return "Paris"

    llm = pair([slow], EntropyRouter(n_samples=2, probe="brief"), edge_timeout=0.05)
    decision = llm.chat([ChatMessage("Capital?")]).additional_kwargs["confroute"]
    assert decision["usage"] == {"input_tokens": None, "output_tokens": None, "usd": None}


@pytest.mark.parametrize("stream", [False, True])
def test_an_object_that_says_that_nothing_was_found_is_an_answer(stream: bool) -> None:
    class Found(BaseModel):
        names: list[str]

    llm = pair([tool_call("Found", names=[])], ScriptedRouter("edge"))
    prompt = PromptTemplate("{q}")
    if stream:
        found = list(llm.stream_structured_predict(Found, prompt, q="x"))[-1]
    else:
        found = llm.structured_predict(Found, prompt, q="x")
    assert (found.names, llm.stats.fallbacks) == ([], 0)


def test_a_summary_of_a_private_document_pins_by_its_question_alone() -> None:
    documents = [Document(text="The boiler is due for service in May.")]
    first, second = pair(), pair()
    with confroute.control(private=True):
        SummaryIndex.from_documents(documents).as_query_engine(llm=first).query(SECRET)
    SummaryIndex.from_documents(documents).as_query_engine(llm=second).query(
        "When is the boiler due for service?"
    )
    assert len(seen(second.cloud)) == 1
