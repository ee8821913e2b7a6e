"""What one model refuses of what is wished for, and how it thinks: learned from its answers, once.

Log-probabilities, several answers in one request, a temperature and an answer without a thought are wishes: a
provider, a client or an endpoint that refuses one is asked again without. What was learned is kept for the
model object, for as long as it lives.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

ROOM_FOR_THOUGHT = 2_048
"""Tokens that a brief answer may have for the thought before it."""

MOST_WASTED = 4
"""Requests that are refused until a model object is asked without everything that it has not yet granted."""

Thinking = Literal["fits", "off", "room"]
"""What a brief answer takes: nothing, thinking switched off, or room for the thought."""

LOGPROBS, SEVERAL, NO_THOUGHT = "logprobs", "n", "no thought"

_NAMED = {
    LOGPROBS: re.compile(r"log_?prob", re.IGNORECASE),
    SEVERAL: re.compile(
        r"['\"`]n['\"`]|\b(?:parameter|argument|field|keyword|option)s?:? n\b"
        r"|\bn\s*(?:[=><]|must|should|is|has|cannot)"
        r"|(?:multiple|several|more than one) (?:completion|choice|candidate|response)"
        r"|candidate_?count|num_?(?:choices|completions|return_sequences)",
        re.IGNORECASE,
    ),
    "temperature": re.compile(
        r"['\"`.]temperature\b|\btemperature['\"`=]"
        r"|\btemperature (?:must|should|is|does|not|value|param|of|has)"
        r"|(?:parameter|argument|field|value|unsupported|invalid|unknown):? ?temperature",
        re.IGNORECASE,
    ),
    NO_THOUGHT: re.compile(r"\bthink|\breasoning", re.IGNORECASE),
}
_TOO_LONG = re.compile(
    r"context[ _]?(?:length|window|size)|maximum context|prompt is too long|too many tokens|"
    r"exceeds? .{0,40}tokens",
    re.IGNORECASE,
)
_REFUSING = frozenset({400, 403, 422})
_NOT_ABOUT_THE_REQUEST = frozenset({401, 408, 429})
_REFUSING_BY_NAME = _REFUSING | {404, 405, 500, 501}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for answers.

    Attributes:
        number: Number of the first answer, counted from 0 over all draws of one decision.
        n: How many.
        logprobs: Whether token log-probabilities are asked for.
        temperature: Sampling temperature; None leaves the model's own.
        max_tokens: Longest answer; None leaves the model's own limit.
        thinks: Whether the model may think before it answers.
        seed: Seed of the first answer, which goes up with the number; None where no seed is fixed.
    """

    number: int = 0
    n: int = 1
    logprobs: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    thinks: bool = True
    seed: int | None = None

    def at(self, number: int, n: int = 1) -> Ask:
        """Return the same request for the answers from a number on, where this one is for those from 0 on."""
        return replace(self, number=number, n=n, seed=None if self.seed is None else self.seed + number)

    @property
    def wishes(self) -> tuple[str, ...]:
        """What it wishes for, in the order in which a refusal is put down to it."""
        return (
            *(() if self.thinks else (NO_THOUGHT,)),
            *((LOGPROBS,) if self.logprobs else ()),
            *((SEVERAL,) if self.n > 1 else ()),
            *(() if self.temperature is None else (f"temperature={self.temperature}",)),
        )

    def without(self, wish: str) -> Ask:
        """Return the same request without a wish."""
        if wish == NO_THOUGHT:
            return replace(self, thinks=True)
        if wish == LOGPROBS:
            return replace(self, logprobs=False)
        return replace(self, n=1) if wish == SEVERAL else replace(self, temperature=None)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Wishes that were left out after a refusal, and whether the refusal named them."""

    wishes: tuple[str, ...]
    named: bool


class Habits:
    """What was learned of one model object; safe under threads.

    Attributes:
        refused: Wishes that it refuses.
        proven: Wishes with which a request has succeeded.
        thinking: What a brief answer takes; None where none was asked for yet.
    """

    def __init__(self) -> None:
        self.refused: frozenset[str] = frozenset()
        self.proven: frozenset[str] = frozenset()
        self.thinking: Thinking | None = None
        self._wasted = 0
        self._lock = threading.Lock()

    def doubts(self, ask: Ask) -> bool:
        """Whether a request may be refused, or cut in a thought, for all that is known."""
        unknown = not self.proven.issuperset(ask.wishes)
        return unknown or (ask.max_tokens is not None and self.thinking is None)

    def blamed(self, error: BaseException, ask: Ask, wasted: int) -> Dropped | None:
        """Return what of a request to leave out after an error; None where that would not help.

        Args:
            error: What the request came to.
            ask: The request.
            wasted: How many were refused before it on the way to the same answers.
        """
        status = status_of(error)
        if is_too_long(error) or not ask.wishes:
            return None
        if status in _REFUSING_BY_NAME or (status is None and not _is_unreached(error)):
            told = f"{getattr(error, 'param', '')!r} {error}"
            named = [wish for wish in ask.wishes if _NAMED[wish.partition("=")[0]].search(told)]
            if len(named) > 1:  # perhaps the request is repeated in it
                named = [wish for wish in named if wish not in self.proven]
            if named:
                return Dropped((named[0],), named=True)
        if status not in _REFUSING:
            return None
        doubted = tuple(wish for wish in ask.wishes if wish not in self.proven)
        if not doubted:
            return None
        known = [wish for wish in doubted if wish in self.refused]  # learned since by another thread
        if known:
            return Dropped((known[0],), named=True)
        last = self._wasted + wasted + 1 >= MOST_WASTED
        return Dropped(doubted if last else doubted[:1], named=False)

    def granted(self, ask: Ask, dropped: Sequence[Dropped]) -> None:
        """Note that a request succeeded once these wishes were left out.

        Of several that no refusal named, the last one is at fault; the others may be granted another time.
        """
        with self._lock:
            at_fault = [d for d in dropped if d.named] + [d for d in dropped[-1:] if not d.named]
            self._wasted += len(dropped)
            self.refused |= {wish for one in at_fault for wish in one.wishes}
            self.proven = (self.proven | set(ask.wishes)) - self.refused

    def answered_briefly(self, took: Thinking) -> None:
        """Note what a brief answer took."""
        with self._lock:
            if took != "fits" or self.thinking is None:
                self.thinking = took


_known: dict[int, tuple[weakref.ref[object], Habits]] = {}
_known_lock = threading.RLock()  # a model may be collected while it is held


def habits_of(model: object) -> Habits:
    """Return what is known of a model object, which is not kept alive for it."""
    key = id(model)
    with _known_lock:
        found = _known.get(key)
        if found is not None and found[0]() is model:
            return found[1]
        habits = Habits()
        _known[key] = (weakref.ref(model, lambda ref: _forget(key, ref)), habits)
        return habits


def _forget(key: int, ref: weakref.ref[object]) -> None:
    with _known_lock:
        if key in _known and _known[key][0] is ref:
            del _known[key]


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of any client's exception; None where it has none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # as AWS's client has it
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    told = (getattr(error, "status_code", None), getattr(response, "status_code", None))
    google = getattr(error, "code", None)
    return next((int(status) for status in (*told, google) if isinstance(status, int)), None)


def is_too_long(error: BaseException) -> bool:
    """Whether a request was refused because its prompt is too long."""
    return status_of(error) == 413 or bool(_TOO_LONG.search(str(error)))


def may_refuse(error: BaseException) -> bool:
    """Whether a model was reached and refused a request for what it asks."""
    status = status_of(error)
    if status is None:
        return not _is_unreached(error)
    return 400 <= status < 500 and status not in _NOT_ABOUT_THE_REQUEST


def _is_unreached(error: BaseException) -> bool:
    """Whether the model was not reached, or did not answer in time."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return any("Timeout" in name or "Connect" in name for name in names)
