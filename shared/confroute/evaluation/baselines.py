"""What every router is shown beside: random, prompt length, the edge's own confidence, the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from confroute.errors import ConfigurationError
from confroute.evaluation.bootstrap import DEFAULT_CPTS, Interval, cpt_name, interval_of
from confroute.evaluation.curves import RoutingCurve
from confroute.evaluation.ranking import FloatArray, area, column, first_crossing


def random_scores(n: int, seed: int = 0) -> FloatArray:
    """Return the scores of one random router, uniform in [0, 1), shape [n]."""
    return np.random.default_rng(seed).random(n)


def random_spread(
    edge_quality: ArrayLike,
    cloud_quality: ArrayLike,
    *,
    cpts: Sequence[float] = DEFAULT_CPTS,
    n_routers: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Return what random routers score on these questions: the expected figure, and how far one strays.

    Args:
        edge_quality: Shape [n].
        cloud_quality: Shape [n].
        cpts: Parts of the gap whose CPT is wanted.
        n_routers: Number of random routers drawn.
        seed: Seed of the first.
        level: Part of the random routers that the interval holds.

    Returns:
        ``apgr``, ``cpt50`` and the like. The estimate is the exact expectation of the curve; the interval is
        the spread over random routers on these very questions, not a confidence interval.
    """
    edge = column(edge_quality, "edge_quality")
    cloud = column(cloud_quality, "cloud_quality", len(edge))
    curve = RoutingCurve.from_scores(np.zeros(len(edge)), edge, cloud)
    names = {"apgr": curve.apgr} | {cpt_name(x): curve.cpt(x) for x in cpts}
    if curve.undefined:
        return {name: interval_of(value, np.array([np.nan]), curve.n, level) for name, value in names.items()}
    n = len(edge)
    share = np.linspace(0, 1, n + 1)[None]
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(n_routers):
        pgr = np.append(0.0, np.cumsum(rng.permutation(cloud - edge)) / n / curve.gap)[None]
        draws["apgr"].append(float(area(share, pgr)[0]))
        for x in cpts:
            draws[cpt_name(x)].append(float(first_crossing(share, pgr, np.array([x - 1e-12]))[0]))
    return {name: interval_of(value, np.array(draws[name]), n, level) for name, value in names.items()}


def prompt_length_scores(questions: Sequence[str]) -> FloatArray:
    """Return the scores of the rule "longer prompt → cloud": ranks of the lengths in characters, in [0, 1].

    Equal lengths get equal scores. Shape [n].
    """
    if not len(questions):
        raise ConfigurationError("there are no questions: expected at least one")
    return _unit(np.unique([len(question) for question in questions], return_inverse=True)[1])


def edge_confidence_scores(logprobs: ArrayLike) -> FloatArray:
    """Return 1 − exp(log-probability) in [0, 1]: how unsure the edge is of the answer it gave.

    Args:
        logprobs: Natural logarithm of the edge's own confidence in its answer (mean token log-prob, or
            log P(yes) of a self-check), at most 0, shape [n].

    Raises:
        ConfigurationError: If a value is above 0 or unknown.
    """
    known = column(logprobs, "logprobs")
    if (known > 1e-6).any():
        raise ConfigurationError(
            f"logprobs holds {known.max():g}: expected natural logarithms of probabilities, at most 0"
        )
    doubt: FloatArray = np.clip(1 - np.exp(known), 0.0, 1.0)
    return doubt


def oracle_scores(edge_quality: ArrayLike, cloud_quality: ArrayLike) -> FloatArray:
    """Return the best scores that there are, in [0, 1]: questions ranked by what the cloud gains.

    No router can know them; no curve lies above theirs. Shape [n].
    """
    edge = column(edge_quality, "edge_quality")
    return _unit(column(cloud_quality, "cloud_quality", len(edge)) - edge)


def _unit(values: ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    low, high = float(array.min()), float(array.max())
    return (array - low) / (high - low) if high > low else np.full(len(array), 0.5)
