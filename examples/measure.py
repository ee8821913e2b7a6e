"""Measure an example app on its own questions: the edge alone, the cloud alone, routed.

    python -m examples.measure langchain --out FOLDER [--edge ... --cloud ...]

Two passes, row by row, so that a run that was stopped goes on where it was. The first draws all samples of
every look (`ConfidenceRouter.drawing_all`), so that each score is a score and not a bound. The second
takes the time, with early stopping, at the threshold that gives the asked share of cloud calls on the *other*
half of the questions. In each of its steps every way is asked a different question, so that neither drift nor
the server's prompt cache favours one of them.

Writes scores.jsonl, times.jsonl, and the report of ``confroute evaluate`` beside outcomes.jsonl.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

import confroute
from confroute import CloudShare, ConfidenceRouter, EntropyRouter
from confroute.decision import Decided, RouteRequest, Sample, Sampler
from confroute.errors import ConfRouteError
from confroute.evaluation import Signal, evaluate, read_outcomes, write_report
from confroute.labelling.correct import is_right
from confroute.routers.confidence import ConfidenceEvidence
from confroute.routers.probing import Probe
from confroute.uncertainty import is_refusal
from examples.apps import FRAMEWORKS, app_of
from examples.measured import Row, told
from examples.options import CORPUS, Options, options
from examples.page.turn import RagApp, Turn

QUESTIONS = CORPUS.parent / "questions.jsonl"
CITATION = re.compile(r"\[\d+\]")  # no part of what was answered


@dataclass(frozen=True, slots=True)
class Way:
    """A way of routing.

    Attributes:
        column: Where its score is kept.
        probe: How the edge is looked at.
        logprobs: Whether the edge is let to tell its log-probabilities.
        of: The router.
    """

    column: str
    probe: Probe = "brief"
    logprobs: bool = True
    of: type[ConfidenceRouter] | type[EntropyRouter] = ConfidenceRouter

    def router(self, n: int, threshold: float | None = None) -> ConfidenceRouter | EntropyRouter:
        """Make the router: with `n` further answers at most, or as many samples as the first and these."""
        if self.of is ConfidenceRouter:
            return ConfidenceRouter(n_samples=n, probe=self.probe, threshold=threshold)
        return EntropyRouter(
            n_samples=n + 1, probe=self.probe, threshold=0.5 if threshold is None else threshold
        )


ROUTED = {
    "brief": Way("score"),
    "brief, no log-probs": Way("score_agreement", logprobs=False),
    "entropy": Way("score_entropy", of=EntropyRouter),
    "full": Way("score_full", probe="full"),
}


@dataclass(frozen=True, slots=True)
class WithoutLogprobs:
    """A sampler of a model that tells no log-probabilities."""

    inner: Sampler

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        return self.inner.sample(request, n, **{**settings, "logprobs": False})

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        return await self.inner.asample(request, n, **{**settings, "logprobs": False})


class Observed:
    """Hands each question to the router of the moment, and keeps what that saw.

    Attributes:
        router: The router of the moment.
        tells_logprobs: Whether the edge is let to tell its log-probabilities.
        decided: What came of the last question; None where there was none since that was taken.
    """

    def __init__(self, router: ConfidenceRouter | EntropyRouter) -> None:
        self.router = router
        self.tells_logprobs = True
        self.decided: Decided | None = None

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Decide who answers."""
        self.decided = self.router.decide(request, self._handle(sampler))
        return self.decided

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Decide who answers."""
        self.decided = await self.router.adecide(request, self._handle(sampler))
        return self.decided

    def taken(self) -> Decided | None:
        """Return what came of the last question and forget it; None where the router was not asked."""
        decided, self.decided = self.decided, None
        return decided

    def _handle(self, sampler: Sampler | None) -> Sampler | None:
        return sampler if sampler is None or self.tells_logprobs else WithoutLogprobs(sampler)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, answered by one way of asking."""

    turn: Turn
    right: bool
    seconds: float
    first: float
    usd: float | None

    @property
    def decision(self) -> dict[str, Any]:
        """The decision as plain data."""
        return self.turn.decision or {}


def ask(app: RagApp, row: Row, *, private: bool = False) -> Asked:
    """Ask one question.

    Raises:
        ConfRouteError: If the model that should have answered did not.
    """
    start, before = time.perf_counter(), app.stats.usd
    turn, first = Turn(), None
    for turn in app.ask(row["question"], threshold=None, private=private):
        if first is None and turn.answer:
            first = time.perf_counter() - start
    seconds = time.perf_counter() - start
    decision = turn.decision or {}
    if decision["fallback_from"]:
        raise ConfRouteError(f"{row['question']}: {decision['reason']}")
    after = app.stats.usd
    answer = CITATION.sub("", turn.answer)
    is_unknown = row["kind"] == "unknown"
    right = is_refusal(answer, row["question"]) if is_unknown else bool(is_right(answer, row["answers"]))
    usd = None if after is None or before is None else after - before
    return Asked(turn, right, seconds, seconds if first is None else first, usd)


def looked(app: RagApp, observed: Observed, row: Row, way: str, n: int) -> tuple[Asked, Decided | None]:
    """Ask the edge with all samples drawn; without a look where nothing was retrieved."""
    observed.router = ROUTED[way].router(n).drawing_all()
    asked = ask(app, row)
    decided = observed.taken()
    return (ask(app, row, private=True) if decided is None else asked), decided


def scores_of(decided: Decided | None) -> dict[str, Any]:
    """Return the score by the router's rule, by agreement alone, and by probability and agreement."""
    if decided is None:  # nothing retrieved: to the cloud
        return {"rule": 1.0, "agreement": 1.0, "product": 1.0, "scale": None}
    evidence, decision = decided.evidence, decided.decision
    assert isinstance(evidence, ConfidenceEvidence)  # noqa: S101 - what a ConfidenceRouter hands out
    assert decision.router is not None and not decision.settled_early  # noqa: S101, PT018 - all was drawn
    doubt, logprob = 1.0, evidence.answer.mean_logprob
    if logprob is not None:
        doubt = 1 - math.exp(min(logprob, 0.0))
    agreed = float(np.mean(evidence.agreement)) if evidence.agreement else 0.0
    is_usable = evidence.problem is None
    return {
        "rule": decision.score,
        "agreement": 1 - agreed if is_usable else 1.0,
        "product": doubt * (1 - agreed) if is_usable else 1.0,
        "scale": decision.router.name,
        "tokens": evidence.answer.n_tokens,
        "probability": 1 - doubt,
        "problem": evidence.problem,
    }


def scored(app: RagApp, observed: Observed, row: Row, n: int) -> Row:
    """Ask one question in every way that a score needs."""
    observed.tells_logprobs = True
    edge, brief = looked(app, observed, row, "brief", n)
    full_edge, full = looked(app, observed, row, "full", n) if brief is not None else (edge, None)
    entropy = looked(app, observed, row, "entropy", n)[1] if brief is not None else None
    with confroute.control(route="cloud"):
        cloud = ask(app, row)
    of_brief, of_full = scores_of(brief), scores_of(full)
    return {
        "question": row["question"],
        "topic": row["kind"],
        "score": of_brief["rule"],
        "score_agreement": of_brief["agreement"],
        "score_entropy": 1.0 if entropy is None else entropy.decision.score,
        "score_full": of_full["rule"],
        "score_full_product": of_full["product"],
        "edge_quality": float(edge.right),
        "full_quality": float(full_edge.right),
        "cloud_quality": float(cloud.right),
        "edge_answer": edge.turn.answer,
        "cloud_answer": cloud.turn.answer,
        "brief": of_brief,
        "full": of_full,
    }


def timed(app: RagApp, observed: Observed, row: Row, way: str, n: int, threshold: float | None) -> Row:
    """Ask one question in one way and take the time."""
    if threshold is not None:
        observed.router = ROUTED[way].router(n, threshold)
        observed.tells_logprobs = ROUTED[way].logprobs
    asked = ask(app, row, private=threshold is None)
    decision = asked.decision
    is_draft = way == "full" and decision["n_samples"] > 0
    return {
        "way": way,
        "question": row["question"],
        "seconds": asked.seconds,
        "first": asked.first,
        "usd": asked.usd,
        "right": float(asked.right),
        "route": decision["route"],
        "method": decision["method"],
        "calls": decision["n_samples"] + (decision["route"] == "edge" and not is_draft),
        "threshold": threshold,
        "reason": decision["reason"],
    }


def thresholds(rows: Sequence[Row], share: float) -> dict[tuple[str, str], float]:
    """Return for each way of routing and question the threshold of the other half of the questions."""
    found: dict[tuple[str, str], float] = {}
    for name, way in ROUTED.items():
        for half in (0, 1):
            others = [row[way.column] for row in rows[1 - half :: 2]]
            cut = CloudShare(share, warm_start=others).at(way.column, 0.5)
            found |= {(name, row["question"]): cut for row in rows[half::2]}
    return found


def steps(questions: Sequence[Row], n_full: int) -> Iterator[tuple[Row, str]]:
    """Return what is timed in which order: in each step every way, each with a question of its own."""
    n = len(questions)
    ways = ("edge", *ROUTED)
    for i in range(n):
        for k, way in enumerate(ways):
            at = (i + k * n // len(ways)) % n
            if way != "full" or at < n_full:
                yield questions[at], way


class Kept:
    """Rows in a JSONL file, which are there again when a run goes on."""

    def __init__(self, path: Path) -> None:
        self.rows: list[Row] = (
            [json.loads(line) for line in path.open(encoding="utf-8")] if path.exists() else []
        )
        self._path = path

    def add(self, row: Row) -> None:
        """Keep a row."""
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_outcomes(rows: Sequence[Row], out: Path) -> Path:
    """Write what ``confroute evaluate`` reads."""
    path = out / "outcomes.jsonl"
    columns = ("question", "topic", "edge_quality", "cloud_quality")
    kept = [{k: v for k, v in row.items() if k in columns or k.startswith("score")} for row in rows]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")
    return path


@click.command()
@click.argument("framework", type=click.Choice(FRAMEWORKS))
@options
@click.option("--share", default=0.3, show_default=True, help="Part of the questions for the cloud.")
@click.option("--timed", "n_timed", default=100, show_default=True, help="Questions to take the time of.")
@click.option("--timed-full", "n_full", default=30, show_default=True, help="Of those, with full looks too.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
def main(chosen: Options, framework: str, share: float, n_timed: int, n_full: int, out: Path) -> None:
    """Measure an example app; what was asked already is not asked again."""
    logging.getLogger("confroute").setLevel(logging.ERROR)  # a question kept on the edge is no news here
    out.mkdir(parents=True, exist_ok=True)
    scores, times = Kept(out / "scores.jsonl"), Kept(out / "times.jsonl")
    questions = [json.loads(line) for line in QUESTIONS.open(encoding="utf-8")]
    questions = [questions[i] for i in np.random.default_rng(0).permutation(len(questions))]
    observed = Observed(chosen.router)
    app = app_of(framework, chosen, router=observed)
    done = {row["question"] for row in scores.rows}
    for row in questions:
        if row["question"] not in done:
            scores.add(scored(app, observed, row, chosen.samples))
            click.echo(f"{scores.rows[-1]['score']:.2f} {row['question']}", err=True)
    cuts = thresholds(scores.rows, share)
    been = {(row["way"], row["question"]) for row in times.rows}
    for row, way in steps(questions[:n_timed], n_full):
        if (way, row["question"]) not in been:
            threshold = cuts.get((way, row["question"]))
            times.add(timed(app, observed, row, way, chosen.samples, threshold))
            last = times.rows[-1]
            click.echo(f"{way}: {last['route']} {last['seconds']:.1f} s {row['question']}", err=True)
    outcomes = replace(
        read_outcomes(write_outcomes(scores.rows, out)),
        name=f"the questions of the {framework} example",
        edge=chosen.edge,
        cloud=chosen.cloud_name,
        notes=tuple(chosen.notes()),
    )
    others = [Signal(name, found) for name, found in outcomes.scores.items() if name != "score"]
    cut = CloudShare(share, warm_start=outcomes.scores["score"].tolist()).at("score", 0.5)
    evaluation = evaluate(outcomes, Signal("score", outcomes.scores["score"]), others=others, threshold=cut)
    write_report(evaluation, out)
    click.echo(f"{len(scores.rows)} questions; edge {chosen.edge}, cloud {chosen.cloud_name}.\n")
    click.echo(told(scores.rows, times.rows, cuts, {name: way.column for name, way in ROUTED.items()}))
    for standing in evaluation.standings:
        against = f"; score minus this {standing.against.difference}" if standing.against else ""
        click.echo(f"- {standing.name}: APGR {standing.figures['apgr']}{against}")


if __name__ == "__main__":
    main()
