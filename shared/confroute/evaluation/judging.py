"""A language model as the judge of answers: in every order, ties allowed, with its own bias reported."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confroute.decision import RouteRequest, Usage, total_usage
from confroute.errors import ConfigurationError
from confroute.evaluation.asking import CachedModel, Reply, ReplyCache, in_threads
from confroute.evaluation.bootstrap import Comparison, Interval, interval_of, p_value
from confroute.evaluation.inference import mean_interval, resampled_means
from confroute.evaluation.judge_prompts import PRESETS, JudgePrompt
from confroute.evaluation.ranking import FloatArray
from confroute.models import Model


@dataclass(frozen=True)
class Judgement:
    """What a judge said.

    Attributes:
        names: Whose answers were judged, k names.
        prompt: How the judge was asked.
        judge: The judge's name.
        quality: Shape [n, k]. For a choice the mean part of the win over all orders, in [0, 1]; for grades
            the grade. NaN where no reply could be read.
        agreement: Of two orders of one question's answers, how often the verdict is the same; None for
            grades, and where answers were shown in one order only.
        kappa: The same corrected for chance (Fleiss); None where `agreement` is, NaN where every verdict was
            the same.
        position_bias: By position from the first: the part of the wins that it got beyond its fair share.
            0 for a judge that does not look at the order; empty for grades.
        ties: Replies that named all answers.
        unread: Replies in which no verdict could be read; they count for nobody.
        asked: Replies, those from the cache included.
        usage: Tokens and money of all replies; unknown money is None.
        spent: The same of replies that were not in the cache.
    """

    names: tuple[str, ...]
    prompt: JudgePrompt
    judge: str
    quality: FloatArray
    agreement: Interval | None
    kappa: float | None
    position_bias: tuple[Interval, ...]
    ties: int
    unread: int
    asked: int
    usage: Usage
    spent: Usage

    def mean(self, name: str) -> Interval:
        """Return a contestant's mean win share or grade, over the questions where it is known."""
        return mean_interval(self.quality[self._known(), self.names.index(name)])

    def difference(self, a: str, b: str) -> Comparison:
        """Compare two contestants on the same questions: a's mean minus b's, with a bootstrap p-value."""
        known = self._known()
        i, j = self.names.index(a), self.names.index(b)
        gaps = self.quality[known, i] - self.quality[known, j]
        draws = resampled_means(gaps[:, None])[:, 0]
        return Comparison(interval_of(float(gaps.mean()), draws, len(gaps)), p_value(draws))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON data, without the judgement of each question."""
        return {
            "judge": self.judge,
            "prompt": self.prompt.name,
            "n": int(self._known().sum()),
            "mean": {name: asdict(self.mean(name)) for name in self.names},
            "agreement": None if self.agreement is None else asdict(self.agreement),
            "kappa": None if self.kappa is None or np.isnan(self.kappa) else self.kappa,
            "position_bias": [asdict(one) for one in self.position_bias],
            "ties": self.ties,
            "unread": self.unread,
            "asked": self.asked,
            "usage": self.usage.model_dump(),
            "spent": self.spent.model_dump(),
        }

    def _known(self) -> Any:
        known = ~np.isnan(self.quality).any(axis=1)
        if not known.any():
            raise ConfigurationError(
                f"none of the {self.asked} replies of {self.judge} held a verdict: use a larger judge, or "
                "another prompt"
            )
        return known


@dataclass(frozen=True, slots=True)
class _Verdict:
    """One reading of one question's answers; positions index the distinct answers in the order shown."""

    question: int
    order: tuple[int, ...]
    named: tuple[int, ...] | None  # distinct answers named
    reply: Reply


def judge(
    questions: Sequence[str],
    answers: Mapping[str, Sequence[str]],
    *,
    model: Model | str,
    prompt: JudgePrompt | str = "choice",
    references: Sequence[str | None] | None = None,
    orders: int | None = None,
    cache: str | Path | None = None,
    prices: Mapping[str, tuple[float, float]] | None = None,
    max_concurrency: int = 8,
    seed: int = 0,
) -> Judgement:
    """Let a language model judge answers.

    A choice shows the judge all answers to a question at once, in a random order and then in its rotations,
    so that each answer stands at each place equally often; with two contestants, in both orders. Equal
    answers are shown once, and a question that all answered alike is a tie that costs nothing. Grades look
    at one answer at a time.

    Replies are greedy and kept in `cache` as they arrive: a run that was stopped goes on where it was.

    Args:
        questions: n questions.
        answers: n answers each, by contestant; two contestants or more for a choice.
        model: The judge: a model, or the string that names one.
        prompt: ``"choice"``, ``"paper"`` (the setting of the paper's Table 2), ``"mt-bench"`` (grades from 1
            to 10), or a `JudgePrompt`.
        references: A right answer for each question, where known.
        orders: Orders in which each question's answers are shown, at most all there are; one for each answer
            if None.
        cache: SQLite file that keeps the replies; in memory if None.
        prices: US dollars per input and output token by model, which go before list prices.
        max_concurrency: Requests under way at once.
        seed: Seed of the orders.

    Raises:
        ConfigurationError: If an argument is not as described.
        ModelError: If the judge fails for good; replies so far are kept.
    """
    asked = PRESETS.get(prompt) if isinstance(prompt, str) else prompt
    if asked is None:
        raise ConfigurationError(f"there is no prompt {prompt!r}: expected one of {', '.join(PRESETS)}")
    _check(questions, answers, asked, references, orders)
    known: list[str | None] = [None] * len(questions) if references is None else list(references)
    with ReplyCache(cache) as kept:
        judge_model = CachedModel(model, kept, prices=prices)
        run = _Run(judge_model, asked, list(questions), answers, known, max_concurrency)
        if asked.kind == "grade":
            return run.grades()
        return run.choices(orders, seed)


class _Run:
    """One judge, one prompt, one set of answers."""

    def __init__(
        self,
        model: CachedModel,
        prompt: JudgePrompt,
        questions: list[str],
        answers: Mapping[str, Sequence[str]],
        references: list[str | None],
        max_concurrency: int,
    ) -> None:
        self.model = model
        self.prompt = prompt
        self.questions = questions
        self.names = tuple(answers)
        self.references = references
        self.max_concurrency = max_concurrency
        columns = [answers[name] for name in self.names]
        self.distinct = [list(dict.fromkeys(c[i] for c in columns)) for i in range(len(questions))]
        self.which = np.array(
            [[self.distinct[i].index(c[i]) for c in columns] for i in range(len(questions))]
        )

    def choices(self, orders: int | None, seed: int) -> Judgement:
        """Show each question's distinct answers in several orders."""
        verdicts = self._ask_all(
            (i, order)
            for i, texts in enumerate(self.distinct)
            if len(texts) > 1
            for order in _orders(len(texts), orders or len(texts), np.random.default_rng([seed, i]))
        )
        by_question: dict[int, list[_Verdict]] = {}
        for verdict in verdicts:
            by_question.setdefault(verdict.question, []).append(verdict)
        # Read in some of its orders only, a question would credit those who stood at the judge's place.
        by_question = {i: one for i, one in by_question.items() if all(v.named is not None for v in one)}
        quality = np.full(self.which.shape, np.nan)
        for i, texts in enumerate(self.distinct):
            if len(texts) == 1:
                quality[i] = 1.0 if self.prompt.each_named_wins else 1 / len(self.names)
            elif i in by_question:
                quality[i] = np.mean([self._credit(verdict) for verdict in by_question[i]], axis=0)
        several = [[self._winners(v) for v in one] for one in by_question.values() if len(one) > 1]
        agreement, kappa = _agreement(several)
        return self._judgement(quality, verdicts, agreement, kappa, _position_bias(by_question))

    def grades(self) -> Judgement:
        """Grade each distinct answer alone."""
        places = [(i, (j,)) for i, texts in enumerate(self.distinct) for j in range(len(texts))]
        verdicts = self._ask_all(iter(places))
        grade_of = {
            (verdict.question, verdict.order[0]): self.prompt.read_grade(verdict.reply.samples[0].text)
            for verdict in verdicts
        }
        quality = np.array(
            [[grade_of[i, int(j)] for j in row] for i, row in enumerate(self.which)], dtype=np.float64
        )
        return self._judgement(quality, verdicts, None, None, ())

    def _winners(self, verdict: _Verdict) -> tuple[bool, ...]:
        return tuple(int(j) in (verdict.named or ()) for j in self.which[verdict.question])

    def _credit(self, verdict: _Verdict) -> FloatArray:
        won = np.array(self._winners(verdict), dtype=np.float64)
        return won if self.prompt.each_named_wins else won / won.sum()

    def _ask_all(self, places: Iterator[tuple[int, tuple[int, ...]]]) -> list[_Verdict]:
        return in_threads(self._ask, places, self.max_concurrency)

    def _ask(self, place: tuple[int, tuple[int, ...]]) -> _Verdict:
        i, order = place
        shown = [self.distinct[i][j] for j in order]
        messages = self.prompt.messages(self.questions[i], shown, self.references[i])
        reply = self.model.ask(
            RouteRequest(messages=messages), temperature=0.0, max_tokens=self.prompt.max_tokens
        )
        named = None
        if self.prompt.kind == "choice":
            positions = self.prompt.read_choice(reply.samples[0].text, len(shown))
            named = tuple(sorted(order[p] for p in positions)) if positions is not None else None
        elif self.prompt.read_grade(reply.samples[0].text) is not None:
            named = order
        return _Verdict(i, order, named, reply)

    def _judgement(
        self,
        quality: FloatArray,
        verdicts: list[_Verdict],
        agreement: Interval | None,
        kappa: float | None,
        position_bias: tuple[Interval, ...],
    ) -> Judgement:
        return Judgement(
            names=self.names,
            prompt=self.prompt,
            judge=self.model.name,
            quality=quality,
            agreement=agreement,
            kappa=kappa,
            position_bias=position_bias,
            ties=sum(v.named is not None and len(v.named) == len(v.order) > 1 for v in verdicts),
            unread=sum(v.named is None for v in verdicts),
            asked=len(verdicts),
            usage=total_usage([v.reply.usage for v in verdicts]),
            spent=self.model.spent,
        )


def _orders(k: int, n_orders: int, rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Yield a random order of k answers and its rotations, then those of another one; no order twice."""
    wanted, shown = min(n_orders, math.factorial(k)), set[tuple[int, ...]]()
    while len(shown) < wanted:
        order = [int(j) for j in rng.permutation(k)]
        if tuple(order) in shown:
            continue
        for r in range(min(k, wanted - len(shown))):
            rotated = (*order[k - r :], *order[: k - r])
            shown.add(rotated)
            yield rotated


def _agreement(verdicts: Sequence[Sequence[tuple[bool, ...]]]) -> tuple[Interval | None, float | None]:
    """Return how often two orders of a question give one verdict, and Fleiss' kappa."""
    if not verdicts:
        return None, None
    same = [float(np.mean([a == b for a, b in itertools.combinations(one, 2)])) for one in verdicts]
    observed = mean_interval(same)
    counts = Counter(verdict for one in verdicts for verdict in one)
    total = counts.total()
    chance = sum((count / total) ** 2 for count in counts.values())
    kappa = (observed.estimate - chance) / (1 - chance) if chance < 1 else float("nan")
    return observed, kappa


def _position_bias(by_question: Mapping[int, Sequence[_Verdict]]) -> tuple[Interval, ...]:
    """Return, for each position, the mean part of the win that it got beyond 1/k.

    Questions with fewer distinct answers than most have no say: their positions are other ones.
    """
    most = max((len(v.order) for one in by_question.values() for v in one), default=0)
    excess = []
    for one in by_question.values():
        full = [verdict for verdict in one if len(verdict.order) == most]
        if full:
            excess.append(np.mean([_by_position(verdict) for verdict in full], axis=0) - 1 / most)
    return tuple(mean_interval(column) for column in np.transpose(excess)) if excess else ()


def _by_position(verdict: _Verdict) -> FloatArray:
    won = np.array([j in (verdict.named or ()) for j in verdict.order], dtype=np.float64)
    part: FloatArray = won / won.sum()
    return part


def _check(
    questions: Sequence[str],
    answers: Mapping[str, Sequence[str]],
    prompt: JudgePrompt,
    references: Sequence[str | None] | None,
    orders: int | None,
) -> None:
    if not len(questions):
        raise ConfigurationError("there are no questions to judge: expected at least one")
    if len(answers) < (2 if prompt.kind == "choice" else 1):
        raise ConfigurationError(
            f"{len(answers)} contestants for the prompt {prompt.name!r}: expected two or more to choose from"
        )
    columns = {**answers, **({"references": references} if references is not None else {})}
    for name, column in columns.items():
        if len(column) != len(questions):
            raise ConfigurationError(
                f"{len(column)} answers of {name!r} to {len(questions)} questions: expected one for each"
            )
    if orders is not None and (orders < 1 or prompt.kind == "grade"):
        raise ConfigurationError(
            f"orders is {orders}: expected at least 1 for a choice, and None for grades, which have no order"
        )
