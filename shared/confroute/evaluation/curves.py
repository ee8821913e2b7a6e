"""Routing curves: what quality, at which share of calls to the cloud, for every threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from confroute.errors import ConfigurationError
from confroute.evaluation.ranking import (
    FloatArray,
    area,
    column,
    cumulate,
    descending,
    first_crossing,
)

NO_GAP = 1e-12
"""A mean gap between cloud and edge of at most this is no gap: nothing can be recovered of it."""


@dataclass(frozen=True)
class Costs:
    """What each question costs, in US dollars, shape [n] each.

    Attributes:
        edge: Spent where the edge answers, with whatever was spent to decide (drafts, self-checks, samples).
        cloud: Spent where the cloud answers, with whatever was spent to decide and the discarded draft.
        all_cloud: Spent by asking the cloud at once, without any router: what a saving is measured against.
    """

    edge: FloatArray
    cloud: FloatArray
    all_cloud: FloatArray

    @classmethod
    def of(cls, edge: ArrayLike, cloud: ArrayLike, all_cloud: ArrayLike | None = None) -> Costs:
        """Check and hold costs; `all_cloud` is `cloud` unless told otherwise.

        Raises:
            ConfigurationError: If the columns are not finite, not of one length, or cost nothing at all.
        """
        paid = column(edge, "edge_cost")
        strong = column(cloud, "cloud_cost", len(paid))
        reference = strong if all_cloud is None else column(all_cloud, "all_cloud_cost", len(paid))
        if not reference.sum() > 0:
            raise ConfigurationError(
                "the cloud's costs add up to 0: expected US dollars per question; leave costs out where "
                "prices are unknown"
            )
        return cls(paid, strong, reference)


def all_alike(gains: FloatArray) -> bool:
    """Whether every question gains the same from the cloud, so that no order of them is better."""
    return bool(np.ptp(gains) <= NO_GAP)


@dataclass(frozen=True)
class RoutingCurve:
    """Quality against cloud share for every threshold that a router's scores allow.

    Point i is the rule "cloud where ``score >= thresholds[i]``". Between two points the curve is straight:
    within a block of tied scores, that is the expectation over random picks from the block. Hence a constant
    score is the random router, exactly. With q(0) the edge's and q(1) the cloud's mean quality (RouteLLM
    Eqs. 6 to 8): PGR(share) = (q(share) − q(0)) / (q(1) − q(0)); APGR is the exact area under PGR, not the
    literature's ten-point mean; CPT(x) is the smallest share with PGR >= x.

    Where the cloud is no better than the edge there is no gap to recover, and where every question gains the
    same from the cloud no router differs from chance: `apgr`, `cpt` and `pgr` are NaN, and `undefined` says
    why.

    Attributes:
        n: Number of questions.
        thresholds: Falling, from infinity (nothing to the cloud), shape [m + 1] for m distinct scores.
        share: Cloud share at each threshold, rising from 0 to 1, shape [m + 1].
        quality: Mean quality at each threshold, shape [m + 1].
        cost: Mean US dollars per question at each threshold, shape [m + 1]; None where unknown.
        all_cloud_cost: Mean US dollars per question without a router; None where unknown.
        gains_alike: Whether every question gains the same from the cloud.
    """

    n: int
    thresholds: FloatArray
    share: FloatArray
    quality: FloatArray
    cost: FloatArray | None = None
    all_cloud_cost: float | None = None
    gains_alike: bool = False

    @classmethod
    def from_scores(
        cls,
        scores: ArrayLike,
        edge_quality: ArrayLike,
        cloud_quality: ArrayLike,
        *,
        costs: Costs | None = None,
    ) -> RoutingCurve:
        """Draw the curve of a router.

        Args:
            scores: "The cloud is needed", one per question, shape [n]; only their order counts.
            edge_quality: Quality of the edge's answers (right or wrong, or a grade), shape [n].
            cloud_quality: Quality of the cloud's answers, shape [n].
            costs: What each question costs; optional.

        Raises:
            ConfigurationError: If a column is empty, not finite or of another length.
        """
        need = column(scores, "scores")
        n = len(need)
        edge = column(edge_quality, "edge_quality", n)
        cloud = column(cloud_quality, "cloud_quality", n)
        order, ends = descending(need)

        def at_thresholds(base: FloatArray, other: FloatArray) -> FloatArray:
            change = cumulate((other - base)[None, order], ends)[0]
            mean: FloatArray = base.mean() + change / n
            mean[-1] = other.mean()
            return mean

        cost = None
        if costs is not None:
            column(costs.edge, "edge_cost", n)
            cost = at_thresholds(costs.edge, costs.cloud)
        return cls(
            n=n,
            thresholds=np.append(np.inf, need[order][ends]),
            share=np.append(0.0, (ends + 1) / n),
            quality=at_thresholds(edge, cloud),
            cost=cost,
            all_cloud_cost=None if costs is None else float(costs.all_cloud.mean()),
            gains_alike=all_alike(cloud - edge),
        )

    @property
    def gap(self) -> float:
        """The cloud's mean quality minus the edge's."""
        return float(self.quality[-1] - self.quality[0])

    @property
    def undefined(self) -> str | None:
        """Why PGR, APGR and CPT are undefined; None where they are defined."""
        if self.gap > NO_GAP:
            if not self.gains_alike:
                return None
            return (
                f"each of these {self.n} questions gains the same from the cloud, so it does not matter "
                "which ones are sent there"
            )
        return (
            f"the cloud (mean quality {self.quality[-1]:.4f}) is no better than the edge "
            f"({self.quality[0]:.4f}) on these {self.n} questions, so there is no gap to recover"
        )

    @property
    def apgr(self) -> float:
        """Area under PGR over the cloud share; NaN where `undefined`."""
        if self.undefined:
            return float("nan")
        gained = area(self.share[None], self.quality[None] - self.quality[0])
        return float(gained[0] / self.gap)

    def pgr(self, share: float) -> float:
        """Return the part of the gap recovered at a cloud share in [0, 1]; NaN where `undefined`.

        Below 0 where the router sends the wrong questions, above 1 where it beats the cloud alone.

        Raises:
            ConfigurationError: If the share is outside [0, 1].
        """
        if not 0 <= share <= 1:
            raise ConfigurationError(f"share is {share}: expected a fraction of calls between 0 and 1")
        if self.undefined:
            return float("nan")
        return float((np.interp(share, self.share, self.quality) - self.quality[0]) / self.gap)

    def cpt(self, recovered: float) -> float:
        """Return the smallest cloud share that recovers a part of the gap; NaN where `undefined`.

        A curve need not be monotone; this is its first crossing, see `dips_after`.

        Args:
            recovered: Part of the gap, in (0, 1]: 0.5 for CPT(50 %).

        Raises:
            ConfigurationError: If `recovered` is outside (0, 1].
        """
        target = self._target(recovered)
        return float("nan") if self.undefined else self.share_reaching(target)

    def dips_after(self, recovered: float) -> bool:
        """Tell whether the curve falls below the target again after `cpt` has first reached it."""
        share = self.cpt(recovered)
        target = self._target(recovered)
        return bool((self.quality[self.share > share] < target - NO_GAP).any())

    def share_reaching(self, quality: float) -> float:
        """Return the smallest cloud share whose mean quality reaches a value; NaN where none does."""
        # At share 1 the target may be the curve's own end: rounding must not hide that it is reached.
        crossing = first_crossing(self.share[None], self.quality[None], np.array([quality - NO_GAP]))
        return float(crossing[0])

    def cost_reaching(self, quality: float) -> float:
        """Return the mean US dollars per question at `share_reaching`; NaN where no share reaches it.

        Raises:
            ConfigurationError: If the curve was drawn without costs.
        """
        if self.cost is None:
            raise ConfigurationError("the curve has no costs: pass costs=Costs.of(...) to from_scores")
        return float(np.interp(self.share_reaching(quality), self.share, self.cost))

    def saving(self, kept: float) -> float:
        """Return the part of the all-cloud bill saved at the smallest share that keeps a quality.

        Args:
            kept: Part of the cloud's own mean quality to keep: 0.95 for "95 % of the cloud's quality".

        Returns:
            1 − cost / all-cloud cost; negative where deciding costs more than it saves, NaN where the quality
            is never reached.

        Raises:
            ConfigurationError: If the curve was drawn without costs.
        """
        paid = self.cost_reaching(kept * float(self.quality[-1]))
        return 1 - paid / (self.all_cloud_cost or float("nan"))

    def _target(self, recovered: float) -> float:
        if not 0 < recovered <= 1:
            raise ConfigurationError(
                f"recovered is {recovered}: expected a part of the gap in (0, 1], such as 0.5 for CPT(50 %)"
            )
        return float(self.quality[0] + recovered * self.gap)
