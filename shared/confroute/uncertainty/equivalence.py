"""What "these two answers mean the same" means, as an interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Pair = tuple[str, str, str]
"""``(question, a, b)``: does answer ``a`` entail answer ``b``, given the question?"""

FloatArray = NDArray[np.float64]


@runtime_checkable
class Equivalence(Protocol):
    """Judges whether one answer entails another.

    Attributes:
        name: Identity of the judge, with its model and version: the key under which scores are cached.
        symmetric: Whether ``score((q, a, b)) == score((q, b, a))``, so that one direction is enough.
        threshold: ``a`` entails ``b`` where the score is at least this.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - documented on the class
    @property
    def symmetric(self) -> bool: ...  # noqa: D102 - documented on the class
    @property
    def threshold(self) -> float: ...  # noqa: D102 - documented on the class

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Score pairs in one batch.

        Args:
            pairs: n triples ``(question, a, b)``.

        Returns:
            P(a entails b), float array of shape [n], in [0, 1].
        """
        ...
