"""How far further answers agree with one that would be handed out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from confroute.answers import answer_of, is_unconcluded
from confroute.decision import RouteRequest, Sample
from confroute.uncertainty.equivalence import Equivalence, FloatArray, Pair
from confroute.uncertainty.structure import asked_json, calls_of


def agreement(
    answer: Sample, others: Sequence[Sample], *, equivalence: Equivalence, request: RouteRequest
) -> FloatArray:
    """Return how likely each of further answers means the same as one answer.

    Two answers mean the same as far as each entails the other: a directed equivalence is asked both ways,
    and the smaller score counts. Equal answers agree without being scored; an empty one agrees with nothing.
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
    compared = [_pairs(answer, other, request) for other in others]
    asked = list(dict.fromkeys(pair for pairs in compared if pairs for pair in pairs))
    scores = dict(zip(asked, _same(equivalence, asked), strict=True))
    found = [0.0 if pairs is None else min([1.0, *(scores[pair] for pair in pairs)]) for pairs in compared]
    return np.clip(np.array(found, dtype=np.float64), 0.0, 1.0)


def _same(equivalence: Equivalence, pairs: Sequence[Pair]) -> list[float]:
    forward = np.asarray(equivalence.score(pairs), dtype=np.float64)
    if equivalence.symmetric or not pairs:
        return [float(score) for score in forward]
    backward = equivalence.score([(question, b, a) for question, a, b in pairs])
    return [float(score) for score in np.minimum(forward, backward)]


def _pairs(answer: Sample, other: Sample, request: RouteRequest) -> list[Pair] | None:
    """Return the pairs of texts that must mean the same for two answers to agree; None where they do not."""
    if other.is_empty:
        return None
    mine, its = _structured(answer, request), _structured(other, request)
    if (mine is None) != (its is None):
        return None
    if mine is not None and its is not None:
        return _differences(mine, its, request)
    if any(one.cut and is_unconcluded(one.text, request.query) for one in (answer, other)):
        return None
    a, b = answer_of(answer.text, request.query), answer_of(other.text, request.query)
    return [] if a == b else [(request.query, a, b)]


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
        is_free = any(len(text.split()) > 1 for text in (a, b))
        return [(request.query, a, b)] if is_free else None
    return [] if json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True) else None


def _all(parts: Sequence[list[Pair] | None]) -> list[Pair] | None:
    found: list[Pair] = []
    for part in parts:
        if part is None:
            return None
        found += part
    return found
