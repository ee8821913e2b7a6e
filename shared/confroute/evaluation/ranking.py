"""Array kernels behind curves, AUROC and bootstraps: order by score, cumulate over tied blocks, resample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from confroute.errors import ConfigurationError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CHUNK_CELLS = 500_000
"""Resampled questions held in memory at once, times eight bytes and a few working copies."""


def column(values: ArrayLike, name: str, n: int | None = None) -> FloatArray:
    """Return a checked column of numbers.

    Args:
        values: One number (or boolean) per question.
        name: What they are, for the error.
        n: Number of questions expected; any if None.

    Returns:
        Float array of shape [n].

    Raises:
        ConfigurationError: If it is empty, not one-dimensional, of another length or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ConfigurationError(
            f"{name} has shape {array.shape}: expected one number per question, shape [n] with n >= 1"
        )
    if n is not None and len(array) != n:
        raise ConfigurationError(
            f"{name} holds {len(array)} numbers where {n} questions are evaluated: expected one per "
            "question, in the same order"
        )
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ConfigurationError(
            f"{name}[{bad}] is {array[bad]}: expected finite numbers; drop the questions where it is unknown"
        )
    return array


def descending(scores: FloatArray) -> tuple[IntArray, IntArray]:
    """Order questions by falling score.

    Args:
        scores: Shape [n].

    Returns:
        The order, shape [n], and the last position of every block of equal scores in it, shape [m].
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return order, ends


def cumulate(values: FloatArray, ends: IntArray) -> FloatArray:
    """Cumulate along ranked questions and keep the sums at the ends of tied blocks.

    Args:
        values: Shape [b, n]: b resamples of n ranked questions.
        ends: Last position of each tied block, shape [m].

    Returns:
        Shape [b, m + 1], starting with 0.
    """
    sums = np.cumsum(values, axis=1)[:, ends]
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)


def area(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the area under piecewise linear curves, shapes [b, m] and [b, m] to [b]."""
    trapezoids: FloatArray = (np.diff(x, axis=1) * (y[:, 1:] + y[:, :-1]) / 2).sum(axis=1)
    return trapezoids


def first_crossing(x: FloatArray, y: FloatArray, target: FloatArray) -> FloatArray:
    """Return where piecewise linear curves first reach a target.

    Args:
        x: Rising abscissae, shape [b, m].
        y: Ordinates, shape [b, m]; need not be monotone.
        target: Shape [b].

    Returns:
        Shape [b]; NaN where the target is never reached.
    """
    reached = y >= target[:, None]
    at = reached.argmax(axis=1)
    rows = np.arange(len(y))
    before = np.maximum(at - 1, 0)
    rise = y[rows, at] - y[rows, before]
    part = np.where(rise > 0, (target - y[rows, before]) / np.where(rise > 0, rise, 1.0), 0.0)
    crossing = x[rows, before] + part * (x[rows, at] - x[rows, before])
    return np.where(reached.any(axis=1), crossing, np.nan)


def resampled_counts(n: int, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Draw bootstrap resamples as counts: how often each question was drawn.

    Args:
        n: Number of questions.
        n_resamples: Number of resamples.
        seed: Seed; the same seed gives the same resamples, which is what pairs two routers.

    Yields:
        Counts of shape [b, n], each row summing to n, until `n_resamples` rows were drawn.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_CELLS // n)
    for start in range(0, n_resamples, rows):
        b = min(rows, n_resamples - start)
        drawn = rng.integers(0, n, size=(b, n)) + np.arange(b)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)
