"""The command ``confroute label``."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from confroute.cli import main
from confroute.labelling import draw, run
from tests.unit.labelling_doubles import FailingModel, SeededModel, StatusError, fork

ASK = ("--edge", "test:small", "--cloud", "test:large")


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, SeededModel]:
    loaded = {f"test:{name}": SeededModel(name) for name in ("small", "large")}
    monkeypatch.setattr(run, "load_model", loaded.__getitem__)
    monkeypatch.setattr(draw, "Backoff", lambda: lambda state: 0.0)
    return loaded


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    rows = [{"id": f"q-{i}", "question": f"Question {i}?", "answers": ["answer 1"]} for i in range(12)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def confroute(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["label", *map(str, arguments)])


def count(store: Path, query: str) -> int:
    db = sqlite3.connect(store)
    try:
        return int(db.execute(query).fetchone()[0])
    finally:
        db.close()


def test_label_status_export_and_import(
    tmp_path: Path, questions: Path, models: dict[str, SeededModel]
) -> None:
    store, other, file = tmp_path / "run.sqlite", tmp_path / "other.sqlite", tmp_path / "run.jsonl"
    done = confroute(questions, *ASK, "--store", store, "--limit", "10", "-n", "3", "--export", file)
    assert done.exit_code == 0, done.output
    assert "80 answers received" in done.output
    assert "10 questions labelled" in done.output
    assert len(file.read_text().splitlines()) == 10

    told = confroute("--status", store)
    assert told.exit_code == 0
    assert "10, of which 10 with all answers" in told.output

    card = tmp_path / "card.md"
    done = confroute("--import", file, "--store", other, "--card", card)
    assert done.exit_code == 0, done.output
    assert "80 answers added" in done.output
    assert "10 labels in" in done.output
    assert "# small and large" in card.read_text()

    for model in models.values():
        model.calls.clear()
    done = confroute(questions, *ASK, "--store", other, "-n", "3")
    assert done.exit_code == 0
    assert {question for question, _ in models["test:small"].calls} == {"Question 10?", "Question 11?"}


def test_store_alone_keeps_label_settings_unless_told(tmp_path: Path, questions: Path) -> None:
    store, file = tmp_path / "run.sqlite", tmp_path / "run.jsonl"
    confroute(questions, *ASK, "--store", store, "-n", "3", "--tau", "0.4")
    confroute("--store", store, "--export", file)
    assert "tau 0.4" in confroute("--status", store).output
    confroute("--store", store, "--rule", "paper")
    assert "rule paper, tau 0.1, estimator paper" in confroute("--status", store).output
    confroute("--store", store, "--equivalence", "exact")
    assert "equivalence exact" in confroute("--status", store).output
    assert "stay as they are" in confroute("--store", store).output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{questions}"], "--store"),
        (["{questions}", "--store", "{store}"], "--edge and --cloud"),
        (["--store", "{store}", *ASK], "give QUESTIONS"),
        (["--store", "{store}"], "no store at"),
        (["--status", "{store}"], "no store at"),
        (["{store}.absent", *ASK, "--store", "{store}"], "cannot read the questions"),
        (["{questions}", *ASK, "--store", "{store}", "--equivalence", "magic"], "expected default, exact"),
        (["{questions}", *ASK, "--store", "{store}", "--max-usd", "1"], "is unknown"),
        (["{questions}", *ASK, "--store", "{store}", "--estimator", "paper"], "rule 'difference'"),
        (["--import", "{questions}", "--store", "{store}"], "is not an export"),
    ],
)
def test_bad_calls_are_told_what_is_missing(
    tmp_path: Path, questions: Path, arguments: list[str], told: str
) -> None:
    store = tmp_path / "run.sqlite"
    done = confroute(*(a.format(questions=questions, store=store) for a in arguments))
    assert done.exit_code in (1, 2)
    assert told in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("arguments", [["--status", "{store}"], ["--store", "{store}"]])
def test_an_empty_file_is_no_store(tmp_path: Path, arguments: list[str]) -> None:
    store = tmp_path / "run.sqlite"
    store.touch()
    done = confroute(*(a.format(store=store) for a in arguments))
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {store} is empty, not a store of 'confroute label'; give")
    assert len(done.output.splitlines()) == 1
    assert store.stat().st_size == 0


def test_failed_requests_and_a_cap_give_a_code_and_a_way_on(
    tmp_path: Path, questions: Path, models: dict[str, SeededModel]
) -> None:
    models["test:small"] = FailingModel("small", [StatusError(400, "content filter")])
    done = confroute(questions, *ASK, "--store", tmp_path / "a.sqlite", "-n", "2")
    assert done.exit_code == 3
    assert "1 requests failed, the last with: edge model small, question 'q-" in done.output
    prices = tmp_path / "prices.json"
    prices.write_text('{"small": {"input": 0, "output": 0}, "large": {"input": 0, "output": 1000}}')
    capped = (questions, *ASK, "--store", tmp_path / "b.sqlite", "-n", "2", "--prices", prices)
    done = confroute(*capped, "--max-usd", "0.04")
    assert done.exit_code == 3
    assert "spend cap is reached" in done.output
    assert confroute(*capped, "--max-usd", "9").exit_code == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals a forked process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_tells_how_to_go_on(
    tmp_path: Path, questions: Path, models: dict[str, SeededModel], number: signal.Signals
) -> None:
    for model in models.values():
        model.delay = 0.2
    store, told = tmp_path / "run.sqlite", tmp_path / "told"

    def command() -> None:
        done = confroute(questions, *ASK, "--store", store, "--concurrency", "2")
        told.write_text(f"{done.exit_code} {done.output}")

    child = fork(command)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if store.is_file() and Path(f"{store}-wal").is_file() and _n_samples(store):
            break
        time.sleep(0.01)
    os.kill(child, number)
    os.waitpid(child, 0)
    assert told.read_text().startswith("130 ")
    assert "give the same command again to go on" in told.read_text()
    assert count(store, "SELECT count(*) FROM intent WHERE state = 'sent'") == 0


def _n_samples(store: Path) -> int:
    try:
        return count(store, "SELECT count(*) FROM sample")
    except sqlite3.OperationalError:  # its tables are being made
        return 0
