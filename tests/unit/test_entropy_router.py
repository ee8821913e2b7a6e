import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute import CloudShare, EntropyRouter, RouteRequest, Sample
from confroute.decision import Router, Sampler, ToolCall, Usage
from confroute.errors import ConfigurationError, SamplingError
from confroute.routers.probing import BRIEF_INSTRUCTION
from confroute.testing import ScriptedRouter, ScriptedSampler
from confroute.uncertainty import ExactEquivalence
from confroute.uncertainty.equivalence import FloatArray, Pair

QUESTION = RouteRequest.from_text("What is the capital of France?")
EXACT = ExactEquivalence()


def test_agreement_stays_on_the_edge() -> None:
    decided = EntropyRouter().decide(QUESTION, ScriptedSampler(["Paris", "paris", "It is Paris."]))
    decision = decided.decision
    assert (decision.route, decision.score, decision.method) == ("edge", 0.0, "entropy")
    assert decision.reason == "5 edge answers with one meaning: uncertainty 0.00 < 0.50, the edge is sure"
    assert decision.n_samples == 5
    assert decided.draft is not None


def test_disagreement_goes_to_the_cloud() -> None:
    decided = EntropyRouter().decide(QUESTION, ScriptedSampler(["Paris", "Rome", "Bonn", "Oslo", "Bern"]))
    assert decided.decision.route == "cloud"
    assert decided.decision.score == 1.0
    assert decided.draft is None
    assert decided.evidence is not None
    assert [len(group) for group in decided.evidence.groups()] == [1] * 5


@given(
    answers=st.lists(st.sampled_from(["a", "b", "c"]), min_size=5, max_size=5), threshold=st.floats(0, 1.5)
)
def test_the_rule_is_score_at_least_threshold(answers: list[str], threshold: float) -> None:
    router = EntropyRouter(threshold=threshold, equivalence=EXACT)
    decision = router.decide(QUESTION, ScriptedSampler(answers)).decision
    assert decision.score is not None
    assert 0 <= decision.score <= 1
    assert (decision.route == "cloud") == (decision.score >= threshold)


async def test_sync_and_async_give_one_verdict() -> None:
    router = EntropyRouter()
    answers = ["Paris", "Rome", "Paris", "Paris", "Bern"]
    sync = router.decide(QUESTION, ScriptedSampler(answers))
    assert (await router.adecide(QUESTION, ScriptedSampler(answers))).decision == sync.decision


def test_the_draft_is_the_likeliest_of_the_largest_cluster() -> None:
    samples = [
        Sample("Rome", logprob=-0.1, n_tokens=1),
        Sample("paris", logprob=-9.0, n_tokens=3),
        Sample("Paris", logprob=-2.0, n_tokens=1),
        Sample("PARIS", logprob=-3.0, n_tokens=1),
        Sample("Rome", logprob=-0.2, n_tokens=1),
    ]
    router = EntropyRouter(threshold=1.1, equivalence=EXACT)
    decided = router.decide(QUESTION, ScriptedSampler(samples))
    assert decided.draft is not None
    assert decided.draft.text == "Paris"


def test_empty_answers_are_doubt_and_no_draft() -> None:
    decided = EntropyRouter().decide(QUESTION, ScriptedSampler([" "]))
    assert (decided.decision.route, decided.decision.score) == ("cloud", 1.0)
    assert decided.draft is None


def test_usage_counts_samples_and_not_the_reply() -> None:
    priced = Sample("Paris", usage=Usage(input_tokens=10, output_tokens=2, usd=0.5))
    full = EntropyRouter(probe="full").decide(QUESTION, ScriptedSampler([priced]))
    assert full.decision.usage == Usage(input_tokens=40, output_tokens=8, usd=2.0)
    brief = EntropyRouter(probe="brief").decide(QUESTION, ScriptedSampler([priced]))
    assert brief.decision.usage == Usage(input_tokens=50, output_tokens=10, usd=2.5)


def test_unknown_money_stays_unknown() -> None:
    samples = [Sample("a", usage=Usage(input_tokens=1, output_tokens=1, usd=1.0)), Sample("b")]
    decision = EntropyRouter(n_samples=2).decide(QUESTION, ScriptedSampler(samples)).decision
    assert decision.usage == Usage()


def test_a_brief_probe_asks_for_the_bare_answer() -> None:
    edge = ScriptedSampler(["Paris"])
    decided = EntropyRouter(probe="brief").decide(QUESTION, edge)
    (draw,) = edge.draws
    assert draw.n == 5
    assert [message.text for message in draw.settings["append"]] == [BRIEF_INSTRUCTION]
    assert draw.settings["max_tokens"] == 32
    assert decided.draft is None


def test_a_full_probe_asks_for_the_reply() -> None:
    edge = ScriptedSampler(["Paris"])
    EntropyRouter(probe="full", temperature=0.7).decide(QUESTION, edge)
    (draw,) = edge.draws
    assert draw.settings["append"] == ()
    assert draw.settings["max_tokens"] is None
    assert draw.settings["temperature"] == 0.7
    assert draw.settings["logprobs"] is True


def test_equal_tool_calls_mean_the_same() -> None:
    calls = [
        Sample("", tool_calls=(ToolCall("add", {"a": 1, "b": 2}),)),
        Sample("hm", (ToolCall("add", {"b": 2, "a": 1}),)),
    ]
    request = RouteRequest(QUESTION.messages, tools=("add",))
    assert EntropyRouter(n_samples=2).decide(request, ScriptedSampler(calls)).decision.score == 0.0


def test_a_call_of_a_tool_that_does_not_exist_is_no_sure_answer() -> None:
    calls = [Sample("", tool_calls=(ToolCall("subtract", {"a": 1}),))] * 2
    request = RouteRequest(QUESTION.messages, tools=("add",))
    decided = EntropyRouter(n_samples=2).decide(request, ScriptedSampler(calls))
    assert (decided.decision.route, decided.decision.score) == ("cloud", 1.0)
    assert "calls a tool that does not exist" in decided.decision.reason


def test_likelihood_weighs_clusters() -> None:
    samples = [Sample("a", logprob=math.log(0.9), n_tokens=1), Sample("b", logprob=math.log(0.1), n_tokens=1)]
    decided = EntropyRouter(n_samples=2, equivalence=EXACT).decide(QUESTION, ScriptedSampler(samples))
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert decided.decision.score == pytest.approx(entropy / math.log(2))


def test_a_private_request_stays_marked() -> None:
    request = RouteRequest.from_text("secret", private=True)
    assert EntropyRouter().decide(request, ScriptedSampler(["x"])).decision.private


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"n_samples": 0}, "n_samples is 0: expected at least 2"),
        ({"n_samples": 1}, "n_samples is 1: expected at least 2"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"threshold": math.nan}, "threshold is nan"),
        ({"probe": "long"}, "probe is 'long': expected 'full' or 'brief'"),
        ({"temperature": 0}, "temperature is 0: expected above 0"),
        ({"estimator": "best"}, "estimator is 'best': expected one of likelihood, discrete, paper"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        EntropyRouter(**arguments)


def test_no_sampler_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="got no sampler"):
        EntropyRouter().decide(QUESTION)


def test_too_few_samples_are_an_error() -> None:
    class Short(ScriptedSampler):
        def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
            return super().sample(request, n - 1, **settings)

    with pytest.raises(SamplingError, match="4 of 5"):
        EntropyRouter().decide(QUESTION, Short(["x"]))


def test_the_doubles_keep_the_contract() -> None:
    assert isinstance(ScriptedRouter("edge"), Router)
    assert isinstance(EntropyRouter(), Router)
    assert isinstance(ScriptedSampler(["x"]), Sampler)
    by_question = ScriptedSampler({"q": ["a", "b"]})
    assert [s.text for s in by_question.sample(RouteRequest.from_text("q"), 3)] == ["a", "b", "a"]
    assert by_question.sample(RouteRequest.from_text("q"), 1, seed=1)[0].text == "b"
    routed = ScriptedRouter({"q": "cloud"}).decide(RouteRequest.from_text("q"))
    assert routed.decision.route == "cloud"


@pytest.mark.parametrize("adaptive", [False, True])
def test_an_edge_that_is_sure_that_it_does_not_know_needs_the_cloud(adaptive: bool) -> None:
    answers = ["I don't know.", "I do not know", "I'm sorry, I don't know that.", "I have no idea.", "Paris"]
    decided = EntropyRouter(adaptive=adaptive).decide(QUESTION, ScriptedSampler(answers))
    assert (decided.decision.route, decided.decision.score, decided.draft) == ("cloud", 1.0, None)
    assert (
        "of 5 edge answers cannot be used (the first declines to answer): uncertainty 1.00 >= 0.50"
        in decided.decision.reason
    )
    mostly_answered = EntropyRouter(adaptive=adaptive).decide(
        QUESTION, ScriptedSampler(["Paris", "Paris", "Paris", "Paris", "I don't know."])
    )
    assert mostly_answered.decision.route == "edge"


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_dial_holds_its_share_of_calls(adaptive: bool) -> None:
    rng, routes = random.Random(0), []
    router = EntropyRouter(
        n_samples=4, threshold=CloudShare(0.4, window=100), equivalence=EXACT, adaptive=adaptive
    )
    for _ in range(400):
        several = rng.random() < 0.6
        answers = [rng.choice("abcdefgh") if several else "a" for _ in range(4)]
        decision = router.decide(QUESTION, ScriptedSampler(answers)).decision
        assert decision.score is not None
        assert decision.threshold is not None
        assert (decision.route == "cloud") == (decision.score >= decision.threshold)
        assert adaptive or not decision.settled_early
        assert decision.settled_early == (decision.n_samples < 4)
        routes.append(decision.route)
    assert routes[50:].count("cloud") / 350 == pytest.approx(0.4, abs=0.12)  # four answers tie often


def test_a_threshold_by_scale_names_the_probe() -> None:
    router = EntropyRouter(threshold={"entropy-discrete-brief-5": 0.2}, probe="brief", equivalence=EXACT)
    assert router.decide(QUESTION, ScriptedSampler(["a"])).decision.threshold == 0.2
    router = EntropyRouter(threshold={"entropy-discrete-brief-5": 0.2}, equivalence=EXACT)
    assert router.decide(QUESTION, ScriptedSampler(["a"])).decision.threshold == 0.5


class Joining(ExactEquivalence):
    """An equivalence by which all answers mean the same."""

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        return np.ones(len(pairs))


def test_the_draft_can_be_used() -> None:
    request = RouteRequest(
        QUESTION.messages, answer_schema={"type": "object", "properties": {}, "required": ["a"]}
    )
    fitting = Sample('{"a": 1}', logprob=-1.0, n_tokens=1)
    likelier = Sample('{"b": 1}', logprob=-0.1, n_tokens=1)
    router = EntropyRouter(n_samples=5, equivalence=Joining())
    decided = router.decide(request, ScriptedSampler([fitting, likelier, fitting, fitting, fitting]))
    assert decided.draft == fitting
    decided = router.decide(request, ScriptedSampler([likelier, fitting, likelier, likelier, likelier]))
    assert (decided.decision.route, decided.draft) == ("cloud", None)
    assert "4 of 5 edge answers cannot be used" in decided.decision.reason
