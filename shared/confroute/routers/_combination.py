"""Several signals into one score: fitted by scikit-learn, predicted by numpy, kept as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from confroute.errors import ConfigurationError, require
from confroute.evaluation import RoutingCurve, compare
from confroute.evaluation.ranking import FloatArray

Kind = Literal["logistic", "isotonic"]
Arrays = dict[str, NDArray[np.float64]]
Knots = tuple[FloatArray, FloatArray]
Curve = Callable[[FloatArray, FloatArray], Knots]

ALL = "all"
"""The choice that all signals are combined."""

_CERTAIN = 0.9  # level of the interval whose lower end must be above what is worth it: 95 % one-sided
_WORTH = 0.01  # in APGR: every signal is asked at every question, so a smaller gain is not worth its price
_LEAST_SLOPE = 1e-3  # a signal's direction is known, whatever a small sample says of it


@dataclass(frozen=True, slots=True)
class Choice:
    """Which signals a combination uses, and why.

    Attributes:
        used: `ALL`, or the name of the one signal that it fell back to.
        reason: A sentence with the figures that decided.
    """

    used: str
    reason: str


@dataclass(frozen=True, slots=True)
class Combination:
    """A fitted map from k signals to the probability that the cloud is needed.

    Each signal is bent by a rising curve of its own, then a logistic regression adds them up. ``logistic``
    bends a signal into its rank among the rows fitted on, since many signals crowd near 0; ``isotonic`` into
    its isotonic regression on the outcomes. A fallback to one signal is a logistic curve of its rank, which
    keeps its order.

    Attributes:
        names: The signals, in order.
        kind: ``logistic`` or ``isotonic``.
        choice: What is used, and why.
        arrays: What was learnt: ``weights`` [k], ``bias`` [1], and the knots ``x/NAME``, ``y/NAME`` [m] of
            each signal's curve.
    """

    names: tuple[str, ...]
    kind: Kind
    choice: Choice
    arrays: Arrays

    @classmethod
    def fit(
        cls,
        names: Sequence[str],
        scores: FloatArray,
        outcomes: FloatArray,
        *,
        kind: Kind = "logistic",
        folds: int = 5,
        seed: int = 0,
    ) -> Combination:
        """Fit, and fall back to the best single signal unless combining is surely worth it.

        With few rows a combination of signals is often worse than the best of them. So the signals are first
        combined by cross-validation, and the out-of-fold scores are compared with each signal on the same
        rows, by APGR (where the cloud is needed in less than half of them, by the outcomes caught). All
        signals are used only where the paired bootstrap interval of the difference to the best one (90 %, so
        95 % one-sided) lies above 0.01: they all have to be asked then.

        Args:
            names: k names.
            scores: Shape [n, k], of questions on which no signal was trained.
            outcomes: How much the cloud was needed, in [0, 1], shape [n].
            kind: ``logistic`` or ``isotonic``.
            folds: Folds of the cross-validation.
            seed: Seed of the folds and resamples.

        Raises:
            ConfigurationError: If the rows are too few, or outcomes are all the same or outside [0, 1].
            MissingExtraError: If scikit-learn is not installed.
        """
        require("sklearn", extra="train", purpose="Fitting a CombinedRouter")
        if kind not in get_args(Kind):
            raise ConfigurationError(f"kind is {kind!r}: expected one of {', '.join(get_args(Kind))}")
        n = len(scores)
        if not 2 <= folds <= n // 2:
            raise ConfigurationError(
                f"{folds} folds of {n} rows: expected at least 2 folds, and 2 rows for each"
            )
        if outcomes.min() < 0 or outcomes.max() > 1 or outcomes.min() == outcomes.max():
            raise ConfigurationError(
                f"outcomes span {outcomes.min():g} to {outcomes.max():g}: expected numbers in [0, 1] that "
                "differ, 1 where the cloud was needed"
            )
        choice = _choose(names, scores, outcomes, kind, folds, seed)
        if choice.used == ALL:
            return cls(tuple(names), kind, choice, _fit(names, scores, outcomes, _CURVES[kind]))
        return cls(tuple(names), "logistic", choice, _fit_one(names, choice.used, scores, outcomes))

    @property
    def needed(self) -> tuple[str, ...]:
        """The signals that must be asked for a score."""
        return self.names if self.choice.used == ALL else (self.choice.used,)

    def score(self, scores: FloatArray) -> FloatArray:
        """Return the probability that the cloud is needed, shape [n, k] to [n]; numpy alone."""
        return _predict(self.names, self.arrays, scores)


def _choose(
    names: Sequence[str], scores: FloatArray, outcomes: FloatArray, kind: Kind, folds: int, seed: int
) -> Choice:
    edge, cloud = 1 - outcomes, outcomes  # a tie, .5, gains nothing by being sent
    if outcomes.mean() <= 0.5:  # no gap between the two: count the outcomes caught instead
        edge = np.zeros(len(outcomes))
    areas = [RoutingCurve.from_scores(column, edge, cloud).apgr for column in scores.T]
    best = int(np.argmax(areas))
    if len(names) == 1:
        return Choice(names[0], f"{names[0]} is the only signal")
    combined = _out_of_fold(names, scores, outcomes, kind, folds, seed)
    gain = compare(combined, scores[:, best], edge, cloud, seed=seed, level=_CERTAIN)["apgr"].difference
    figures = (
        f"on {len(outcomes)} rows, {folds}-fold cross-validated, all signals against {names[best]} alone: "
        f"{gain.estimate:+.3f} in APGR ({_CERTAIN:.0%} interval {gain.low:+.3f} to {gain.high:+.3f})"
    )
    if gain.low > _WORTH:
        return Choice(ALL, f"all signals together are surely better than the best one: {figures}")
    return Choice(names[best], f"all signals together are not surely better than the best one: {figures}")


def _out_of_fold(
    names: Sequence[str], scores: FloatArray, outcomes: FloatArray, kind: Kind, folds: int, seed: int
) -> FloatArray:
    fold_of = np.random.default_rng(seed).permutation(len(outcomes)) % folds
    found = np.empty(len(outcomes))
    for fold in range(folds):
        held = fold_of == fold
        if len(np.unique(outcomes[~held])) < 2:
            raise ConfigurationError(
                f"outcomes are the same in all of {folds} folds but one: expected more rows with another "
                "outcome"
            )
        fitted = _fit(names, scores[~held], outcomes[~held], _CURVES[kind])
        found[held] = _predict(names, fitted, scores[held])
    return found


def _fit(names: Sequence[str], scores: FloatArray, outcomes: FloatArray, curve: Curve) -> Arrays:
    arrays: Arrays = {}
    for name, column in zip(names, scores.T, strict=True):
        arrays[f"x/{name}"], arrays[f"y/{name}"] = curve(column, outcomes)
    weights, bias = _logistic(_bent(names, arrays, scores), outcomes)
    return arrays | {"weights": weights, "bias": bias}


def _fit_one(names: Sequence[str], used: str, scores: FloatArray, outcomes: FloatArray) -> Arrays:
    """Fit on one signal; the others, which need not be known later, weigh nothing."""
    index = names.index(used)
    arrays = _fit([used], scores[:, [index]], outcomes, _rank_curve)
    weights = np.zeros(len(names))
    weights[index] = max(_LEAST_SLOPE, float(arrays["weights"][0]))
    flat = {f"{axis}/{name}": np.array([0.0, 1.0]) for name in names if name != used for axis in "xy"}
    return flat | arrays | {"weights": weights}


def _rank_curve(column: FloatArray, outcomes: FloatArray) -> Knots:
    """Return the mean rank of each score, in [0, 1]; 0 and 1 are held, so that no score leaves the curve."""
    values, counts = np.unique(column, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(column)
    below, above = [0.0] * int(values[0] > 0), [1.0] * int(values[-1] < 1)
    return np.concatenate([below, values, above]), np.concatenate([below, ranks, above])


def _isotonic_curve(column: FloatArray, outcomes: FloatArray) -> Knots:
    from sklearn.isotonic import IsotonicRegression

    curve = IsotonicRegression(out_of_bounds="clip").fit(column, outcomes)
    return curve.X_thresholds_, curve.y_thresholds_


_CURVES: dict[Kind, Curve] = {"logistic": _rank_curve, "isotonic": _isotonic_curve}


def _logistic(signals: FloatArray, outcomes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit a logistic regression; an outcome between 0 and 1 counts for both classes by its weight."""
    from sklearn.linear_model import LogisticRegression

    spread = signals.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    rows = np.concatenate([signals, signals]) / scale
    classes = np.repeat([1, 0], len(outcomes))
    model = LogisticRegression().fit(rows, classes, sample_weight=np.concatenate([outcomes, 1 - outcomes]))
    return model.coef_[0] / scale, np.asarray(model.intercept_, dtype=np.float64)


def _predict(names: Sequence[str], arrays: Arrays, scores: FloatArray) -> FloatArray:
    logits = _bent(names, arrays, scores) @ arrays["weights"] + arrays["bias"]
    probability: FloatArray = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    return probability


def _bent(names: Sequence[str], arrays: Arrays, scores: FloatArray) -> FloatArray:
    """Put each signal through its curve, shape [n, k]."""
    columns = zip(names, scores.T, strict=True)
    return np.column_stack([np.interp(x, arrays[f"x/{name}"], arrays[f"y/{name}"]) for name, x in columns])
