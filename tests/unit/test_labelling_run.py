"""A labelling run from Python: what is asked, retried, paid for and refused."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from confroute.decision import RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError, ModelError
from confroute.labelling import LabelSettings, SamplingSettings, Store, StoreError, draw, label, relabel
from confroute.labelling.money import Price, SpendCap, read_prices
from confroute.labelling.retry import Backoff, is_transient
from confroute.labelling.settings import read_questions
from confroute.labelling.status import status
from tests.unit.labelling_doubles import FailingModel, SeededModel, StatusError, count, make_questions

SETTINGS = SamplingSettings(n=2)
PRICES = {"small": (0.0, 0.0), "large": (1e-6, 1e-3)}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "Backoff", lambda: lambda state: 0.0)


def run(store: Path, n: int = 5, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "edge": SeededModel("small"),
        "cloud": SeededModel("large"),
        "sampling": SETTINGS,
    }
    return label(make_questions(n), store=store, **(settings | changes))


def test_each_answer_is_asked_once_with_its_settings(tmp_path: Path) -> None:
    asked: list[tuple[RouteRequest, dict[str, Any]]] = []

    class Watched(SeededModel):
        def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
            asked.append((request, settings))
            return super().sample(request, n, **settings)

    done = run(tmp_path / "run.sqlite", n=1, edge=Watched("small"))
    assert done.finished
    assert done.n_labels == 1
    greedy, *sampled = (settings for _, settings in sorted(asked, key=lambda pair: pair[1]["temperature"]))
    assert greedy["temperature"] == 0
    assert greedy["top_p"] is None
    assert [s["temperature"] for s in sampled] == [1.0, 1.0]
    assert {(s["top_p"], s["top_k"], s["max_tokens"], s["logprobs"]) for s in sampled} == {
        (0.9, 50, 32, True)
    }
    assert len({s["seed"] for _, s in asked}) == 3
    assert [m.role for m in asked[0][0].messages] == ["system", "user"]


def test_a_finished_run_asks_nothing_and_more_questions_ask_only_the_new(tmp_path: Path) -> None:
    run(tmp_path / "run.sqlite", n=5)
    edge = SeededModel("small")
    assert run(tmp_path / "run.sqlite", n=5, edge=edge).drawing.received == 0
    assert edge.calls == []
    run(tmp_path / "run.sqlite", n=7, edge=edge)
    assert {question for question, _ in edge.calls} == {"Question 5?", "Question 6?"}


def test_concurrency_is_bounded_and_a_models_own_bound_is_kept(tmp_path: Path) -> None:
    most: dict[str, int] = {}
    now: dict[str, int] = {}
    lock = threading.Lock()

    class Counting(SeededModel):
        def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
            with lock:
                now[self.name] = now.get(self.name, 0) + 1
                most[self.name] = max(most.get(self.name, 0), now[self.name])
            try:
                return super().sample(request, n, **settings)
            finally:
                with lock:
                    now[self.name] -= 1

    one_at_a_time = Counting("small", delay=0.002)
    one_at_a_time.max_concurrency = 1  # type: ignore[attr-defined]  # what models that are not thread-safe set
    run(tmp_path / "run.sqlite", edge=one_at_a_time, cloud=Counting("large", delay=0.01), concurrency=4)
    assert most["small"] == 1
    assert 2 <= most["large"] <= 4


def test_rate_limits_and_time_outs_are_tried_again(tmp_path: Path) -> None:
    errors = [StatusError(429), TimeoutError("slow"), StatusError(503)]
    edge = FailingModel("small", errors)
    done = run(tmp_path / "run.sqlite", n=1, edge=edge, concurrency=1)
    assert done.finished
    assert len(edge.calls) == 3 + 3
    states = "SELECT group_concat(state) FROM (SELECT state FROM intent WHERE role = 'edge' ORDER BY number)"
    assert count(tmp_path / "run.sqlite", states) == "failed,lost,failed,received,received,received"


def test_one_bad_question_does_not_end_the_run(tmp_path: Path) -> None:
    edge = FailingModel("small", [StatusError(400, "content filter")])
    done = run(tmp_path / "run.sqlite", edge=edge, concurrency=1)
    assert len(done.drawing.failed) == 1
    assert "content filter" in done.drawing.failed[0]
    assert done.n_labels == 4
    again = run(tmp_path / "run.sqlite")
    assert again.finished
    assert again.drawing.received == 1


@pytest.mark.parametrize(
    ("errors", "calls"), [([StatusError(401, "no key")] * 9, 1), ([ValueError("broken")] * 9, 5)]
)
def test_a_model_that_refuses_everything_ends_the_run(
    tmp_path: Path, errors: list[Exception], calls: int
) -> None:
    edge = FailingModel("small", errors)
    with pytest.raises(ModelError, match=r"small.*same command again"):
        run(tmp_path / "run.sqlite", edge=edge, concurrency=1)
    assert len(edge.calls) == calls


def test_retry_after_is_obeyed_and_causes_are_read() -> None:
    class RefusedError(Exception):
        response = type("Response", (), {"status_code": 429, "headers": {"retry-after": "7"}})()

    outer = ModelError("wrapped")
    outer.__cause__ = RefusedError()
    outcome = type("Outcome", (), {"exception": lambda self: outer})()
    state: Any = type("State", (), {"outcome": outcome, "attempt_number": 1})()
    assert is_transient(outer)
    assert Backoff()(state) == 7.0
    assert not is_transient(ValueError("broken"))


def test_the_cap_is_never_passed_and_the_run_goes_on_with_a_higher_one(tmp_path: Path) -> None:
    store = tmp_path / "run.sqlite"
    most_of_one = Price("large", PRICES).most(SETTINGS.request("Question 0?"), 32)
    assert most_of_one is not None
    cap = most_of_one + 0.0061  # an answer costs 0.00201
    done = run(store, prices=PRICES, max_usd=cap, concurrency=4)
    assert done.drawing.capped
    assert not done.finished
    spent = count(store, "SELECT sum(usd) FROM sample")
    assert spent == pytest.approx(4 * 0.00201)
    assert count(store, "SELECT count(*) FROM sample WHERE role = 'edge'") == 15
    assert run(store, prices=PRICES, max_usd=cap, concurrency=4).drawing.received == 0
    assert run(store, prices=PRICES, max_usd=cap * 100).finished


def test_the_cap_counts_lost_requests_and_replies_without_usage_at_their_most(tmp_path: Path) -> None:
    class Silent(SeededModel):
        def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
            super().sample(request, n, **settings)
            return [Sample("yes")]

    store = tmp_path / "run.sqlite"
    most_of_one = Price("large", PRICES).most(SETTINGS.request("Question 0?"), 32) or 0.0
    run(store, prices=PRICES, max_usd=3.5 * most_of_one, cloud=Silent("large"))
    assert count(store, "SELECT count(*) FROM sample WHERE role = 'cloud'") == 3
    assert count(store, "SELECT count(usd) FROM sample WHERE role = 'cloud'") == 0
    with Store(store, read_only=True) as opened:
        spent, n_unknown = opened.spent()
    assert spent == pytest.approx(3 * most_of_one)
    assert n_unknown == 0


def test_unknown_money_stays_unknown_and_refuses_a_cap(tmp_path: Path) -> None:
    run(tmp_path / "run.sqlite")
    assert count(tmp_path / "run.sqlite", "SELECT count(usd) FROM sample") == 0
    with pytest.raises(ConfigurationError, match="cost is unknown"):
        run(tmp_path / "run.sqlite", prices=PRICES, max_usd=1.0)
    with pytest.raises(ConfigurationError, match="that of 'small' is unknown"):
        run(tmp_path / "new.sqlite", max_usd=1.0)
    unbounded = SamplingSettings(n=2, max_tokens=None)
    with pytest.raises(ConfigurationError, match="longest reply"):
        run(tmp_path / "new2.sqlite", prices=PRICES, max_usd=1.0, sampling=unbounded)
    assert Price("small", {}).priced(Usage(input_tokens=1, output_tokens=1)) == Usage(
        input_tokens=1, output_tokens=1
    )


def test_a_waiting_reservation_gets_what_others_give_back() -> None:
    cap = SpendCap(1.0)
    assert cap.reserve(0.7)
    got: list[bool] = []
    waiter = threading.Thread(target=lambda: got.append(cap.reserve(0.7)))
    waiter.start()
    waiter.join(0.05)
    assert waiter.is_alive()
    cap.settle(0.7, 0.1)
    waiter.join(5)
    assert got == [True]


@pytest.mark.parametrize(
    "text", ["[]", '{"m": {"input": 1}}', '{"m": {"input": -1, "output": 1}}', "{", '{"m": 3}']
)
def test_a_broken_price_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(ConfigurationError, match="per million tokens"):
        read_prices(tmp_path / "prices.json")


def test_prices_are_per_million_tokens(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text('{"m": {"input": 2, "output": 4}}')
    price = Price("m", read_prices(tmp_path / "prices.json"))
    priced = price.priced(Usage(input_tokens=1_000_000, output_tokens=500_000))
    assert priced is not None
    assert priced.usd == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (['{"question": "a"}', '{"question": '], "line 2: not JSON"),
        (['{"question": "a"}', '{"text": "b"}'], "line 2: the field 'question' is missing"),
        (['{"question": "a"}', "[1]"], "line 2: the field 'question' is missing"),
        (['{"question": "  "}'], "line 1: the field 'question' is wrong"),
        (['{"question": "a", "answers": "b"}'], "line 1: the field 'answers' is wrong"),
        (['{"id": "x", "question": "a"}', '{"id": "x", "question": "b"}'], "line 2: the id 'x' is already"),
        ([], "no question in it"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_asked(tmp_path: Path, lines: list[str], told: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(lines))
    edge = SeededModel("small")
    with pytest.raises(ConfigurationError, match=told):
        label(path, edge=edge, cloud=SeededModel("large"), store=tmp_path / "run.sqlite")
    assert edge.calls == []


def test_questions_are_read_with_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    rows = [{"question": "a", "other": 1}, {"id": 7, "question": "b", "answers": ["x"], "dataset": "d"}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    first, second = read_questions(path)
    assert first.id
    assert (second.id, second.answers, second.dataset) == ("7", ("x",), "d")
    assert [q.id for q in read_questions(path, limit=1)] == [first.id]
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_questions(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    "change",
    [
        {"cloud": SeededModel("other")},
        {"sampling": SamplingSettings(n=3)},
        {"sampling": SamplingSettings(n=2, instruction="Be brief.")},
    ],
)
def test_another_pair_or_setting_in_one_store_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    run(tmp_path / "run.sqlite")
    with pytest.raises(ConfigurationError, match="answers of another run"):
        run(tmp_path / "run.sqlite", **change)
    assert count(tmp_path / "run.sqlite", "SELECT count(*) FROM sample") == 30


def test_one_model_twice_and_another_text_under_an_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="same model"):
        run(tmp_path / "run.sqlite", cloud=SeededModel("small"))
    run(tmp_path / "run2.sqlite")
    with pytest.raises(ConfigurationError, match="another text under the id 'q0'"):
        label(
            [{"id": "q0", "question": "New?"}],
            edge=SeededModel("small"),
            cloud=SeededModel("large"),
            store=tmp_path / "run2.sqlite",
            sampling=SETTINGS,
        )


def test_a_store_of_another_schema_and_a_foreign_file_are_refused_unharmed(tmp_path: Path) -> None:
    store = tmp_path / "run.sqlite"
    run(store)
    db = sqlite3.connect(store)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(ConfigurationError, match="schema 99"):
        run(store)
    assert count(store, "SELECT count(*) FROM sample") == 30
    foreign = tmp_path / "foreign.sqlite"
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE mine (x)")
    db.close()
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough to be read as one " * 40)
    for path in (foreign, text):
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="is not a store"):
            run(path)
        assert path.read_bytes() == before
    with pytest.raises(ConfigurationError, match="no store at"):
        Store(tmp_path / "absent.sqlite", read_only=True)


def test_two_processes_cannot_label_into_one_store(tmp_path: Path) -> None:
    store = tmp_path / "run.sqlite"
    script = (
        "import sys; from confroute.labelling import Store; s = Store(sys.argv[1]); "
        "print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(ConfigurationError, match="another process"):
        run(store)
    other.kill()
    other.communicate()
    assert run(store).finished


def full_after(n_pages: int) -> Callable[[Store], None]:
    def limit(store: Store) -> None:
        store.rows(f"PRAGMA max_page_count={n_pages}")

    return limit


def test_a_full_disk_is_one_clear_error_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "run.sqlite"
    opened = Store.__init__

    def small_disk(self: Store, path: Path, *, read_only: bool = False) -> None:
        opened(self, path, read_only=read_only)
        full_after(24)(self)

    edge = SeededModel("small", variety=10**6)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "__init__", small_disk)
        with pytest.raises(StoreError, match=r"full.*same command again"):
            run(store, n=200, edge=edge)
    kept = count(store, "SELECT count(*) FROM sample")
    assert kept > 20
    assert count(store, "PRAGMA integrity_check") == "ok"
    done = run(store, n=200)
    assert done.finished
    assert done.drawing.received == 200 * 6 - kept


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_access_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="mend access"):
        run(tmp_path / "run.sqlite")


def test_labels_are_made_anew_under_other_settings_without_asking(tmp_path: Path) -> None:
    store = tmp_path / "run.sqlite"
    run(store, n=40)
    labels = "SELECT group_concat(label) FROM label"
    before = count(store, labels)
    assert relabel(store, labels=LabelSettings(tau=0.9)) == 40
    assert count(store, labels) != before
    assert relabel(store) == 40
    assert count(store, labels) == before
    with pytest.raises(ConfigurationError, match="'paper'"):
        relabel(store, labels=LabelSettings(estimator="paper"))
    with pytest.raises(ConfigurationError, match="no store"):
        relabel(tmp_path / "absent.sqlite")


def test_the_status_tells_pair_answers_money_and_labels(tmp_path: Path) -> None:
    store = tmp_path / "run.sqlite"
    edge = FailingModel("small", [StatusError(400)])
    run(store, edge=edge, prices=PRICES, concurrency=1)
    with Store(store, read_only=True) as opened:
        told = status(opened)
    assert "14 of 15 answers" in told
    assert "15 of 15 answers, 150 tokens in, 30 out, $0.0302" in told
    assert "5, of which 4 with all answers" in told
    assert "1 refused, 0 without an answer" in told
    assert "rule difference, tau 0.1, estimator likelihood" in told


def test_a_users_price_goes_before_a_server_here_that_costs_nothing() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, usd=0.0)
    own = Price("large", {"large": (1e-6, 2e-6)}).priced(usage)
    assert own is not None
    assert own.usd == pytest.approx(0.0012)
    assert Price("large", {}).priced(usage) == usage
