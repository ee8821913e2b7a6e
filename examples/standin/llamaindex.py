"""The stand-in as a LlamaIndex LLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.generic_utils import (
    chat_response_to_completion_response,
    stream_chat_response_to_completion_response,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import Field

from examples.standin import recorded


class RecordedLLM(CustomLLM):
    """Replays the recorded answer to the last message."""

    model: str = Field(default_factory=recorded.name)

    @property
    def metadata(self) -> LLMMetadata:
        """What the recorded model can do."""
        return LLMMetadata(model_name=self.model, is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Replay, whole."""
        return list(self._replay(str(messages[-1].content)))[-1]

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Replay, word by word."""
        return self._replay(str(messages[-1].content))

    def _replay(self, question: str) -> ChatResponseGen:
        found = recorded.recall(question)
        usage = {"prompt_tokens": found.input_tokens, "completion_tokens": found.output_tokens}
        said = ""
        for word in found.answer.split(" "):
            said = f"{said} {word}" if said else word
            message = ChatMessage(role=MessageRole.ASSISTANT, content=said)
            delta = word if said == word else f" {word}"
            yield ChatResponse(message=message, delta=delta, raw={"model": self.model, "usage": usage})

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Replay, whole."""
        return chat_response_to_completion_response(list(self._replay(prompt))[-1])

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Replay, word by word."""
        return stream_chat_response_to_completion_response(self._replay(prompt))
