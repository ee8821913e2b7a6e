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
        self._spent = 0.0
        self._latest: deque[tuple[float, float]] = deque()  # what was spent within the window, and when
        self._reserved = 0.0

    @property
    def left(self) -> float:
        """US dollars that may still be reserved now."""
        with self._lock:
            return self._left()

    def reserve(self, usd: float, *, whatever_is_left: bool = False) -> bool:
        """Reserve the most that a call can cost; False if that would overrun the cap.

        Args:
            usd: US dollars.
            whatever_is_left: Reserve all the same, for a call that is made in any case.
        """
        with self._lock:
            if usd > self._left() and not whatever_is_left:
                return False
            self._reserved += usd
            return True

    def settle(self, reserved: float, spent: float | None) -> None:
        """Replace a reservation by what the call did cost; by the reservation where that is unknown."""
        with self._lock:
            self._reserved -= reserved
            spent = reserved if spent is None else spent
            self._spent += spent
            if self.window is not None and spent:
                self._latest.append((self._clock(), spent))

    def _left(self) -> float:
        if self.window is not None:
            horizon = self._clock() - self.window
            while self._latest and self._latest[0][0] <= horizon:
                self._latest.popleft()
            self._spent = sum(spent for _, spent in self._latest)
        return self.usd - self._reserved - self._spent


class Purse:
    """What one call may still spend: by its own budget, and by the cap of its object.

    Args:
        cap: The object's cap; None for none.
        budget: The call's own budget in US dollars; None for none.
    """

    def __init__(self, cap: SpendCap | None, budget: float | None) -> None:
        self._cap = cap
        self._budget = budget
        self._spent = 0.0  # reservations included

    @property
    def is_limited(self) -> bool:
        """Whether there is a cap or a budget at all."""
        return self._cap is not None or self._budget is not None

    def allows(self, usd: float) -> bool:
        """Whether so much could be reserved now."""
        return self._within_budget(usd) and (self._cap is None or usd <= self._cap.left)

    def reserve(self, usd: float, *, beyond_budget: bool = False, whatever_is_left: bool = False) -> bool:
        """Reserve the most that a request can cost; False if the call may not spend it.

        Args:
            usd: US dollars.
            beyond_budget: Whether something stronger than the call's budget rules; the cap still holds.
            whatever_is_left: Reserve all the same, for a request that is sent in any case.
        """
        if not (self._within_budget(usd) or beyond_budget or whatever_is_left):
            return False
        if self._cap is not None and not self._cap.reserve(usd, whatever_is_left=whatever_is_left):
            return False
        self._spent += usd
        return True

    def settle(self, reserved: float, spent: float | None) -> None:
        """Replace a reservation by what the request did cost; by the reservation where that is unknown."""
        self._spent += (reserved if spent is None else spent) - reserved
        if self._cap is not None:
            self._cap.settle(reserved, spent)

    def _within_budget(self, usd: float) -> bool:
        return self._budget is None or self._spent + usd <= self._budget


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
