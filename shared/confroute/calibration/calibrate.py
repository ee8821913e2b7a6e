"""From scores and outcomes to a threshold for one target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from confroute.calibration.result import WRONG_BY, Calibration, RiskBound, Target, WrongBy
from confroute.calibration.risk import (
    START,
    check_risk,
    fixed_sequence,
    least_kept,
    risk_grid,
    share_interval,
)
from confroute.errors import ConfigurationError
from confroute.evaluation import Costs, Interval, RoutingCurve
from confroute.evaluation.bootstrap import interval_of
from confroute.evaluation.ranking import FloatArray, column, resampled_counts
from confroute.routers.threshold import NOTHING_TO_CLOUD

_SAME = 9  # decimals: scores that differ by less are tied
_PLACING = 5  # one in so many questions places the grid where no reference scores are given
_RESAMPLES = 1000


def calibrate(
    scores: ArrayLike,
    *,
    cloud_share: float | None = None,
    usd_per_1000: float | None = None,
    quality: float | None = None,
    risk: float | None = None,
    confidence: float = 0.9,
    edge_quality: ArrayLike | None = None,
    cloud_quality: ArrayLike | None = None,
    costs: Costs | None = None,
    wrong: ArrayLike | None = None,
    wrong_by: WrongBy | None = None,
    reference_scores: ArrayLike | None = None,
    data: str = "scores passed in",
    scored_by: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Calibration:
    """Find the threshold for one target, on data that trained nothing.

    Exactly one of `cloud_share`, `usd_per_1000`, `quality` and `risk` is given. The first three are met on
    the calibration data, as the intervals tell; only `risk` is a promise about new questions of the same
    kind, see `confroute.calibration.risk`.

    Args:
        scores: "The cloud is needed", in [0, 1], shape [n].
        cloud_share: At most this share of the questions goes to the cloud. Tied scores can make it
            unreachable; the share achieved is reported.
        usd_per_1000: Expected US dollars per 1,000 questions, at most; needs `costs`. The largest cloud share
            that keeps to it is taken.
        quality: Part of the gap between edge and cloud to recover, in (0, 1]; needs both qualities. The
            smallest cloud share that recovers it is taken.
        risk: α in (0, 1): of the questions kept on the edge at most α are wrong; needs `wrong`, `wrong_by`.
        confidence: 1 − δ of that promise.
        edge_quality: Quality of the edge's answers, shape [n]; optional but for `quality`.
        cloud_quality: Quality of the cloud's answers, shape [n]; optional but for `quality`.
        costs: What each question costs; optional but for `usd_per_1000`.
        wrong: Whether the edge's answer is wrong, 0 or 1, shape [n].
        wrong_by: What "wrong" goes by: ``gold``, ``judge`` or ``disagreement`` (with the cloud).
        reference_scores: Scores of the questions that the router was trained on, which place the grid of
            thresholds to be tested. Without them, a random fifth of `scores` does, and tests nothing.
        data: Name of the data.
        scored_by: What the scores come from: router, estimator, N, equivalence. Kept with the threshold.
        seed: Seed of the resamples and of that fifth.

    Returns:
        The threshold and what it achieves; or, with the reason, that the target cannot be met.

    Raises:
        ConfigurationError: If there is not exactly one target, or a column is missing or not as described.
        MissingExtraError: For `risk`, if SciPy is not installed.
    """
    asked: dict[Target, float | None] = {
        "cloud_share": cloud_share,
        "usd_per_1000": usd_per_1000,
        "quality": quality,
        "risk": risk,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) != 1:
        raise ConfigurationError(
            f"{len(given)} targets given: expected exactly one of {', '.join(asked)}, since each asks for a "
            "threshold of its own"
        )
    ((target, value),) = given.items()
    sample = _Sample.of(scores, edge_quality, cloud_quality, costs, seed)
    bound: RiskBound | None = None
    if target == "risk":
        bound, found = _for_risk(sample, value, confidence, wrong, wrong_by, reference_scores)
    else:
        found = {"cloud_share": _for_share, "usd_per_1000": _for_cost, "quality": _for_quality}[target](
            sample, value
        )
    figures = {} if found.threshold is None else sample.figures(found.threshold)
    return Calibration(
        target=target,
        asked=value,
        met=found.threshold is not None,
        threshold=found.threshold,
        reason=found.reason,
        data=data,
        n=len(sample.scores),
        scored_by=dict(scored_by or {}),
        risk=bound,
        **figures,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    threshold: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Sample:
    """The calibration data, with the routing curve over it."""

    scores: FloatArray
    curve: RoutingCurve
    edge: FloatArray | None
    cloud: FloatArray | None
    costs: Costs | None
    seed: int

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        edge_quality: ArrayLike | None,
        cloud_quality: ArrayLike | None,
        costs: Costs | None,
        seed: int,
    ) -> _Sample:
        known = column(scores, "scores")
        if known.min() < 0 or known.max() > 1:
            raise ConfigurationError(
                f"scores span {known.min():g} to {known.max():g}: expected numbers in [0, 1]"
            )
        if (edge_quality is None) != (cloud_quality is None):
            raise ConfigurationError("one quality is given: expected those of the edge and of the cloud")
        rounded = known.round(_SAME)
        edge = None if edge_quality is None else column(edge_quality, "edge_quality", len(known))
        cloud = None if cloud_quality is None else column(cloud_quality, "cloud_quality", len(known))
        none = np.zeros(len(known))
        curve = RoutingCurve.from_scores(
            rounded, none if edge is None else edge, none if cloud is None else cloud, costs=costs
        )
        return cls(rounded, curve, edge, cloud, costs, seed)

    def cut(self, point: int) -> float:
        """Return the threshold of a point of the curve: halfway to the next score, safe from rounding."""
        if point == 0:
            return NOTHING_TO_CLOUD
        if point == len(self.curve.thresholds) - 1:
            return 0.0
        return float(self.curve.thresholds[point : point + 2].mean())

    def figures(self, threshold: float) -> dict[str, Any]:
        """Return what a threshold achieves here, with 95 % intervals."""
        sent = self.scores >= threshold
        figures = {"cloud_share": share_interval(int(sent.sum()), len(sent))}
        if self.edge is not None and self.cloud is not None:
            figures["quality"] = self._mean(np.where(sent, self.cloud, self.edge))
            if not self.curve.undefined:
                figures["recovered"] = self._ratio(sent * (self.cloud - self.edge), self.cloud - self.edge)
        if self.costs is not None:
            figures["usd_per_1000"] = self._mean(1000 * np.where(sent, self.costs.cloud, self.costs.edge))
        return figures

    def _mean(self, values: FloatArray) -> Interval:
        return self._ratio(values, np.ones(len(values)))

    def _ratio(self, part: FloatArray, whole: FloatArray) -> Interval:
        """Return sum(part) / sum(whole) with its bootstrap interval; resamples with no gap are undefined."""
        n = len(part)
        counts = list(resampled_counts(n, _RESAMPLES, self.seed))
        parts = np.concatenate([c @ part for c in counts])
        wholes = np.concatenate([c @ whole for c in counts])
        ratios = np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 1e-12)
        return interval_of(float(part.sum() / whole.sum()), ratios, n)


def _for_share(sample: _Sample, share: float) -> _Found:
    if not 0 <= share <= 1:
        raise ConfigurationError(f"cloud_share is {share}: expected a fraction of calls between 0 and 1")
    shares = sample.curve.share
    point = int(np.flatnonzero(shares <= share + 1e-12)[-1])
    reason = f"the largest cloud share within {share:.1%} is {shares[point]:.1%}"
    if share - shares[point] > 1 / sample.curve.n:
        reason += f"; scores are tied, so that the next one is {shares[point + 1]:.1%}"
    return _Found(sample.cut(point), reason)


def _for_cost(sample: _Sample, usd: float) -> _Found:
    if sample.curve.cost is None:
        raise ConfigurationError("usd_per_1000 needs costs: pass costs=Costs.of(edge, cloud), in US dollars")
    if not 0 <= usd < math.inf:
        raise ConfigurationError(f"usd_per_1000 is {usd}: expected US dollars, at least 0")
    per_1000 = 1000 * sample.curve.cost
    within = np.flatnonzero(per_1000 <= usd + 1e-12)
    if not len(within):
        return _Found(
            None,
            f"{usd:g} US dollars per 1,000 questions cannot be kept to: the cheapest threshold costs "
            f"{per_1000.min():g}",
        )
    point = int(within[-1])
    share, spent = sample.curve.share[point], per_1000[point]
    return _Found(
        sample.cut(point),
        f"the largest cloud share within {usd:g} US dollars per 1,000 questions is {share:.1%}, which costs "
        f"{spent:g}",
    )


def _for_quality(sample: _Sample, part: float) -> _Found:
    if sample.edge is None:
        raise ConfigurationError("quality needs outcomes: pass edge_quality and cloud_quality")
    if not 0 < part <= 1:
        raise ConfigurationError(f"quality is {part}: expected a part of the gap to the cloud in (0, 1]")
    curve = sample.curve
    if curve.undefined:
        return _Found(None, f"no part of a gap can be recovered: {curve.undefined}")
    recovered = (curve.quality - curve.quality[0]) / curve.gap
    point = int(np.flatnonzero(recovered >= part - 1e-9)[0])
    reason = (
        f"the smallest cloud share that recovers {part:.1%} of the gap to the cloud is "
        f"{curve.share[point]:.1%}, which recovers {recovered[point]:.1%}"
    )
    if (recovered[point:] < part - 1e-9).any():
        reason += "; larger shares recover less again, so that the router's order is poor there"
    return _Found(sample.cut(point), reason)


def _for_risk(
    sample: _Sample,
    alpha: float,
    confidence: float,
    wrong: ArrayLike | None,
    wrong_by: WrongBy | None,
    reference_scores: ArrayLike | None,
) -> tuple[RiskBound, _Found]:
    check_risk(alpha, confidence)
    if wrong is None or wrong_by not in WRONG_BY:
        raise ConfigurationError(
            "risk needs wrong (0 or 1 for each question) and wrong_by, which names what it goes by: "
            f"{', '.join(WRONG_BY)}"
        )
    errors = column(wrong, "wrong", len(sample.scores))
    if not np.isin(errors, (0.0, 1.0)).all():
        raise ConfigurationError("wrong holds other numbers than 0 and 1: an answer is wrong, or it is not")
    tested, reference = _divided(sample, reference_scores)
    scores, n_tested = sample.scores[tested], int(tested.sum())
    grid = risk_grid(reference, n_tested, alpha=alpha, confidence=confidence)
    n_passed, kept, failed, bound = 0, np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1)
    if len(grid):
        passed, kept, failed, bound = fixed_sequence(
            scores, errors[tested], grid, alpha=alpha, confidence=confidence
        )
        n_passed = int(passed)
    last = max(0, n_passed - 1)
    promise = RiskBound(
        alpha=alpha,
        confidence=confidence,
        wrong_by=wrong_by,
        n_tested=n_tested,
        n_placed=len(sample.scores) - n_tested,
        grid=tuple(grid.tolist()),
        n_passed=n_passed,
        kept=int(kept[last]),
        wrong=int(failed[last]),
        bound=float(bound[last]),
    )
    evidence = f"{promise.wrong} of {promise.kept} tested, upper bound {promise.bound:.1%}"
    if n_passed:
        reason = (
            f"of the questions kept on the edge at most {alpha:.1%} are {WRONG_BY[wrong_by]}, with "
            f"confidence {confidence:g} ({evidence})"
        )
        return promise, _Found(float(grid[last]), reason)
    if not len(grid):
        needed = START * least_kept(alpha, confidence)
        why = f"{n_tested} questions to test on are too few, it takes {needed} kept on the edge to begin"
    else:
        why = f"already the most careful threshold keeps too many errors ({evidence})"
    return promise, _Found(
        None,
        f"that at most {alpha:.1%} of the questions kept on the edge are {WRONG_BY[wrong_by]} cannot be "
        f"promised with confidence {confidence:g}: {why}",
    )


def _divided(sample: _Sample, reference_scores: ArrayLike | None) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return which questions are tested, and the scores that place the grid."""
    n = len(sample.scores)
    tested = np.ones(n, dtype=np.bool_)
    if reference_scores is not None:
        return tested, column(reference_scores, "reference_scores").round(_SAME)
    if n < _PLACING:
        raise ConfigurationError(f"{n} questions: expected at least {_PLACING}, better hundreds")
    placing = np.random.default_rng(sample.seed).permutation(n)[: n // _PLACING]
    tested[placing] = False
    return tested, sample.scores[placing]
