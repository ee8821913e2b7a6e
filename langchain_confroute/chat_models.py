"""`ChatConfRoute`: two chat models behind one, each question answered by the right one."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.tools import BaseTool
from pydantic import Field, PrivateAttr, SkipValidation, field_validator, model_validator

from confroute.decision import Router
from confroute.execution.accounts import SpendCap, Stats
from confroute.execution.control import Controls
from confroute.execution.execution import Execution, OnError
from confroute.execution.log import DecisionLog
from confroute.routers.threshold import plain_threshold
from langchain_confroute._calls import call_of, of_input, with_stop
from langchain_confroute._generating import Generating
from langchain_confroute._pair import (
    RoutedBinding,
    identity_of,
    merged_profile,
    schema_of,
    with_fields,
)
from langchain_confroute._routing import Call, Routing, controls_of
from langchain_confroute._sides import Executions
from langchain_confroute._structured import structured_of
from langchain_confroute._usage import chat_model_of
from langchain_confroute.runnables import OfModel, Query, RunnableConfRoute, checked_router

_FOR_BOTH = ("cache", "disable_streaming", "output_version")
"""Fields of any chat model that, set on the pair, hold for both models."""


class ChatConfRoute(BaseChatModel):
    """A chat model that lets an edge model answer while it is sure, and a cloud model otherwise.

    The decision rides on the answer, in ``response_metadata["confroute"]`` (in a stream: on the first chunk),
    and in the metadata of the run of the model that answered. What was sampled to decide is traced under the
    tag ``confroute:sample`` and never shown as reply text.

    Args:
        edge: The cheap model, which is also the one that the router looks at.
        cloud: The strong model.
        router: Decides; for instance ``ConfidenceRouter()``, which needs no training.
        query: Finds the question in the messages, where they say more: a function that returns a text; by
            default the last human turn. A call's config can name its question: ``confroute_query``.
        sampler: The chat model that the router looks at, where that is not the edge: a local one, where the
            edge tells no log-probabilities or costs money. What it says is never the reply.
        on_error: Where a question goes when the router fails: ``"cloud"``, ``"edge"`` or ``"raise"``.
        edge_timeout: Seconds until the edge's first token (and for its samples); None for no limit.
        cloud_timeout: Seconds until the cloud's first token; None for no limit.
        breaker_server_errors: Server errors in a row after which a model is left alone; one time-out will do.
        breaker_reset_after: Seconds of that while.
        cap: What this object may spend; when it is spent, the edge answers.
        log: Where decisions are logged; nowhere by default.

    Example:
        ```python
        from confroute import ConfidenceRouter
        from langchain_confroute import ChatConfRoute
        from langchain_ollama import ChatOllama
        from langchain_openai import ChatOpenAI

        llm = ChatConfRoute(
            edge=ChatOllama(model="qwen2.5:1.5b"),
            cloud=ChatOpenAI(model="gpt-5"),
            router=ConfidenceRouter(probe="brief"),
        )
        reply = llm.invoke("Who wrote Effi Briest?")
        print(reply.text, reply.response_metadata["confroute"]["reason"])
        ```
    """

    edge: SkipValidation[Runnable[Any, Any]]
    cloud: SkipValidation[Runnable[Any, Any]]
    router: SkipValidation[Router]
    query: SkipValidation[Query | None] = None
    sampler: SkipValidation[Runnable[Any, Any] | None] = None
    on_error: OnError = "cloud"
    edge_timeout: float | None = None
    cloud_timeout: float | None = None
    breaker_server_errors: int = 3
    breaker_reset_after: float = 30.0
    cap: SkipValidation[SpendCap | None] = None
    log: SkipValidation[DecisionLog | None] = None
    model: str = Field(default="confroute", description="Name of the pair, for traces.")
    executions: SkipValidation[Executions] = Field(
        default_factory=Executions, exclude=True, repr=False, description="Accounts and breakers, for copies."
    )
    _controls: Controls = PrivateAttr(default_factory=Controls)

    @model_validator(mode="before")
    @classmethod
    def _knows_its_arguments(cls, given: Any) -> Any:
        names = {name for key, field in cls.model_fields.items() for name in (key, field.alias)}
        unknown = sorted(given.keys() - names) if isinstance(given, dict) else []
        if unknown:
            warnings.warn(
                f"{', '.join(unknown)}: ChatConfRoute has no such argument, so it does nothing. Set it on "
                "the edge and the cloud model, or correct its name",
                UserWarning,
                stacklevel=4,
            )
        return given

    @field_validator("router")
    @classmethod
    def _is_router(cls, router: Any) -> Any:
        return checked_router(router)

    @model_validator(mode="after")
    def _can_be_carried_out(self) -> Self:
        checked_router(self.router, edge=self._execution.edge.name)
        return self

    @property
    def stats(self) -> Stats:
        """What this object has done so far: calls, cloud share, fallbacks, tokens, money spent and saved."""
        return self.executions.counters.stats

    @property
    def _execution(self) -> Execution:
        return self.executions.get(
            self.edge,
            self.cloud,
            sampled=self.sampler,
            on_error=self.on_error,
            edge_timeout=self.edge_timeout,
            cloud_timeout=self.cloud_timeout,
            server_errors=self.breaker_server_errors,
            reset_after=self.breaker_reset_after,
            cap=self.cap,
            log=self.log,
        )

    @property
    def _llm_type(self) -> str:
        return "confroute"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        sides = {side: identity_of(getattr(self, side)) for side in ("edge", "cloud")}
        return {
            **sides,
            "router": type(self.router).__name__,
            "threshold": plain_threshold(getattr(self.router, "threshold", None)),
        }

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer with the model that the router chooses."""
        call = self._call(input, with_stop(stop, kwargs))
        return cast("AIMessage", self._routing().invoke(call, self._configured(config)))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer with the model that the router chooses."""
        call = self._call(input, with_stop(stop, kwargs))
        return cast("AIMessage", await self._routing().ainvoke(call, self._configured(config)))

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Answer with the model that the router chooses, chunk by chunk."""
        call = self._call(input, with_stop(stop, kwargs))
        return self._routing().stream(call, self._configured(config))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Answer with the model that the router chooses, chunk by chunk."""
        call = self._call(input, with_stop(stop, kwargs))
        return self._routing().astream(call, self._configured(config))

    def stream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Tell what happens; see `BaseChatModel.stream_events`."""
        return super(ChatConfRoute, self._ruled(ensure_config(config))).stream_events(input, config, **kwargs)

    def astream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Tell what happens; see `BaseChatModel.astream_events`."""
        return super(ChatConfRoute, self._ruled(ensure_config(config))).astream_events(
            input, config, **kwargs
        )

    def with_config(
        self, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind a config; what it rules, such as ``confroute_private``, holds for all that is built on it.

        LangChain itself drops a bound config where tools or a structured output are bound after it.
        """
        ruled = self._ruled(merge_configs(config, cast("RunnableConfig", kwargs)))
        return RoutedBinding(
            bound=ruled, config=merge_configs(config, cast("RunnableConfig", kwargs)), kwargs={}
        )

    def bind(self, **kwargs: Any) -> Any:
        """Bind arguments of both models; what a config rules later holds for all that is built on it."""
        return RoutedBinding(bound=self, kwargs=kwargs, config={})

    def _ruled(self, config: RunnableConfig | None) -> Self:
        """Return a copy that keeps what a config rules; itself where that is nothing."""
        controls = controls_of(config, self._controls)
        if controls == self._controls:
            return self
        copied = self.model_copy()
        copied._controls = controls
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy with the same models, accounts and breakers, which cannot be copied."""
        return self.model_copy()

    def get_num_tokens(self, text: str) -> int:
        """Count as that model counts which finds more: it is not known yet which one answers."""
        return max((model.get_num_tokens(text) for model in self._models()), default=0)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Count as that model counts which finds more; see `BaseChatModel`."""
        counts = (model.get_num_tokens_from_messages(messages, tools) for model in self._models())
        return max(counts, default=0)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to both models; see `BaseChatModel.bind_tools`.

        Raises:
            NotImplementedError: If one of the two models cannot call tools.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        sides: dict[str, Any] = {
            side: getattr(self, side).bind_tools(tools, **kwargs) for side in ("edge", "cloud")
        }
        if self.sampler is not None:
            with suppress(NotImplementedError):  # it is looked at without tools, and answers in words
                sides["sampler"] = self.sampler.bind_tools(tools, **kwargs)  # type: ignore[attr-defined]  # a chat model
        return cast("Runnable[LanguageModelInput, AIMessage]", self.model_copy(update=sides).bind())

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Route between both models' own ways to structured output; see `BaseChatModel`.

        The decision is on ``raw`` where `include_raw` is set, and in the trace in any case.
        """
        edge, cloud = (
            side.with_structured_output(schema, include_raw=include_raw, **kwargs)  # type: ignore[attr-defined]  # a chat model, bound or not
            for side in self._sides()
        )
        own = OfModel(
            execution=self._execution,
            rate_limiter=self.rate_limiter,
            controls=self._controls,
            config=self._own_config,
            sent_along=[schema_of(schema)],
            structured=None
            if self.sampler is not None
            else structured_of(self._sides()[0], schema, include_raw=include_raw, **kwargs),
        )
        return RunnableConfRoute(
            edge=edge,
            cloud=cloud,
            router=self.router,
            query=of_input(self, self.query),
            sampler=self.sampler if self.sampler is not None else self.edge,
            name=self.get_name(),
            _of_model=own,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generating(messages, stop, run_manager, kwargs).generate()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self._generating(messages, stop, run_manager, kwargs).agenerate()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._generating(messages, stop, run_manager, kwargs).stream()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in self._generating(messages, stop, run_manager, kwargs).astream():
            yield chunk

    def _generating(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
        kwargs: dict[str, Any],
    ) -> Generating:
        return Generating(self._routing(), self._call(messages, kwargs), stop, run)

    def _routing(self) -> Routing:
        edge, cloud = self._sides()
        return Routing(edge, cloud, self.router, self._execution, self.get_name(), self.rate_limiter)

    def _sides(self) -> list[Runnable[Any, Any]]:
        """Return both models, with the fields that were set here for both."""
        defaults = BaseChatModel.model_fields
        told = {name: getattr(self, name) for name in _FOR_BOTH}
        told = {name: value for name, value in told.items() if value != defaults[name].get_default()}
        return [with_fields(side, told) if told else side for side in (self.edge, self.cloud)]

    def _models(self) -> list[BaseChatModel]:
        return [model for side in (self.edge, self.cloud) if (model := chat_model_of(side)) is not None]

    def _call(self, model_input: LanguageModelInput, kwargs: dict[str, Any]) -> Call:
        return call_of(
            self._convert_input(model_input).to_messages(),
            kwargs,
            edge=self.edge,
            cloud=self.cloud,
            sampler=self.sampler,
            query=self.query,
            controls=self._controls,
        )

    @property
    def _own_config(self) -> RunnableConfig:
        own: RunnableConfig = {"tags": self.tags or [], "metadata": self.metadata or {}}
        if self.callbacks is not None:
            own["callbacks"] = self.callbacks
        return own

    def _configured(self, config: RunnableConfig | None) -> RunnableConfig:
        return merge_configs(self._own_config, ensure_config(config))

    def _resolve_model_profile(self) -> ModelProfile | None:
        """Return what both models can do: the smaller of their limits, the capabilities that they share."""
        return merged_profile(self.edge, self.cloud)
