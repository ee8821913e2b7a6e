"""Means with intervals, and p-values that know how many of them there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from confroute.evaluation.bootstrap import Interval, interval_of
from confroute.evaluation.ranking import FloatArray, column, resampled_counts


def resampled_means(columns: ArrayLike, *, n_resamples: int = 1000, seed: int = 0) -> FloatArray:
    """Return the means of columns on resamples of their rows.

    Args:
        columns: Shape [n, k].
        n_resamples: Number of resamples b.
        seed: Seed of the resamples.

    Returns:
        Shape [b, k].
    """
    values = np.asarray(columns, dtype=np.float64)
    return np.concatenate(
        [counts @ values / len(values) for counts in resampled_counts(len(values), n_resamples, seed)]
    )


def mean_interval(
    values: ArrayLike, *, n_resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Return the mean of one number per question, shape [n], with its bootstrap interval."""
    known = column(values, "values")
    draws = resampled_means(known[:, None], n_resamples=n_resamples, seed=seed)[:, 0]
    return interval_of(float(known.mean()), draws, len(known), level)


def wilson(rate: FloatArray, count: FloatArray, z: float = 1.96) -> tuple[FloatArray, FloatArray]:
    """Return the ends of Wilson's intervals of observed rates.

    Args:
        rate: Observed rates, shape [k].
        count: Observations behind each, shape [k].
        z: Standard normal quantile; 1.96 for 95 %.
    """
    centre = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return np.minimum(centre - half, rate), np.maximum(centre + half, rate)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by Holm's step-down method; NaN stays NaN and is not counted.

    Rejecting those at most α keeps the chance of any false alarm among them at most α.
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    adjusted = p.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
