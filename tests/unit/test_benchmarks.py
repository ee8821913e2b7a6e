"""Benchmarks in RouteLLM's layout, tables of one's own, and the layout of Table 1."""

from __future__ import annotations

import csv
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from confroute.errors import ConfigurationError, ModelError
from confroute.evaluation import Interval, RoutingCurve, load_benchmark, prompt_length_scores, read_outcomes
from confroute.evaluation.benchmarks import BENCHMARKS, CLOUD, EDGE, fetch_benchmark
from confroute.evaluation.table1 import PAPER, render_table1

DATA = os.environ.get("CONFROUTE_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="CONFROUTE_DATA names no folder of real data")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def routellm(tmp_path: Path) -> Path:
    """The three benchmarks, two or three questions each, in RouteLLM's layout."""
    seen = [{"train_prompt": "x", "eval_prompt": "seen before"}]
    for name in ("mmlu", "gsm8k", "mt_bench"):
        write_jsonl(tmp_path / name / "contaminated_prompts.jsonl", seen)
    write_csv(
        tmp_path / "mmlu/responses/mmlu_high_school_physics.csv",
        [{"prompt": "seen before", EDGE: False, CLOUD: True}, {"prompt": "p", EDGE: True, CLOUD: False}],
    )
    write_csv(tmp_path / "mmlu/responses/mmlu_anatomy.csv", [{"prompt": "a\nb", EDGE: False, CLOUD: True}])
    write_csv(
        tmp_path / "gsm8k/gsm8k_responses.csv",
        [{"prompt": "one", EDGE: False, CLOUD: True, f"{EDGE}_response": "1"}],
    )
    turns = [["q1", "q2"], ["q3", "seen before"], ["q4", "q5"]]
    write_jsonl(
        tmp_path / "mt_bench/question.jsonl",
        [{"question_id": 80 + i, "category": "math", "turns": t} for i, t in enumerate(turns)],
    )
    grades = {(80, EDGE): (4, 6), (80, CLOUD): (9, 10), (82, EDGE): (-1, 3), (82, CLOUD): (8, 8)}
    write_jsonl(
        tmp_path / "mt_bench/judgements.jsonl",
        [
            {"question_id": q, "model": model, "score": score, "turn": turn}
            for (q, model), scores in grades.items()
            for turn, score in enumerate(scores, 1)
        ],
    )
    return tmp_path


def test_mmlu_drops_contaminated_prompts_and_keeps_subjects(routellm: Path) -> None:
    data = load_benchmark("mmlu", routellm)
    assert data.questions == ("a\nb", "p")
    assert data.topics == ("anatomy", "high school physics")
    assert (list(data.edge_quality), list(data.cloud_quality)) == ([0, 1], [1, 0])
    assert data.notes == ("1 of 3 prompts are dropped as contaminated, by RouteLLM's list.",)


def test_the_benchmarks_own_folder_will_do(routellm: Path) -> None:
    assert load_benchmark("gsm8k", routellm / "gsm8k").questions == ("one",)


def test_mt_bench_means_both_turns_and_leaves_out_replies_without_a_grade(routellm: Path) -> None:
    data = load_benchmark("mt-bench", routellm)
    assert data.questions == ("q1", "q4")  # the second turn of the other one was seen before
    assert (list(data.edge_quality), list(data.cloud_quality)) == ([5, 3], [9.5, 8])
    assert "1 judgements without a grade" in data.notes[1]


@pytest.mark.parametrize(
    ("name", "models", "told"),
    [
        ("arc", {}, "expected one of mmlu, gsm8k, mt-bench"),
        ("gsm8k", {"cloud": "gpt-9"}, "no column 'gpt-9'"),
        ("mt-bench", {"edge": "gpt-9"}, "no grade for 'gpt-9'"),
    ],
)
def test_what_is_wrong_is_said(routellm: Path, name: str, models: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load_benchmark(name, routellm, **models)


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no benchmark 'mmlu'"):
        load_benchmark("mmlu", tmp_path)
    (tmp_path / "contaminated_prompts.jsonl").write_text('{"eval_prompt": "none"}\n')
    with pytest.raises(ConfigurationError, match=r"no responses/mmlu_\*.csv"):
        load_benchmark("mmlu", tmp_path)


@pytest.fixture
def server(routellm: Path) -> Iterator[tuple[str, list[str]]]:
    """The benchmarks behind a web server on this machine, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(routellm))

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            asked.append(self.path)

        def log_error(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", asked
        httpd.shutdown()


def test_files_are_fetched_once(server: tuple[str, list[str]], tmp_path: Path) -> None:
    source, asked = server
    for _ in range(2):
        folder = fetch_benchmark("gsm8k", tmp_path / "cache", source=source)
    assert load_benchmark("gsm8k", folder).n == 1
    assert asked == ["/gsm8k/contaminated_prompts.jsonl", "/gsm8k/gsm8k_responses.csv"]


def test_a_file_that_cannot_be_fetched_is_an_error_that_tells_another_way(
    server: tuple[str, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="Give the path of a copy"):
        fetch_benchmark("mmlu", tmp_path / "cache", source=server[0])
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_mmlu_has_its_57_subjects() -> None:
    assert len(set(BENCHMARKS["mmlu"].files)) == 58


def test_tables_in_every_format_are_the_same(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    rows = [
        {"question": "a", "edge_quality": 0.5, "cloud_quality": 1, "score": 0.25, "score_mine": 1},
        {"question": "b", "edge_quality": 0, "cloud_quality": 0.75, "score": 0.5, "score_mine": 0},
    ]
    write_csv(tmp_path / "t.csv", rows)
    write_jsonl(tmp_path / "t.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        data = read_outcomes(tmp_path / name)
        assert data.questions == ("a", "b")
        assert list(data.cloud_quality) == [1, 0.75]
        assert {key: list(v) for key, v in data.scores.items()} == {"score": [0.25, 0.5], "mine": [1, 0]}
        assert data.costs() is None


def test_costs_count_drafts_and_deciding(tmp_path: Path) -> None:
    row = {"question": "a", "edge_quality": "true", "cloud_quality": "False"}
    write_csv(tmp_path / "t.csv", [row | {"edge_cost": 1, "cloud_cost": 10, "decision_cost": 0.5}])
    data = read_outcomes(tmp_path / "t.csv")
    assert (data.edge_quality[0], data.cloud_quality[0]) == (1, 0)
    costs = data.costs(drafts=True, deciding=data.decision_cost)
    assert costs is not None
    assert (costs.edge[0], costs.cloud[0], costs.all_cloud[0]) == (1.5, 11.5, 10)


def test_scores_that_are_bounds_or_of_another_scale_draw_no_curve(tmp_path: Path) -> None:
    row = {"question": "a", "edge_quality": 1, "cloud_quality": 1, "score": 0.2, "router": "entropy-brief"}
    rows = [row | {"settled_early": i < 3} for i in range(10)]
    write_csv(tmp_path / "t.csv", rows)
    data = read_outcomes(tmp_path / "t.csv")
    assert data.n == 7
    assert data.notes[0].startswith("3 rows are left out: drawing stopped once the verdict was settled")
    write_csv(tmp_path / "t.csv", [*rows, row | {"settled_early": False, "router": "entropy-full"}])
    with pytest.raises(ConfigurationError, match="7 rows of 'entropy-brief', 1 rows of 'entropy-full'"):
        read_outcomes(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"question": "a", "edge_quality": 1}, "no column cloud_quality"),
        ({"question": "a", "edge_quality": 1, "cloud_quality": "good"}, "row 1: the column 'cloud_quality'"),
        ({"question": " ", "edge_quality": 1, "cloud_quality": 1}, "expected a text"),
        ({"question": "a", "edge_quality": 1, "cloud_quality": 1, "score": ""}, "the column 'score'"),
    ],
)
def test_a_bad_table_is_refused_by_row_and_column(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    write_csv(tmp_path / "t.csv", [row])
    with pytest.raises(ConfigurationError, match=told):
        read_outcomes(tmp_path / "t.csv")


def test_table_1_holds_the_papers_figures_and_ours() -> None:
    ours = {"mlp": {"MMLU": {"cpt50": Interval(0.4, 0.35, 0.45, 999), "cpt80": Interval(0.8, 0.7, 0.9, 999)}}}
    lines = render_table1(ours).splitlines()
    assert lines[0].split(" | ")[2] == "MT-Bench CPT(50 %)"
    assert "| Confidence-driven (paper) | SW | 27.31 | 55.61 | 48.03 | 80.41 | 37.96 | 73.85 |" in lines
    assert "| confroute | MLP | n/a | n/a | n/a | n/a | 40.00 [35.0, 45.0] | 80.00 [70.0, 90.0] |" in lines
    assert lines[-1] == "n of our rows: MMLU 999. n/a: MT-Bench, GSM8K not at hand."
    assert all(len(values) == 6 for values in PAPER.values())


@needs_data
@pytest.mark.parametrize(("name", "n", "apgr"), [("mmlu", 6979, 0.586), ("gsm8k", 652, 0.598)])
def test_prompt_length_on_the_real_files(name: str, n: int, apgr: float) -> None:
    data = load_benchmark(name, Path(str(DATA)) / "routellm")
    assert data.n == n  # the copy at hand holds half of each
    curve = RoutingCurve.from_scores(
        prompt_length_scores(data.questions), data.edge_quality, data.cloud_quality
    )
    assert curve.apgr == pytest.approx(apgr, abs=0.04)
    assert np.isin(data.edge_quality, (0, 1)).all()
