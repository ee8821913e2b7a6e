"""Routing between any two Runnables, and the verdict alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs, patch_config

from confroute.decision import RouteDecision, Router, RouteRequest, Sample, Sampler
from confroute.errors import ConfigurationError
from confroute.execution.accounts import SpendCap, Stats
from confroute.execution.control import Controls, current_controls
from confroute.execution.execution import Execution, OnError
from confroute.execution.log import DecisionLog
from confroute.execution.side import Side
from confroute.execution.turn import Deciding, Turn, averdict, verdict
from confroute.execution.turn import checked_router as checked_router  # for the other faces of this package
from langchain_confroute._messages import to_request, to_sample
from langchain_confroute._pair import tools_of
from langchain_confroute._routing import Call, Routing, controls_of, sticky_decision, without_query
from langchain_confroute._sides import side_of, size_of
from langchain_confroute._structured import Structured, StructuredSampler
from langchain_confroute._usage import chat_model_of
from langchain_confroute.sampling import SAMPLE_CONFIG, LangChainSampler

Query = Callable[[Any], Any]
"""From a chain's input to its question: a text or messages."""

_KEYS = ("messages", "question", "query", "input")


@dataclass(frozen=True, slots=True)
class OfModel:
    """What a pair of structured outputs has from the `ChatConfRoute` that it was made of.

    Attributes:
        execution: Carries decisions out; None for one of its own.
        rate_limiter: Asked once a call.
        controls: What `with_config` ruled.
        config: Callbacks, tags and metadata of the model.
        sent_along: What is sent with every prompt: the schema, for the size of the prompt.
        structured: The edge, asked for a structured output; None where looks are at the edge as it is.
    """

    execution: Execution | None = None
    rate_limiter: BaseRateLimiter | None = None
    controls: Controls = field(default_factory=Controls)
    config: RunnableConfig = field(default_factory=RunnableConfig)
    sent_along: Sequence[Any] = ()
    structured: Structured | None = None


class RunnableConfRoute(Runnable[Any, Any]):
    """Routes between any two Runnables: chat models, whole chains, agents, retrievers.

    The decision is stamped on the output where that is a message (or a dict with a message as ``raw``); for
    other outputs it is in the custom event and in the metadata of the chosen Runnable's run.

    Args:
        edge: The edge Runnable.
        cloud: The cloud Runnable.
        router: Decides.
        query: Finds the question in the input: a function that returns a text or messages. By default the
            input itself where it is a text, messages or a prompt, and else the first of its keys
            ``messages``, ``question``, ``query``, ``input``.
        sampler: What the router looks at: a chat model, or by default the edge Runnable itself. What a
            chat model says here is never the reply.
        on_error: Where a question goes when the router or its samples fail.
        edge_timeout: Seconds until the edge's first output; None for no limit.
        cloud_timeout: The same for the cloud.
        breaker_server_errors: As in `ChatConfRoute`.
        breaker_reset_after: As in `ChatConfRoute`.
        cap: What this object may spend.
        log: Where decisions are logged.
        name: Name of the run.

    Example:
        ```python
        chain = RunnableConfRoute(edge=small_rag, cloud=large_rag, router=ConfidenceRouter())
        chain.invoke({"question": "Who wrote Effi Briest?"})
        ```
    """

    def __init__(
        self,
        *,
        edge: Runnable[Any, Any],
        cloud: Runnable[Any, Any],
        router: Router,
        query: Query | None = None,
        sampler: Runnable[Any, Any] | None = None,
        on_error: OnError = "cloud",
        edge_timeout: float | None = None,
        cloud_timeout: float | None = None,
        breaker_server_errors: int = 3,
        breaker_reset_after: float = 30.0,
        cap: SpendCap | None = None,
        log: DecisionLog | None = None,
        name: str | None = None,
        _of_model: OfModel | None = None,
    ) -> None:
        self.edge = edge
        self.cloud = cloud
        self.router = checked_router(router)
        self.query = query
        self.sampler = sampler
        self.name = name
        self._of_model = _of_model or OfModel()
        self._execution = self._of_model.execution or Execution.between(
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

    def __deepcopy__(self, memo: dict[int, Any]) -> RunnableConfRoute:
        """Return a copy with the same Runnables, accounts and breakers, which cannot be copied."""
        return copy(self)

    @property
    def stats(self) -> Stats:
        """What this object has done so far."""
        return self._execution.stats

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the Runnable that the router chooses."""
        return self._routing().invoke(self._call(input, kwargs), self._configured(config))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the Runnable that the router chooses."""
        return await self._routing().ainvoke(self._call(input, kwargs), self._configured(config))

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """Run the Runnable that the router chooses, chunk by chunk."""
        return self._routing().stream(self._call(input, kwargs), self._configured(config))

    def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        """Run the Runnable that the router chooses, chunk by chunk."""
        return self._routing().astream(self._call(input, kwargs), self._configured(config))

    def _routing(self) -> Routing:
        return Routing(
            self.edge, self.cloud, self.router, self._execution, self.get_name(), self._of_model.rate_limiter
        )

    def _configured(self, config: RunnableConfig | None) -> RunnableConfig:
        return merge_configs(self._of_model.config, ensure_config(config))

    def _call(self, given: Any, kwargs: dict[str, Any]) -> Call:
        messages, question = asked_in(given, self.query)
        sampled = self.sampler if self.sampler is not None else self.edge
        structured = self._of_model.structured

        def sampler(config: RunnableConfig) -> Sampler:
            if chat_model_of(sampled) is None:
                return _RunnableSampler(sampled, given, config, kwargs)
            bare = LangChainSampler(sampled, messages, config=config)
            return bare if structured is None else StructuredSampler(structured, bare, messages, config)

        return Call(
            given,
            to_request(
                messages,
                tools=tools_of(self.edge, kwargs) if structured is None else structured.tools,
                query=question,
                schema=None if structured is None else structured.schema,
            ),
            sampler,
            kwargs,
            sticky_decision(messages),
            size_of(messages, self._of_model.sent_along),
            drafts=self.sampler is None or structured is not None,
            controls=self._of_model.controls.then(current_controls()),
        )


class RunnableRouteDecision(Runnable[Any, RouteDecision]):
    """The verdict alone: from a question to its `RouteDecision`, with nothing answered.

    Args:
        router: Decides.
        edge: The edge chat model; needed by routers that look at it.
        query: As in `RunnableConfRoute`.
        sampler: The chat model that the router looks at, where that is not the edge.

    Example:
        ```python
        verdict = RunnableRouteDecision(router=ConfidenceRouter(), edge=ChatOllama(model="qwen2.5:1.5b"))
        verdict.invoke("Who wrote Effi Briest?").route
        ```
    """

    def __init__(
        self,
        *,
        router: Router,
        edge: Runnable[Any, Any] | None = None,
        query: Query | None = None,
        sampler: Runnable[Any, Any] | None = None,
    ) -> None:
        self.router = checked_router(router)
        self.edge = edge
        self.query = query
        self.sampler = sampler

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> RouteDecision:
        """Decide who should answer."""
        return self._call_with_config(self._decide, input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> RouteDecision:
        """Decide who should answer."""
        return await self._acall_with_config(self._adecide, input, config, **kwargs)

    def _decide(
        self, given: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig
    ) -> RouteDecision:
        config = patch_config(config, callbacks=run_manager.get_child())
        messages, question = asked_in(given, self.query)
        return verdict(self._steps(messages, question, config), self._deciding(messages, config)).decision

    async def _adecide(
        self, given: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> RouteDecision:
        config = patch_config(config, callbacks=run_manager.get_child())
        messages, question = asked_in(given, self.query)
        steps = self._steps(messages, question, config)
        return (await averdict(steps, self._deciding(messages, config))).decision

    def _deciding(self, messages: list[BaseMessage], config: RunnableConfig) -> Deciding:
        return Deciding(self.router, lambda: self._sampler(messages, config))

    def _steps(self, messages: list[BaseMessage], question: str, config: RunnableConfig) -> Turn:
        edge = Side("edge") if self.edge is None else side_of(self.edge)
        sampled = None if self.sampler is None else side_of(self.sampler)
        execution = Execution(edge, Side("cloud"), sampled=sampled, on_error="raise")
        tools = [] if self.edge is None else tools_of(self.edge, {})
        return execution.turn(
            to_request(messages, tools=tools, query=question),
            controls=controls_of(config),
            sticky=sticky_decision(messages),
            drafts=False,
        )

    def _sampler(self, messages: list[BaseMessage], config: RunnableConfig) -> Sampler | None:
        looked_at = self.edge if self.sampler is None else self.sampler
        return (
            None if looked_at is None else LangChainSampler(looked_at, messages, config=without_query(config))
        )


class _RunnableSampler:
    """Draws samples by running a whole chain again and again."""

    def __init__(
        self, runnable: Runnable[Any, Any], given: Any, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> None:
        self._runnable = runnable
        self._given = given
        self._config = merge_configs(config, SAMPLE_CONFIG)
        self._kwargs = kwargs

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        self._check(settings)
        outputs = self._runnable.batch([self._given] * n, self._config, **self._kwargs)
        return [to_sample(output) for output in outputs]

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        self._check(settings)
        outputs = await self._runnable.abatch([self._given] * n, self._config, **self._kwargs)
        return [to_sample(output) for output in outputs]

    def _check(self, settings: dict[str, Any]) -> None:
        if settings.get("append"):
            raise ConfigurationError(
                "the router asks something of the edge beyond the question, which "
                f"{self._runnable.get_name()} cannot be told: name a chat model with sampler=, or use "
                "EntropyRouter(probe='full')"
            )


def asked_in(given: Any, query: Query | None) -> tuple[list[BaseMessage], str]:
    """Find what is asked in the input of a Runnable.

    Returns:
        The messages, and the question itself where `query` told it as a text; else an empty text.

    Raises:
        ConfigurationError: If there is none.
    """
    found = given if query is None else query(given)
    if query is None or not isinstance(found, str):
        return messages_of(found), ""
    return messages_of(found if isinstance(given, dict) else given), found


def text_of(found: Any) -> str:
    """Return the question that a `Query` found, as a text."""
    return found if isinstance(found, str) else "\n".join(str(m.text) for m in messages_of(found))


def messages_of(given: Any) -> list[BaseMessage]:
    """Read the input of a Runnable as messages.

    Raises:
        ConfigurationError: If it holds none.
    """
    found = given
    if isinstance(found, dict):
        found = next((found[key] for key in _KEYS if key in found), None)
    if isinstance(found, PromptValue):
        return found.to_messages()
    if isinstance(found, str):
        return [HumanMessage(found)]
    if isinstance(found, BaseMessage):
        return [found]
    if isinstance(found, Sequence):
        return convert_to_messages(found)
    raise ConfigurationError(
        f"no question found in an input of type {type(given).__name__}: expected a text, messages, a prompt, "
        f"or a dict with one of the keys {', '.join(_KEYS)}. Say where it is with query="
    )
