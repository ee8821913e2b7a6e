"""Answers that decline to answer: "I don't know", "I'm sorry, but I have no information about that"."""

from __future__ import annotations

import re

from confroute.uncertainty.lexicon import STOPWORDS
from confroute.uncertainty.normalize import fold

_READ_CHARS = 600
_ELSEWHERE = (  # the same in other languages, without accents
    r"ich weiss (?:es |das )?(?:leider )?nicht|keine ahnung|je ne sais pas|je l'ignore|no lo se|non lo so"
    r"|nao sei|ik weet het niet|nie wiem"
)
_REFUSAL = re.compile(
    r"\b(?:i (?:do not|don't|dont|cannot|can't|can not|am not|'m not|am unable|could not|couldn't|have no)\b"
    r"(?!.{0,20}\b(?:agree|think so)\b)|i'm (?:not sure|not aware|sorry|unable|afraid)|i am (?:sorry|afraid)"
    r"|not sure|unsure|no idea"
    r"|unknown|unclear|not known|cannot (?:be determined|answer|say|tell|determine)|can't (?:answer|say|tell)"
    r"|not (?:available|provided|specified|enough information|able to|possible to (?:say|tell"
    r"|determine|know|answer))"
    r"|no (?:information|answer|data|clue)|as an ai|unable to|insufficient information|don't know|do not know"
    r"|hard to say|it depends on|there is no (?:way|information|definitive)|no one knows|nobody knows"
    rf"|idk|n/a|dunno|{_ELSEWHERE})"
)
_REFUSAL_WORDS = frozenset(
    (  # noqa: SIM905 - words read better as text than as a list
        "i do not know don't dont cannot can't sorry sure aware idea information answer question unknown "
        "unclear available determine provided specified have enough able unable say tell i'm i'm ai "
        "language model assistant but no none really honestly unfortunately insufficient not given n a "
        "na idk dunno possible clue data help apologize afraid as that about with certain can context "
        "could it's would additional more specific please provide am based on text find be access real "
        "time actually unsure hard nobody one definitive impossible "
        "ich weiss es das leider nicht keine ahnung je ne sais pas l'ignore lo se non so nao sei ik weet het "
        "niet nie wiem"
    ).split()
)
_PUNCTUATION = str.maketrans(dict.fromkeys('.,;:!?"()[]*/', " "))
_SENTENCE_END = re.compile(r"[.!?;]+\s+")
_DECLINES = re.compile(  # says of itself that it does not know; what follows only repeats the question
    r"^(?:(?:unfortunately|sorry|i'm sorry|i am sorry|i'm afraid|i am afraid|i apologize)[,.]? )?"
    r"(?:but |that )?"
    r"(?:(?:i|we) (?:really |honestly |unfortunately )?(?:do not|don't|dont|cannot|can't|can not|could not"
    r"|couldn't|am unable to|am not able to) (?:know|have|tell|say|answer|determine|find|provide|recall"
    r"|remember)\b|(?:i'm|i am) (?:not (?:sure|aware|certain)|unsure|unable to (?:answer|determine|say|tell"
    r"|provide|find))\b|(?:i|we) have no (?:idea|information|data|knowledge|clue|record)\b"
    r"|(?:it is|it's) (?:unknown|unclear|not known|not clear)\b|there is no (?:information|way to)\b"
    r"|(?:no|not enough|insufficient) information\b|(?:no one|nobody) knows\b)"
)
_GOES_ON = re.compile(  # to an answer after all
    r"\b(?:but|maybe|probably|perhaps|possibly|think|believe|guess|however|although|though|might|likely"
    r"|suppose|suspect|could be)\b|[:–—]"
)


def is_refusal(text: str) -> bool:
    """Whether an answer only declines to answer, and says nothing else."""
    return refusal_of(fold(text[: 2 * _READ_CHARS])) == 1.0


def refusal_of(folded: str) -> float:
    """Return 1 where the answer only declines to answer, 0.5 where it also says something else, 0 else.

    An answer that names anything beyond the words of declining is one only if it says of itself, in each of
    its sentences, that it does not know: "I don't know who wrote it", not "IDK Paris" or "Unknown Pleasures".

    Args:
        folded: The answer, in lower case and without accents.
    """
    read = folded.replace("’", "'")
    if _REFUSAL.search(read, 0, _READ_CHARS) is None:
        return 0.0
    sentences = [sentence for sentence in _SENTENCE_END.split(read[:_READ_CHARS]) if sentence]
    return 1.0 if len(read) <= _READ_CHARS and all(map(_only_declines, sentences)) else 0.5


def _only_declines(sentence: str) -> bool:
    words = sentence.translate(_PUNCTUATION).split()
    if all(word in _REFUSAL_WORDS or word in STOPWORDS for word in words):
        return True
    declines = _DECLINES.match(sentence)
    return declines is not None and _GOES_ON.search(sentence, declines.end()) is None
