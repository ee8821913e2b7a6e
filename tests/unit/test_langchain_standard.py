"""LangChain's own standard suites, over two models whose answers fit whatever the suites ask.

Their skips: ``test_serdes``, since models and routers are live objects that no JSON can carry;
``test_init_from_env``, since there is no key of our own; ``test_stream_time``, which replays recordings of a
provider. Routers that sample make calls of their own, which the suites' call counts do not expect; they are
tested in ``test_langchain_chat`` and ``test_langchain_sampling``.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel

from confroute.testing import ScriptedRouter
from langchain_confroute import ChatConfRoute


class Obliging(BaseChatModel):
    """Calls the first tool that is bound, unless one has just answered; fills arguments by their types."""

    model: str
    stop: list[str] | None = None

    @property
    def _llm_type(self) -> str:
        return "obliging"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=schemas, tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[Any, Any]:
        if kwargs.pop("method", None) != "json_mode":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return self.bind(json_mode=True) | PydanticOutputParser[Any](pydantic_object=schema)
        return self.bind(json_mode=True) | JsonOutputParser()

    def _reply(self, messages: list[BaseMessage], stop: Any, kwargs: dict[str, Any]) -> AIMessage:
        question = str(messages[-1].text)
        named = re.search(r"'([^']+)'", question)
        texts = {"string": named[1] if named else "words", "integer": 3}
        message = AIMessage("Words of an answer, and a few more.")
        if kwargs.get("json_mode"):
            message = AIMessage(json.dumps({"setup": "Why?", "punchline": "Therefore."}))
        elif kwargs.get("tools") and messages[-1].type != "tool":
            tool = kwargs["tools"][0]["function"]
            fields = tool["parameters"].get("properties", {})
            args = {name: texts.get(field.get("type"), "words") for name, field in fields.items()}
            message = AIMessage("", tool_calls=[{"name": tool["name"], "args": args, "id": "call_1"}])
        for word in stop or self.stop or []:
            message.content = str(message.content).split(word)[0]
        message.usage_metadata = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
        message.response_metadata = {"model_name": kwargs.get("model", self.model)}
        if self.output_version == "v1":
            message.content = list(message.content_blocks)  # type: ignore[arg-type]  # as partner packages do
            message.response_metadata["output_version"] = "v1"
        return message

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._reply(messages, stop, kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._reply(messages, stop, kwargs)
        calls = [
            tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=0)
            for call in reply.tool_calls
        ]
        pieces: list[Any] = [reply.content]
        if isinstance(reply.content, str):
            pieces = re.findall(r"\S+\s*", reply.content) or [""]
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            chunk = AIMessageChunk(
                content=piece,
                tool_call_chunks=calls if last else [],
                usage_metadata=reply.usage_metadata if last else None,
                response_metadata=reply.response_metadata if last else {},
                chunk_position="last" if last else None,
            )
            generation = ChatGenerationChunk(message=chunk)
            if run_manager:
                run_manager.on_llm_new_token(piece if isinstance(piece, str) else "", chunk=generation)
            yield generation


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve the pictures, sounds and papers that the suites fetch; the models look at none of them."""
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "nobody")
    monkeypatch.setattr(httpx, "get", lambda url, **kwargs: httpx.Response(200, content=b"bytes"))


class Standard:
    """What both suites are told."""

    route: Any = "edge"

    @property
    def chat_model_class(self) -> type[ChatConfRoute]:
        return ChatConfRoute

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "edge": Obliging(model="edge-model"),
            "cloud": Obliging(model="cloud-model"),
            "router": ScriptedRouter(self.route),
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "another-model"


class TestUnit(Standard, ChatModelUnitTests):
    pass


class TestIntegrationAtTheEdge(Standard, ChatModelIntegrationTests):
    route = "edge"


class TestIntegrationInTheCloud(Standard, ChatModelIntegrationTests):
    route = "cloud"
