"""One router on one set of questions: every figure that the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from confroute.errors import ConfigurationError
from confroute.evaluation.baselines import (
    edge_confidence_scores,
    oracle_scores,
    prompt_length_scores,
    random_spread,
)
from confroute.evaluation.bootstrap import Comparison, Interval, bootstrap_curve, compare, interval_of
from confroute.evaluation.curves import NO_GAP, Costs, RoutingCurve
from confroute.evaluation.inference import holm, mean_interval, resampled_means
from confroute.evaluation.metrics import Reliability, reliability
from confroute.evaluation.outcomes import Outcomes
from confroute.evaluation.ranking import FloatArray, column, cumulate, descending, resampled_counts

KEPT = (0.9, 0.95, 0.98, 1.0)
"""Parts of the cloud's quality at which the report tells the saving."""

RANDOM = "random"
LENGTH = "prompt length"
CONFIDENCE = "the edge's own confidence"
ORACLE = "oracle"

_BAND_POINTS = 41
_BAND_RESAMPLES = 200


@dataclass(frozen=True)
class Signal:
    """A router's scores on the questions at hand, and what its calls cost.

    Attributes:
        name: The router's name.
        scores: "The cloud is needed", shape [n].
        costs: US dollars per question; None where unknown.
        seconds: The same in seconds until the question is answered; None where not recorded.
    """

    name: str
    scores: FloatArray
    costs: Costs | None = None
    seconds: Costs | None = None


@dataclass(frozen=True)
class OperatingPoint:
    """The router at one threshold.

    Attributes:
        threshold: The cloud answers where ``score >= threshold``.
        given: Whether the threshold was given; else it was chosen on these very questions.
        share: Cloud share.
        quality: Mean quality.
        kept: Mean quality over the cloud's.
        pgr: Part of the gap recovered; NaN where there is no gap.
        cost: Mean US dollars per question; None where unknown.
        saving: Part of the all-cloud bill saved; None where unknown.
        seconds: Mean seconds per question, and all to the cloud; None where not recorded.
    """

    threshold: float
    given: bool
    share: Interval
    quality: Interval
    kept: Interval
    pgr: Interval
    cost: Interval | None = None
    saving: Interval | None = None
    seconds: tuple[Interval, Interval] | None = None


@dataclass(frozen=True)
class Saving:
    """What a router saves at a quality, at the threshold that just reaches it on these questions.

    Attributes:
        kept: Part of the cloud's quality.
        share: Cloud share that it takes; NaN where no threshold reaches it.
        calls: Part of the calls kept off the cloud.
        money: Part of the all-cloud bill saved; None where costs are unknown.
    """

    kept: float
    share: float
    calls: Interval
    money: Interval | None


@dataclass(frozen=True)
class Standing:
    """One line of the table of routers.

    Attributes:
        name: The router's name.
        curve: Its curve.
        figures: ``apgr``, ``cpt50``, ``cpt80``, and ``saving95`` where costs are known.
        dips: Whether the curve falls below 80 % of the gap again after CPT(80 %).
        against: The router at hand minus this one, in APGR; None for the router itself, random and oracle.
        p_adjusted: p-value of that difference, adjusted for all differences in the table; NaN where none.
    """

    name: str
    curve: RoutingCurve
    figures: dict[str, Interval]
    dips: bool
    against: Comparison | None = None
    p_adjusted: float = float("nan")


@dataclass(frozen=True)
class Evaluation:
    """Everything measured; see `confroute.evaluation.report` for what is made of it.

    Attributes:
        outcomes: The data.
        router: The router at hand.
        undefined: Why APGR and CPT are undefined; None where they are defined.
        point: The router at its threshold.
        savings: What it saves at several qualities.
        standings: The router, other routers and the baselines.
        calibration: Scores against how often the cloud's answer was better; None for scores outside [0, 1].
        band: Cloud shares, and the low and high end of the router's quality there, shape [3, m].
        seed: Seed of the resamples.
        n_resamples: Number of resamples.
        edge_quality: Mean quality of the edge alone.
        cloud_quality: Mean quality of the cloud alone.
    """

    outcomes: Outcomes
    router: Signal
    undefined: str | None
    point: OperatingPoint
    savings: list[Saving]
    standings: list[Standing]
    calibration: Reliability | None
    band: FloatArray
    seed: int
    n_resamples: int
    edge_quality: Interval = field(init=False)
    cloud_quality: Interval = field(init=False)

    def __post_init__(self) -> None:
        for name in ("edge_quality", "cloud_quality"):
            told = mean_interval(getattr(self.outcomes, name), n_resamples=self.n_resamples, seed=self.seed)
            object.__setattr__(self, name, told)

    @property
    def to_cloud(self) -> Any:
        """Which questions go to the cloud, boolean array of shape [n]."""
        return self.router.scores >= self.point.threshold

    def standing(self, name: str) -> Standing | None:
        """Return the standing of a router by its name; None if it is not in the table."""
        return next((one for one in self.standings if one.name == name), None)


def evaluate(
    outcomes: Outcomes,
    router: Signal,
    *,
    others: Sequence[Signal] = (),
    threshold: float | None = None,
    keep: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Measure a router beside other routers and the baselines.

    Args:
        outcomes: Questions with both models' outcomes.
        router: The router at hand.
        others: Other routers on the same questions.
        threshold: The router's threshold. If None, the highest that keeps `keep` of the cloud's quality on
            these very questions, which flatters it a little.
        keep: Part of the cloud's quality.
        n_resamples: Resamples behind every interval.
        seed: Their seed.

    Raises:
        ConfigurationError: If scores do not fit the questions, `keep` is out of range, the threshold is not
            finite, or a quality is below 0.
    """
    if not 0 < keep <= 1:
        raise ConfigurationError(f"keep is {keep}: expected a part of the cloud's quality in (0, 1]")
    if threshold is not None and not np.isfinite(threshold):
        raise ConfigurationError(f"threshold is {threshold}: expected a finite number")
    edge, cloud = outcomes.edge_quality, outcomes.cloud_quality
    if min(edge.min(), cloud.min()) < 0:
        raise ConfigurationError(
            "a quality is below 0, so that a part of the cloud's quality has no meaning: expected a scale on "
            "which 0 is the worst; add a constant to both columns"
        )
    scores = column(router.scores, f"scores of {router.name}", outcomes.n)
    curve = RoutingCurve.from_scores(scores, edge, cloud, costs=router.costs)
    chosen = _threshold_keeping(curve, keep) if threshold is None else threshold
    inside = scores.min() >= 0 and scores.max() <= 1
    return Evaluation(
        outcomes=outcomes,
        router=router,
        undefined=curve.undefined,
        point=_operating_point(outcomes, router, chosen, threshold is not None, n_resamples, seed),
        savings=_savings(router, curve, outcomes, n_resamples, seed),
        standings=_standings(outcomes, router, others, n_resamples, seed),
        calibration=reliability(scores, cloud > edge, bins=10) if inside else None,
        band=_band(scores, edge, cloud, seed),
        seed=seed,
        n_resamples=n_resamples,
    )


def _threshold_keeping(curve: RoutingCurve, keep: float) -> float:
    reached = np.flatnonzero(curve.quality >= keep * curve.quality[-1] - NO_GAP)
    return float(curve.thresholds[reached[0]])


def _operating_point(
    outcomes: Outcomes, router: Signal, threshold: float, given: bool, n_resamples: int, seed: int
) -> OperatingPoint:
    up = router.scores >= threshold
    edge, cloud, costs = outcomes.edge_quality, outcomes.cloud_quality, router.costs
    columns = [up.astype(float), np.where(up, cloud, edge), edge, cloud]
    if costs is not None:
        columns += [np.where(up, costs.cloud, costs.edge), costs.all_cloud]
    values = np.stack(columns, axis=1)
    draws = resampled_means(values, n_resamples=n_resamples, seed=seed)
    means = values.mean(axis=0)

    def told(formula: Any) -> Interval:
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = formula(draws.T)
            return interval_of(float(formula(means[:, None])[0]), drawn, outcomes.n)

    def recovered(m: FloatArray) -> FloatArray:
        gap = m[3] - m[2]
        return np.where(gap > NO_GAP, (m[1] - m[2]) / np.where(gap > NO_GAP, gap, np.nan), np.nan)

    seconds = None
    if router.seconds is not None:
        routed = np.where(up, router.seconds.cloud, router.seconds.edge)
        seconds = (
            mean_interval(routed, n_resamples=n_resamples, seed=seed),
            mean_interval(router.seconds.all_cloud, n_resamples=n_resamples, seed=seed),
        )
    return OperatingPoint(
        threshold=threshold,
        given=given,
        share=told(lambda m: m[0]),
        quality=told(lambda m: m[1]),
        kept=told(lambda m: m[1] / m[3]),
        pgr=told(recovered),
        cost=told(lambda m: m[4]) if costs is not None else None,
        saving=told(lambda m: 1 - m[4] / m[5]) if costs is not None else None,
        seconds=seconds,
    )


def _savings(
    router: Signal, curve: RoutingCurve, outcomes: Outcomes, n_resamples: int, seed: int
) -> list[Saving]:
    ones = np.ones(outcomes.n)
    calls = Costs.of(0 * ones, ones)  # a call to the cloud costs one, so that a saving is a part of the calls

    def at_qualities(costs: Costs) -> dict[str, Interval]:
        return bootstrap_curve(
            router.scores,
            outcomes.edge_quality,
            outcomes.cloud_quality,
            cpts=(),
            costs=costs,
            kept=KEPT,
            n_resamples=n_resamples,
            seed=seed,
        )

    saved = at_qualities(calls)
    money = at_qualities(router.costs) if router.costs is not None else {}
    return [
        Saving(
            kept=kept,
            share=curve.share_reaching(kept * float(curve.quality[-1])),
            calls=saved[f"saving{100 * kept:g}"],
            money=money.get(f"saving{100 * kept:g}"),
        )
        for kept in KEPT
    ]


def baseline_signals(outcomes: Outcomes) -> list[Signal]:
    """Return prompt length, the edge's own confidence where known, and the oracle, with their costs."""
    signals = [Signal(LENGTH, prompt_length_scores(outcomes.questions), outcomes.costs())]
    if outcomes.edge_logprob is not None:
        doubt = edge_confidence_scores(outcomes.edge_logprob)
        signals.append(Signal(CONFIDENCE, doubt, outcomes.costs(drafts=True)))
    ranked = oracle_scores(outcomes.edge_quality, outcomes.cloud_quality)
    return [*signals, Signal(ORACLE, ranked, outcomes.costs())]


def _standings(
    outcomes: Outcomes, router: Signal, others: Sequence[Signal], n_resamples: int, seed: int
) -> list[Standing]:
    edge, cloud = outcomes.edge_quality, outcomes.cloud_quality

    def measured(signal: Signal) -> Standing:
        curve = RoutingCurve.from_scores(signal.scores, edge, cloud, costs=signal.costs)
        figures = bootstrap_curve(
            signal.scores, edge, cloud, costs=signal.costs, n_resamples=n_resamples, seed=seed
        )
        against = None
        if signal.name not in (router.name, RANDOM, ORACLE) and not curve.undefined:
            against = compare(
                router.scores, signal.scores, edge, cloud, cpts=(), n_resamples=n_resamples, seed=seed
            )["apgr"]
        return Standing(signal.name, curve, figures, not curve.undefined and curve.dips_after(0.8), against)

    constant = Signal(RANDOM, np.zeros(outcomes.n), outcomes.costs())
    chance = measured(constant)
    spread = random_spread(edge, cloud, n_routers=n_resamples, seed=seed)
    chance = Standing(RANDOM, chance.curve, chance.figures | spread, dips=False)
    rest = [measured(signal) for signal in (*others, *baseline_signals(outcomes))]
    adjusted = holm([one.against.p_value if one.against is not None else float("nan") for one in rest])
    rest = [
        Standing(one.name, one.curve, one.figures, one.dips, one.against, p)
        for one, p in zip(rest, adjusted, strict=True)
    ]
    return [measured(router), *rest[:-1], chance, rest[-1]]


def _band(scores: FloatArray, edge: FloatArray, cloud: FloatArray, seed: int) -> FloatArray:
    """Return the curve's 95 % band, point by point, by resampling questions."""
    order, ends = descending(scores)
    n = len(scores)
    grid = np.linspace(0, 1, _BAND_POINTS)
    drawn = []
    for counts in resampled_counts(n, _BAND_RESAMPLES, seed):
        ranked = counts[:, order]
        share = cumulate(ranked, ends) / n
        quality = cumulate(ranked * (cloud - edge)[order], ends) / n + (ranked @ edge[order] / n)[:, None]
        drawn += [np.interp(grid, s, q) for s, q in zip(share, quality, strict=True)]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return np.stack([grid, low, high])
