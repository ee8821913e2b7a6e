"""Samples of the edge behind its circuit breaker and within what the call may spend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confroute.decision import RouteRequest, Sample, Sampler, Usage, total_usage
from confroute.execution.accounts import Purse
from confroute.execution.breaker import Breaker
from confroute.execution.failures import (
    CircuitOpenError,
    Failure,
    OutOfBudgetError,
    failure_of,
    is_control_flow,
)
from confroute.execution.limits import prompt_size
from confroute.sampling import allowance, drawn_in_vain


class SampleGuard:
    """What the edge's samples must pass: its circuit breaker, which hears of the edge's failures, and money.

    Args:
        breaker: The breaker.
        purse: What the call may spend.
        bound: The most that one answer can cost in US dollars, given the tokens that are asked beyond the
            prompt, and the longest answer.

    Attributes:
        usage: What the samples drawn so far have used.
        n_samples: How many were drawn.
    """

    def __init__(self, breaker: Breaker, purse: Purse, bound: Callable[[int, int | None], float]) -> None:
        self.breaker = breaker
        self.usage = Usage.none_spent()
        self.n_samples = 0
        self._purse = purse
        self._bound = bound
        self._unanswered = 0  # in flight, or cancelled there
        self._given_up = False

    @contextmanager
    def passing(self, n: int, settings: dict[str, Any]) -> Iterator[list[Sample]]:
        """Let one request for samples pass; what was drawn is to be put into the list that it gives.

        Raises:
            CircuitOpenError: If the edge is not to be asked now.
            OutOfBudgetError: If the call may not spend what the samples might cost.
        """
        beyond = prompt_size(message.text for message in settings.get("append", ()))
        most = n * self._bound(beyond.most, settings.get("max_tokens"))

        def reserves_more(n: int, longest: int) -> bool:
            nonlocal most
            more = n * self._bound(beyond.most, longest)
            most += more if (reserved := self._purse.reserve(more)) else 0.0
            return reserved

        if not self._purse.reserve(most):
            raise OutOfBudgetError(f"{n} samples of the edge might cost more than the budget leaves")
        if not self.breaker.lets_pass():
            self._purse.settle(most, 0.0)
            raise CircuitOpenError("the edge failed a moment ago and is not asked again yet")
        self._unanswered += 1
        drawn: list[Sample] = []
        try:
            with allowance(reserves_more):
                yield drawn
        except Exception as error:
            self._unanswered -= 1
            failure = Failure.OTHER if is_control_flow(error) else failure_of(error)
            used = self._count(drawn_in_vain(error))
            self._purse.settle(most, None if failure is Failure.TIMEOUT else used.usd)
            if failure is Failure.TIMEOUT:
                self.usage += Usage()  # nobody knows
            if is_control_flow(error):
                self.breaker.abandoned()
            elif not self._given_up:
                self.breaker.failed(error, failure)
            raise
        except BaseException:  # cancelled, perhaps by the time-out that `decided_without` hears of
            self._purse.settle(most, None)
            self.breaker.abandoned()
            raise
        self._unanswered -= 1
        self._purse.settle(most, self._count(drawn).usd)
        if not self._given_up:
            self.breaker.succeeded()

    def _count(self, samples: list[Sample]) -> Usage:
        used = total_usage([sample.usage for sample in samples])
        self.usage += used
        self.n_samples += len(samples)
        return used

    def decided_without(self, error: Exception) -> None:
        """Tell that deciding failed: the edge's fault if its samples were still awaited then."""
        self._given_up = True
        if self._unanswered:
            self.usage += Usage()  # what is in flight may cost money, and nobody knows how much
            self.breaker.failed(error, Failure.TIMEOUT)


class GuardedSampler:
    """A sampler behind a guard; see `confroute.decision.Sampler`.

    Args:
        sampler: The sampler.
        guard: What its requests must pass.
    """

    def __init__(self, sampler: Sampler, guard: SampleGuard) -> None:
        self._sampler = sampler
        self._guard = guard

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers."""
        with self._guard.passing(n, settings) as drawn:
            drawn += self._sampler.sample(request, n, **settings)
            return drawn

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers."""
        with self._guard.passing(n, settings) as drawn:
            drawn += await self._sampler.asample(request, n, **settings)
            return drawn
