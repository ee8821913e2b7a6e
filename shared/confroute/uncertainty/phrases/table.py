"""A table of how answers decline to answer in a language.

Patterns are read against folded text: lower case, no accents on Latin letters, straight apostrophes, no
vowel signs and one form of alif in Arabic. Every repetition in them is bounded, so that reading takes time in
proportion to the text.
"""

from __future__ import annotations

from typing import NamedTuple

WORD = r"[\w'-]{1,30}"


class Phrases(NamedTuple):
    """The phrases of one language, as regular expressions.

    Attributes:
        cue: A word that every refusal of the language has; saves reading the other answers.
        openings: What stands before: apologies, "as an AI language model", "based on the documents".
        declines: How a clause begins that declines.
        anywhere: What declines wherever it stands in a clause, such as "is not mentioned in the text".
        labels: Whole sentences that decline, such as "no idea".
        beside: How a clause begins that may stand beside a refusal: an offer, a request for more.
        turns: What parts a sentence into clauses, such as "but".
        hedges: What leads to a guess, so to an answer.
        asks: Question words; a subordinate clause begins with one.
        sources: What a reply calls the texts that it was given.
        about_sources: A question whether the sources say something: that they do not is its answer.
    """

    cue: str
    openings: str
    declines: str
    anywhere: str
    labels: str
    beside: str
    turns: str
    hedges: str
    asks: str
    sources: str
    about_sources: str
    spaced: bool = True  # words are parted by spaces
