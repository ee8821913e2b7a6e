"""Samples of the edge behind its circuit breaker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confroute.decision import RouteRequest, Sample, Sampler
from confroute.execution.breaker import Breaker
from confroute.execution.failures import CircuitOpenError, Failure, failure_of, is_control_flow


class SampleGuard:
    """The edge's circuit breaker as its samples pass it: it hears of the edge's failures alone.

    Args:
        breaker: The breaker.
    """

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self._unanswered = 0  # in flight, or cancelled there
        self._given_up = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Let one request for samples pass.

        Raises:
            CircuitOpenError: If the edge is not to be asked now.
        """
        if not self.breaker.lets_pass():
            raise CircuitOpenError("the edge failed a moment ago and is not asked again yet")
        self._unanswered += 1
        try:
            yield
        except Exception as error:
            self._unanswered -= 1
            if is_control_flow(error):
                self.breaker.abandoned()
            elif not self._given_up:
                self.breaker.failed(error, failure_of(error))
            raise
        except BaseException:  # cancelled, perhaps by the time-out that `decided_without` hears of
            self.breaker.abandoned()
            raise
        self._unanswered -= 1
        if not self._given_up:
            self.breaker.succeeded()

    def decided_without(self, error: Exception) -> None:
        """Tell that deciding failed: the edge's fault if its samples were still awaited then."""
        self._given_up = True
        if self._unanswered:
            self.breaker.failed(error, Failure.TIMEOUT)


class GuardedSampler:
    """A sampler behind a circuit breaker; see `confroute.decision.Sampler`.

    Args:
        sampler: The sampler.
        guard: What its requests must pass.
    """

    def __init__(self, sampler: Sampler, guard: SampleGuard) -> None:
        self._sampler = sampler
        self._guard = guard

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers."""
        with self._guard.passing():
            return self._sampler.sample(request, n, **settings)

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers."""
        with self._guard.passing():
            return await self._sampler.asample(request, n, **settings)
