"""Questions of a run: gold answers that come later, files and exports with mistakes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from confroute.errors import ConfigurationError
from confroute.labelling import Question, SamplingSettings, Store, label
from confroute.labelling.card import findings
from confroute.labelling.export import export_rows, export_run, import_run
from confroute.labelling.settings import read_questions
from tests.unit.labelling_doubles import SeededModel, make_questions

SETTINGS = SamplingSettings(n=2)
PLAIN = make_questions(6)
MENDED = [q.model_copy(update={"answers": ("answer 0", "answer 1"), "dataset": "d"}) for q in PLAIN]
BARE = [q.model_copy(update={"answers": (), "dataset": ""}) for q in PLAIN]


def run(store: Path, questions: Sequence[Question], edge: SeededModel | None = None) -> None:
    label(
        questions,
        edge=edge or SeededModel("small"),
        cloud=SeededModel("large"),
        store=store,
        sampling=SETTINGS,
    )


def verdicts(store: Path) -> list[Any]:
    db = sqlite3.connect(store)
    try:
        return db.execute("SELECT edge_correct, cloud_correct FROM label ORDER BY question").fetchall()
    finally:
        db.close()


@pytest.mark.parametrize("before", [PLAIN, BARE])
def test_gold_answers_that_come_later_are_judged_by_without_asking(
    tmp_path: Path, before: list[Question]
) -> None:
    store = tmp_path / "run.sqlite"
    run(tmp_path / "calm.sqlite", MENDED)
    expected = verdicts(tmp_path / "calm.sqlite")
    run(store, before)
    assert verdicts(store) != expected
    edge = SeededModel("small")
    run(store, MENDED, edge)
    assert edge.calls == []
    assert verdicts(store) == expected
    with Store(store, read_only=True) as opened:
        assert [finding.source for finding in findings(opened)] == ["d"] * 6
    run(store, BARE)
    assert verdicts(store) == [(None, None)] * 6


def test_an_import_brings_gold_answers_and_erases_none(tmp_path: Path) -> None:
    stores = {name: tmp_path / f"{name}.sqlite" for name in ("mended", "bare")}
    run(stores["mended"], MENDED)
    run(stores["bare"], BARE)
    expected = verdicts(stores["mended"])
    for name, store in stores.items():
        with Store(store, read_only=True) as opened:
            export_run(opened, tmp_path / f"{name}.jsonl")
    for into, of in (("mended", "bare"), ("bare", "mended")):
        with Store(stores[into]) as opened:
            import_run(opened, tmp_path / f"{of}.jsonl")
            assert list(opened.questions().values()) == MENDED
        assert verdicts(stores[into]) == expected


def test_a_question_that_is_there_twice_without_an_id_is_told_with_both_lines(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "a"}\n{"question": "b"}\n{"question": "a", "answers": ["x"]}\n')
    told = r"line 3: the same question as line 1, and no 'id'.*take one of them out, or give each an 'id'"
    with pytest.raises(ConfigurationError, match=told):
        read_questions(file)
    file.write_text('{"question": "a"}\n{"question": "a", "id": "again"}\n')
    assert len(read_questions(file)) == 2


def without(*path: str | int) -> Any:
    """Return what takes a field out of a row."""

    def change(row: Any) -> None:
        for step in path[:-1]:
            row = row[step]
        del row[path[-1]]

    return change


BROKEN = [
    (without("samples_a"), "the column 'samples_a' is missing in line 4"),
    (without("samples_b", 0, "seed"), "line 4: a sample of question 'q3'"),
    (lambda row: row.update(question=" "), "line 4: the field 'question' is wrong"),
    (lambda row: row.update(id="q1"), "line 4: the id 'q1' is already that of line 2"),
]


@pytest.mark.parametrize(("change", "told"), BROKEN)
def test_a_broken_row_of_an_export_is_named(tmp_path: Path, change: Any, told: str) -> None:
    run(tmp_path / "run.sqlite", PLAIN)
    with Store(tmp_path / "run.sqlite", read_only=True) as opened:
        rows = list(export_rows(opened))
    change(rows[3])
    (tmp_path / "bad.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with Store(tmp_path / "other.sqlite") as store, pytest.raises(ConfigurationError, match=told):
        import_run(store, tmp_path / "bad.jsonl")


@pytest.mark.parametrize("text", ['{"id": ', "[1]", ""])
def test_a_line_of_an_export_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    run(tmp_path / "run.sqlite", PLAIN)
    file = tmp_path / "run.jsonl"
    with Store(tmp_path / "run.sqlite", read_only=True) as opened:
        export_run(opened, file)
    lines = file.read_text().splitlines()
    lines[4] = text
    file.write_text("\n".join(lines))
    with Store(tmp_path / "other.sqlite") as store, pytest.raises(ConfigurationError, match="line 5") as told:
        import_run(store, file)
    assert "line 1" not in str(told.value)


def test_a_broken_row_of_a_parquet_export_is_named(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    run(tmp_path / "run.sqlite", PLAIN)
    file = tmp_path / "run.parquet"
    with Store(tmp_path / "run.sqlite", read_only=True) as opened:
        export_run(opened, file)
    rows = pq.read_table(file).to_pylist()
    rows[2]["question"] = " "
    pq.write_table(pa.Table.from_pylist(rows), file)
    with (
        Store(tmp_path / "other.sqlite") as store,
        pytest.raises(ConfigurationError, match="row 3: the field"),
    ):
        import_run(store, file)
