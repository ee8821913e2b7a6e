"""The stand-in as a LangChain chat model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

from examples.standin import recorded


class RecordedChat(BaseChatModel):
    """Replays the recorded answer to the last message."""

    model_name: str = Field(default_factory=recorded.name)

    @property
    def _llm_type(self) -> str:
        return "recorded"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "recorded", "ls_model_name": self.model_name, "ls_model_type": "chat"}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """With tools, replay the steps of an agent."""
        return self.bind(is_agent=True)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        found = _found(messages, is_agent=kwargs.get("is_agent", False))
        message = AIMessage(
            found.answer,
            tool_calls=_calls(found),
            usage_metadata=_usage(found),
            response_metadata={"model_name": self.model_name},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        found = _found(messages, is_agent=kwargs.get("is_agent", False))
        for i, word in enumerate(found.answer.split(" ")):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=f" {word}" if i else word))
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        last = AIMessageChunk(
            content="",
            tool_calls=_calls(found),
            usage_metadata=_usage(found),
            response_metadata={"model_name": self.model_name},
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)


def _found(messages: list[BaseMessage], *, is_agent: bool) -> recorded.Recorded:
    since = list(takewhile(lambda message: message.type != "human", reversed(messages)))
    question = str(messages[-1 - len(since)].text)
    if not is_agent:
        return recorded.recall(question)
    return recorded.recall_step(question, sum(message.type == "ai" for message in since))


def _calls(found: recorded.Recorded) -> list[ToolCall]:
    if found.search is None:
        return []
    return [ToolCall(name="search_documents", args={"query": found.search}, id="recorded", type="tool_call")]


def _usage(found: recorded.Recorded) -> UsageMetadata:
    return {
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "total_tokens": found.input_tokens + found.output_tokens,
    }
