"""Verdicts on pairs of answers that need no model: they follow from what the answers say."""

from __future__ import annotations

import re

from confroute.uncertainty.contrast import contrasts, minutes
from confroute.uncertainty.features import Question
from confroute.uncertainty.normalize import choice_letter, parse_options
from confroute.uncertainty.views import View

_LEAD_IN = re.compile(
    r"^\W*(?:(?:the\s+)?(?:correct\s+|right\s+|best\s+)?(?:answer|option|choice)(?:\s+is)?|it is|it's"
    r"|it was|that would be"
    r"|i think it is)\b\s*:?\s*(?=\S)",
    re.IGNORECASE,
)

SURE = 0.99
"""Score of a pair that means the same by rule; ``1 - SURE`` of one that cannot."""

SHORT_FORMULA = 60
_DIFFERENT = round(1.0 - SURE, 6)
_EXACT_KINDS = ("choice:", "number:")


def exact_verdict(question: Question, a: View, b: View) -> float | None:
    """Return the score of a pair that a rule decides; None for all others.

    Equal canonical forms, two refusals and the same program mean the same. An empty answer means nothing
    else; two different option letters or bare numbers, *yes* and *no*, an answer and a refusal, two
    different programs, and what `confroute.uncertainty.contrast` finds never mean the same.
    """
    if a.text == b.text:
        return SURE
    if not a.keys or not b.keys:
        return SURE if a.folded == b.folded else _DIFFERENT
    refuses = (a.refusal == 1.0) + (b.refusal == 1.0)
    if refuses == 2:
        return SURE
    if refuses == 1:
        return _DIFFERENT if a.refusal + b.refusal == 1.0 else None
    code_a, code_b = a.code, b.code
    if code_a and code_b:
        return SURE if code_a == code_b else _DIFFERENT
    options = parse_options(question.text)
    if options:
        letter_a, letter_b = (choice_letter(_LEAD_IN.sub("", view.text), options) for view in (a, b))
        if letter_a and letter_b:
            return SURE if letter_a == letter_b else _DIFFERENT
    form_a, form_b = a.canonical(question.text), b.canonical(question.text)
    if form_a == form_b:
        return SURE
    if any(form_a.startswith(kind) and form_b.startswith(kind) for kind in _EXACT_KINDS):
        return _differs(a, b)
    if (
        a.operators
        and b.operators
        and a.operators != b.operators
        and max(len(a.text), len(b.text)) < SHORT_FORMULA
    ):
        return _DIFFERENT
    bare = _compare_bare(a, b)
    if bare is not None:
        return bare
    if a.polarity * b.polarity == -1 and min(len(a.keys), len(b.keys)) <= 3:
        return _DIFFERENT
    time_a, time_b = minutes(a.folded), minutes(b.folded)
    if time_a is not None and time_a == time_b:
        return SURE
    return _DIFFERENT if contrasts(a, b) else None


def _differs(a: View, b: View) -> float:
    """Return the verdict on two letters or bare numbers of different form, such as ``50%`` and ``0.5``."""
    same = len(a.quantities) == len(b.quantities) == 1 and a.quantities[0][1] == b.quantities[0][1]
    ratio = {dimension for dimension, _ in (*a.quantities, *b.quantities)} <= {"", "ratio"}
    return SURE if same and ratio else _DIFFERENT


def _compare_bare(a: View, b: View) -> float | None:
    """Return the verdict on two answers that are one date, or one number with its unit, and nothing else."""
    if a.bare_date and b.bare_date:
        readings = [(x, y) for x in a.dates for y in b.dates if x.agrees(y)]
        if not readings:
            return _DIFFERENT
        return SURE if any(x.covers(y) for x, y in readings) else None
    if a.bare_quantity and b.bare_quantity:
        (unit_a, value_a), (unit_b, value_b) = a.quantities[0], b.quantities[0]
        if unit_a == unit_b and unit_a:
            return SURE if abs(value_a - value_b) <= 1e-3 * max(abs(value_a), abs(value_b)) else _DIFFERENT
        return _DIFFERENT if unit_a and unit_b else None
    return None
