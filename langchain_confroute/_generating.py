"""One routed call inside a chat-model run of our own: `generate`, and events of ``version="v3"``.

LangChain opens that run before the decision, so the model that answers works inside it and has none of its
own. A draft carries no usage there, since the run that drew it has reported it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from confroute.decision import RouteDecision, Usage
from confroute.errors import ConfigurationError
from confroute.execution.streams import aopened, nothing, opened
from confroute.execution.turn import Answer, Deciding, Turn, adrive, drive
from langchain_confroute._listening import says_something
from langchain_confroute._messages import stamp
from langchain_confroute._routing import (
    DECISION_EVENT,
    Call,
    Routing,
    as_chunk,
    controls_of,
    draft_of,
    event_of,
    stamped,
)
from langchain_confroute._usage import chat_model_of, priced_usage, unwrapped


@dataclass(frozen=True, slots=True)
class Generating:
    """Routes one call between two chat models.

    Attributes:
        routing: The models, the router and the accounts.
        call: The call; its `input` is a list of messages.
        stop: Stop words.
        run: The run that LangChain has opened.
    """

    routing: Routing
    call: Call
    stop: list[str] | None
    run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None

    def generate(self) -> ChatResult:
        """Answer with one model."""

        def answer(step: Answer) -> tuple[Answer, ChatResult]:
            draft = draft_of(step)
            if draft is not None:
                return step, _drafted(draft, step.decision)
            model, kwargs = self._ready(step)
            return step, _stamped(_whole(model)._generate(self.call.input, **kwargs), step.decision)

        step, result = drive(self._turn(), self._deciding.ask, answer)
        step.receipt.done(self._usage(step, result.generations[0].message))
        self._tell(step)
        return result

    async def agenerate(self) -> ChatResult:
        """Answer with one model."""

        async def answer(step: Answer) -> tuple[Answer, ChatResult]:
            draft = draft_of(step)
            if draft is not None:
                return step, _drafted(draft, step.decision)
            model, kwargs = await self._aready(step)
            return step, _stamped(await _whole(model)._agenerate(self.call.input, **kwargs), step.decision)

        step, result = await adrive(self._turn(), self._deciding.aask, answer)
        step.receipt.done(self._usage(step, result.generations[0].message))
        await self._atell(step)
        return result

    def stream(self) -> Iterator[ChatGenerationChunk]:
        """Answer with one model, chunk by chunk; the first chunk carries the decision."""

        def answer(step: Answer) -> tuple[Answer, list[ChatGenerationChunk], Iterator[ChatGenerationChunk]]:
            draft = draft_of(step)
            if draft is not None:
                return step, [_chunk(_without_usage(draft))], iter(())
            model, kwargs = self._ready(step)
            if _streams(model, "_stream"):
                return step, *opened(model._stream(self.call.input, **kwargs), _speaks)
            result = _whole(model)._generate(self.call.input, **kwargs)
            return step, *opened([_chunk(result.generations[0].message)], _speaks)

        step, opening, rest = drive(self._turn(), self._deciding.ask, answer)
        said = _Said(step.decision)
        try:
            self._tell(step)
            for chunk in chain(opening, rest):
                yield said.noted(chunk)
        finally:
            step.receipt.done(self._usage(step, said.whole))

    async def astream(self) -> AsyncIterator[ChatGenerationChunk]:
        """Answer with one model, chunk by chunk; the first chunk carries the decision."""

        async def answer(
            step: Answer,
        ) -> tuple[Answer, list[ChatGenerationChunk], AsyncIterator[ChatGenerationChunk]]:
            draft = draft_of(step)
            if draft is not None:
                return step, [_chunk(_without_usage(draft))], nothing()
            model, kwargs = await self._aready(step)
            if _streams(model, "_astream", "_stream"):
                return step, *await aopened(model._astream(self.call.input, **kwargs), _speaks)
            result = await _whole(model)._agenerate(self.call.input, **kwargs)
            opening, _ = opened([_chunk(result.generations[0].message)], _speaks)
            return step, opening, nothing()

        step, opening, rest = await adrive(self._turn(), self._deciding.aask, answer)
        said = _Said(step.decision)
        try:
            await self._atell(step)
            for chunk in opening:
                yield said.noted(chunk)
            async for chunk in rest:
                yield said.noted(chunk)
        finally:
            step.receipt.done(self._usage(step, said.whole))

    @property
    def _deciding(self) -> Deciding:
        return Deciding(self.routing.router, lambda: self.call.sampler(_beside(self.run)))

    def _tell(self, step: Answer) -> None:
        """Tell the decision: by an event and the tag of the run."""
        told = event_of(step)
        if self.run is not None:
            self.run.tags = [*self.run.tags, f"route:{step.decision.route}"]
            dispatch_custom_event(DECISION_EVENT, told, config=_below(self.run))

    async def _atell(self, step: Answer) -> None:
        """Tell the decision; see `_tell`."""
        told = event_of(step)
        if self.run is not None:
            self.run.tags = [*self.run.tags, f"route:{step.decision.route}"]
            await adispatch_custom_event(DECISION_EVENT, told, config=_below(self.run))

    def _turn(self) -> Turn:
        return self.routing.execution.turn(
            self.call.request,
            controls=controls_of(ensure_config(), self.call.controls),
            sticky=self.call.sticky,
            size=self.call.size,
            drafts=self.call.drafts,
        )

    def _model(self, step: Answer) -> tuple[BaseChatModel, dict[str, Any]]:
        """Return the model of a step, free of bindings, and the arguments of its call."""
        side, bound, _ = unwrapped(self.routing.model(step))
        if not isinstance(side, BaseChatModel):
            raise ConfigurationError(
                f"generate() needs chat models on both sides, but one is a {type(side).__name__}"
            )
        if getattr(side, "streaming", False):  # which `BaseChatModel` heeds before `_generate`, and we do
            side = side.model_copy(update={"streaming": False})
        arguments = {**bound, **self.call.kwargs, "run_manager": self.run}
        return side, arguments if self.stop is None else {**arguments, "stop": self.stop}

    def _ready(self, step: Answer) -> tuple[BaseChatModel, dict[str, Any]]:
        """Return the same once the model's own rate limiter lets it answer."""
        model, arguments = self._model(step)
        if model.rate_limiter is not None:
            model.rate_limiter.acquire(blocking=True)
        return model, arguments

    async def _aready(self, step: Answer) -> tuple[BaseChatModel, dict[str, Any]]:
        """Return the same once the model's own rate limiter lets it answer."""
        model, arguments = self._model(step)
        if model.rate_limiter is not None:
            await model.rate_limiter.aacquire(blocking=True)
        return model, arguments

    def _usage(self, step: Answer, message: BaseMessage | None) -> Usage | None:
        model = chat_model_of(self.routing.model(step))
        return priced_usage(message, model) if message is not None else None


def _whole(model: BaseChatModel) -> BaseChatModel:
    """Return the model so that it generates a whole reply: one that streams by itself sends for a stream."""
    return model.model_copy(update={"streaming": False}) if getattr(model, "streaming", False) else model


class _Said:
    """Adds a stream up, and stamps its first chunk."""

    def __init__(self, decision: RouteDecision) -> None:
        self._decision = decision
        self._chunks: list[ChatGenerationChunk] = []

    def noted(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        if not self._chunks:
            chunk = ChatGenerationChunk(
                message=stamp(chunk.message, self._decision), generation_info=chunk.generation_info
            )
        self._chunks.append(chunk)
        return chunk

    @property
    def whole(self) -> BaseMessage | None:
        if not self._chunks:
            return None
        first, *others = [chunk.message for chunk in self._chunks]
        return first + others if others else first


def _beside(run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> RunnableConfig:
    """Configure samples to be seen by the handlers of a chat-model run, beside it and not below it."""
    if run is None:
        return {}
    kind = CallbackManager if isinstance(run, CallbackManagerForLLMRun) else AsyncCallbackManager
    handlers = list(run.inheritable_handlers)
    return {"callbacks": kind(handlers, handlers, parent_run_id=run.parent_run_id)}


def _below(run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun) -> RunnableConfig:
    """Configure an event to belong to a chat-model run."""
    kind = CallbackManager if isinstance(run, CallbackManagerForLLMRun) else AsyncCallbackManager
    return {"callbacks": kind(run.handlers, run.inheritable_handlers, parent_run_id=run.run_id)}


def _streams(model: BaseChatModel, *methods: str) -> bool:
    return any(getattr(type(model), name) is not getattr(BaseChatModel, name) for name in methods)


def _speaks(chunk: ChatGenerationChunk) -> bool:
    return says_something(chunk.message)


def _chunk(message: BaseMessage) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=as_chunk(message))


def _without_usage(draft: AIMessage) -> AIMessage:
    return draft.model_copy(update={"usage_metadata": None})


def _drafted(draft: AIMessage, decision: RouteDecision) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=stamp(_without_usage(draft), decision))])


def _stamped(result: ChatResult, decision: RouteDecision) -> ChatResult:
    for generation in result.generations:
        generation.message = stamped(generation.message, decision)
    return result
