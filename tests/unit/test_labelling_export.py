"""Exports: the Arena layout, a round trip that can go on, refusals; and the card."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from confroute.errors import ConfigurationError
from confroute.labelling import Question, SamplingSettings, Store, label, relabel
from confroute.labelling.card import area, card, findings, mean, share
from confroute.labelling.export import export_rows, export_run, import_run
from tests.unit.labelling_doubles import FailingModel, SeededModel, StatusError, make_questions

SETTINGS = SamplingSettings(n=3)
ARENA = ["id", "model_a", "model_b", "prompt", "response_a", "response_b"]
ARENA += ["winner_model_a", "winner_model_b", "winner_tie"]


def run(store: Path, n: int = 8, **changes: Any) -> Any:
    models = {"edge": SeededModel("small"), "cloud": SeededModel("large", variety=2)}
    return label(make_questions(n), store=store, sampling=SETTINGS, **(models | changes))


def rows_of(store: Path) -> list[dict[str, Any]]:
    with Store(store, read_only=True) as opened:
        return list(export_rows(opened))


def test_the_arena_layout(tmp_path: Path) -> None:
    run(tmp_path / "run.sqlite")
    rows = rows_of(tmp_path / "run.sqlite")
    assert len(rows) == 8
    for row in rows:
        assert list(row)[: len(ARENA)] == ARENA
        assert (row["model_a"], row["model_b"]) == ("small", "large")
        assert json.loads(row["prompt"]) == [row["question"]]
        assert row["winner_model_a"] + row["winner_model_b"] + row["winner_tie"] == 1
        surer = row["normalized_entropy_a"] - row["normalized_entropy_b"]
        assert row["winner_model_a"] == (surer < -0.1)
        assert row["winner_model_b"] == (surer > 0.1)
        assert [s["kind"] for s in row["samples_a"]] == ["greedy", "sample", "sample", "sample"]
        assert row["response_a"] == row["samples_a"][0]["text"]
        assert len(row["clusters_b"]) == 3


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_a_run_goes_on_from_its_export(tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    first, second, file = tmp_path / "a.sqlite", tmp_path / "b.sqlite", tmp_path / f"run.{ending}"
    run(first, cloud=FailingModel("large", [StatusError(400)] * 2, variety=2), concurrency=1)
    with Store(first, read_only=True) as opened:
        assert export_run(opened, file) == 8
    with Store(second) as opened:
        assert import_run(opened, file) == 8 * 8 - 2
        assert import_run(opened, file) == 0
    assert relabel(second) == relabel(first)
    assert rows_of(second) == rows_of(first)
    assert sum(row["winner_tie"] is None for row in rows_of(second)) >= 1
    edge = SeededModel("small")
    assert run(second, edge=edge).drawing.received == 2
    assert edge.calls == []
    run(first)
    assert rows_of(second) == rows_of(first)
    assert not list(tmp_path.glob("*.part"))


def test_an_export_of_another_run_is_not_mixed_in(tmp_path: Path) -> None:
    run(tmp_path / "a.sqlite")
    with Store(tmp_path / "a.sqlite", read_only=True) as opened:
        export_run(opened, tmp_path / "a.jsonl")
    run(tmp_path / "b.sqlite", cloud=SeededModel("other"))
    before = rows_of(tmp_path / "b.sqlite")
    with Store(tmp_path / "b.sqlite") as opened, pytest.raises(ConfigurationError, match="another run"):
        import_run(opened, tmp_path / "a.jsonl")
    assert rows_of(tmp_path / "b.sqlite") == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"id": 1}', "the column 'answers' is missing"),
        ("", "it has no rows"),
        ("{", "expected a .parquet or .jsonl"),
        ("[1]", "expected a .parquet or .jsonl"),
    ],
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    with Store(tmp_path / "run.sqlite") as store, pytest.raises(ConfigurationError, match=told):
        import_run(store, tmp_path / "bad.jsonl")


def test_a_broken_sample_in_an_export_is_refused_whole(tmp_path: Path) -> None:
    run(tmp_path / "a.sqlite")
    rows = rows_of(tmp_path / "a.sqlite")
    del rows[-1]["samples_b"][0]["seed"]
    (tmp_path / "bad.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with Store(tmp_path / "b.sqlite") as store:
        with pytest.raises(ConfigurationError, match="q7"):
            import_run(store, tmp_path / "bad.jsonl")
        assert store.received() == set()
        assert store.settings() == {}


def test_other_endings_and_empty_stores_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "run.sqlite") as store:
        with pytest.raises(ConfigurationError, match=r"\.parquet or \.jsonl"):
            export_run(store, tmp_path / "run.csv")
        with pytest.raises(ConfigurationError, match="no answers yet"):
            export_run(store, tmp_path / "run.jsonl")
        with pytest.raises(ConfigurationError, match=r"\.parquet or \.jsonl"):
            import_run(store, tmp_path / "run.csv")
        with pytest.raises(ConfigurationError, match="no labels yet"):
            findings(store)


def test_the_card_tells_each_source_with_n_and_intervals(tmp_path: Path) -> None:
    questions = [
        Question(id=f"{name}-{i}", question=f"{name} {i}?", answers=("answer 1",) if name == "nq" else ())
        for name in ("nq", "popqa")
        for i in range(30)
    ]
    store = tmp_path / "run.sqlite"
    label(
        questions,
        edge=SeededModel("small"),
        cloud=SeededModel("large", variety=2),
        store=store,
        sampling=SETTINGS,
    )
    with Store(store, read_only=True) as opened:
        told = card(opened)
        n_right = sum(f.sides["edge"].right is True for f in findings(opened))
    lines = [line for line in told.splitlines() if line.startswith("| nq | 30 |")]
    assert lines[0].startswith(f"| nq | 30 | {share(n_right, 30)} |")
    shares = [tuple(map(int, cell)) for cell in re.findall(r"(\d+) / (\d+) / (\d+)", lines[1])]
    assert len(shares) == 6
    assert all(99 <= sum(cell) <= 101 for cell in shares)
    ties = [tie for _, _, tie in shares]
    assert ties == sorted(ties)
    assert f"| nq | edge | 30 ({30 - n_right}) | 0." in told
    assert "| popqa | 0 | unknown | unknown | 30 |" in told
    assert "| popqa | edge" not in told
    assert "| all | 30 |" in told


def test_figures_of_the_card() -> None:
    assert share(5, 10) == "50.0 % [23.7, 76.3]"
    assert share(0, 0) == "unknown"
    assert mean([1.0, 2.0, 3.0]) == "2.000 [0.868, 3.132]"
    assert mean([]) == "unknown"
    assert area([0.1, 0.2, 0.8, 0.9], [False, False, True, True]).startswith("1.000 [1.000")
    assert area([0.1, None], [True, False]) == "unknown"
    assert area([0.1, 0.2], [True, True]) == "undefined"
