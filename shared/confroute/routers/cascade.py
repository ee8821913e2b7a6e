"""First the trained router, which costs next to nothing; where it is uncertain, a signal of the edge."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator

from confroute.decision import (
    Decided,
    RouteDecision,
    RouteRequest,
    RouterInfo,
    Sampler,
    clip_score,
    total_usage,
)
from confroute.errors import ConfigurationError
from confroute.routers._verdict import ScoringRouter, adrive, check_threshold, drive, need_sampler, score_of

_INFO = RouterInfo(name="cascade", version="1")


class CascadeRouter:
    """Pays for a query-time signal only where a trained router is uncertain.

    A trained score below the band leaves the question on the edge, one at or above its upper end sends it to
    the cloud, and in between the signal's own verdict rules. The two make one score: the trained score
    outside of the band, and inside of it ``low + (high - low) * signal's score``; its threshold is
    ``low + (high - low) * signal's threshold``. Hence one rule, ``score >= threshold``, and one threshold to
    calibrate.

    Args:
        trained: Asked first, and always; a router that draws no samples.
        signal: Asked inside of the band: a `ConfidenceRouter`, an `EntropyRouter` or a
            `SelfCheckRouter`.
        band: ``(low, high)`` of the trained score, within [0, 1]; the signal is asked where
            ``low <= score < high``.

    Raises:
        ConfigurationError: If the band is empty or outside of [0, 1], or the signal's threshold is above 1.
    """

    def __init__(self, trained: ScoringRouter, signal: ScoringRouter, *, band: tuple[float, float]) -> None:
        low, high = band
        if not 0 <= low < high <= 1:
            raise ConfigurationError(f"band is {band}: expected (low, high) with 0 <= low < high <= 1")
        if not 0 <= signal.threshold <= 1:
            raise ConfigurationError(
                f"the signal's threshold is {signal.threshold}: expected one in [0, 1], which rules inside "
                "of the band"
            )
        self.trained = trained
        self.signal = signal
        self.band = (low, high)

    @property
    def threshold(self) -> float:
        """The cloud answers where ``score >= threshold``; setting it sets the signal's accordingly."""
        return self._placed(self.signal.threshold)

    @threshold.setter
    def threshold(self, value: float) -> None:
        low, high = self.band
        check_threshold(value)
        signal = copy.copy(self.signal)
        signal.threshold = (value - low) / (high - low)
        self.signal = signal

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Ask the trained router and, inside of the band, the signal.

        Args:
            request: The question.
            sampler: The handle on the edge model.

        Returns:
            The decision, with the usage of both, and the signal's draft where the edge answers.

        Raises:
            ConfigurationError: If there is no sampler, or the trained router gives no score.
            SamplingError: If the signal cannot be had.
        """
        handle = need_sampler(self, sampler)
        return drive(self._steps(request), lambda router: router.decide(request, handle))

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Ask the trained router and, inside of the band, the signal; see `decide`."""
        handle = need_sampler(self, sampler)
        return await adrive(self._steps(request), lambda router: router.adecide(request, handle))

    def _steps(self, request: RouteRequest) -> Generator[ScoringRouter, Decided, Decided]:
        low, high = self.band
        first = yield self.trained
        score = score_of(first)
        if not low <= score < high:
            needed = score >= self.threshold
            side = "below" if score < low else "above"
            finding = "the cloud is needed" if needed else "the edge is enough"
            told = f"trained score {score:.2f} is {side} the band [{low:.2f}, {high:.2f}): {finding}"
            return self._verdict(request, score, [first], needed=needed, told=told)
        second = yield self.signal
        needed = second.decision.route == "cloud"
        placed, threshold = self._placed(score_of(second)), self.threshold
        # The signal's verdict rules: rounding must not carry a score that is all but tied across.
        placed = max(placed, threshold) if needed else min(placed, math.nextafter(threshold, -math.inf))
        told = f"trained score {score:.2f} is uncertain; {second.decision.reason}"
        return self._verdict(request, placed, [first, second], needed=needed, told=told)

    def _verdict(
        self, request: RouteRequest, score: float, asked: list[Decided], *, needed: bool, told: str
    ) -> Decided:
        decision = RouteDecision(
            route="cloud" if needed else "edge",
            score=clip_score(score),
            threshold=self.threshold,
            method="cascade",
            reason=told,
            private=request.private,
            n_samples=sum(decided.decision.n_samples for decided in asked),
            usage=total_usage([decided.decision.usage for decided in asked]),
            router=_INFO,
        )
        return Decided(decision, asked[-1].draft, asked[-1].evidence)

    def _placed(self, score: float) -> float:
        """Place a number on the signal's scale inside of the band."""
        low, high = self.band
        return low + (high - low) * score
