"""A run that is killed again and again ends with the labels of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from confroute.labelling import LabelRun, SamplingSettings, Store, draw, label
from confroute.labelling import labels as labels_module
from confroute.labelling.money import Price
from confroute.labelling.settings import seed_for
from tests.unit.labelling_doubles import SeededModel, fork, make_questions

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")

SETTINGS = SamplingSettings(n=3)
CONCURRENCY = 3
QUESTIONS = make_questions(24)
N_ANSWERS = len(QUESTIONS) * 2 * 4


def run(store: Path, log: Path | None = None, delay: float = 0.0) -> None:
    label(
        QUESTIONS,
        edge=SeededModel("small", log=log, delay=delay),
        cloud=SeededModel("large", log=log, delay=delay, variety=2),
        store=store,
        sampling=SETTINGS,
        concurrency=CONCURRENCY,
    )


def content(store: Path) -> dict[str, list[Any]]:
    """What a run has found, without times."""
    db = sqlite3.connect(store)
    found = {
        table: db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
        for table, columns in {
            "sample": "question, role, kind, idx, seed, text, logprob, n_tokens, input_tokens, output_tokens",
            "cluster": "question, role, clusters, 0",
            "entropy": "question, role, entropy, normalized, estimator",
            "label": "question, label, edge_correct, cloud_correct",
        }.items()
    }
    db.close()
    return found


def received(store: Path) -> set[str]:
    """What the store has, in the words of the models' log."""
    if not store.is_file() or not store.stat().st_size:
        return set()
    db = sqlite3.connect(store)
    try:
        rows = db.execute("SELECT role, question, seed FROM sample").fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        return set()
    finally:
        db.close()
    names = {"edge": "small", "cloud": "large"}
    return {f"{names[role]}|{QUESTIONS[question].question}|{seed}" for role, question, seed in rows}


@pytest.mark.parametrize("chance_seed", [1, 2, 3])
def test_labels_after_many_kills_equal_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance_seed: int
) -> None:
    monkeypatch.setattr(labels_module, "_CHUNK", 2)
    run(tmp_path / "calm.sqlite")
    expected = content(tmp_path / "calm.sqlite")
    assert len(expected["label"]) == len(QUESTIONS)
    assert {name for _, name, *_ in expected["label"]} >= {"cloud", "tie"}

    chance = random.Random(chance_seed)
    kills = runs = 0
    while kills < 20:  # a fast machine ends one run within a few
        runs += 1
        kills += kill_until_done(tmp_path / f"killed{runs}.sqlite", tmp_path / f"log{runs}", chance, expected)


def kill_until_done(store: Path, log: Path, chance: random.Random, expected: dict[str, list[Any]]) -> int:
    """Start a run again after each kill until it ends; return the number of kills."""
    log.touch()
    kills = n_asked_before = n_lost = 0
    longest = 0.03  # seconds that a process may live; more where the machine is busy and nothing was done
    while True:
        have = received(store)
        child = fork(lambda: run(store, log, delay=0.004))
        time.sleep(chance.random() * longest)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        asked = log.read_text().splitlines()
        fresh = asked[n_asked_before:]
        n_asked_before = len(asked)
        assert not have & set(fresh), "a received answer was asked for again"
        assert len(fresh) == len(set(fresh)), "one process asked for one answer twice"
        lost = set(fresh) - received(store)
        assert len(lost) <= 2 * CONCURRENCY, "more was lost than was in flight"
        n_lost += len(lost)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        kills += 1
        longest *= 1.0 if fresh else 1.1
        assert kills < 500
    assert content(store) == expected
    assert len(asked) == N_ANSWERS + n_lost
    return kills


def test_killed_while_writing_the_first_tables(tmp_path: Path) -> None:
    store = tmp_path / "run.sqlite"
    for wait in (0.0, 0.001, 0.002, 0.004, 0.008):
        child = fork(lambda: run(store))
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    run(store)
    assert len(content(store)["label"]) == len(QUESTIONS)


def test_interrupt_ends_in_order_and_the_run_goes_on(tmp_path: Path) -> None:
    store, log = tmp_path / "run.sqlite", tmp_path / "log"
    child = fork(lambda: run(store, log, delay=0.05))
    deadline = time.monotonic() + 30
    while not log.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGINT)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 0
    asked = log.read_text().splitlines()
    assert 0 < len(asked) < N_ANSWERS
    assert received(store) == set(asked), "what was in flight was let in"
    run(store, log)
    assert len(log.read_text().splitlines()) == N_ANSWERS


class Signalling(SeededModel):
    """Sends this process a signal twice during its first answer."""

    number = signal.SIGTERM

    def sample(self, *arguments: Any, **settings: Any) -> Any:
        answer = super().sample(*arguments, **settings)
        if len(self.calls) == 1:
            for _ in range(2):
                signal.raise_signal(self.number)
                time.sleep(0.3)  # until it is seen to
        return answer


def test_a_second_sigterm_is_as_orderly_as_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "_POLL_S", 0.01)
    edge, cloud = Signalling("small"), SeededModel("large")

    def ask(store: Path) -> LabelRun:
        return label(QUESTIONS, edge=edge, cloud=cloud, store=store, sampling=SETTINGS, concurrency=1)

    try:
        done = ask(tmp_path / "run.sqlite")
    except KeyboardInterrupt:
        pytest.fail("a second SIGTERM left at once")
    assert done.drawing.interrupted
    assert len(edge.calls) == 1
    assert len(received(tmp_path / "run.sqlite")) == 1 + len(cloud.calls)
    edge.number = signal.SIGINT
    edge.calls.clear()
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path / "other.sqlite")


class LosingModel(SeededModel):
    """Loses its first request and hangs on the second."""

    def sample(self, *arguments: Any, **settings: Any) -> Any:
        if not self.calls:
            self.calls.append(("lost", 0))
            raise TimeoutError("slow")
        super().sample(*arguments, **settings)
        time.sleep(60)


def test_what_was_lost_and_what_was_in_flight_at_a_kill_count_towards_the_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "Backoff", lambda: lambda state: 0.0)
    store, log = tmp_path / "run.sqlite", tmp_path / "log"
    prices = {"small": (0.0, 0.0), "large": (1e-6, 1e-3)}

    def ask(cloud: SeededModel, max_usd: float | None = None) -> LabelRun:
        edge = SeededModel("small")
        return label(
            QUESTIONS[:1],
            edge=edge,
            cloud=cloud,
            store=store,
            sampling=SETTINGS,
            concurrency=1,
            prices=prices,
            max_usd=max_usd,
        )

    child = fork(lambda: ask(LosingModel("large", log=log)))
    deadline = time.monotonic() + 30
    while not log.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    most = Price("large", prices).most(SETTINGS.request(QUESTIONS[0].question), SETTINGS.max_tokens) or 0.0
    with Store(store, read_only=True) as opened:
        states = opened.rows("SELECT state FROM intent WHERE role = 'cloud' ORDER BY number")
        assert states == [("lost",), ("sent",)]
        assert list(opened.spent()) == pytest.approx([2 * most, 0])
    cloud = SeededModel("large")
    assert ask(cloud, max_usd=2.99 * most).drawing.capped
    assert cloud.calls == []
    assert ask(cloud, max_usd=3.01 * most + 3 * 0.00201).finished


def test_seeds_differ_by_model_question_and_number_and_stay_the_same() -> None:
    seeds = {seed_for(m, q, i) for m in ("small", "large") for q in ("q1", "q2") for i in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_for("small", "q1", 3) == 322204030
