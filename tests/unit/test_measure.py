"""The figures of a report against loops and hand cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest  # type: ignore[import-untyped]  # ships no types

from confroute.errors import ConfigurationError
from confroute.evaluation import Costs, Outcomes, RoutingCurve, Signal, evaluate
from confroute.evaluation.caveats import caveats, verdict
from confroute.evaluation.inference import holm, mean_interval, resampled_means, wilson
from confroute.evaluation.ranking import resampled_counts
from confroute.evaluation.topics import cluster_names, topics, worst_questions


def outcomes(n: int = 120, seed: int = 0, **fields: Any) -> Outcomes:
    rng = np.random.default_rng(seed)
    return Outcomes(
        "made up",
        tuple(f"question {i} " + "long " * int(rng.integers(5)) for i in range(n)),
        (rng.random(n) < 0.5).astype(float),
        (rng.random(n) < 0.8).astype(float),
        edge_cost=rng.random(n),
        cloud_cost=5 + rng.random(n),
        **fields,
    )


def signal(data: Outcomes, seed: int = 1, **fields: Any) -> Signal:
    rng = np.random.default_rng(seed)
    scores = np.clip(np.round(0.3 * (data.cloud_quality - data.edge_quality) + rng.random(data.n), 1), 0, 1)
    return Signal("mine", scores, data.costs(), **fields)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_equals_the_definition(p_values: list[float]) -> None:
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    expected = [0.0] * len(p_values)
    for rank, i in enumerate(order):
        steps = [(len(p_values) - r) * p_values[order[r]] for r in range(rank + 1)]
        expected[i] = min(1.0, max(steps))
    assert holm(p_values) == pytest.approx(expected)


def test_holm_leaves_unknown_ones_out() -> None:
    assert holm([0.01, float("nan"), 0.04]) == pytest.approx([0.02, float("nan"), 0.04], nan_ok=True)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (250, 1000)])
def test_wilson_equals_scipy(hits: int, n: int) -> None:
    low, high = wilson(np.array([hits / n]), np.array([float(n)]))
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_means_equal_a_loop_over_resampled_rows() -> None:
    rows = np.random.default_rng(2).random((30, 2))
    expected = [
        rows[np.repeat(np.arange(30), row.astype(int))].mean(axis=0)
        for counts in resampled_counts(30, 50, 4)
        for row in counts
    ]
    assert resampled_means(rows, n_resamples=50, seed=4) == pytest.approx(np.array(expected))


def test_mean_intervals_cover_the_truth_at_their_level() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        found = mean_interval(rng.random(80) < 0.3, n_resamples=400)
        inside += found.low <= 0.3 <= found.high
    assert inside >= 176  # 190 expected; 175 or fewer has probability .0001 at 95 %, and .01 at 92 %


def test_the_operating_point_equals_a_loop() -> None:
    data = outcomes(edge_seconds=np.full(120, 1.0), cloud_seconds=np.full(120, 3.0))
    router = signal(data, seconds=data.seconds(drafts=True))
    point = evaluate(data, router, threshold=0.6, n_resamples=100).point
    assert router.costs is not None
    share = quality = cost = seconds = 0.0
    for i in range(data.n):
        up = router.scores[i] >= 0.6
        share += up / data.n
        quality += (data.cloud_quality if up else data.edge_quality)[i] / data.n
        cost += (router.costs.cloud if up else router.costs.edge)[i] / data.n
        seconds += (4.0 if up else 1.0) / data.n  # the draft's second is spent either way
    assert (point.share.estimate, point.quality.estimate) == pytest.approx((share, quality))
    assert point.kept.estimate == pytest.approx(quality / data.cloud_quality.mean())
    gap = data.cloud_quality.mean() - data.edge_quality.mean()
    assert point.pgr.estimate == pytest.approx((quality - data.edge_quality.mean()) / gap)
    assert point.cost is not None
    assert point.cost.estimate == pytest.approx(cost)
    assert point.saving is not None
    assert point.saving.estimate == pytest.approx(1 - cost / router.costs.all_cloud.mean())
    assert point.seconds is not None
    assert (point.seconds[0].estimate, point.seconds[1].estimate) == pytest.approx((seconds, 3.0))
    assert point.given


def test_without_a_threshold_the_highest_that_keeps_the_quality_is_taken() -> None:
    data = outcomes()
    router = signal(data)
    found = evaluate(data, router, keep=0.95, n_resamples=100)
    wanted = 0.95 * data.cloud_quality.mean()

    def quality(threshold: float) -> float:
        return float(np.where(router.scores >= threshold, data.cloud_quality, data.edge_quality).mean())

    reaching = [t for t in set(router.scores.tolist()) if quality(t) >= wanted]
    assert found.point.threshold == max(reaching)
    assert not found.point.given
    assert any("chosen on these very questions" in one for one in caveats(found))


def test_savings_in_calls_are_calls_kept_off_the_cloud() -> None:
    data = outcomes()
    found = evaluate(data, signal(data), n_resamples=100)
    for one in found.savings:
        assert one.calls.estimate == pytest.approx(1 - one.share)
        assert one.money is not None
        curve = RoutingCurve.from_scores(
            signal(data).scores, data.edge_quality, data.cloud_quality, costs=data.costs()
        )
        assert one.money.estimate == pytest.approx(curve.saving(one.kept))


def test_every_baseline_is_beside_and_differences_are_adjusted() -> None:
    data = outcomes(edge_logprob=-np.random.default_rng(3).random(120))
    rival = Signal("rival", np.random.default_rng(4).random(120))
    found = evaluate(data, signal(data), others=[rival], n_resamples=200)
    names = [one.name for one in found.standings]
    assert names == ["mine", "rival", "prompt length", "the edge's own confidence", "random", "oracle"]
    compared = [one for one in found.standings if one.against is not None]
    assert [one.name for one in compared] == ["rival", "prompt length", "the edge's own confidence"]
    raw = [one.against.p_value for one in compared if one.against is not None]
    assert [one.p_adjusted for one in compared] == pytest.approx(holm(raw))
    chance = found.standing("random")
    assert chance is not None
    assert chance.figures["apgr"].estimate == pytest.approx(0.5)
    assert chance.figures["apgr"].low < 0.5 < chance.figures["apgr"].high


def test_the_band_holds_the_curve() -> None:
    data = outcomes(400)
    router = signal(data)
    share, low, high = evaluate(data, router, n_resamples=100).band
    curve = RoutingCurve.from_scores(router.scores, data.edge_quality, data.cloud_quality)
    quality = np.interp(share, curve.share, curve.quality)
    assert ((low <= quality) & (quality <= high)).mean() > 0.95
    assert (high - low).max() < 0.2


def test_a_cloud_that_is_no_better_is_said_and_no_number_is_printed() -> None:
    data = Outcomes("tie", ("a", "b"), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    found = evaluate(data, Signal("mine", np.array([0.1, 0.9])), n_resamples=100)
    assert "no better than the edge" in verdict(found)
    assert math.isnan(found.point.pgr.estimate)
    assert all(math.isnan(one.figures["apgr"].estimate) for one in found.standings)


def test_the_verdict_says_when_prompt_length_is_not_beaten() -> None:
    data = outcomes()
    told = verdict(evaluate(data, Signal("noise", np.random.default_rng(9).random(data.n)), n_resamples=200))
    assert "is not shown to differ from sending long questions" in told


def test_a_part_of_the_quality_must_be_a_part() -> None:
    data = outcomes(10)
    with pytest.raises(ConfigurationError, match="keep is 95"):
        evaluate(data, signal(data), keep=95)


def test_scores_must_fit_the_questions() -> None:
    with pytest.raises(ConfigurationError, match="3 numbers where 10 questions"):
        evaluate(outcomes(10), Signal("short", np.array([0.1, 0.2, 0.3])))


def test_topics_equal_a_loop() -> None:
    names = tuple("ab"[i % 2] for i in range(120))
    data = outcomes(topics=names)
    found = evaluate(data, signal(data), threshold=0.5, n_resamples=100)
    up = found.router.scores >= 0.5
    for topic in topics(found):
        rows = [i for i in range(120) if names[i] == topic.name]
        assert topic.n == len(rows) == 60
        lost = [
            max(data.edge_quality[i], data.cloud_quality[i])
            - (data.cloud_quality[i] if up[i] else data.edge_quality[i])
            for i in rows
        ]
        assert topic.lost.estimate == pytest.approx(np.mean(lost))
        assert topic.missed == sum(not up[i] and data.cloud_quality[i] > data.edge_quality[i] for i in rows)
        assert topic.wasted == sum(up[i] and data.cloud_quality[i] <= data.edge_quality[i] for i in rows)
    lost_in_all = [topic.n * topic.lost.estimate for topic in topics(found)]
    assert lost_in_all == sorted(lost_in_all, reverse=True)


def test_worst_questions_are_the_surest_errors() -> None:
    data = Outcomes("four", tuple("abcd"), np.array([0.0, 0, 1, 1]), np.array([1.0, 1, 1, 0]))
    found = evaluate(data, Signal("mine", np.array([0.1, 0.3, 0.8, 0.9])), threshold=0.5, n_resamples=100)
    missed, wasted = worst_questions(found)
    assert [one.question for one in missed] == ["a", "b"]
    assert [one.question for one in wasted] == ["d", "c"]  # d does harm, c costs money alone


def test_questions_with_the_same_words_share_a_topic() -> None:
    pytest.importorskip("sklearn")
    cooking = [f"how to bake bread with flour number {i}" for i in range(30)]
    football = [f"which football team scored a goal number {i}" for i in range(30)]
    names = cluster_names([*cooking, *football])
    tops = [max(set(part), key=part.count) for part in (names[:30], names[30:])]
    assert tops[0] != tops[1]
    assert not set(names[:30]) & set(names[30:])
    assert cluster_names(["a"] * 10) == ("all questions",) * 10


def test_a_router_that_costs_more_than_it_saves_says_so() -> None:
    data = outcomes()
    dear = Costs.of(np.full(120, 9.0), np.full(120, 19.0), np.full(120, 5.0))
    told = verdict(evaluate(data, Signal("dear", signal(data).scores, dear), n_resamples=100))
    assert "costs" in told
    assert "on top" in told


def test_conflicting_lengths_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="edge_cost"):
        Outcomes("x", ("a",), np.ones(1), np.ones(1), edge_cost=np.ones(2))


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_that_is_no_number_is_refused(threshold: float) -> None:
    outcomes = Outcomes("data", ("a", "b"), np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    with pytest.raises(ConfigurationError, match="finite"):
        evaluate(outcomes, Signal("mine", np.array([0.1, 0.2])), threshold=threshold)
