"""How the example apps are measured: scores, the other half's thresholds, and the order of what is timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from confroute import ConfidenceRouter, RouteRequest
from confroute.decision import RouteDecision, Sample
from confroute.errors import ConfRouteError
from confroute.testing import ScriptedSampler
from examples import measure, measured

COLUMNS = {name: way.column for name, way in measure.ROUTED.items()}
QUESTION = RouteRequest.from_text("When does the shop close?")


def rows(n: int = 60) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [
        {
            "question": f"q{i}",
            "topic": "stated",
            **{column: float(rng.random()) for column in COLUMNS.values()},
            "edge_quality": 0.0,
            "full_quality": 0.5,
            "cloud_quality": 1.0,
            "brief": {"scale": "confidence-brief-4" if i else None},
            "full": {"scale": "agreement-full-4" if i else None},
        }
        for i in range(n)
    ]


def test_scores_are_of_all_samples() -> None:
    edge = ScriptedSampler([Sample("at 13:00", logprob=-0.5, n_tokens=1)])
    observed = measure.Observed(ConfidenceRouter().drawing_all())
    observed.decide(QUESTION, edge)
    found = measure.scores_of(observed.taken())
    doubt = 1 - np.exp(-0.5)
    assert (found["rule"], found["agreement"], found["product"]) == pytest.approx((0, 0, 0))
    assert found["probability"] == pytest.approx(1 - doubt)
    assert [draw.n for draw in edge.draws] == [1, 4]
    assert observed.taken() is None
    assert measure.scores_of(None)["rule"] == 1


def test_an_edge_without_log_probs_is_not_asked_for_them() -> None:
    edge = ScriptedSampler(["at 13:00"])
    observed = measure.Observed(ConfidenceRouter())
    observed.tells_logprobs = False
    observed.decide(QUESTION, edge)
    assert {draw.settings["logprobs"] for draw in edge.draws} == {False}


def test_a_long_open_reply_keeps_what_its_probability_was() -> None:
    reply = Sample("The shop closes when the last guest has left. " * 12, logprob=-50.0, n_tokens=100)
    observed = measure.Observed(ConfidenceRouter().drawing_all())
    observed.decide(QUESTION, ScriptedSampler([reply, "at 13:00"]))
    found = measure.scores_of(observed.taken())
    assert found["scale"] == "agreement-full-4"
    assert found["rule"] == pytest.approx(found["agreement"])
    assert found["product"] == pytest.approx((1 - np.exp(-0.5)) * found["agreement"])


def test_a_threshold_is_that_of_the_other_half() -> None:
    scored = rows()
    cuts = measure.thresholds(scored, 0.3)
    for way, column in COLUMNS.items():
        for half in (0, 1):
            (cut,) = {cuts[way, row["question"]] for row in scored[half::2]}
            others = [row[column] for row in scored[1 - half :: 2]]
            assert np.mean([score >= cut for score in others]) == pytest.approx(0.3)


def test_every_way_is_timed_on_every_question_and_none_in_a_row() -> None:
    order = [(row["question"], way) for row, way in measure.steps(rows(30), 8)]
    assert sorted(set(order)) == sorted(order)
    for way, n in (("edge", 30), ("brief", 30), ("brief, no log-probs", 30), ("entropy", 30), ("full", 8)):
        assert sum(one == way for _, one in order) == n
    for i in range(len(order) - 5):
        near = [question for question, _ in order[i : i + 5]]
        assert len(set(near)) == 5


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    kept = measure.Kept(tmp_path / "rows.jsonl")
    kept.add({"question": "é"})
    kept.add({"question": "b"})
    assert measure.Kept(tmp_path / "rows.jsonl").rows == kept.rows == [{"question": "é"}, {"question": "b"}]


def test_a_ratio_of_means_and_its_interval() -> None:
    found = measured.ratio([3.0, 5.0, 4.0], [1.0, 2.0, 1.0])
    assert found.estimate == pytest.approx(3.0)
    assert found.low <= 3 <= found.high
    assert measured.ratio([2.0, 4.0], [1.0, 2.0]).high == pytest.approx(2.0)


def test_the_tables_tell_shares_qualities_and_times() -> None:
    scored = rows()
    cuts = dict.fromkeys(measure.thresholds(scored, 0.3), 2.0)
    times = [
        {"way": way, "question": f"q{i}", "seconds": seconds, "first": 1.0, "calls": 2, "right": 1.0}
        for way, seconds in (("edge", 2.0), ("brief", 3.0))
        for i in range(10)
    ]
    told = measured.told(scored, times, cuts, COLUMNS)
    assert "| edge only | 0 [0, 0] | 0% | 10 |" in told
    assert "| full | 50 [50, 50] | 0% | 0 |" in told
    assert "1.50 [1.50, 1.50] |" in told
    assert "the 59 questions for which something was retrieved" in told
    assert "- scales of the full looks: agreement-full-4 59; not looked at 1" in told


class App:
    """An app that streams one answer in two chunks."""

    def __init__(self, fallback_from: str | None = None) -> None:
        from confroute.execution.accounts import Stats

        self.stats = Stats()
        self.decision = RouteDecision(
            route="edge", score=0.1, threshold=0.5, method="confidence", reason="r", n_samples=1
        ).to_dict() | {"fallback_from": fallback_from}

    def ask(self, question: str, *, threshold: float | None, private: bool) -> Any:
        from examples.page.turn import Turn

        yield Turn([])
        yield Turn([], self.decision, "At 13:00")
        yield Turn([], self.decision, "At 13:00 [1].")


def test_an_answer_is_graded_without_its_citations() -> None:
    row = {"question": "q", "kind": "stated", "answers": ["13:00"]}
    asked = measure.ask(App(), row)  # type: ignore[arg-type]  # no page is drawn of it
    assert asked.right
    assert 0 <= asked.first <= asked.seconds
    with pytest.raises(ConfRouteError, match="q: r"):
        measure.ask(App("cloud"), row)  # type: ignore[arg-type]  # the same


def test_outcomes_are_what_evaluate_reads(tmp_path: Path) -> None:
    from confroute.evaluation import read_outcomes

    path = measure.write_outcomes(rows(), tmp_path)
    assert "brief" not in json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert set(read_outcomes(path).scores) == {"score", "agreement", "entropy", "full"}
