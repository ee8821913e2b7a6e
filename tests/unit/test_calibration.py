import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom  # type: ignore[import-untyped]  # SciPy ships no types

from confroute.calibration import Calibration, calibrate, clopper_pearson_upper, fixed_sequence, risk_grid
from confroute.calibration.calibrate import calibrate as run_calibrate
from confroute.calibration.folder import CALIBRATION, write_into
from confroute.calibration.risk import least_kept
from confroute.calibration.table import calibration_data, held_out_rows, is_held_out, read_rows
from confroute.commands.calibrate import calibrate as command
from confroute.errors import ConfigurationError
from confroute.evaluation import Costs
from confroute.heads import make_head
from confroute.heads.storage import Pair
from confroute.routers.trained import TrainedRouter
from confroute.uncertainty import ExactEquivalence

FloatArray = NDArray[np.float64]
ALPHA, CONFIDENCE = 0.1, 0.9
SETS, QUESTIONS = 1000, 500


class Words:
    """An encoder that needs no model: which of a few words a text holds."""

    name = "words"

    def encode(self, texts: Any) -> NDArray[np.float32]:
        words = ("easy", "hard", "the", "what", "is")
        return np.array([[1.0, *(float(word in text) for word in words)] for text in texts], dtype=np.float32)


def error_rate(scores: FloatArray) -> FloatArray:
    """The chance that the edge is wrong at a score: small where the score is, and .12 from a third on."""
    return np.minimum(0.02 + 0.3 * scores, 0.12)


def true_risk(threshold: FloatArray) -> FloatArray:
    """The mean of `error_rate` over uniform scores below a threshold."""
    grid = np.linspace(0, 1, 20_001)
    areas = np.concatenate([[0.0], np.cumsum((error_rate(grid[1:]) + error_rate(grid[:-1])) / 2) * grid[1]])
    area = np.interp(np.minimum(threshold, 1), grid, areas)
    risk: FloatArray = area / np.clip(np.minimum(threshold, 1), 1e-9, None)
    return risk


def broken(thresholds: FloatArray) -> float:
    """The part of the calibrations whose promise does not hold; a threshold of 0 promises nothing."""
    risks = np.where(thresholds > 0, true_risk(thresholds), 0.0)
    return float((risks > ALPHA + 1e-12).mean())


@pytest.fixture(scope="module")
def calibration_sets() -> tuple[FloatArray, FloatArray, FloatArray]:
    """1,000 calibration sets of 500 questions, and training scores that place the grid."""
    rng = np.random.default_rng(7)
    scores = rng.random((SETS, QUESTIONS))
    wrong = (rng.random((SETS, QUESTIONS)) < error_rate(scores)).astype(float)
    return scores, wrong, rng.random(2000)


def test_the_promise_holds_where_naive_tuning_breaks_it(
    calibration_sets: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    scores, wrong, training = calibration_sets
    assert true_risk(np.ones(1))[0] > ALPHA  # a threshold that keeps all breaks the promise
    assert true_risk(np.full(1, 0.2))[0] < ALPHA  # and a careful one keeps it
    grid = risk_grid(training, QUESTIONS, alpha=ALPHA, confidence=CONFIDENCE)
    passed, kept, errors, bound = fixed_sequence(scores, wrong, grid, alpha=ALPHA, confidence=CONFIDENCE)
    steps = np.append(0.0, grid)
    ours = steps[passed]
    observed = errors / np.maximum(kept, 1)
    naive = steps[np.where(observed <= ALPHA, np.arange(1, len(grid) + 1), 0).max(axis=1)]
    unordered = steps[np.where(bound <= ALPHA, np.arange(1, len(grid) + 1), 0).max(axis=1)]
    limit = binom.ppf(0.999, SETS, 1 - CONFIDENCE) / SETS  # what a promise kept at its rate can look like
    assert broken(ours) <= limit
    assert broken(naive) > 2 * limit
    assert broken(unordered) > broken(ours)
    assert (ours > 0).mean() > 0.4  # and it is not kept by promising nothing


def test_the_worst_case_breaks_at_most_at_the_stated_rate() -> None:
    """Every threshold has a risk just above α: each pass is a broken promise."""
    rng = np.random.default_rng(3)
    scores = rng.random((SETS, QUESTIONS))
    wrong = rng.random((SETS, QUESTIONS)) < ALPHA + 0.001
    grid = risk_grid(rng.random(2000), QUESTIONS, alpha=ALPHA, confidence=CONFIDENCE)
    passed, _, _, bound = fixed_sequence(scores, wrong, grid, alpha=ALPHA, confidence=CONFIDENCE)
    limit = binom.ppf(0.999, SETS, 1 - CONFIDENCE) / SETS
    assert np.mean(passed > 0) <= limit
    assert (bound <= ALPHA).any(axis=1).mean() > 1.5 * limit  # the best of all that pass on their own


def test_calibrate_is_what_was_simulated(calibration_sets: tuple[FloatArray, FloatArray, FloatArray]) -> None:
    scores, wrong, training = calibration_sets
    grid = risk_grid(training, QUESTIONS, alpha=ALPHA, confidence=CONFIDENCE)
    for one, errors in zip(scores[:20], wrong[:20], strict=True):
        found = calibrate(one, risk=ALPHA, wrong=errors, wrong_by="gold", reference_scores=training)
        passed, kept, _, _ = fixed_sequence(one, errors, grid, alpha=ALPHA, confidence=CONFIDENCE)
        assert found.risk is not None
        assert found.risk.n_passed == passed
        assert found.threshold == (pytest.approx(grid[passed - 1]) if passed else None)
        assert found.risk.kept == kept[max(0, passed - 1)]


@given(n=st.integers(1, 300), k=st.integers(0, 300), confidence=st.floats(0.5, 0.99))
def test_the_bound_is_clopper_pearsons(n: int, k: int, confidence: float) -> None:
    bound = float(clopper_pearson_upper(k, n, confidence))
    if k >= n:
        assert bound == 1
    else:
        assert binom.cdf(k, n, bound) == pytest.approx(1 - confidence, abs=1e-9)


def test_no_questions_kept_prove_nothing() -> None:
    assert clopper_pearson_upper([0, 0], [0, 22], 0.9).tolist() == pytest.approx([1.0, 0.0994], abs=1e-3)
    assert least_kept(0.1, 0.9) == 22


def test_the_first_threshold_keeps_enough_to_pass() -> None:
    training = np.random.default_rng(0).random(5000)
    grid = risk_grid(training, 400, alpha=0.1, confidence=0.9)
    assert (training < grid[0]).mean() * 400 == pytest.approx(4 * 22, abs=1)
    assert (training < grid[-1]).all()
    assert (np.diff(grid) > 0).all()
    assert len(risk_grid(training, 40, alpha=0.1, confidence=0.9)) == 0


def test_a_risk_that_cannot_be_promised() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(400)
    found = calibrate(scores, risk=0.05, wrong=np.ones(400), wrong_by="judge")
    assert (found.met, found.threshold, found.cloud_share) == (False, None, None)
    assert "wrong by a judge's verdict" in found.reason
    assert "already the most careful threshold keeps too many errors" in found.reason
    few = calibrate(scores[:30], risk=0.05, wrong=np.zeros(30), wrong_by="judge")
    assert not few.met
    assert "24 questions to test on are too few, it takes 180 kept on the edge" in few.reason


def test_a_promise_names_what_wrong_means() -> None:
    scores = np.random.default_rng(1).random(400)
    found = calibrate(scores, risk=0.1, wrong=scores > 0.5, wrong_by="disagreement")
    assert found.met
    assert found.risk is not None
    assert (found.risk.wrong_by, found.risk.n_tested, found.risk.n_placed) == ("disagreement", 320, 80)
    assert "at most 10.0% are in disagreement with the cloud's answer, with confidence 0.9" in found.reason
    assert found.risk.bound <= 0.1


@given(
    values=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    share=st.floats(0, 1),
)
def test_a_share_is_the_largest_within_reach(values: list[int], share: float) -> None:
    scores = np.array(values) / 5
    found = calibrate(scores, cloud_share=share)
    assert found.threshold is not None
    assert found.cloud_share is not None
    achieved = float((scores >= found.threshold).mean())
    assert achieved == found.cloud_share.estimate <= share + 1e-9
    reachable = [float((scores >= value).mean()) for value in scores]
    assert not any(achieved < other <= share for other in reachable)


def test_ties_are_told() -> None:
    found = calibrate([0.0] * 60 + [1.0] * 40, cloud_share=0.3)
    assert found.cloud_share is not None
    assert found.cloud_share.estimate == 0
    assert found.cloud_share.high > 0.03
    assert found.reason.endswith("scores are tied, so that the next one is 40.0%")


def test_thresholds_lie_between_scores() -> None:
    scores = np.array([0.1, 0.3 + 1e-12, 0.3, 0.7])
    assert calibrate(scores, cloud_share=0.75).threshold == pytest.approx(0.2)
    assert calibrate(scores, cloud_share=0.5).threshold == pytest.approx(0.5)
    assert calibrate(scores, cloud_share=1.0).threshold == 0.0


def test_a_quality() -> None:
    scores = np.linspace(0, 1, 100)
    edge, cloud = (scores < 0.7).astype(float), np.ones(100)
    found = calibrate(scores, quality=0.5, edge_quality=edge, cloud_quality=cloud)
    assert found.cloud_share is not None
    assert found.recovered is not None
    assert found.quality is not None
    assert found.cloud_share.estimate == 0.15
    assert found.recovered.estimate == 0.5
    assert found.recovered.low < 0.5 < found.recovered.high
    assert found.quality.estimate == pytest.approx(0.85)


def test_a_quality_without_a_gap_cannot_be_met() -> None:
    found = calibrate([0.1, 0.9], quality=0.5, edge_quality=[1, 1], cloud_quality=[1, 0])
    assert not found.met
    assert "no gap to recover" in found.reason


def test_a_cost() -> None:
    scores = np.linspace(0, 1, 100)
    costs = Costs.of(np.full(100, 0.001), np.full(100, 0.011))
    found = calibrate(scores, usd_per_1000=3.0, costs=costs)
    assert found.cloud_share is not None
    assert found.usd_per_1000 is not None
    assert found.cloud_share.estimate == pytest.approx(0.2)
    assert found.usd_per_1000.estimate == pytest.approx(3.0)
    dear = calibrate(scores, usd_per_1000=0.5, costs=costs)
    assert not dear.met
    assert "the cheapest threshold costs 1" in dear.reason


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    found = calibrate(
        np.random.default_rng(1).random(400),
        risk=0.2,
        wrong=np.zeros(400),
        wrong_by="gold",
        data="held out",
        scored_by={"router": "entropy", "estimator": "discrete", "n_samples": 10, "equivalence": "exact"},
    )
    found.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == found
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="not a calibration that this version reads"):
        Calibration.load(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "0 targets given"),
        ({"cloud_share": 0.5, "risk": 0.1}, "2 targets given"),
        ({"cloud_share": 1.5}, "cloud_share is 1.5"),
        ({"risk": 0.1}, "risk needs wrong"),
        ({"risk": 0.1, "wrong": [0, 1]}, "wrong_by, which names"),
        ({"risk": 0.1, "wrong": [0.5, 1], "wrong_by": "gold"}, "other numbers than 0 and 1"),
        ({"risk": 1.0, "wrong": [0, 1], "wrong_by": "gold"}, "risk is 1.0"),
        ({"quality": 0.5}, "quality needs outcomes"),
        ({"quality": 0.5, "edge_quality": [1, 0]}, "one quality is given"),
        ({"usd_per_1000": 5}, "usd_per_1000 needs costs"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        calibrate([0.2, 0.8], **arguments)


def test_scores_outside_their_range_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="scores span -1 to 0"):
        calibrate([-1.0, 0.0], cloud_share=0.5)


def test_calibration_needs_nothing_heavy() -> None:
    code = "import confroute.calibration, sys; assert not {'scipy', 'sklearn', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Files and the command.


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labelled(n: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        hard = i % 2 == 1
        right = bool(rng.random() < (0.3 if hard else 0.97))
        rows.append(
            {
                "prompt": json.dumps([f"what is the {'hard' if hard else 'easy'} {i}"]),
                "response_a": "Paris" if right else "Rome",
                "response_b": "paris",
                "correct_a": right,
                "correct_b": True,
                "normalized_entropy_a": 0.8 if hard else 0.1,
                "estimator_a": "likelihood",
                "run": json.dumps({"edge": "small", "n": 10, "labels": {"equivalence": "exact"}}),
            }
        )
    return rows


def test_a_table_of_each_kind_gives_the_same(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    rows = [{"score": 0.25, "edge_correct": True}, {"score": 0.75, "edge_correct": False}]
    write_jsonl(tmp_path / "t.jsonl", rows)
    (tmp_path / "t.csv").write_text("score,edge_correct\n0.25,True\n0.75,False\n")
    pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.csv", "t.parquet"):
        data = calibration_data(read_rows(tmp_path / name), wrong_by="gold")
        assert data.scores.tolist() == [0.25, 0.75]
        assert data.wrong is not None
        assert data.wrong.tolist() == [0.0, 1.0]


def test_disagreement_is_found_by_meaning() -> None:
    rows = labelled(50)
    data = calibration_data(rows, wrong_by="disagreement", equivalence=ExactEquivalence)
    gold = calibration_data(rows, wrong_by="gold")
    assert data.wrong is not None
    assert gold.wrong is not None
    assert data.wrong.tolist() == gold.wrong.tolist()
    assert data.scored_by["estimator"] == "likelihood"
    assert data.scored_by["n_samples"] == 10
    assert data.scored_by["equivalence"] == "exact"


def test_rows_without_a_verdict_are_dropped_and_counted() -> None:
    rows: list[dict[str, Any]] = [
        {"score": 0.1, "edge_correct": None},
        {"score": 0.2, "edge_correct": 1},
        {"score": ""},
    ]
    data = calibration_data(rows, wrong_by="gold")
    assert (len(data.scores), data.dropped) == (1, 2)


def test_rows_without_a_rating_are_dropped_where_quality_is_the_target() -> None:
    rows = [{"score": 0.1, "edge_correct": 1, "cloud_correct": c} for c in (1, None, 0)]
    assert calibration_data(rows).cloud_quality is None
    rated = calibration_data(rows, rated=True)
    assert rated.cloud_quality is not None
    assert rated.cloud_quality.tolist() == [1, 0]
    assert rated.dropped == 1
    with pytest.raises(ConfigurationError, match="does not tell the quality of the cloud's answers"):
        calibration_data([{"score": 0.1, "edge_correct": 1}], rated=True)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"edge_correct": 1}], "does not tell the scores: expected a column 'score'"),
        ([{"score": 0.5}], "does not tell whether the edge is right"),
        ([{"score": "much", "edge_correct": 1}], "row 1, 'score' is 'much': expected a number"),
        ([{"score": None, "edge_correct": 1}, {"score": 0.1, "edge_correct": ""}], "no row has both"),
    ],
)
def test_bad_tables(rows: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        calibration_data(rows, wrong_by="gold")


def test_bad_files(tmp_path: Path) -> None:
    for name, text in (("a.txt", "x"), ("b.jsonl", "{"), ("c.jsonl", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match=name):
            read_rows(tmp_path / name)


def test_held_out_questions_are_the_same_every_time() -> None:
    rows = [{"question": f"Question {i}"} for i in range(2000)]
    kept = held_out_rows(rows, 0.3)
    assert len(kept) / len(rows) == pytest.approx(0.3, abs=0.04)
    assert all(is_held_out(row["question"].upper() + " ", 0.5) for row in kept)


def saved_router(folder: Path) -> TrainedRouter:
    router = TrainedRouter(
        head=make_head("knn", {"n_neighbors": 5}),
        encoder=Words(),
        pair=Pair(edge="small", cloud="big"),
        card="# A router\n",
    )
    texts = [f"what is the {kind} {i}" for i in range(10) for kind in ("easy", "hard")]
    router.fit(texts, ["edge", "cloud"] * 10).save(folder)
    return router


def test_a_router_folder_takes_its_threshold(tmp_path: Path) -> None:
    router = saved_router(tmp_path / "r")
    found = run_calibrate(
        router.score(["what is the easy one", "what is the hard one"]), cloud_share=0.5, data="two questions"
    )
    for _ in range(2):  # the second time replaces the first
        write_into(tmp_path / "r", found)
    loaded = TrainedRouter.load(tmp_path / "r", encoder=Words())
    assert loaded.threshold == found.threshold
    assert loaded.card.count("## Calibration") == 1
    assert loaded.card.startswith("# A router\n")
    assert "two questions, n = 2" in loaded.card
    assert Calibration.load(tmp_path / "r" / CALIBRATION) == found


def test_a_target_that_is_not_met_is_not_written(tmp_path: Path) -> None:
    saved_router(tmp_path / "r")
    unmet = calibrate([0.1, 0.9], quality=0.5, edge_quality=[1, 1], cloud_quality=[1, 0])
    with pytest.raises(ConfigurationError, match="there is no threshold to write"):
        write_into(tmp_path / "r", unmet)


def test_the_command_with_a_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_router(tmp_path / "r")
    data = write_jsonl(tmp_path / "held_out.jsonl", labelled(600))
    monkeypatch.setattr("confroute.commands.calibrate._encoder", lambda model: Words())
    result = CliRunner().invoke(
        command,
        [str(data), "--router", str(tmp_path / "r"), "--risk", "0.1", "--out", str(tmp_path / "c.json")],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    found = Calibration.load(tmp_path / "c.json")
    assert found.scored_by == {
        "router": "trained-knn",
        "encoder": "words",
        "pair": {"edge": "small", "cloud": "big"},
    }
    assert found.cloud_share is not None
    assert found.cloud_share.estimate == 0.5
    assert TrainedRouter.load(tmp_path / "r", encoder=Words()).threshold == found.threshold
    assert "wrong by gold answers" in result.output


def test_the_command_with_entropies_and_prices(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "held_out.jsonl", labelled(600))
    arguments = [str(data), "--usd-per-1000", "3", "--edge-usd", "0.001", "--cloud-usd", "0.005"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "the largest cloud share within 3 US dollars per 1,000 questions is 50.0%" in result.output


@pytest.mark.parametrize("known", [[], ["--cloud-usd", "0.005"]])
def test_the_command_says_which_flags_a_cost_needs(tmp_path: Path, known: list[str]) -> None:
    data = write_jsonl(tmp_path / "held_out.jsonl", labelled(60))
    result = CliRunner().invoke(command, [str(data), "--usd-per-1000", "3", *known])
    assert result.exit_code == 2
    assert "give --edge-usd and --cloud-usd, or full columns 'edge_usd'" in " ".join(result.output.split())
    assert "Costs.of" not in result.output


def test_the_command_says_when_it_cannot(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "held_out.jsonl", labelled(60))
    result = CliRunner().invoke(command, [str(data), "--risk", "0.01"], catch_exceptions=False)
    assert result.exit_code == 3
    assert "cannot be promised" in result.output


def test_questions_that_trained_the_router_promise_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_router(tmp_path / "r")
    monkeypatch.setattr("confroute.commands.calibrate._encoder", lambda model: Words())
    rows = labelled(600)
    texts = [json.loads(row["prompt"])[0] for row in rows]
    TrainedRouter.load(tmp_path / "r", encoder=Words()).fit(texts[:500], ["edge", "cloud"] * 250).save(
        tmp_path / "r"
    )
    data = write_jsonl(tmp_path / "all.jsonl", rows)
    arguments = [str(data), "--router", str(tmp_path / "r"), "--cloud-share", "0.5"]
    result = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "c.json")])
    assert "500 questions left out: they trained the router" in result.output
    assert Calibration.load(tmp_path / "c.json").n == 100
    seen = write_jsonl(tmp_path / "seen.jsonl", rows[:500])
    result = CliRunner().invoke(command, [str(seen), *arguments[1:]])
    assert result.exit_code == 2
    assert "--hold-out" in result.output


@pytest.mark.parametrize("told", [True, "true", "True", 1])
def test_scores_that_are_bounds_calibrate_nothing(told: object) -> None:
    rows: list[dict[str, Any]] = [{"score": i / 10, "edge_correct": 1} for i in range(10)]
    bounds = [{"score": 0.5, "edge_correct": 0, "settled_early": told}] * 3
    table = calibration_data([*rows, *bounds])
    assert (len(table.scores), table.settled, table.dropped) == (10, 3, 0)
    with_text = [row | {"question": "?"} for row in [*rows, *bounds]]
    assert calibration_data(with_text, scorer=lambda asked: np.zeros(len(asked))).settled == 0
    with pytest.raises(ConfigurationError, match="every score is a bound"):
        calibration_data(bounds)


def test_scores_of_two_scales_are_refused() -> None:
    rows = [{"score": 0.1, "router": "a"}, {"score": 0.2, "router": {"name": "b", "version": "1"}}]
    with pytest.raises(ConfigurationError, match="1 rows of 'a', 1 rows of 'b'"):
        calibration_data(rows)
    assert len(calibration_data([*rows[:1], {"score": 0.3, "router": ""}, {"score": 0.3}]).scores) == 3


def test_the_command_tells_how_many_scores_are_bounds(tmp_path: Path) -> None:
    rows = [{"score": i / 10, "settled_early": i % 2 == 0} for i in range(10)]
    table = write_jsonl(tmp_path / "t.jsonl", rows)
    done = CliRunner().invoke(command, [str(table), "--cloud-share", "0.4"])
    assert done.exit_code == 0
    assert "5 rows left out: drawing stopped once the verdict was settled" in done.output
