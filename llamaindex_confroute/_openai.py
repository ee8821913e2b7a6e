"""Several answers in one request, from LlamaIndex's clients for OpenAI and servers like it.

LlamaIndex hands out the first choice only; the others are in the provider's own reply.
"""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.llms import LLM

from confroute.choices import counted_alone
from confroute.decision import Usage
from llamaindex_confroute._messages import Reply


def takes_n(model: LLM, method: str) -> bool:
    """Whether a model draws several answers in one request: OpenAI's chat client, and those built on it."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(model).__mro__}
    chats = getattr(model, "is_chat_model", None)
    is_chat = chats if isinstance(chats, bool) else model.metadata.is_chat_model
    return (
        is_chat
        and ("llama_index.llms.openai.base", "OpenAI") in kinds
        and method in ("chat", "chat_with_tools", "complete")
    )


def choices_of(reply: Reply, model: LLM, arguments: dict[str, Any]) -> list[Reply]:
    """Return one reply per choice of a request with ``n``."""
    from llama_index.llms.openai.utils import (  # type: ignore[import-untyped,import-not-found,unused-ignore]  # ships no types; there whenever takes_n holds
        from_openai_message,
    )

    choices = getattr(reply.raw, "choices", None) or []
    if not choices:
        return [reply]
    replies = [reply.model_copy(update={"raw": _only(reply.raw, choices[0])})]
    for choice in choices[1:]:
        message = from_openai_message(choice.message, modalities=["text"])
        raw = _only(reply.raw, choice)
        if isinstance(reply, CompletionResponse):
            replies.append(CompletionResponse(text=message.content or "", raw=raw))
            continue
        other = ChatResponse(message=message, raw=raw, additional_kwargs=dict(reply.additional_kwargs))
        if "tools" in arguments:
            other = model._validate_chat_with_tools_response(other, **_tool_options(arguments))  # type: ignore[attr-defined]  # a model with tools has it
        replies.append(other)
    return replies


def _only(raw: Any, choice: Any) -> Any:
    """Return the provider's own reply with one of its choices."""
    return raw.model_copy(update={"choices": [choice]})


def alone(reply: Reply, own: Usage | None, whole: Usage) -> Reply:
    """Return a choice with the usage that it would have had alone, since it may be handed out.

    Args:
        reply: The choice.
        own: Its part of what the request used.
        whole: What the request used.
    """
    counts = counted_alone(own, whole)
    if counts is None:
        return reply
    counted = getattr(reply.raw, "usage", None)
    raw = reply.raw
    if counted is not None:
        raw = reply.raw.model_copy(update={"usage": counted.model_copy(update=counts)})  # type: ignore[union-attr]  # it has usage
    told = {name: counts.get(name, value) for name, value in reply.additional_kwargs.items()}
    return reply.model_copy(update={"raw": raw, "additional_kwargs": told})


def _tool_options(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in ("tools", "allow_parallel_tool_calls")}
