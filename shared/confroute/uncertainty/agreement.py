"""How far further answers agree with one that would be handed out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from confroute.answers import answer_of, is_unconcluded
from confroute.decision import RouteRequest, Sample
from confroute.uncertainty.clustering import scored
from confroute.uncertainty.equivalence import Equivalence, FloatArray, Pair
from confroute.uncertainty.structure import asked_json, calls_of

_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # Thai, Khmer, kana, Han


def agreement(
    answer: Sample, others: Sequence[Sample], *, equivalence: Equivalence, request: RouteRequest
) -> FloatArray:
    """Return how likely each of further answers means the same as one answer.

    Two answers mean the same as far as each entails the other: a directed equivalence is asked both ways,
    and the smaller score counts. Scores are stretched so that the equivalence's own threshold lies at .5.
    Equal answers agree without being scored; an empty one agrees with nothing.
    Where a number is worked out, an answer that was cut off before it agrees with nothing.
    Answers that call tools agree where they call the same tools in the same order with equal arguments, of
    which free text is compared by the equivalence; so do answers in JSON that was asked for.

    Args:
        answer: The answer that would be handed out.
        others: n further answers.
        equivalence: The judge of "means the same".
        request: What was asked.

    Returns:
        Probabilities, float array of shape [n] in [0, 1].
    """
    first = _Read(answer, request)
    compared = [_pairs(first, _Read(other, request), request) for other in others]
    asked = list(dict.fromkeys(pair for pairs in compared if pairs for pair in pairs))
    scores = dict(zip(asked, _same(equivalence, asked), strict=True))
    found = [0.0 if pairs is None else min([1.0, *(scores[pair] for pair in pairs)]) for pairs in compared]
    return np.array(found, dtype=np.float64)


def _same(equivalence: Equivalence, pairs: Sequence[Pair]) -> list[float]:
    """Return P(both mean the same) for each pair: .5 where the equivalence's own threshold lies."""
    if not pairs:
        return []
    scores = scored(equivalence, pairs)
    if not equivalence.symmetric:
        scores = np.minimum(scores, scored(equivalence, [(question, b, a) for question, a, b in pairs]))
    threshold = min(max(equivalence.threshold, 1e-9), 1 - 1e-9)
    above = 0.5 + (scores - threshold) / (1 - threshold) / 2
    stretched = np.where(scores < threshold, scores / threshold / 2, above)
    return [float(value) for value in np.clip(stretched, 0.0, 1.0)]


class _Read:
    """An answer as it is compared: as data where it is some, else as text.

    Attributes:
        is_none: Whether there is nothing to compare: an empty answer, or a calculation that was cut off.
        data: Its tool calls, or the JSON that was asked for; None where it is text.
        text: What of the reply is its answer.
    """

    def __init__(self, sample: Sample, request: RouteRequest) -> None:
        self.data = _structured(sample, request)
        self.text = answer_of(sample.text, request.query)
        is_cut = sample.cut and self.data is None and is_unconcluded(sample.text, request.query)
        self.is_none = sample.is_empty or is_cut


def _pairs(answer: _Read, other: _Read, request: RouteRequest) -> list[Pair] | None:
    """Return the pairs of texts that must mean the same for two answers to agree; None where they do not."""
    if answer.is_none or other.is_none or (answer.data is None) != (other.data is None):
        return None
    if answer.data is not None:
        return _differences(answer.data, other.data, request)
    return [] if answer.text == other.text else [(request.query, answer.text, other.text)]


def _structured(sample: Sample, request: RouteRequest) -> Any:
    """Return what an answer says as data: its tool calls, or the JSON that was asked for; None for text."""
    if sample.tool_calls:
        return calls_of(sample)
    return None if request.answer_schema is None else asked_json(sample.text)


def _differences(a: Any, b: Any, request: RouteRequest) -> list[Pair] | None:
    """Return the free texts in which two values differ; None where they differ in anything else."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return None
        return _all([_differences(a[key], b[key], request) for key in a])
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return None
        return _all([_differences(x, y, request) for x, y in zip(a, b, strict=True)])
    if isinstance(a, str) and isinstance(b, str) and a != b:
        is_free = any(len(text.split()) > 1 or _UNSPACED.search(text) for text in (a, b))
        return [(request.query, a, b)] if is_free else None
    return [] if a == b and isinstance(a, bool) == isinstance(b, bool) else None


def _all(parts: Sequence[list[Pair] | None]) -> list[Pair] | None:
    found: list[Pair] = []
    for part in parts:
        if part is None:
            return None
        found += part
    return found
