"""The judged pairs that the learned equivalence is trained and measured on, and how they are split.

Everything is split by what must not leak: NQ and TriviaQA by question, SNLI by premise, the one-word swaps by
the pair of words that was swapped.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from confroute.uncertainty.lexicon import STOPWORDS, Lexicon
from scripts import equivalence_pairs as made
from scripts.equivalence_pairs import Example

TEST_PERCENT = 25
SURE_RELATION = 0.7
FEW_SENSES = 4
_OPTION = re.compile(r"^([A-E])\. (.+)$", re.MULTILINE)
_NAME = re.compile(r"^[A-Z][a-z]+(?: [A-Z][a-z]+){1,2}$")
_TITLE = re.compile(r"^(?:[A-Z][\w'-]+|of|the|and|for)(?: (?:[A-Z][\w'-]+|of|the|and|for)){1,5}$")
_PICTURE_QUESTIONS = ("What is happening in the picture?", "What does the photo show?", "describe the scene")


def bucket(text: str, buckets: int = 100) -> int:
    """Return a number in [0, buckets) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.strip().casefold().encode()).digest()[:8], "big") % buckets


def is_test(group: str) -> bool:
    """Whether a group of pairs belongs to the test part."""
    return bucket(group) < TEST_PERCENT


def fold_of(question: str, folds: int) -> int:
    """Return the fold of a cross-fit whose model has not seen the question."""
    return bucket(f"fold {question.strip().casefold()}", folds)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Return the rows of a JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def human(data: Path) -> list[Example]:
    """Return people's judgements on NQ: candidate against reference, and the reverse."""
    examples = []
    for row in read(data / "equivalence/nq_human.jsonl"):
        question, a, b = row["question"], row["candidate"], row["reference"]
        examples.append(Example(question, a, b, int(row["equivalent"]), 1.0, question, "human"))
    return examples


def snli(data: Path) -> list[Example]:
    """Return SNLI, in the direction of its gold."""
    return [
        Example("", r["premise"], r["hypothesis"], int(r["label"] == "entailment"), 1.0, r["premise"], "snli")
        for r in read(data / "equivalence/snli_validation.jsonl")
        if r["label"] in ("entailment", "neutral", "contradiction")
    ]


def swapped_words(premise: str, hypothesis: str) -> tuple[str, str]:
    """Return what was exchanged for what."""
    a, b = (re.sub(r"[^\w\s'-]", "", text.casefold()).split() for text in (premise, hypothesis))
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return " ".join(a), " ".join(b)


def swaps(data: Path) -> list[Example]:
    """Return the one-word swaps, grouped by the unordered pair of words."""
    examples = []
    for row in read(data / "equivalence/breaking_nli_half.jsonl"):
        words = sorted(swapped_words(row["premise"], row["hypothesis"]))
        label = int(row["label"] == "entailment")
        examples.append(
            Example("", row["premise"], row["hypothesis"], label, 1.0, " / ".join(words), "swaps")
        )
    return examples


def derived(data: Path, rng: random.Random, lexicon: Lexicon) -> list[Example]:
    """Return training pairs derived from the judged ones and made from questions and answers."""
    return [
        *_from_relations(data, rng, lexicon),
        *_from_human(data, rng),
        *_from_swaps(data, rng),
        *_from_aliases(data, rng),
        *_made(data, rng),
    ]


def _from_human(data: Path, rng: random.Random) -> list[Example]:
    rows = human(data)
    by_question: dict[str, list[Example]] = {}
    for row in rows:
        by_question.setdefault(row.question, []).append(row)
    references = [(q, found[0].b.split("/")[0].strip()) for q, found in by_question.items()]
    examples = []
    for i, row in enumerate(rows):
        options = [part.strip() for part in row.b.split("/") if part.strip()]
        examples.append(Example(row.question, row.b, row.a, row.label, 1.0, row.group, "human-reverse"))
        if rng.random() < 0.3:
            examples.append(Example("", row.a, row.b, row.label, 0.4, row.group, "human-bare"))
        if len(options) > 1 and not row.label:
            one = rng.choice(options)
            examples.append(Example(row.question, row.a, one, 0, 0.7, row.group, "human-option"))
        if len(options) > 1 and row.label:
            inside = [o for o in options if o.casefold() in row.a.casefold()]
            if inside:
                examples.append(
                    Example(row.question, row.a, max(inside, key=len), 1, 0.7, row.group, "human-option")
                )
        other = rng.choice(by_question[row.question])
        if other is not row and (
            row.label + other.label == 1 or (row.label and other.label and len(options) == 1)
        ):
            examples.append(
                Example(
                    row.question, row.a, other.a, row.label * other.label, 0.4, row.group, "human-candidates"
                )
            )
        if row.label and len(options[0]) > 2 and options[0] in row.a:
            wrong = _near_miss(rng, options[0], references)
            if wrong.casefold() not in row.a.casefold():
                changed = row.a.replace(options[0], wrong)
                pair = [(changed, row.b), (row.a, wrong), (row.a, changed)][i % 3]
                examples.append(Example(row.question, *pair, 0, 0.5, row.group, "human-changed"))
    return examples


def _near_miss(rng: random.Random, answer: str, references: list[tuple[str, str]]) -> str:
    """Return a wrong answer of the same kind: another number, else another answer of a like form."""
    match = re.search(r"\d+", answer)
    if match:
        value = int(match[0])
        changed = rng.choice([value + 1, max(value - 1, 0), value + 10, value + rng.randint(2, 60)])
        if changed != value:
            return answer[: match.start()] + str(changed) + answer[match.end() :]
    like = [r for _, r in rng.sample(references, 40) if len(r.split()) == len(answer.split()) and r != answer]
    return rng.choice(like) if like else rng.choice(references)[1]


def _from_swaps(data: Path, rng: random.Random) -> list[Example]:
    examples = []
    for row in swaps(data):
        before, after = swapped_words(row.a, row.b)
        if not row.label:
            examples.append(Example("", row.b, row.a, 0, 0.5, row.group, "swaps-reverse"))
        if rng.random() < 0.3:
            question = rng.choice(_PICTURE_QUESTIONS)
            examples.append(Example(question, row.a, row.b, row.label, 0.5, row.group, "swaps-question"))
        if before and after and rng.random() < 0.4:
            examples.append(Example("", before, after, row.label, 0.3, row.group, "swaps-words"))
            noun = rng.choice(["{}", "it is {}", "the {} one", "{}."])
            question = rng.choice(["what is it", "which one", "what was it like", ""])
            pair = (noun.format(before), noun.format(after))
            examples.append(Example(question, *pair, row.label, 0.3, row.group, "swaps-words"))
    for row in snli(data):
        if rng.random() < 0.15:
            question = rng.choice(_PICTURE_QUESTIONS)
            examples.append(Example(question, row.a, row.b, row.label, 0.3, row.group, "snli-question"))
    return examples


def _from_relations(data: Path, rng: random.Random, lexicon: Lexicon) -> list[Example]:
    """Return premises in which one word is exchanged for a synonym, a broader or any other word."""
    words = [w for w in lexicon.words if len(w) > 2 and w.isalpha() and lexicon.senses(w)]
    plain = [w for w in words if len(lexicon.senses(w)) <= FEW_SENSES]
    by_sense: dict[int, list[str]] = {}
    for word in plain:
        by_sense.setdefault(lexicon.senses(word)[0], []).append(word)
    premises = sorted({row.a for row in snli(data)})
    examples = []
    for premise in rng.sample(premises, 2000):
        inside = [
            w
            for w in re.findall(r"[a-z]{3,}", premise)
            if 0 < len(lexicon.senses(w)) <= FEW_SENSES and w not in STOPWORDS
        ]
        if not inside:
            continue
        word = rng.choice(inside)
        same = [
            w for w in by_sense.get(lexicon.senses(word)[0], ()) if lexicon.lemma(w) != lexicon.lemma(word)
        ]
        near = [w for w in rng.sample(plain, 25) if lexicon.relation(word, w).narrower > SURE_RELATION]
        far = [w for w in rng.sample(words, 3) if max(lexicon.relation(word, w)[:3]) == 0]
        for others, label in ((same, 1), (near, 1), (far[:1], 0)):
            if others:
                changed = re.sub(rf"\b{word}\b", rng.choice(others), premise)
                group = f"{word} / {changed}"
                examples.append(Example("", premise, changed, label, 0.4, group, "relations"))
    return examples


def _from_aliases(data: Path, rng: random.Random) -> list[Example]:
    """Return TriviaQA's aliases of one answer, and answers of other questions."""
    rows = list(read(data / "questions/triviaqa.jsonl"))
    references = [(r["question"], r["answers"][0]) for r in rows]
    examples = []
    for row in rows:
        question, names = row["question"], [n for n in row["answers"] if len(n) < 60]
        if len(names) > 1:
            a, b = rng.sample(names, 2)
            examples.append(Example(question, made.carry(rng, a), b, 1, 0.3, question, "aliases"))
            joined = "/".join(names[:12])
            examples.append(
                Example(question, made.carry(rng, rng.choice(names)), joined, 1, 0.3, question, "aliases")
            )
        wrong = _near_miss(rng, row["answers"][0], references)
        if wrong.casefold() not in " ".join(row["answers"]).casefold():
            joined = "/".join(names[:12]) if names and rng.random() < 0.5 else row["answers"][0]
            examples.append(Example(question, made.carry(rng, wrong), joined, 0, 0.5, question, "aliases"))
    return examples


def _made(data: Path, rng: random.Random) -> list[Example]:
    rows = list(read(data / "questions/triviaqa.jsonl"))
    answers = [(r["question"], r["answers"][0]) for r in rows if len(r["answers"][0]) < 40]
    people = [(q, a) for q, a in answers if _NAME.match(a) and q.lower().startswith(("who", "which", "what"))]
    titles = [(q, a) for q, a in answers if _TITLE.match(a)]
    sentences = [(row.question, row.a) for row in human(data) if row.label and 4 < len(row.a.split()) < 30]
    choices = []
    for row in read(data / "questions/choice.jsonl"):
        options = dict(_OPTION.findall(row["question"]))
        if len(options) > 2:
            choices.append((row["question"], options))

    neighbours = _neighbours(rows, rng)

    def bound(maker: Any, *arguments: Any) -> Any:
        call = partial(_call, maker, arguments)
        call.__name__ = maker.__name__  # type: ignore[attr-defined]  # names the source of the pairs
        return call

    plan: list[tuple[Any, int, float]] = [
        (made.numbers, 1500, 0.5),
        (made.magnitudes, 1500, 0.5),
        (made.units, 1200, 0.5),
        (made.dates, 1800, 0.5),
        (made.years, 1200, 0.5),
        (bound(made.refusals, answers), 800, 0.5),
        (bound(made.yes_no, answers), 600, 0.5),
        (bound(made.choices, choices), 1000, 0.5),
        (bound(made.lists, answers), 1500, 1.0),
        (bound(made.names, people), 2500, 1.0),
        (bound(made.acronyms, titles), 1200, 0.5),
        (bound(made.spelling, answers), 1500, 0.5),
        (bound(made.others, answers), 2000, 0.5),
        (bound(made.negations, sentences), 2000, 0.5),
        (made.operators, 400, 0.5),
        (bound(made.roles, people), 1500, 1.0),
        (bound(made.neighbours, neighbours), 2500, 1.0),
        (bound(made.reigns, people), 800, 0.5),
    ]
    examples = [e for maker, count, weight in plan for e in made.generate(rng, maker, count, weight)]
    reverse = [
        Example(e.question, e.b, e.a, e.label, e.weight, e.group, e.source)
        for e in examples
        if e.source != "made-dates" and rng.random() < 0.5
    ]
    return examples + reverse


def _neighbours(rows: list[dict[str, Any]], rng: random.Random) -> list[tuple[str, str, str]]:
    """Return pairs of different answers that share a word, with the question of the first."""
    by_word: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for word in set(re.findall(r"[a-z]{3,}", row["answers"][0].lower())) - {"the", "and", "for"}:
            by_word.setdefault(word, []).append(row)
    pairs = []
    for found in by_word.values():
        for first in found[:20]:
            second = rng.choice(found[:20])
            names = {name.casefold() for name in second["answers"]}
            known = {name.casefold() for name in first["answers"]}
            if not any(x in y or y in x for x in names for y in known):
                pairs.append((first["question"], first["answers"][0], second["answers"][0]))
    return pairs


def _call(maker: Any, arguments: tuple[Any, ...], rng: random.Random) -> Any:
    return maker(rng, *arguments)
