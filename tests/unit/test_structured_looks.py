"""Looks at models that are asked for structured outputs: the look is the output, held to its schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, NotRequired

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from llama_index.core.prompts import PromptTemplate
from typing_extensions import TypedDict

from confroute import ConfidenceRouter, EntropyRouter
from confroute.testing import ScriptedRouter
from langchain_confroute import (
    ChatConfRoute,
)
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_pairs import AS_JSON, served
from tests.looks import (
    ASK,
    Capital,
    Servers,
    prediction,
)
from tests.looks import servers as servers  # a fixture


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


def test_the_question_of_a_structured_output_is_found_in_messages(servers: Servers) -> None:
    router = ScriptedRouter("edge")
    servers.edge.answer = prediction({"name": "Paris", "people": 1})
    llm = ChatConfRoute(**servers.sides(), router=router, query=lambda messages: messages[-1].text[:5])
    llm.with_structured_output(Capital).invoke(ASK)
    assert router.requests[-1].query == ASK[:5]
