"""When to stop drawing samples: as soon as the rest cannot change the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from confroute.decision import Route

CLOSE = 1e-9  # closer to the threshold than this, rounding could decide: read as not settled


def reachable(masses: Sequence[float], remaining: int, *, weighted: bool) -> tuple[float, float]:
    """Return the least and the greatest entropy that further samples can lead to, in nats. Both are tight.

    Let w be the cluster masses so far, W their sum, H their entropy, and r samples remain, of mass 1 each
    (discrete) or of any mass in [0, 1] (likelihood: exp of a mean token log-probability). Entropy is
    Schur-concave in the normalised masses.

    *Least:* all r join the largest cluster with mass 1. Mass moved from any cluster to the largest one gives
    a vector that majorises the old one, hence lowers entropy; and so does more mass there, since
    (w₁ + t, w₂, …) / (W + t) majorises itself at any smaller t.

    *Greatest:* all r open clusters of their own with one mass t. A sample that joins a cluster of mass w is
    majorised by none that opens one, (w + t, 0) ≻ (w, t); and among new masses of one sum, equal ones are
    majorised by all others. Discrete: t = 1. Likelihood: dH/dt has the sign of Σ w log w − W log t, so H
    rises up to t* = W exp(−H) and falls beyond: t = min(1, t*).

    Args:
        masses: Cluster masses so far, in the units of one sample, shape [k].
        remaining: Number of samples still to come.
        weighted: Whether further masses may be anything in [0, 1]; else they are 1.

    Returns:
        ``(least, greatest)``.
    """
    *others, largest = sorted(masses) or [0.0]
    added = 1.0
    if weighted and (total := sum(masses)) > 0:
        added = min(1.0, total * math.exp(-_entropy(masses)))
    return _entropy([*others, largest + remaining]), _entropy([*masses, *[added] * remaining])


@dataclass(frozen=True, slots=True)
class SureStopping:
    """Stops where the remaining samples cannot move the score across the threshold.

    Under the likelihood estimator this takes for granted that every further answer comes with its
    log-probability if all so far did.

    Attributes:
        n_samples: N, the most that is drawn.
        threshold: The cloud answers where H / log N is at least this.
    """

    n_samples: int
    threshold: float

    @property
    def first(self) -> int:
        """How many samples to draw first: the fewest before which no verdict can be reached."""
        return max(2, self._fewest([]))

    def missing(self, sizes: Sequence[int], masses: Sequence[float] | None = None) -> int | Route:
        """Return how many samples to draw next, or the verdict.

        Args:
            sizes: Number of samples in each cluster, shape [k].
            masses: Sum of the length-normalised probabilities in each cluster, shape [k], under the
                likelihood estimator; None under the discrete one, where each sample counts 1.

        Returns:
            The number of samples before which no verdict can be reached, or the route.
        """
        drawn = sum(sizes)
        known = sizes if masses is None else masses
        settled = self._settled(known, self.n_samples - drawn, weighted=masses is not None)
        if settled is not None and drawn >= 2:
            return settled
        return max(2 - drawn, self._fewest(sizes))

    def _settled(self, masses: Sequence[float], remaining: int, *, weighted: bool) -> Route | None:
        least, greatest = reachable(masses, remaining, weighted=weighted)
        scale = math.log(self.n_samples)
        if least / scale >= self.threshold + CLOSE:
            return "cloud"
        return "edge" if greatest / scale < self.threshold - CLOSE else None

    def _fewest(self, sizes: Sequence[int]) -> int:
        """Return the smallest draw that could settle it: all samples agreeing, or all differing."""
        remaining = self.n_samples - sum(sizes)
        largest, *others = sorted(sizes, reverse=True) or [0]
        for step in range(1, remaining):
            outcomes = ([largest + step, *others], [*sizes, *[1] * step])
            if any(self._settled(outcome, remaining - step, weighted=False) for outcome in outcomes):
                return step
        return remaining


def _entropy(masses: Sequence[float]) -> float:
    total = sum(masses)
    shares = [mass / total for mass in masses] if total > 0 else []
    return max(0.0, -sum(share * math.log(share) for share in shares if share > 0))
