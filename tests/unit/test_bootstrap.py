"""Vectorised bootstraps against a loop over resampled questions, and their statistical promises."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from confroute.errors import ConfigurationError
from confroute.evaluation import Costs, RoutingCurve, auroc, bootstrap_curve, compare
from confroute.evaluation.bootstrap import p_value
from confroute.evaluation.ranking import resampled_counts


def data(n: int = 60, seed: int = 1) -> tuple[Any, Any, Any, Costs]:
    rng = np.random.default_rng(seed)
    edge, cloud = (rng.random(n) < 0.4).astype(float), (rng.random(n) < 0.75).astype(float)
    scores = np.round(0.4 * (cloud - edge) + rng.random(n), 1)  # rounded, so that there are ties
    costs = Costs.of(rng.random(n), 5 + rng.random(n), 4 + rng.random(n))
    return scores, edge, cloud, costs


def looped(
    scores: Any, edge: Any, cloud: Any, costs: Costs, n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """Resample rows in a plain loop, drawing each as often as the counts say."""
    figures = []
    for counts in resampled_counts(len(scores), n_resamples, seed):
        for row in counts.astype(int):
            i = np.repeat(np.arange(len(scores)), row)
            drawn = Costs(costs.edge[i], costs.cloud[i], costs.all_cloud[i])
            curve = RoutingCurve.from_scores(scores[i], edge[i], cloud[i], costs=drawn)
            figures.append((curve.apgr, curve.cpt(0.5), curve.cpt(0.8), curve.saving(0.95)))
    return np.array(figures)


def test_intervals_equal_a_loop() -> None:
    scores, edge, cloud, costs = data()
    found = bootstrap_curve(scores, edge, cloud, costs=costs, n_resamples=200, seed=7)
    expected = looped(scores, edge, cloud, costs, 200, 7)
    assert not np.isnan(expected).any()
    for key, draws in zip(("apgr", "cpt50", "cpt80", "saving95"), expected.T, strict=True):
        low, high = np.quantile(draws, [0.025, 0.975])
        assert (found[key].low, found[key].high) == pytest.approx((low, high), abs=1e-8)
    assert found["apgr"].estimate == RoutingCurve.from_scores(scores, edge, cloud).apgr


def test_comparison_is_paired() -> None:
    scores, edge, cloud, costs = data()
    other = np.random.default_rng(2).random(len(scores))
    found = compare(scores, other, edge, cloud, n_resamples=200, seed=7)["apgr"]
    differences = (
        looped(scores, edge, cloud, costs, 200, 7)[:, 0] - looped(other, edge, cloud, costs, 200, 7)[:, 0]
    )
    low, high = np.quantile(differences, [0.025, 0.975])
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))
    assert found.p_value == p_value(differences)


def test_resamples_are_questions_drawn_with_replacement() -> None:
    counts = np.concatenate(list(resampled_counts(50, 2000, 0)))
    assert counts.shape == (2000, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.05)  # multinomial


def test_a_router_does_not_differ_from_itself() -> None:
    scores, edge, cloud, _ = data()
    found = compare(scores, scores, edge, cloud)["apgr"]
    assert (found.difference.low, found.difference.high, found.p_value) == (0, 0, 1)


def test_p_values_of_two_random_routers_keep_their_level() -> None:
    rng = np.random.default_rng(11)
    rejected = 0
    for _ in range(200):
        edge, cloud = rng.random(300) < 0.4, rng.random(300) < 0.8
        found = compare(rng.random(300), rng.random(300), edge, cloud, n_resamples=199)
        rejected += found["apgr"].p_value <= 0.05
    assert rejected <= 20  # 10 expected at the 5 % level; 21 or more has probability .0009


def test_intervals_cover_the_truth_at_their_level() -> None:
    rng = np.random.default_rng(12)

    def draw(n: int) -> tuple[Any, Any, Any]:
        edge, cloud = rng.random(n) < 0.4, rng.random(n) < 0.8
        return rng.random(n) + 0.5 * (cloud.astype(float) - edge), edge, cloud

    truth = RoutingCurve.from_scores(*draw(400_000)).apgr
    found = [bootstrap_curve(*draw(300), n_resamples=300)["apgr"] for _ in range(200)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.90 <= covered <= 0.99


def test_undefined_resamples_are_counted_and_said() -> None:
    edge, cloud = [1, 0, 0, 1], [1, 1, 0, 1]
    interval = bootstrap_curve([0.1, 0.9, 0.3, 0.2], edge, cloud)["apgr"]
    assert interval.undefined == pytest.approx(0.75**4, abs=0.05)  # the one gain was not drawn
    assert "undefined in" in str(interval)


def test_no_gap_is_undefined() -> None:
    found = bootstrap_curve([0.1, 0.2], [1, 1], [0, 1])
    assert math.isnan(found["apgr"].estimate)
    assert str(found["cpt50"]) == "undefined"
    assert math.isnan(compare([0.1, 0.2], [0.2, 0.1], [1, 1], [0, 1])["apgr"].p_value)


@pytest.mark.parametrize("wrong", [{"n_resamples": 0}, {"level": 1.0}])
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        bootstrap_curve([0.1, 0.2], [0, 1], [1, 1], **wrong)


def test_auroc_interval_equals_a_loop() -> None:
    scores, edge, _, _ = data()
    found = auroc(scores, edge, n_resamples=100, seed=3)
    draws = []
    for counts in resampled_counts(len(scores), 100, 3):
        for row in counts.astype(int):
            i = np.repeat(np.arange(len(scores)), row)
            up, down = scores[i][edge[i] == 1], scores[i][edge[i] == 0]
            draws.append(np.mean((up[:, None] > down) + 0.5 * (up[:, None] == down)))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


def test_fourteen_thousand_questions_take_under_ten_seconds() -> None:
    rng = np.random.default_rng(0)
    edge, cloud, scores = rng.random(14_000) < 0.68, rng.random(14_000) < 0.8, rng.random(14_000)
    start = time.perf_counter()
    bootstrap_curve(scores, edge, cloud, n_resamples=1000)
    assert time.perf_counter() - start < 10
