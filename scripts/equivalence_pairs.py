"""Pairs of answers, labelled by how they were made: what people did not judge, a generator can know."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

WORDS = (  # noqa: SIM905 - words read better as text than as a list
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
MONTHS = (  # noqa: SIM905 - words read better as text than as a list
    "January February March April May June July August September October November December"
).split()
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
CARRIERS = (
    "{}", "{}", "{}", "{}.", "It is {}.", "It's {}", "The answer is {}.", "That would be {}.",
    "I think it is {}.",     "Answer: {}", "**{}**", "\"{}\"", "It was {}.", "The correct answer is {}.",
)  # fmt: skip
REFUSALS = (
    "I don't know.", "I do not know", "I'm not sure.", "I am not sure about that.", "Unknown", "No idea.",
    "I cannot answer that question.", "I'm sorry, but I don't have that information.", "Not sure",
    "There is not enough information to answer.", "As an AI language model, I cannot answer this question.",
    "I don't have access to that information.", "It is unclear.", "I have no idea", "Cannot be determined.",
    "Sorry, I can't help with that.", "I'm unable to answer this question.", "The answer is unknown.",
)  # fmt: skip
YES = (
    "Yes",
    "yes.",
    "Yes, it is.",
    "Yes, that is correct.",
    "Correct.",
    "Yes, it does.",
    "True",
    "Yeah",
    "Indeed.",
)
NO = (
    "No",
    "no.",
    "No, it is not.",
    "No, that is not correct.",
    "Incorrect.",
    "No, it doesn't.",
    "False",
    "Nope",
)
YES_NO_QUESTIONS = (
    "is {} the right answer?",
    "did {} win?",
    "was it {}?",
    "is it true that {} is first?",
    "",
)
UNITS = (
    ("km", ("km", "kilometers", "kilometres"), 1000.0, "m"), ("m", ("m", "meters", "metres"), 100.0, "cm"),
    ("kg", ("kg", "kilograms"), 1000.0, "g"), ("hours", ("hours", "hrs"), 60.0, "minutes"),
    ("minutes", ("minutes", "mins"), 60.0, "seconds"), ("miles", ("miles", "mi"), 1.609344, "km"),
    ("feet", ("feet", "ft"), 12.0, "inches"), ("years", ("years", "yrs"), 12.0, "months"),
    ("days", ("days",), 24.0, "hours"), ("weeks", ("weeks",), 7.0, "days"), ("pounds", ("pounds",
    "lbs"), 16.0, "oz"),
)  # fmt: skip
ANIMALS = (
    "dog", "cat", "man", "boy", "woman", "horse", "girl", "bird", "cow", "wolf", "teacher", "soldier",
)  # fmt: skip
CLAUSES = (
    ("it", "can", "fly"),
    ("the drug", "is", "effective"),
    ("penguins", "can", "swim"),
    ("he", "was", "there"),
    ("the river", "is", "navigable"),
    ("they", "will", "win"),
    ("the law", "was", "passed"),
    ("it", "is", "true"),
    ("whales", "are", "fish"),
    ("the company", "has", "paid"),
    ("water", "does", "boil at 90 degrees"),
    ("she", "could", "swim"),
    ("the plan", "would", "work"),
    ("the virus", "is", "dangerous"),
    ("we", "are", "related"),
)
NEGATABLE = re.compile(r"\b(is|was|are|were|can|could|will|would|has|had|does|did|should)\b(?! not)")


@dataclass(frozen=True, slots=True)
class Example:
    """One judged pair.

    Attributes:
        question: The question, or "".
        a: The premise.
        b: The hypothesis.
        label: 1 where ``a`` entails ``b``.
        weight: How much it counts.
        group: What must not be split between training and test.
        source: Where it is from.
    """

    question: str
    a: str
    b: str
    label: int
    weight: float
    group: str
    source: str


Made = tuple[str, str, str, int]  # question, a, b, label


def spell(n: int) -> str:
    """Return a number below a million in words."""
    if n < 20:
        return WORDS[n]
    if n < 100:
        return TENS[n // 10] + (f"-{WORDS[n % 10]}" if n % 10 else "")
    if n < 1000:
        rest = f" and {spell(n % 100)}" if n % 100 else ""
        return f"{WORDS[n // 100]} hundred{rest}"
    rest = f" {spell(n % 1000)}" if n % 1000 else ""
    return f"{spell(n // 1000)} thousand{rest}"


def ordinal(n: int) -> str:
    """Return ``21st`` for 21."""
    return f"{n}{'th' if 10 <= n % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def carry(rng: random.Random, text: str) -> str:
    """Return an answer that says ``text`` in one of several ways."""
    return rng.choice(CARRIERS).format(text)


def numbers(rng: random.Random) -> Made:
    """Numbers in digits and in words; another number is another answer."""
    n = rng.choice(
        [rng.randint(0, 20), rng.randint(0, 120), rng.randint(100, 99_999), rng.randint(1500, 2030)]
    )
    noun = rng.choice(["", "", " people", " times", " states", " goals", " players", " islands", " chapters"])
    forms = [str(n), f"{n:,}", spell(n), f"{n}.0"] if not noun else [str(n), f"{n:,}", spell(n)]
    other = n
    if rng.random() < 0.5:
        other = rng.choice([n + 1, abs(n - 1), n + 10, n * 10 + 10, rng.randint(0, 99_999)])
    second = rng.choice([str(other), f"{other:,}", spell(other)])
    question = rng.choice(["how many are there", f"how many{noun} were there", "what is the total", ""])
    first = rng.choice(forms)
    drop = rng.random() < 0.5
    return (
        question,
        carry(rng, f"{first}{noun}"),
        carry(rng, second if drop else f"{second}{noun}"),
        int(n == other),
    )


def magnitudes(rng: random.Random) -> Made:
    """Millions, percentages and money in different forms."""
    kind = rng.randrange(4)
    if kind == 0:
        x = rng.choice([rng.randint(1, 900), round(rng.uniform(1, 90), 1)])
        scale, factor = rng.choice([("million", 10**6), ("billion", 10**9), ("thousand", 1000)])
        forms = [f"{x} {scale}", f"{round(x * factor):,}", f"{round(x * factor)}"]
        wrong = [
            f"{x} {'million' if scale != 'million' else 'billion'}",
            f"{round(x * factor * 10):,}",
            f"{x + 1} {scale}",
        ]
    elif kind == 1:
        x = rng.randint(1, 100)
        forms = [f"{x}%", f"{x} percent", f"{spell(x)} percent", f"{x} per cent"]
        wrong = [f"{x + rng.randint(1, 9)}%", f"{abs(x - 5)} percent", f"{x * 10}%"]
    elif kind == 2:
        x = rng.randint(1, 5000)
        forms = [f"${x}", f"{x} dollars", f"${x:,}", f"${x}.00"]
        wrong = [f"€{x}", f"${x + 5}", f"${x * 10}", f"{x + 1} dollars"]
    else:
        top, bottom = rng.choice([(1, 2), (1, 4), (3, 4), (1, 5), (1, 10)])
        share = 100 * top // bottom
        forms = [f"{top}/{bottom}", f"{share}%", f"{share} percent", f"{top / bottom}"]
        wrong = [f"{share + 5}%", f"{top}/{bottom + 1}", f"{top / bottom / 10}"]
    same = rng.random() < 0.5
    first, second = rng.choice(forms), rng.choice(forms if same else wrong)
    question = rng.choice(
        ["how much is it", "what share is it", "how many people live there", "what was the budget", ""]
    )
    return question, carry(rng, first), carry(rng, second), int(same)


def units(rng: random.Random) -> Made:
    """Lengths, weights and times in different units."""
    _, names, factor, small = rng.choice(UNITS)
    x = rng.choice([rng.randint(1, 40), rng.randint(1, 2000)])
    exact = x * factor
    converted = f"{exact:.2f}".rstrip("0").rstrip(".")
    forms = [f"{x} {name}" for name in names] + [f"{converted} {small}"]
    if x < 100:
        forms.append(f"{spell(x)} {names[-1]}")
    other_unit = rng.choice([u for u in ("km", "kg", "hours", "miles", "feet", "days") if u not in names])
    wrong = [
        f"{x + rng.randint(1, 9)} {names[0]}",
        f"{x} {other_unit}",
        f"{x * 10} {names[0]}",
        f"{x} {small}",
    ]
    same = rng.random() < 0.55
    about = rng.choice(["", "", "", "about ", "approximately "])
    question = rng.choice(["how long is it", "how far is it", "how heavy is it", "what is its size", ""])
    return (
        question,
        carry(rng, rng.choice(forms)),
        carry(rng, about + rng.choice(forms if same else wrong)),
        int(same),
    )


def dates(rng: random.Random) -> Made:
    """Days in several notations, days against their month or year, and near misses."""
    day = date(1400, 1, 1) + timedelta(days=rng.randint(0, 228_000))

    def forms(d: date) -> list[str]:
        month = MONTHS[d.month - 1]
        return [
            f"{d.day} {month} {d.year}", f"{month} {d.day}, {d.year}", d.isoformat(),
            f"{ordinal(d.day)} of {month} {d.year}",
            f"{month[:3]} {d.day}, {d.year}", f"the {ordinal(d.day)} of {month}, {d.year}",
            f"{d.day} {month[:3]} {d.year}",
        ]  # fmt: skip

    kind = rng.random()
    question = rng.choice(
        ["when was it", "when did it happen", "what date was it released", "when was he born", ""]
    )
    if kind < 0.4:
        return question, carry(rng, rng.choice(forms(day))), carry(rng, rng.choice(forms(day))), 1
    if kind < 0.7:
        other = rng.choice([
            day + timedelta(days=rng.choice([-1, 1, 2, 10, 30])),
            day.replace(day=min(day.day, 28), year=day.year + rng.choice([-1, 1, 10])),
            day.replace(day=min(day.day, 28), month=day.month % 12 + 1),
        ])  # fmt: skip
        return question, carry(rng, rng.choice(forms(day))), carry(rng, rng.choice(forms(other))), 0
    year = day.year if rng.random() < 0.5 else day.year + rng.choice([-1, 1, -10, 2])
    month = MONTHS[day.month - 1]
    coarse = rng.choice([f"{year}", f"in {year}", f"{month} {year}", f"{month} of {year}"])
    return question, carry(rng, rng.choice(forms(day))), carry(rng, coarse), int(year == day.year)


def years(rng: random.Random) -> Made:
    """Years, alone and in a sentence."""
    year = rng.randint(1400, 2025)
    other = year if rng.random() < 0.5 else year + rng.choice([-1, 1, 1, -2, 10, -10, 100, 5])
    if rng.random() < 0.15:
        decade, number = year // 10 * 10, rng.randint(2, 21)
        pair = rng.choice([
            (f"{decade}s", f"the {decade}s", 1), (f"{decade}s", f"{decade}", 0), (f"{decade}s",
            f"in the {decade}s", 1),
            (f"the {decade}s", f"the {decade + 10}s", 0), (f"{ordinal(number)} century",
            f"the {ordinal(number)} century", 1),
            (f"{ordinal(number)} century", f"{ordinal(number - 1)} century", 0),
        ])  # fmt: skip
        return (
            rng.choice(["when was it", "which period", ""]),
            carry(rng, pair[0]),
            carry(rng, pair[1]),
            pair[2],
        )
    event = rng.choice(
        ["The war ended", "It was founded", "The album was released", "He was born", "The treaty was signed"]
    )
    forms = [
        f"{event} in {year}.",
        f"in {year}",
        f"{year}",
        f"It was in {year}.",
        f"{event} in the year {year}.",
    ]
    question = rng.choice(["when did the war end", "when was it founded", "what year was it released", ""])
    return (
        question,
        rng.choice(forms),
        rng.choice([f"{other}", f"{other}.", f"in {other}", f"{event} in {other}."]),
        int(year == other),
    )


def refusals(rng: random.Random, answers: Sequence[tuple[str, str]]) -> Made:
    """Refusals mean one thing, and no answer."""
    question, answer = rng.choice(answers)
    if rng.random() < 0.4:
        return question, rng.choice(REFUSALS), rng.choice(REFUSALS), 1
    pair = [carry(rng, answer), rng.choice(REFUSALS)]
    rng.shuffle(pair)
    return question, pair[0], pair[1], 0


def yes_no(rng: random.Random, answers: Sequence[tuple[str, str]]) -> Made:
    """*Yes* and *no*, bare and with a sentence."""
    _, name = rng.choice(answers)
    question = rng.choice(YES_NO_QUESTIONS).format(name)
    first, second = rng.choice([(YES, YES), (NO, NO), (YES, NO), (NO, YES)])
    a, b = rng.choice(first), rng.choice(second)
    if rng.random() < 0.4:
        a += " " + rng.choice(
            ["It is well documented.", f"{name} is known for it.", "That happened long ago."]
        )
    return question, a, b, int(first is second)


def choices(rng: random.Random, questions: Sequence[tuple[str, dict[str, str]]]) -> Made:
    """Letters with and without the text of their option."""
    question, options = rng.choice(questions)
    first = rng.choice(sorted(options))
    second = first if rng.random() < 0.5 else rng.choice([x for x in sorted(options) if x != first])

    def form(letter: str) -> str:
        text = options[letter]
        return rng.choice([
            letter, f"{letter}.", f"({letter})", f"{letter}. {text}", f"{letter}) {text}", text,
            f"The answer is {letter}.",
            f"The correct answer is {letter}. {text}", f"{text}.", f"The answer is {text}.",
            f"Option {letter}",
        ])  # fmt: skip

    return question, form(first), form(second), int(first == second)


def lists(rng: random.Random, answers: Sequence[tuple[str, str]]) -> Made:
    """Lists in another order, and lists with one item changed or missing."""
    items = [answer for _, answer in rng.sample(answers, rng.randint(2, 5))]

    def write(parts: Sequence[str]) -> str:
        style = rng.randrange(4)
        if style == 0:
            return ", ".join(parts)
        if style == 1:
            return ", ".join(parts[:-1]) + f" and {parts[-1]}"
        if style == 2:
            return "\n".join(f"- {part}" for part in parts)
        return ", ".join(parts[:-1]) + f", and {parts[-1]}."

    other = list(items)
    rng.shuffle(other)
    label = 1
    if rng.random() < 0.5:
        label = 0
        if rng.random() < 0.5 or len(other) == 2:
            other[rng.randrange(len(other))] = rng.choice(answers)[1]
        else:
            other.pop()
    question = rng.choice(
        ["what are they", "which ones are there", "name all of them", "who are the members", ""]
    )
    return question, write(items), write(other), label


def names(rng: random.Random, people: Sequence[tuple[str, str]]) -> Made:
    """People by full name, initials and last name; another person with the same last name."""
    question, name = rng.choice(people)
    parts = name.split()
    kind = rng.random()
    if kind < 0.2:
        return question, name, carry(rng, parts[-1]), 1
    if kind < 0.5:
        short = rng.choice([
            " ".join([*(f"{p[0]}." for p in parts[:-1]), parts[-1]]),
            "".join(f"{p[0]}." for p in parts[:-1]) + f" {parts[-1]}",
            "".join(p[0] for p in parts[:-1]) + f" {parts[-1]}",
            f"{parts[-1]}, {' '.join(parts[:-1])}", name.upper(), name.lower(),
            f"{parts[0]} {rng.choice('ABCDEFHJLMRSTW')}. {' '.join(parts[1:])}", f"Dr. {name}", f"Sir {name}",
        ])  # fmt: skip
        pair = [name, carry(rng, short)]
        rng.shuffle(pair)
        return question, pair[0], pair[1], 1
    other = rng.choice(people)[1].split()
    if kind < 0.75 and other[0][0] != parts[0][0]:
        wrong = f"{other[0]} {parts[-1]}"
        if rng.random() < 0.3:
            wrong = f"{other[0][0]}. {parts[-1]}"
    elif other[-1] != parts[-1]:
        wrong = f"{parts[0]} {other[-1]}"
    else:
        return question, name, carry(rng, name), 1
    return question, carry(rng, name), carry(rng, wrong), 0


def acronyms(rng: random.Random, phrases: Sequence[tuple[str, str]]) -> Made:
    """Initials of a longer name, and of another one."""
    question, phrase = rng.choice(phrases)

    def initials(text: str) -> str:
        words = [
            w
            for w in re.findall(r"[A-Za-z][\w'-]*", text)
            if w.lower() not in {"of", "the", "and", "for", "in"}
        ]
        short = "".join(w[0].upper() for w in words)
        return rng.choice([short, short, ".".join(short) + ".", f"the {short}"])

    first = initials(phrase)
    other = initials(rng.choice(phrases)[1])
    same = rng.random() < 0.55 or other == first
    pair = [carry(rng, phrase), first if same else other]
    rng.shuffle(pair)
    return question, pair[0], pair[1], int(same)


def spelling(rng: random.Random, answers: Sequence[tuple[str, str]]) -> Made:
    """Case, articles, punctuation, brackets and single typing errors do not change an answer."""
    question, answer = rng.choice(answers)
    kind = rng.randrange(6)
    form = answer
    if kind == 0:
        form = answer.upper() if rng.random() < 0.5 else answer.lower()
    elif kind == 1:
        form = f"the {answer}"
    elif kind == 2:
        form = f"{answer} ({rng.choice(['film', 'band', 'song', 'city', '1984', 'actor'])})"
    elif kind == 3 and len(answer) > 7 and answer.isalpha():
        i = rng.randrange(2, len(answer) - 2)
        form = answer[:i] + rng.choice([answer[i + 1] + answer[i] + answer[i + 2 :], answer[i + 1 :]])
    elif kind == 4:
        form = f'"{answer}"'
    return question, carry(rng, answer), carry(rng, form), 1


def neighbours(rng: random.Random, pairs: Sequence[tuple[str, str, str]]) -> Made:
    """Different answers that share a word, such as two teams of one city."""
    question, first, second = rng.choice(pairs)
    pair = [carry(rng, first), carry(rng, second)]
    rng.shuffle(pair)
    return question, pair[0], pair[1], 0


def reigns(rng: random.Random, people: Sequence[tuple[str, str]]) -> Made:
    """Rulers, wars and films with their number in Roman, Arabic and spelled form."""
    _, person = rng.choice(people)
    name = rng.choice(
        [person.split()[0], "World War", f"{person.split()[-1]} Part", "Henry", "Louis", "Rocky"]
    )
    first = rng.randint(1, len(ROMAN))
    second = first if rng.random() < 0.5 else rng.choice([n for n in range(1, len(ROMAN) + 1) if n != first])

    def form(n: int) -> str:
        return f"{name} {rng.choice([ROMAN[n - 1], ROMAN[n - 1], str(n), 'the ' + ordinal(n)])}"

    return (
        rng.choice(["who was king", "which one", ""]),
        carry(rng, form(first)),
        carry(rng, form(second)),
        int(first == second),
    )


def others(rng: random.Random, answers: Sequence[tuple[str, str]]) -> Made:
    """Two different answers in like sentences."""
    (question, first), (_, second) = rng.sample(answers, 2)
    same = first.casefold() in second.casefold() or second.casefold() in first.casefold()
    return question, carry(rng, first), carry(rng, second), int(same)


def negations(rng: random.Random, sentences: Sequence[tuple[str, str]]) -> Made | None:
    """A sentence and its negation, or its contraction."""
    question, sentence = rng.choice(sentences)
    if rng.random() < 0.35:
        subject, verb, rest = rng.choice(CLAUSES)
        if rng.random() < 0.5:
            subject = f"the {rng.choice(ANIMALS)}"
        question, sentence = rng.choice(["", "what about it"]), f"{subject.capitalize()} {verb} {rest}."
        if rng.random() < 0.3:
            return question, sentence, sentence.replace(f" {verb} ", f" {verb} never "), 0
    match = NEGATABLE.search(sentence)
    if match is None:
        return None
    negated = sentence[: match.end()] + " not" + sentence[match.end() :]
    if rng.random() < 0.35:
        end = "'t" if match[0] == "can" else "n't"
        contracted = sentence[: match.end()] + end + sentence[match.end() :]
        return question if rng.random() < 0.7 else "", negated, contracted, 1
    pair = [sentence, negated]
    rng.shuffle(pair)
    return question if rng.random() < 0.7 else "", pair[0], pair[1], 0


def operators(rng: random.Random) -> Made:
    """Formulas: spaces do not matter, signs do."""
    x, y = rng.choice("abnxyk"), rng.choice(["1", "2", "3", "b", "m", "n"])
    sign, wrong = rng.sample(["+", "-", "*", "/", "^"], 2)
    n = rng.randint(2, 9)
    first = f"{n}{x} {sign} {y}"
    second = f"{n}{x}{sign}{y}" if rng.random() < 0.5 else first
    if rng.random() < 0.5:
        return rng.choice(["what is the result", ""]), first, carry(rng, second), 1
    return rng.choice(["what is the result", ""]), first, carry(rng, second.replace(sign, wrong)), 0


def roles(rng: random.Random, people: Sequence[tuple[str, str]]) -> Made:
    """Who did what to whom: exchanging both names changes the meaning."""
    (_, first), (_, second) = rng.sample(people, 2)
    verb, passive = rng.choice([
        ("defeated", "was defeated by"), ("married", ""), ("succeeded", "was succeeded by"), ("taught",
        "was taught by"),
        ("is taller than", ""), ("was born before", ""), ("killed", "was killed by"),
    ])  # fmt: skip
    if rng.random() < 0.4:
        first, second = first.split()[-1], second.split()[-1]
    elif rng.random() < 0.3:
        first, second = (f"the {word}" for word in rng.sample(ANIMALS, 2))
        verb, passive = rng.choice(
            [("bit", "was bitten by"), ("chased", "was chased by"), ("followed", "was followed by")]
        )
    sentence = f"{first} {verb} {second}."
    if passive and rng.random() < 0.5:
        return "", sentence, f"{second} {passive} {first}.", 1
    return "", sentence, f"{second} {verb} {first}.", int(verb == "married")


def generate(
    rng: random.Random, maker: Callable[[random.Random], Made | None], count: int, weight: float
) -> list[Example]:
    """Return up to ``count`` pairs of one kind, both ways round where the label does not depend on it."""
    made = []
    for i in range(count):
        found = maker(rng)
        if found is None:
            continue
        question, a, b, label = found
        name = getattr(maker, "__name__", "made")
        made.append(Example(question, a, b, label, weight, f"made-{name}-{i}", f"made-{name}"))
    return made
