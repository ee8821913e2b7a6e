"""Gradient-boosted trees, scored with numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from confroute.errors import ConfigurationError

BATCH = 2048
"""Rows walked down the trees at once, so that the indices stay in the cache."""


class Trees:
    """A sum of complete binary trees of one depth, stored level by level.

    A row goes right where its feature exceeds the node's threshold.

    Args:
        feature: Feature of each inner node; integer array of shape [trees, 2**depth - 1].
        threshold: Threshold of each inner node; float array of the same shape.
        leaf: Value of each leaf; float array of shape [trees, 2**depth].
        bias: Added to the sum.

    Raises:
        ConfigurationError: If the shapes do not belong together.
    """

    def __init__(
        self,
        feature: NDArray[np.integer],
        threshold: NDArray[np.floating],
        leaf: NDArray[np.floating],
        bias: float,
    ) -> None:
        trees, inner = feature.shape
        if threshold.shape != feature.shape or leaf.shape != (trees, inner + 1) or inner & (inner + 1):
            raise ConfigurationError(
                f"tree arrays have the shapes {feature.shape}, {threshold.shape} and {leaf.shape}: expected "
                "[trees, 2**depth - 1] twice and [trees, 2**depth]; the weights file is damaged"
            )
        self.depth = inner.bit_length()
        self.n_features = int(feature.max(initial=0)) + 1
        self.bias = bias
        self._feature = np.ascontiguousarray(feature.T, dtype=np.intp)
        self._threshold = np.ascontiguousarray(threshold.T, dtype=np.float32)
        self._leaf = np.ascontiguousarray(leaf.T, dtype=np.float32)
        self._columns = np.arange(trees)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.generic]], bias: float) -> Trees:
        """Return the trees of a weights file's tensors ``feature``, ``threshold`` and ``leaf``."""
        try:
            arrays = [np.asarray(tensors[name]) for name in ("feature", "threshold", "leaf")]
        except KeyError as error:
            raise ConfigurationError(
                f"the weights lack the tensor {error}: expected 'feature', 'threshold' and 'leaf'"
            ) from error
        return cls(arrays[0], arrays[1], arrays[2], bias)

    def raw(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum of the trees' leaves, in log-odds.

        Args:
            rows: Features without NaN, of shape [n, features].

        Returns:
            Float array of shape [n].
        """
        parts = [self._walk(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _walk(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        trees = len(self._columns)
        flat_feature, flat_threshold = self._feature.ravel(), self._threshold.ravel()
        start = (np.arange(len(rows)) * rows.shape[1])[:, None]
        values = rows.ravel()
        node = np.zeros((len(rows), trees), dtype=np.intp)
        for _ in range(self.depth):
            at = node * trees + self._columns
            right = values.take(start + flat_feature.take(at)) > flat_threshold.take(at)
            node = 2 * node + 1 + right
        leaves = (node - (2**self.depth - 1)) * trees + self._columns
        total: NDArray[np.float64] = self._leaf.ravel().take(leaves).sum(axis=1, dtype=np.float64) + self.bias
        return total
