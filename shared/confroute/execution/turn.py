"""The steps of one turn and how to carry them out, sync or async, for every framework."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from confroute.decision import Decided, Evidence, RouteDecision, Router, RouteRequest, Sample
from confroute.errors import ConfigurationError

if TYPE_CHECKING:
    from confroute.execution.execution import Receipt


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the router about this request.

    Attributes:
        request: The request, with what the caller ruled written into it.
        timeout: Seconds that sampling the edge may take; None for no limit.
    """

    request: RouteRequest
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Let the decision's model answer; with a draft, that is the answer.

    Attributes:
        decision: To be stamped on the answer.
        receipt: To be told, once, when the answer has ended.
        draft: An edge answer that is already there.
        evidence: What the router saw.
        timeout: Seconds until the first token; None for no limit.
    """

    decision: RouteDecision
    receipt: Receipt
    draft: Sample | None = None
    evidence: Evidence | None = None
    timeout: float | None = None


Turn = Generator[Ask | Answer, Decided | None, None]
"""Yields steps; is sent the `Decided` of an `Ask`, is thrown whatever error a step raised."""

T = TypeVar("T")


def checked_router(router: Any) -> Router:
    """Return the router.

    Raises:
        ConfigurationError: If it is none.
    """
    if not isinstance(router, Router):
        raise ConfigurationError(
            f"router is a {type(router).__name__}: expected an object with decide() and adecide(), such as "
            "confroute.EntropyRouter()"
        )
    return router


def drive(steps: Turn, ask: Callable[[Ask], Decided], answer: Callable[[Answer], T]) -> T:
    """Carry a turn out and return its answer."""
    step = next(steps)
    while True:
        try:
            if isinstance(step, Answer):
                answered = _within(step.timeout, answer, step)
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
                answered = await _awithin(step.timeout, answer(step))
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


def _within(seconds: float | None, call: Callable[[Any], T], argument: Any) -> T:
    """Call, and give up waiting after some seconds; the call itself then ends in its own time, unheard."""
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
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # without an error there is a value


async def _awithin(seconds: float | None, call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(seconds) as deadline:
            return await call
    except TimeoutError:
        if not deadline.expired():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None
