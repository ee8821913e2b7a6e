"""Whether an answer is right, by a fixed rule against gold answers.

The rule is strict: on 6,413 answers of under 80 characters to Natural Questions that people judged (EVOUNA),
what it calls right is right in 99.6 % [99.3, 99.7], and it finds 82.1 % [80.9, 83.1] of the right ones (95 %
Wilson intervals).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from confroute.answers import answer_of, without_thought
from confroute.uncertainty.normalize import canonical, fold, parse_options, strip_punctuation

RULE = "match-2"
"""Name of the rule of `is_right`, kept with what it judged."""

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def is_right(answer: str, gold: Sequence[str], question: str = "") -> bool | None:
    """Whether an answer matches one of the gold answers.

    Read is what of the reply is its answer, see `confroute.answers`. It matches where both have one canonical
    form. Otherwise, a choice question is answered wrongly; a gold number must be the last number of the
    answer; any other gold text must stand in the answer as whole words.

    Args:
        answer: The model's answer.
        gold: Right answers, any of which will do.
        question: The question, whose lettered options are read.

    Returns:
        The verdict; None without gold answers.
    """
    if not gold:
        return None
    said, concluded = without_thought(answer), answer_of(answer, question)
    form = canonical(concluded, question)
    if any(form == canonical(one, question) for one in gold):
        return True
    if parse_options(question):
        return False
    words = f" {_words(said)} "
    numbers = _NUMBER.findall(concluded)
    for one in gold:
        if _NUMBER.fullmatch(one.strip()):
            if numbers and _value(numbers[-1]) == _value(one.strip()):
                return True
        elif _words(one) and f" {_words(one)} " in words:
            return True
    return False


def _value(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def _words(text: str) -> str:
    return strip_punctuation(fold(text))
