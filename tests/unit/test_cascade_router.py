import copy
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute.decision import (
    Decided,
    RouteDecision,
    Router,
    RouteRequest,
    RouterInfo,
    Sample,
    Sampler,
    Usage,
)
from confroute.errors import ConfigurationError, SamplingError
from confroute.routers._verdict import Draw, Draws, SamplingRouter, verdict
from confroute.routers.cascade import CascadeRouter
from confroute.routers.confidence import ConfidenceRouter
from confroute.routers.entropy import EntropyRouter
from confroute.routers.threshold import CloudShare, Threshold, threshold_at
from confroute.testing import ScriptedSampler
from confroute.uncertainty import ExactEquivalence

QUESTION = RouteRequest.from_text("What is the capital of France?")
PRICED = Usage(input_tokens=10, output_tokens=2, usd=0.5)


class Trained:
    """A trained router that gives one score."""

    def __init__(self, score: float | None) -> None:
        self.score = score
        self.threshold: Threshold = 0.5

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        return Decided(
            RouteDecision(
                route="edge",
                score=self.score,
                threshold=0.5,
                method="trained",
                reason="scripted",
                router=RouterInfo(name="trained", version="1"),
            )
        )

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        return self.decide(request, sampler)


class Doubt(SamplingRouter):
    """A signal that draws one answer, and doubts it as much as that was unlikely."""

    def __init__(self, threshold: Threshold = 0.5) -> None:
        self.threshold: Threshold = threshold

    def draws(self, request: RouteRequest) -> Draws:
        samples = yield Draw(1, logprobs=True)
        mean = samples[0].mean_logprob
        if mean is None:
            raise SamplingError("no token log-probabilities")
        return verdict(
            request,
            score=1 - math.exp(mean),
            threshold=threshold_at(self.threshold, "doubt", 0.5),
            method="self_check",
            told="the edge's answer: doubt",
            router=RouterInfo(name="doubt", version="1"),
            samples=samples,
            draft=0,
        )


def answer(probability: float) -> Sample:
    return Sample("Paris", logprob=math.log(probability), n_tokens=1, usage=PRICED)


def cascade(score: float, signal_threshold: float = 0.5) -> CascadeRouter:
    return CascadeRouter(Trained(score), Doubt(signal_threshold), band=(0.3, 0.7))


@pytest.mark.parametrize(("score", "route"), [(0.0, "edge"), (0.29, "edge"), (0.7, "cloud"), (1.0, "cloud")])
def test_outside_of_the_band_nothing_is_drawn(score: float, route: str) -> None:
    edge = ScriptedSampler([answer(0.9)])
    decided = cascade(score).decide(QUESTION, edge)
    decision = decided.decision
    assert edge.draws == []
    assert (decision.route, decision.score, decision.method) == (route, score, "cascade")
    assert (decision.n_samples, decision.usage, decided.draft) == (0, Usage.none_spent(), None)
    assert "the band [0.30, 0.70)" in decision.reason


def test_inside_of_the_band_the_signal_rules_and_its_draft_is_kept() -> None:
    sure = cascade(0.5).decide(QUESTION, ScriptedSampler([answer(0.9)]))
    assert sure.decision.route == "edge"
    assert sure.draft is not None
    assert sure.decision.usage == Usage.none_spent()
    assert sure.decision.score == pytest.approx(0.3 + 0.4 * 0.1)
    assert sure.decision.threshold == pytest.approx(0.5)
    assert "trained score 0.50 is uncertain; the edge's answer" in sure.decision.reason
    unsure = cascade(0.5).decide(QUESTION, ScriptedSampler([answer(0.2)]))
    assert unsure.decision.route == "cloud"
    assert unsure.draft is None
    assert unsure.decision.usage == PRICED
    assert unsure.decision.n_samples == 1


@given(score=st.floats(0, 1), doubt=st.floats(0, 1), signal_threshold=st.floats(0, 1))
def test_one_rule_holds_everywhere(score: float, doubt: float, signal_threshold: float) -> None:
    sample = answer(max(1 - doubt, 1e-300))
    signal = Doubt(signal_threshold)
    alone = signal.decide(QUESTION, ScriptedSampler([sample])).decision
    decision = cascade(score, signal_threshold).decide(QUESTION, ScriptedSampler([sample])).decision
    assert decision.score is not None
    assert decision.threshold is not None
    assert (decision.route == "cloud") == (decision.score >= decision.threshold)
    if 0.3 <= score < 0.7:
        assert decision.route == alone.route
    else:
        assert decision.route == ("cloud" if score >= 0.7 else "edge")


def test_an_adaptive_signal_keeps_its_verdict() -> None:
    signal = EntropyRouter(
        n_samples=10,
        adaptive=True,
        estimator="discrete",
        equivalence=ExactEquivalence(),
        threshold=0.37,
    )
    for answers in (["a", "a", "b"], ["a", "b", "c"], ["a"]):
        alone = signal.decide(QUESTION, ScriptedSampler(answers)).decision
        both = CascadeRouter(Trained(0.5), signal, band=(0.3, 0.7)).decide(QUESTION, ScriptedSampler(answers))
        assert both.decision.route == alone.route
        assert both.evidence is not None


def test_a_threshold_inside_of_the_band_is_the_signals() -> None:
    router = cascade(0.5)
    other = copy.copy(router)
    other.threshold = 0.34  # a tenth of the way through the band
    sampled = ScriptedSampler([answer(0.8)])
    assert router.decide(QUESTION, sampled).decision.route == "edge"
    decision = other.decide(QUESTION, sampled).decision
    assert (decision.route, decision.threshold) == ("cloud", 0.34)
    assert "doubt 0.20 >= 0.10" in decision.reason
    assert router.signal.threshold == 0.5
    assert CascadeRouter(Trained(0.5), Doubt(), band=(0.3, 0.7), threshold=0.7).threshold == 0.7


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.3, 0.71, 1.01])
@pytest.mark.parametrize("score", [0.0, 0.25, 0.3, 0.5, 0.69, 0.7, 0.9, 1.0])
def test_outside_of_the_band_the_threshold_leaves_the_signal_nothing_to_say(
    score: float, threshold: float
) -> None:
    edge = ScriptedSampler([answer(0.9)])
    router = CascadeRouter(Trained(score), Doubt(), band=(0.3, 0.7), threshold=threshold)
    decision = router.decide(QUESTION, edge).decision
    verdicts = set()
    for probability in (1.0, 0.5, 1e-300):
        sample = ScriptedSampler([answer(probability)])
        exact = router.drawing_all().decide(QUESTION, sample).decision.score
        assert exact is not None
        verdicts.add("cloud" if exact >= threshold else "edge")
    assert edge.draws == []
    assert verdicts == {decision.route}
    assert decision.settled_early == (0.3 <= score < 0.7)
    assert decision.score is not None
    assert (decision.score >= threshold) == (decision.route == "cloud")
    assert decision.threshold == threshold


def test_its_dial_holds_the_share_over_the_cascades_scores() -> None:
    rng = np.random.default_rng(0)
    dial = CloudShare(0.3)
    trained, signal = Trained(None), Doubt()
    router = CascadeRouter(trained, signal, band=(0.3, 0.7), threshold=dial)
    routes = []
    for _ in range(800):
        trained.score = float(rng.beta(3, 3))
        edge = ScriptedSampler([answer(float(rng.uniform(0.05, 1)))])
        routes.append(router.decide(QUESTION, edge).decision.route)
    assert np.mean([route == "cloud" for route in routes[100:]]) == pytest.approx(0.3, abs=0.05)
    assert signal.threshold == 0.5


def test_its_dial_rules_from_the_start_where_warm() -> None:
    dial = CloudShare(0.5, warm_start={"cascade": [0.35] * 10 + [0.6] * 10})
    router = CascadeRouter(Trained(0.5), Doubt(), band=(0.3, 0.7), threshold=dial)
    decision = router.decide(QUESTION, ScriptedSampler([answer(0.2)])).decision
    assert (decision.route, decision.threshold) == ("cloud", 0.6)


def test_a_signal_with_a_threshold_by_scale_rules_inside_of_the_band() -> None:
    for score, threshold in ((0.1, 0.3), (0.5, 0.38), (0.8, 0.7)):
        router = CascadeRouter(Trained(score), Doubt({"doubt": 0.2}), band=(0.3, 0.7))
        decision = router.decide(QUESTION, ScriptedSampler([answer(0.7)])).decision
        assert decision.threshold == pytest.approx(threshold)
        assert decision.route == ("edge" if score < 0.3 else "cloud")


def test_a_signal_that_stopped_early_makes_a_score_that_is_a_bound() -> None:
    for answers, route in ((["a"], "edge"), (["a", "b", "c", "d", "e"], "cloud")):
        signal = EntropyRouter(n_samples=5, adaptive=True, equivalence=ExactEquivalence())
        dial = CloudShare(0.5, window=20)
        router = CascadeRouter(Trained(0.5), signal, band=(0.3, 0.7), threshold=dial)
        decision = router.decide(QUESTION, ScriptedSampler(answers)).decision
        assert (decision.route, decision.settled_early) == (route, True)
        for _ in range(19):
            router.decide(QUESTION, ScriptedSampler(answers))
        low, high = (0.5, 0.7) if route == "cloud" else (0.3, 0.5)
        assert low <= dial.at("cascade", 0.0) <= high
        assert decision.score is not None
        assert low <= decision.score <= high
        whole = router.drawing_all().decide(QUESTION, ScriptedSampler(answers)).decision
        assert (whole.settled_early, whole.n_samples) == (False, 5)


def test_the_confidence_router_is_a_signal_and_its_default_rules() -> None:
    router = CascadeRouter(Trained(0.5), ConfidenceRouter(), band=(0.3, 0.7))
    alone = ConfidenceRouter().decide(QUESTION, ScriptedSampler([answer(0.9)])).decision
    decided = router.decide(QUESTION, ScriptedSampler([answer(0.9)]))
    assert alone.threshold is not None
    assert decided.decision.threshold == pytest.approx(0.3 + 0.4 * alone.threshold)
    assert decided.decision.settled_early == alone.settled_early
    assert router.drawing_all().decide(QUESTION, ScriptedSampler([answer(0.9)])).decision.n_samples == 5


async def test_sync_and_async_give_one_verdict() -> None:
    for score in (0.1, 0.5):
        decided = cascade(score).decide(QUESTION, ScriptedSampler([answer(0.6)]))
        assert await cascade(score).adecide(QUESTION, ScriptedSampler([answer(0.6)])) == decided


def test_a_private_request_stays_marked() -> None:
    request = RouteRequest.from_text("secret", private=True)
    for score in (0.1, 0.5):
        assert cascade(score).decide(request, ScriptedSampler([answer(0.6)])).decision.private


def test_a_signal_that_fails_is_an_error() -> None:
    with pytest.raises(SamplingError, match="no token log-probabilities"):
        cascade(0.5).decide(QUESTION, ScriptedSampler(["Paris"]))


def test_no_sampler_is_an_error_at_every_score() -> None:
    for score in (0.0, 0.5):
        with pytest.raises(ConfigurationError, match="CascadeRouter samples the edge model, but got no"):
            cascade(score).decide(QUESTION)


def test_a_router_without_a_score_is_refused() -> None:
    router = CascadeRouter(Trained(None), Doubt(), band=(0.3, 0.7))
    with pytest.raises(ConfigurationError, match="the trained router gave no score"):
        router.decide(QUESTION, ScriptedSampler(["x"]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"band": (0.7, 0.3)}, r"band is \(0.7, 0.3\)"),
        ({"band": (0.5, 0.5)}, "expected"),
        ({"band": (-0.1, 0.5)}, "expected"),
        ({"band": (0.3, 0.7), "signal": Doubt(1.5)}, "the signal's threshold is 1.5"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        CascadeRouter(Trained(0.5), **{"signal": Doubt(), **arguments})


def test_it_keeps_the_contract() -> None:
    assert isinstance(cascade(0.5), Router)
