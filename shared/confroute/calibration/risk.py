"""A threshold that keeps a promise: Clopper-Pearson bounds, tested in a fixed sequence.

Thresholds are tested from careful to bold, and testing stops at the first that fails. The first threshold
whose true risk is above α is passed with a chance of at most δ, and no later one is reached unless it was:
so the promise "of the questions kept on the edge at most α are wrong" is broken in at most δ of all
calibrations. Picking the best of all thresholds that pass on their own has no such guarantee.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from confroute.errors import ConfigurationError, require
from confroute.evaluation import Interval
from confroute.evaluation.ranking import FloatArray, column
from confroute.routers.threshold import NOTHING_TO_CLOUD

GRID_POINTS = 25

START = 4
"""The first threshold keeps this many times as many questions as pass with no error among them.

With fewer it fails by chance on an edge that is good enough, with more on one that is good only where it is
surest; 4 passed about as often as any on simulated edges of several kinds with 300 to 1,500 questions.
"""


def clopper_pearson_upper(wrong: ArrayLike, kept: ArrayLike, confidence: float) -> FloatArray:
    """Return the one-sided Clopper-Pearson upper bound of a proportion.

    Args:
        wrong: Number of errors, any shape.
        kept: Number of questions, of the same shape; where it is 0 the bound is 1.
        confidence: 1 − δ.

    Returns:
        The bound, exact at the stated confidence or conservative; of the same shape.

    Raises:
        MissingExtraError: If SciPy is not installed.
    """
    require("scipy", extra="train", purpose="A risk bound")
    from scipy.stats import beta  # type: ignore[import-untyped]  # SciPy ships no types

    k, n = np.asarray(wrong, dtype=np.float64), np.asarray(kept, dtype=np.float64)
    open_ended = k >= n
    bound: FloatArray = np.where(
        open_ended, 1.0, beta.ppf(confidence, k + 1, np.where(open_ended, 1.0, n - k))
    )
    return bound


def least_kept(alpha: float, confidence: float) -> int:
    """Return how many questions without any error prove a risk of at most α: ⌈ln δ / ln(1 − α)⌉."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - alpha))


def risk_grid(
    reference_scores: ArrayLike, n_tested: int, *, alpha: float, confidence: float, points: int = GRID_POINTS
) -> FloatArray:
    """Place the thresholds to be tested, from scores that test nothing.

    The first is expected to keep `START` times as many questions as `least_kept` needs; the last keeps all;
    between them, the shares kept are evenly spaced. Tied scores let several fall together.

    Args:
        reference_scores: Scores of other questions than those tested, shape [m].
        n_tested: Number of questions that the thresholds will be tested on.
        alpha: The risk allowed.
        confidence: 1 − δ.
        points: Number of thresholds, at most.

    Returns:
        Rising thresholds, shape [k]; empty where the questions are too few for any promise.
    """
    reference = column(reference_scores, "reference_scores")
    first = START * least_kept(alpha, confidence) / max(1, n_tested)
    if first > 1:
        return np.zeros(0)
    values, counts = np.unique(reference, return_counts=True)
    cuts = np.append((values[1:] + values[:-1]) / 2, NOTHING_TO_CLOUD)  # cut i keeps values[: i + 1]
    below = np.cumsum(counts) / len(reference)
    wanted = np.linspace(first, 1.0, points)
    return np.unique(cuts[np.searchsorted(below, wanted - 1e-12).clip(max=len(cuts) - 1)])


def fixed_sequence(
    scores: ArrayLike, wrong: ArrayLike, grid: ArrayLike, *, alpha: float, confidence: float
) -> tuple[int, NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Test thresholds in order, and stop at the first that fails.

    Args:
        scores: Shape [n], or [b, n] for b calibration sets at once.
        wrong: Whether the edge's answer is wrong, 0 or 1, of the same shape.
        grid: Thresholds from careful to bold, shape [k].
        alpha: The risk allowed.
        confidence: 1 − δ.

    Returns:
        How many thresholds passed (an int, or shape [b]); and for each threshold how many questions it
        keeps, how many of these are wrong, and the bound, shape [k] or [b, k].
    """
    edges = np.asarray(grid, dtype=np.float64)
    kept_by = np.asarray(scores)[..., None] < edges
    kept = kept_by.sum(axis=-2)
    errors = (kept_by & (np.asarray(wrong)[..., None] > 0)).sum(axis=-2)
    bound = clopper_pearson_upper(errors, kept, confidence)
    passed = np.cumprod(bound <= alpha, axis=-1).sum(axis=-1)
    return passed, kept, errors, bound


def share_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return a share with its Wilson score interval, which stays in [0, 1] and is not empty at the ends."""
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = successes / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half), n, level)


def check_risk(alpha: float, confidence: float) -> None:
    """Refuse a promise that is none.

    Raises:
        ConfigurationError: If α or the confidence is outside (0, 1).
    """
    if not 0 < alpha < 1 or not 0 < confidence < 1:
        raise ConfigurationError(
            f"risk is {alpha} at confidence {confidence}: expected both between 0 and 1, such as 0.1 at 0.9"
        )
