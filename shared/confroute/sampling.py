"""Drawing answers from one model, whatever the framework.

At once where the model can, else side by side; without what it refuses; once more where a brief answer was
cut in its thought.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from confroute.decision import Sample, total_usage
from confroute.steps import adrive, drive
from confroute.wishes import (
    NO_THOUGHT,
    ROOM_FOR_THOUGHT,
    SEVERAL,
    Ask,
    Dropped,
    Habits,
    Thinking,
    habits_of,
    may_refuse,
)

MAX_CONCURRENCY = 8
"""Most requests in flight for one set of samples, unless the caller says otherwise."""

Outcome = Sequence[Sample] | Exception
Steps = Generator[list[Ask], list[Outcome], list[Sample]]
"""The steps of one drawing: yields requests to send side by side, is sent what they came to."""


_allowance: ContextVar[Callable[[int, int], bool] | None] = ContextVar("confroute_allowance", default=None)


@contextmanager
def allowance(allows: Callable[[int, int], bool]) -> Iterator[None]:
    """Let answers that are cut in a thought be drawn once more, within the block, only where that is allowed.

    Args:
        allows: Whether so many answers of at most so many tokens may be drawn, beyond what was asked for.
    """
    token = _allowance.set(allows)
    try:
        yield
    finally:
        _allowance.reset(token)


class Numbers:
    """Counts the draws of one decision, so that no batch repeats the seeds of another; safe under threads."""

    def __init__(self) -> None:
        self._next = 0
        self._lock = threading.Lock()

    def take(self, n: int) -> int:
        """Return the first of the next `n` numbers."""
        with self._lock:
            first, self._next = self._next, self._next + n
            return first


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be drawn from a model, without input or output.

    Attributes:
        model: The model object: what it refuses is remembered for it, so every copy of it that only has other
            settings is to be drawn from under the original.
        n: How many answers.
        ask: What each request is like.
        is_cut: Whether a brief answer was cut before it began; see `confroute.replies.is_cut_thought`.
        at_once: Whether the model draws several answers in one request.
        stops_thinking: Whether thinking can be switched off, and is not so yet.
        first: Number of the first draw.
    """

    model: object
    n: int
    ask: Ask
    is_cut: Callable[[Sample], bool]
    at_once: bool = False
    stops_thinking: bool = False
    first: int = 0

    @classmethod
    def of(
        cls,
        model: object,
        n: int,
        is_cut: Callable[[Sample], bool],
        numbers: Numbers,
        own: Sequence[Mapping[str, Any]],
        *,
        at_once: bool,
        has_switch: bool,
        logprobs: bool,
        temperature: float | None,
        takes_temperature: bool = True,
        max_tokens: int | None,
        seed: int | None = None,
    ) -> Drawing:
        """Make a drawing of what a router wants and what the user has set on the model.

        Args:
            model: The model object.
            n: How many answers.
            is_cut: Whether a brief answer was cut before it began.
            numbers: Those of the decision.
            own: Where settings of the user's may stand, the first before the others.
            at_once: Whether the model draws several answers in one request.
            has_switch: Whether the model's client can switch thinking off.
            logprobs: Whether token log-probabilities are wished for.
            temperature: Sampling temperature; None for the user's own, and for 0 where there is none.
            takes_temperature: Whether the model has a temperature.
            max_tokens: Longest answer; None leaves the model's own limit.
            seed: Seed of answer 0; by default the user's, where answers are numbered over all batches.
        """
        if temperature is None and _setting(own, "temperature") is None:
            temperature = 0.0
        if not takes_temperature:
            temperature = None
        first = numbers.take(n) if seed is None else 0
        fixed = _setting(own, "seed") if seed is None else seed
        ask = Ask(
            logprobs=logprobs,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=fixed if isinstance(fixed, int) else None,
        )
        stops_thinking = has_switch and _setting(own, *_THINKING) is not False
        return cls(model, n, ask, is_cut, at_once=at_once, stops_thinking=stops_thinking, first=first)

    def steps(self) -> Steps:
        """Walk the drawing; returns the samples in order of their numbers.

        Raises:
            Exception: What the model raised, where it does not go away without what was wished for.
        """
        progress = _Progress(self, habits_of(self.model))
        while progress.missing:
            asks = progress.next()
            progress.take(asks, (yield asks))
        return [progress.drawn[number] for number in sorted(progress.drawn)]


_THINKING = ("reasoning", "thinking", "think")
"""Names of the switch of thinking in the clients that have one."""


def _setting(own: Sequence[Mapping[str, Any]], *names: str) -> Any:
    """Return what is set under one of these names; None where nothing is."""
    return next((place[name] for place in own for name in names if place.get(name) is not None), None)


@dataclass(slots=True)
class _Progress:
    """How far a drawing has come; `drawing` is as it is still to be carried out."""

    drawing: Drawing
    habits: Habits
    drawn: dict[int, Sample] = field(default_factory=dict)
    cut: dict[int, list[Sample]] = field(default_factory=dict)
    left_out: list[Dropped] = field(default_factory=list)
    first_error: Exception | None = None
    took: Thinking = "fits"

    def __post_init__(self) -> None:
        known = self.habits.thinking
        if self.is_brief and known == "off":
            self.took = "off"
        if self.is_brief and known == "room":
            self._turn_to("room")

    @property
    def is_brief(self) -> bool:
        return self.drawing.ask.max_tokens is not None

    @property
    def missing(self) -> list[int]:
        numbers = range(self.drawing.first, self.drawing.first + self.drawing.n)
        return [number for number in numbers if number not in self.drawn]

    def next(self) -> list[Ask]:
        """Return the next requests: a single one while the model may still refuse something."""
        missing = self.missing
        ask = replace(self.drawing.ask, thinks=self.took != "off", max_tokens=self._longest(self.took))
        for wish in self.habits.refused.intersection(ask.wishes):
            ask = ask.without(wish)
        if self.drawing.at_once and SEVERAL not in self.habits.refused and len(missing) > 1:
            return [ask.at(missing[0], _run(missing))]
        if self.left_out or self.habits.doubts(ask):
            missing = missing[:1]
        return [ask.at(number) for number in missing]

    def take(self, asks: Sequence[Ask], outcomes: Sequence[Outcome]) -> None:
        """Take what requests came to: leave out what was refused, and redraw what was cut."""
        failed: list[tuple[Ask, Exception]] = []
        is_cut = False
        for ask, outcome in zip(asks, outcomes, strict=True):
            if isinstance(outcome, Exception):
                failed.append((ask, outcome))
            else:
                is_cut |= self._received(ask, outcome)
        refused = self._leave_out(failed)
        if NO_THOUGHT in refused:
            self._turn_to("room")
        elif is_cut:
            can_stop = self.drawing.stops_thinking and NO_THOUGHT not in self.habits.refused
            self._turn_to("off" if self.took == "fits" and can_stop else "room")

    def _received(self, ask: Ask, samples: Sequence[Sample]) -> bool:
        """Take the samples of a request; whether one was cut that had no room for its thought."""
        self.habits.granted(ask, self.left_out)
        self.left_out, self.first_error = [], None
        lacks_room = False
        if len(samples) < ask.n:
            self.drawing = replace(self.drawing, at_once=False)
        for number, sample in enumerate(samples[: ask.n], ask.number):
            is_cut = self.is_brief and self.drawing.is_cut(sample)
            if is_cut and self.took != "room":
                self.cut.setdefault(number, []).append(sample)
                lacks_room = True
                continue
            if self.is_brief and not is_cut:
                self.habits.answered_briefly(self.took)
            self.drawn[number] = _with_vain(sample, *self.cut.pop(number, []))
        return lacks_room

    def _leave_out(self, failed: Sequence[tuple[Ask, Exception]]) -> set[str]:
        """Leave out of what is still to be drawn what the model has refused, and return that."""
        refusals: list[Dropped] = []
        for ask, error in failed:
            blamed = self.habits.blamed(error, ask, len(self.left_out))
            if blamed is None:
                raise self._failed(error)
            self.first_error = self.first_error or error
            refusals.append(blamed)
        refused = {wish for refusal in refusals for wish in refusal.wishes}
        for wish in refused:
            at_once = self.drawing.at_once and wish != SEVERAL
            self.drawing = replace(self.drawing, ask=self.drawing.ask.without(wish), at_once=at_once)
        self.left_out += dict.fromkeys(refusals)
        return refused

    def _turn_to(self, took: Thinking) -> None:
        """Draw what is missing another way where the budget allows it; else what was cut is what there is."""
        allows = _allowance.get()
        if allows is None or allows(len(self.missing), self._longest(took) or 0):
            self.took = took
            return
        self.took = "fits"
        self.drawn |= {number: _with_vain(*reversed(cut)) for number, cut in self.cut.items()}
        self.cut = {}

    def _longest(self, took: Thinking) -> int | None:
        longest = self.drawing.ask.max_tokens
        return longest if longest is None or took != "room" else longest + ROOM_FOR_THOUGHT

    def _failed(self, error: Exception) -> Exception:
        """Return the error to raise, with what is to be paid for: the original where nothing has helped."""
        if self.first_error is not None and may_refuse(error):
            error = self.first_error
        with suppress(AttributeError):  # an error that takes no attribute
            vain = itertools.chain(self.drawn.values(), *self.cut.values())
            error.drawn_in_vain = list(vain)  # type: ignore[attr-defined]  # read by `drawn_in_vain`
        return error


def draw(
    drawing: Drawing, send: Callable[[Ask], Sequence[Sample]], *, most: int = MAX_CONCURRENCY
) -> list[Sample]:
    """Draw samples.

    Args:
        drawing: What is to be drawn.
        send: Sends one request, and returns at least one answer; called from several threads.
        most: Most requests in flight.

    Returns:
        The samples, in order of their numbers.
    """

    def tried(ask: Ask) -> Outcome:
        try:
            return send(ask)
        except Exception as error:
            return error

    def carry_out(asks: list[Ask]) -> list[Outcome]:
        if len(asks) == 1:
            return [tried(asks[0])]
        with ThreadPoolExecutor(max(1, min(most, len(asks)))) as pool:
            calls = [pool.submit(copy_context().run, tried, ask) for ask in asks]
        return [call.result() for call in calls]

    return drive(drawing.steps(), carry_out)


async def adraw(
    drawing: Drawing, send: Callable[[Ask], Awaitable[Sequence[Sample]]], *, most: int = MAX_CONCURRENCY
) -> list[Sample]:
    """Draw samples; see `draw`."""
    free = asyncio.Semaphore(most)

    async def tried(ask: Ask) -> Outcome:
        async with free:
            try:
                return await send(ask)
            except Exception as error:
                return error

    async def carry_out(asks: list[Ask]) -> list[Outcome]:
        return await asyncio.gather(*map(tried, asks))

    return await adrive(drawing.steps(), carry_out)


def _run(numbers: Sequence[int]) -> int:
    """Return how many numbers follow each other from the first on."""
    return next((i for i, number in enumerate(numbers) if number != numbers[0] + i), len(numbers))


def _with_vain(sample: Sample, *vain: Sample) -> Sample:
    """Return a sample that is charged with what was drawn in vain before it."""
    if not vain:
        return sample
    return replace(sample, usage=total_usage([sample.usage, *(one.usage for one in vain)]))


def drawn_in_vain(error: BaseException) -> list[Sample]:
    """Return the samples that were drawn before one failed."""
    found: list[Sample] = getattr(error, "drawn_in_vain", [])
    return found
