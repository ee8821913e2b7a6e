"""Answers that decline to answer: "I don't know", "I'm sorry, but I have no information about that"."""

from __future__ import annotations

import re

from confroute.uncertainty.lexicon import STOPWORDS
from confroute.uncertainty.normalize import fold

_READ_CHARS = 600
_REFUSAL = re.compile(
    r"\b(?:i (?:do not|don't|dont|cannot|can't|can not|am not|'m not|am unable|could not|couldn't|have no)\b"
    r"(?!.{0,20}\b(?:agree|think so)\b)|i'm (?:not sure|sorry|unable|afraid)|i am (?:sorry|afraid)"
    r"|not sure|unsure|no idea"
    r"|unknown|unclear|not known|cannot (?:be determined|answer|say|tell|determine)|can't (?:answer|say|tell)"
    r"|not (?:available|provided|specified|enough information|able to|possible to (?:say|tell"
    r"|determine|know|answer))"
    r"|no (?:information|answer|data|clue)|as an ai|unable to|insufficient information|don't know|do not know"
    r"|hard to say|it depends on|there is no (?:way|information|definitive)|no one knows|nobody knows"
    r"|idk|n/a|dunno)"
)
_REFUSAL_WORDS = frozenset(
    (  # noqa: SIM905 - words read better as text than as a list
        "i do not know don't dont cannot can't sorry sure idea information answer question unknown "
        "unclear available determine provided specified have enough able unable say tell i'm i'm ai "
        "language model assistant but no none really honestly unfortunately insufficient not given n a "
        "na idk dunno possible clue data help apologize afraid as that about with certain can context "
        "could it's would additional more specific please provide am based on text find be access real "
        "time actually unsure hard nobody one definitive impossible"
    ).split()
)
_PUNCTUATION = str.maketrans(dict.fromkeys('.,;:!?"()[]*', " "))


def is_refusal(text: str) -> bool:
    """Whether an answer only declines to answer, and says nothing else."""
    folded = fold(text[: 2 * _READ_CHARS])
    return refusal_of(folded, len(folded.split())) == 1.0


def refusal_of(folded: str, n_tokens: int) -> float:
    """Return 1 where the answer only declines to answer, 0.5 where it also says something else, 0 else.

    Args:
        folded: The answer, in lower case and without accents.
        n_tokens: Number of its tokens.
    """
    read = folded.replace("’", "'")
    match = _REFUSAL.search(read, 0, _READ_CHARS)
    if match is None:
        return 0.0
    other = [
        w for w in read.translate(_PUNCTUATION).split() if w not in _REFUSAL_WORDS and w not in STOPWORDS
    ]
    declines_first = match.start() < 20 and n_tokens < 12 and len(other) <= 3
    return 1.0 if len(other) <= 1 or declines_first else 0.5
