"""Where a router cuts: one number, a number for each scale, or a dial that holds a share of cloud calls."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from confroute.errors import ConfigurationError

FloatArray = NDArray[np.float64]

DEFAULT_THRESHOLD = 0.5
NOTHING_TO_CLOUD = 1.01
"""A threshold above every score."""
HIGHEST_THRESHOLD = 2
"""Anything above is no threshold, and may be a percentage."""

_FEWEST = 20  # scores of a scale from which its quantile rules
_NARROW = 1e-6  # an interval of less is one score
_CLOSE = 1e-9


class CloudShare:
    """A threshold that sends about a given share of the questions to the cloud, and needs no data.

    It is the quantile of the scores seen last, for each scale by itself: the name in
    ``RouteDecision.router``. A question is held against the threshold that stood before its own score was
    noted. Until 20 scores of a scale were seen, the router's default threshold rules, and the share is
    whatever that gives.

    Where a router stops drawing once its verdict is settled, the score is known as an interval only; its
    weight is spread evenly over the interval. Since such an interval lies on one side of the threshold that
    settled it, the share at that threshold is counted right however the weight is spread, so that the
    threshold comes to rest where the share is the one asked for. Where scores are tied, the share may be
    out of reach; of the two thresholds around the tied value the one with the closer share is taken.

    It holds the share of calls, not the quality of answers: where questions become harder, more of the hard
    ones stay on the edge. Safe to share among threads; a copy or a pickle takes the scores seen with it.

    Args:
        share: Part of the questions to send to the cloud, in [0, 1]; 0 sends none, 1 all.
        window: How many scores of each scale are kept; at least 20.
        warm_start: Scores seen earlier, in [0, 1], as a sequence (for whatever scale is asked) or as a
            mapping from scale to such a sequence. A scale with any has its quantile rule at once.

    Attributes:
        share: The share.
        window: The window.

    Raises:
        ConfigurationError: If an argument is out of its range.

    Example:
        ```python
        router = ConfidenceRouter(probe="brief", threshold=CloudShare(0.3))
        ```
    """

    def __init__(
        self,
        share: float,
        *,
        window: int = 500,
        warm_start: Sequence[float] | Mapping[str, Sequence[float]] = (),
    ) -> None:
        if not _is_number(share) or not 0 <= share <= 1:
            raise ConfigurationError(f"share is {share!r}: expected a fraction of calls between 0 and 1")
        if not _is_number(window) or not _FEWEST <= window < float("inf") or window != int(window):
            raise ConfigurationError(
                f"window is {window!r}: expected a whole number of at least {_FEWEST}, since fewer scores "
                "tell no quantile"
            )
        self.share = float(share)
        self.window = int(window)
        by_scale = warm_start if isinstance(warm_start, Mapping) else {}
        self._any_scale = _warm(() if isinstance(warm_start, Mapping) else warm_start)
        self._scales = {scale: _Window(self.window, _warm(scores)) for scale, scores in by_scale.items()}
        self._lock = threading.Lock()

    def at(self, scale: str, default: float) -> float:
        """Return the threshold that stands now.

        Args:
            scale: Name of the scale.
            default: What rules while too few scores were seen.
        """
        if self.share in (0, 1):
            return 0.0 if self.share else NOTHING_TO_CLOUD
        with self._lock:
            kept = self._kept(scale)
            return kept.threshold(self.share) if kept.may_rule else default

    def saw(self, scale: str, low: float, high: float) -> None:
        """Note a score.

        Args:
            scale: Name of its scale.
            low: The least that it can be.
            high: The most that it can be; equal to `low` where it is known.

        Raises:
            ConfigurationError: Unless 0 <= low <= high <= 1.
        """
        if not 0 <= low <= high <= 1:
            raise ConfigurationError(
                f"a score was seen in [{low}, {high}]: expected an interval within [0, 1]"
            )
        with self._lock:
            self._kept(scale).note(low, high)

    def _kept(self, scale: str) -> _Window:
        if scale not in self._scales:
            self._scales[scale] = _Window(self.window, self._any_scale)
        return self._scales[scale]

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            scales = {scale: kept.copy() for scale, kept in self._scales.items()}
        return {key: value for key, value in vars(self).items() if key != "_lock"} | {"_scales": scales}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        return f"CloudShare({self.share:g}, window={self.window})"


Threshold = float | Mapping[str, float] | CloudShare
"""A number for every scale, a number by the name of the scale, or a share of cloud calls to hold."""


def check_threshold(threshold: Threshold, scales: str = ".+", such_as: str = "") -> Threshold:
    """Return the threshold.

    Args:
        threshold: What a router was given.
        scales: What the names of the router's scales match, as a regular expression.
        such_as: One of these names.

    Raises:
        ConfigurationError: If it is neither a number from 0 to 2, nor a mapping from scale to such
            numbers, nor a `CloudShare`; or if it names a scale that the router does not have.
    """
    if isinstance(threshold, CloudShare):
        return threshold
    if isinstance(threshold, Mapping):
        unknown = [scale for scale in threshold if not re.fullmatch(scales, str(scale))]
        if unknown:
            raise ConfigurationError(
                f"threshold names the scale {unknown[0]!r}, which this router does not have: expected names "
                f"such as {such_as!r}, as decisions tell them in router.name"
            )
        return {scale: _checked(value, f"threshold of {scale!r}") for scale, value in threshold.items()}
    return _checked(threshold, "threshold")


def threshold_at(threshold: Threshold, scale: str, default: float, kind: str = "") -> float:
    """Return the number that rules a scale now.

    Args:
        threshold: What a router was given.
        scale: Name of the scale.
        default: What rules where a mapping does not name the scale, or a dial has seen too few scores.
        kind: The kind of the scale, which a mapping may name in its place.
    """
    if isinstance(threshold, CloudShare):
        return threshold.at(scale, default)
    if isinstance(threshold, Mapping):
        return threshold.get(scale, threshold.get(kind, default))
    return threshold


def note_score(threshold: Threshold, scale: str, low: float, high: float) -> None:
    """Tell a dial what score was seen, as the interval in which it lies; nothing else is told."""
    if isinstance(threshold, CloudShare):
        threshold.saw(scale, low, high)


def plain_threshold(threshold: Threshold | None) -> float | dict[str, float] | str | None:
    """Return the threshold as plain JSON data; a dial as what it was made from."""
    if isinstance(threshold, CloudShare):
        return repr(threshold)
    return dict(threshold) if isinstance(threshold, Mapping) else threshold


class _Window:
    """The scores of one scale seen last, as intervals."""

    def __init__(self, size: int, warm: FloatArray) -> None:
        kept = warm[-size:]
        self._low = np.zeros(size)
        self._low[: len(kept)] = kept
        self._high = self._low.copy()
        self._warm = len(kept) > 0
        self._seen = len(kept)
        self._threshold: float | None = None

    @property
    def may_rule(self) -> bool:
        return self._warm or self._seen >= _FEWEST

    def note(self, low: float, high: float) -> None:
        slot = self._seen % len(self._low)
        self._low[slot], self._high[slot] = low, high
        self._seen += 1
        self._threshold = None

    def threshold(self, share: float) -> float:
        if self._threshold is None:
            kept = min(self._seen, len(self._low))
            self._threshold = _upper_quantile(self._low[:kept], self._high[:kept], share)
        return self._threshold

    def copy(self) -> _Window:
        twin = _Window.__new__(_Window)
        vars(twin).update(vars(self), _low=self._low.copy(), _high=self._high.copy())
        return twin


def _upper_quantile(low: FloatArray, high: FloatArray, share: float) -> float:
    """Return the threshold at or above which the weight of n intervals is closest to a share in (0, 1)."""
    exact = high - low < _NARROW
    known = np.sort(low[exact])
    low, high = low[~exact], high[~exact]
    points = np.unique(np.concatenate([known, low, high]))
    spread = np.zeros(len(points))
    if len(low):
        density = 1 / (high - low)
        spread = _ramps(high, density, points) - _ramps(low, density, points)
    n = len(known) + len(low)
    reached = (len(known) - np.searchsorted(known, points, "left") + spread) / n
    passed = (len(known) - np.searchsorted(known, points, "right") + spread) / n
    here = int(np.flatnonzero(reached >= share - _CLOSE)[-1])
    point = float(points[here])
    if here == len(points) - 1:
        following, left = (1.0 if point < 1 else 2 * NOTHING_TO_CLOUD - 1), passed[here]
    else:
        following, left = float(points[here + 1]), reached[here + 1]
    if passed[here] > share + _CLOSE:
        return point + (following - point) * float((passed[here] - share) / (passed[here] - left))
    if reached[here] - share <= share - passed[here]:
        return point
    is_flat = passed[here] - left < _CLOSE
    return (point + following) / 2 if is_flat else float(np.nextafter(point, np.inf))


def _ramps(ends: FloatArray, slopes: FloatArray, points: FloatArray) -> FloatArray:
    """Return ``sum(slopes * max(ends - x, 0))`` for each x of the sorted `points`."""
    order = np.argsort(ends)
    ends, slopes = ends[order], slopes[order]
    after = np.searchsorted(ends, points, "right")
    weight = np.append(np.cumsum(slopes[::-1])[::-1], 0.0)
    moment = np.append(np.cumsum((slopes * ends)[::-1])[::-1], 0.0)
    ramps: FloatArray = moment[after] - weight[after] * points
    return ramps


def _warm(scores: Sequence[float]) -> FloatArray:
    try:
        known = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        known = np.full((1, 1), np.nan)
    if known.ndim != 1 or not ((known >= 0) & (known <= 1)).all():
        raise ConfigurationError(
            "warm_start holds something else than scores: expected numbers in [0, 1], as a sequence or as a "
            "mapping from scale to sequence"
        )
    return known


def _checked(value: Any, name: str) -> float:
    if not _is_number(value) or not 0 <= value <= HIGHEST_THRESHOLD:
        raise ConfigurationError(
            f"{name} is {value!r}: expected a number from 0 to {HIGHEST_THRESHOLD}, a mapping from scale to "
            "such numbers, or a CloudShare; scores lie in [0, 1], so 0 sends everything to the cloud and "
            f"{NOTHING_TO_CLOUD} nothing"
        )
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
