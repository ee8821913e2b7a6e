"""Answers that can be used and those that cannot: tool calls, JSON, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from confroute import ConfidenceRouter
from confroute.decision import Message, RouteRequest, Sample, ToolCall
from tests.scripted_edge import QUESTION, Edge, said

WITH_TOOLS = RouteRequest(
    (Message("user", "Write to Ada that I am late."),),
    tools=("write", "wait"),
    tool_schemas={
        "write": {
            "type": "object",
            "properties": {
                "to": {"type": "string"},
                "text": {"type": "string"},
                "copies": {"type": "integer"},
            },
            "required": ["to"],
        }
    },
)
WITH_SCHEMA = RouteRequest(
    (Message("user", "Who wrote Emma, and when?"),),
    answer_schema={
        "type": "object",
        "properties": {"author": {"type": "string"}, "year": {"type": "integer"}},
        "required": ["author", "year"],
    },
)


def calls(name: str, unread: str | None = None, **args: Any) -> Sample:
    return Sample("", tool_calls=(ToolCall(name, args, unread),), logprob=-0.001, n_tokens=3)


@pytest.mark.parametrize(
    ("request_", "answer", "told"),
    [
        (QUESTION, said("", 0.99), "is empty"),
        (QUESTION, said("<think>It may be", 0.99), "is a thought without an end"),
        (QUESTION, said("<think>I know this.</think> I don't know.", 0.99), "declines to answer"),
        (QUESTION, calls("write", to="Ada"), "calls a tool that does not exist"),
        (WITH_TOOLS, calls("send", to="Ada"), "calls a tool that does not exist"),
        (WITH_TOOLS, calls("write", unread='{"to": '), "calls 'write' with arguments that are no JSON"),
        (WITH_TOOLS, calls("write", text="late"), "arguments that do not fit: required"),
        (WITH_TOOLS, calls("write", to="Ada", copies="x"), "do not fit: properties/copies/type"),
        (
            WITH_TOOLS,
            said('{"name": "write", "arguments": {"to": "Ada"}}', 0.99),
            "writes the call of a tool",
        ),
        (WITH_TOOLS, said('```json\n[{"name": "wait", "parameters": {}}]\n```', 0.99), "writes the call"),
        (
            WITH_TOOLS,
            said('<tool_call>\n{"function": {"name": "wait", "arguments": "{}"}}\n</tool_call>', 0.99),
            "writes the call",
        ),
        (WITH_SCHEMA, said("Jane Austen, 1815", 0.99), "is not the JSON that was asked for"),
        (WITH_SCHEMA, said('{"author": "Jane Austen"}', 0.99), "does not fit the schema that was asked for"),
    ],
)
def test_what_cannot_be_used_is_no_sure_answer(request_: RouteRequest, answer: Sample, told: str) -> None:
    edge = Edge(answer)
    decided = ConfidenceRouter().decide(request_, edge)
    assert (decided.decision.route, decided.decision.score, len(edge.draws)) == ("cloud", 1.0, 1)
    assert told in decided.decision.reason
    assert decided.draft is None


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (WITH_TOOLS, calls("write", to="Ada", text="late", copies=1)),
        (WITH_TOOLS, calls("wait", anything=1)),  # its schema is unknown
        (WITH_TOOLS, said("To whom?", 0.99)),
        (WITH_TOOLS, said('{"name": "Ada", "arguments": {}}', 0.99)),
        (WITH_TOOLS, said('{"name": "write"}', 0.99)),
        (WITH_SCHEMA, said('```json\n{"author": "Jane Austen", "year": 1815}\n```', 0.99)),
        (RouteRequest.from_text("Which song?"), said("“I Can't Get No Satisfaction”", 0.99)),
    ],
)
def test_what_can_be_used_is(request_: RouteRequest, answer: Sample) -> None:
    decided = ConfidenceRouter().decide(request_, Edge(answer))
    assert decided.decision.route == "edge", decided.decision.reason
    assert decided.draft == answer


def agreed(request: RouteRequest, first: Sample, other: Sample) -> float:
    first, other = (Sample(s.text, s.tool_calls) for s in (first, other))
    decided = ConfidenceRouter(n_samples=1, threshold=0.5).decide(request, Edge(first, other))
    assert decided.decision.score is not None
    return 1 - decided.decision.score


def test_tool_calls_agree_by_their_arguments() -> None:
    first = calls("write", to="Ada", text="I will be late.", copies=1)
    assert agreed(WITH_TOOLS, first, calls("write", copies=1, text="I will be late.", to="Ada")) == 1
    assert agreed(WITH_TOOLS, first, calls("write", to="Ada", text="I'll be late", copies=1)) > 0.5
    assert agreed(WITH_TOOLS, first, calls("write", to="Bob", text="I will be late.", copies=1)) == 0
    assert agreed(WITH_TOOLS, first, calls("write", to="Ada", text="I will be late.", copies=2)) == 0
    assert agreed(WITH_TOOLS, first, calls("write", to="Ada", text="I will be late.")) == 0
    assert agreed(WITH_TOOLS, first, calls("wait")) == 0
    chinese = [calls("write", to="Ada", text=text) for text in ("我会迟到", "我会迟到。", "我不会迟到")]
    assert agreed(WITH_TOOLS, chinese[0], chinese[1]) > 0.5
    assert agreed(WITH_TOOLS, first, Sample("I will be late.")) == 0
    assert agreed(WITH_TOOLS, first, Sample("")) == 0


def test_json_that_was_asked_for_agrees_by_content() -> None:
    first = Sample('{"author": "Jane Austen", "year": 1815}')
    assert agreed(WITH_SCHEMA, first, Sample('{\n "year": 1815, "author": "Jane Austen"}')) == 1
    assert agreed(WITH_SCHEMA, first, Sample('{"year": 1816, "author": "Jane Austen"}')) == 0


def test_reasons_tell_nothing_of_what_the_model_said() -> None:
    secret = "Hans Mueller, HIV positive"
    closed = RouteRequest(
        WITH_SCHEMA.messages,
        tools=("write",),
        tool_schemas={"write": {"type": "object", "additionalProperties": {"type": "integer"}}},
        answer_schema={"type": "object", "additionalProperties": {"type": "integer"}},
    )
    for answer in (
        calls("write", **{secret: "x"}),
        calls(secret),
        calls("write", unread=secret),
        said(f'{{"{secret}": "x"}}', 0.99),
    ):
        decision = ConfidenceRouter().decide(closed, Edge(answer)).decision
        assert decision.route == "cloud"
        assert "Mueller" not in decision.reason


def test_numbers_agree_as_numbers() -> None:
    first = calls("write", to="Ada", copies=1)
    assert agreed(WITH_TOOLS, first, calls("write", to="Ada", copies=1.0)) == 1
    assert agreed(WITH_TOOLS, first, calls("write", to="Ada", copies=True)) == 0


def test_a_null_that_was_asked_for_is_an_answer() -> None:
    request = RouteRequest(WITH_SCHEMA.messages, answer_schema={"type": ["object", "null"]})
    assert ConfidenceRouter().decide(request, Edge(said("null", 0.99))).decision.route == "edge"


@pytest.mark.parametrize(
    "filler",
    [
        "\n",
        " ",
        "```\n",
        "x",
        "<think>",
        "\n<think></think>",
        "\n<think>x",
        "{",
        "\\boxed{",
        "the answer is ",
        "A. ",
    ],
)
def test_long_answers_are_read_in_one_pass(filler: str) -> None:
    """A quadratic reading of these would take minutes."""
    text = "```json" + filler * 40_000 + '"x"'
    for request in (QUESTION, WITH_SCHEMA):
        ConfidenceRouter(threshold=0.0).decide(request, Edge(said(text, 0.5), said(text), said("y")))
