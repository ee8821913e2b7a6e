"""Drawing answers from one model, whatever the framework.

At once where the model can, else side by side; without what it refuses; once more where a brief answer was
cut in its thought.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace

from confroute.decision import Sample, Usage, total_usage
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
    """Let answers take room for a thought, within the block, only where that is allowed.

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
        stops_thinking: Whether thinking can be switched off.
        first: Number of the first draw.
    """

    model: object
    n: int
    ask: Ask
    is_cut: Callable[[Sample], bool]
    at_once: bool = False
    stops_thinking: bool = False
    first: int = 0

    def steps(self) -> Steps:
        """Walk the drawing; returns the samples in order of their numbers.

        Raises:
            Exception: What the model raised, where it does not go away without what was wished for.
        """
        progress = _Progress(self, habits_of(self.model))
        while progress.missing:
            asks = progress.next()
            for ask, outcome in zip(asks, (yield asks), strict=True):
                progress.take(ask, outcome)
            progress.check()
        return [progress.drawn[number] for number in sorted(progress.drawn)]


@dataclass(slots=True)
class _Progress:
    """How far a drawing has come."""

    drawing: Drawing
    habits: Habits
    drawn: dict[int, Sample] = field(default_factory=dict)
    cut: dict[int, list[Sample]] = field(default_factory=dict)
    left_out: list[Dropped] = field(default_factory=list)
    errors: list[tuple[Ask, Exception]] = field(default_factory=list)
    first_error: Exception | None = None
    took: Thinking = "fits"
    was_cut: bool = False
    at_once: bool = False
    template: Ask = field(default_factory=Ask)

    def __post_init__(self) -> None:
        self.template = self.drawing.ask
        self.at_once = self.drawing.at_once
        if self.is_brief:
            self.took = self.habits.thinking or "fits"
        if self.took == "room" and not self._may_take_room():
            self.took = "fits"

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
        if self.took == "off" and (NO_THOUGHT in self.habits.refused or not self.drawing.stops_thinking):
            self.took = "room"
        ask = replace(self.template, thinks=self.took != "off")
        if self.took == "room":
            ask = replace(ask, max_tokens=(ask.max_tokens or 0) + ROOM_FOR_THOUGHT)
        for wish in ask.wishes:
            if wish in self.habits.refused:
                ask = ask.without(wish)
        if self.at_once and SEVERAL not in self.habits.refused and len(missing) > 1:
            return [replace(ask, number=missing[0], n=_run(missing))]
        if self.left_out or self.habits.doubts(ask):
            missing = missing[:1]
        return [replace(ask, number=number) for number in missing]

    def take(self, ask: Ask, outcome: Outcome) -> None:
        """Take what a request came to."""
        if isinstance(outcome, Exception):
            self.errors.append((ask, outcome))
            return
        self.habits.granted(ask, self.left_out)
        self.left_out, self.first_error = [], None
        if len(outcome) < ask.n:
            self.at_once = False
        for number, sample in enumerate(outcome[: ask.n], ask.number):
            if self.is_brief and self.took != "room" and self.drawing.is_cut(sample):
                self.cut.setdefault(number, []).append(sample)
                self.was_cut = True
                continue
            if self.is_brief and not self.drawing.is_cut(sample):
                self.habits.answered_briefly(self.took)
            self.drawn[number] = _with_vain(sample, *self.cut.pop(number, []))

    def check(self) -> None:
        """Leave out what was refused, and think of another way where answers were cut."""
        refusals: list[Dropped] = []
        for ask, error in self.errors:
            blamed = self.habits.blamed(error, ask, len(self.left_out))
            if blamed is None:
                raise self._failed(error)
            self.first_error = self.first_error or error
            refusals.append(blamed)
        for wish in {wish for refusal in refusals for wish in refusal.wishes}:
            self.template = self.template.without(wish)
            self.at_once = self.at_once and wish != SEVERAL
            self.took = "room" if wish == NO_THOUGHT else self.took
        self.left_out += dict.fromkeys(refusals)
        if self.was_cut and self._may_take_room():
            self.took = "off" if self.took == "fits" and self.drawing.stops_thinking else "room"
        elif self.was_cut:
            self.drawn |= {number: _with_vain(*reversed(cut)) for number, cut in self.cut.items()}
            self.cut = {}
        self.errors, self.was_cut = [], False

    def _may_take_room(self) -> bool:
        """Whether the answers still missing may be drawn with room for a thought."""
        allows = _allowance.get()
        longest = (self.drawing.ask.max_tokens or 0) + ROOM_FOR_THOUGHT
        return allows is None or allows(len(self.missing), longest)

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

    steps = drawing.steps()
    outcomes: list[Outcome] | None = None
    while True:
        try:
            asks = next(steps) if outcomes is None else steps.send(outcomes)
        except StopIteration as end:
            samples: list[Sample] = end.value
            return samples
        outcomes = carry_out(asks)


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

    steps = drawing.steps()
    outcomes: list[Outcome] | None = None
    while True:
        try:
            asks = next(steps) if outcomes is None else steps.send(outcomes)
        except StopIteration as end:
            samples: list[Sample] = end.value
            return samples
        outcomes = list(await asyncio.gather(*map(tried, asks)))


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


def share_usage(samples: Sequence[Sample], usage: Usage | None) -> list[Sample]:
    """Return the samples of one request, each with its part of what the request used.

    Generated tokens go by the length of each sample where that is known for all, else in equal parts, and so
    does the money; prompt tokens go in equal parts. The parts add up to the whole.

    Args:
        samples: The choices of one request.
        usage: What the provider counted for it.
    """
    if not samples or usage is None:
        return list(samples)
    lengths = [sample.n_tokens or 0 for sample in samples]
    equal = [1] * len(samples)
    weights = lengths if all(lengths) else equal
    inputs, outputs = _parts(usage.input_tokens, equal), _parts(usage.output_tokens, weights)
    total = sum(weights)
    return [
        replace(
            sample,
            usage=Usage(
                input_tokens=inputs[i],
                output_tokens=outputs[i],
                usd=None if usage.usd is None else usage.usd * weights[i] / total,
            ),
        )
        for i, sample in enumerate(samples)
    ]


def _parts(count: int | None, weights: Sequence[int]) -> list[int | None]:
    """Split a count by weights into whole parts that add up to it."""
    if count is None:
        return [None] * len(weights)
    total, reached, given = sum(weights), 0, 0
    parts: list[int | None] = []
    for weight in weights:
        reached += weight
        upto = count * reached // total
        parts.append(upto - given)
        given = upto
    return parts
