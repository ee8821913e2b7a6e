"""The store of a labelling run: one SQLite file that survives `kill -9`.

Write-ahead log with ``synchronous=NORMAL``: a commit survives the death of the process at any moment. A power
cut may take the last commits with it, never the file's consistency; the run then asks those again, which is
not worth a disk sync for every sample.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from confroute.decision import Route, Sample, Usage
from confroute.errors import ConfigurationError, ConfRouteError
from confroute.labelling.settings import Kind, Question, SamplingSettings

SCHEMA_VERSION = 1
JUDGE_SPEND = "judge_spend"
"""Name under which the settings keep what judges have cost."""

_APPLICATION_ID = 0x63665274  # "cfRt": tells the file from other SQLite files

_SCHEMA = """
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE question (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, question TEXT NOT NULL,
    answers TEXT NOT NULL, dataset TEXT NOT NULL);
CREATE TABLE intent (
    number INTEGER PRIMARY KEY, question INTEGER NOT NULL REFERENCES question, role TEXT NOT NULL,
    kind TEXT NOT NULL, idx INTEGER NOT NULL, reserved_usd REAL, state TEXT NOT NULL, error TEXT,
    at REAL NOT NULL);
CREATE TABLE sample (
    question INTEGER NOT NULL REFERENCES question, role TEXT NOT NULL, kind TEXT NOT NULL,
    idx INTEGER NOT NULL, seed INTEGER NOT NULL, text TEXT NOT NULL, logprob REAL, n_tokens INTEGER,
    input_tokens INTEGER, output_tokens INTEGER, usd REAL, model TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (question, role, kind, idx)) WITHOUT ROWID;
CREATE TABLE cluster (
    question INTEGER NOT NULL REFERENCES question, role TEXT NOT NULL, clusters TEXT NOT NULL,
    PRIMARY KEY (question, role)) WITHOUT ROWID;
CREATE TABLE entropy (
    question INTEGER NOT NULL REFERENCES question, role TEXT NOT NULL, entropy REAL NOT NULL,
    normalized REAL NOT NULL, estimator TEXT NOT NULL,
    PRIMARY KEY (question, role)) WITHOUT ROWID;
CREATE TABLE label (
    question INTEGER PRIMARY KEY REFERENCES question, label TEXT NOT NULL, edge_correct INTEGER,
    cloud_correct INTEGER) WITHOUT ROWID;
"""

_INSERT_INTENT = """
INSERT INTO intent (question, role, kind, idx, reserved_usd, state, at) VALUES (?, ?, ?, ?, ?, 'sent', ?)
"""
_CLOSE_INTENT = "UPDATE intent SET state = ?, error = ? WHERE number = ?"
_INSERT_SAMPLE = "INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class StoreError(ConfRouteError, OSError):
    """The store cannot be read or written, for example because the disk is full."""


@contextmanager
def store_errors(path: str | Path) -> Iterator[None]:
    """Turn SQLite's errors on a file into a `StoreError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"cannot use the store {path}: {error}. What is in it stays; make room or mend access, "
            "then give the same command again"
        ) from error


class Draw(NamedTuple):
    """One answer to be drawn, or that was: the question's position, the model's role, kind and number."""

    position: int
    role: Route
    kind: Kind
    idx: int


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A received answer with its place and its seed."""

    draw: Draw
    seed: int
    sample: Sample


class JudgeSpend(NamedTuple):
    """What the calls of LLM judges of equivalence have cost; one without an answer counts as its most."""

    calls: int = 0
    usd: float = 0.0
    n_unknown: int = 0


class Store:
    """The SQLite file of one run; safe to use from several threads.

    Args:
        path: The file; made if absent unless `read_only`.
        read_only: Only look; another process may be writing.

    Raises:
        ConfigurationError: If the file is no store, has another schema, or another process labels into it.
        StoreError: If the disk does not play along.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        if read_only and not self.path.is_file():
            raise ConfigurationError(f"no store at {path}; 'confroute label ... --store {path}' makes one")
        self._lock = threading.RLock()
        with store_errors(self.path):
            self._owner = None if read_only else self._own()
            self._db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
                uri=True,
                check_same_thread=False,
                isolation_level=None,
                timeout=60,
            )
            self._check_schema(create=not read_only)
            if not read_only:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.execute("PRAGMA foreign_keys=ON")

    def close(self) -> None:
        """Close the file and let other processes label into it."""
        self._db.close()
        if self._owner is not None:
            self._owner.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def bind(self, settings: SamplingSettings, *, edge: str, cloud: str) -> None:
        """Write down what the run asks of whom, or check it against what is written.

        Raises:
            ConfigurationError: If the store holds answers of another pair or under other settings.
        """
        wanted = {"edge": edge, "cloud": cloud, **settings.model_dump(mode="json")}
        with self.transaction():
            written = self.settings()
            if not written:
                self.put_settings(wanted)
                return
        differing = [key for key in wanted if written.get(key) != wanted[key]]
        if differing:
            told = "; ".join(f"{key}: {written.get(key)!r} there, {wanted[key]!r} now" for key in differing)
            raise ConfigurationError(
                f"{self.path} holds answers of another run ({told}). "
                "One store holds one pair under one setting: give the same ones, or another --store"
            )

    def settings(self) -> dict[str, Any]:
        """Return what `bind` and `put_settings` wrote; empty for a new store."""
        return {key: json.loads(value) for key, value in self.rows("SELECT key, value FROM setting")}

    def put_settings(self, values: dict[str, Any]) -> None:
        """Write settings, over those of the same name."""
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        with self.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", rows)

    def add_questions(self, questions: Sequence[Question], *, erase: bool = True) -> list[int]:
        """Add questions, and return the position of each.

        Gold answers and the dataset of a known question become those given now. What was judged by others
        is forgotten, for `confroute.labelling.labels.grade` to judge anew.

        Args:
            questions: The questions.
            erase: Whether empty gold answers and an empty dataset replace known ones too.

        Raises:
            ConfigurationError: If the store has another text under one of the ids.
        """
        known = {q.id: (position, q) for position, q in self.questions().items()}
        positions, new, changed = [], [], []
        for question in questions:
            position, old = known.get(question.id, (len(known), None))
            positions.append(position)
            answers, dataset = question.answers, question.dataset
            if old is None:
                known[question.id] = (position, question)
                new.append((position, question.id, question.question, _json(answers), dataset))
                continue
            if old.question != question.question:
                raise ConfigurationError(
                    f"{self.path} has another text under the id {question.id!r}: "
                    f"{old.question[:80]!r} there, {question.question[:80]!r} now. "
                    "Give the question another id, or use another --store"
                )
            if not erase:
                answers, dataset = answers or old.answers, dataset or old.dataset
            if (answers, dataset) != (old.answers, old.dataset):
                changed.append((_json(answers), dataset, position))
        with self.transaction() as db:
            db.executemany("INSERT INTO question VALUES (?, ?, ?, ?, ?)", new)
            db.executemany("UPDATE question SET answers = ?, dataset = ? WHERE position = ?", changed)
            db.executemany(
                "UPDATE label SET edge_correct = NULL, cloud_correct = NULL WHERE question = ?",
                [(position,) for *_, position in changed],
            )
        return positions

    def questions(self) -> dict[int, Question]:
        """Return the questions by position."""
        rows = self.rows("SELECT position, id, question, answers, dataset FROM question ORDER BY position")
        return {
            position: Question(id=id_, question=text, answers=json.loads(answers), dataset=dataset)
            for position, id_, text, answers, dataset in rows
        }

    def note_intent(self, draw: Draw, *, reserved_usd: float | None) -> int:
        """Note that a request is about to be sent; return the intent's number once that is committed."""
        row = (*draw, reserved_usd, time.time())
        with self._lock, store_errors(self.path):
            return int(self._db.execute(_INSERT_INTENT, row).lastrowid or 0)

    def receive(self, intent: int, stored: StoredSample) -> None:
        """Keep an answer and close its intent, in one commit."""
        row = _sample_row(stored)
        with self.transaction() as db:
            db.execute(_INSERT_SAMPLE, row)
            db.execute(_CLOSE_INTENT, ("received", None, intent))

    def fail(self, intent: int, error: str, *, state: Literal["failed", "lost"]) -> None:
        """Close an intent without an answer: ``failed``, or ``lost`` where it may have cost money."""
        with self._lock, store_errors(self.path):
            self._db.execute(_CLOSE_INTENT, (state, error[:500], intent))

    def put_samples(self, samples: Iterable[StoredSample]) -> None:
        """Keep answers."""
        rows = [_sample_row(stored) for stored in samples]
        with self.transaction() as db:
            db.executemany(_INSERT_SAMPLE, rows)

    def received(self) -> set[Draw]:
        """Return what was drawn already."""
        return {Draw(*row) for row in self.rows("SELECT question, role, kind, idx FROM sample")}

    def samples(self, positions: Sequence[int] | None = None) -> Iterator[StoredSample]:
        """Return answers in order of question, role, kind and number; of all questions if None."""
        query = (
            "SELECT question, role, kind, idx, seed, text, logprob, n_tokens, input_tokens, output_tokens, "
            "usd, model FROM sample {} ORDER BY question, role, kind, idx"
        )
        if positions is None:
            rows = self.rows(query.format(""))
        else:
            chosen = "WHERE question IN (SELECT value FROM json_each(?))"
            rows = self.rows(query.format(chosen), (json.dumps(list(positions)),))
        for position, role, kind, index, seed, text, logprob, n_tokens, n_in, n_out, usd, model in rows:
            usage = Usage(input_tokens=n_in, output_tokens=n_out, usd=usd)
            sample = Sample(text, logprob=logprob, n_tokens=n_tokens, usage=usage, model=model)
            yield StoredSample(Draw(position, role, kind, index), seed, sample)

    def spent(self) -> tuple[float, int]:
        """Return US dollars spent, a judge's included, and the number of answers whose cost is unknown.

        A request that got no answer, and an answer that did not tell its usage, count as what was reserved.
        """
        costs = self.rows(
            "SELECT coalesce(s.usd, i.reserved_usd) FROM sample s LEFT JOIN intent i ON i.state = 'received' "
            "AND i.question = s.question AND i.role = s.role AND i.kind = s.kind AND i.idx = s.idx "
            "UNION ALL SELECT reserved_usd FROM intent WHERE state IN ('sent', 'lost')"
        )
        known = [usd for (usd,) in costs if usd is not None]
        judge = self.judge_spend()
        return sum(known) + judge.usd, len(costs) - len(known) + judge.n_unknown

    def judge_spend(self) -> JudgeSpend:
        """Return what LLM judges have cost."""
        return JudgeSpend(**self.settings().get(JUDGE_SPEND, {}))

    def note_judge_call(self, reserved_usd: float | None) -> None:
        """Note that a judge is about to be asked, at what is reserved for it."""
        self._add_judge_spend(JudgeSpend(1, reserved_usd or 0.0, int(reserved_usd is None)))

    def settle_judge_call(self, reserved_usd: float | None, usd: float | None) -> None:
        """Count what a judge's call did cost, if that is known, instead of what was reserved for it."""
        if usd is not None:
            self._add_judge_spend(JudgeSpend(0, usd - (reserved_usd or 0.0), -int(reserved_usd is None)))

    def _add_judge_spend(self, more: JudgeSpend) -> None:
        with self.transaction():
            old = self.judge_spend()
            usd = max(old.usd + more.usd, 0.0)  # rounding may leave a little less
            new = JudgeSpend(old.calls + more.calls, usd, old.n_unknown + more.n_unknown)
            self.put_settings({JUDGE_SPEND: new._asdict()})

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._lock, store_errors(self.path):
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one commit; inside another transaction, as part of it."""
        with self._lock, store_errors(self.path):
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise

    def _own(self) -> sqlite3.Connection:
        """Lock a file beside the store; the system frees it when the process ends, however it ends."""
        owner = sqlite3.connect(f"{self.path}.lock", timeout=0, check_same_thread=False, isolation_level=None)
        try:
            owner.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            owner.close()
            if "locked" not in str(error):
                raise
            raise ConfigurationError(
                f"another process labels into {self.path}; wait for it, or stop it, and try again"
            ) from error
        return owner

    def _check_schema(self, *, create: bool) -> None:
        try:
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            (n_tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error):
                raise
            application, version, n_tables = -1, -1, 1
        if create and n_tables == 0:
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id={_APPLICATION_ID}; "
                f"PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
            )
        elif application != _APPLICATION_ID:
            what = "is not" if n_tables else "is empty, not"
            raise ConfigurationError(
                f"{self.path} {what} a store of 'confroute label'; give the file that a run's --store names"
            )
        elif version != SCHEMA_VERSION:
            raise ConfigurationError(
                f"{self.path} has schema {version}, this confroute reads schema {SCHEMA_VERSION}. Export it "
                "with the version that made it (--export) and import it with this one (--import)"
            )


def _json(values: Sequence[str]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _sample_row(stored: StoredSample) -> tuple[Any, ...]:
    sample = stored.sample
    usage = sample.usage or Usage()
    counts = (sample.logprob, sample.n_tokens, usage.input_tokens, usage.output_tokens, usage.usd)
    return (*stored.draw, stored.seed, sample.text, *counts, sample.model, time.time())
