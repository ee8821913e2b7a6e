"""The report's files: what they hold, and that the page is one safe file."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from confroute.errors import ConfigurationError, MissingExtraError
from confroute.evaluation import Outcomes, Signal, evaluate, plots, read_outcomes, write_report
from confroute.evaluation.caveats import verdict

for _module in ("matplotlib", "jinja2", "sklearn"):
    pytest.importorskip(_module)

EVIL = '<script>alert("x")</script> & {{ 7 * 7 }}'


def data(n: int = 60, *, money: bool = True, **fields: Any) -> Outcomes:
    rng = np.random.default_rng(0)
    questions = [f"who built bridge {i}" if i % 2 else f"how many apples in basket {i}" for i in range(n)]
    return Outcomes(
        "made-up data",
        (EVIL, *questions[1:]),
        (rng.random(n) < 0.4).astype(float),
        (rng.random(n) < 0.8).astype(float),
        edge_cost=rng.random(n) / 1e4 if money else None,
        cloud_cost=5 / 1e4 + rng.random(n) / 1e4 if money else None,
        **fields,
    )


def written(folder: Path, outcomes: Outcomes, **arguments: Any) -> dict[str, Any]:
    scores = np.random.default_rng(1).random(outcomes.n)
    signal = Signal("mine", scores, outcomes.costs(), outcomes.seconds())
    found = evaluate(outcomes, signal, n_resamples=100, **arguments)
    assert write_report(found, folder) == folder / "report.html"
    loaded: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    timed = data(edge_seconds=np.full(60, 0.5), cloud_seconds=np.full(60, 2.0))
    written(folder, timed, threshold=0.5)
    return folder


def test_every_file_is_there(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    plots = {f"{plot}.{kind}" for plot in ("tradeoff", "money", "calibration") for kind in ("svg", "png")}
    assert names == {"metrics.json", "questions.csv", "report.html"} | plots
    assert (folder / "tradeoff.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"<svg" in (folder / "money.svg").read_bytes()


def test_metrics_name_data_n_and_intervals(folder: Path) -> None:
    found = json.loads((folder / "metrics.json").read_text())
    assert (found["data"]["name"], found["data"]["n"], found["resamples"]) == ("made-up data", 60, 100)
    at = found["at_threshold"]
    assert at["threshold"] == 0.5
    for name in ("share", "quality", "kept", "cost", "saving"):
        assert at[name]["low"] <= at[name]["estimate"] <= at[name]["high"], name
    assert [one["name"] for one in found["routers"]] == ["mine", "prompt length", "random", "oracle"]
    assert found["routers"][0]["apgr"]["n"] == 60
    assert sum(topic["n"] for topic in found["topics"]) == 60


def test_the_page_needs_nothing_else(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", page)
    assert not re.search(r"url\(|@import|<script|https?://", page)
    assert page.count("data:image/svg+xml;base64,") == 3


def test_texts_of_the_data_are_escaped(folder: Path) -> None:
    class Parser(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []
            self.text = ""

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.tags.append(tag)

        def handle_data(self, data: str) -> None:
            self.text += data

    outcomes = data()
    outcomes.edge_quality[0], outcomes.cloud_quality[0] = 0, 1
    found = evaluate(outcomes, Signal("<b>mine</b>", np.zeros(60)), threshold=0.5, n_resamples=100)
    page = Parser()
    page.feed(write_report(found, folder / "evil").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert "b" in page.tags  # of the tiles
    assert "<b>mine</b>" in page.text
    assert EVIL in page.text


def test_the_table_of_questions_can_be_evaluated_again(folder: Path) -> None:
    again = read_outcomes(folder / "questions.csv")
    first = data()
    assert again.questions == first.questions
    assert again.edge_cost is not None
    assert again.edge_cost == pytest.approx(first.edge_cost)
    assert again.scores["score"] == pytest.approx(np.random.default_rng(1).random(60))


def test_without_money_savings_are_told_in_calls(tmp_path: Path) -> None:
    found = written(tmp_path, data(money=False))
    assert found["at_threshold"]["saving"] is None
    assert not (tmp_path / "money.svg").exists()
    assert found["savings"][1]["calls"]["estimate"] is not None
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Money is not known" in page
    assert "all-cloud bill" not in page


def test_an_undefined_case_says_so_instead_of_a_number(tmp_path: Path) -> None:
    same = np.array([1.0, 0.0] * 30)
    outcomes = Outcomes("tie", tuple(f"q{i}" for i in range(60)), same, same)
    found = written(tmp_path, outcomes)
    assert "no better than the edge" in found["undefined"]
    assert found["routers"][0]["apgr"]["estimate"] is None
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "There is nothing to route here" in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower().replace("finance", "")


def test_scores_that_are_no_probabilities_get_no_calibration(tmp_path: Path) -> None:
    outcomes = data()
    found = evaluate(outcomes, Signal("logits", np.linspace(-3, 3, 60)), n_resamples=100)
    write_report(found, tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["calibration"] is None
    assert not (tmp_path / "calibration.svg").exists()


def test_plots_are_the_same_every_time() -> None:
    found = evaluate(data(money=False), Signal("logits", np.linspace(-3, 3, 60)), n_resamples=100)
    assert plots.draw(found) == plots.draw(found)


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    found = evaluate(data(), Signal("mine", np.zeros(60)), n_resamples=100)
    with pytest.raises(ConfigurationError, match="is a file"):
        write_report(found, tmp_path / "out")


@pytest.mark.parametrize("module", ["matplotlib", "jinja2", "sklearn"])
def test_a_missing_package_is_named_with_its_extra(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == module else find(name))
    found = evaluate(data(), Signal("mine", np.zeros(60)), n_resamples=100)
    with pytest.raises(MissingExtraError, match=r'pip install "confroute\[evaluate\]"'):
        write_report(found, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sign", "sentence"),
    [
        (1, "it beats sending long questions to the cloud."),
        (-1, "it is worse than sending long questions to the cloud, and it is worse than chance."),
    ],
)
def test_the_verdict_says_which_is_better(sign: int, sentence: str) -> None:
    rng = np.random.default_rng(3)
    edge, cloud = (rng.random(400) < 0.5).astype(float), np.ones(400)
    questions = tuple("x" * int(rng.integers(1, 50)) for _ in range(400))
    signal = Signal("mine", sign * (cloud - edge) + 0.3 * rng.random(400))
    found = evaluate(Outcomes("data", questions, edge, cloud), signal, n_resamples=200)
    assert verdict(found).endswith(sentence)


def test_a_gap_that_may_be_chance_is_said(tmp_path: Path) -> None:
    edge, cloud = np.array([1.0, 0.0] * 30), np.array([0.0, 1.0] * 29 + [1.0, 1.0])
    outcomes = Outcomes("data", tuple(f"question {i}" for i in range(60)), edge, cloud)
    written(tmp_path, outcomes)
    page = (tmp_path / "report.html").read_text()
    assert re.search(r"undefined in \d+% of resamples", page)
    assert "the gap between the two may be chance" in page


def test_a_scale_below_zero_is_refused() -> None:
    outcomes = Outcomes("data", ("a", "b"), np.array([-1.0, 0.0]), np.array([1.0, 1.0]))
    with pytest.raises(ConfigurationError, match="below 0"):
        evaluate(outcomes, Signal("mine", np.array([0.1, 0.2])))


def test_a_cloud_that_costs_nothing_leaves_nothing_to_save() -> None:
    free = np.zeros(1)
    outcomes = Outcomes("data", ("q",), free, np.ones(1), edge_cost=free, cloud_cost=free)
    assert outcomes.costs() is None
