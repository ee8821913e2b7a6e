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
        self.in_flight = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Let one request for samples pass.

        Raises:
            CircuitOpenError: If the edge is not to be asked now.
        """
        if not self.breaker.lets_pass():
            raise CircuitOpenError("the edge failed a moment ago and is not asked again yet")
        self.in_flight += 1
        try:
            yield
        except Exception as error:
            if is_control_flow(error):
                self.breaker.abandoned()
            else:
                self.breaker.failed(error, failure_of(error))
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        else:
            self.breaker.succeeded()
        finally:
            self.in_flight -= 1

    def timed_out(self, error: Exception) -> None:
        """Tell that the whole of deciding took too long; the edge's fault if its samples were awaited."""
        if self.in_flight:
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
