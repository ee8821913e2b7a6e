from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from confroute import ConfidenceRouter
from confroute.decision import Message, RouteRequest, Sample, ToolCall
from confroute.schemas import answer_schema, told_tools
from confroute.testing import ScriptedSampler

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "add", "parameters": SCHEMA}},
        {"type": "function", "name": "add", "parameters": SCHEMA},
        {"name": "add", "input_schema": SCHEMA},
        {"toolSpec": {"name": "add", "inputSchema": {"json": SCHEMA}}},
        {"function_declarations": [{"name": "add", "parameters": SCHEMA}]},
        SimpleNamespace(function_declarations=[SimpleNamespace(name="add", parameters=SCHEMA)]),
    ],
)
def test_tools_in_the_layouts_of_providers(tool: Any) -> None:
    assert told_tools([tool]) == {"add": SCHEMA}


def test_tools_that_tell_no_schema_or_no_name() -> None:
    assert told_tools([{"type": "web_search"}, SimpleNamespace(name="add"), object()]) == {
        "web_search": None,
        "add": None,
        "": None,
    }


def test_a_call_is_not_judged_where_a_tool_has_no_name() -> None:
    request = RouteRequest((Message("user", "?"),), tools=tuple(told_tools([object()])))
    call = Sample("", tool_calls=(ToolCall("add", {}),), logprob=-0.01, n_tokens=2)
    assert ConfidenceRouter().decide(request, ScriptedSampler([call])).decision.route == "edge"


class Capital(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        ({"response_format": Capital}, Capital.model_json_schema()),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}},
            SCHEMA,
        ),
        ({"response_format": {"type": "json_object"}}, {"type": "object"}),
        ({"format": SCHEMA}, SCHEMA),
        ({"format": "json"}, {"type": "object"}),
        ({"response_format": {"type": "text"}}, None),
        ({"temperature": 1}, None),
    ],
)
def test_the_schema_of_an_answer(arguments: dict[str, Any], schema: Any) -> None:
    assert answer_schema(arguments) == schema
