"""Scripted LlamaIndex models that report usage, stream word by word and are decorated as real ones are."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    ToolCallBlock,
)
from llama_index.core.base.llms.types import MessageRole as Role
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import Field, PrivateAttr


class ScriptedLLM(FunctionCallingLLM):
    """Gives its answers in turn; each reply costs 3 tokens in and one a word out."""

    model: str
    answers: Sequence[Any] = ("hello",)  # texts, messages, exceptions to raise, or functions of the messages
    temperature: float | None = None
    max_tokens: int | None = None
    is_chat_model: bool = True
    has_tools: bool = True
    context_window: int = 4096
    num_output: int = 256
    api_base: str = ""
    seen: list[Any] = Field(default_factory=list, exclude=True)  # messages, or the prompt of a completion
    settings: list[dict[str, Any]] = Field(default_factory=list, exclude=True)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @classmethod
    def class_name(cls) -> str:
        return "ScriptedLLM"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=self.context_window,
            num_output=self.num_output,
            is_chat_model=self.is_chat_model,
            is_function_calling_model=self.has_tools,
            model_name=self.model,
        )

    def _next(self, asked: Any, kwargs: dict[str, Any]) -> ChatMessage:
        with self._lock:
            answer = self.answers[len(self.seen) % len(self.answers)]
            self.seen.append(asked)
            self.settings.append({**vars(self), **kwargs})
        if callable(answer):
            answer = answer(asked)
        if isinstance(answer, Exception):
            raise answer
        message = answer if isinstance(answer, ChatMessage) else ChatMessage(answer, role=Role.ASSISTANT)
        return message.model_copy(deep=True)

    def _usage(self, text: str) -> dict[str, int]:
        return {"prompt_tokens": 3, "completion_tokens": len(text.split())}

    def _reply(self, asked: Any, kwargs: dict[str, Any]) -> ChatResponse:
        message = self._next(asked, kwargs)
        usage = self._usage(message.content or "")
        return ChatResponse(message=message, raw={"model": self.model, "usage": usage})

    def _chunks(self, asked: Any, kwargs: dict[str, Any]) -> Generator[ChatResponse, None, None]:
        message = self._next(asked, kwargs)
        text, said = message.content or "", ""
        blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
        for i, word in enumerate(text.split(" ") if text else []):
            delta = word if i == 0 else f" {word}"
            said += delta
            yield ChatResponse(message=ChatMessage(said, role=Role.ASSISTANT), delta=delta, raw={})
        last = ChatMessage(said, role=Role.ASSISTANT) if said else ChatMessage(role=Role.ASSISTANT)
        last.blocks += blocks
        last.additional_kwargs = dict(message.additional_kwargs)
        yield ChatResponse(message=last, delta="", raw={"model": self.model, "usage": self._usage(text)})

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._reply(list(messages), kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._reply(list(messages), kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        return self._chunks(list(messages), kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        async def gen() -> Any:
            for chunk in self._chunks(list(messages), kwargs):
                yield chunk

        return gen()

    def _asked(self, prompt: str, formatted: bool) -> str:
        assert self.completion_to_prompt is not None
        return prompt if formatted else self.completion_to_prompt(prompt)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        reply = self._reply(self._asked(prompt, formatted), kwargs)
        return CompletionResponse(text=reply.message.content or "", raw=reply.raw)

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        reply = self._reply(self._asked(prompt, formatted), kwargs)
        return CompletionResponse(text=reply.message.content or "", raw=reply.raw)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        def gen() -> Any:
            for chunk in self._chunks(self._asked(prompt, formatted), kwargs):
                yield CompletionResponse(text=chunk.message.content or "", delta=chunk.delta, raw=chunk.raw)

        return gen()

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        async def gen() -> Any:
            for chunk in self._chunks(self._asked(prompt, formatted), kwargs):
                yield CompletionResponse(text=chunk.message.content or "", delta=chunk.delta, raw=chunk.raw)

        return gen()

    def _prepare_chat_with_tools(
        self,
        tools: Any,
        user_msg: Any = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = chat_history if chat_history is not None else []
        if user_msg:  # as OpenAI's client does: onto the list that it was given
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        return {"messages": messages, "tools": [tool.metadata.name for tool in tools], **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if error_on_no_tool_call and not blocks:
            raise ValueError("no tool call")
        return [
            ToolSelection(
                tool_id=block.tool_call_id or "",
                tool_name=block.tool_name,
                tool_kwargs=dict(block.tool_kwargs) if isinstance(block.tool_kwargs, dict) else {},
            )
            for block in blocks
        ]


def tool_call(name: str, /, **arguments: Any) -> ChatMessage:
    """An answer that calls a tool; streamed structured output looks for it in additional_kwargs too."""
    block = ToolCallBlock(tool_call_id=f"call-{name}", tool_name=name, tool_kwargs=arguments)
    return ChatMessage(role=Role.ASSISTANT, blocks=[block], additional_kwargs={"tool_calls": [name]})
