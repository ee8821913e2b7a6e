"""A cascade's band and threshold, fitted to money."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from confroute.calibration import CascadeCalibration, calibrate_cascade
from confroute.calibration.cascade import _cheapest_cascade, _cuts, _Rule, _Table
from confroute.calibration.table import cascade_data
from confroute.cli import main
from confroute.decision import Decided, RouteDecision, RouteRequest, RouterInfo, Sampler
from confroute.errors import ConfigurationError
from confroute.routers.cascade import CascadeRouter
from confroute.routers.threshold import Threshold
from confroute.testing import ScriptedSampler

FloatArray = NDArray[np.float64]
KEEP = 0.95


def questions(n: int, *, seed: int = 0, signal_usd: float = 4e-4, telling: bool = True) -> dict[str, Any]:
    """A hard question fails the edge; the trained score knows that roughly, the signal well if `telling`."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    edge = (rng.random(n) > 0.8 * hard).astype(float)
    doubt = rng.beta(np.where(edge > 0, 2, 5), np.where(edge > 0, 5, 2)) if telling else rng.random(n)
    return {
        "scores": np.clip(hard + rng.normal(0, 0.15, n), 0.01, 0.99),
        "signal_scores": doubt,
        "edge_quality": edge,
        "cloud_quality": (rng.random(n) > 0.2 * hard).astype(float),
        "edge_usd": np.full(n, 1e-4),
        "cloud_usd": np.full(n, 2e-3),
        "signal_usd": np.full(n, signal_usd),
    }


def as_table(columns: dict[str, Any], *, drafts: bool = False) -> _Table:
    names = (
        "scores",
        "signal_scores",
        "edge_quality",
        "cloud_quality",
        "edge_usd",
        "cloud_usd",
        "signal_usd",
    )
    return _Table.of(*(columns[name] for name in names), drafts=drafts)


@pytest.mark.parametrize("drafts", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_policy_of_the_grid_is_cheaper(seed: int, drafts: bool) -> None:
    table = as_table(questions(120, seed=seed), drafts=drafts)
    enough = KEEP * table.cloud.sum()
    edges = [0.0, *_cuts(table.scores), 1.0]
    cuts = [*_cuts(table.signal), 1.0]
    costs = []
    for (low, high), cut in itertools.product(itertools.combinations(edges, 2), cuts):
        rule = _Rule(low, high, cut)
        if table.quality(rule).sum() >= enough:
            costs.append(table.usd(rule).sum())
    found = _cheapest_cascade(table, KEEP)
    assert table.quality(found).sum() >= enough
    assert table.usd(found).sum() == pytest.approx(min(costs))


@pytest.mark.parametrize(
    ("drafts", "asked_edge", "asked_cloud"), [(False, 1 + 0.25, 8 + 0.25), (True, 1 + 0.25, 8 + 1 + 0.25)]
)
def test_what_each_way_of_answering_costs(drafts: bool, asked_edge: float, asked_cloud: float) -> None:
    table = _Table.of(
        [0.1, 0.5, 0.5, 0.9],
        [0.9, 0.1, 0.9, 0.1],
        [1] * 4,
        [1] * 4,
        [1] * 4,
        [8] * 4,
        [0.25] * 4,
        drafts=drafts,
    )
    rule = _Rule(0.3, 0.7, 0.5)
    assert table.usd(rule).tolist() == [1, asked_edge, asked_cloud, 8]
    assert table.sent(rule).tolist() == [False, False, True, True]
    assert table.asked(rule).tolist() == [False, True, True, False]


class Scores:
    """A router with the score of each question."""

    def __init__(self, scores: FloatArray) -> None:
        self.scores = scores
        self.threshold: Threshold = 0.5

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        score = float(self.scores[int(request.query)])
        assert isinstance(self.threshold, float)
        return Decided(
            RouteDecision(
                route="cloud" if score >= self.threshold else "edge",
                score=score,
                threshold=self.threshold,
                method="trained",
                reason="scripted",
                router=RouterInfo(name="scripted", version="1"),
            )
        )

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        return self.decide(request, sampler)


def test_the_code_that_it_says_does_what_it_tells() -> None:
    columns = questions(400)
    found = calibrate_cascade(**columns)
    assert found.policy.band is not None
    router = CascadeRouter(
        Scores(columns["scores"]),
        Scores(columns["signal_scores"]),
        band=found.policy.band,
        threshold=found.policy.threshold,
    )
    assert f"band={found.policy.band}, threshold={found.policy.threshold})" in found.code
    low, high = found.policy.band
    cut = (found.policy.threshold - low) / (high - low)
    expected = as_table(columns).sent(_Rule(low, high, cut))
    routes = [
        router.decide(RouteRequest.from_text(str(i)), ScriptedSampler(["x"])).decision.route
        for i in range(400)
    ]
    assert [route == "cloud" for route in routes] == expected.tolist()


def test_a_telling_signal_pays_and_the_figures_are_held_out() -> None:
    found = calibrate_cascade(**questions(4000))
    policy = found.policy
    assert found.n_fitted == found.n_held_out == policy.kept.n == 2000
    assert policy.band is not None
    assert policy.fitted_kept >= KEEP
    assert policy.kept.low < KEEP + 0.02
    assert policy.kept.high > KEEP - 0.02
    assert policy.dearer is None
    for alone in (found.trained_alone, found.signal_alone):
        assert alone.dearer is not None
        assert alone.fitted_usd_per_1000 >= policy.fitted_usd_per_1000
    assert found.trained_alone.dearer is not None
    assert found.trained_alone.dearer.low > 0
    assert found.all_cloud_usd_per_1000.estimate == pytest.approx(2.0)
    assert found.trained_alone.asked.estimate == 0
    assert found.signal_alone.asked.estimate == 1


@pytest.mark.parametrize(("signal_usd", "telling"), [(5e-3, True), (5e-4, False)])
def test_a_signal_that_is_dear_or_tells_nothing_is_not_asked(signal_usd: float, telling: bool) -> None:
    found = calibrate_cascade(**questions(4000, signal_usd=signal_usd, telling=telling))
    assert found.policy == found.trained_alone
    assert found.code == f"trained.threshold = {found.policy.threshold}"
    assert "the signal is not worth what it costs" in found.to_markdown()


def test_where_the_trained_router_knows_nothing_the_signal_rules_alone() -> None:
    columns = questions(2000) | {"scores": np.full(2000, 1.0)}
    found = calibrate_cascade(**columns)
    assert found.policy == found.signal_alone
    assert found.code == f"signal.threshold = {found.policy.threshold}"


def test_the_whole_quality_may_need_the_cloud_for_everything() -> None:
    columns = questions(200) | {"edge_quality": np.zeros(200), "cloud_quality": np.ones(200)}
    found = calibrate_cascade(**columns, keep=1.0)
    assert found.policy.cloud_share.estimate == 1
    assert found.policy.usd_per_1000.estimate == pytest.approx(2.0)


def test_questions_of_a_group_stay_together() -> None:
    columns: dict[str, Any] = {name: np.repeat(values, 2) for name, values in questions(100).items()}
    groups = np.repeat(np.arange(100), 2).tolist()
    found = calibrate_cascade(**columns, groups=groups)
    assert found.n_fitted == found.n_held_out == 100
    with pytest.raises(ConfigurationError, match="100 groups for 200 questions"):
        calibrate_cascade(**columns, groups=groups[:100])


def test_the_result_is_json(tmp_path: Path) -> None:
    found = calibrate_cascade(**questions(200), scored_by={"router": "trained-knn"})
    found.save(tmp_path / "cascade.json")
    read = json.loads((tmp_path / "cascade.json").read_text(encoding="utf-8"))
    assert CascadeCalibration.model_validate(read) == found
    assert read["scored_by"] == {"router": "trained-knn"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"keep": 0}, "keep is 0"),
        ({"keep": 1.1}, "keep is 1.1"),
        ({"scores": np.full(200, 1.5)}, "scores span 1.5 to 1.5: expected numbers \\[0, 1\\]"),
        ({"signal_scores": np.full(200, -0.5)}, "signal_scores span -0.5"),
        ({"signal_usd": np.full(200, -1.0)}, "signal_usd span -1 to -1: expected numbers at least 0"),
        ({"cloud_usd": np.zeros(200)}, "cloud_usd adds up to 0"),
        ({"cloud_quality": np.zeros(200)}, "cloud_quality adds up to 0"),
        ({"edge_usd": np.zeros(3)}, "edge_usd"),
    ],
)
def test_bad_columns_are_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        calibrate_cascade(**questions(200) | changed)


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="15 questions to fit on and 15 held out"):
        calibrate_cascade(**questions(30))


# The table and the command


def written(path: Path, n: int = 200, **more: Any) -> Path:
    columns = questions(n)
    columns["score"], columns["signal_score"] = columns.pop("scores"), columns.pop("signal_scores")
    rows = [
        {"question": f"question {i}", **{name: float(values[i]) for name, values in columns.items()}, **more}
        for i in range(n)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_command(tmp_path: Path) -> None:
    table, out = written(tmp_path / "table.csv"), tmp_path / "found.json"
    done = CliRunner().invoke(
        main, ["calibrate", str(table), "--cascade", "--keep", "0.9", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    found = CascadeCalibration.model_validate_json(out.read_text(encoding="utf-8"))
    assert found.keep == 0.9
    assert found.code in done.output
    assert "questions that fitted nothing" in done.output


def test_prices_of_the_command_go_before_columns(tmp_path: Path) -> None:
    table, out = written(tmp_path / "table.csv", signal_usd=""), tmp_path / "found.json"
    options = ["calibrate", str(table), "--cascade", "--out", str(out)]
    missing = CliRunner().invoke(main, options)
    assert missing.exit_code != 0
    assert isinstance(missing.exception, ConfigurationError | SystemExit)
    told = missing.output + str(missing.exception)
    assert "does not tell the US dollars of the signal's samples: expected a column 'signal_usd'" in told
    dear = CliRunner().invoke(main, [*options, "--signal-usd", "0.1", "--drafts"])
    assert dear.exit_code == 0, dear.output
    found = CascadeCalibration.model_validate_json(out.read_text(encoding="utf-8"))
    assert found.signal_alone.usd_per_1000.estimate > 100


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cascade", "--risk", "0.1"], "--cascade fits to --keep: leave --risk out"),
        (["--cloud-share", "0.3", "--keep", "0.9"], "go with --cascade"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["calibrate", str(written(tmp_path / "table.csv")), *options])
    assert done.exit_code == 2
    assert told in done.output


def rows(n: int, **more: Any) -> list[dict[str, Any]]:
    columns = questions(n)
    columns["score"], columns["signal_score"] = columns.pop("scores"), columns.pop("signal_scores")
    return [{name: float(values[i]) for name, values in columns.items()} | more for i in range(n)]


def test_signals_that_stopped_early_fit_nothing_and_are_counted() -> None:
    table = cascade_data([*rows(50), *rows(30, settled_early=True), *rows(5, signal_score=None)], prices={})
    assert (len(table.columns["scores"]), table.settled, table.dropped) == (50, 30, 5)
    assert table.questions is None


def test_scales_are_not_mixed() -> None:
    mixed = [*rows(5, router={"name": "confidence-full-4"}), *rows(7, router={"name": "agreement-full-4"})]
    with pytest.raises(ConfigurationError, match="7 rows of 'agreement-full-4', 5 rows"):
        cascade_data(mixed, prices={})
