"""What routing costs and saves: a spend cap that reserves before it sends, and counters."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from confroute.decision import RouteDecision, Usage
from confroute.errors import ConfigurationError


class SpendCap:
    """A cap on what one object spends within a window of time.

    The most that a call can cost is reserved before it is sent, and what it did cost is settled after, so
    that concurrent calls cannot overrun the cap together.

    Args:
        usd: US dollars.
        window: Length of the window in seconds; None for the object's lifetime.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, usd: float, *, window: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not usd >= 0 or (window is not None and not window > 0):
            raise ConfigurationError(
                f"cap: usd is {usd} and window is {window}: expected at least 0 dollars, and more than 0 "
                "seconds or None"
            )
        self.usd = usd
        self.window = window
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: deque[tuple[float, float]] = deque()
        self._reserved = 0.0

    @property
    def left(self) -> float:
        """US dollars that may still be reserved now."""
        with self._lock:
            return self._left()

    def reserve(self, usd: float) -> bool:
        """Reserve the most that a call can cost; False if that would overrun the cap."""
        with self._lock:
            if usd > self._left():
                return False
            self._reserved += usd
            return True

    def settle(self, reserved: float, spent: float | None) -> None:
        """Replace a reservation by what the call did cost; by the reservation where that is unknown."""
        with self._lock:
            self._reserved -= reserved
            self._spent.append((self._clock(), reserved if spent is None else spent))

    def _left(self) -> float:
        if self.window is not None:
            horizon = self._clock() - self.window
            while self._spent and self._spent[0][0] <= horizon:
                self._spent.popleft()
        return self.usd - self._reserved - sum(spent for _, spent in self._spent)


@dataclass(frozen=True, slots=True)
class Stats:
    """What an object has done so far.

    Attributes:
        calls: Answered calls.
        cloud_calls: Those that the cloud answered.
        fallbacks: Those that another model answered than the one decided on.
        samples: Answers drawn in order to decide.
        input_tokens: Prompt tokens, samples and replies together; calls that told none are left out.
        output_tokens: Generated tokens, likewise.
        usd: US dollars spent, samples and replies together; None once a price was unknown.
        usd_saved: Estimated saving against sending everything to the cloud: the tokens of the edge's replies
            at the cloud's price, less what deciding and the edge cost. None once a price was unknown.
    """

    calls: int = 0
    cloud_calls: int = 0
    fallbacks: int = 0
    samples: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    usd_saved: float | None = 0.0

    @property
    def cloud_share(self) -> float | None:
        """Fraction of the calls that the cloud answered; None before the first."""
        return self.cloud_calls / self.calls if self.calls else None


class Counters:
    """Adds calls up, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stats = Stats()

    @property
    def stats(self) -> Stats:
        """A snapshot."""
        return self._stats

    def add(
        self, decision: RouteDecision, reply: Usage | None, cloud_price: tuple[float, float] | None
    ) -> None:
        """Count one answered call.

        Args:
            decision: As stamped on the answer.
            reply: Usage of the reply.
            cloud_price: US dollars per input and per output token of the cloud.
        """
        reply = reply if reply is not None else Usage()
        total = decision.usage + reply
        saved: float | None
        if total.usd is None:
            saved = None
        elif decision.route == "cloud":
            saved = -(decision.usage.usd or 0.0)
        elif cloud_price is None or reply.input_tokens is None or reply.output_tokens is None:
            saved = None
        else:
            at_cloud = reply.input_tokens * cloud_price[0] + reply.output_tokens * cloud_price[1]
            saved = at_cloud - total.usd
        with self._lock:
            old = self._stats
            self._stats = replace(
                old,
                calls=old.calls + 1,
                cloud_calls=old.cloud_calls + (decision.route == "cloud"),
                fallbacks=old.fallbacks + (decision.method == "fallback"),
                samples=old.samples + decision.n_samples,
                input_tokens=old.input_tokens + _known(decision.usage.input_tokens, reply.input_tokens),
                output_tokens=old.output_tokens + _known(decision.usage.output_tokens, reply.output_tokens),
                usd=_add(old.usd, total.usd),
                usd_saved=_add(old.usd_saved, saved),
            )


def _known(*counts: int | None) -> int:
    return sum(count for count in counts if count is not None)


def _add(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
