"""What tools and answers must look like, in the layouts that frameworks and providers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def tool_name(tool: Any) -> str:
    """Return the name of a tool in any of the layouts that frameworks and providers take."""
    if isinstance(tool, Mapping):
        return str(tool.get("name") or tool.get("function", {}).get("name") or tool.get("type", ""))
    return str(getattr(tool, "name", None) or getattr(tool, "__name__", tool))


def tool_schema(tool: Any) -> Mapping[str, Any] | None:
    """Return the JSON schema of a tool's arguments; None where the tool does not tell it."""
    if not isinstance(tool, Mapping):
        return None
    told: Mapping[str, Any] = tool["function"] if isinstance(tool.get("function"), Mapping) else tool
    found = next((told[key] for key in ("parameters", "input_schema", "inputSchema") if key in told), None)
    return found if isinstance(found, Mapping) else None


def answer_schema(arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON schema that the arguments of a call ask of the answer's text.

    Args:
        arguments: Those of the call and of what is bound to the model: OpenAI's ``response_format`` or
            Ollama's ``format``.

    Returns:
        The schema; an empty one where any JSON object will do; None where nothing is asked.
    """
    for key in ("response_format", "format"):
        asked: Any = arguments.get(key)
        if hasattr(asked, "model_json_schema"):
            schema: Mapping[str, Any] = asked.model_json_schema()
            return schema
        if asked == "json" or (isinstance(asked, Mapping) and asked.get("type") == "json_object"):
            return {"type": "object"}
        if isinstance(asked, Mapping) and asked.get("type") == "json_schema":
            told = asked.get("json_schema", asked)
            return told.get("schema") if isinstance(told, Mapping) else None
        if key == "format" and isinstance(asked, Mapping):
            return asked
    return None
