from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confroute import CloudShare, ConfidenceRouter
from confroute.decision import Message, Router, RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError
from confroute.routers.probing import BRIEF_INSTRUCTION
from confroute.uncertainty import ExactEquivalence
from confroute.uncertainty.equivalence import FloatArray, Pair
from tests.scripted_edge import PRICED, QUESTION, Edge, said

EXACT = ExactEquivalence()


class Told:
    """An equivalence that reads its scores off the second of two answers."""

    name = "told"
    symmetric = True
    threshold = 0.5

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        return np.array([float(b) for _, _, b in pairs], dtype=np.float64)


class Directed:
    """An equivalence by which a city entails its country, and not the reverse."""

    name = "directed"
    symmetric = False
    threshold = 0.5

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        return np.array([0.9 if (a, b) == ("Paris", "France") else 0.2 for _, a, b in pairs])


def test_it_is_a_router() -> None:
    assert isinstance(ConfidenceRouter(), Router)


def test_a_likely_answer_is_the_reply_and_nothing_more_is_drawn() -> None:
    edge = Edge(said(probability=0.9))
    decided = ConfidenceRouter(threshold=0.2).decide(QUESTION, edge)
    decision = decided.decision
    assert (decision.route, decision.method, decision.n_samples) == ("edge", "confidence", 1)
    assert decision.score == pytest.approx(0.1)
    assert decision.settled_early
    assert decision.usage == Usage.none_spent()
    assert decision.router is not None
    assert decision.router.name == "confidence-full-4"
    assert decision.reason == "probability 0.90: uncertainty at most 0.10 < 0.20, the edge is sure"
    assert decided.draft == edge.answers[0]
    (draw,) = edge.draws
    assert (draw.n, draw.settings["temperature"], draw.settings["logprobs"]) == (1, None, True)
    assert draw.settings["append"] == ()


@pytest.mark.parametrize(
    ("scale", "threshold"),
    [
        ("confidence-brief-4", 0.2),
        ("confidence-full-0", 0.4),
        ("agreement-full-4", 0.5),
        ("worked-full-9", 0.3),
    ],
)
def test_each_scale_has_its_threshold(scale: str, threshold: float) -> None:
    assert ConfidenceRouter(threshold={"worked-full-9": 0.3}).threshold_of(scale) == threshold


def test_a_score_just_below_its_threshold_does_not_read_as_equal_to_it() -> None:
    decided = ConfidenceRouter(n_samples=0, threshold=0.2).decide(QUESTION, Edge(said(probability=0.803)))
    assert decided.decision.reason.endswith("uncertainty 0.197 < 0.200, the edge is sure")


def test_a_brief_look_asks_for_the_bare_answer_and_is_never_the_reply() -> None:
    edge = Edge(said(probability=0.9))
    decided = ConfidenceRouter(threshold=0.2, probe="brief").decide(QUESTION, edge)
    assert decided.draft is None
    assert decided.decision.usage == PRICED
    (draw,) = edge.draws
    assert draw.settings["append"] == (Message("user", BRIEF_INSTRUCTION),)
    assert (draw.settings["max_tokens"], draw.settings["temperature"]) == (32, 0.0)


def test_an_unlikely_answer_is_compared_with_others() -> None:
    edge = Edge(said(probability=0.5), "Paris", "Rome", "Paris", "Rome")
    decided = ConfidenceRouter(threshold=0.24, equivalence=EXACT).decide(QUESTION, edge)
    decision = decided.decision
    assert (decision.route, decision.n_samples) == ("cloud", 5)
    assert decision.score == pytest.approx(0.25)
    assert not decision.settled_early
    assert decision.reason == (
        "probability 0.50, 2 of 4 more answers agree: uncertainty 0.25 >= 0.24, the edge is unsure"
    )
    assert decision.usage.usd == 2.5
    assert all(draw.settings["temperature"] == 1.0 for draw in edge.draws[1:])


def test_what_settles_the_verdict_is_drawn_together() -> None:
    # From .5, one that agrees of four leaves at most .375, two .25: two can settle it for the edge; for the
    # cloud, three that differ.
    edge = Edge(said(probability=0.5), "Paris", "Paris", "Rome", "Rome")
    decided = ConfidenceRouter(threshold=0.3, equivalence=EXACT).decide(QUESTION, edge)
    assert [draw.n for draw in edge.draws] == [1, 2]
    assert (decided.decision.route, decided.decision.settled_early) == ("edge", True)
    assert decided.decision.score == pytest.approx(0.25)
    assert "2 of 2 more answers agree, and 2 more would not change the verdict" in decided.decision.reason
    assert decided.decision.usage.usd == 1.0


def test_evidence_tells_what_was_seen() -> None:
    edge = Edge(said(probability=0.5), "Paris", "Rome", "Paris", "Oslo")
    evidence = ConfidenceRouter(threshold=0.24, equivalence=EXACT).decide(QUESTION, edge).evidence
    assert evidence is not None
    assert evidence.to_dict() == {
        "answer": "Paris",
        "probability": pytest.approx(0.5),
        "others": ["Paris", "Rome", "Paris", "Oslo"],
        "agreement": [1.0, 0.0, 1.0, 0.0],
        "agrees": [True, False, True, False],
        "n_further": 4,
        "problem": None,
    }
    assert [[sample.text for sample in group] for group in evidence.groups()] == [
        ["Paris", "Paris", "Paris"],
        ["Rome"],
        ["Oslo"],
    ]


def test_without_log_probabilities_agreement_alone_decides() -> None:
    edge = Edge("Paris", "Paris", "Paris", "Paris", "Rome")
    decided = ConfidenceRouter(equivalence=EXACT).decide(QUESTION, edge)
    assert decided.decision.route == "edge"
    assert decided.decision.threshold == 0.5
    assert decided.decision.router is not None
    assert decided.decision.router.name == "agreement-full-4"
    assert decided.decision.reason.startswith("3 of 3 more answers agree, and 1 more would not change")


def test_without_further_answers_and_log_probabilities_some_are_drawn() -> None:
    edge = Edge("Paris", "Paris", "Paris", "Paris", "Paris")
    decided = ConfidenceRouter(n_samples=0, equivalence=EXACT).decide(QUESTION, edge)
    assert decided.decision.route == "edge"
    assert decided.decision.router is not None
    assert decided.decision.router.name == "agreement-full-4"


def test_the_probability_alone() -> None:
    edge = Edge(said(probability=0.3))
    decided = ConfidenceRouter(n_samples=0).decide(QUESTION, edge)
    assert (decided.decision.route, decided.decision.n_samples) == ("cloud", 1)
    assert decided.decision.score == pytest.approx(0.7)
    assert not decided.decision.settled_early
    assert decided.decision.usage == PRICED


def test_a_long_open_reply_is_judged_by_agreement_alone() -> None:
    poem = "The sea is wide and green and deep, and ships go over it asleep. " * 6
    edge = Edge(
        Sample(poem, logprob=-1.0, n_tokens=120), *[said("Something else, of another kind entirely.")] * 4
    )
    decided = ConfidenceRouter(equivalence=EXACT).decide(RouteRequest.from_text("Write a poem."), edge)
    assert decided.decision.router is not None
    assert decided.decision.router.name == "agreement-full-4"
    assert decided.decision.route == "cloud"


def test_a_long_reply_with_a_conclusion_is_a_scale_of_its_own() -> None:
    worked = "First 20 * 17 = 340, and then 3 * 17 = 51, which is added to it. " * 5 + r"So \boxed{391}."
    other = r"We have 17 * 23 = 17 * 20 + 17 * 3, that is \boxed{391} in all."
    edge = Edge(Sample(worked, logprob=-12.0, n_tokens=120), *[said(other)] * 4)
    decided = ConfidenceRouter(equivalence=EXACT).decide(RouteRequest.from_text("What is 17 * 23?"), edge)
    assert decided.decision.router is not None
    assert decided.decision.router.name == "worked-full-4"
    assert decided.decision.threshold == 0.05
    assert decided.decision.route == "edge"
    assert decided.draft == edge.answers[0]


def test_a_calculation_that_is_cut_off_agrees_with_nothing() -> None:
    cut = said("We have 20 * 17 = 340 and 3 * 17 = 51, and so the sum of these two is 340 + 51 =", cut=True)
    edge = Edge(cut, cut, cut, cut, cut)
    decided = ConfidenceRouter(equivalence=EXACT).decide(RouteRequest.from_text("What is 17 * 23?"), edge)
    assert decided.decision.route == "cloud"


@pytest.mark.parametrize(("is_cut", "scale"), [(True, "worked-full-4"), (False, "agreement-full-4")])
def test_a_calculation_cut_off_on_its_way_is_no_open_text(is_cut: bool, scale: str) -> None:
    working = "We multiply the tens, 20 * 17 = 340, and the ones then, and add what they come to. " * 4
    look = Sample(working, logprob=-12.0, n_tokens=120, cut=is_cut)
    router = ConfidenceRouter(equivalence=EXACT, threshold=0.5).drawing_all()
    decided = router.decide(RouteRequest.from_text("What is 17 * 23?"), Edge(look, *["391"] * 4)).decision
    assert decided.router is not None
    assert decided.router.name == scale
    assert decided.score == pytest.approx(1 - math.exp(-0.1) if is_cut else 1.0)


def test_each_must_entail_the_other() -> None:
    for first, other in (("Paris", "France"), ("France", "Paris")):
        router = ConfidenceRouter(n_samples=1, threshold=0.5, equivalence=Directed())
        decided = router.decide(QUESTION, Edge(first, other))
        assert decided.decision.score == pytest.approx(0.8)


scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1))


@settings(max_examples=300, deadline=None)
@given(
    probability=st.one_of(st.none(), st.floats(0.01, 1)),
    agreement=st.lists(scores, min_size=1, max_size=6),
    threshold=st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5]), st.floats(0, 1.2)),
)
def test_the_verdict_is_that_of_all_answers(
    probability: float | None, agreement: list[float], threshold: float
) -> None:
    edge = Edge(said("first", probability), *[said(repr(value)) for value in agreement])
    router = ConfidenceRouter(n_samples=len(agreement), threshold=threshold, equivalence=Told())
    decision = router.decide(QUESTION, edge).decision
    doubt = 1.0 if probability is None else 1 - math.exp(edge.answers[0].mean_logprob or 0.0)
    whole = doubt * (1 - sum(agreement) / len(agreement))
    assert decision.score is not None
    if abs(whole - threshold) > 1e-9:
        assert decision.route == ("cloud" if whole >= threshold else "edge")
    assert (decision.score >= threshold) == (decision.route == "cloud")
    if not decision.settled_early:
        assert decision.score == pytest.approx(whole, abs=1e-12)
    elif decision.route == "cloud":
        assert decision.score <= whole + 1e-12
    else:
        assert decision.score >= whole - 1e-12


@settings(max_examples=100, deadline=None)
@given(agreement=st.lists(scores, min_size=4, max_size=4), threshold=st.floats(0.01, 0.99))
def test_nothing_is_drawn_that_the_verdict_does_not_need(agreement: list[float], threshold: float) -> None:
    edge = Edge(said("first"), *[said(repr(value)) for value in agreement])
    ConfidenceRouter(threshold=threshold, equivalence=Told()).decide(QUESTION, edge)
    drawn = sum(draw.n for draw in edge.draws[1:])
    before_last = drawn - edge.draws[-1].n if len(edge.draws) > 1 else drawn
    known = sum(agreement[:before_last])
    # Before the last draw, the answers still missing could have moved the score to either side.
    assert 1 - (known + 4 - before_last) / 4 < threshold + 1e-9
    assert 1 - known / 4 >= threshold - 1e-9


async def test_async_decides_alike() -> None:
    answers: list[Sample | str] = [said(probability=0.5), "Paris", "Rome", "Paris", "Rome"]
    router = ConfidenceRouter(threshold=0.24, equivalence=EXACT)
    assert await router.adecide(QUESTION, Edge(*answers)) == router.decide(QUESTION, Edge(*answers))


def test_a_copy_draws_all_for_curves() -> None:
    router = ConfidenceRouter(threshold=0.9, equivalence=EXACT)
    edge = Edge(said(probability=0.9), "Paris", "Rome", "Paris", "Rome")
    decision = router.drawing_all().decide(QUESTION, edge).decision
    assert decision.score == pytest.approx(0.05)
    assert (decision.n_samples, decision.settled_early) == (5, False)


def test_thresholds_by_scale() -> None:
    router = ConfidenceRouter(threshold={"agreement-full-4": 0.9, "confidence-full-4": 0.05})
    assert router.decide(QUESTION, Edge(said(probability=0.99))).decision.threshold == 0.05
    decided = router.decide(QUESTION, Edge("Paris", "Rome", "Rome", "Rome", "Rome"))
    assert decided.decision.threshold == 0.9


def test_a_dial_keeps_its_scales_apart() -> None:
    dial = CloudShare(0.5)
    router = ConfidenceRouter(threshold=dial, equivalence=EXACT)
    for i in range(40):
        router.decide(QUESTION, Edge(said(probability=0.5 + i / 100), *["Rome"] * 4))
    sure = router.decide(QUESTION, Edge(said(probability=0.88), *["Rome"] * 4)).decision
    unsure = router.decide(QUESTION, Edge(said(probability=0.52), *["Rome"] * 4)).decision
    assert (sure.route, unsure.route) == ("edge", "cloud")
    assert sure.threshold is not None
    assert 0.12 < sure.threshold < 0.48
    assert router.decide(QUESTION, Edge(*["Paris"] * 5)).decision.threshold == 0.5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"n_samples": -1}, "n_samples is -1: expected 0"),
        ({"probe": "long"}, "probe is 'long': expected 'full' or 'brief'"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"threshold": 30}, "threshold is 30: expected a number from 0 to 2"),
        ({"equivalence": "exact"}, "equivalence is 'exact': expected an object"),
        ({"equivalence": ExactEquivalence}, "expected an object with name"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        ConfidenceRouter(**arguments)


def test_no_sampler_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="got no sampler"):
        ConfidenceRouter().decide(QUESTION)


class Cosine:
    """An equivalence whose scores are no probabilities: cities are all alike at .6, below its threshold."""

    name = "cosine"
    symmetric = True
    threshold = 0.9

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        return np.full(len(pairs), 0.6)


def test_an_equivalence_joins_where_its_own_threshold_lies() -> None:
    decided = ConfidenceRouter(equivalence=Cosine()).decide(
        QUESTION, Edge("Paris", "Rome", "Oslo", "Bern", "Riga")
    )
    assert decided.decision.route == "cloud"
    assert "0 of 4 more answers agree" in decided.decision.reason


@pytest.mark.parametrize("value", [math.nan, -0.5, 1.5])
def test_scores_that_are_no_probabilities_stay_within_bounds(value: float) -> None:
    edge = Edge("first", *[repr(value)] * 4)
    decided = ConfidenceRouter(equivalence=Told()).decide(QUESTION, edge)
    assert decided.decision.score is not None
    assert decided.decision.route == ("edge" if value > 1 else "cloud")


@pytest.mark.parametrize("names", [{"confidence": 0.05}, {"confidence-full-4": 0.05}])
def test_a_threshold_can_be_named_by_kind(names: dict[str, float]) -> None:
    decision = ConfidenceRouter(threshold=names).decide(QUESTION, Edge(said(probability=0.99))).decision
    assert decision.threshold == 0.05


@pytest.mark.parametrize("name", ["confidence-ful-4", "entropy-likelihood-full-5", "agreement-0"])
def test_a_scale_that_there_is_not_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"names the scale '{name}'"):
        ConfidenceRouter(threshold={name: 0.5})
