"""The head that knows nothing: the floor that every other head must beat."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from confroute.heads.base import Arrays, Embeddings, FloatArray, Head


class RandomHead(Head):
    """A uniform score that is always the same for the same question.

    It hashes the signs of the embedding with the seed, so that repeated, batched and streamed calls agree.

    Args:
        seed: Another seed gives another, unrelated random router.
    """

    name = "random"
    shapes = {"blank": ("d",)}  # noqa: RUF012 - a ClassVar in the base, never changed

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    @property
    def params(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"seed": self.seed}

    def learn(self, unit: Embeddings, wins: FloatArray) -> Arrays:
        """Learn nothing but the number of dimensions."""
        return {"blank": np.zeros(unit.shape[1], dtype=np.float32)}

    def predict(self, arrays: Arrays, unit: Embeddings) -> FloatArray:
        """Hash each row."""
        key = str(self.seed).encode()
        signs = np.packbits(unit > 0, axis=1)
        digests = [hashlib.blake2b(row.tobytes(), key=key, digest_size=8).digest() for row in signs]
        return np.array([int.from_bytes(digest, "big") / 2**64 for digest in digests], dtype=np.float64)
