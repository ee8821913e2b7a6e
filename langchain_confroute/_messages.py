"""LangChain's messages and the core's, each into the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    merge_message_runs,
)

from confroute.decision import Message, Role, RouteDecision, RouteRequest, Sample, ToolCall, Usage
from confroute.execution.thread import DECISION_KEY, Stamp, is_pinned
from confroute.execution.thread import sticky_decision as sticky_in
from confroute.replies import answer_logprob, is_cut_off, is_cut_thought, tool_call
from confroute.schemas import told_tools

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "ai": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_IMAGE_BLOCKS = frozenset({"image", "image_url", "input_image"})
_THOUGHT_BLOCKS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
_SILENT_BLOCKS = _THOUGHT_BLOCKS | {"text"}
_MEDIA = {"audio": "audio", "input_audio": "audio", "video": "video", "file": "pdf", "document": "pdf"}
"""Blocks that are neither text nor images, and what reading them asks for."""
_ENDED = ("finish_reason", "done_reason", "stop_reason", "stopReason", "status")
"""Names under which providers say why a reply ended."""


def to_request(
    messages: Sequence[BaseMessage],
    *,
    tools: Iterable[Any] = (),
    query: str = "",
    schema: Mapping[str, Any] | None = None,
) -> RouteRequest:
    """Describe LangChain messages as a request; private where an earlier answer of the thread was.

    Args:
        messages: The conversation.
        tools: The tools that are bound, as a provider takes them.
        query: The question itself, where the messages say more.
        schema: The JSON schema that is asked of the answer.
    """
    told = told_tools(tools)
    return RouteRequest(
        messages=tuple(_to_message(message) for message in messages),
        tools=tuple(told),
        private=is_pinned(stamp_of(message) for message in messages),
        query=query,
        tool_schemas={name: found for name, found in told.items() if found is not None},
        answer_schema=schema,
    )


def sticky_decision(messages: Sequence[BaseMessage]) -> RouteDecision | None:
    """Return the decision that a tool loop goes on with; see `confroute.execution.thread`."""
    return sticky_in([(role_of(message), stamp_of(message)) for message in messages])


def role_of(message: BaseMessage) -> Role:
    """Return who speaks."""
    kind = (
        message.role
        if isinstance(message, ChatMessage)
        else message.type.removesuffix("MessageChunk").lower()
    )
    return _ROLES.get(kind, "user")


def stamp_of(message: BaseMessage) -> Stamp:
    """Return the decision on a message as plain JSON data."""
    stamp: Stamp = message.response_metadata.get(DECISION_KEY)
    return stamp


def media_blocks(message: BaseMessage) -> int:
    """Return how many blocks of a message are images, sound, films or files."""
    return sum(kind in _IMAGE_BLOCKS or kind in _MEDIA for kind in _kinds(message))


def file_bytes(messages: Sequence[BaseMessage]) -> int:
    """Return the bytes of files, sound and films: no more tokens can be made of them."""
    blocks = [block for m in messages if isinstance(m.content, list) for block in m.content]
    files = [b for b in blocks if isinstance(b, dict) and b.get("type") in _MEDIA]
    return sum(len(json.dumps(block, default=str).encode()) for block in files)


def is_empty(message: BaseMessage) -> bool:
    """Whether an answer has neither text nor a tool call, whatever it thought."""
    if str(message.text).strip() or getattr(message, "tool_calls", None):
        return False
    return _SILENT_BLOCKS.issuperset(_kinds(message))


def _kinds(message: BaseMessage) -> list[str]:
    blocks = message.content if isinstance(message.content, list) else []
    return [str(block.get("type")) for block in blocks if isinstance(block, dict)]


def _to_message(message: BaseMessage) -> Message:
    kinds = _kinds(message)
    media = frozenset(_MEDIA[kind] for kind in kinds if kind in _MEDIA)
    return Message(role_of(message), str(message.text), not _IMAGE_BLOCKS.isdisjoint(kinds), media)


def append(messages: Sequence[BaseMessage], extra: Sequence[Message]) -> list[BaseMessage]:
    """Append what a probe asks, as part of the last turn where the same speaker goes on.

    Strict chat templates refuse two human turns in a row.
    """
    if not extra:
        return list(messages)
    added = [_from_message(message) for message in extra]
    return [*messages[:-1], *merge_message_runs([*messages[-1:], *added])]


def _from_message(message: Message) -> BaseMessage:
    if message.role == "system":
        return SystemMessage(message.text)
    if message.role == "assistant":
        return AIMessage(message.text)
    return HumanMessage(message.text)


def to_sample(message: BaseMessage | str, *, usage: Usage | None = None) -> Sample:
    """Describe a model's reply as a sample, with log-probabilities where the provider gave them."""
    if not isinstance(message, BaseMessage):
        return Sample(str(message), usage=usage, raw=message)
    text = str(message.text)
    logprob, n_tokens = answer_logprob(message.response_metadata.get("logprobs"), text)
    return Sample(
        text=text,
        tool_calls=_tool_calls(message),
        logprob=logprob,
        n_tokens=n_tokens,
        usage=usage if usage is not None else usage_of(message),
        model=model_name(message),
        cut=is_cut_off(_ended(message)),
        raw=message,
    )


def _tool_calls(message: BaseMessage) -> tuple[ToolCall, ...]:
    if not isinstance(message, AIMessage):
        return ()
    read = [ToolCall(call["name"], call["args"]) for call in message.tool_calls]
    return (*read, *(tool_call(call["name"] or "", call["args"]) for call in message.invalid_tool_calls))


def is_cut(sample: Sample) -> bool:
    """Whether a sampled answer was cut in the thought before it."""
    message = sample.raw
    if sample.tool_calls or not isinstance(message, AIMessage):
        return False
    if not _SILENT_BLOCKS.issuperset(_kinds(message)) or message.additional_kwargs.get("refusal"):
        return False  # it says something, if not as text
    thought = not _THOUGHT_BLOCKS.isdisjoint(_kinds(message)) or bool(
        message.additional_kwargs.get("reasoning_content")
    )
    return is_cut_thought(sample.text, thought=thought, ended=_ended(message))


def _ended(message: BaseMessage) -> str:
    """Return why a reply ended, as the provider says; empty where it does not."""
    told = message.response_metadata
    return next((told[name] for name in _ENDED if isinstance(told.get(name), str)), "")


def usage_of(message: Any) -> Usage | None:
    """Return the tokens that the provider counted for a reply; None where it did not."""
    counted = message.usage_metadata if isinstance(message, AIMessage) else None
    if counted is None:
        return None
    return Usage(input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"])


def model_name(message: BaseMessage) -> str:
    """Return the name of the model that wrote a reply; empty where the provider does not tell."""
    told = message.response_metadata
    return str(told.get("model_name") or told.get("model") or "")


MessageT = TypeVar("MessageT", bound=BaseMessage)


def stamp(message: MessageT, decision: RouteDecision) -> MessageT:
    """Return a copy of the message with the decision in its ``response_metadata``."""
    metadata = {**message.response_metadata, DECISION_KEY: decision.to_dict()}
    return message.model_copy(update={"response_metadata": metadata})
