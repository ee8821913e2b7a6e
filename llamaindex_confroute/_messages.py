"""LlamaIndex's messages and replies, and the core's, each into the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic import BaseModel

from confroute.decision import Message, Role, RouteDecision, RouteRequest, ToolCall
from confroute.execution.failures import EmptyAnswerError
from confroute.execution.thread import DECISION_KEY, Stamp, is_pinned, sticky_decision
from confroute.replies import tool_call

Reply = ChatResponse | CompletionResponse

_ROLES: Mapping[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}
_MEDIA = {AudioBlock: "audio", VideoBlock: "video", DocumentBlock: "pdf"}
_REACT_THOUGHT = "Thought:"
_REACT_TURNS = (
    "Observation:",
    "Error while parsing the output:",
    "FAILURE: Your previous response was empty.",
    "Result of executing the code given:",
)
"""How the turns begin that agents themselves write in the user's role, after an answer of the model."""


def to_request(
    messages: Sequence[ChatMessage],
    *,
    tools: Mapping[str, Mapping[str, Any] | None] | None = None,
    query: str = "",
    schema: Mapping[str, Any] | None = None,
) -> RouteRequest:
    """Describe LlamaIndex messages as a request; private where an earlier answer of the thread was.

    Args:
        messages: The conversation.
        tools: The tools that are bound: the JSON schema of their arguments, where known, by name.
        query: The question itself, where the messages say more.
        schema: The JSON schema that is asked of the answer.
    """
    tools = tools or {}
    return RouteRequest(
        messages=tuple(to_messages(messages)),
        tools=tuple(tools),
        private=is_pinned(stamp_of(message) for message in messages),
        query=query,
        tool_schemas={name: found for name, found in tools.items() if found is not None},
        answer_schema=schema,
    )


def to_messages(messages: Sequence[ChatMessage]) -> list[Message]:
    """Describe LlamaIndex messages one by one; what `ReActAgent` observes is a tool's turn, not a human's."""
    told: list[Message] = []
    for message in messages:
        text = message.content or ""
        role = _ROLES.get(message.role, "user")
        if role == "user" and told and _is_react_turn(text, told[-1]):
            role = "tool"
        media = frozenset(kind for block, kind in _MEDIA.items() if _holds(message, block))
        told.append(Message(role, text, _holds(message, ImageBlock), media))
    return told


def _is_react_turn(text: str, before: Message) -> bool:
    if not text.startswith(_REACT_TURNS):
        return False
    in_loop = before.role == "assistant" and before.text.lstrip().startswith(_REACT_THOUGHT)
    is_told_off = before.role == "assistant" and not text.startswith(_REACT_TURNS[0])
    return in_loop or is_told_off or before.role == "tool"


def media_blocks(message: ChatMessage) -> int:
    """Return how many blocks of a message are images, sound, films or files."""
    return sum(isinstance(block, (ImageBlock, *_MEDIA)) for block in message.blocks)


def _holds(message: ChatMessage, block: type) -> bool:
    return any(isinstance(one, block) for one in message.blocks)


def stamp_of(carrier: ChatMessage | Reply) -> Stamp:
    """Return the decision on a message or a reply as plain JSON data."""
    stamp: Stamp = carrier.additional_kwargs.get(DECISION_KEY)
    return stamp


def sticky_in(messages: Sequence[ChatMessage], request: RouteRequest) -> RouteDecision | None:
    """Return the decision that a tool loop goes on with, as far as its messages carry one."""
    roles = [message.role for message in request.messages]
    return sticky_decision([(role, stamp_of(m)) for role, m in zip(roles, messages, strict=True)])


def without_stamps(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the messages as the models may see them.

    Completion models print ``additional_kwargs`` into their prompt, and OpenAI's client sends those of a
    message with tool calls along.
    """
    return [
        message.model_copy(
            update={
                "additional_kwargs": {k: v for k, v in message.additional_kwargs.items() if k != DECISION_KEY}
            }
        )
        for message in messages
    ]


def append(messages: Sequence[ChatMessage], extra: Sequence[Message]) -> list[ChatMessage]:
    """Append what a probe asks, as part of the last turn where the same speaker goes on.

    Strict chat templates refuse two human turns in a row.
    """
    appended = list(messages)
    for message in extra:
        last = appended[-1] if appended else None
        if last is not None and last.role.value == message.role:
            appended[-1] = last.model_copy(update={"blocks": _continued(last, message.text)})
        else:
            appended.append(ChatMessage(role=message.role, content=message.text))
    return appended


def _continued(message: ChatMessage, text: str) -> list[Any]:
    *before, last = message.blocks or [TextBlock(text="")]
    if isinstance(last, TextBlock):
        return [*before, TextBlock(text=f"{last.text}\n{text}".lstrip("\n"))]
    return [*before, last, TextBlock(text=text)]


ReplyT = TypeVar("ReplyT")


def stamped(reply: ReplyT, decision: RouteDecision) -> ReplyT:
    """Return a copy of a whole reply that carries its decision.

    Raises:
        EmptyAnswerError: If the reply has neither text nor a tool call.
    """
    if isinstance(reply, ChatResponse | CompletionResponse) and is_empty(reply):
        raise EmptyAnswerError
    return stamp(reply, decision)


def stamp(reply: ReplyT, decision: RouteDecision) -> ReplyT:
    """Return a copy of a reply or a chunk that carries its decision; what cannot carry one is left as it is.

    The message of a chat reply carries it too, since the message alone goes into an agent's memory.
    """
    if not isinstance(reply, ChatResponse | CompletionResponse):
        return reply
    update: dict[str, Any] = {
        "additional_kwargs": {**reply.additional_kwargs, DECISION_KEY: decision.to_dict()}
    }
    if isinstance(reply, ChatResponse):
        kwargs = {**reply.message.additional_kwargs, DECISION_KEY: decision.to_dict()}
        update["message"] = reply.message.model_copy(update={"additional_kwargs": kwargs})
    return reply.model_copy(update=update)  # type: ignore[return-value]  # a copy is of the same type


def is_empty(reply: Reply) -> bool:
    """Whether a whole reply has neither text nor a tool call."""
    if isinstance(reply, CompletionResponse):
        return not reply.text.strip()
    if (reply.message.content or "").strip() or reply.message.additional_kwargs.get("tool_calls"):
        return False
    return all(isinstance(block, TextBlock | ThinkingBlock) for block in reply.message.blocks)


def has_thought(message: ChatMessage) -> bool:
    """Whether a message tells a thought beside its text."""
    thinks = any(isinstance(block, ThinkingBlock) and block.content for block in message.blocks)
    return thinks or bool(message.additional_kwargs.get("reasoning_content"))


def tool_calls_of(reply: Reply, model: Any = None) -> tuple[ToolCall, ...]:
    """Return the tool calls of a reply, of bound tools or not, with arguments that are no JSON as written.

    Args:
        reply: The reply.
        model: The model that gave it, where it was given tools: it reads calls in a layout of its own.
    """
    if not isinstance(reply, ChatResponse):
        return ()
    blocks = [block for block in reply.message.blocks if isinstance(block, ToolCallBlock)]
    if blocks:
        return tuple(tool_call(block.tool_name, block.tool_kwargs) for block in blocks)
    if calls := reply.message.additional_kwargs.get("tool_calls"):
        told = [getattr(call, "function", None) or call for call in calls]
        if all(hasattr(function, "name") and hasattr(function, "arguments") for function in told):
            return tuple(tool_call(function.name or "", function.arguments) for function in told)
    if model is None or is_empty(reply):
        return ()
    try:
        found = model.get_tool_calls_from_response(reply, error_on_no_tool_call=False)
    except Exception as error:  # clients raise what they like at arguments that they cannot read
        return (ToolCall("", unread=f"{type(error).__name__}: {error}"),)
    return tuple(tool_call(call.tool_name, call.tool_kwargs) for call in found)


def says_something(chunk: Any) -> bool:
    """Whether a chunk of a stream brings a first token, be it of a thought."""
    if isinstance(chunk, CompletionResponse):
        return bool(chunk.text.strip())
    if isinstance(chunk, ChatResponse):
        return has_thought(chunk.message) or not is_empty(chunk)
    if isinstance(chunk, BaseModel):  # an object that grows from nothing
        return any(value is not None for value in chunk.model_dump(exclude_unset=True).values())
    return chunk is not None


def texts_of(reply: Any) -> list[str]:
    """Return what a reply, or the last chunk of a stream, says: its text, and what it hands to tools."""
    if isinstance(reply, CompletionResponse):
        return [reply.text]
    if isinstance(reply, BaseModel) and not isinstance(reply, ChatResponse):
        return [str(value) for value in reply.model_dump().values()]
    if not isinstance(reply, ChatResponse):
        return []
    calls = [block.tool_kwargs for block in reply.message.blocks if isinstance(block, ToolCallBlock)]
    handed = [call.values() if isinstance(call, dict) else [call] for call in calls]
    return [reply.message.content or "", *(str(value) for values in handed for value in values)]


def as_chunk(reply: Any) -> Any:
    """Return a whole reply as the only chunk of a stream."""
    if isinstance(reply, ChatResponse):
        return reply.model_copy(update={"delta": reply.message.content or ""})
    if isinstance(reply, CompletionResponse):
        return reply.model_copy(update={"delta": reply.text})
    return reply
