"""A model that is asked everything once: replies are kept on disk, so a run can be stopped and repeated."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from confroute.decision import Message, RouteRequest, Sample, ToolCall, Usage, total_usage
from confroute.errors import ConfigurationError, ModelError
from confroute.models import Model, load_model

Item = TypeVar("Item")
Result = TypeVar("Result")

_ATTEMPTS = 6

_TABLE = """CREATE TABLE IF NOT EXISTS reply (
    key BLOB PRIMARY KEY, model TEXT NOT NULL, samples TEXT NOT NULL, seconds REAL NOT NULL
) WITHOUT ROWID"""


class ReplyCache:
    """Replies by model, prompt and settings, in one SQLite file; safe to use from several threads.

    Args:
        path: The file; made if absent. In memory if None.

    Raises:
        ConfigurationError: If the file is not such a cache.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_TABLE)
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"{path} cannot be used to keep replies ({error}): expected a new file, or one made here"
            ) from error

    def get(self, key: bytes) -> tuple[str, float] | None:
        """Return what was kept under a key: samples as JSON, and seconds."""
        with self._lock:
            row = self._db.execute("SELECT samples, seconds FROM reply WHERE key = ?", (key,)).fetchone()
        return (row[0], row[1]) if row is not None else None

    def put(self, key: bytes, model: str, samples: str, seconds: float) -> None:
        """Keep a reply; it is on disk when this returns."""
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO reply VALUES (?, ?, ?, ?)", (key, model, samples, seconds)
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model replied.

    Attributes:
        samples: The answers.
        seconds: How long they took when they were asked for.
        fresh: Whether they were asked for now, rather than read from the cache.
    """

    samples: list[Sample]
    seconds: float
    fresh: bool

    @property
    def usage(self) -> Usage:
        """Tokens and money of all samples; None where unknown."""
        return total_usage([sample.usage for sample in self.samples])


class CachedModel:
    """Another model whose replies are kept; itself a `confroute.models.Model`.

    Equal requests with equal settings are sent once in a lifetime, failures that may pass are tried again.

    Args:
        model: The model, or the string that names it.
        cache: Where replies are kept.
        prices: US dollars per input and output token by model, which go before list prices.

    Attributes:
        spent: Tokens and money of what was asked for, replies from the cache left out.
    """

    def __init__(
        self,
        model: Model | str,
        cache: ReplyCache,
        *,
        prices: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        from confroute.labelling.money import Price

        self.model: Model = load_model(model) if isinstance(model, str) else model
        self.spent = Usage.none_spent()
        self._cache = cache
        self._price = Price(self.model.name, prices or {})
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's own name."""
        return self.model.name

    def ask(
        self, request: RouteRequest, n: int = 1, *, append: Sequence[Message] = (), **settings: Any
    ) -> Reply:
        """Draw `n` answers, or read them from the cache.

        Args:
            request: The request.
            n: Number of answers.
            append: Further turns.
            **settings: As in `confroute.models.Model.sample`.

        Raises:
            ModelError: If the model fails for good.
        """
        key = self._key(request, n, append, settings)
        kept = self._cache.get(key)
        if kept is not None:
            return Reply([_read(sample) for sample in json.loads(kept[0])], kept[1], fresh=False)
        start = time.perf_counter()
        drawn = self._draw(request, n, append, settings)
        seconds = time.perf_counter() - start
        samples = [replace(sample, usage=self._price.priced(sample.usage)) for sample in drawn]
        self._cache.put(key, self.name, json.dumps([_written(sample) for sample in samples]), seconds)
        reply = Reply(samples, seconds, fresh=True)
        with self._lock:
            self.spent += reply.usage
        return reply

    def sample(
        self, request: RouteRequest, n: int, *, append: Sequence[Message] = (), **settings: Any
    ) -> list[Sample]:
        """Draw `n` answers; see `confroute.models.Model`."""
        return self.ask(request, n, append=append, **settings).samples

    async def asample(
        self, request: RouteRequest, n: int, *, append: Sequence[Message] = (), **settings: Any
    ) -> list[Sample]:
        """Draw `n` answers in a thread; see `confroute.models.Model`."""
        return (await asyncio.to_thread(self.ask, request, n, append=append, **settings)).samples

    def _draw(
        self, request: RouteRequest, n: int, append: Sequence[Message], settings: dict[str, Any]
    ) -> list[Sample]:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        from confroute.labelling.retry import Backoff, is_transient

        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=Backoff(),
            reraise=True,
        )
        try:
            return retrying(self.model.sample, request, n, append=append, **settings)
        except Exception as error:
            raise ModelError(
                f"{self.name} did not answer: {type(error).__name__}: {error} What was received is kept; "
                "mend the cause and start again"
            ) from error

    def _key(
        self, request: RouteRequest, n: int, append: Sequence[Message], settings: Mapping[str, Any]
    ) -> bytes:
        turns = [[m.role, m.text] for m in (*request.messages, *append)]
        asked = [self.name, turns, n, sorted(settings.items())]
        return hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()


def _written(sample: Sample) -> dict[str, Any]:
    return {
        "text": sample.text,
        "tool_calls": [[call.name, dict(call.args)] for call in sample.tool_calls],
        "logprob": sample.logprob,
        "n_tokens": sample.n_tokens,
        "usage": sample.usage.model_dump() if sample.usage is not None else None,
        "model": sample.model,
    }


def _read(written: Mapping[str, Any]) -> Sample:
    return Sample(
        text=written["text"],
        tool_calls=tuple(ToolCall(name, args) for name, args in written["tool_calls"]),
        logprob=written["logprob"],
        n_tokens=written["n_tokens"],
        usage=Usage(**written["usage"]) if written["usage"] is not None else None,
        model=written["model"],
    )


class _StoppedError(Exception):
    pass


def in_threads(run: Callable[[Item], Result], items: Iterable[Item], max_concurrency: int) -> list[Result]:
    """Run a function on items, a few at a time; after a failure, nothing new is begun.

    Returns:
        The results, in the order of the items.

    Raises:
        Exception: What the first failure raised, once what was under way has ended.
    """
    stopped = threading.Event()

    def guarded(item: Item) -> Result:
        if stopped.is_set():
            raise _StoppedError
        try:
            return run(item)
        except BaseException:
            stopped.set()
            raise

    pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix="confroute-ask")
    try:
        futures = [pool.submit(guarded, item) for item in items]
        wait(futures)
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
    for future in futures:
        error = future.exception()
        if error is not None and not isinstance(error, _StoppedError):
            raise error
    return [future.result() for future in futures]
