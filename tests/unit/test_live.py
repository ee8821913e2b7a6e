"""Live evaluation: scores are of all samples and of one scale, whatever threshold the router has."""

from __future__ import annotations

from typing import Any

import pytest

from confroute import CloudShare, ConfidenceRouter, EntropyRouter
from confroute.decision import RouteRequest, Sample
from confroute.errors import ConfigurationError
from confroute.evaluation.live import Live, Question, evaluate_live
from confroute.routers._verdict import ScoringRouter
from confroute.routers.cascade import CascadeRouter
from confroute.testing import ScriptedSampler
from confroute.uncertainty import ExactEquivalence

N = 12
EXACT = ExactEquivalence()


def number(request: RouteRequest) -> int:
    return int(request.messages[0].text.split()[1].rstrip("?"))


def edge(request: RouteRequest, i: int) -> Sample:
    """Knows even numbers; every third answer comes without log-probabilities."""
    n = number(request)
    known: dict[str, Any] = {} if n % 3 == 2 else {"logprob": -0.1 if n % 2 == 0 else -1.0, "n_tokens": 1}
    return Sample(str(n) if n % 2 == 0 else f"{100 * n + i}", model="small", **known)


def cloud(request: RouteRequest, i: int) -> Sample:
    return Sample(str(number(request)), model="big")


def live(router: ScoringRouter) -> Live:
    return evaluate_live(
        [Question(f"number {i}?", (str(i),)) for i in range(N)],
        edge=ScriptedSampler(edge, name="small"),
        cloud=ScriptedSampler(cloud, name="big"),
        router=router,
    )


def test_a_router_that_stops_early_is_made_to_draw_all() -> None:
    found = live(
        EntropyRouter(n_samples=4, adaptive=True, probe="brief", estimator="discrete", equivalence=EXACT)
    )
    assert found.outcomes.n == N
    assert found.scores.tolist() == [i % 2 for i in range(N)]
    assert found.threshold == 0.5


@pytest.mark.parametrize(
    ("threshold", "number_told"),
    [
        (0.3, 0.3),
        ({"entropy-discrete-brief-2": 0.2}, 0.2),
        ({"entropy-discrete-full-2": 0.2}, 0.5),
        (CloudShare(0.3), None),
    ],
)
def test_a_threshold_is_told_where_a_number_stands(threshold: Any, number_told: float | None) -> None:
    router = EntropyRouter(
        n_samples=2, probe="brief", estimator="discrete", equivalence=EXACT, threshold=threshold
    )
    assert live(router).threshold == number_told
    assert router.threshold == threshold


def test_an_evaluation_moves_no_dial() -> None:
    dial = CloudShare(0.5, window=20)
    for _ in range(2):
        live(
            EntropyRouter(n_samples=2, probe="brief", estimator="discrete", equivalence=EXACT, threshold=dial)
        )
    assert dial.at("entropy-discrete-brief-2", 0.42) == 0.42  # 24 scores would have been enough to rule


def test_scores_of_the_commonest_scale_make_the_curve_and_the_rest_is_told() -> None:
    found = live(ConfidenceRouter(n_samples=2, probe="brief", equivalence=EXACT))
    assert found.outcomes.n == len(found.scores) == 8
    note = next(note for note in found.outcomes.notes if "different scales" in note)
    assert "8 of confidence-brief-2, 4 of agreement-brief-2" in note
    assert "4 questions are left out" in note


def test_a_cascades_signal_is_asked_all_over_the_band() -> None:
    trained = EntropyRouter(n_samples=2, probe="brief", equivalence=EXACT, threshold=0.5)
    signal = EntropyRouter(n_samples=3, probe="full", equivalence=EXACT)
    found = live(CascadeRouter(trained, signal, band=(0.0, 0.9), threshold=1.01))
    assert found.threshold == 1.01
    assert found.drafts
    assert sorted(set(found.scores.tolist())) == [0.0, 1.0]


def test_bounds_alone_make_no_curve() -> None:
    class Bounds(EntropyRouter):
        def drawing_all(self) -> Bounds:
            return self

    with pytest.raises(ConfigurationError, match="no score is left to evaluate"):
        live(Bounds(n_samples=4, adaptive=True, equivalence=EXACT))
