"""Equivalence scores kept on disk, so that a pair is judged once in a lifetime."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from confroute.uncertainty.equivalence import Equivalence, FloatArray, Pair

_LOOKUP_ROWS = 500


class CachedEquivalence:
    """Another equivalence, with its scores cached in an SQLite file.

    The key is (name of the equivalence, question, a, b); two processes may share the file.

    Args:
        equivalence: The judge whose scores are kept.
        path: The cache file; made if absent.
    """

    def __init__(self, equivalence: Equivalence, path: str | Path) -> None:
        self._equivalence = equivalence
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=60)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS score (key BLOB PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID"
        )

    @property
    def name(self) -> str:
        """Name of the judge behind the cache."""
        return self._equivalence.name

    @property
    def symmetric(self) -> bool:
        """Whether the judge behind the cache is symmetric."""
        return self._equivalence.symmetric

    @property
    def threshold(self) -> float:
        """Threshold of the judge behind the cache."""
        return self._equivalence.threshold

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return cached scores, and ask the judge for the rest in one batch; float array of shape [n]."""
        keys = [self._key(pair) for pair in pairs]
        with self._lock:
            known = self._lookup(list(dict.fromkeys(keys)))
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
        if missing:
            scores = np.asarray(self._equivalence.score(list(missing.values())), dtype=np.float64).tolist()
            fresh = dict(zip(missing, scores, strict=True))
            with self._lock, self._db:
                rows = [(key, value) for key, value in fresh.items() if not np.isnan(value)]
                self._db.executemany("INSERT OR REPLACE INTO score VALUES (?, ?)", rows)
            known |= fresh
        return np.array([known[key] for key in keys], dtype=np.float64)

    def close(self) -> None:
        """Close the cache file."""
        self._db.close()

    def __enter__(self) -> CachedEquivalence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _key(self, pair: Pair) -> bytes:
        digest = hashlib.sha256()
        for part in (self.name, *pair):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()

    def _lookup(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        known: dict[bytes, float] = {}
        for start in range(0, len(keys), _LOOKUP_ROWS):
            chunk = keys[start : start + _LOOKUP_ROWS]
            marks = ",".join("?" * len(chunk))
            known.update(self._db.execute(f"SELECT key, value FROM score WHERE key IN ({marks})", chunk))  # noqa: S608 - only question marks are inserted
        return known
