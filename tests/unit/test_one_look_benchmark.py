"""The measures of benchmarks/one_look.py, on recorded answers made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.one_look import areas, curves, interval
from benchmarks.one_look_data import Asked, Recording, without_logprobs
from benchmarks.one_look_run import DRAFT, LOOK, Judged, at_default, measure, signals_of, threshold_for
from confroute.decision import Sample
from confroute.evaluation import auroc, bootstrap_curve
from confroute.uncertainty import ExactEquivalence

N = 40


@pytest.fixture
def recording() -> Recording:
    """Question i has i % 11 of ten samples that agree with the look, which is right where most do."""
    asked = []
    for i in range(N):
        same = i % 11
        texts = ["yes"] * same + [f"no {j}" for j in range(10 - same)]
        right = tuple(text == "yes" and same > 5 for text in ("yes", *texts))
        more = tuple(Sample(text, logprob=-0.3, n_tokens=1) for text in texts)
        look = Sample("yes", logprob=-0.1 * (1 + i % 7), n_tokens=1)
        asked.append(Asked(f"question {i}", look, more, right))
    edge = np.array([float(one.right[0]) for one in asked])
    return Recording("by hand", "by hand", tuple(asked), edge, np.ones(N))


def test_scores_are_those_of_all_answers_and_fewer_are_drawn_at_a_threshold(recording: Recording) -> None:
    (ten,) = (s for s in signals_of(recording, ExactEquivalence()) if s.name == "u·d, k = 10")
    (found,) = measure(ten, recording, seed=0).values()
    expected = [(1 - math.exp(-0.1 * (1 + i % 7))) * (1 - (i % 11) / 10) for i in range(N)]
    assert found.scores[0] == pytest.approx(expected)
    assert found.edge[0].tolist() == recording.edge.tolist()
    answers, requests, tokens = found.spent[0].mean(axis=0)
    assert 1 < requests < answers < 11
    assert tokens == answers


def test_entropy_is_told_for_the_look_and_for_its_own_draft(recording: Recording) -> None:
    (five,) = (s for s in signals_of(recording, ExactEquivalence()) if s.name == "SE of 5")
    found = measure(five, recording, seed=0)
    as_look, as_draft = found[f"SE of 5, {LOOK}"], found[f"SE of 5, {DRAFT}"]
    assert len(as_look.scores) == 5
    for one, other in zip(as_look.scores, as_draft.scores, strict=True):
        assert one.tolist() == other.tolist()
    assert as_look.edge[0].tolist() == recording.edge.tolist()
    drafts = [float(one.more[0].text == "yes" and one.right[0]) for one in recording.asked]
    assert as_draft.edge[0].tolist() == drafts


def test_without_log_probs_agreement_alone_is_measured(recording: Recording) -> None:
    bare = without_logprobs(recording)
    assert not bare.has_logprobs
    names = [signal.name for signal in signals_of(bare, ExactEquivalence())]
    assert names == ["SE of 3", "SE of 5", "SE of 10", "d, k = 3", "d, k = 4", "d, k = 10"]
    assert list(at_default(recording, ExactEquivalence())) == [
        "`confidence-full-4`",
        "`confidence-full-0`",
        "`agreement-full-4`",
    ]


def test_resampled_figures_are_those_of_confroute(recording: Recording) -> None:
    scores = np.random.default_rng(0).random(N).round(1)
    wrong = 1 - recording.edge
    cloud = np.ones(N)
    assert interval(areas(scores, wrong, 3), N) == auroc(scores, wrong, seed=3)
    expected = bootstrap_curve(scores, recording.edge, cloud, seed=3)
    for values, name in zip(
        curves(scores, recording.edge, cloud, 3), ("apgr", "cpt50", "cpt80"), strict=True
    ):
        found = interval(values, N)
        assert (found.estimate, found.low, found.high) == pytest.approx(
            (expected[name].estimate, expected[name].low, expected[name].high)
        )


def test_the_threshold_sends_the_nearest_share_to_the_cloud() -> None:
    assert threshold_for(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])) == 0.8
    assert threshold_for(np.array([0.0, 0.0, 0.0, 1.0])) == 1.0


def test_a_judged_pair_is_not_judged_again() -> None:
    class Counting(ExactEquivalence):
        asked = 0

        def score(self, pairs):  # type: ignore[no-untyped-def]  # as the class above
            self.asked += len(pairs)
            return super().score(pairs)

    judge = Counting()
    judged = Judged(judge)
    pairs = [("q", "a", "b"), ("q", "a", "a")]
    assert judged.score(pairs).tolist() == judged.score(pairs).tolist() == [0.0, 1.0]
    assert judge.asked == 2
