"""How the words of one answer stand to those of another: what is missing, and what was exchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from confroute.uncertainty.lexicon import IDENTICAL, NO_RELATION, STOPWORDS, Lexicon, Relation
from confroute.uncertainty.tokens import Token
from confroute.uncertainty.views import View

UNMATCHED_READ = 6
"""Unmatched tokens whose relation to the other answer is looked up."""

CANDIDATES = 3
"""Most similar words with which an unmatched token is compared."""

LEAST_COSINE = 0.2
"""Words less alike than this are taken as unrelated."""


def alignment_features(a: View, b: View, only_a: frozenset[str], only_b: frozenset[str]) -> list[float]:
    """Return how well the unmatched words of either answer find a like word in the other; 16 values."""
    keys_a, table_a = a.aligned
    keys_b, table_b = b.aligned
    if not keys_a or not keys_b:
        return [np.nan] * 16
    likeness = table_a @ table_b.T
    best_b, relations_b = _relate(only_b, keys_b, keys_a, likeness.T, a.lexicon, forward=False)
    best_a, relations_a = _relate(only_a, keys_a, keys_b, likeness, a.lexicon, forward=True)
    found_b, found_a = _strongest(relations_b), _strongest(relations_a)
    unknown = sum(max(r.same, r.narrower, r.related) < 0.2 for r in relations_b)
    return [
        sum(best_b) / len(best_b) if best_b else 1.0,
        min(best_b, default=1.0),
        sum(best_a) / len(best_a) if best_a else 1.0,
        min(best_a, default=1.0),
        *found_b,
        float(unknown),
        found_a.opposite,
        found_a.sibling,
        found_a.narrower,
        found_a.broader,
    ]


def _relate(
    only: frozenset[str],
    keys: list[str],
    others: list[str],
    likeness: NDArray[np.float32],
    lexicon: Lexicon,
    *,
    forward: bool,
) -> tuple[list[float], list[Relation]]:
    """Return for each unmatched token its best cosine, and its relation to the most telling similar word."""
    rows = [i for i, key in enumerate(keys) if key in only][:UNMATCHED_READ]
    if not rows:
        return [], []
    best, relations = [], []
    for row in rows:
        cosines = likeness[row].tolist()
        best.append(max(cosines))
        found = NO_RELATION
        for j in sorted(range(len(cosines)), key=cosines.__getitem__, reverse=True)[:CANDIDATES]:
            if cosines[j] < LEAST_COSINE:
                break
            candidate = (
                lexicon.relation(keys[row], others[j]) if forward else lexicon.relation(others[j], keys[row])
            )
            if found is NO_RELATION or max(candidate[:-1]) > max(found[:-1]):
                found = candidate
        relations.append(found)
    return best, relations


def _strongest(relations: Sequence[Relation]) -> Relation:
    if len(relations) == 1:
        return relations[0]
    return Relation(*map(max, zip(*relations, strict=True))) if relations else NO_RELATION


def swap_features(a: View, b: View) -> list[float]:
    """Compare what is left when the common beginning and end are cut off: one word for another, or more."""
    keys_a, keys_b = a.keys, b.keys
    shortest = min(len(keys_a), len(keys_b))
    head = 0
    while head < shortest and keys_a[head] == keys_b[head]:
        head += 1
    tail = 0
    while tail < shortest - head and keys_a[-1 - tail] == keys_b[-1 - tail]:
        tail += 1
    middle_a = a.tokens[head : len(keys_a) - tail]
    middle_b = b.tokens[head : len(keys_b) - tail]
    cover = (head + tail) / (max(len(keys_a), len(keys_b)) or 1)
    if not middle_a or not middle_b or max(len(middle_a), len(middle_b)) > 4:
        return [cover, float(min(len(middle_a), 9)), float(min(len(middle_b), 9)), *([np.nan] * 10)]
    lexicon = a.lexicon
    words_a = [t for t in middle_a if t.key not in STOPWORDS] or middle_a
    words_b = [t for t in middle_b if t.key not in STOPWORDS] or middle_b
    written = ("_".join([t.word or t.key for t in words_a]), "_".join([t.word or t.key for t in words_b]))
    lemmas = ("_".join([t.key for t in words_a]), "_".join([t.key for t in words_b]))
    relation = lexicon.relation(*lemmas)
    if written != lemmas:
        relation = _strongest([lexicon.relation(*written), relation])
    if relation == NO_RELATION and (len(words_a) > 1 or len(words_b) > 1):
        relation = lexicon.relation(words_a[-1].key, words_b[-1].key)
    numbers_a, numbers_b = (
        [t.key for t in words_a if t.value is not None],
        [t.key for t in words_b if t.value is not None],
    )
    number = 0.0 if not numbers_a or not numbers_b else 1.0 if numbers_a == numbers_b else -1.0
    vector_a = _total(lexicon, words_a)
    vector_b = _total(lexicon, words_b)
    scale = float(np.sqrt((vector_a @ vector_a) * (vector_b @ vector_b))) or 1.0
    identical = relation is IDENTICAL or {t.key for t in words_a} == {t.key for t in words_b}
    return [
        cover,
        float(len(words_a)),
        float(len(words_b)),
        1.0 if identical else relation.same,
        relation.narrower,
        relation.broader,
        relation.opposite,
        relation.sibling,
        relation.related,
        relation.distinct,
        float(vector_a @ vector_b) / scale,
        number,
        float(any(t.word[:1] and t.word in a.initials for t in words_a)),
    ]


def _total(lexicon: Lexicon, words: Sequence[Token]) -> NDArray[np.float32]:
    total = lexicon.vector(words[0].key)
    for word in words[1:]:
        total = total + lexicon.vector(word.key)
    return total
