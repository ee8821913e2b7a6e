import math
from collections.abc import Callable

import pytest

from confroute import CloudShare
from confroute.decision import Message, Router, RouteRequest, Sample, ToolCall, Usage
from confroute.errors import ConfigurationError, SamplingError
from confroute.routers.self_check import CHECK_QUESTION, SelfCheckRouter
from confroute.testing import ScriptedSampler

QUESTION = RouteRequest.from_text("What is the capital of France?")
WITH_TOOL = RouteRequest(QUESTION.messages, tools=("add",))
DRAFT_USAGE = Usage(input_tokens=10, output_tokens=2, usd=0.5)
CHECK_USAGE = Usage(input_tokens=20, output_tokens=1, usd=0.25)


class CheckedSampler(ScriptedSampler):
    """An edge that answers "Paris" and, where asked to check, gives the checks of a script."""

    def __init__(self, *checks: str | Sample, draft: Sample | None = None) -> None:
        self.checks = [check if isinstance(check, Sample) else said(check) for check in checks]
        self.draft = draft if draft is not None else Sample("Paris", usage=DRAFT_USAGE, model="edge")
        super().__init__(self.reply)

    def reply(self, request: RouteRequest, number: int) -> Sample:
        checking = bool(self.draws[-1].settings["append"])
        return self.checks[number % len(self.checks)] if checking else self.draft


def said(text: str, probability: float | None = None) -> Sample:
    known = {} if probability is None else {"logprob": math.log(probability), "n_tokens": 1}
    return Sample(text, usage=CHECK_USAGE, model="edge", **known)  # type: ignore[arg-type]  # floats and ints by name


def test_the_edge_is_asked_about_its_own_answer() -> None:
    edge = CheckedSampler(said("Yes", 0.9))
    SelfCheckRouter().decide(QUESTION, edge)
    draft, check = edge.draws
    assert (draft.n, draft.settings["temperature"], draft.settings["append"]) == (1, None, ())
    assert check.settings["append"] == (Message("assistant", "Paris"), Message("user", CHECK_QUESTION))
    assert (check.n, check.settings["temperature"], check.settings["max_tokens"]) == (1, 0.0, 1)
    assert check.settings["logprobs"] is True


@pytest.mark.parametrize(
    ("check", "score"),
    [
        (said("Yes", 0.9), 0.1),
        (said(" yes.", 0.9), 0.1),
        (said("No", 0.9), 0.9),
        (said("**Correct", 0.75), 0.25),
        (said("wrong", 0.75), 0.75),
    ],
)
def test_the_score_is_read_off_the_log_probability(check: Sample, score: float) -> None:
    decision = SelfCheckRouter().decide(QUESTION, CheckedSampler(check)).decision
    assert decision.score == pytest.approx(score)
    assert decision.route == ("cloud" if score >= 0.5 else "edge")
    assert (decision.method, decision.n_samples) == ("self_check", 2)


def test_usage_counts_the_check_and_a_discarded_draft() -> None:
    kept = SelfCheckRouter().decide(QUESTION, CheckedSampler(said("Yes", 0.9)))
    assert kept.draft is not None
    assert kept.draft.text == "Paris"
    assert kept.decision.usage == CHECK_USAGE
    discarded = SelfCheckRouter().decide(QUESTION, CheckedSampler(said("No", 0.9)))
    assert discarded.draft is None
    assert discarded.decision.usage == DRAFT_USAGE + CHECK_USAGE


def test_votes_are_counted() -> None:
    edge = CheckedSampler("Yes", "No", "yes", "I think so", "Yes!")
    decision = SelfCheckRouter(votes=5).decide(QUESTION, edge).decision
    assert decision.score == pytest.approx(1 - 3 / 4)  # one cannot be read
    assert decision.n_samples == 6
    assert edge.draws[1].n == 5
    assert edge.draws[1].settings["temperature"] == 1.0
    assert decision.usage == Usage(input_tokens=100, output_tokens=5, usd=1.25)
    assert "share of yes in 5 checks 0.75" in decision.reason


async def test_sync_and_async_give_one_verdict() -> None:
    routers: list[Callable[[], SelfCheckRouter]] = [SelfCheckRouter, lambda: SelfCheckRouter(votes=3)]
    for router in routers:
        decided = router().decide(QUESTION, CheckedSampler(said("Yes", 0.6)))
        assert await router().adecide(QUESTION, CheckedSampler(said("Yes", 0.6))) == decided


@pytest.mark.parametrize(
    ("router", "edge", "told"),
    [
        (SelfCheckRouter(), CheckedSampler(said("The", 0.9)), "neither yes nor no"),
        (SelfCheckRouter(), CheckedSampler(said("", 0.9)), "neither yes nor no"),
        (SelfCheckRouter(votes=2), CheckedSampler("hm", "nobody knows"), "neither yes nor no"),
    ],
)
def test_what_cannot_be_read_is_an_error(router: SelfCheckRouter, edge: CheckedSampler, told: str) -> None:
    with pytest.raises(SamplingError, match=told):
        router.decide(QUESTION, edge)


def test_a_tool_call_is_checked_as_text() -> None:
    edge = CheckedSampler(said("Yes", 0.9), draft=Sample("", tool_calls=(ToolCall("add", {"a": 1}),)))
    decided = SelfCheckRouter().decide(WITH_TOOL, edge)
    assert edge.draws[1].settings["append"][0] == Message("assistant", 'add({"a": 1})')
    assert decided.draft == edge.draft


def test_without_log_probabilities_the_checks_are_votes() -> None:
    edge = CheckedSampler("Yes", "No", "Yes", "Yes", "Yes")
    decided = SelfCheckRouter().decide(QUESTION, edge)
    assert [draw.n for draw in edge.draws] == [1, 1, 5]
    assert decided.decision.score == pytest.approx(0.2)
    assert decided.decision.n_samples == 7
    assert decided.decision.router is not None
    assert decided.decision.router.name == "self-check-votes-5"


@pytest.mark.parametrize("draft", [Sample(" "), Sample("I don't know."), Sample("<think>It may be Pa")])
def test_an_answer_that_cannot_be_used_is_not_checked(draft: Sample) -> None:
    edge = CheckedSampler(said("Yes", 0.9), draft=draft)
    decided = SelfCheckRouter().decide(QUESTION, edge)
    assert (decided.decision.route, decided.decision.score, len(edge.draws)) == ("cloud", 1.0, 1)


def test_a_thought_is_not_checked() -> None:
    edge = CheckedSampler(said("Yes", 0.9), draft=Sample("<think>Lyon?</think>Paris"))
    SelfCheckRouter().decide(QUESTION, edge)
    assert edge.draws[1].settings["append"][0] == Message("assistant", "Paris")


def test_no_sampler_is_an_error() -> None:
    with pytest.raises(
        ConfigurationError, match="SelfCheckRouter samples the edge model, but got no sampler"
    ):
        SelfCheckRouter().decide(QUESTION)


def test_bad_arguments() -> None:
    with pytest.raises(ConfigurationError, match="votes is 0: expected at least 1"):
        SelfCheckRouter(votes=0)
    with pytest.raises(ConfigurationError, match="threshold is -1"):
        SelfCheckRouter(threshold=-1)


def test_it_keeps_the_contract() -> None:
    assert isinstance(SelfCheckRouter(), Router)


def test_its_two_scales_have_thresholds_and_windows_of_their_own() -> None:
    dial = CloudShare(0.5, window=20)
    for _ in range(20):
        SelfCheckRouter(threshold=dial).decide(QUESTION, CheckedSampler(said("Yes", 0.9)))
        SelfCheckRouter(threshold=dial, votes=2).decide(QUESTION, CheckedSampler("no"))
    assert dial.at("self-check", 0.5) == pytest.approx(0.1)
    assert dial.at("self-check-votes-2", 0.5) == 1.0
    decision = SelfCheckRouter(threshold=dial).decide(QUESTION, CheckedSampler(said("Yes", 0.8))).decision
    assert decision.route == "cloud"
    assert decision.threshold == pytest.approx(0.1)
    by_scale = {"self-check": 0.3, "self-check-votes-2": 1.01}
    decision = SelfCheckRouter(threshold=by_scale, votes=2).decide(QUESTION, CheckedSampler("no")).decision
    assert (decision.route, decision.threshold) == ("edge", 1.01)
