"""Two live models on a file of questions: every answer is asked for once, kept, and found right or wrong."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confroute.decision import Decided, RouteRequest, Sample
from confroute.errors import ConfigurationError, ModelError
from confroute.evaluation.asking import CachedModel, Reply, ReplyCache, in_threads
from confroute.evaluation.judging import Judgement, judge
from confroute.evaluation.outcomes import Outcomes
from confroute.evaluation.ranking import FloatArray
from confroute.evaluation.tables import SETTLED_EARLY, read_rows, texts
from confroute.labelling.correct import RULE, is_right
from confroute.models import Model
from confroute.routers._verdict import ScoringRouter, drawing_all, threshold_of

Prices = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its right answers, if known."""

    text: str
    gold: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """What two models and a router did on a file of questions.

    Attributes:
        outcomes: Both models' answers, judged, with money and seconds where known.
        scores: The router's scores, shape [n].
        drafts: Whether the router's draft is the edge's reply, so that it is paid for on every question.
        threshold: The router's own threshold; None where no number stands without its traffic.
        judgement: The judge's, where one judged.
    """

    outcomes: Outcomes
    scores: FloatArray
    drafts: bool
    threshold: float | None
    judgement: Judgement | None


@dataclass(frozen=True, slots=True)
class _Ran:
    """One question: the router's score, both answers, and how long each took."""

    decided: Decided
    edge: Sample
    edge_seconds: float
    cloud: Reply
    deciding_seconds: float


class _Meter:
    """Another model for one decision, with the seconds that its replies took when they were asked for."""

    def __init__(self, model: CachedModel) -> None:
        self._model = model
        self.seconds = 0.0

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        reply = self._model.ask(request, n, **settings)
        self.seconds += reply.seconds
        return reply.samples

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers in a thread; see `confroute.decision.Sampler`."""
        return await asyncio.to_thread(self.sample, request, n, **settings)


def read_questions(path: str | Path) -> list[Question]:
    """Read questions: a table with ``question`` and, where known, ``answers`` (a list, or one text).

    Raises:
        ConfigurationError: If the file is absent or a row is not as described.
    """
    path = Path(path)
    rows = read_rows(path)
    questions = texts(rows, "question", path.name)
    found = []
    for number, (row, text) in enumerate(zip(rows, questions, strict=True), start=1):
        gold = row.get("answers") or ()
        gold = (gold,) if isinstance(gold, (str, int, float)) else gold
        if not isinstance(gold, (list, tuple)):
            raise ConfigurationError(
                f"{path.name}, row {number}: 'answers' is {gold!r}, expected a text or a list of texts"
            )
        found.append(Question(text, tuple(str(one) for one in gold)))
    return found


def evaluate_live(
    questions: Sequence[Question],
    *,
    edge: Model | str,
    cloud: Model | str,
    router: ScoringRouter,
    judge_model: Model | str | None = None,
    name: str = "questions",
    cache: str | Path | None = None,
    prices: Prices | None = None,
    max_tokens: int | None = None,
    max_concurrency: int = 4,
) -> Live:
    """Ask both models every question, and the router what it would have done.

    Replies are greedy and kept in `cache` as they arrive: a run that was stopped goes on where it was. An
    answer is right or wrong by the gold answers; without them a judge grades it from 1 to 10.

    Args:
        questions: The questions.
        edge: The edge model, or the string that names it.
        cloud: The same of the cloud.
        router: The router; what it draws from the edge is counted as money spent to decide.
        judge_model: Grades the answers by MT-Bench's prompt; needed where gold answers are missing.
        name: What the questions are.
        cache: SQLite file that keeps replies; in memory if None.
        prices: US dollars per input and output token by model, which go before list prices.
        max_tokens: Longest answer; the models' own limits by default.
        max_concurrency: Questions under way at once.

    Raises:
        ConfigurationError: If gold answers are missing and there is no judge.
        ModelError: If a model fails for good; what was received is kept.
    """
    if not questions:
        raise ConfigurationError("there are no questions: expected at least one")
    missing = sum(not question.gold for question in questions)
    if missing and judge_model is None:
        raise ConfigurationError(
            f"{missing} of {len(questions)} questions have no 'answers': give them, or a judge model that "
            "grades answers"
        )
    asking = drawing_all(router)
    with ReplyCache(cache) as kept:
        weak, strong = (CachedModel(model, kept, prices=prices) for model in (edge, cloud))

        def run(question: Question) -> _Ran:
            request = RouteRequest.from_text(question.text)
            meter = _Meter(weak)
            decided = asking.decide(request, meter)
            settings: dict[str, Any] = {"temperature": 0.0, "max_tokens": max_tokens}
            reply = strong.ask(request, **settings)
            if decided.draft is not None:
                return _Ran(decided, decided.draft, meter.seconds, reply, 0.0)
            own = weak.ask(request, logprobs=True, **settings)
            return _Ran(decided, own.samples[0], own.seconds, reply, meter.seconds)

        ran = in_threads(run, questions, max_concurrency)
    answers = {
        "edge": [one.edge.text for one in ran],
        "cloud": [one.cloud.samples[0].text for one in ran],
    }
    judgement = None
    if judge_model is not None:
        judgement = judge(
            [question.text for question in questions],
            answers,
            model=judge_model,
            prompt="mt-bench",
            references=[question.gold[0] if question.gold else None for question in questions],
            cache=cache,
            prices=prices,
            max_concurrency=max_concurrency,
        )
    return _live(questions, ran, answers, judgement, router, name, (weak.name, strong.name))


def _live(
    questions: Sequence[Question],
    ran: Sequence[_Ran],
    answers: Mapping[str, Sequence[str]],
    judgement: Judgement | None,
    router: ScoringRouter,
    name: str,
    models: tuple[str, str],
) -> Live:
    notes = []
    if judgement is None:
        quality = np.array(
            [
                [bool(is_right(answers[role][i], question.gold, question.text)) for role in ("edge", "cloud")]
                for i, question in enumerate(questions)
            ],
            dtype=np.float64,
        )
        notes.append(f"An answer is right or wrong by comparison with gold answers (rule {RULE}).")
    else:
        quality = judgement.quality
        notes.append(f"Quality is a grade from 1 to 10 by {judgement.judge}, which errs as any judge does.")
    known: list[int] = np.flatnonzero(~np.isnan(quality).any(axis=1)).tolist()
    if not known:
        raise ModelError(f"none of the judge's {len(questions)} pairs of grades could be read: use another")
    if len(known) < len(questions):
        notes.append(f"{len(questions) - len(known)} questions without a readable grade are left out.")
    known, scale = _comparable(ran, known, notes)
    rows = [ran[i] for i in known]
    scores = [one.decided.decision.score for one in rows]
    if any(score is None for score in scores):
        raise ConfigurationError("the router gave decisions without a score: expected one that scores")
    outcomes = Outcomes(
        name=name,
        questions=tuple(questions[i].text for i in known),
        edge_quality=quality[known, 0],
        cloud_quality=quality[known, 1],
        edge_cost=_all_known([one.edge.usage.usd if one.edge.usage else None for one in rows]),
        cloud_cost=_all_known([one.cloud.usage.usd for one in rows]),
        decision_cost=_all_known([one.decided.decision.usage.usd for one in rows]),
        edge_seconds=np.array([one.edge_seconds for one in rows]),
        cloud_seconds=np.array([one.cloud.seconds for one in rows]),
        decision_seconds=np.array([one.deciding_seconds for one in rows]),
        edge_logprob=_all_known([one.edge.mean_logprob for one in rows]),
        edge=models[0],
        cloud=models[1],
        notes=tuple(notes),
    )
    drafts = any(one.decided.draft is not None for one in rows)
    return Live(outcomes, np.array(scores, dtype=np.float64), drafts, _standing(router, scale), judgement)


def _standing(router: ScoringRouter, scale: str) -> float | None:
    """Return the threshold that a router has for a scale; None where its traffic sets it."""
    standing = threshold_of(router, scale)
    return None if math.isnan(standing) else standing


def _comparable(ran: Sequence[_Ran], known: Sequence[int], notes: list[str]) -> tuple[list[int], str]:
    """Return the rows whose scores make one curve, and their scale; a score that is a bound makes none."""
    whole = [i for i in known if not ran[i].decided.decision.settled_early]
    if len(whole) < len(known):
        notes.append(f"{len(known) - len(whole)} questions are left out: {SETTLED_EARLY}.")
    routers = {i: ran[i].decided.decision.router for i in whole}
    scales = Counter("" if router is None else router.name for router in routers.values())
    if not scales:
        raise ConfigurationError("no score is left to evaluate: expected a router that draws all its samples")
    ((scale, count),) = scales.most_common(1)
    if len(scales) > 1:
        told = ", ".join(f"{n} of {name}" for name, n in scales.most_common())
        notes.append(
            f"Scores of different scales make no one curve ({told}): {len(whole) - count} questions are left "
            f"out, and the figures are those of {scale}."
        )
    return [i for i, router in routers.items() if ("" if router is None else router.name) == scale], scale


def _all_known(values: Sequence[float | None]) -> FloatArray | None:
    known = [value for value in values if value is not None]
    return np.array(known) if len(known) == len(values) else None
