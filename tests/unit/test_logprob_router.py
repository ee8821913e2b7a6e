import math
from typing import Any

import pytest

from confroute.decision import Router, RouteRequest, Sample, ToolCall, Usage
from confroute.errors import ConfigurationError, SamplingError
from confroute.routers.logprob import LogProbRouter
from confroute.testing import ScriptedSampler

QUESTION = RouteRequest.from_text("What is the capital of France?")
PRICED = Usage(input_tokens=10, output_tokens=2, usd=0.5)


def answer(probability: float, text: str = "Paris") -> Sample:
    """An answer of three tokens, each of this probability."""
    return Sample(text, logprob=3 * math.log(probability), n_tokens=3, usage=PRICED, model="edge")


def test_a_likely_answer_is_the_reply() -> None:
    edge = ScriptedSampler([answer(0.9)])
    decided = LogProbRouter(threshold=0.2).decide(QUESTION, edge)
    decision = decided.decision
    assert (decision.route, decision.method, decision.n_samples) == ("edge", "logprob", 1)
    assert decision.score == pytest.approx(0.1)
    assert decision.usage == Usage.none_spent()
    assert decided.draft is not None
    assert decided.draft.text == "Paris"
    assert decision.reason == (
        "the edge's answer has a mean token log-probability of -0.11: doubt 0.10 < 0.20, the edge is sure"
    )
    (draw,) = edge.draws
    assert (draw.n, draw.settings["temperature"], draw.settings["logprobs"]) == (1, 0.0, True)


def test_an_unlikely_answer_goes_to_the_cloud_and_is_paid_for() -> None:
    decided = LogProbRouter(threshold=0.2).decide(QUESTION, ScriptedSampler([answer(0.3)]))
    assert decided.decision.route == "cloud"
    assert decided.decision.score == pytest.approx(0.7)
    assert decided.decision.usage == PRICED
    assert decided.draft is None


def test_a_score_at_the_threshold_goes_to_the_cloud() -> None:
    sure = Sample("Paris", logprob=0.0, n_tokens=1)
    assert LogProbRouter(threshold=0).decide(QUESTION, ScriptedSampler([sure])).decision.route == "cloud"


def test_log_probabilities_beyond_their_range_give_a_score_in_its_range() -> None:
    for logprob, score in ((-math.inf, 1.0), (1e-6, 0.0)):
        sample = Sample("x", logprob=logprob, n_tokens=1)
        assert LogProbRouter().decide(QUESTION, ScriptedSampler([sample])).decision.score == score


async def test_sync_and_async_give_one_verdict() -> None:
    router, script = LogProbRouter(), [answer(0.6)]
    decided = router.decide(QUESTION, ScriptedSampler(script))
    assert await router.adecide(QUESTION, ScriptedSampler(script)) == decided


@pytest.mark.parametrize(
    "sample", [Sample("Paris", model="m"), Sample("Paris", logprob=math.nan, n_tokens=1)]
)
def test_no_log_probabilities_are_an_error(sample: Sample) -> None:
    with pytest.raises(SamplingError, match="gave no token log-probabilities"):
        LogProbRouter().decide(QUESTION, ScriptedSampler([sample]))


def test_an_empty_answer_is_no_draft() -> None:
    decided = LogProbRouter().decide(QUESTION, ScriptedSampler([answer(0.9, " ")]))
    assert decided.decision.route == "edge"
    assert decided.draft is None
    assert decided.decision.usage == PRICED


def test_a_tool_call_is_an_answer() -> None:
    call = Sample("", tool_calls=(ToolCall("add", {"a": 1}),), logprob=-0.1, n_tokens=5)
    assert LogProbRouter().decide(QUESTION, ScriptedSampler([call])).draft == call


def test_a_private_request_stays_marked() -> None:
    request = RouteRequest.from_text("secret", private=True)
    assert LogProbRouter().decide(request, ScriptedSampler([answer(0.9)])).decision.private


def test_no_sampler_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="LogProbRouter samples the edge model, but got no sampler"):
        LogProbRouter().decide(QUESTION)


def test_too_few_samples_are_an_error() -> None:
    class Silent(ScriptedSampler):
        def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
            return []

    with pytest.raises(SamplingError, match="0 of 1"):
        LogProbRouter().decide(QUESTION, Silent(["x"]))


@pytest.mark.parametrize("threshold", [-0.1, math.nan])
def test_bad_arguments(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match="threshold is"):
        LogProbRouter(threshold=threshold)


def test_it_keeps_the_contract() -> None:
    assert isinstance(LogProbRouter(), Router)
