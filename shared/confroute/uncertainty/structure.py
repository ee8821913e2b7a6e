"""Answers that are data: tool calls, and JSON that was asked for; and whether they can be used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from confroute.answers import without_thought
from confroute.decision import RouteRequest, Sample, ToolCall
from confroute.uncertainty.refusal import is_refusal

_TOLD_CHARS = 120  # of a schema or a name, in a decision's reason; an answer itself is never told there
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL | re.IGNORECASE)


def calls_of(sample: Sample) -> list[Any]:
    """Return the tool calls of an answer as plain data, in order."""
    return [
        [call.name, call.unread if call.unread is not None else plain(call.args)]
        for call in sample.tool_calls
    ]


def plain(value: Any) -> Any:
    """Return a value as JSON would carry it."""
    return json.loads(json.dumps(value, default=str, ensure_ascii=False))


def asked_json(text: str) -> Any:
    """Return the JSON value that an answer consists of, in a fence or not; None where it is no JSON."""
    said = without_thought(text)
    fenced = _FENCED.match(said)
    try:
        return json.loads(fenced[1] if fenced else said)
    except (ValueError, RecursionError):
        return None


def problem_of(sample: Sample, request: RouteRequest) -> str | None:
    """Return why an answer cannot be used, whatever agrees with it.

    Args:
        sample: The answer.
        request: What was asked, with the tools that are bound and the schemas that hold.

    Returns:
        A clause that goes on after "the edge's answer": it is empty, declines to answer, calls a tool that
        is not bound, hands a tool what does not fit its schema, or is not the JSON that was asked for. None
        where it can be used.
    """
    if sample.is_empty:
        return "is a thought without an end" if sample.text.strip() else "is empty"
    if sample.tool_calls:
        problems = (_problem_of_call(call, request) for call in sample.tool_calls)
        return next((problem for problem in problems if problem is not None), None)
    if request.answer_schema is not None:
        value = asked_json(sample.text)
        if value is None:
            return "is not the JSON that was asked for"
        misfit = _misfit(value, request.answer_schema)
        return None if misfit is None else f"does not fit the schema that was asked for: {misfit}"
    return "declines to answer" if is_refusal(sample.text, request.query) else None


def _problem_of_call(call: ToolCall, request: RouteRequest) -> str | None:
    if call.name not in request.tools and "" not in request.tools:  # a tool without a name is unknown
        return f"calls a tool that does not exist: {_cut(call.name)}"
    if call.unread is not None:
        return f"calls {call.name!r} with arguments that are no JSON"
    schema = request.tool_schemas.get(call.name)
    misfit = None if schema is None else _misfit(plain(call.args), schema)
    return None if misfit is None else f"calls {call.name!r} with arguments that do not fit: {misfit}"


def _misfit(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return in what a value does not fit a schema; None where it does, or where the schema is none."""
    from jsonschema.exceptions import SchemaError, best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        told = dict(schema)
        kind = validator_for(told)
        kind.check_schema(told)
        error = best_match(kind(told, registry=Registry()).iter_errors(value))
    except (SchemaError, Unresolvable, RecursionError):
        return None
    if error is None:
        return None
    where = "/".join(str(part) for part in error.absolute_path) or "the whole"
    return _cut(f"{where} breaks {error.validator}: {json.dumps(error.validator_value, default=str)}")


def _cut(text: str) -> str:
    return text if len(text) <= _TOLD_CHARS else f"{text[: _TOLD_CHARS - 1]}…"
