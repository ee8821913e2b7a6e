"""Canonical forms of short answers: text, numbers, dates, choice letters.

Two answers with the same canonical form mean the same, whatever their spelling. Nothing here is learned.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from dateutil import parser as dateparser
from text_to_num import alpha2digit

SHORT_ANSWER_CHARS = 200
"""Longer texts are compared as text only: a page is neither a number nor a date."""

_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[.):][ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_LETTER = re.compile(
    r"^(?:(?:the\s+)?(?:correct\s+|right\s+|best\s+)?(?:answer|option|choice)(?:\s+is)?\s*:?\s*)?"
    r"(?:option\s+|choice\s+)?[(\[*]*([A-Za-z])(?:[)\].:*]+(?:\s|$)|\s*$)",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(r"^(?:the (?:correct |right |best )?answer is|answer:|it is|it's|it was|a:)\s+(?=\S)")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"^(?:on\s+)?(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?(?:"
    rf"(?P<iso>\d{{4}}-\d{{1,2}}-\d{{1,2}})|"
    rf"(?:the\s+)?\d{{1,2}}(?:st|nd|rd|th)?(?:\s+of)?\s+{_MONTH},?\s+\d{{4}}|"
    rf"{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}|"
    rf"(?P<month>{_MONTH},?\s+(?:of\s+)?\d{{4}})"
    rf")\.?$"
)
_NUMBER = re.compile(
    r"^(?P<sign>[-+−]?)(?P<unit>[$€£]?)\s?(?P<digits>\d{1,3}(?:,\d{3})+|\d+)(?P<rest>(?:\.\d+)?)$"
)
_MAGNITUDES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[./:\-–](?=\d)")
_KEPT = {".": "\ue000", "/": "\ue001", ":": "\ue002", "-": "\ue003", "–": "\ue003"}  # private-use stand-ins
_RESTORED = str.maketrans({"\ue000": ".", "\ue001": "/", "\ue002": ":", "\ue003": "-"})
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_LATIN_ACCENT = re.compile(r"([a-z])[̀-ͯ]+")


def fold(text: str) -> str:
    """Return the text in one case, one width and one kind of space, without accents on Latin letters."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be handed on
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _LATIN_ACCENT.sub(r"\1", unicodedata.normalize("NFD", text))
    return " ".join(unicodedata.normalize("NFC", text).split())


def strip_punctuation(text: str) -> str:
    """Return the text with punctuation as spaces, except where it carries meaning: ``50%``, ``3/4``."""
    kept = _BETWEEN_DIGITS.sub(lambda sign: _KEPT[sign[0]], text)
    kept = "".join(" " if unicodedata.category(c).startswith("P") and c not in "%#&@" else c for c in kept)
    return " ".join(kept.translate(_RESTORED).split())


@lru_cache(maxsize=4096)
def parse_options(question: str) -> Mapping[str, str]:
    """Return the lettered options of a choice question, folded; empty if it has none.

    Args:
        question: The question with its options, one a line: ``A. humidity``, ``(B) fog`` or ``C: rain``.

    Returns:
        Letter to option text, if at least the options A and B are there.
    """
    options = {letter: _plain(text) for letter, text in _OPTION.findall(question)}
    return options if {"A", "B"} <= options.keys() else {}


def choice_letter(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the option that an answer chooses; None if it names none of them."""
    if not options or len(text) > SHORT_ANSWER_CHARS * 2:
        return None
    match = _LETTER.match(text.strip())
    if match and match[1].upper() in options:
        return match[1].upper()
    plain = _plain(text)
    for letter, option in options.items():
        if plain in (option, f"{letter.casefold()} {option}"):
            return letter
    return None


def parse_number(text: str) -> str | None:
    """Return the canonical form of a text that is one number, with its unit sign; None if it is not.

    ``"1,000"``, ``"1000.0"`` and ``"one thousand"`` give ``"1000"``; ``"50 percent"`` gives ``"50%"``.
    """
    text = fold(text).strip(" .!?\"'`*")
    if not text or len(text) > SHORT_ANSWER_CHARS:
        return None
    text = re.sub(r"\s?(?:percent|per cent)$", "%", text)
    percent = text.endswith("%")
    text = text.removesuffix("%").strip()
    exponent = 0
    for word, power in _MAGNITUDES.items():
        if text.endswith(f" {word}") and text[-len(word) - 2].isdigit():
            text, exponent = text.removesuffix(word).strip(), power
    if any(c.isalpha() for c in text):
        text = alpha2digit(text.replace("-", " "), "en", threshold=0)
    match = _NUMBER.match(text)
    if match is None:
        return None
    try:
        value = Decimal(match["digits"].replace(",", "") + match["rest"]).scaleb(exponent)
    except InvalidOperation:
        return None
    if match["sign"] in ("-", "−"):
        value = -value
    digits = f"{value:f}"
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{match['unit']}{'0' if digits == '-0' else digits}{'%' if percent else ''}"


def parse_date(text: str) -> str | None:
    """Return a text that is one day, or one month of a year, in ISO form; None if it is not.

    Forms whose order of day and month is open, such as ``01/02/2003``, are left alone.
    """
    text = fold(text).strip(" .!?\"'`*")
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        day = dateparser.parse(
            re.sub(r"\bof\b|\bthe\b", " ", text.removeprefix("on ")), default=datetime(1, 1, 1)
        )
    except (ValueError, OverflowError):
        return None
    return day.strftime("%Y-%m") if match["month"] else day.strftime("%Y-%m-%d")


def canonical(text: str, question: str = "") -> str:
    """Return the canonical form of an answer.

    Args:
        text: The answer.
        question: The question; its lettered options, if any, tell choice letters from words.

    Returns:
        ``choice:B``, ``date:1972-12-14``, ``number:1000`` or the folded text without articles and
        punctuation. Equal forms mean equal answers.
    """
    letter = choice_letter(text, parse_options(question))
    if letter is not None:
        return f"choice:{letter}"
    if len(text) <= SHORT_ANSWER_CHARS:
        bare = _LEAD_IN.sub("", fold(text))
        date = parse_date(bare)
        if date is not None:
            return f"date:{date}"
        number = parse_number(bare)
        if number is not None:
            return f"number:{number}"
        return _plain(bare)
    return _plain(text)


def _plain(text: str) -> str:
    folded = fold(text)
    words = strip_punctuation(folded)
    return " ".join(_ARTICLE.sub(" ", words).split()) or words or folded
