"""What tools and answers must look like, in the layouts that frameworks and providers take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

UNKNOWN_TOOL = ""
"""Stands for a tool whose name cannot be read."""


def told_tools(tools: Iterable[Any]) -> dict[str, Mapping[str, Any] | None]:
    """Return what bound tools are called, and the JSON schema of their arguments where they tell it.

    Args:
        tools: Tools in any of the layouts that frameworks and providers take: OpenAI's, Anthropic's,
            Gemini's ``function_declarations``, Bedrock's ``toolSpec``, or objects with a name.

    Returns:
        Schemas by name; `UNKNOWN_TOOL` stands for all that cannot be read.
    """
    found: dict[str, Mapping[str, Any] | None] = {}
    for tool in tools:
        declared = _of(tool, "function_declarations") or _of(tool, "functionDeclarations")
        for told in declared or [tool]:
            inner = next((i for key in ("function", "toolSpec", "custom") if (i := _of(told, key))), told)
            name = _of(inner, "name") or _of(inner, "__name__") or _of(inner, "type") or UNKNOWN_TOOL
            found[str(name)] = _schema(inner)
    return found


def _schema(tool: Any) -> Mapping[str, Any] | None:
    schema = next((s for key in ("parameters", "input_schema", "inputSchema") if (s := _of(tool, key))), None)
    schema = schema["json"] if isinstance(schema, Mapping) and "json" in schema else schema
    is_schema = isinstance(schema, Mapping) and (
        "properties" in schema or isinstance(schema.get("type"), str)
    )
    return schema if is_schema else None


def _of(told: Any, key: str) -> Any:
    return told.get(key) if isinstance(told, Mapping) else getattr(told, key, None)


_ASKS_JSON = ("response_format", "format", "json_mode")
_NESTS = ("model_kwargs", "additional_kwargs", "extra_body")
"""Where clients keep arguments of their requests."""


def asked_of(model: object) -> dict[str, Any]:
    """Return the arguments by which a model object itself asks for JSON; nothing where it does not."""
    own = {name: getattr(model, name, None) for name in _ASKS_JSON}
    for place in _NESTS:
        nested = getattr(model, place, None)
        if isinstance(nested, Mapping):
            own |= {name: nested[name] for name in _ASKS_JSON if nested.get(name) is not None}
    return {name: value for name, value in own.items() if value}


def unasked(model: object) -> dict[str, Any]:
    """Return the fields of a copy of a model that asks for no JSON, as far as it has them set."""
    fields: dict[str, Any] = dict.fromkeys(
        name for name in ("response_format", "format") if getattr(model, name, None)
    )
    if getattr(model, "json_mode", False):
        fields["json_mode"] = False
    for place in _NESTS:
        nested = getattr(model, place, None)
        if isinstance(nested, Mapping) and any(name in nested for name in _ASKS_JSON):
            fields[place] = without_schema(nested)
    return fields


def without_schema(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call that asks something else of the model than the schema is for."""
    return {name: value for name, value in arguments.items() if name not in _ASKS_JSON}


def answer_schema(arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON schema that the arguments of a call ask of the answer's text.

    Args:
        arguments: Those of the call and of what is bound to the model: OpenAI's ``response_format`` or
            Ollama's ``format``.

    Returns:
        The schema; one of any object or of any JSON where no more is asked; None where nothing is.
    """
    for key in _ASKS_JSON:
        asked: Any = arguments.get(key)
        if hasattr(asked, "model_json_schema"):
            schema: Mapping[str, Any] = asked.model_json_schema()
            return schema
        if (
            asked is True
            or asked == "json"
            or (isinstance(asked, Mapping) and asked.get("type") == "json_object")
        ):
            return {"type": "object"}
        if isinstance(asked, Mapping) and asked.get("type") == "json_schema":
            told = asked.get("json_schema", asked)
            found = told.get("schema") if isinstance(told, Mapping) else None
            return found if isinstance(found, Mapping) else {}
        if key == "format" and isinstance(asked, Mapping):
            return asked
    return None
