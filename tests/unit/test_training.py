"""Training: reading labels, folds by question, cards that say what was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from confroute.calibration.table import is_held_out
from confroute.commands.train import train as command
from confroute.errors import ConfigurationError
from confroute.heads import HEADS, KNNHead
from confroute.heads.storage import Pair, question_digest
from confroute.routers.trained import TrainedRouter
from confroute.training import (
    LabelledRow,
    cross_validated_scores,
    fold_by_question,
    read_labels,
    train,
)


class TopicEncoder:
    """Embeds a question by its first word, with a little of the rest."""

    name = "topics"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), 8), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[0 if text.startswith("sum") else 1] = 1
            row[2 + len(text) % 6] = 0.3
        return rows


def rows(n: int = 120, *, gold: bool = True, seed: int = 0) -> list[LabelledRow]:
    """The cloud is needed for sums; the question's length says nothing."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        hard = bool(rng.random() < 0.5)
        padding = "x" * int(rng.integers(1, 40))
        edge = rng.random() < (0.1 if hard else 0.9)
        cloud = rng.random() < 0.9
        label = "tie" if i % 10 == 0 else "cloud" if hard else "edge"
        made.append(
            LabelledRow(
                f"{'sum' if hard else 'say'} {i} {padding}",
                label,
                edge_correct=float(edge) if gold else None,
                cloud_correct=float(cloud) if gold else None,
            )
        )
    return made


def arena(row_id: int = 0, winner: str = "edge", **more: Any) -> dict[str, Any]:
    return {
        "id": f"q{row_id}",
        "model_a": "small",
        "model_b": "big",
        "prompt": json.dumps([f"Question {row_id}?"]),
        "response_a": "a",
        "response_b": "b",
        "winner_model_a": int(winner == "edge"),
        "winner_model_b": int(winner == "cloud"),
        "winner_tie": int(winner == "tie"),
        **more,
    }


def write(path: Path, data: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in data))
    return path


def test_labels_are_read_from_jsonl(tmp_path: Path) -> None:
    unlabelled = arena(3) | dict.fromkeys(("winner_model_a", "winner_model_b", "winner_tie"))
    data = read_labels(
        write(
            tmp_path / "l.jsonl",
            [
                arena(0, "edge", edge_entropy=0.1, edge_correct=True),
                arena(1, "cloud", normalized_entropy_a=0.7, correct_b=False),
                arena(2, "tie"),
                unlabelled,
            ],
        )
    )
    assert [row.label for row in data.rows] == ["edge", "cloud", "tie"]
    assert data.rows[0] == LabelledRow("Question 0?", "edge", edge_entropy=0.1, edge_correct=1.0)
    assert (data.rows[1].edge_entropy, data.rows[1].cloud_correct) == (0.7, 0.0)
    assert (data.pair, data.skipped) == (Pair(edge="small", cloud="big"), 1)


def test_a_line_separator_within_a_question_ends_no_line(tmp_path: Path) -> None:
    row = json.dumps(arena(0) | {"prompt": json.dumps(["Who\u2028wrote it?"])}, ensure_ascii=False)
    row = row.replace("\\\\u2028", "\u2028")  # as other writers leave it
    (tmp_path / "l.jsonl").write_text(row + "\n", encoding="utf-8")
    assert read_labels(tmp_path / "l.jsonl").rows[0].question == "Who\u2028wrote it?"


def test_labels_are_read_from_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(
        pa.Table.from_pylist([arena(0, edge_entropy=0.5), arena(1, "cloud")]), tmp_path / "l.parquet"
    )
    data = read_labels(tmp_path / "l.parquet")
    assert [row.label for row in data.rows] == ["edge", "cloud"]
    assert data.rows[1].edge_entropy is None


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([{"id": 1}], "no column 'winner_model_a'"),
        ([arena(0) | {"winner_tie": 1}], "2 winners"),
        ([arena(0) | {"winner_model_a": 0}], "0 winners"),
        ([arena(0) | {"prompt": "bare text"}], "JSON list"),
        ([arena(0) | {"prompt": "[]"}], "JSON list"),
        ([arena(0), arena(1) | {"model_a": "big", "model_b": "small"}], "2 pairs of models"),
        ([arena(0, edge_entropy="low")], "expected a number"),
        ([], "no labelled rows"),
    ],
)
def test_files_of_another_layout_are_refused(tmp_path: Path, data: list[dict[str, Any]], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        read_labels(write(tmp_path / "l.jsonl", data))


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("l.csv", "a,b", r"expected \.parquet or \.jsonl"),
        ("l.jsonl", "{", "line 1 is not JSON"),
        ("l.jsonl", "[1]", "not a JSON object"),
        ("l.parquet", "junk", "not a Parquet file"),
    ],
)
def test_files_that_are_not_labels_are_refused(tmp_path: Path, name: str, text: str, match: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=match):
        read_labels(tmp_path / name)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_labels(tmp_path / "l.jsonl")


def test_equal_questions_share_a_fold() -> None:
    questions = [f"Who  wrote {i % 30}?" if i < 60 else f"who wrote {i % 30}?" for i in range(90)]
    fold_of = fold_by_question(questions, folds=5, seed=1)
    assert sorted(np.bincount(fold_of)) == [18] * 5
    for i in range(90):
        assert fold_of[i] == fold_of[i % 30]


def test_too_few_questions_for_the_folds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="distinct questions"):
        fold_by_question(["a", "A", "a "], folds=2)


def test_no_question_is_scored_by_a_head_that_has_seen_it() -> None:
    # Each row is its own direction: a nearest-neighbour head that saw it would copy its label.
    embeddings, wins = np.eye(20, dtype=np.float32), np.tile([0.0, 1.0], 10)
    fold_of = np.arange(20) % 4
    scores = cross_validated_scores(lambda: KNNHead(n_neighbors=15), embeddings, wins, fold_of)
    expected = [wins[fold_of != fold].mean() for fold in fold_of]
    assert scores == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_and_writes_its_card(head: str) -> None:
    trained = train(rows(), head=head, encoder=TopicEncoder(), pair=Pair(edge="small", cloud="big"), seed=3)
    card = trained.router.card
    assert f"| {head} (this router) |" in card
    for baseline in ("| random |", "| prompt length |", "| oracle |", "`topics`", "edge `small`", "n = 120"):
        assert baseline in card
    assert "tie 10.0%" in card
    report = trained.report
    assert report.threshold_share == pytest.approx(0.5, abs=0.1)
    assert report.yardstick.startswith("correctness")
    if head == "random":
        assert trained.router.head.params["seed"] == 3
        assert "no better than" in report.verdict
    else:
        assert report.figures[f"{head} (this router)"]["apgr"].low > 0.5
        assert "beats the rule" in report.verdict


def test_without_gold_the_labels_are_the_yardstick() -> None:
    made = [row for row in rows(gold=False) if row.label != "edge" or len(row.question) % 2]
    report = train(made, head="knn", encoder=TopicEncoder()).report
    assert report.yardstick.startswith("the labels")
    assert report.n_evaluated == len(made)


def test_gold_on_some_rows_is_used_on_those() -> None:
    made = rows(80) + rows(40, gold=False, seed=1)
    assert train(made, head="knn", encoder=TopicEncoder()).report.n_evaluated == 80


def test_a_cloud_that_is_no_better_is_said_and_not_measured() -> None:
    made = [LabelledRow(f"say {i}", "edge", edge_correct=1, cloud_correct=0) for i in range(40)]
    trained = train(made, head="knn", encoder=TopicEncoder())
    assert "cannot be told" in trained.router.card
    assert "| oracle |" not in trained.router.card


def test_entropy_is_shown_beside_where_it_is_known() -> None:
    made = [
        {"question": f"say {i}", "label": "cloud" if i % 3 else "edge", "edge_entropy": i / 50}
        for i in range(50)
    ]
    assert "the edge's semantic entropy" in train(made, head="knn", encoder=TopicEncoder()).router.card


def test_two_runs_of_one_seed_are_the_same() -> None:
    first, second = (train(rows(), head="mlp", encoder=TopicEncoder(), seed=5) for _ in range(2))
    assert first.router.card == second.router.card


def test_a_row_with_other_fields_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'question' and 'label'"):
        train([{"q": "x"}], encoder=TopicEncoder())


def test_the_command_trains_saves_and_prints_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import confroute.encoders

    monkeypatch.setattr(confroute.encoders, "SentenceEncoder", lambda *_, **__: TopicEncoder())
    labels = write(tmp_path / "l.jsonl", [arena(i, ["edge", "cloud", "tie"][i % 3]) for i in range(30)])
    done = CliRunner().invoke(command, [str(labels), "--out", str(tmp_path / "r"), "--head", "knn"])
    assert done.exit_code == 0, done.output
    assert "# A confroute router" in done.output
    assert (tmp_path / "r" / "README.md").read_text() in done.output


def test_the_command_leaves_held_out_questions_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import confroute.encoders

    monkeypatch.setattr(confroute.encoders, "SentenceEncoder", lambda *_, **__: TopicEncoder())
    labels = write(tmp_path / "l.jsonl", [arena(i, ["edge", "cloud", "tie"][i % 3]) for i in range(90)])
    arguments = [str(labels), "--out", str(tmp_path / "r"), "--head", "knn", "--hold-out", "0.3"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    questions = [f"Question {i}?" for i in range(90)]
    kept = {question_digest(q) for q in questions if not is_held_out(q, 0.3)}
    assert 45 < len(kept) < 80
    assert TrainedRouter.load(tmp_path / "r", encoder=TopicEncoder()).trained_on == kept
    assert f"without {90 - len(kept)} questions held out" in done.output


def test_the_command_offers_every_head() -> None:
    (option,) = (param for param in command.params if param.name == "head")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(HEADS)
