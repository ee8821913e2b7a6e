"""When to stop drawing samples: as soon as the rest cannot, or hardly can, change the verdict.

Two rules. `SureStopping` stops where no outcome of the remaining draws crosses the threshold. `RiskStopping`
stops sooner, with a bounded chance of another verdict than all N samples would have given.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from confroute.decision import Route
from confroute.errors import ConfigurationError

FloatArray = NDArray[np.float64]
Partition = tuple[int, ...]
"""Cluster sizes, largest first."""

MAX_SAMPLES = 20
"""`RiskStopping` walks all partitions of N: 627 at 20, 5,604 at 30."""

_CLOSE = 1e-9  # closer to the threshold than this, rounding could decide: read as not settled


class Stopping(Protocol):
    """Says after each draw how many samples are still needed."""

    def missing(self, sizes: Sequence[int], masses: Sequence[float] | None = None) -> int | Route:
        """Return how many samples to draw next, or the verdict.

        Args:
            sizes: Number of samples in each cluster, shape [k]; empty before the first draw.
            masses: Sum of the length-normalised probabilities in each cluster, shape [k], under the
                likelihood estimator; None under the discrete one, where each sample counts 1.

        Returns:
            The number of samples before which no verdict can be reached, or the route.
        """
        ...


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

    def missing(self, sizes: Sequence[int], masses: Sequence[float] | None = None) -> int | Route:
        """Return how many samples to draw next, or the verdict; see `Stopping`."""
        drawn = sum(sizes)
        known = sizes if masses is None else masses
        settled = self._settled(known, self.n_samples - drawn, weighted=masses is not None)
        if settled is not None and drawn >= 2:
            return settled
        return max(2 - drawn, self._fewest(sizes))

    def _settled(self, masses: Sequence[float], remaining: int, *, weighted: bool) -> Route | None:
        least, greatest = reachable(masses, remaining, weighted=weighted)
        scale = math.log(self.n_samples)
        if least / scale >= self.threshold + _CLOSE:
            return "cloud"
        return "edge" if greatest / scale < self.threshold - _CLOSE else None

    def _fewest(self, sizes: Sequence[int]) -> int:
        """Return the smallest draw that could settle it: all samples agreeing, or all differing."""
        remaining = self.n_samples - sum(sizes)
        largest, *others = sorted(sizes, reverse=True) or [0]
        for step in range(1, remaining):
            outcomes = ([largest + step, *others], [*sizes, *[1] * step])
            if any(self._settled(outcome, remaining - step, weighted=False) for outcome in outcomes):
                return step
        return remaining


@dataclass(frozen=True)
class RiskStopping:
    """Stops where another verdict than that of all N samples has at most a stated chance. Discrete only.

    The samples of one question are exchangeable: given the cluster sizes f of all N, the first n are a simple
    random draw without replacement from them, whatever the model and the question. So the chance that the
    rule stops with a verdict other than f's is a sum of hypergeometric terms that no model of the answers
    enters. The rule is a table of cluster sizes at which it stops, filled from the smallest n on; a state is
    let in only while, **for every f**, the chance of having stopped with the other verdict stays within
    `risk`. Thus P(verdict differs | f) <= risk for every f, hence for every question and over all of them.

    How the chance is computed: read backwards, the sizes are a Markov chain that does not know f (take one of
    the n samples away at random). With U(f, c) = P(sizes c after n | f), a product of these steps, and a(c) =
    P(no earlier stop | c), the state c adds U(f, c) · a(c) to the chance of every f of the other verdict.

    Attributes:
        n_samples: N, the most that is drawn; at most `MAX_SAMPLES`.
        threshold: The cloud answers where H / log N is at least this.
        risk: The largest chance of a different verdict, in (0, 0.5).
    """

    n_samples: int
    threshold: float
    risk: float

    def __post_init__(self) -> None:
        if self.n_samples > MAX_SAMPLES:
            raise ConfigurationError(
                f"n_samples is {self.n_samples}: early_stop_risk works with up to {MAX_SAMPLES} samples; "
                "draw fewer, or leave early_stop_risk out"
            )

    def missing(self, sizes: Sequence[int], masses: Sequence[float] | None = None) -> int | Route:
        """Return how many samples to draw next, or the verdict; see `Stopping`."""
        state = tuple(sorted(sizes, reverse=True))
        return self.stops.get(state) or self._distances[state]

    @cached_property
    def stops(self) -> dict[Partition, Route]:
        """The cluster sizes at which to stop, and the verdict there."""
        return _stops(self.n_samples, self.threshold, self.risk)

    @cached_property
    def _distances(self) -> dict[Partition, int]:
        """For each state the number of samples before which no stop can be reached."""
        distances: dict[Partition, int] = dict.fromkeys(partitions(self.n_samples), 0)
        for n in range(self.n_samples - 1, -1, -1):
            for state in partitions(n):
                nearest = min(distances[after] for after in _one_more(state))
                distances[state] = 0 if state in self.stops else 1 + nearest
        return distances


@lru_cache(maxsize=32)
def stopping(n_samples: int, threshold: float, risk: float = 0.0) -> Stopping:
    """Return the rule for up to `n_samples` samples: `SureStopping`, or above risk 0 `RiskStopping`."""
    return RiskStopping(n_samples, threshold, risk) if risk else SureStopping(n_samples, threshold)


def _stops(n_samples: int, threshold: float, risk: float) -> dict[Partition, Route]:
    full = partitions(n_samples)
    scores = np.array([_entropy(f) for f in full]) / math.log(n_samples)
    misled: dict[Route, NDArray[np.bool_]] = {
        "edge": scores >= threshold - _CLOSE,
        "cloud": scores < threshold + _CLOSE,
    }
    chance = np.zeros(len(full))  # of having stopped with the other verdict, by f
    reached = _reached(n_samples)
    unstopped: dict[Partition, float] = {(1,): 1.0}
    stops: dict[Partition, Route] = {}
    for n in range(2, n_samples):
        states = partitions(n)
        unstopped = {
            state: sum(p * unstopped[before] for before, p in _one_less(state) if before not in stops)
            for state in states
        }
        added = reached[n] * np.array([unstopped[state] for state in states])
        worst: list[tuple[float, int, Route]] = [
            (float(added[wrong, i].max(initial=0.0)), i, route)
            for i in range(len(states))
            for route, wrong in misled.items()
        ]
        for _, i, route in sorted(worst):
            after = np.where(misled[route], chance + added[:, i], 0.0)
            if states[i] not in stops and after.max() <= risk:
                stops[states[i]] = route
                chance = np.maximum(chance, after)
    return stops


def _reached(n_samples: int) -> dict[int, FloatArray]:
    """Return P(sizes after n | sizes after N) for each n: arrays of shape [partitions of N, of n]."""
    reached = {n_samples: np.eye(len(partitions(n_samples)))}
    for n in range(n_samples, 2, -1):
        column_of = {state: i for i, state in enumerate(partitions(n - 1))}
        step = np.zeros((len(partitions(n)), len(column_of)))
        for row, state in enumerate(partitions(n)):
            for before, p in _one_less(state):
                step[row, column_of[before]] += p
        reached[n - 1] = reached[n] @ step
    return reached


@lru_cache(maxsize=MAX_SAMPLES + 1)
def partitions(n: int) -> tuple[Partition, ...]:
    """Return the partitions of n: all ways to deal n samples into clusters, sizes falling."""

    def of(rest: int, largest: int) -> Iterator[Partition]:
        if rest == 0:
            yield ()
        for first in range(min(rest, largest), 0, -1):
            for others in of(rest - first, first):
                yield (first, *others)

    return tuple(of(n, n))


def _one_less(state: Partition) -> list[tuple[Partition, float]]:
    """Return the sizes without one sample taken at random, and their chances."""
    n = sum(state)
    return [(_with(state, size, -1), size * times / n) for size, times in Counter(state).items()]


def _one_more(state: Partition) -> list[Partition]:
    return [_with(state, size, 1) for size in {*state, 0}]


def _with(state: Partition, size: int, change: int) -> Partition:
    sizes = list(state)
    if size:
        sizes.remove(size)
    return tuple(sorted((s for s in (*sizes, size + change) if s), reverse=True))


def _entropy(masses: Sequence[float]) -> float:
    total = sum(masses)
    shares = [mass / total for mass in masses] if total > 0 else []
    return max(0.0, -sum(share * math.log(share) for share in shares if share > 0))
