"""One answer, read once: what pairs of answers are compared by."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from confroute.uncertainty.lexicon import NEGATIONS, STOPWORDS, Lexicon
from confroute.uncertainty.normalize import canonical, fold
from confroute.uncertainty.refusal import refusal_of
from confroute.uncertainty.tokens import AMBIGUOUS, MONTHS, UNITS, Token, read_tokens

READ_CHARS = 12_000
"""Of longer texts the beginning and the end are read."""

ALIGNED_TOKENS = 24
"""Content words whose vectors are compared."""

_YES = re.compile(
    r"\W*(?:yes|yeah|yep|yup|correct|true|indeed|certainly|absolutely|of course|that is correct|sure)\b"
)
_NO = re.compile(
    r"\W*(?:no|nope|nah|false|incorrect|not true|not really|not at all|certainly not)\b(?! one\b|\.? ?\d)"
)
_CODE = re.compile(
    r"```|^\s*(?:def|class|import|from|return|for|while|if|#include|public|const|let|var|function"
    r"|SELECT|fn|func)\b.*[:;({=]"
    r"|[;{}]\s*$|\w\([^)]*\)\s*(?:[;{:]|$)|(?<![<>=!])(?:==|!=|<=|>=|=>|->|\+=|&&|\|\|)|^\s*\w+\s*=\s*\S",
    re.MULTILINE,
)
_CODE_TOKEN = re.compile(r"\w+|[^\w\s]")
_COMMENT = re.compile(r"(?m)(?:#|//)(?!include).*$|```\w*")
_OPERATOR = re.compile(
    r"(?<=[\w)\]])\s?([+*/^=<>×÷−])\s?(?=[\w(\[])|(?<=[\w)\]]) ?(-) ?(?=\d)"
    r"|(?<=[\w)\]]) (-) (?=[\w(])|(?<=\d)(-)(?=\w)"
)
_CAPITALISED = re.compile(r"[^\W\d_][\w'’]*")
_SEPARATOR = re.compile(r"[,;\n•|]|\band\b|&")
_REIGN = re.compile(
    r"\b(?!(?:When|Then|And|But|If|What|Can|Do|Am|That|So|As)\b)([A-Z][a-z]+) ([IV])(?=$|[.,;:!?)]"
    r"| (?:of|and|was|is|in)\b)"
)
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)|\n")
_SPLIT = re.compile(r"(?<!\d)\s*/\s*|\s*/\s*(?!\d)|(?<=\d{4})/(?=\d{4})")
_BEFORE_NAME = frozenset(["of", "the", "and", "for", "de", "la", "von", "van", "du", "di", "da"])


class Date(NamedTuple):
    """A day, a month of a year, a day of a month, a month or a year; unknown fields are 0."""

    year: int
    month: int
    day: int

    def agrees(self, other: Date) -> bool:
        """Whether no field that both know differs."""
        return all(u == v for u, v in zip(self, other, strict=True) if u and v)

    def covers(self, other: Date) -> bool:
        """Whether every field that the other knows is known."""
        return all(u or not v for u, v in zip(self, other, strict=True))


class View:
    """An answer as tokens, numbers, dates and flags, computed once.

    Args:
        text: The answer.
        lexicon: What is known about its words.
    """

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        text = text.encode("utf-8", "replace").decode()
        self.text = text
        self.lexicon = lexicon
        if len(text) > READ_CHARS:
            text = f"{text[: READ_CHARS * 3 // 4]} {text[-READ_CHARS // 4 :]}"
        self.read = text
        self.folded = fold(text if " I" not in text and " V" not in text else _REIGN.sub(_arabic, text))
        self.tokens = self._with_months(read_tokens(self.folded, lexicon.lemma))
        self.keys = [token.key for token in self.tokens]
        self.set = frozenset(self.keys)
        self.content = self.set - STOPWORDS or self.set
        self.numbers = frozenset(t.key for t in self.tokens if t.value is not None)
        self.digit_numbers = frozenset(t.key for t in self.tokens if t.digits)
        self._canonical: tuple[str | None, str] = (None, "")
        self.negations = len(NEGATIONS & self.set)

    def _with_months(self, tokens: list[Token]) -> list[Token]:
        """Read month names that are also words (*may*) as months where a number stands beside them."""
        for i, token in enumerate(tokens):
            if token.word in MONTHS and any(
                t.value is not None for t in tokens[max(i - 1, 0) : i + 2] if t is not token
            ):
                tokens[i] = Token(f"@{MONTHS[token.word]}")
        return tokens

    @cached_property
    def joined(self) -> str:
        """The tokens as one padded string, for containment."""
        return f" {' '.join(key for key in self.keys if key not in _ARTICLES)} "

    @cached_property
    def weight(self) -> float:
        """Total weight of the content tokens."""
        return sum(map(self.lexicon.weight, self.content))

    @cached_property
    def ordered(self) -> tuple[str, ...]:
        """Content tokens in order."""
        return tuple(key for key in self.keys if key in self.content)

    @cached_property
    def bigrams(self) -> frozenset[tuple[str, str]]:
        """Neighbouring tokens, without stop words."""
        return frozenset(zip(self.ordered, self.ordered[1:], strict=False))

    @cached_property
    def trigrams(self) -> frozenset[str]:
        """Character trigrams of the first 200 characters."""
        text = f" {self.folded[:200]} "
        return frozenset(text[i : i + 3] for i in range(len(text) - 2))

    @cached_property
    def first(self) -> frozenset[str]:
        """Content tokens of the first sentence."""
        end = _SENTENCE_END.search(self.read, 12)
        if end is None or end.end() >= len(self.read):
            return self.content
        return View(self.read[: end.start()], self.lexicon).content

    @cached_property
    def positions(self) -> dict[str, int]:
        """First position of each token."""
        return {key: i for i, key in reversed(list(enumerate(self.keys)))}

    @cached_property
    def aligned(self) -> tuple[list[str], NDArray[np.float32]]:
        """The first content tokens and their vectors, float32 array [k, d]."""
        keys = list(dict.fromkeys(self.ordered))[:ALIGNED_TOKENS]
        if not keys:
            return keys, np.zeros((0, self.lexicon.dimensions), dtype=np.float32)
        return keys, np.stack([self.lexicon.vector(key) for key in keys])

    @cached_property
    def vector(self) -> NDArray[np.float32]:
        """Weighted mean vector of the content, of unit length; float32 array [d]."""
        keys, table = self.aligned
        weights = np.array([self.lexicon.weight(key) for key in keys], dtype=np.float32)
        total = weights @ table
        return total / max(float(np.sqrt(total @ total)), 1e-9)

    @cached_property
    def meanings(self) -> frozenset[int]:
        """Commonest meanings of the whole answer taken as one phrase."""
        words = [t.word or t.key for t in self.tokens if t.key not in _ARTICLES]
        if not 0 < len(words) <= 5:
            return frozenset()
        senses = self.lexicon.senses
        return frozenset((senses("_".join(words)) or senses("_".join(self.keys)))[:2])

    @cached_property
    def phrase_meanings(self) -> frozenset[int]:
        """Commonest meanings of the phrases of up to three words within the answer."""
        words = [t.word or t.key for t in self.tokens[:60]]
        senses = self.lexicon.senses
        found: set[int] = set()
        for i, word in enumerate(words):
            if word not in STOPWORDS:
                for end in range(i + 1, min(i + 4, len(words)) + 1):
                    found.update(senses("_".join(words[i:end]))[:2])
        return frozenset(found)

    @cached_property
    def initials(self) -> frozenset[str]:
        """Initials of runs of capitalised words, and of a short answer as a whole."""
        runs: set[str] = set()
        full = short = ""
        words = _CAPITALISED.findall(self.read[:2000])
        for word in [*words, "."]:
            if word[0].isupper():
                full, short = full + word[0], short + word[0]
            elif word.lower() in _BEFORE_NAME and full:
                full += word[0]
            else:
                runs |= {full, short, full.rstrip("otafdvl")}
                full = short = ""
        if len(words) <= 8:
            runs |= {
                "".join(w[0] for w in words),
                "".join(w[0] for w in words if w.lower() not in _BEFORE_NAME),
            }
        return frozenset(run.casefold() for run in runs if len(run) > 1)

    @cached_property
    def acronyms(self) -> frozenset[str]:
        """Tokens that may be an acronym."""
        upper = {
            w.casefold() for w in _CAPITALISED.findall(self.read[:2000]) if 1 < len(w) < 8 and w.isupper()
        }
        dotted = {t.key for t in self.tokens if not t.word and 1 < len(t.key) < 8 and t.key.isalpha()}
        short = {k for k in self.keys if 1 < len(k) < 6 and k.isalpha() and k not in STOPWORDS}
        return frozenset(upper | dotted | (short if len(self.keys) <= 2 else set()))

    @cached_property
    def separators(self) -> int:
        """Number of commas, conjunctions and line ends, the marks of a list."""
        return len(_SEPARATOR.findall(self.folded)) if "\n" not in self.read else len(self.read.splitlines())

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """Arithmetic signs between operands, in order."""
        if not any(c in self.read for c in "+*/^=<>×÷−-"):
            return ()
        return tuple("".join(found) for found in _OPERATOR.findall(self.read[:2000]))

    @cached_property
    def refusal(self) -> float:
        """1 where the answer only declines to answer, 0.5 where it also says something else, 0 else."""
        return refusal_of(self.read)

    @cached_property
    def polarity(self) -> int:
        """1 for an answer that begins with *yes*, −1 for *no*, 0 else."""
        head = self.folded[:40]
        return 1 if _YES.match(head) else -1 if _NO.match(head) else 0

    @cached_property
    def code(self) -> tuple[str, ...]:
        """Tokens of the program text, without comments and fences; empty for prose."""
        found = len(_CODE.findall(self.read[:4000]))
        if "```" in self.read:
            parts = self.read.split("```")
            text = "\n".join(part.split("\n", 1)[-1] for part in parts[1::2])
        elif found and found * 60 >= len(self.read[:4000]):
            text = self.read
        else:
            return ()
        return tuple(_CODE_TOKEN.findall(_COMMENT.sub("", text)))

    @cached_property
    def quantities(self) -> tuple[tuple[str, float], ...]:
        """Numbers with their dimension, in base units; dimension ``""`` where there is no unit."""
        found = []
        for i, token in enumerate(self.tokens):
            if token.value is None or token.ordinal:
                continue
            unit = None
            scale = self.keys[i + 2] if i + 2 < len(self.keys) else ""
            if scale in _TEMPERATURES and self.keys[i + 1] == "deg":
                found.append(("temperature", _TEMPERATURES[scale](token.value)))
                continue
            for neighbour in (*self.keys[i + 1 : i + 2], *(self.keys[i - 1 : i] if i else ())):
                if neighbour in UNITS and (neighbour in "$€£" or neighbour in self.keys[i + 1 : i + 2]):
                    unit = UNITS[neighbour]
                    break
            if unit is None:
                found.append(("", token.value))
            else:
                found.append((unit[0], token.value * unit[1]))
        return tuple(found)

    @cached_property
    def dates(self) -> tuple[Date, ...]:
        """Dates: every month with the day and year beside it, and every year that stands alone."""
        found: list[Date] = []
        taken: set[int] = set()
        for i, key in enumerate(self.keys):
            if key[0] != "@":
                continue
            year = day = 0
            for j in (i + 1, i + 2, i - 1):
                if 0 <= j < len(self.tokens) and j not in taken:
                    value = self.tokens[j].value
                    if value is None or value != int(value):
                        continue
                    if not day and 1 <= value <= 31:
                        day = int(value)
                        taken.add(j)
                    elif not year and 1000 <= value <= 2200:
                        year = int(value)
                        taken.add(j)
            found.append(Date(year, int(key[1:]), day))
            if self.tokens[i].word == AMBIGUOUS:
                found.append(Date(year, day, int(key[1:])))
        for i, token in enumerate(self.tokens):
            if i not in taken and token.digits and len(token.key) == 4 and 1000 <= (token.value or 0) <= 2200:
                found.append(Date(int(token.value or 0), 0, 0))
        return tuple(found)

    @cached_property
    def bare_date(self) -> bool:
        """Whether the answer is one date and nothing else."""
        single = len({(d.year, frozenset((d.month, d.day))) for d in self.dates}) == 1
        return single and all(t.value is not None or t.key[0] == "@" for t in self._telling)

    @cached_property
    def bare_quantity(self) -> bool:
        """Whether the answer is one number with its unit and nothing else."""
        return len(self.quantities) == 1 and all(t.value is not None or t.key in UNITS for t in self._telling)

    @property
    def _telling(self) -> list[Token]:
        return [t for t in self.tokens if t.key not in STOPWORDS and t.key not in _TEMPERATURES]

    @cached_property
    def alternatives(self) -> tuple[View, ...]:
        """The answers of ``A/B/C``, at most 40; empty for a single answer."""
        if "/" not in self.text or len(self.text) > 4000 or "//" in self.text or self.code:
            return ()
        parts = [part.strip() for part in _SPLIT.split(self.text)]
        parts = [part for part in dict.fromkeys(parts) if part]
        if len(parts) < 2 or max(map(len, parts)) > 120:
            return ()
        return tuple(View(part, self.lexicon) for part in parts[:40])

    def canonical(self, question: str) -> str:
        """Return the canonical form given the question."""
        if self._canonical[0] != question:
            self._canonical = (question, canonical(self.text, question))
        return self._canonical[1]


def _arabic(match: re.Match[str]) -> str:
    return f"{match[1]} {1 if match[2] == 'I' else 5}"


_TEMPERATURES: dict[str, Callable[[float], float]] = {
    "celsius": lambda value: value,
    "fahrenheit": lambda value: (value - 32) / 1.8,
}
_ARTICLES = frozenset(("a", "an", "the"))
