"""How well a score tells two classes apart, and how well it is calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from confroute.errors import ConfigurationError
from confroute.evaluation.bootstrap import Interval, interval_of
from confroute.evaluation.ranking import FloatArray, area, column, cumulate, descending, resampled_counts


def auroc(
    scores: ArrayLike, positive: ArrayLike, *, n_resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Return the area under the ROC curve: P(a positive scores above a negative), ties by half.

    Args:
        scores: Shape [n].
        positive: Which questions are positive (such as "the edge is wrong"), shape [n].
        n_resamples: Number of bootstrap resamples.
        seed: Seed of the resamples.
        level: Confidence level.

    Returns:
        The area with its interval; NaN where only one class is present.

    Raises:
        ConfigurationError: If a column is not as described.
    """
    need = column(scores, "scores")
    truth = _binary(positive, len(need))
    order, ends = descending(need)
    ranked = truth[order]

    def areas(counts: FloatArray) -> FloatArray:
        hits = cumulate(counts * ranked, ends)
        misses = cumulate(counts * (1 - ranked), ends)
        possible = hits[:, -1] * misses[:, -1]
        return area(misses, hits) / np.where(possible > 0, possible, np.nan)

    estimate = float(areas(np.ones((1, len(need))))[0])
    draws = [areas(counts[:, order]) for counts in resampled_counts(len(need), n_resamples, seed)]
    return interval_of(estimate, np.concatenate(draws), len(need), level)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predicted against observed, in bins of equal width over [0, 1]; empty bins are left out.

    Attributes:
        predicted: Mean prediction of each bin, shape [k].
        observed: Observed rate of each bin, shape [k].
        count: Questions in each bin, shape [k].
    """

    predicted: FloatArray
    observed: FloatArray
    count: FloatArray

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |observed − predicted|, weighted by count."""
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.count))


def reliability(probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int = 15) -> Reliability:
    """Compare predicted probabilities with what happened.

    Args:
        probabilities: In [0, 1], shape [n].
        outcomes: What happened, 0 or 1, shape [n].
        bins: Number of bins of equal width.

    Raises:
        ConfigurationError: If a column or `bins` is not as described.
    """
    predicted = column(probabilities, "probabilities")
    happened = _binary(outcomes, len(predicted))
    if bins < 1:
        raise ConfigurationError(f"bins is {bins}: expected at least 1")
    if predicted.min() < 0 or predicted.max() > 1:
        raise ConfigurationError(
            f"probabilities span {predicted.min():g} to {predicted.max():g}: expected numbers in [0, 1]"
        )
    which = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    count = np.bincount(which, minlength=bins).astype(np.float64)
    filled = count > 0

    def means(values: FloatArray) -> FloatArray:
        sums = np.bincount(which, weights=values, minlength=bins).astype(np.float64)
        return sums[filled] / count[filled]

    return Reliability(means(predicted), means(happened), count[filled])


def _binary(values: ArrayLike, n: int) -> FloatArray:
    array = column(values, "outcomes", n)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ConfigurationError("outcomes hold other numbers than 0 and 1: expected one class or the other")
    return array
