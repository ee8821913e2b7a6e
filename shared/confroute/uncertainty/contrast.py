"""Pairs of answers that share their words and differ in the one thing that decides."""

from __future__ import annotations

import re

from confroute.uncertainty.lexicon import STOPWORDS
from confroute.uncertainty.views import View

_SHORT_NAME = 6
_SHORT_ANSWER = 5
_LONGEST = 400
_LONGEST_TIME = 16

_TELLING_ADDITION = frozenset(
    (  # noqa: SIM905 - words read better as text than as a list
        "north south east west northern southern eastern western northeast northwest southeast southwest new "
        "old upper lower inner outer greater lesser junior senior jr sr ii iii iv vi vii viii ix xi xii"
    ).split()
)
"""Words that make another name of a name: West Virginia, Henry VIII."""

_OPPOSITES = frozenset(
    frozenset(pair.split("/"))
    for pair in (  # noqa: SIM905 - as above
        "east/west north/south eastern/western northern/southern eastward/westward left/right up/down "
        "above/below over/under on/under into/out inside/outside before/after more/less most/least "
        "higher/lower highest/lowest larger/smaller largest/smallest longer/shorter longest/shortest "
        "older/younger oldest/youngest bigger/smaller biggest/smallest increase/decrease increases/decreases "
        "increased/decreased increasing/decreasing rise/fall rises/falls rose/fell nobody/somebody "
        "nobody/everybody everyone/none all/none always/never with/without"
    ).split()
)
_SYMMETRIC = frozenset("married met meets equals equal is and or plus times versus vs".split())  # noqa: SIM905 - as above
_JOINS = re.compile(r"[,;/&\n]|\b(?:and|or|und|et|y|e)\b")
_SCORE = re.compile(r"\d{1,2}\s*[-:–—]\s*\d{1,2}")
_CLOCK = re.compile(r"(?:at )?(\d{1,2})(?:[:.](\d\d))?\s*(?:(a|p)\.?\s?m\b\.?)?")
_REJECTS = (
    r"\b(?:not|rather than|instead of|unlike|nor|wasn't|isn't)\s+(?:(?:in|at|by|on|to|the|a|an)\s+)*{}\b"
)
_MISTAKEN = (
    r"\b(?:many|most|some|people|often|commonly|wrongly|mistakenly|might|may)\b[^.]*\b{}\b[^.]*"
    r"\b(?:but|however|actually|in fact|though)\b"
)


def contrasts(a: View, b: View) -> bool:
    """Whether two answers cannot mean the same, although most of their words are the same.

    Another name that holds the first (Virginia, West Virginia; Rocky, Rocky II), one word against its
    opposite, two names that have changed places around a verb, two scores or clock times that differ, and a
    short answer that the other one rejects ("Orwell, not Huxley").
    """
    if max(len(a.folded), len(b.folded)) > _LONGEST:
        return False
    if len(a.keys) == len(b.keys):
        return _one_word_opposed(a, b) or _places_changed(a, b) or _times_differ(a, b)
    short, long = (a, b) if len(a.keys) < len(b.keys) else (b, a)
    return _adds_a_name(short, long) or _rejected(short, long) or _times_differ(a, b)


def _adds_a_name(short: View, long: View) -> bool:
    if not short.keys or len(long.keys) > _SHORT_NAME or not short.set <= long.set:
        return False
    extra = [key for key in long.keys if key not in short.set]
    if len(extra) != len(long.keys) - len(short.keys) or long.dates or short.dates:
        return False
    number = long.keys[-1]
    is_sequel = extra == [number] and number.isdigit() and len(number) == 1 and not short.quantities
    return is_sequel or (bool(extra) and set(extra) <= _TELLING_ADDITION)


def _one_word_opposed(a: View, b: View) -> bool:
    differ = a.set ^ b.set
    if len(differ) != 2 or differ not in _OPPOSITES:
        return False
    return sum(x != y for x, y in zip(a.keys, b.keys, strict=True)) == 1


def _places_changed(a: View, b: View) -> bool:
    """Whether b is a with its two ends changed: "Alice defeated Bob", "Bob defeated Alice"."""
    x, y = a.keys, b.keys
    if a.set != b.set or x == y or sorted(x) != sorted(y):
        return False
    if _JOINS.search(a.folded) or _JOINS.search(b.folded):
        return False
    for left in range(1, len(x) - 1):
        for right in range(1, len(x) - left):
            middle = x[left : len(x) - right]
            if y == [*x[len(x) - right :], *middle, *x[:left]]:
                words = [token.word or token.key for token in a.tokens[left : len(x) - right]]
                is_verb = any(word.endswith(("ed", "s")) or word in STOPWORDS for word in words)
                return is_verb and not set(words) <= _SYMMETRIC
    return False


def _times_differ(a: View, b: View) -> bool:
    if max(len(a.folded), len(b.folded)) > _LONGEST_TIME:
        return False
    if _SCORE.fullmatch(a.folded) and _SCORE.fullmatch(b.folded):
        return re.findall(r"\d+", a.folded) != re.findall(r"\d+", b.folded)
    x, y = minutes(a.folded), minutes(b.folded)
    return x is not None and y is not None and x != y


def minutes(text: str) -> int | None:
    """Return a clock time in minutes after midnight; None where it is none, or may be of either half."""
    if len(text) > _LONGEST_TIME:
        return None
    text = text.strip(" .!")
    if text in ("noon", "midday", "12 noon"):
        return 12 * 60
    if text == "midnight":
        return 0
    found = _CLOCK.fullmatch(text)
    if found is None or not (found[3] or (found[2] and int(found[1]) > 12)):
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if hour > (12 if found[3] else 23) or minute > 59:
        return None
    if found[3]:
        hour = hour % 12 + (12 if found[3] == "p" else 0)
    return 60 * hour + minute


def _rejected(short: View, long: View) -> bool:
    if not 0 < len(short.keys) <= _SHORT_ANSWER or len(long.keys) < len(short.keys) + 3:
        return False
    answer = short.folded.strip(" .!\"'")
    if long.folded.count(answer) != 1:
        return False
    return any(re.search(pattern.format(re.escape(answer)), long.folded) for pattern in (_REJECTS, _MISTAKEN))
