"""Structured output of a pair of chat models, and the decision with it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue
from pydantic import BaseModel, field_validator

from confroute import ConfidenceRouter
from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute
from langchain_confroute.sampling import SAMPLE_TAG
from tests.unit.test_langchain_chat import Recorder, decision_of
from tests.unit.test_langchain_standard import Obliging
from tests.unit.test_langchain_surface import Book, obliging, search


@pytest.mark.parametrize("route", ["edge", "cloud"])
@pytest.mark.parametrize("method", ["function_calling", "json_mode"])
def test_structured_output_is_each_models_own(route: Any, method: str) -> None:
    class Joke(BaseModel):
        setup: str
        punchline: str

    runs, usage = Recorder(), UsageMetadataCallbackHandler()
    llm = obliging(route).with_structured_output(Joke, method=method)
    assert isinstance(llm.invoke("A joke?", {"callbacks": [runs, usage]}), Joke)
    assert list(usage.usage_metadata) == [f"{route}-model"]
    options = runs.chat_starts[0]["invocation_params"]
    assert ("tools" in options) == (method == "function_calling")
    ((_, event),) = runs.events
    assert event["route"] == route


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_with_include_raw_the_decision_is_on_raw(way: str) -> None:
    llm = obliging("cloud").with_structured_output(Book, include_raw=True)
    found: Any = llm.invoke("Which?") if way == "invoke" else asyncio.run(llm.ainvoke("Which?"))
    assert isinstance(found["parsed"], Book)
    assert decision_of(found["raw"]).route == "cloud"


async def test_a_structured_look_is_read_within_its_run_while_the_event_loop_goes_on() -> None:
    loop = asyncio.get_running_loop()
    went_on: list[bool] = []
    tags: list[list[str]] = []

    class Noticing(BaseModel):
        title: str

        @field_validator("title")
        @classmethod
        def notice(cls, title: str) -> str:
            turned = threading.Event()
            loop.call_soon_threadsafe(turned.set)
            went_on.append(turned.wait(2))
            return title

    class Parsers(BaseCallbackHandler):
        def on_chain_start(self, *arguments: Any, **told: Any) -> None:
            if told.get("run_type") == "parser":
                tags.append(told["tags"])

    edge, cloud = Obliging(model="edge-model"), Obliging(model="cloud-model")
    llm: Any = ChatConfRoute(edge=edge, cloud=cloud, router=ConfidenceRouter(n_samples=0, threshold=1.01))
    structured, config = llm.with_structured_output(Noticing), {"callbacks": [Parsers()]}
    assert isinstance(await structured.ainvoke("Which?", config), Noticing)
    assert isinstance(await asyncio.to_thread(structured.invoke, "Which?", config), Noticing)
    assert went_on == [True, True]
    assert [SAMPLE_TAG in told for told in tags] == [True, True]


@pytest.mark.parametrize(
    "given",
    ["Here: Which?", [("user", "Here: Which?")], ChatPromptValue(messages=[HumanMessage("Here: Which?")])],
)
def test_the_question_of_a_structured_output_is_found_in_messages_whatever_is_given(given: Any) -> None:
    router = ScriptedRouter("edge")
    edge, cloud = Obliging(model="edge-model"), Obliging(model="cloud-model")
    llm = ChatConfRoute(
        edge=edge, cloud=cloud, router=router, query=lambda messages: messages[-1].text.removeprefix("Here: ")
    )
    llm.with_structured_output(Book).invoke(given)
    assert [request.query for request in router.requests] == ["Which?"]


def test_structured_output_counts_in_the_same_accounts() -> None:
    llm = obliging("cloud")
    llm.with_structured_output(Book).invoke("Which?")
    llm.bind_tools([search]).invoke("Find it.")
    llm.invoke("hi")
    assert (llm.stats.calls, llm.stats.cloud_calls) == (3, 3)


# Fallbacks, retries, settings
