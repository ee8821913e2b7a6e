"""What is known about words: relations from WordNet, small static vectors, and closed-class words by hand."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from confroute.errors import ConfigurationError

STOPWORDS = frozenset(
    (  # noqa: SIM905 - words read better as text than as a list
        "a an the this that these those of in on at to for from by with as and or is are was were be "
        "been being am it its he she they them his her their him i you we us our your my me who whom "
        "whose which what when where why how do does did done has have had having will would shall "
        "should can could may might must there here so then than if but about into onto also just very "
        "some any such other s t answer correct think option choice probably"
    ).split()
)
NEGATIONS = frozenset(
    (  # noqa: SIM905 - words read better as text than as a list
        "not no never none nobody nothing neither nor without cannot can't don't doesn't didn't isn't "
        "aren't wasn't weren't won't wouldn't couldn't shouldn't hasn't haven't hadn't dont doesnt didnt "
        "isnt wasnt false incorrect untrue unable fail hardly"
    ).split()
)
_OPPOSITES = (
    "in:out inside:outside up:down above:below over:under before:after with:without on:off into:out near:far "
    "behind:front left:right always:never all:none everyone:nobody everybody:nobody everything:nothing "
    "more:less most:least many:few male:female man:woman boy:girl he:she his:her him:her open:close "
    "north:south east:west yes:no true:false increase:decrease rise:fall win:lose lose:find "
    "first:last early:late "
    "minimum:maximum min:max buy:sell push:pull start:finish begin:end stop:go come:leave arrive:depart "
    "alive:dead asleep:awake same:different hot:cold warm:cool wet:dry full:empty inner:outer upper:lower "
    "son:daughter father:mother brother:sister husband:wife king:queen uncle:aunt accept:reject love:hate "
    "sit:stand stand:lie sit:lie day:night summer:winter import:export teacher:student positive:negative "
    "plus:minus ascend:descend ascending:descending possible:impossible legal:illegal gain:lose"
)
_SAME = (
    "near:close near:by big:large small:little tiny:little nobody:none mom:mother dad:father mum:mother "
    "kid:child street:road film:movie usa:us uk:britain tv:television photo:picture start:begin end:finish "
    "maybe:perhaps ok:okay everyone:everybody someone:somebody anyone:anybody yes:yeah yes:yep no:nope "
    "bill:william bob:robert rob:robert dick:richard rick:richard jim:james jimmy:james joe:joseph "
    "tom:thomas "
    "mike:michael dave:david dan:daniel steve:steven steve:stephen tony:anthony ben:benjamin sam:samuel "
    "alex:alexander andy:andrew chris:christopher matt:matthew nick:nicholas ed:edward ted:theodore "
    "ted:edward "
    "liz:elizabeth beth:elizabeth kate:katherine kate:catherine kathy:katherine jack:john "
    "johnny:john jon:john "
    "ken:kenneth larry:lawrence ron:ronald don:donald tim:timothy greg:gregory jeff:jeffrey fred:frederick "
    "harry:harold harry:henry hank:henry walt:walter will:william billy:william bobby:robert maggie:margaret "
    "meg:margaret sue:susan jenny:jennifer st:saint mt:mount ft:fort dr:doctor mr:mister"
)
CLOSE_SENSES = 3
"""Siblings, opposites and derivations count between meanings whose ranks add up to this at most."""

SIMILAR = 0.5
"""Strength of WordNet's *see also* between adjectives, beside 1 for one meaning."""

HOPS = 5
PLACED = 4
"""Ancestors of a word's commonest meaning, itself included, from which its place counts as known."""


class Relation(NamedTuple):
    """How one word or phrase stands to another, each strength in [0, 1].

    Attributes:
        same: They share a meaning; 1 where it is the commonest of both.
        narrower: The first is a kind of the second.
        broader: The second is a kind of the first.
        opposite: They are antonyms.
        sibling: Different kinds of one narrow thing, such as two colours; higher the narrower.
        related: One is derived from the other.
        distinct: Both have a place in WordNet's hierarchy, and no meaning is shared or contained.
    """

    same: float = 0.0
    narrower: float = 0.0
    broader: float = 0.0
    opposite: float = 0.0
    sibling: float = 0.0
    related: float = 0.0
    distinct: float = 0.0


NO_RELATION = Relation()
IDENTICAL = Relation(same=1.0)


def _closed_class(table: str) -> frozenset[tuple[str, str]]:
    pairs = {tuple(entry.split(":")) for entry in table.split()}
    return frozenset((x, y) for a, b in pairs for x, y in ((a, b), (b, a)))


class Lexicon:
    """WordNet relations and static word vectors, read from ``lexicon.safetensors``.

    Args:
        path: The file, as written by ``scripts/build_lexicon.py``.

    Raises:
        ConfigurationError: If the file is missing or is no lexicon.
    """

    def __init__(self, path: Path) -> None:
        try:
            tensors = load_file(path)
            self._codes = tensors["lemma_codes"]
            self._sense_ends = np.cumsum(tensors["lemma_sense_counts"], dtype=np.int64)
            self._sense_list = tensors["lemma_senses"]
            self._parent_ends = np.cumsum(tensors["synset_parent_counts"], dtype=np.int64)
            self._parent_list = tensors["synset_parents"]
            self._antonyms = frozenset(tensors["antonyms"].tolist())
            self._similar = frozenset(tensors["similar"].tolist())
            self._related = frozenset(tensors["related"].tolist())
            forms = tensors["irregular_forms"].tobytes().decode()
            self._forms: dict[str, str] = dict(line.split(" ") for line in forms.splitlines())
            tokens = tensors["vocabulary"].tobytes().decode().split("\n")
            self._token_rows = {token: i for i, token in enumerate(tokens)}
            self._table = tensors["vectors"].astype(np.float32) / 127.0
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise ConfigurationError(
                f"cannot read the lexicon {path}: {error!r}. Expected the file that ships with "
                f"confroute or one "
                "from scripts/build_lexicon.py; reinstall confroute to restore it"
            ) from error
        self._opposites = _closed_class(_OPPOSITES)
        self._same = _closed_class(_SAME)
        self._log_size = float(np.log(len(tokens)))
        self._zero = np.zeros(self._table.shape[1], dtype=np.float32)
        self.lemma = lru_cache(maxsize=65536)(self._lemma)
        self.relation = lru_cache(maxsize=65536)(self._relation)
        self.vector = lru_cache(maxsize=65536)(self._vector)
        self.weight = lru_cache(maxsize=65536)(self._weight)
        self.senses = lru_cache(maxsize=65536)(self._senses_of)
        self._parents = lru_cache(maxsize=65536)(self._parents_of)
        self._ancestors = lru_cache(maxsize=65536)(self._walk)

    @property
    def words(self) -> list[str]:
        """The encoder's whole words."""
        return [token for token in self._token_rows if not token.startswith("##")]

    @property
    def dimensions(self) -> int:
        """Length of a word vector."""
        return int(self._table.shape[1])

    def _senses_of(self, phrase: str) -> tuple[int, ...]:
        """Return the meanings of a word, or of a phrase with ``_`` between its words, commonest first."""
        code = np.uint32(zlib.crc32(phrase.encode("utf-8", "replace")))
        row = int(np.searchsorted(self._codes, code))
        if row == len(self._codes) or self._codes[row] != code:
            return ()
        start = int(self._sense_ends[row - 1]) if row else 0
        return tuple(self._sense_list[start : int(self._sense_ends[row])].tolist())

    def _lemma(self, word: str) -> str:
        """Return the dictionary form of a word; unknown words lose a plural *s*."""
        word = self._forms.get(word, word)
        if len(word) < 4 or not word.isascii():
            return word
        for suffix, replacement in _ENDINGS:
            if word.endswith(suffix) and not word.endswith(("ss", "us", "is")):
                stem = word.removesuffix(suffix)
                for ending in replacement:
                    if len(stem) > 1 and self.senses(stem + ending):
                        return stem + ending
                if len(stem) > 3 and stem[-1] == stem[-2] and self.senses(stem[:-1]) and suffix != "s":
                    return stem[:-1]
        if word.endswith("s") and not word.endswith(("ss", "us", "is")) and not self.senses(word):
            return word[:-1]
        return word

    def _weight(self, token: str) -> float:
        """Return how much a token tells, in (0, 1]: the encoder's vocabulary is ordered by frequency."""
        if token in STOPWORDS:
            return 0.1
        row = self._token_rows.get(token)
        return 1.0 if row is None else 0.3 + 0.7 * float(np.log(row + 1)) / self._log_size

    def _vector(self, token: str) -> NDArray[np.float32]:
        """Return the unit vector of a token, made of its pieces where it is unknown; float32 array [d]."""
        row = self._token_rows.get(token)
        if row is not None:
            known: NDArray[np.float32] = self._table[row]
            return known
        total = self._zero.copy()
        rest, prefix = token[:24], ""
        while rest:
            for end in range(len(rest), 0, -1):
                row = self._token_rows.get(prefix + rest[:end])
                if row is not None:
                    total += self._table[row] * end
                    break
            rest, prefix = rest[end:], "##"
        norm = float(np.sqrt(total @ total))
        return total / norm if norm > 0 else total

    def _relation(self, a: str, b: str) -> Relation:
        """Return how ``a`` stands to ``b``."""
        if a == b:
            return IDENTICAL
        if (a, b) in self._same:
            return Relation(same=0.9)
        opposite = 1.0 if (a, b) in self._opposites else 0.0
        synsets = len(self._parent_ends)
        senses_a, senses_b = self.senses(a), self.senses(b)
        same = narrower = broader = sibling = related = 0.0
        for rank_a, sense_a in enumerate(senses_a):
            up_a = self._ancestors(sense_a)
            for rank_b, sense_b in enumerate(senses_b):
                trust = 1.0 / (1 + 0.5 * (rank_a + rank_b))
                if sense_a == sense_b:
                    same = max(same, trust)
                    continue
                up_b = self._ancestors(sense_b)
                if sense_b in up_a:
                    narrower = max(narrower, trust / (1 + 0.3 * up_a[sense_b]))
                elif sense_a in up_b:
                    broader = max(broader, trust / (1 + 0.3 * up_b[sense_a]))
                elif rank_a + rank_b <= CLOSE_SENSES:
                    sibling = max(sibling, trust * self._closeness(up_a, up_b))
                if rank_a + rank_b <= CLOSE_SENSES:
                    if sense_a * synsets + sense_b in self._related:
                        related = max(related, trust)
                    opposite = max(opposite, trust * self._linked(self._antonyms, up_a, up_b))
                    same = max(same, SIMILAR * trust * self._linked(self._similar, up_a, up_b))
        placed = min(len(self._ancestors(s[0])) if s else 0 for s in (senses_a, senses_b)) >= PLACED
        distinct = float(placed and not same and not narrower and not broader)
        return Relation(same, narrower, broader, opposite, sibling, related, distinct)

    def _closeness(self, up_a: dict[int, int], up_b: dict[int, int]) -> float:
        """Return how near the closest common ancestor is, in [0, 1]."""
        steps = [up_a[s] + up_b[s] for s in up_a.keys() & up_b.keys()]
        return 2.0 / min(steps) if steps else 0.0

    def _linked(self, links: frozenset[int], up_a: dict[int, int], up_b: dict[int, int]) -> float:
        """Return how directly two meanings, or those next above them, are linked, in [0, 1]."""
        synsets = len(self._parent_ends)
        near_a = [s for s, hops in up_a.items() if hops < 2]
        near_b = [s for s, hops in up_b.items() if hops < 2]
        best = 0.0
        for x in near_a:
            for y in near_b:
                if x * synsets + y in links:
                    best = max(best, 1.0 / (1 + up_a[x] + up_b[y]))
        return best

    def _parents_of(self, synset: int) -> tuple[int, ...]:
        start = int(self._parent_ends[synset - 1]) if synset else 0
        return tuple(self._parent_list[start : int(self._parent_ends[synset])].tolist())

    def _walk(self, synset: int) -> dict[int, int]:
        """Return a meaning's ancestors, itself included, with their distance in hops."""
        found = {synset: 0}
        edge: Sequence[int] = (synset,)
        for hops in range(1, HOPS + 1):
            edge = [p for s in edge for p in self._parents(s) if p not in found]
            found.update((p, hops) for p in edge)
        return found


_ENDINGS = (
    ("ies", ("y", "ie")),
    ("es", ("e", "")),
    ("s", ("",)),
    ("ied", ("y",)),
    ("ed", ("", "e")),
    ("ing", ("", "e")),
)
