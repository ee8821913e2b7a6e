"""Equality of canonical forms: the equivalence that needs no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from confroute.uncertainty.equivalence import FloatArray, Pair
from confroute.uncertainty.normalize import canonical


class ExactEquivalence:
    """Answers mean the same when their canonical forms are equal.

    Canonical forms know case, articles, punctuation, numbers, dates and choice letters, see
    `confroute.uncertainty.normalize.canonical`. Right for short factual answers, blind to paraphrase.
    """

    name = "exact-1"
    symmetric = True
    threshold = 0.5

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return 1.0 where both answers have one canonical form, else 0.0; float array of shape [n]."""
        return np.array([canonical(a, q) == canonical(b, q) for q, a, b in pairs], dtype=np.float64)
