"""`ConfRouteLLM`: two LLMs behind one, each question answered by the right one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, Self, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.tools import BaseTool
from llama_index.core.types import Model
from llama_index_instrumentation import get_dispatcher
from pydantic import Field, PrivateAttr, SerializeAsAny

from confroute.decision import Router
from confroute.errors import ConfigurationError
from confroute.execution.accounts import SpendCap, Stats
from confroute.execution.execution import Execution, OnError
from confroute.execution.log import DecisionLog
from confroute.execution.thread import read_stamp
from confroute.execution.turn import checked_router
from llamaindex_confroute import _calls
from llamaindex_confroute._calls import FormattedMessages, FormattedPrompt, Template
from llamaindex_confroute._messages import stamp_of
from llamaindex_confroute._metadata import merged, with_handlers
from llamaindex_confroute._routing import Call, Query, Routing
from llamaindex_confroute._sampling import Copies
from llamaindex_confroute._sides import name_of, side_of
from llamaindex_confroute._turns import TurnMemory

dispatcher = get_dispatcher(__name__)

_OF_THE_PAIR = ("system_prompt", "query_wrapper_prompt", "output_parser", "pydantic_program_mode")
"""Fields that replace those of both models where the pair sets them."""


class ConfRouteLLM(FunctionCallingLLM):
    """An LLM that lets an edge model answer while it is sure, and a cloud model otherwise.

    It stands wherever an LLM stands: as ``Settings.llm``, in query and chat engines, in agents. The decision
    rides on every response and every chunk, in ``additional_kwargs["confroute"]``, and in a
    `RouteDecisionEvent`. Samples are calls of the edge model that its callbacks see, and are never shown.

    A chat message in memory carries its decision too; that is how an agent's turn keeps its route, and how a
    private thread stays private. Where prompts are made of texts (``ReActAgent``, most chat engines) a thread
    is known by the lines of its private questions, within one process. A memory that sums a thread up loses
    them: keep such a thread inside ``with confroute.control(private=True)``.

    Args:
        edge: The cheap model, which is also the one that the router looks at.
        cloud: The strong model.
        router: Decides; for instance ``ConfidenceRouter()``, which needs no training.
        query: Finds the question in what a model is given, a text or messages, where that says more. By
            default the question of a query engine (``query_str``), else the last human turn.
        sampler: The LLM that the router looks at, where that is not the edge: a local one, where the edge
            tells no log-probabilities or costs money. What it says is never the reply.
        on_error: Where a question goes when the router or its samples fail: ``"cloud"``, ``"edge"`` or
            ``"raise"``.
        edge_timeout: Seconds until the edge's first token (and for its samples); None for no limit.
        cloud_timeout: Seconds until the cloud's first token; None for no limit.
        breaker_server_errors: Server errors in a row after which a model is not asked for a while. One
            time-out or refused connection is enough.
        breaker_reset_after: Seconds of that while.
        cap: What this object may spend; when it is spent, the edge answers.
        log: Where decisions are logged; nowhere by default.
        **kwargs: Fields of every LlamaIndex LLM, such as ``callback_manager``, which both models then report
            to, ``system_prompt`` or ``rate_limiter``.

    Raises:
        ConfigurationError: If the router is none, or a cap cannot be kept.

    Example:
        ```python
        from confroute import ConfidenceRouter
        from llama_index.core import Settings
        from llama_index.llms.ollama import Ollama
        from llamaindex_confroute import ConfRouteLLM

        small, large = Ollama(model="qwen2.5:1.5b"), Ollama(model="qwen2.5:72b")
        Settings.llm = ConfRouteLLM(edge=small, cloud=large, router=ConfidenceRouter())
        reply = Settings.llm.complete("Who wrote Effi Briest?")
        print(reply.text, reply.additional_kwargs["confroute"]["reason"])
        ```
    """

    edge: SerializeAsAny[LLM] = Field(frozen=True)
    cloud: SerializeAsAny[LLM] = Field(frozen=True)
    _router: Router = PrivateAttr()
    _query: Query | None = PrivateAttr(default=None)
    _sampler: LLM | None = PrivateAttr(default=None)
    _execution: Execution = PrivateAttr()
    _copies: Copies = PrivateAttr(default_factory=Copies)
    _turns: TurnMemory = PrivateAttr(default_factory=TurnMemory)

    def __init__(
        self,
        *,
        edge: LLM,
        cloud: LLM,
        router: Router,
        query: Query | None = None,
        sampler: LLM | None = None,
        on_error: OnError = "cloud",
        edge_timeout: float | None = None,
        cloud_timeout: float | None = None,
        breaker_server_errors: int = 3,
        breaker_reset_after: float = 30.0,
        cap: SpendCap | None = None,
        log: DecisionLog | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(edge=edge, cloud=cloud, **kwargs)
        self._router = checked_router(router, edge=name_of(edge))
        self._query = query
        self._sampler = sampler
        self._execution = Execution.between(
            side_of,
            edge,
            cloud,
            sampled=sampler,
            on_error=on_error,
            edge_timeout=edge_timeout,
            cloud_timeout=cloud_timeout,
            server_errors=breaker_server_errors,
            reset_after=breaker_reset_after,
            cap=cap,
            log=log,
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy with the same models, accounts and breakers, which cannot be copied."""
        return self.model_copy()

    @classmethod
    def class_name(cls) -> str:
        """Return the name of this class in traces and saved settings."""
        return "ConfRouteLLM"

    @property
    def router(self) -> Router:
        """The router that decides."""
        return self._router

    @property
    def stats(self) -> Stats:
        """What this object has done so far: calls, cloud share, fallbacks, tokens, money spent and saved."""
        return self._execution.stats

    @property
    def metadata(self) -> LLMMetadata:
        """What holds for both models: the smaller limits, the abilities that they share."""
        return merged(self.edge, self.cloud)

    def to_payload(self) -> dict[str, Any]:
        """Describe this LLM for traces, without credentials."""
        return {
            **super().to_payload(),
            "edge": self.edge.to_payload(),
            "cloud": self.cloud.to_payload(),
            "router": type(self.router).__name__,
        }

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer with the model that the router chooses."""
        return cast("ChatResponse", self._routing().answer(_calls.chat(messages, kwargs)))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer with the model that the router chooses."""
        return cast("ChatResponse", await self._routing().aanswer(_calls.chat(messages, kwargs)))

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer with the model that the router chooses, chunk by chunk."""
        return self._routing().stream(_calls.chat(messages, kwargs))

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer with the model that the router chooses, chunk by chunk."""
        return await self._routing().astream(_calls.chat(messages, kwargs))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Complete with the model that the router chooses, which formats the prompt."""
        return cast("CompletionResponse", self._routing().answer(_calls.complete(prompt, kwargs)))

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Complete with the model that the router chooses, which formats the prompt."""
        return cast("CompletionResponse", await self._routing().aanswer(_calls.complete(prompt, kwargs)))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Complete with the model that the router chooses, chunk by chunk."""
        return self._routing().stream(_calls.complete(prompt, kwargs))

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Complete with the model that the router chooses, chunk by chunk."""
        return await self._routing().astream(_calls.complete(prompt, kwargs))

    @dispatcher.span
    def chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Answer or call tools with the model that the router chooses."""
        options = _options(verbose, allow_parallel_tool_calls, tool_required, kwargs)
        call = self._tool_call(tools, user_msg, chat_history, options)
        return cast("ChatResponse", self._routing().answer(call))

    @dispatcher.span
    async def achat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Answer or call tools with the model that the router chooses."""
        options = _options(verbose, allow_parallel_tool_calls, tool_required, kwargs)
        call = self._tool_call(tools, user_msg, chat_history, options)
        return cast("ChatResponse", await self._routing().aanswer(call))

    @dispatcher.span
    def stream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseGen:
        """Answer or call tools with the model that the router chooses, chunk by chunk."""
        options = _options(verbose, allow_parallel_tool_calls, tool_required, kwargs)
        return self._routing().stream(self._tool_call(tools, user_msg, chat_history, options))

    @dispatcher.span
    async def astream_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponseAsyncGen:
        """Answer or call tools with the model that the router chooses, chunk by chunk."""
        options = _options(verbose, allow_parallel_tool_calls, tool_required, kwargs)
        return await self._routing().astream(self._tool_call(tools, user_msg, chat_history, options))

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Read the tool calls of a response, as the model that gave it does.

        Raises:
            ConfigurationError: If the response is none of this LLM's.
        """
        stamp = stamp_of(response) or stamp_of(response.message)
        if not stamp:
            raise ConfigurationError(
                "the response carries no decision, so that nothing tells which model gave it: expected one "
                "that this ConfRouteLLM returned, with its additional_kwargs"
            )
        decision = read_stamp(stamp)
        if decision is None:
            raise ConfigurationError(
                "the response's decision cannot be read by this version of confroute: answer the turn anew"
            )
        model = self._routing().model(decision)
        found = model.get_tool_calls_from_response(  # type: ignore[attr-defined]  # it has answered with tools
            response, error_on_no_tool_call=error_on_no_tool_call, **kwargs
        )
        return cast("list[ToolSelection]", found)

    def _prepare_chat_with_tools(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        raise ConfigurationError(
            "arguments for tools are prepared by the model that answers, which is not chosen yet: call "
            "chat_with_tools() or one of its variants"
        )

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Predict an object, in the own way of the model that the router chooses."""
        call = _calls.structured(self.edge, output_cls, prompt, llm_kwargs, prompt_args)
        return cast("Model", self._routing().answer(call))

    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Predict an object, in the own way of the model that the router chooses."""
        call = _calls.structured(self.edge, output_cls, prompt, llm_kwargs, prompt_args)
        return cast("Model", await self._routing().aanswer(call))

    def stream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        """Predict an object that grows, in the own way of the model that the router chooses."""
        call = _calls.structured(self.edge, output_cls, prompt, llm_kwargs, prompt_args)
        return self._routing().stream(call)

    async def astream_structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        """Predict an object that grows, in the own way of the model that the router chooses."""
        call = _calls.structured(self.edge, output_cls, prompt, llm_kwargs, prompt_args)
        return await self._routing().astream(call)

    def _tool_call(self, *given: Any) -> Call:
        return _calls.chat_with_tools(*given)

    def _get_prompt(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        text = super()._get_prompt(prompt, **prompt_args)
        return FormattedPrompt.of(text, Template(prompt, prompt_args))

    def _get_messages(self, prompt: BasePromptTemplate, **prompt_args: Any) -> list[ChatMessage]:
        messages = super()._get_messages(prompt, **prompt_args)
        return FormattedMessages(messages, Template(prompt, prompt_args))

    def _routing(self) -> Routing:
        edge, cloud = (self._copies.of(model, self._for(model)) for model in (self.edge, self.cloud))
        return Routing(
            edge=edge,
            cloud=cloud,
            router=self._router,
            execution=self._execution,
            copies=self._copies,
            turns=self._turns,
            limiter=self.rate_limiter,
            sampler=self._sampler,
            query=self._query,
        )

    def _for(self, model: LLM) -> dict[str, Any]:
        """Return the fields that a model has from the pair; the model itself stays as its owner made it."""
        told = {name: getattr(self, name) for name in _OF_THE_PAIR if name in self.model_fields_set}
        fields = {name: value for name, value in told.items() if value is not None}
        if self.callback_manager.handlers:
            fields["callback_manager"] = with_handlers(model.callback_manager, self.callback_manager)
        return fields


def _options(
    verbose: bool, allow_parallel_tool_calls: bool, tool_required: bool, kwargs: dict[str, Any]
) -> dict[str, Any]:
    return {
        "verbose": verbose,
        "allow_parallel_tool_calls": allow_parallel_tool_calls,
        "tool_required": tool_required,
        **kwargs,
    }
