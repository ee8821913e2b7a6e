"""One routed call through LlamaIndex: the router chooses, one model's own method answers.

The routed call is no LLM event of its own: the callbacks and events of the model that answers tell all, and
a second pair around them would count every token twice.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM

from confroute.decision import RouteDecision, Router, RouteRequest, Sampler, Usage
from confroute.execution.control import current_controls
from confroute.execution.execution import Execution
from confroute.execution.limits import PromptSize
from confroute.execution.streams import aopened, nothing, opened
from confroute.execution.turn import Answer, Deciding, Turn, adrive, drive
from confroute.schemas import answer_schema, asked_of
from llamaindex_confroute._messages import as_chunk, says_something, stamp, stamped, texts_of
from llamaindex_confroute._metering import Meter, heard
from llamaindex_confroute._sampling import Arguments, Copies, LlamaIndexSampler
from llamaindex_confroute._sides import priced, usage_of
from llamaindex_confroute._structured import StructuredSampler
from llamaindex_confroute._turns import TurnMemory
from llamaindex_confroute.events import tell

Query = Callable[[Any], str]
"""From what a model is given, a prompt or messages, to the question in it."""

Stream = TypeVar("Stream", Generator[Any, None, None], AsyncGenerator[Any, None])


@dataclass(frozen=True, slots=True)
class Call:
    """One call to be routed.

    Attributes:
        method: Name of the models' sync method that answers; ``a``, ``stream_`` and ``astream_`` before it
            name the others.
        arguments: Makes its arguments for a model.
        request: The question, as the router sees it.
        sticky: The decision of this turn's earlier call, in a tool loop.
        size: How long the prompt is.
        sampled: The call of a bare answer, where the method predicts an object.
        asked: What of the prompt the caller has said, where a template says the rest.
    """

    method: str
    arguments: Arguments
    request: RouteRequest
    sticky: RouteDecision | None = None
    size: PromptSize | None = None
    sampled: Call | None = None
    asked: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """Routes between two models.

    Attributes:
        edge: The edge.
        cloud: The cloud.
        router: Decides.
        execution: Carries decisions out.
        copies: Copies of the edge that are sampled.
        turns: The decisions of recent questions.
        limiter: The rate limiter of the pair.
        sampler: The model that the router looks at; the edge by default.
        query: Finds the question in what a model is given.
    """

    edge: LLM
    cloud: LLM
    router: Router
    execution: Execution
    copies: Copies
    turns: TurnMemory
    limiter: Any = None
    sampler: LLM | None = None
    query: Query | None = None

    def answer(self, call: Call) -> Any:
        """Answer with one model."""
        if self.limiter is not None:
            self.limiter.acquire()

        def reply(step: Answer) -> tuple[Answer, Meter, Any]:
            meter = Meter()
            if step.draft is not None:
                return step, meter, stamped(step.draft.raw, step.decision)
            with meter.listening():
                return step, meter, stamped(self._ask(step, call, ""), step.decision)

        step, meter, answered = drive(self._turn(call), self._deciding(call).ask, reply)
        self._tell(step, call)
        self._settle(step, usage_of(answered) or meter.usage, answered)
        return answered

    async def aanswer(self, call: Call) -> Any:
        """Answer with one model."""
        if self.limiter is not None:
            await self.limiter.async_acquire()

        async def reply(step: Answer) -> tuple[Answer, Meter, Any]:
            meter = Meter()
            if step.draft is not None:
                return step, meter, stamped(step.draft.raw, step.decision)
            with meter.listening():
                return step, meter, stamped(await self._ask(step, call, "a"), step.decision)

        step, meter, answered = await adrive(self._turn(call), self._deciding(call).aask, reply)
        self._tell(step, call)
        self._settle(step, usage_of(answered) or meter.usage, answered)
        return answered

    def stream(self, call: Call) -> Generator[Any, None, None]:
        """Answer with one model, chunk by chunk; it is chosen, and has said something, on return."""
        if self.limiter is not None:
            self.limiter.acquire()

        def reply(step: Answer) -> tuple[Answer, Meter, list[Any], Iterator[Any]]:
            meter = Meter()
            if step.draft is not None:
                return step, meter, [as_chunk(step.draft.raw)], iter(())
            return step, meter, *opened(meter.over(self._ask(step, call, "stream_")), says_something)

        step, meter, opening, rest = drive(self._turn(call), self._deciding(call).ask, reply)
        self._tell(step, call)
        return _unless_forgotten(self._flow(step, meter, opening, rest), step)

    async def astream(self, call: Call) -> AsyncGenerator[Any, None]:
        """Answer with one model, chunk by chunk; it is chosen, and has said something, on return."""
        if self.limiter is not None:
            await self.limiter.async_acquire()

        async def reply(step: Answer) -> tuple[Answer, Meter, list[Any], AsyncIterator[Any]]:
            meter = Meter()
            if step.draft is not None:
                return step, meter, [as_chunk(step.draft.raw)], nothing()
            chunks = meter.aover(await self._ask(step, call, "astream_"))
            return step, meter, *await aopened(chunks, says_something)

        step, meter, opening, rest = await adrive(self._turn(call), self._deciding(call).aask, reply)
        self._tell(step, call)
        return _unless_forgotten(self._aflow(step, meter, opening, rest), step)

    def model(self, decision: RouteDecision) -> LLM:
        """Return the model that a decision lets answer."""
        return self.edge if decision.route == "edge" else self.cloud

    def _ask(self, step: Answer, call: Call, prefix: str) -> Any:
        model = self.model(step.decision)
        if call.sampled is not None:  # a structured prediction
            model = self.copies.of(model, heard(model))
        return getattr(model, f"{prefix}{call.method}")(**call.arguments(model, ()))

    def _turn(self, call: Call) -> Turn:
        is_pinned = call.request.private or self.turns.is_pinned(call.request, call.asked)
        if is_pinned or current_controls().private:
            self.turns.pin(call.request, call.asked)
        query = call.request.query if self.query is None else self.query(_given(call, self.edge))
        schema = call.request.answer_schema
        if schema is None and not call.request.tools:
            schema = answer_schema(asked_of(self.edge))
        return self.execution.turn(
            replace(call.request, private=is_pinned, query=query, answer_schema=schema),
            sticky=call.sticky or self.turns.recall(call.request),
            size=call.size,
            drafts=self.sampler is None,
        )

    def _deciding(self, call: Call) -> Deciding:
        return Deciding(self.router, lambda: self._handle(call))

    def _handle(self, call: Call) -> Sampler:
        """Return the handle on the model that the router looks at."""
        looked_at = self.edge if self.sampler is None else self.sampler
        chats = call.sampled or call
        if chats.method == "chat_with_tools" and not isinstance(looked_at, FunctionCallingLLM):
            chats = replace(chats, method="chat", arguments=_without_tools(chats.arguments))
        bare = LlamaIndexSampler(looked_at, chats.method, chats.arguments, self.copies)
        if call.sampled is None:
            return bare
        return StructuredSampler(looked_at, call.arguments, self.copies, bare)

    def _tell(self, step: Answer, call: Call) -> None:
        self.turns.remember(call.request, step.decision)
        tell(step)

    def _settle(self, step: Answer, usage: Usage | None, said: Any) -> None:
        if step.decision.private:
            self.turns.pin_said(texts_of(said))
        step.receipt.done(priced(usage, self.model(step.decision)))

    def _flow(
        self, step: Answer, meter: Meter, opening: list[Any], rest: Iterator[Any]
    ) -> Generator[Any, None, None]:
        usage: Usage | None = None
        chunk: Any = None
        step.receipt.read()
        try:
            for chunk in itertools.chain(opening, rest):
                usage = usage_of(chunk) or usage
                yield stamp(chunk, step.decision)
        finally:
            self._settle(step, usage or meter.usage, chunk)

    async def _aflow(
        self, step: Answer, meter: Meter, opening: list[Any], rest: AsyncIterator[Any]
    ) -> AsyncGenerator[Any, None]:
        usage: Usage | None = None
        chunk: Any = None
        step.receipt.read()
        try:
            for chunk in opening:
                usage = usage_of(chunk) or usage
                yield stamp(chunk, step.decision)
            async for chunk in rest:
                usage = usage_of(chunk) or usage
                yield stamp(chunk, step.decision)
        finally:
            self._settle(step, usage or meter.usage, chunk)


def _without_tools(arguments: Arguments) -> Arguments:
    """Make arguments of a chat of those of a chat with tools, for a model that cannot call any."""
    return lambda model, extra: {"messages": arguments(model, extra)["chat_history"]}


def _given(call: Call, model: LLM) -> Any:
    """Return the prompt or the messages that a model is given."""
    arguments = (call.sampled or call).arguments(model, ())
    return next(arguments[key] for key in ("messages", "chat_history", "prompt") if key in arguments)


def _unless_forgotten(chunks: Stream, step: Answer) -> Stream:
    """Return a stream that is settled as if it had timed out where nobody ever reads it."""
    weakref.finalize(chunks, step.receipt.forgotten).atexit = False
    return chunks
