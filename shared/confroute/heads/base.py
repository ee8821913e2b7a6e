"""What every head is: preference labels and embeddings in, a score "the cloud is needed" out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from confroute.errors import ConfigurationError

FloatArray = NDArray[np.float64]
Embeddings = NDArray[np.float32]
Arrays = dict[str, NDArray[np.float32]]

WINS = {"edge": 0.0, "tie": 0.5, "cloud": 1.0}
"""The cloud's win by label: a tie is half a win for each side."""

_CHUNK_ROWS = 256


class Head(ABC):
    """Learns from labelled embeddings how much a question needs the cloud.

    Embeddings are scaled to unit length on the way in, so that a dot product is a cosine. Prediction needs
    numpy alone. Sums are taken in float32, so that a score can differ in its sixth decimal with the batch
    that its question was in.

    A subclass names its arrays and their dimensions in `shapes` and implements `learn` and `predict`.
    """

    name: ClassVar[str]
    shapes: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init__(self) -> None:
        self._arrays: Arrays | None = None
        self._dimension = 0

    @property
    @abstractmethod
    def params(self) -> dict[str, Any]:
        """The constructor's arguments, as plain JSON data."""

    @abstractmethod
    def learn(self, unit: Embeddings, wins: FloatArray) -> Arrays:
        """Return what is learnt from unit embeddings [n, d] and the cloud's wins [n], as named arrays."""

    @abstractmethod
    def predict(self, arrays: Arrays, unit: Embeddings) -> NDArray[np.floating[Any]]:
        """Return the scores of unit embeddings [n, d], shape [n], from what was learnt."""

    def fit(self, embeddings: ArrayLike, labels: Sequence[str] | ArrayLike) -> Self:
        """Learn from labelled questions.

        Args:
            embeddings: One row per question, shape [n, d].
            labels: ``edge``, ``cloud`` or ``tie``, or the cloud's win rate in [0, 1]; shape [n].

        Returns:
            The head itself.

        Raises:
            ConfigurationError: If there are no rows, or embeddings and labels do not fit together.
            MissingExtraError: If training needs a package that is not installed.
        """
        unit = unit_rows(embeddings)
        wins = wins_of(labels)
        if not len(unit):
            raise ConfigurationError("there is nothing to learn from: expected at least one labelled row")
        if len(unit) != len(wins):
            raise ConfigurationError(
                f"{len(unit)} embeddings but {len(wins)} labels: expected one label each"
            )
        self._arrays = self.learn(unit, wins)
        self._dimension = unit.shape[1]
        return self

    def score(self, embeddings: ArrayLike) -> FloatArray:
        """Return how much each question needs the cloud.

        Args:
            embeddings: Shape [n, d], from the encoder that `fit` was given rows of.

        Returns:
            Float array of shape [n] in [0, 1].

        Raises:
            ConfigurationError: If the head is not fitted or the rows have another length.
        """
        arrays = self.arrays
        unit = unit_rows(embeddings)
        if unit.shape[1] != self._dimension:
            raise ConfigurationError(
                f"the embeddings have {unit.shape[1]} dimensions, the head was fitted on {self._dimension}: "
                "encode with the encoder that it was fitted with"
            )
        chunks = [
            self.predict(arrays, unit[start : start + _CHUNK_ROWS])
            for start in range(0, len(unit), _CHUNK_ROWS)
        ]
        if not chunks:
            return np.zeros(0)
        scores = np.asarray(np.concatenate(chunks), dtype=np.float64)
        return np.clip(scores, 0.0, 1.0)

    @property
    def arrays(self) -> Arrays:
        """What was learnt: named float32 arrays.

        Raises:
            ConfigurationError: If the head is not fitted.
        """
        if self._arrays is None:
            raise ConfigurationError(f"the head {self.name!r} is not fitted: call fit(embeddings, labels)")
        return self._arrays

    @property
    def dimension(self) -> int:
        """Number of dimensions of the embeddings; 0 before `fit`."""
        return self._dimension

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take up what another head of this kind and with these parameters has learnt.

        Args:
            arrays: Its `arrays`.

        Returns:
            The head itself.

        Raises:
            ConfigurationError: If an array is missing, surplus, not finite or of the wrong shape.
        """
        if set(arrays) != set(self.shapes):
            raise ConfigurationError(
                f"a {self.name!r} head holds the arrays {sorted(self.shapes)}, not {sorted(arrays)}"
            )
        sizes: dict[str, int] = {}
        for key, dims in self.shapes.items():
            shape = arrays[key].shape
            fits = len(shape) == len(dims) and all(
                sizes.setdefault(dim, size) == size for dim, size in zip(dims, shape, strict=True)
            )
            if not fits or not np.isfinite(arrays[key]).all():
                raise ConfigurationError(
                    f"array {key!r} of a {self.name!r} head has shape {shape} or holds numbers that are not "
                    f"finite: expected finite numbers of shape [{', '.join(dims)}] that fits its other arrays"
                )
        self._arrays = {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in arrays.items()}
        self._dimension = sizes["d"]
        return self


def wins_of(labels: Sequence[str] | ArrayLike) -> FloatArray:
    """Return the cloud's wins: 0 for ``edge``, ½ for ``tie``, 1 for ``cloud``, win rates as they are.

    Args:
        labels: Shape [n].

    Returns:
        Float array of shape [n] in [0, 1].

    Raises:
        ConfigurationError: If a label is something else.
    """
    given = np.asarray(labels)
    if given.ndim != 1:
        raise ConfigurationError(f"labels have shape {given.shape}: expected one label per question")
    if given.dtype.kind in "UO":
        unknown = {str(label) for label in given} - set(WINS)
        if unknown:
            raise ConfigurationError(
                f"unknown label {min(unknown)!r}: expected 'edge', 'cloud' or 'tie', or the cloud's win "
                "rates as floats in [0, 1]"
            )
        return np.array([WINS[str(label)] for label in given], dtype=np.float64)
    wins = given.astype(np.float64)
    if not ((wins >= 0) & (wins <= 1)).all():
        raise ConfigurationError("a label is outside [0, 1]: expected the cloud's win rate")
    return wins


def unit_rows(embeddings: ArrayLike) -> Embeddings:
    """Return embeddings as float32 rows of length one, shape [n, d]; a row of zeros stays one.

    Raises:
        ConfigurationError: If they are not a finite matrix.
    """
    rows = np.asarray(embeddings, dtype=np.float32)
    if rows.ndim != 2 or not rows.shape[1]:
        raise ConfigurationError(f"embeddings have shape {rows.shape}: expected [n, d]")
    if not np.isfinite(rows).all():
        raise ConfigurationError("the embeddings hold numbers that are not finite: check the encoder")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Embeddings = np.ascontiguousarray(rows / np.where(lengths > 0, lengths, np.float32(1)))
    return unit
