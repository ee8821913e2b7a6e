"""First the trained router, which costs next to nothing; where it is uncertain, a signal of the edge."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Mapping
from typing import Self

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
from confroute.routers._verdict import ScoringRouter, drawing_all, need_sampler, score_of
from confroute.routers.threshold import (
    DEFAULT_THRESHOLD,
    CloudShare,
    Threshold,
    check_threshold,
    note_score,
    threshold_at,
)
from confroute.steps import adrive, drive

_INFO = RouterInfo(name="cascade", version="1")


class CascadeRouter:
    """Pays for a query-time signal only where a trained router is uncertain.

    The two make one score: the trained score outside of the band, and inside of it
    ``low + (high - low) * signal's score``. Hence one rule, ``score >= threshold``, and one threshold. Where
    that lies inside of the band, a trained score below the band stays on the edge, one at or above its upper
    end goes to the cloud, and in between the signal rules, by the threshold
    ``(threshold - low) / (high - low)``. Where it lies outside, the signal cannot change the verdict and is
    not asked; the score of a question inside of the band is then a bound, and the decision says so.

    Args:
        trained: Asked first, and always; a router that draws no samples.
        signal: Asked inside of the band: a `ConfidenceRouter`, an `EntropyRouter` or a
            `SelfCheckRouter`.
        band: ``(low, high)`` of the trained score, within [0, 1]; the signal is asked where
            ``low <= score < high``. `confroute.calibration.calibrate_cascade` fits it to what calls cost.
        threshold: The cloud answers where ``score >= threshold``: a number, a mapping from scale to number,
            or a `CloudShare`. None, and a dial that has seen too few scores, leave the signal's own
            threshold to rule inside of the band.

    Raises:
        ConfigurationError: If the band is empty or outside of [0, 1], or a threshold is none.
    """

    def __init__(
        self,
        trained: ScoringRouter,
        signal: ScoringRouter,
        *,
        band: tuple[float, float],
        threshold: Threshold | None = None,
    ) -> None:
        low, high = band
        if not 0 <= low < high <= 1:
            raise ConfigurationError(f"band is {band}: expected (low, high) with 0 <= low < high <= 1")
        own = signal.threshold
        if threshold is None and not isinstance(own, Mapping | CloudShare) and not 0 <= own <= 1:
            raise ConfigurationError(
                f"the signal's threshold is {own}: expected one in [0, 1], which rules inside of the band"
            )
        self.trained = trained
        self.signal = signal
        self.band = (low, high)
        self.threshold: Threshold = (
            {} if threshold is None else check_threshold(threshold, _INFO.name, _INFO.name)
        )

    def drawing_all(self) -> Self:
        """Return a copy that always asks the signal inside of the band, and for all of its samples.

        Questions of the band stay on the edge, so that drafts are kept; its scores are no bounds.
        """
        twin = copy.copy(self)
        twin.threshold = {}
        twin.signal = drawing_all(self.signal)
        return twin

    def threshold_of(self, scale: str) -> float:
        """Return the threshold of the cascade; NaN where the signal's own rules and has several."""
        own = self.signal.threshold
        default = math.nan if isinstance(own, Mapping | CloudShare) else self._placed(own)
        return threshold_at(self.threshold, scale, default)

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
        standing = threshold_at(self.threshold, _INFO.name, math.nan)
        is_ruled = not math.isnan(standing)
        if not low <= score < high:
            note_score(self.threshold, _INFO.name, score, score)
            held_to = standing if is_ruled else self._own(score)
            told = f"{self._place(score)}:"
            return _verdict(request, score, held_to, [first], told)
        if is_ruled and not low < standing <= high:
            note_score(self.threshold, _INFO.name, low, high)
            bound = low if low >= standing else high
            told = f"{self._place(score)}, the threshold is not, so that the signal is not asked:"
            return _verdict(request, bound, standing, [first], told, settled_early=True)
        second = yield self._ruled(standing) if is_ruled else self.signal
        early, rules = second.decision.settled_early, second.decision.threshold
        if not is_ruled:
            standing = self._placed(DEFAULT_THRESHOLD if rules is None else rules)
        placed = self._placed(score_of(second))
        # The signal's verdict rules: rounding must not carry a score that is all but tied across.
        if second.decision.route == "cloud":
            placed = clip_score(max(placed, standing))
            least, most = (placed, max(placed, high)) if early else (placed, placed)
        else:
            placed = clip_score(min(placed, math.nextafter(standing, -math.inf)))
            least, most = (min(placed, low), placed) if early else (placed, placed)
        note_score(self.threshold, _INFO.name, least, most)
        told = f"trained score {score:.2f} is uncertain; {second.decision.reason}"
        return _verdict(request, placed, standing, [first, second], told, settled_early=early)

    def _place(self, score: float) -> str:
        low, high = self.band
        where = "below" if score < low else "inside of" if score < high else "above"
        return f"trained score {score:.2f} is {where} the band [{low:.2f}, {high:.2f})"

    def _own(self, score: float) -> float:
        """Return what a trained score outside of the band is held to where the signal's threshold rules."""
        own, (low, high) = self.signal.threshold, self.band
        if isinstance(own, Mapping | CloudShare):  # known once the signal is asked: the near end will do
            return low if score < low else high
        return self._placed(own)

    def _ruled(self, standing: float) -> ScoringRouter:
        low, high = self.band
        signal = copy.copy(self.signal)
        signal.threshold = (standing - low) / (high - low)
        return signal

    def _placed(self, score: float) -> float:
        """Place a number on the signal's scale inside of the band."""
        low, high = self.band
        return low + (high - low) * score


def _verdict(
    request: RouteRequest,
    score: float,
    threshold: float,
    asked: list[Decided],
    told: str,
    *,
    settled_early: bool = False,
) -> Decided:
    unsure = score >= threshold
    if len(asked) == 1:
        told += f" {score:.2f} {'>=' if unsure else '<'} {threshold:.2f}, "
        told += "the cloud is needed" if unsure else "the edge is enough"
    decision = RouteDecision(
        route="cloud" if unsure else "edge",
        score=clip_score(score),
        threshold=threshold,
        method="cascade",
        reason=told,
        private=request.private,
        n_samples=sum(decided.decision.n_samples for decided in asked),
        usage=total_usage([decided.decision.usage for decided in asked]),
        router=_INFO,
        settled_early=settled_early,
    )
    return Decided(decision, asked[-1].draft, asked[-1].evidence)
