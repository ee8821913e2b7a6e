"""What a pair of answers is judged by: overlap, numbers, dates, names, word relations."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

import numpy as np

from confroute.uncertainty.lexicon import STOPWORDS, Lexicon
from confroute.uncertainty.views import Date, View
from confroute.uncertainty.word_features import UNMATCHED_READ, alignment_features, swap_features

_QUESTION_KINDS = (
    re.compile(r"\bwho(?:se|m)?\b"),
    re.compile(r"\bwhen\b|\bwhat (?:year|date|day|month|time)\b|\bwhich year\b"),
    re.compile(r"\bwhere\b|\bwhat (?:country|city|state|place)\b|\bwhich (?:country|city|state)\b"),
    re.compile(r"\bhow (?:many|much|long|far|old|tall|big|often|high|deep|fast)\b"),
    re.compile(r"\bwhat\b|\bwhich\b"),
    re.compile(r"^(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had|should)\b"),
)

FEATURES = (
    # the same for both directions first, then a against b
    "has_question", "who", "when", "where", "how_many", "what", "yes_no_question",
    "jaccard", "trigram_dice", "bigram_jaccard", "vector_cosine", "residual_jaccard",
    "length_a", "length_b", "alternatives", "alternatives_met",
    "recall_b", "recall_a", "weighted_recall_b", "weighted_recall_a",
    "residual_b", "residual_a", "residual_size_b", "residual_size_a", "missing_b", "missing_a",
    "first_recall_b", "first_recall_a", "contains_b", "contains_a", "place_b", "place_a",
    "bigram_recall_b", "bigram_recall_a",
    "numbers_b", "numbers_a", "numbers_met", "numbers_missing_b", "numbers_missing_a", "digits_missing_b",
    "digits_missing_a", "residual_numbers_b", "residual_numbers_met",
    "quantity_met", "quantity_clash", "date_met", "date_clash",
    "negations_a", "negations_b", "negation_differs", "refusal_a", "refusal_b", "polarity",
    "acronym", "phrase_meaning", "spelling", "spelling_worst",
    "core_size_a", "core_size_b", "core_first", "core_last", "core_equal", "core_extra", "core_extra_letters",
    "core_changed", "core_initials", "core_spelling", "core_same", "core_sibling", "core_distinct",
    "separators_a", "separators_b", "operators_differ", "same_order",
    "align_b", "align_b_worst", "align_a", "align_a_worst",
    "same_b", "narrower_b", "broader_b", "opposite_b", "sibling_b", "related_b", "distinct_b", "unknown_b",
    "opposite_a", "sibling_a", "narrower_a", "broader_a",
    "swap", "swap_size_a", "swap_size_b", "swap_same", "swap_narrower", "swap_broader", "swap_opposite",
    "swap_sibling", "swap_related", "swap_distinct", "swap_cosine", "swap_number", "swap_capital",
    "stop_differ_b", "stop_differ_a",
)  # fmt: skip
"""Names of the features, in order."""


class Question:
    """What of a question matters to a pair of answers.

    Args:
        text: The question.
        lexicon: What is known about its words.
    """

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self.view = View(text, lexicon)
        self.text = self.view.text
        self.content = self.view.content if self.view.tokens else frozenset()
        kinds = [float(bool(kind.search(self.view.folded))) for kind in _QUESTION_KINDS]
        self.kinds = [float(bool(self.view.tokens)), *kinds]


def choose_alternatives(a: View, b: View) -> tuple[View, View, float, float]:
    """Return the alternatives of both answers that are most alike, how many there are, and how many meet."""
    options_a, options_b = a.alternatives or (a,), b.alternatives or (b,)
    if len(options_a) == len(options_b) == 1:
        return a, b, 1.0, 0.0
    if len(options_a) > 1 and len(options_b) > 1:
        options_a = options_a[:8]
    best, met = (-1.0, a, b), 0
    for x in options_a:
        for y in options_b:
            shared = len(x.content & y.content)
            smaller = min(len(x.content), len(y.content)) or 1
            likeness = shared / smaller + 0.01 * shared
            if x.joined in y.joined or y.joined in x.joined:
                likeness += 0.5
            met += shared == smaller
            if likeness > best[0]:
                best = (likeness, x, y)
    return best[1], best[2], float(len(options_a) * len(options_b)), float(met)


def pair_features(question: Question, a: View, b: View) -> list[float]:
    """Return the features of "a entails b", in the order of `FEATURES`; NaN where one has no meaning."""
    a, b, options, met = choose_alternatives(a, b)
    lexicon = a.lexicon
    common = a.content & b.content
    rest_a, rest_b = a.content - question.content, b.content - question.content
    rest_common = rest_a & rest_b
    only_a, only_b = a.content - b.content, b.content - a.content
    weight = lexicon.weight
    shared_weight = sum(map(weight, common))
    shared_pairs = len(a.bigrams & b.bigrams)
    return [
        *question.kinds,
        len(common) / (len(a.content | b.content) or 1),
        _dice(a.trigrams, b.trigrams) if len(a.folded) < 80 and len(b.folded) < 80 else np.nan,
        shared_pairs / (len(a.bigrams | b.bigrams) or 1),
        float(a.vector @ b.vector),
        len(rest_common) / (len(rest_a | rest_b) or 1),
        float(min(len(a.keys), 100)),
        float(min(len(b.keys), 100)),
        options,
        met / options,
        len(common) / (len(b.content) or 1),
        len(common) / (len(a.content) or 1),
        shared_weight / (b.weight or 1.0),
        shared_weight / (a.weight or 1.0),
        len(rest_common) / len(rest_b) if rest_b else np.nan,
        len(rest_common) / len(rest_a) if rest_a else np.nan,
        float(len(rest_b)),
        float(len(rest_a)),
        float(len(rest_b) - len(rest_common)),
        float(len(rest_a) - len(rest_common)),
        _recall(rest_b, a.first),
        _recall(rest_a, b.first),
        float(b.joined in a.joined),
        float(a.joined in b.joined),
        _place(rest_common or common, a),
        _place(rest_common or common, b),
        shared_pairs / len(b.bigrams) if b.bigrams else np.nan,
        shared_pairs / len(a.bigrams) if a.bigrams else np.nan,
        *_number_features(question, a, b),
        float(min(a.negations, 3)),
        float(min(b.negations, 3)),
        float((a.negations > 0) != (b.negations > 0)),
        a.refusal,
        b.refusal,
        float(a.polarity * b.polarity),
        *_name_features(a, b, only_a, only_b, rest_a, rest_b),
        float(min(a.separators, 20)),
        float(min(b.separators, 20)),
        float(a.operators != b.operators),
        _same_order(a, b),
        *alignment_features(a, b, only_a, only_b),
        *swap_features(a, b),
        float(len((b.set - a.set) & STOPWORDS)),
        float(len((a.set - b.set) & STOPWORDS)),
    ]


def _recall(part: frozenset[str], whole: frozenset[str]) -> float:
    return len(part & whole) / len(part) if part else np.nan


def _dice(x: frozenset[str], y: frozenset[str]) -> float:
    return 2 * len(x & y) / (len(x) + len(y) or 1)


def _place(common: frozenset[str], view: View) -> float:
    """Return where in the answer what is common begins, in [0, 1]."""
    if not common:
        return np.nan
    return min(view.positions[key] for key in common) / len(view.keys)


def _number_features(question: Question, a: View, b: View) -> list[float]:
    asked = question.view.numbers
    rest = b.numbers - asked
    if not a.numbers and not b.numbers:
        return [0.0] * 9 + [np.nan, np.nan, *_date_features(a.dates, b.dates)]
    met = clash = np.nan
    if a.quantities and b.quantities:
        pairs = [_compare(x, y) for x in a.quantities[:6] for y in b.quantities[:6]]
        met, clash = float(max(pairs)), float(min(pairs))
    return [
        float(len(b.numbers)),
        float(len(a.numbers)),
        float(len(a.numbers & b.numbers)),
        float(len(b.numbers - a.numbers)),
        float(len(a.numbers - b.numbers)),
        float(len(b.digit_numbers - a.numbers)),
        float(len(a.digit_numbers - b.numbers)),
        float(len(rest)),
        float(len(rest & a.numbers)),
        met,
        clash,
        *_date_features(a.dates, b.dates),
    ]


def _compare(x: tuple[str, float], y: tuple[str, float]) -> int:
    """Return 2 for equal quantities, 1 for equal numbers, one without a unit, −1 for a clash, else 0."""
    near = abs(x[1] - y[1]) <= 0.01 * max(abs(x[1]), abs(y[1]))
    if x[0] == y[0]:
        return 2 if near and (x[1] == y[1] or x[0] not in ("", "span", "ratio")) else -1
    if near and x[1] == y[1] and "" in (x[0], y[0]):
        return 1
    return 0


def _date_features(dates_a: tuple[Date, ...], dates_b: tuple[Date, ...]) -> list[float]:
    """Return the most fields on which two dates agree, and whether no two dates are compatible."""
    if not dates_a or not dates_b:
        return [np.nan, np.nan]
    best, compatible = 0, False
    for x in dates_a[:6]:
        for y in dates_b[:6]:
            shared = sum(bool(u and v) for u, v in zip(x, y, strict=True))
            if shared and x.agrees(y):
                compatible = True
                best = max(best, shared)
    return [float(best), float(not compatible)]


def _name_features(
    a: View,
    b: View,
    only_a: frozenset[str],
    only_b: frozenset[str],
    rest_a: frozenset[str],
    rest_b: frozenset[str],
) -> list[float]:
    acronym = bool(a.acronyms & b.initials or b.acronyms & a.initials)
    meaning = bool(
        a.meanings & b.meanings
        or (a.meanings and a.meanings & b.phrase_meanings)
        or (b.meanings and b.meanings & a.phrase_meanings)
    )
    only, other = (only_a, only_b) if len(a.keys) <= len(b.keys) else (only_b, only_a)
    spellings = [max((_spelling(x, y) for y in other), default=0.0) for x in sorted(only)[:UNMATCHED_READ]]
    return [
        float(acronym),
        float(meaning),
        sum(spellings) / len(spellings) if spellings else np.nan,
        min(spellings) if spellings else np.nan,
        *_core_features(a, b, rest_a, rest_b),
    ]


def _core_features(a: View, b: View, rest_a: frozenset[str], rest_b: frozenset[str]) -> list[float]:
    """Compare short answers word by word, as names are, without what the question already says."""
    core_a = [key for key in a.ordered if key in rest_a] if rest_a else list(a.ordered)
    core_b = [key for key in b.ordered if key in rest_b] if rest_b else list(b.ordered)
    short, long = (core_a, core_b) if len(core_a) <= len(core_b) else (core_b, core_a)
    if not short or len(long) > 6:
        return [float(min(len(core_a), 9)), float(min(len(core_b), 9)), *([np.nan] * 11)]
    extra = [key for key in long if key not in short]
    changed = [key for key in short if key not in long]
    relation = a.lexicon.relation("_".join(core_a), "_".join(core_b))
    initials = 0.0
    for x in changed:
        found = [y for y in extra if x[0] == y[0] and min(len(x), len(y)) <= 2]
        initials += 1.0 if found else -1.0
    return [
        float(len(core_a)),
        float(len(core_b)),
        float(core_a[0] == core_b[0]),
        float(core_a[-1] == core_b[-1]),
        float(core_a == core_b),
        float(len(extra)),
        float(min(map(len, extra), default=0)),
        float(len(changed)),
        initials,
        max((_spelling(x, y) for x in changed for y in extra), default=np.nan),
        relation.same,
        relation.sibling,
        relation.distinct,
    ]


@lru_cache(maxsize=65536)
def _spelling(x: str, y: str) -> float:
    """Return how alike two words are written, in [0, 1]."""
    if not x or not y or abs(len(x) - len(y)) > 4 or x[0].isdigit() or y[0].isdigit():
        return 0.0
    pairs_x = {x[i : i + 2] for i in range(len(x) - 1)}
    pairs_y = {y[i : i + 2] for i in range(len(y) - 1)}
    return 2 * len(pairs_x & pairs_y) / (len(pairs_x) + len(pairs_y) or 1)


def _same_order(a: View, b: View) -> float:
    """Return the share of neighbouring common tokens that keep their order."""
    places = [a.positions[key] for key in dict.fromkeys(b.keys[:60]) if key in a.content and key in b.content]
    if len(places) < 2:
        return np.nan
    return sum(x < y for x, y in pairwise(places)) / (len(places) - 1)
