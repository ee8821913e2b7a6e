"""Answers that are data: tool calls, and JSON that was asked for; and whether they can be used."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from confroute.answers import without_thought
from confroute.decision import RouteRequest, Sample, ToolCall
from confroute.schemas import UNKNOWN_TOOL
from confroute.uncertainty.refusal import is_refusal

_TOLD_CHARS = 120  # of a schema's rule, in a decision's reason
_NOTHING = object()


def calls_of(sample: Sample) -> list[Any]:
    """Return the tool calls of an answer as plain data, in order."""
    return [
        [call.name, call.unread if call.unread is not None else plain(call.args)]
        for call in sample.tool_calls
    ]


def plain(value: Any) -> Any:
    """Return a value as JSON would carry it."""
    return json.loads(json.dumps(value, default=str, ensure_ascii=False))


def asked_json(text: str, default: Any = None) -> Any:
    """Return the JSON value that an answer consists of, in a fence or not; `default` where it is no JSON."""
    said = without_thought(text).strip()
    if said.startswith("```") and said.endswith("```"):
        first, _, body = said.removesuffix("```").partition("\n")
        said = body if first.lower() in ("```", "```json") else said
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        return default


def problem_of(sample: Sample, request: RouteRequest) -> str | None:
    """Return why an answer cannot be used, whatever agrees with it.

    Args:
        sample: The answer.
        request: What was asked, with the tools that are bound and the schemas that hold.

    Returns:
        A clause that goes on after "the edge's answer": it is empty, declines to answer, calls a tool that
        is not bound, hands a tool what does not fit its schema, writes a call as text, or is not the JSON
        that was asked for. None where it can be used.
    """
    if sample.problem is not None:
        return sample.problem
    if sample.is_empty:
        return "is a thought without an end" if sample.text.strip() else "is empty"
    if sample.tool_calls:
        problems = (_problem_of_call(call, request) for call in sample.tool_calls)
        return next((problem for problem in problems if problem is not None), None)
    if request.answer_schema is not None:
        value = asked_json(sample.text, _NOTHING)
        if value is _NOTHING:
            return "is not the JSON that was asked for"
        misfit = _misfit(value, request.answer_schema)
        return None if misfit is None else f"does not fit the schema that was asked for: {misfit}"
    if request.tools and _is_written_call(sample.text, request.tools):
        return "writes the call of a tool as text"
    return "declines to answer" if is_refusal(sample.text, request.query) else None


def _is_written_call(text: str, tools: Collection[str]) -> bool:
    """Whether a text is the call of a tool, or a list of them, in a layout that models are taught."""
    said = without_thought(text).strip().removeprefix("<tool_call>").removesuffix("</tool_call>")
    told = asked_json(said)
    for call in told if isinstance(told, list) else [told]:
        inner = call.get("function", call) if isinstance(call, dict) else None
        if (
            isinstance(inner, dict)
            and inner.get("name") in tools
            and inner.keys() & {"arguments", "parameters"}
        ):
            return True
    return False


def _problem_of_call(call: ToolCall, request: RouteRequest) -> str | None:
    if call.name not in request.tools and UNKNOWN_TOOL not in request.tools:
        return "calls a tool that does not exist"
    if call.unread is not None:
        return f"calls {call.name!r} with arguments that are no JSON"
    schema = request.tool_schemas.get(call.name)
    misfit = None if schema is None else _misfit(plain(call.args), schema)
    return None if misfit is None else f"calls {call.name!r} with arguments that do not fit: {misfit}"


def _misfit(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return which rule of a schema a value breaks; None if none, or where the schema itself is none.

    The rule is told and nothing of the value, since decisions are logged.
    """
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    validator = _validator(json.dumps(schema, sort_keys=True, default=str))
    try:
        error = None if validator is None else best_match(validator.iter_errors(value))
    except (Unresolvable, RecursionError):
        return None
    if error is None:
        return None
    told = "/".join(str(part) for part in error.absolute_schema_path)
    return told if len(told) <= _TOLD_CHARS else f"{told[: _TOLD_CHARS - 1]}…"


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    """Return what checks values against a schema, given as JSON; None where it is no schema."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    told = json.loads(schema)
    kind = validator_for(told)
    try:
        kind.check_schema(told)
    except (SchemaError, RecursionError):
        return None
    return kind(told, registry=Registry())
