"""A cascade's band and threshold, fitted to money: the cheapest that keeps a part of the cloud's quality.

A policy is ``(low, high, cut)``: below `low` the edge answers, from `high` on the cloud, and in between the
signal is paid for and the cloud answers where it says `cut` or more. The search is exact over a grid of
quantiles: with the questions in order of the trained score, the money and quality of every policy are
differences of three cumulative sums.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from confroute.calibration.cascade_result import CascadeCalibration, Policy
from confroute.errors import ConfigurationError
from confroute.evaluation import Interval
from confroute.evaluation.bootstrap import interval_of
from confroute.evaluation.ranking import FloatArray, column, resampled_counts
from confroute.routers.threshold import NOTHING_TO_CLOUD

_STEPS = 50  # quantiles of each score, at most
_PER_STEP = 20  # questions between two quantiles, at least: a finer grid fits noise
_FEWEST = 40
_WORTH = 0.01  # part of the bill that a cascade must save beside either router alone: less is the grid's luck
_CUT_DIGITS, _THRESHOLD_DIGITS = 6, 12
_RESAMPLES = 1000


def calibrate_cascade(
    scores: ArrayLike,
    signal_scores: ArrayLike,
    *,
    edge_quality: ArrayLike,
    cloud_quality: ArrayLike,
    edge_usd: ArrayLike,
    cloud_usd: ArrayLike,
    signal_usd: ArrayLike,
    keep: float = 0.95,
    drafts: bool = False,
    groups: Sequence[Hashable] | None = None,
    data: str = "scores passed in",
    scored_by: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> CascadeCalibration:
    """Fit a `CascadeRouter` to money, on data that trained nothing.

    Half of the questions fit the policy; all figures are told on the other half. The grid has a quantile for
    every twenty questions, at most fifty for each score. Among so many policies the cheapest is a little
    lucky: on few hundred questions expect it to keep less, held out, than was asked for. A cascade that saves
    less than 1 % beside the trained router or the signal alone gives way to that. A signal that stops drawing
    early costs less than `signal_usd` of all its samples, so that what is told is the most that it costs.

    Args:
        scores: The trained router's, in [0, 1], shape [n].
        signal_scores: The signal's, in [0, 1], drawn to the end, shape [n].
        edge_quality: Quality of the edge's replies, at least 0, shape [n].
        cloud_quality: Quality of the cloud's replies, at least 0, shape [n].
        edge_usd: US dollars of an edge reply, shape [n].
        cloud_usd: US dollars of a cloud reply, shape [n].
        signal_usd: US dollars of the signal's samples and checks, without the draft that can be the reply,
            shape [n].
        keep: Part of the cloud's mean quality to keep, in (0, 1].
        drafts: Whether the signal looks at the edge's reply itself (a full probe, a self-check), which is
            then paid for wherever the signal is asked, and is the reply where the edge answers.
        groups: What must not fall apart, such as the text of each question where one occurs twice, n of
            them; all questions of a group fit, or tell the figures.
        data: Name of the data.
        scored_by: What the scores come from; kept with the result.
        seed: Seed of that half and of the resamples.

    Raises:
        ConfigurationError: If a column is not as described, or there are fewer than 40 questions.
    """
    if not 0 < keep <= 1:
        raise ConfigurationError(f"keep is {keep}: expected a part of the cloud's quality in (0, 1]")
    table = _Table.of(
        scores, signal_scores, edge_quality, cloud_quality, edge_usd, cloud_usd, signal_usd, drafts=drafts
    )
    test = _held_out(groups, len(table.scores), seed)
    fitting, telling = table.part(~test), table.part(test)
    trained = _cheapest_trained(fitting, keep)
    signal = _cheapest_signal(fitting, keep)
    alone = min(trained, signal, key=lambda rule: fitting.usd(rule).sum())
    both = _cheapest_cascade(fitting, keep)
    found = both if fitting.usd(both).sum() < (1 - _WORTH) * fitting.usd(alone).sum() else alone

    def told(rule: _Rule) -> Policy:
        return _policy(rule, found, fitting, telling, seed)

    return CascadeCalibration(
        keep=keep,
        policy=told(found),
        trained_alone=told(trained),
        signal_alone=told(signal),
        all_cloud_usd_per_1000=_ratio(1000 * telling.cloud_usd, np.ones(len(telling.scores)), seed),
        data=data,
        n_fitted=int((~test).sum()),
        n_held_out=int(test.sum()),
        scored_by=dict(scored_by or {}),
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    """A policy: the signal is asked where ``low <= score < high``, and up from `cut` the cloud answers.

    The trained router alone has an empty band, the signal alone one that ends above every score.
    """

    low: float
    high: float
    cut: float

    @classmethod
    def placed(cls, low: float, high: float, cut: float) -> _Rule:
        """Return the rule as a `CascadeRouter` with its rounded threshold carries it out."""
        threshold = _threshold(low, high, cut)
        return cls(low, high, (threshold - low) / (high - low))

    @property
    def router(self) -> Literal["trained", "signal", "cascade"]:
        if self.low == self.high:
            return "trained"
        return "cascade" if self.high <= 1 else "signal"

    @property
    def threshold(self) -> float:
        alone = {"trained": self.low, "signal": self.cut}
        return alone.get(self.router, _threshold(self.low, self.high, self.cut))


def _threshold(low: float, high: float, cut: float) -> float:
    return high if cut >= 1 else round(low + (high - low) * cut, _THRESHOLD_DIGITS)


@dataclass(frozen=True, slots=True)
class _Table:
    """Questions with both scores, both qualities, and what each way of answering costs."""

    scores: FloatArray
    signal: FloatArray
    edge: FloatArray
    cloud: FloatArray
    edge_usd: FloatArray
    cloud_usd: FloatArray
    asked_edge_usd: FloatArray
    asked_cloud_usd: FloatArray

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        signal: ArrayLike,
        edge: ArrayLike,
        cloud: ArrayLike,
        edge_usd: ArrayLike,
        cloud_usd: ArrayLike,
        signal_usd: ArrayLike,
        *,
        drafts: bool,
    ) -> _Table:
        known = column(scores, "scores")
        n = len(known)
        named = {
            "signal_scores": signal,
            "edge_quality": edge,
            "cloud_quality": cloud,
            "edge_usd": edge_usd,
            "cloud_usd": cloud_usd,
            "signal_usd": signal_usd,
        }
        columns = {"scores": known} | {name: column(one, name, n) for name, one in named.items()}
        for name, values in columns.items():
            most = 1.0 if name.endswith("scores") else math.inf
            if values.min() < 0 or values.max() > most:
                within = "[0, 1]" if most == 1 else "at least 0"
                raise ConfigurationError(
                    f"{name} span {values.min():g} to {values.max():g}: expected numbers {within}"
                )
        if not columns["cloud_usd"].sum() > 0:
            raise ConfigurationError("cloud_usd adds up to 0: a cloud that costs nothing leaves none to save")
        if not columns["cloud_quality"].sum() > 0:
            raise ConfigurationError("cloud_quality adds up to 0: there is no quality of the cloud's to keep")
        looked = columns["edge_usd"] if drafts else 0.0
        return cls(
            known,
            columns["signal_scores"],
            columns["edge_quality"],
            columns["cloud_quality"],
            columns["edge_usd"],
            columns["cloud_usd"],
            columns["edge_usd"] + columns["signal_usd"],
            columns["cloud_usd"] + columns["signal_usd"] + looked,
        )

    def part(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> _Table:
        return _Table(*(getattr(self, name)[rows] for name in self.__slots__))

    def asked(self, rule: _Rule) -> NDArray[np.bool_]:
        asked: NDArray[np.bool_] = (rule.low <= self.scores) & (self.scores < rule.high)
        return asked

    def sent(self, rule: _Rule) -> NDArray[np.bool_]:
        return np.where(self.asked(rule), self.signal >= rule.cut, self.scores >= rule.high)

    def quality(self, rule: _Rule) -> FloatArray:
        return np.where(self.sent(rule), self.cloud, self.edge)

    def usd(self, rule: _Rule) -> FloatArray:
        sent = self.sent(rule)
        paid = np.where(sent, self.asked_cloud_usd, self.asked_edge_usd)
        return np.where(self.asked(rule), paid, np.where(sent, self.cloud_usd, self.edge_usd))


def _held_out(groups: Sequence[Hashable] | None, n: int, seed: int) -> NDArray[np.bool_]:
    if groups is not None and len(groups) != n:
        raise ConfigurationError(f"{len(groups)} groups for {n} questions: expected one for each")
    numbers: dict[Hashable, int] = {}
    member = [numbers.setdefault(group, len(numbers)) for group in (range(n) if groups is None else groups)]
    side = np.random.default_rng(seed).permutation(len(numbers)) < len(numbers) / 2
    test: NDArray[np.bool_] = side[member]
    if min(test.sum(), n - test.sum()) < _FEWEST // 2:
        raise ConfigurationError(
            f"{n - test.sum()} questions to fit on and {test.sum()} held out: expected at least "
            f"{_FEWEST // 2} of each, better hundreds"
        )
    return test


def _cuts(values: FloatArray) -> FloatArray:
    """Return cuts between scores, one for each step of the grid, rising, within (0, 1)."""
    known = np.sort(values)
    steps = min(_STEPS, max(2, len(known) // _PER_STEP))
    at = np.unique(np.linspace(0, len(known), steps + 1).astype(int)[1:-1])
    between = (known[at - 1] + known[at]) / 2
    rounded = np.unique(between.round(_CUT_DIGITS))
    return rounded[(rounded > 0) & (rounded < 1)]


def _cheapest_trained(table: _Table, keep: float) -> _Rule:
    cuts = (0.0, *_cuts(table.scores).tolist(), NOTHING_TO_CLOUD)
    return _cheapest(table, [_Rule(cut, cut, 0.0) for cut in cuts], keep)


def _cheapest_signal(table: _Table, keep: float) -> _Rule:
    cuts = (0.0, *_cuts(table.signal).tolist(), 1.0, NOTHING_TO_CLOUD)
    return _cheapest(table, [_Rule(0.0, NOTHING_TO_CLOUD, cut) for cut in cuts], keep)


def _cheapest(table: _Table, rules: list[_Rule], keep: float) -> _Rule:
    """Return the cheapest rule that keeps the quality; sending everything to the cloud is among `rules`."""
    enough = keep * table.cloud.sum() - 1e-9
    return min(
        (rule for rule in rules if table.quality(rule).sum() >= enough),
        key=lambda rule: table.usd(rule).sum(),
    )


def _cheapest_cascade(table: _Table, keep: float) -> _Rule:
    order = np.argsort(table.scores, kind="stable")
    ranked = table.part(order)
    edges = np.array([0.0, *_cuts(table.scores), 1.0])
    at = np.searchsorted(ranked.scores, edges)
    cuts = np.array([*_cuts(table.signal), 1.0])
    up = ranked.signal >= cuts[:, None]

    def totals(edge: FloatArray, asked: FloatArray, cloud: FloatArray) -> FloatArray:
        """Return the sum over all questions for every (cut, low, high), shape [c, k, k]."""
        inside, below, above = (_before(values, at) for values in (asked, edge, cloud))
        rest = cloud.sum() - above
        sums: FloatArray = inside[:, None, :] - inside[:, :, None] + below[:, None] + rest[None, :]
        return sums

    quality = totals(ranked.edge, np.where(up, ranked.cloud, ranked.edge), ranked.cloud)
    usd = totals(
        ranked.edge_usd, np.where(up, ranked.asked_cloud_usd, ranked.asked_edge_usd), ranked.cloud_usd
    )
    low, high = np.arange(len(edges))[:, None], np.arange(len(edges))[None, :]
    usd[~((quality >= keep * table.cloud.sum() - 1e-9) & (low < high))] = np.inf
    cut, first, last = np.unravel_index(int(np.argmin(usd)), usd.shape)
    if not np.isfinite(usd[cut, first, last]):
        return _cheapest_trained(table, keep)
    return _Rule.placed(float(edges[first]), float(edges[last]), float(cuts[cut]))


def _before(values: FloatArray, at: NDArray[np.intp]) -> FloatArray:
    """Return the sums of the first `at` values along the last axis."""
    sums = np.cumsum(values, axis=-1)
    before: FloatArray = np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums], axis=-1)[..., at]
    return before


def _policy(rule: _Rule, best: _Rule, fitting: _Table, telling: _Table, seed: int) -> Policy:
    ones = np.ones(len(telling.scores))
    usd, quality = 1000 * telling.usd(rule), telling.quality(rule)
    return Policy(
        router=rule.router,
        band=(rule.low, rule.high) if rule.router == "cascade" else None,
        threshold=rule.threshold,
        usd_per_1000=_ratio(usd, ones, seed),
        quality=_ratio(quality, ones, seed),
        kept=_ratio(quality, telling.cloud, seed),
        cloud_share=_ratio(telling.sent(rule).astype(float), ones, seed),
        asked=_ratio(telling.asked(rule).astype(float), ones, seed),
        dearer=None if rule == best else _ratio(usd - 1000 * telling.usd(best), ones, seed),
        fitted_usd_per_1000=float(1000 * fitting.usd(rule).mean()),
        fitted_kept=float(fitting.quality(rule).sum() / fitting.cloud.sum()),
    )


def _ratio(part: FloatArray, whole: FloatArray, seed: int) -> Interval:
    """Return sum(part) / sum(whole) with its 95 % bootstrap interval."""
    counts = list(resampled_counts(len(part), _RESAMPLES, seed))
    parts, wholes = (np.concatenate([c @ values for c in counts]) for values in (part, whole))
    ratios = np.divide(parts, wholes, out=np.full(len(parts), np.nan), where=wholes > 0)
    return interval_of(float(part.sum() / whole.sum()) if whole.sum() > 0 else math.nan, ratios, len(part))
