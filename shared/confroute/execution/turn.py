"""The steps of one turn and how to carry them out, sync or async, for every framework."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import queue
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from confroute.decision import Decided, Evidence, RouteDecision, Router, RouteRequest, Sample, Sampler
from confroute.errors import ConfigurationError
from confroute.execution.guard import GuardedSampler, SampleGuard

if TYPE_CHECKING:
    from confroute.execution.receipt import Receipt


class Spoken:
    """Whether an answer has begun to be shown, which ends the waiting for its first token.

    Attributes:
        begun: Whether it has.
        abandoned: Whether nobody waits for it any more, so that it must not begin.
    """

    def __init__(self) -> None:
        self.begun = False
        self.abandoned = False
        self.then: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Tell that a token is about to be shown.

        Raises:
            TimeoutError: If nobody waits for it any more.
        """
        with self._lock:
            if self.abandoned:
                raise TimeoutError("the answer came too late")
            is_first, self.begun = not self.begun, True
        if is_first:
            self.then()

    def abandon(self) -> bool:
        """Give the answer up, and return True; return False where it has begun."""
        with self._lock:
            self.abandoned = not self.begun
            return self.abandoned


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the router about this request.

    Attributes:
        request: The request, with what the caller ruled written into it.
        timeout: Seconds that sampling may take; None for no limit.
        guard: What samples must pass.
        threshold: The threshold that the caller rules; None for the router's own.
    """

    request: RouteRequest
    timeout: float | None = None
    guard: SampleGuard | None = None
    threshold: float | None = None

    def guarded(self, sampler: Sampler | None) -> Sampler | None:
        """Return the sampler behind the circuit breaker of its model."""
        return sampler if self.guard is None or sampler is None else GuardedSampler(sampler, self.guard)


@dataclass(frozen=True, slots=True)
class Answer:
    """Let the decision's model answer; with a draft, that is the answer.

    Attributes:
        decision: To be stamped on the answer.
        receipt: To be told, once, when the answer has ended.
        draft: An edge answer that is already there.
        evidence: What the router saw.
        timeout: Seconds until the first token; None for no limit.
        spoken: Whether the answer has begun to be shown.
    """

    decision: RouteDecision
    receipt: Receipt
    draft: Sample | None = None
    evidence: Evidence | None = None
    timeout: float | None = None
    spoken: Spoken = field(default_factory=Spoken)


Turn = Generator[Ask | Answer, Decided | None, None]
"""Yields steps; is sent the `Decided` of an `Ask`, is thrown whatever error a step raised."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deciding:
    """Puts requests to a router.

    Attributes:
        router: The router.
        sampler: Makes the handle on the edge model; None from it where nothing can be sampled.
    """

    router: Router
    sampler: Callable[[], Sampler | None]

    def ask(self, step: Ask) -> Decided:
        """Ask the router."""
        return self._ruled(step).decide(step.request, step.guarded(self.sampler()))

    async def aask(self, step: Ask) -> Decided:
        """Ask the router."""
        return await self._ruled(step).adecide(step.request, step.guarded(self.sampler()))

    def _ruled(self, step: Ask) -> Router:
        """Return the router with the caller's threshold, by which it also knows when to stop drawing."""
        if step.threshold is None or not hasattr(self.router, "threshold"):
            return self.router
        router = copy.copy(self.router)
        try:
            router.threshold = step.threshold
        except AttributeError:  # a router whose threshold is its own affair
            return self.router
        return router


def verdict(steps: Turn, deciding: Deciding) -> Answer:
    """Walk a turn up to its decision, which is all that is wanted of it."""
    step = drive(steps, deciding.ask, lambda answer: answer)
    step.receipt.done(None)
    return step


async def averdict(steps: Turn, deciding: Deciding) -> Answer:
    """Walk a turn up to its decision; see `verdict`."""

    async def itself(answer: Answer) -> Answer:
        return answer

    step = await adrive(steps, deciding.aask, itself)
    step.receipt.done(None)
    return step


def checked_router(router: Any, *, edge: str | None = None) -> Router:
    """Return the router; one that was trained on another edge model than that named here warns.

    Raises:
        ConfigurationError: If it is none.
    """
    if isinstance(router, type) or not isinstance(router, Router):
        told = f"the class {router.__name__}" if isinstance(router, type) else f"a {type(router).__name__}"
        raise ConfigurationError(
            f"router is {told}: expected an object with decide() and adecide(), such as "
            "confroute.ConfidenceRouter()"
        )
    check = getattr(router, "check_edge", None)
    if edge is not None and check is not None:
        check(edge)
    return router


def drive(steps: Turn, ask: Callable[[Ask], Decided], answer: Callable[[Answer], T]) -> T:
    """Carry a turn out and return its answer."""
    step = next(steps)
    while True:
        try:
            if isinstance(step, Answer):
                answered = _within(step.timeout, answer, step, step.spoken)
                break
            decided = _within(step.timeout, ask, step)
        except Exception as error:
            step = steps.throw(error)
        except BaseException:
            steps.close()
            raise
        else:
            step = steps.send(decided)
    next(steps, None)
    return answered


async def adrive(
    steps: Turn, ask: Callable[[Ask], Awaitable[Decided]], answer: Callable[[Answer], Awaitable[T]]
) -> T:
    """Carry a turn out and return its answer."""
    step = next(steps)
    while True:
        try:
            if isinstance(step, Answer):
                answered = await _awithin(step.timeout, answer(step), step.spoken)
                break
            decided = await _awithin(step.timeout, ask(step))
        except Exception as error:
            step = steps.throw(error)
        except BaseException:
            steps.close()
            raise
        else:
            step = steps.send(decided)
    next(steps, None)
    return answered


def _within(
    seconds: float | None, call: Callable[[Any], T], argument: Any, spoken: Spoken | None = None
) -> T:
    """Call, and give up waiting after some seconds; the call itself then ends in its own time, unheard.

    What has begun to be shown is waited for.
    """
    if seconds is None:
        return call(argument)
    outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((call(argument), None))
        except BaseException as error:
            outcome.put((None, error))

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        if spoken is None or spoken.abandon():
            raise TimeoutError(f"no answer within {seconds:g} s") from None
        value, error = outcome.get()
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # without an error there is a value


async def _awithin(seconds: float | None, call: Awaitable[T], spoken: Spoken | None = None) -> T:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds) as deadline:
            if spoken is not None:
                spoken.then = lambda: loop.call_soon_threadsafe(_wait_on, deadline)
            return await call
    except TimeoutError:
        if not deadline.expired():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None


def _wait_on(deadline: asyncio.Timeout) -> None:
    if not deadline.expired():
        deadline.reschedule(None)
