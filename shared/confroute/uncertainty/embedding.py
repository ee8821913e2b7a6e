"""Equivalence by cosine similarity of sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from confroute.uncertainty.equivalence import FloatArray, Pair


class Encoder(Protocol):
    """Turns texts into vectors; `confroute.encoders` has them."""

    @property
    def name(self) -> str:
        """Name of the encoder."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector a text, float32 array of shape [n, d]."""
        ...


class EmbeddingEquivalence:
    """Answers mean the same when the cosine of their embeddings is high.

    Weak on short answers: it takes 1945 for 1946. The score is the cosine, clipped to [0, 1].

    Args:
        encoder: The encoder; all-MiniLM-L6-v2 by default.
        threshold: Cosine from which two answers are one; 0.9 by default.
    """

    symmetric = True

    def __init__(self, encoder: Encoder | None = None, *, threshold: float = 0.9) -> None:
        if encoder is None:
            from confroute.encoders import default_encoder

            encoder = default_encoder()
        self.encoder = encoder
        self.threshold = threshold

    @property
    def name(self) -> str:
        """Identity of the judge."""
        return f"embedding-1:{self.encoder.name}"

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return the cosine of each pair's answers, each distinct text encoded once; shape [n]."""
        if not pairs:
            return np.zeros(0)
        index = {text: i for i, text in enumerate(dict.fromkeys(t for _, a, b in pairs for t in (a, b)))}
        vectors = np.asarray(self.encoder.encode(list(index)), dtype=np.float64)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        left = vectors[[index[a] for _, a, _ in pairs]]
        right = vectors[[index[b] for _, _, b in pairs]]
        cosine: FloatArray = np.clip(np.einsum("nd,nd->n", left, right), 0.0, 1.0)
        return cosine
