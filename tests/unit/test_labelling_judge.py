"""What an LLM judge of equivalence costs a run: told, capped, counted after a kill."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confroute.cli import main
from confroute.errors import ConfigurationError, ModelError
from confroute.labelling import SamplingSettings, SpendCapError, Store, label, relabel, run
from confroute.labelling.export import export_run, import_run
from confroute.labelling.retry import Backoff
from confroute.labelling.status import status
from confroute.uncertainty import LLMEquivalence
from tests.unit.labelling_doubles import (
    FailingModel,
    JudgeModel,
    SeededModel,
    StatusError,
    count,
    fork,
    make_questions,
)

PRICES = {"small": (0.0, 0.0), "large": (0.0, 0.0), "judge": (1e-5, 1e-3)}
ONE_CALL = 100 * 1e-5 + 1e-3
LABELS = "SELECT group_concat(label) FROM label"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "__call__", lambda self, state: 0.0)


def run_with(store: Path, judge: SeededModel, max_concurrency: int = 8, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "edge": SeededModel("small"),
        "cloud": SeededModel("large"),
        "sampling": SamplingSettings(n=4),
        "equivalence": LLMEquivalence(judge, max_concurrency=max_concurrency),
        "prices": PRICES,
    }
    return label(make_questions(8), store=store, **(settings | changes))


def spent(store: Path) -> tuple[float, int]:
    with Store(store, read_only=True) as opened:
        return opened.spent()


def test_what_a_judge_costs_is_in_the_store_and_in_its_status(tmp_path: Path) -> None:
    store, judge = tmp_path / "run.sqlite", JudgeModel("judge")
    assert run_with(store, judge).finished
    n_calls = len(judge.calls)
    assert n_calls > 20
    assert list(spent(store)) == pytest.approx([n_calls * ONE_CALL, 0])
    with Store(store, read_only=True) as opened:
        assert f"judge        {n_calls} calls, ${n_calls * ONE_CALL:.4f}" in status(opened)
        export_run(opened, tmp_path / "run.jsonl")
    assert "judge_spend" not in (tmp_path / "run.jsonl").read_text()
    assert run_with(store, judge).finished
    assert len(judge.calls) == n_calls
    with Store(tmp_path / "other.sqlite") as opened:
        import_run(opened, tmp_path / "run.jsonl")
        assert opened.spent() == (0.0, 0), "the judge of the other store was paid there"


@pytest.mark.parametrize("again", [run_with, relabel])
def test_a_judge_stops_at_the_cap_and_goes_on_without_paying_twice(tmp_path: Path, again: Any) -> None:
    calm, store, judge = JudgeModel("judge"), tmp_path / "run.sqlite", JudgeModel("judge")
    run_with(tmp_path / "calm.sqlite", calm)
    cap = len(calm.calls) * ONE_CALL / 2
    done = run_with(store, judge, max_usd=cap)
    assert not done.finished
    assert done.drawing.capped
    assert done.n_labels == 0
    assert 5 < len(judge.calls) < len(calm.calls)
    assert list(spent(store)) == pytest.approx([len(judge.calls) * ONE_CALL, 0])
    assert spent(store)[0] <= cap
    if again is relabel:
        settings: dict[str, Any] = {"equivalence": LLMEquivalence(judge), "prices": PRICES}
        with pytest.raises(SpendCapError, match=r"--max-usd.*command again"):
            relabel(store, max_usd=cap, **settings)
        assert relabel(store, max_usd=9.0, **settings) == 8
    else:
        assert run_with(store, judge, max_usd=9.0).finished
    assert len(judge.calls) == len(calm.calls)
    assert count(store, LABELS) == count(tmp_path / "calm.sqlite", LABELS)


def test_a_judges_unknown_price_stays_unknown_and_refuses_a_cap(tmp_path: Path) -> None:
    store, judge = tmp_path / "run.sqlite", JudgeModel("judge")
    prices = {name: PRICES[name] for name in ("small", "large")}
    with pytest.raises(ConfigurationError, match="that of 'judge' is unknown"):
        run_with(store, judge, prices=prices, max_usd=1.0)
    assert judge.calls == []
    run_with(store, judge, prices=prices)
    assert spent(store) == (0.0, len(judge.calls))
    with Store(store, read_only=True) as opened:
        assert f"judge        {len(judge.calls)} calls, cost unknown" in status(opened)
    with pytest.raises(ConfigurationError, match="whose cost is unknown"):
        run_with(store, judge, max_usd=1.0)
    assert relabel(store, max_usd=1.0) == 8, "a judge that costs nothing needs no cap"


class FailingJudge(FailingModel, JudgeModel):
    """Fails first, then judges."""


def test_a_judges_lost_calls_cost_their_most_and_refused_ones_nothing(tmp_path: Path) -> None:
    cost = {}
    causes: dict[str, list[Exception]] = {"calm": [], "refused": [StatusError(429)], "lost": [TimeoutError()]}
    for name, errors in causes.items():
        assert run_with(tmp_path / f"{name}.sqlite", FailingJudge("judge", errors)).finished
        cost[name] = spent(tmp_path / f"{name}.sqlite")[0]
    assert cost["refused"] == pytest.approx(cost["calm"])
    assert cost["lost"] > cost["calm"] + ONE_CALL
    with pytest.raises(ModelError, match=r"judge did not answer.*no key"):
        run_with(tmp_path / "no.sqlite", FailingJudge("judge", [StatusError(401, "no key")] * 99))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_judges_call_in_flight_counts_after_a_kill(tmp_path: Path) -> None:
    store, log = tmp_path / "run.sqlite", tmp_path / "log"

    class Hanging(JudgeModel):
        def sample(self, *arguments: Any, **settings: Any) -> Any:
            super().sample(*arguments, **settings)
            time.sleep(60)

    child = fork(lambda: run_with(store, Hanging("judge", log=log), max_concurrency=1))
    deadline = time.monotonic() + 30
    while not log.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    usd, n_unknown = spent(store)
    assert usd > ONE_CALL
    assert n_unknown == 0


def confroute(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["label", *map(str, arguments)])


def test_the_command_tells_what_the_judge_cost_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = {"test:judge": JudgeModel("judge")} | {f"test:{n}": SeededModel(n) for n in ("small", "large")}
    monkeypatch.setattr(run, "load_model", loaded.__getitem__)
    monkeypatch.setattr("confroute.models.load_model", loaded.__getitem__)
    questions, prices, store = tmp_path / "q.jsonl", tmp_path / "prices.json", tmp_path / "run.sqlite"
    questions.write_text("".join(f"{q.model_dump_json()}\n" for q in make_questions(8)))
    per_million = {m: {"input": i * 1e6, "output": o * 1e6} for m, (i, o) in PRICES.items()}
    prices.write_text(json.dumps(per_million))
    ask = (questions, "--edge", "test:small", "--cloud", "test:large", "-n", "4")
    judged = ("--store", store, "--equivalence", "llm:test:judge", "--prices", prices)
    for arguments in (ask, (), ask):
        done = confroute(*arguments, *judged, "--max-usd", "0.03")
        assert done.exit_code == 3, done.output
        assert "raise --max-usd and give the command again" in done.output
        assert (
            f"the judge of equivalence so far: {len(loaded['test:judge'].calls)} calls, $0.0" in done.output
        )
    done = confroute(*judged, "--max-usd", "9")
    assert done.exit_code == 0, done.output
    assert "8 labels in" in done.output
    assert f"judge        {len(loaded['test:judge'].calls)} calls, $0." in confroute("--status", store).output
