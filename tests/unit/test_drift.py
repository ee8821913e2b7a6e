"""Drift: what a log says against calibration, and how often it cries wolf."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from confroute.decision import RouteDecision, RouteRequest, RouterInfo
from confroute.errors import ConfigurationError
from confroute.evaluation.drift import Logged, Reference, drift, read_log, read_reference
from confroute.execution.log import DecisionLog

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def logged(scores: Any, *, days: int = 1, threshold: float = 0.5, router: str = "trained 1") -> list[Logged]:
    n = len(scores)
    return [
        Logged(START + timedelta(days=i * days // n), float(score), threshold, router)
        for i, score in enumerate(scores)
    ]


def decision(score: float | None = 0.4, **fields: Any) -> RouteDecision:
    route = "cloud" if (score or 0) >= 0.5 else "edge"
    base = {"route": route, "score": score, "threshold": 0.5, "method": "trained", "reason": "because"}
    return RouteDecision(**(base | {"router": RouterInfo(name="trained", version="1")} | fields))


def test_scores_of_the_same_source_rarely_raise_an_alarm() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(50):
        found = drift(logged(rng.beta(2, 3, 400), days=4), Reference.of(rng.beta(2, 3, 500)))
        alarms += found.drifted
        assert found.n_tests == 10
    assert alarms <= 7  # at most 2.5 expected at a false alarm in 5 %; 8 or more has probability .003


def test_a_shift_is_found_and_the_share_restored() -> None:
    rng = np.random.default_rng(1)
    reference = rng.beta(2, 3, 1000)
    live = rng.beta(3, 2, 800)
    found = drift(logged(live), Reference.of(reference))
    assert found.drifted
    assert found.expected_share == pytest.approx((reference >= 0.5).mean())
    assert found.windows[0].share.estimate == pytest.approx((live >= 0.5).mean())
    assert found.proposed is not None
    best = min(np.append(live, 2.0), key=lambda t: abs((live >= t).mean() - found.expected_share))
    assert abs(found.proposed_share - found.expected_share) == pytest.approx(
        abs((live >= best).mean() - found.expected_share)
    )
    assert found.proposed.low <= found.proposed.estimate <= found.proposed.high
    assert "drift: for a cloud share of" in found.to_text()
    assert "not the quality" in found.to_text()


def test_one_bad_day_is_named() -> None:
    rng = np.random.default_rng(2)
    scores = np.concatenate([rng.beta(2, 3, 300), rng.beta(8, 2, 100)])
    found = drift(logged(scores, days=4), Reference.of(rng.beta(2, 3, 1000)))
    assert [w.name for w in found.windows[1:]] == ["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"]
    assert [w.p_scores <= 0.05 for w in found.windows[1:]] == [False, False, False, True]


def test_no_drift_proposes_nothing() -> None:
    scores = np.linspace(0, 1, 200)
    found = drift(logged(scores), Reference.of(scores))
    assert not found.drifted
    assert found.proposed is None
    assert "keep the threshold 0.500" in found.to_text()
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["proposed_share"] is None


def test_tied_scores_get_the_nearest_share_that_can_be_reached() -> None:
    live = np.repeat([0.0, 0.5, 1.0], [10, 10, 80])
    reference = np.repeat([0.0, 0.5, 1.0], [80, 5, 15])
    found = drift(logged(live, threshold=0.5), Reference.of(reference))
    assert found.expected_share == pytest.approx(0.2)
    assert found.proposed is not None
    assert found.proposed.estimate > 1  # nothing to the cloud is nearer to 20 % than 80 % is
    assert found.proposed_share == 0


def test_a_day_with_few_decisions_is_told_but_not_tested() -> None:
    rng = np.random.default_rng(3)
    log = logged(rng.random(100)) + [Logged(START + timedelta(days=1), 0.9, 0.5, "trained 1")] * 5
    found = drift(log, Reference.of(rng.random(100)))
    assert np.isnan(found.windows[-1].p_share)
    assert "too few" in found.to_text()


def test_only_the_last_routers_decisions_count() -> None:
    scores = np.linspace(0, 1, 100)
    found = drift(logged(scores, router="old 1") + logged(scores), Reference.of(scores), skipped=3)
    assert (found.router, found.windows[0].n, found.skipped) == ("trained 1", 100, 103)


def test_the_log_that_faces_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = DecisionLog(path, with_query=True)
    request = RouteRequest.from_text("who?")
    for score in (0.2, 0.7):
        log.write(request, decision(score), None)
    log.write(request, decision(None, method="forced", threshold=None, router=None), None)
    log.write(request, decision(0.9, private=True, method="private"), None)
    fell_back = decision(0.9, route="edge", method="fallback", fallback_from="cloud", fallback_cause="down")
    log.write(request, fell_back, None)
    found, others = read_log(path)
    assert [one.score for one in found] == [0.2, 0.7, 0.9]
    assert others == 2
    assert found[0].router == "trained 1"


@pytest.mark.parametrize(
    "line", ["{", '{"route": "edge"}', '{"time": "yesterday", "route": "edge"}', "[]", '{"time": 3}']
)
def test_a_line_that_is_no_decision_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ConfigurationError, match="line 1 is not a decision"):
        read_log(path)


def test_a_reference_is_a_table_a_log_or_a_calibration(tmp_path: Path) -> None:
    table = tmp_path / "questions.csv"
    table.write_text("question,score\na,0.25\nb,0.75\n")
    known = read_reference(table)
    assert known.scores is not None
    assert (known.n, known.share_at(0.5), list(known.scores)) == (2, 0.5, [0.25, 0.75])
    log = tmp_path / "log.jsonl"
    DecisionLog(log).write(RouteRequest.from_text("q"), decision(0.4), None)
    assert read_reference(log).share_at(0.4) == 1
    calibration = pytest.importorskip("confroute.calibration")
    made = calibration.calibrate(np.linspace(0, 1, 101), cloud_share=0.3)
    made.save(tmp_path / "calibration.json")
    kept = read_reference(tmp_path / "calibration.json")
    assert kept.scores is None
    assert kept.share_at(0.9) == pytest.approx(0.3, abs=0.02)


def test_without_calibration_scores_the_share_alone_is_tested() -> None:
    scores = np.linspace(0, 1, 100)
    found = drift(logged(scores), Reference(200, None, 0.2))
    assert np.isnan(found.windows[0].p_scores)
    assert found.drifted
    assert found.proposed_share == pytest.approx(0.2, abs=0.01)


def test_too_few_decisions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 20 of each"):
        drift(logged([0.5] * 19), Reference.of([0.5] * 50))
    with pytest.raises(ConfigurationError, match="0 decisions"):
        drift([], Reference.of([0.5] * 50))


def test_a_last_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = DecisionLog(path)
    for score in (0.1, 0.9):
        log.write(RouteRequest.from_text("q"), decision(score), None)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + whole.splitlines()[0][:40], encoding="utf-8")
    assert [one.score for one in read_log(path)[0]] == [0.1, 0.9]
    path.write_text(whole.splitlines()[0][:40] + "\n" + whole, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="line 1"):
        read_log(path)


def test_scores_that_are_bounds_tell_the_share_alone() -> None:
    rng = np.random.default_rng(0)
    reference = Reference.of(rng.random(400))
    bounds = [replace(one, settled_early=True) for one in logged(rng.random(200).round(1))]
    same = drift(bounds, reference)
    assert math.isnan(same.windows[0].p_scores)  # rounded scores would differ in distribution
    assert not same.drifted
    other = drift([replace(one, score=0.9) for one in bounds], reference)
    assert other.drifted
    assert other.proposed is None
    assert "calibrate on new questions" in other.to_text()


def test_a_bound_counts_where_it_tells_the_verdict() -> None:
    told = [replace(one, settled_early=True) for one in logged([0.1] * 30 + [0.9] * 30, threshold=0.5)]
    unknown = [replace(one, settled_early=True) for one in logged([0.3] * 10, threshold=0.35)]
    last = logged([0.1], threshold=0.2)[0]
    found = drift([*told, *unknown, last], Reference(100, None, 0.5))
    assert (found.windows[0].n, found.skipped) == (61, 10)


def test_a_log_of_bounds_is_a_reference_for_the_share(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    for score in (0.1, 0.2, 0.8, 0.9):
        route: Any = "cloud" if score >= 0.5 else "edge"
        log.write(RouteRequest.from_text("?"), decision(score, route=route, settled_early=True), None)
    reference = read_reference(tmp_path / "log.jsonl")
    assert (reference.n, reference.scores, reference.share) == (4, None, 0.5)
