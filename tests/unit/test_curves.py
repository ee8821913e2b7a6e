"""Curves and metrics against hand-computed cases and against brute force over every threshold."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confroute.errors import ConfigurationError
from confroute.evaluation import Costs, RoutingCurve, auroc, bootstrap_curve, reliability

# Four questions: the cloud gains on 0 and 1, nothing on 2, loses on 3.
EDGE = [0, 0, 1, 1]
CLOUD = [1, 1, 1, 0]


def brute_points(scores: Any, edge: Any, cloud: Any) -> list[tuple[float, float]]:
    """Every threshold, one at a time: share and mean quality, from nothing to all to the cloud."""
    points = [(0.0, float(np.mean(edge)))]
    for threshold in sorted(set(scores), reverse=True):
        routed = [c if s >= threshold else e for s, e, c in zip(scores, edge, cloud, strict=True)]
        points.append((float(np.mean([s >= threshold for s in scores])), float(np.mean(routed))))
    return points


def brute_apgr(points: list[tuple[float, float]]) -> float:
    low, gap = points[0][1], points[-1][1] - points[0][1]
    return sum((b[0] - a[0]) * ((a[1] + b[1]) / 2 - low) / gap for a, b in itertools.pairwise(points))


def brute_cpt(points: list[tuple[float, float]], recovered: float) -> float:
    low, gap = points[0][1], points[-1][1] - points[0][1]
    target = low + recovered * gap
    for a, b in itertools.pairwise(points):
        if b[1] >= target - 1e-9:
            return a[0] + (target - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
    raise AssertionError


questions = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.booleans(), st.booleans()), min_size=1, max_size=25
)


@settings(max_examples=200, deadline=None)
@given(questions, st.sampled_from([0.2, 0.5, 0.8, 1.0]))
def test_curve_equals_brute_force(rows: Any, recovered: float) -> None:
    scores, edge, cloud = (list(column) for column in zip(*rows, strict=True))
    curve = RoutingCurve.from_scores(scores, edge, cloud)
    points = brute_points(scores, edge, cloud)
    assert curve.share == pytest.approx([x for x, _ in points])
    assert curve.quality == pytest.approx([y for _, y in points])
    gains = {float(c) - float(e) for e, c in zip(edge, cloud, strict=True)}
    if np.mean(cloud) > np.mean(edge) and len(gains) == 1:
        assert "gains the same" in str(curve.undefined)
        assert math.isnan(curve.apgr)
    elif np.mean(cloud) > np.mean(edge):
        assert curve.undefined is None
        assert curve.apgr == pytest.approx(brute_apgr(points))
        assert curve.cpt(recovered) == pytest.approx(brute_cpt(points, recovered), abs=1e-6)
    else:
        assert "no better" in str(curve.undefined)
        assert math.isnan(curve.apgr)
        assert math.isnan(curve.cpt(recovered))
        assert math.isnan(curve.pgr(0.5))


def test_hand_case_that_is_not_monotone() -> None:
    curve = RoutingCurve.from_scores([0.9, 0.8, 0.5, 0.1], EDGE, CLOUD)
    assert list(curve.share) == [0, 0.25, 0.5, 0.75, 1]
    assert list(curve.quality) == [0.5, 0.75, 1, 1, 0.75]
    assert list(curve.thresholds) == [np.inf, 0.9, 0.8, 0.5, 0.1]
    # PGR 0, 1, 2, 2, 1 over steps of a quarter: (.5 + 1.5 + 2 + 1.5) / 4
    assert curve.apgr == pytest.approx(1.375)
    assert curve.pgr(0.5) == pytest.approx(2)
    assert curve.cpt(0.5) == pytest.approx(0.125)
    assert not curve.dips_after(0.5)


def test_first_crossing_is_taken_and_the_dip_is_said() -> None:
    # The best question first, then the harmful one, then the other good one: PGR 0, 1, 0, 1, 1.
    curve = RoutingCurve.from_scores([0.9, 0.5, 0.1, 0.8], EDGE, CLOUD)
    assert curve.cpt(0.8) == pytest.approx(0.2)
    assert curve.dips_after(0.8)


def test_a_constant_score_is_the_random_router_exactly() -> None:
    curve = RoutingCurve.from_scores([0.3] * 4, EDGE, CLOUD)
    assert curve.apgr == pytest.approx(0.5)
    assert curve.cpt(0.8) == pytest.approx(0.8)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)))
def test_ties_are_the_expectation_over_orders(order: list[int]) -> None:
    rng = np.random.default_rng(3)
    edge, cloud = rng.random(6), rng.random(6) + 0.5
    tied = np.array([2, 1, 1, 1, 0, 0], dtype=float)
    mean = np.mean(
        [
            RoutingCurve.from_scores(tied - 0.01 * np.argsort(broken), edge, cloud).apgr
            for broken in itertools.permutations(range(6))
        ]
    )
    shuffled = list(order)
    curve = RoutingCurve.from_scores(tied[shuffled], edge[shuffled], cloud[shuffled])
    assert curve.apgr == pytest.approx(mean)


def test_costs_and_savings_by_hand() -> None:
    costs = Costs.of([1, 1, 1, 1], [11, 11, 11, 11], [10, 10, 10, 10])
    curve = RoutingCurve.from_scores([0.9, 0.8, 0.5, 0.1], EDGE, CLOUD, costs=costs)
    assert curve.cost is not None
    assert list(curve.cost) == [1, 3.5, 6, 8.5, 11]
    # The cloud's quality is .75, first reached at a quarter: 3.5 of 10 dollars.
    assert curve.saving(1.0) == pytest.approx(0.65)
    # 0.6 of it is .45, which the edge has alone.
    assert curve.saving(0.6) == pytest.approx(0.9)


def test_cost_without_costs_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no costs"):
        RoutingCurve.from_scores([1, 0], [0, 0], [1, 1]).saving(0.95)


@pytest.mark.parametrize(
    ("scores", "edge", "cloud", "match"),
    [
        ([], [], [], "n >= 1"),
        ([0.1, 0.2], [0, 1], [1], "holds 1 numbers"),
        ([0.1, float("nan")], [0, 1], [1, 1], r"scores\[1\] is nan"),
        ([[0.1]], [0], [1], "shape"),
    ],
)
def test_bad_columns_are_refused(scores: Any, edge: Any, cloud: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        RoutingCurve.from_scores(scores, edge, cloud)


@pytest.mark.parametrize("bad", [0, 1.5, -1])
def test_cpt_outside_its_range_is_refused(bad: float) -> None:
    with pytest.raises(ConfigurationError, match="recovered"):
        RoutingCurve.from_scores([1, 0], [0, 0], [1, 1]).cpt(bad)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_auroc_equals_counting_pairs(rows: Any) -> None:
    scores, positive = zip(*rows, strict=True)
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for (a, is_a), (b, is_b) in itertools.product(rows, rows)
        if is_a and not is_b
    ]
    interval = auroc(scores, positive, n_resamples=5)
    if wins:
        assert interval.estimate == pytest.approx(np.mean(wins))
    else:
        assert math.isnan(interval.estimate)
        assert str(interval) == "undefined"


def test_calibration_error_by_hand() -> None:
    table = reliability([0.1, 0.1, 0.9, 0.9], [0, 1, 1, 1], bins=2)
    assert list(table.predicted) == pytest.approx([0.1, 0.9])
    assert list(table.observed) == [0.5, 1.0]
    assert table.ece == pytest.approx(0.25)


def test_probabilities_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"in \[0, 1\]"):
        reliability([1.2], [1])


def test_where_every_question_gains_the_same_there_is_no_figure() -> None:
    scores = [0.9, 0.5, 0.1]
    curve = RoutingCurve.from_scores(scores, [0, 0, 0], [1, 1, 1])
    assert "gains the same from the cloud" in str(curve.undefined)
    assert math.isnan(curve.apgr)
    assert math.isnan(curve.cpt(0.5))
    assert math.isnan(curve.pgr(0.5))
    assert math.isnan(bootstrap_curve(scores, [0, 0, 0], [1, 1, 1], n_resamples=20)["apgr"].estimate)
