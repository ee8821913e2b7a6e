"""Heads that ask the training questions: k nearest neighbours, and the similarity-weighted vote."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from confroute.errors import ConfigurationError
from confroute.heads.base import Arrays, Embeddings, FloatArray, Head

_SHAPES = {"columns": ("d", "n"), "wins": ("n",)}


def _kept(unit: Embeddings, wins: FloatArray) -> Arrays:
    """Return the training rows as columns, the layout in which a single product is fastest."""
    return {"columns": np.ascontiguousarray(unit.T), "wins": wins.astype(np.float32)}


class KNNHead(Head):
    """The mean label of the nearest training questions by cosine.

    The paper copies the label of the single nearest question (its Eq. 11), which leaves only three scores to
    put a threshold between; with several neighbours the score is their mean win of the cloud.

    Args:
        n_neighbors: Neighbours that vote; 1 is the paper's. No more than there are training rows count.

    Raises:
        ConfigurationError: If `n_neighbors` is below 1.
    """

    name = "knn"
    shapes = _SHAPES

    def __init__(self, *, n_neighbors: int = 50) -> None:
        super().__init__()
        if n_neighbors < 1:
            raise ConfigurationError(f"n_neighbors is {n_neighbors}: expected at least 1")
        self.n_neighbors = n_neighbors

    @property
    def params(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"n_neighbors": self.n_neighbors}

    def learn(self, unit: Embeddings, wins: FloatArray) -> Arrays:
        """Keep the training rows."""
        return _kept(unit, wins)

    def predict(self, arrays: Arrays, unit: Embeddings) -> NDArray[np.float32]:
        """Average the wins of the nearest rows."""
        cosine = unit @ arrays["columns"]
        k = min(self.n_neighbors, cosine.shape[1])
        nearest = np.argpartition(cosine, cosine.shape[1] - k, axis=1)[:, -k:]
        means: NDArray[np.float32] = arrays["wins"][nearest].mean(axis=1)
        return means


class SimilarityWeightedHead(Head):
    """A vote of all training questions, weighted by similarity: the paper's SW ranking in closed form.

    Question i votes with weight γ^(1 + S), S being its cosine to the query over the largest cosine that any
    training question has to it, as in RouteLLM's code. The paper and RouteLLM (Eqs. 9 and 10) fit
    Bradley-Terry coefficients to the weighted votes for every query; with two models that optimum is the
    weighted mean of the cloud's wins, so one product takes the solver's place.

    Args:
        gamma: Base of the weights; 10 in the paper.

    Raises:
        ConfigurationError: If `gamma` is not above 1.
    """

    name = "similarity-weighted"
    shapes = _SHAPES

    def __init__(self, *, gamma: float = 10.0) -> None:
        super().__init__()
        if not 1 < gamma < float("inf"):
            raise ConfigurationError(f"gamma is {gamma}: expected above 1, or similar questions count less")
        self.gamma = gamma

    @property
    def params(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"gamma": self.gamma}

    def learn(self, unit: Embeddings, wins: FloatArray) -> Arrays:
        """Keep the training rows."""
        return _kept(unit, wins)

    def predict(self, arrays: Arrays, unit: Embeddings) -> NDArray[np.float32]:
        """Take the weighted mean of the wins."""
        weights = unit @ arrays["columns"]
        largest = weights.max(axis=1, keepdims=True)
        weights -= largest  # a factor common to all weights of a query leaves their mean alone
        # Where nothing is similar at all, every question votes alike.
        weights *= np.where(largest > 0, np.float32(np.log(self.gamma)) / np.maximum(largest, 1e-6), 0)
        np.exp(weights, out=weights)
        wins = arrays["wins"]
        votes = weights @ np.stack([wins, np.ones_like(wins)], axis=1)
        shares: NDArray[np.float32] = votes[:, 0] / votes[:, 1]
        return shares
