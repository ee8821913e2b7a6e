"""Several answers in one request, from LlamaIndex's clients for OpenAI and servers like it.

LlamaIndex hands out the first choice only; the others are in the provider's own reply.
"""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.llms import LLM

from llamaindex_confroute._messages import Reply


def takes_n(model: LLM, method: str) -> bool:
    """Whether a model draws several answers in one request: OpenAI's chat client, and those built on it."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(model).__mro__}
    chats = getattr(model, "is_chat_model", None)
    is_chat = chats if isinstance(chats, bool) else model.metadata.is_chat_model
    return is_chat and ("llama_index.llms.openai.base", "OpenAI") in kinds and method != "predict"


def choices_of(reply: Reply, model: LLM, arguments: dict[str, Any]) -> list[Reply]:
    """Return one reply per choice of a request with ``n``."""
    from llama_index.llms.openai.utils import (  # type: ignore[import-untyped,import-not-found,unused-ignore]  # ships no types; there whenever takes_n holds
        from_openai_message,
    )

    choices = getattr(reply.raw, "choices", None) or []
    replies = [reply]
    for choice in choices[1:]:
        message = from_openai_message(choice.message, modalities=["text"])
        raw = reply.raw.model_copy(update={"choices": [choice], "usage": None})  # type: ignore[union-attr]  # it has choices
        if isinstance(reply, CompletionResponse):
            replies.append(CompletionResponse(text=message.content or "", raw=raw))
            continue
        other = ChatResponse(message=message, raw=raw)
        if "tools" in arguments:
            other = model._validate_chat_with_tools_response(other, **_tool_options(arguments))  # type: ignore[attr-defined]  # a model with tools has it
        replies.append(other)
    return replies


def _tool_options(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in ("tools", "allow_parallel_tool_calls")}
