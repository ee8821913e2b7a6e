"""Answer equivalence by a small model that ships with the package."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from confroute.errors import ConfigurationError
from confroute.uncertainty.equivalence import FloatArray, Pair
from confroute.uncertainty.features import FEATURES, Question, pair_features
from confroute.uncertainty.lexicon import Lexicon
from confroute.uncertainty.rules import exact_verdict
from confroute.uncertainty.trees import Trees
from confroute.uncertainty.views import View

WEIGHTS = Path(__file__).parent / "weights"
FORMAT = 1
MISSING = -10.0
"""Stands for a feature that has no meaning for a pair."""

KEPT_CHARS = 4_000_000
"""Answers that stay read between calls, in characters."""

T = TypeVar("T")


class LearnedEquivalence:
    """Boosted trees over what two answers share, with exact rules before them; numpy only.

    The score is directed: the probability that ``a``, as an answer to the question, entails ``b``, where
    both outcomes are taken as equally likely beforehand. For short answers it hardly depends on the
    direction; a sentence entails a vaguer one and not the reverse.

    Args:
        folder: Folder with ``equivalence.safetensors`` and ``equivalence.json``, and ``lexicon.safetensors``
            unless the shipped one is to be used. The model that ships by default.

    Raises:
        ConfigurationError: If the folder holds no such model, or one that does not fit this version.
    """

    symmetric = False
    threshold = 0.5

    def __init__(self, folder: str | Path = WEIGHTS) -> None:
        folder = Path(folder)
        try:
            meta = json.loads((folder / "equivalence.json").read_text("utf-8"))
            data = (folder / "equivalence.safetensors").read_bytes()
            tensors = load_file(folder / "equivalence.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise ConfigurationError(
                f"cannot read an equivalence model from {folder}: {error}. Expected equivalence.json and "
                "equivalence.safetensors, as written by scripts/train_equivalence.py"
            ) from error
        if meta.get("format") != FORMAT or tuple(meta.get("features", ())) != FEATURES:
            raise ConfigurationError(
                f"the equivalence model in {folder} has format {meta.get('format')!r} and "
                f"{len(meta.get('features', ()))} features: this version reads format {FORMAT} with the "
                f"{len(FEATURES)} features of confroute.uncertainty.features. Train it anew with "
                "scripts/train_equivalence.py"
            )
        lexicon = folder / "lexicon.safetensors"
        self.lexicon = shared_lexicon(lexicon if lexicon.exists() else WEIGHTS / "lexicon.safetensors")
        self._trees = Trees.from_tensors(tensors, float(meta["bias"]))
        self._slope, self._offset = float(meta["calibration"]["slope"]), float(meta["calibration"]["offset"])
        self.version = f"{meta['version']}-{hashlib.sha256(data).hexdigest()[:8]}"
        self._views = _Kept(lambda text: View(text, self.lexicon))
        self._questions = _Kept(lambda text: Question(text, self.lexicon))

    @classmethod
    def load(cls, folder: str | Path) -> LearnedEquivalence:
        """Load a model from a folder, such as one fold of a cross-fit."""
        return cls(folder)

    @property
    def name(self) -> str:
        """Identity of the judge, with its version and a hash of its weights."""
        return f"learned-{self.version}"

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return P(a entails b) for each pair; float array of shape [n] in [0, 1]."""
        scores = np.empty(len(pairs))
        open_pairs: list[int] = []
        rows: list[list[float]] = []
        for i, (q, a, b) in enumerate(pairs):
            question, view_a, view_b = self._questions.get(q), self._views.get(a), self._views.get(b)
            verdict = exact_verdict(question, view_a, view_b)
            if verdict is None:
                open_pairs.append(i)
                rows.append(pair_features(question, view_a, view_b))
            else:
                scores[i] = verdict
        if rows:
            scores[open_pairs] = self._probability(as_matrix(rows))
        return scores

    def _probability(self, rows: NDArray[np.float32]) -> FloatArray:
        log_odds = self._slope * self._trees.raw(rows) + self._offset
        return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -30.0, 30.0)))


def as_matrix(rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Return feature rows as a float32 array of shape [n, features] without NaN."""
    matrix = np.array(rows, dtype=np.float32).reshape(len(rows), len(FEATURES))
    return np.where(np.isnan(matrix), np.float32(MISSING), matrix)


@lru_cache(maxsize=4)
def shared_lexicon(path: Path) -> Lexicon:
    """Return the lexicon in a file, read once."""
    return Lexicon(path)


class _Kept(Generic[T]):
    """What was made of each text, until `KEPT_CHARS` characters are kept; safe between threads."""

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, text: str) -> T:
        """Return what is made of a text."""
        found = self._kept.get(text)
        if found is not None:
            return found
        made = self._make(text)
        with self._lock:
            if text not in self._kept:
                self._kept[text] = made
                self._size += len(text) + 100
            while self._size > KEPT_CHARS:
                old, _ = self._kept.popitem(last=False)
                self._size -= len(old) + 100
        return made
