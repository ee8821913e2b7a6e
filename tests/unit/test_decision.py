import json

import pytest
from pydantic import ValidationError

from confroute.decision import (
    Message,
    RouteDecision,
    RouteRequest,
    Sample,
    ToolCall,
    Usage,
    clip_score,
    total_usage,
)


def test_the_query_is_the_last_human_turn() -> None:
    request = RouteRequest((Message("system", "Be kind."), Message("user", "Who wrote Effi Briest?")))
    assert request.query == "Who wrote Effi Briest?"


def test_a_follow_up_is_read_with_the_exchange_before_it() -> None:
    request = RouteRequest(
        (
            Message("user", "Delete the old backups?"),
            Message("assistant", "Shall I delete all of 2019?"),
            Message("user", "yes, do it"),
        )
    )
    assert request.query == "Delete the old backups?\nShall I delete all of 2019?\nyes, do it"


def test_a_full_question_stands_alone() -> None:
    question = "And now tell me in which year the Battle of Lepanto took place"
    request = RouteRequest((Message("user", "Hi"), Message("assistant", "Hello"), Message("user", question)))
    assert request.query == question


def test_nobody_has_spoken() -> None:
    assert RouteRequest(()).query == ""
    assert RouteRequest((Message("system", "x"),)).query == ""


def test_a_decision_survives_json() -> None:
    decision = RouteDecision(
        route="cloud", score=0.7, threshold=0.5, method="entropy", reason="unsure", usage=Usage(usd=None)
    )
    data = json.loads(json.dumps(decision.to_dict()))
    assert data["usage"]["usd"] is None
    assert RouteDecision.model_validate(data) == decision


def test_a_decision_is_frozen_and_checked() -> None:
    decision = RouteDecision(route="edge", method="forced", reason="x")
    with pytest.raises(ValidationError):
        decision.route = "cloud"
    with pytest.raises(ValidationError):
        RouteDecision(route="edge", method="forced", reason="x", score=1.5)


def test_usage_adds_and_unknown_stays_unknown() -> None:
    known = Usage(input_tokens=1, output_tokens=2, usd=0.5)
    assert known + known == Usage(input_tokens=2, output_tokens=4, usd=1.0)
    assert (known + Usage(input_tokens=1, output_tokens=1)).usd is None
    assert total_usage([]) == Usage(input_tokens=0, output_tokens=0, usd=0.0)
    assert total_usage([known, None]) == Usage()


def test_samples() -> None:
    assert Sample("x", logprob=-6.0, n_tokens=3).mean_logprob == -2.0
    assert Sample("x", logprob=-6.0).mean_logprob is None
    assert Sample(" \n").is_empty
    assert not Sample("", tool_calls=(ToolCall("t"),)).is_empty
    assert ToolCall("t", {"b": 1, "a": [1]}).key == ToolCall("t", {"a": [1], "b": 1}).key


@pytest.mark.parametrize(("raw", "clipped"), [(-1, "0.0"), (-0.0, "0.0"), (0.5, "0.5"), (7, "1.0")])
def test_scores_are_clipped(raw: float, clipped: str) -> None:
    assert str(clip_score(raw)) == clipped
