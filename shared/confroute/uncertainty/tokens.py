"""Answers as tokens that can be compared: one form for each number, unit, month, ordinal and inflection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

CJK_START = "⺀"

TOKEN = re.compile(
    r"(?P<dotted>(?:[a-z]\.){2,}[a-z]?(?![a-z]))"
    r"|(?P<iso>\d{4}-\d{1,2}-\d{1,2}(?!\d))"
    r"|(?P<slash>\d{1,2}/\d{1,2}/\d{4}(?!\d))"
    r"|(?P<fraction>\d{1,6}[/⁄]\d{1,6}(?![/\d]))"
    r"|(?P<number>(?:(?<![\w)\]])[-−])?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?P<suffix>[^\W\d_]+)?"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)?)"
    r"|(?P<degree>°\s?[cf]\b)"
    r"|(?P<sign>[%$€£¥°])"
)

_UNITS = {
    "unit": "one:1 two:2 three:3 four:4 five:5 six:6 seven:7 eight:8 nine:9 ten:10 eleven:11 twelve:12 "
    "thirteen:13 fourteen:14 fifteen:15 sixteen:16 seventeen:17 eighteen:18 nineteen:19 zero:0",
    "tens": "twenty:20 thirty:30 forty:40 fifty:50 sixty:60 seventy:70 eighty:80 ninety:90",
    "scale": "hundred:100 thousand:1000 million:1000000 billion:1000000000 trillion:1000000000000",
    "ordinal": "first:1 second:2 third:3 fourth:4 fifth:5 sixth:6 seventh:7 eighth:8 ninth:9 tenth:10 "
    "eleventh:11 twelfth:12 thirteenth:13 fourteenth:14 fifteenth:15 sixteenth:16 seventeenth:17 "
    "eighteenth:18 nineteenth:19 twentieth:20 thirtieth:30 fortieth:40 fiftieth:50 sixtieth:60 "
    "seventieth:70 eightieth:80 ninetieth:90 hundredth:100",
    "roman": "ii:2 iii:3 iv:4 vi:6 vii:7 viii:8 ix:9 xii:12 xiii:13 xiv:14 xv:15 xvi:16 xvii:17 "
    "xviii:18 xix:19 xx:20 xxi:21",
}
_NUMBER_WORDS = {
    word: (kind, int(value))
    for kind, entries in _UNITS.items()
    for word, value in (entry.split(":") for entry in entries.split())
}
_SUFFIX_SCALES = {"k": 1e3, "m": 1e6, "bn": 1e9, "mn": 1e6}
_MONTH_NAMES = "january february march april may june july august september october november december"
MONTHS = {form: i for i, name in enumerate(_MONTH_NAMES.split(), 1) for form in (name, name[:3])} | {
    "sept": 9
}


def _units() -> dict[str, tuple[str, float, str]]:
    table = """
    length mm 0.001 millimeter millimetre | cm 0.01 centimeter centimetre | m 1 meter metre
    length km 1000 kilometer kilometre
    length inch 0.0254 inches | ft 0.3048 foot feet | yard 0.9144 yd | mile 1609.344 mi
    mass mg 0.000001 milligram | g 0.001 gram gramme gm | kg 1 kilogram kilo | tonne 1000
    mass lb 0.45359237 pound lbs | oz 0.0283495 ounce
    time ms 0.001 millisecond | sec 1 s | min 60 minute mins | hr 3600 hour hrs h | day 86400 | week 604800
    span month 1 | year 12 yr yrs | decade 120
    volume ml 0.001 milliliter millilitre | l 1 liter litre | gallon 3.785411784
    angle deg 1 degree degrees °
    speed mph 1 | kph 0.621371 kmh
    data kb 1000 kilobyte | mb 1000000 megabyte | gb 1000000000 gigabyte | tb 1000000000000 terabyte
    ratio % 0.01 percent
    usd $ 1 dollar usd | cent 0.01
    eur € 1 euro eur
    gbp £ 1 gbp
    """
    units = {}
    for line in table.strip().splitlines():
        dimension, rest = line.split(maxsplit=1)
        for entry in rest.split(" | "):
            symbol, factor, *names = entry.split()
            for form in (symbol, *names):
                for variant in (form, form + "s") if len(form) > 2 else (form,):
                    units[variant] = (dimension, float(factor), symbol)
    return units


UNITS = _units()
_AMBIGUOUS_UNITS = {"m", "s", "h", "l", "g", "min", "mi", "ms"}
_PREFIX_SIGNS = {"$", "€", "£", "¥"}


AMBIGUOUS = "month/day"
LARGEST = 10**18
_CONTRACTIONS = {
    "cannot": ("can", "not"),
    "can't": ("can", "not"),
    "can’t": ("can", "not"),
    "won't": ("will", "not"),
    "won’t": ("will", "not"),
}


class Token(NamedTuple):
    """One token in its comparable form.

    Attributes:
        key: What is compared: ``"5"`` for *five*, also for *fifth*, ``"@12"`` for *December*.
        word: The word as it was written, folded; empty where that is not one word.
        value: The number, if it is one.
        digits: Whether the number was written in digits.
        ordinal: Whether the number was an ordinal.
    """

    key: str
    word: str = ""
    value: float | None = None
    digits: bool = False
    ordinal: bool = False


_WARS = {
    form: Token(number, "", float(number))
    for number, forms in (("1", ("wwi", "ww1")), ("2", ("wwii", "ww2")))
    for form in forms
}


def number_key(value: float) -> str:
    """Return the one way to write a number."""
    return str(int(value)) if value == int(value) and abs(value) < 1e18 else f"{value:.9g}"


def read_tokens(folded: str, lemma: Callable[[str], str]) -> list[Token]:
    """Return the tokens of a folded text.

    Args:
        folded: The text, folded as by `confroute.uncertainty.normalize.fold`.
        lemma: Gives the dictionary form of a word.
    """
    tokens: list[Token] = []
    matches = list(TOKEN.finditer(folded))
    i = 0
    while i < len(matches):
        match = matches[i]
        kind = match.lastgroup
        text = match[0]
        if kind == "word":
            if text in _NUMBER_WORDS:
                token, i = _read_number_words(matches, i, folded)
                tokens.append(token)
                continue
            tokens.extend(_read_word(text, lemma))
        elif kind in ("number", "suffix"):
            step = _read_number(match, matches[i + 1] if i + 1 < len(matches) else None, tokens, lemma)
            i += step
        elif kind == "degree":
            tokens += [Token("deg"), Token("celsius" if text[-1] == "c" else "fahrenheit")]
        elif kind == "sign":
            tokens.append(Token(UNITS[text][2] if text in UNITS else text))
        elif kind == "dotted":
            tokens.append(Token(text.replace(".", "")))
        else:
            tokens.extend(_read_compound(kind or "", text))
        i += 1
    return tokens


def _read_word(text: str, lemma: Callable[[str], str]) -> Iterator[Token]:
    if text[0] >= CJK_START:
        yield from (Token(character) for character in text)
        return
    if text in _CONTRACTIONS or (len(text) > 3 and text.endswith(("n't", "n’t"))):
        yield from (Token(part, part) for part in (_CONTRACTIONS.get(text) or (lemma(text[:-3]), "not")))
        return
    if text in _WARS:
        yield from (Token("world", "world"), Token("war", "war"), _WARS[text])
        return
    if len(text) > 2 and text[-2] in "'’" and text[-1] == "s":
        text = text[:-2]
    if text in MONTHS and text not in ("may", "mar", "dec", "jan", "sep", "jun"):
        yield Token(f"@{MONTHS[text]}")
    elif text in UNITS and text not in _AMBIGUOUS_UNITS:
        yield Token(UNITS[text][2])
    elif text in ("half", "halves"):
        yield Token("0.5", text, 0.5)
    elif text == "quarter":
        yield Token("0.25", text, 0.25)
    elif text == "dozen":
        yield Token("12", text, 12.0)
    else:
        yield Token(text if len(text) > 40 else lemma(text), text)


def _read_number(
    match: re.Match[str], following: re.Match[str] | None, tokens: list[Token], lemma: Callable[[str], str]
) -> int:
    """Append the tokens of a number in digits; return how many further matches it took."""
    digits = match["number"].replace(",", "").replace("−", "-")
    suffix = match["suffix"] or ""
    if len(digits) > 30:
        tokens.append(Token(digits))
        return 0
    value = float(digits)
    if suffix in ("st", "nd", "rd", "th"):
        tokens.append(Token(number_key(value), "", value, digits=True, ordinal=True))
        return 0
    if suffix == "s":
        tokens.append(Token(f"{number_key(value)}s", "", value, digits=True))
        return 0
    if suffix in _SUFFIX_SCALES and (suffix != "m" or (tokens and tokens[-1].key in _PREFIX_SIGNS)):
        value *= _SUFFIX_SCALES[suffix]
        suffix = ""
    taken = 0
    if not suffix and following is not None:
        kind, scale = _NUMBER_WORDS.get(following[0], ("", 0))
        if kind == "scale":
            value *= scale
            taken = 1
    tokens.append(Token(number_key(value), "", value, digits=True))
    if suffix:
        tokens.append(Token(UNITS[suffix][2] if suffix in UNITS else lemma(suffix)))
    return taken


def _read_number_words(matches: list[re.Match[str]], start: int, folded: str) -> tuple[Token, int]:
    """Return the number spelled from ``matches[start]`` on, and the index after it."""
    total = current = 0
    ordinal = False
    last = ""
    i = start
    while i < len(matches) and current < LARGEST:
        word = matches[i][0]
        if word == "and" and last == "scale" and i + 1 < len(matches) and matches[i + 1][0] in _NUMBER_WORDS:
            i += 1
            continue
        kind, value = _NUMBER_WORDS.get(word, ("", 0))
        if i > start and folded[matches[i - 1].end() : matches[i].start()] not in (" ", "-"):
            break
        if kind == "scale":
            if value == 100:
                current = (current or 1) * 100
            else:
                total, current = total + (current or 1) * value, 0
        elif (kind == "tens" and last in ("", "scale")) or (
            kind in ("unit", "ordinal") and (last in ("", "scale") or (last == "tens" and 0 < value < 10))
        ):
            current += value
        elif kind == "roman" and not last:
            current = value
        else:
            break
        i += 1
        last = kind
        if kind in ("ordinal", "roman"):
            ordinal = kind == "ordinal"
            break
    number = float(total + current)
    return Token(number_key(number), "", number, ordinal=ordinal), max(i, start + 1)


def _read_compound(kind: str, text: str) -> Iterator[Token]:
    parts = [int(part) for part in re.split(r"[-/⁄]", text)]
    if kind == "fraction":
        value = parts[0] / parts[1] if parts[1] else 0.0
        yield Token(number_key(value), "", value, digits=True)
        return
    year, month, day = parts if kind == "iso" else (parts[2], parts[0], parts[1])
    if month > 12:
        month, day = day, month
    yield Token(f"@{month}", AMBIGUOUS if kind == "slash" and day <= 12 else "")
    yield Token(str(day), "", float(day), digits=True)
    yield Token(str(year), "", float(year), digits=True)
