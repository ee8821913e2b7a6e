"""Bootstrap confidence intervals, and the paired comparison of two routers on the same questions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from confroute.errors import ConfigurationError
from confroute.evaluation.curves import NO_GAP, Costs, RoutingCurve, all_alike
from confroute.evaluation.ranking import (
    FloatArray,
    area,
    column,
    cumulate,
    descending,
    first_crossing,
    resampled_counts,
)

DEFAULT_CPTS = (0.5, 0.8)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its confidence interval.

    Attributes:
        estimate: The figure on all questions; NaN where undefined.
        low: Lower end, a percentile of the resamples.
        high: Upper end.
        n: Number of questions.
        level: Confidence level.
        undefined: Part of the resamples in which the figure was undefined, and which the interval leaves out.
    """

    estimate: float
    low: float
    high: float
    n: int
    level: float = 0.95
    undefined: float = 0.0

    def __str__(self) -> str:
        if math.isnan(self.estimate):
            return "undefined"
        told = f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return f"{told} (undefined in {self.undefined:.0%} of resamples)" if self.undefined else told


@dataclass(frozen=True, slots=True)
class Comparison:
    """Router A against router B on the same questions.

    Attributes:
        difference: A's figure minus B's.
        p_value: Two-sided bootstrap p-value of "no difference"; NaN where undefined.
    """

    difference: Interval
    p_value: float


def interval_of(estimate: float, draws: FloatArray, n: int, level: float = 0.95) -> Interval:
    """Return the percentile interval of resampled figures, shape [b]; NaN draws count as undefined."""
    known = draws[~np.isnan(draws)]
    if math.isnan(estimate) or not len(known):
        return Interval(estimate, float("nan"), float("nan"), n, level, 1 - len(known) / len(draws))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), n, level, 1 - len(known) / len(draws))


def bootstrap_curve(
    scores: ArrayLike,
    edge_quality: ArrayLike,
    cloud_quality: ArrayLike,
    *,
    cpts: Sequence[float] = DEFAULT_CPTS,
    costs: Costs | None = None,
    kept: Sequence[float] = (0.95,),
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Return a router's figures with confidence intervals, by resampling questions.

    The router is taken as it is: the interval tells how much the figure hangs on these questions, not on the
    training run.

    Args:
        scores: "The cloud is needed", shape [n].
        edge_quality: Shape [n].
        cloud_quality: Shape [n].
        cpts: Parts of the gap whose CPT is wanted.
        costs: US dollars per question; adds the savings.
        kept: Parts of the cloud's quality at which the saving is wanted.
        n_resamples: Number of resamples.
        seed: Seed of the resamples.
        level: Confidence level.

    Returns:
        ``apgr``, ``cpt50`` and the like, and with costs ``saving95`` and the like; see `RoutingCurve`.

    Raises:
        ConfigurationError: If a column, `level` or `n_resamples` is out of range.
    """
    _check(n_resamples, level)
    curve = RoutingCurve.from_scores(scores, edge_quality, cloud_quality, costs=costs)
    estimates = {"apgr": curve.apgr} | {cpt_name(x): curve.cpt(x) for x in cpts}
    if costs is not None:
        estimates |= {_saving(x): curve.saving(x) for x in kept}
    resampler = _Resampled(scores, edge_quality, cloud_quality, costs)
    draws = _collect(
        resampler.figures(counts, cpts, kept) for counts in resampled_counts(curve.n, n_resamples, seed)
    )
    return {name: interval_of(value, draws[name], curve.n, level) for name, value in estimates.items()}


def compare(
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    edge_quality: ArrayLike,
    cloud_quality: ArrayLike,
    *,
    cpts: Sequence[float] = DEFAULT_CPTS,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Comparison]:
    """Compare two routers on the same resamples of the same questions.

    Args:
        scores_a: Scores of router A, shape [n].
        scores_b: Scores of router B, shape [n].
        edge_quality: Shape [n].
        cloud_quality: Shape [n].
        cpts: Parts of the gap whose CPT is wanted.
        n_resamples: Number of resamples.
        seed: Seed of the resamples.
        level: Confidence level.

    Returns:
        ``apgr`` (more is better), ``cpt50`` (less is better) and the like: A minus B.

    Raises:
        ConfigurationError: If a column, `level` or `n_resamples` is out of range.
    """
    _check(n_resamples, level)
    curves = [RoutingCurve.from_scores(s, edge_quality, cloud_quality) for s in (scores_a, scores_b)]
    n = curves[0].n
    estimates = {"apgr": curves[0].apgr - curves[1].apgr}
    estimates |= {cpt_name(x): curves[0].cpt(x) - curves[1].cpt(x) for x in cpts}
    a, b = (_Resampled(s, edge_quality, cloud_quality, None) for s in (scores_a, scores_b))

    def differences(counts: FloatArray) -> dict[str, FloatArray]:
        left, right = a.figures(counts, cpts, ()), b.figures(counts, cpts, ())
        return {name: left[name] - right[name] for name in left}

    draws = _collect(differences(counts) for counts in resampled_counts(n, n_resamples, seed))
    return {
        name: Comparison(interval_of(value, draws[name], n, level), p_value(draws[name]))
        for name, value in estimates.items()
    }


def p_value(differences: FloatArray) -> float:
    """Return the two-sided bootstrap p-value of resampled differences, shape [b]; NaN if none is known.

    Twice the smaller tail beyond 0, each tail counted with one added to it, so that it is never 0.
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return float("nan")
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(known) + 1))


class _Resampled:
    """One router's figures on many resamples at once."""

    def __init__(
        self, scores: ArrayLike, edge_quality: ArrayLike, cloud_quality: ArrayLike, costs: Costs | None
    ) -> None:
        need = column(scores, "scores")
        self.order, self.ends = descending(need)
        edge = column(edge_quality, "edge_quality", len(need))[self.order]
        self.edge = edge
        self.gain = column(cloud_quality, "cloud_quality", len(need))[self.order] - edge
        self.costs = costs

    def figures(
        self, counts: FloatArray, cpts: Sequence[float], kept: Sequence[float]
    ) -> dict[str, FloatArray]:
        """Return the figures of each resample, shape [b] each, from counts of shape [b, n]."""
        n = counts.shape[1]
        ranked = counts[:, self.order]
        share = cumulate(ranked, self.ends) / n
        gain = cumulate(ranked * self.gain, self.ends) / n
        gap = gain[:, -1]
        known = (gap > NO_GAP) & (not all_alike(self.gain))
        safe = np.where(known, gap, np.nan)
        figures = {"apgr": area(share, gain) / safe}
        for x in cpts:
            reached = first_crossing(share, gain, np.where(known, x * gap - NO_GAP, 0.0))
            figures[cpt_name(x)] = np.where(known, reached, np.nan)
        if self.costs is not None:
            figures |= self._savings(ranked, share, gain, kept)
        return figures

    def _savings(
        self, ranked: FloatArray, share: FloatArray, gain: FloatArray, kept: Sequence[float]
    ) -> dict[str, FloatArray]:
        if self.costs is None:  # narrowed for the type checker; the caller has checked
            return {}
        n = ranked.shape[1]
        base = ranked @ self.costs.edge[self.order] / n
        added = cumulate(ranked * (self.costs.cloud - self.costs.edge)[self.order], self.ends) / n
        bill = ranked @ self.costs.all_cloud[self.order] / n
        edge = ranked @ self.edge / n
        savings = {}
        for x in kept:
            target = x * (edge + gain[:, -1]) - edge - NO_GAP
            reached = first_crossing(share, gain, target)
            paid = [np.interp(at, s, c) for at, s, c in zip(reached, share, added, strict=True)]
            savings[_saving(x)] = 1 - (base + np.array(paid)) / bill
        return savings


def _collect(chunks: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    parts = list(chunks)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def cpt_name(recovered: float) -> str:
    """Return the key of CPT(x): ``cpt50`` for 0.5."""
    return f"cpt{100 * recovered:g}"


def _saving(kept: float) -> str:
    return f"saving{100 * kept:g}"


def _check(n_resamples: int, level: float) -> None:
    if n_resamples < 1:
        raise ConfigurationError(f"n_resamples is {n_resamples}: expected at least 1, better 1000")
    if not 0 < level < 1:
        raise ConfigurationError(f"level is {level}: expected a confidence level between 0 and 1")
