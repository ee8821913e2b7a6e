"""Measure an example app on its own questions: the edge alone, the cloud alone, routed.

    python -m examples.measure langchain --out FOLDER [--edge ... --cloud ...]

Writes the report of ``confroute evaluate`` into FOLDER, beside ``outcomes.jsonl``, which that command reads.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

import confroute
from confroute.errors import ConfRouteError
from confroute.evaluation import Signal, evaluate, read_outcomes, write_report
from confroute.evaluation.inference import mean_interval
from confroute.labelling.correct import is_right
from confroute.uncertainty import is_refusal
from examples.apps import FRAMEWORKS, app_of
from examples.options import CORPUS, Options, options
from examples.page.turn import RagApp

QUESTIONS = CORPUS.parent / "questions.jsonl"
CITATION = re.compile(r"\[\d+\]")  # no part of what was answered


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, answered by one way of asking."""

    right: bool
    seconds: float
    usd: float | None
    score: float
    route: str


def ask(app: RagApp, row: dict[str, Any], *, threshold: float, private: bool = False) -> Asked:
    """Ask one question.

    Raises:
        ConfRouteError: If the model that should have answered did not.
    """
    start, before = time.perf_counter(), app.stats.usd
    *_, turn = app.ask(row["question"], threshold=threshold, private=private)
    decision = turn.decision or {}
    if decision["fallback_from"]:
        raise ConfRouteError(f"{row['question']}: {decision['reason']}")
    after = app.stats.usd
    answer = CITATION.sub("", turn.answer)
    is_unknown = row["kind"] == "unknown"
    return Asked(
        right=is_refusal(answer, row["question"]) if is_unknown else bool(is_right(answer, row["answers"])),
        seconds=time.perf_counter() - start,
        usd=None if after is None or before is None else after - before,
        score=1.0 if decision["score"] is None else decision["score"],  # nothing found: to the cloud
        route=decision["route"],
    )


def measured(app: RagApp, row: dict[str, Any], threshold: float) -> dict[str, Any]:
    """Ask one question three times: routed, kept on the edge, sent to the cloud."""
    routed = ask(app, row, threshold=threshold)
    edge = ask(app, row, threshold=threshold, private=True)
    with confroute.control(route="cloud"):
        cloud = ask(app, row, threshold=threshold)
    ways = {"routed": routed, "edge": edge, "cloud": cloud}
    told = {f"{name}_quality": float(way.right) for name, way in ways.items()}
    if None not in {way.usd for way in ways.values()}:
        told |= {f"{name}_cost": way.usd or 0.0 for name, way in ways.items()}
    told |= {f"{name}_seconds": way.seconds for name, way in ways.items()}
    return {
        "question": row["question"],
        "topic": row["kind"],
        "score": routed.score,
        "route": routed.route,
        **told,
    }


def span(rows: Sequence[dict[str, Any]], column: str, scale: float, form: str) -> str:
    """Return a column's mean with its 95 % bootstrap interval."""
    if any(column not in row for row in rows):
        return "unknown"
    mean = mean_interval([scale * row[column] for row in rows])
    return f"{mean.estimate:{form}} [{mean.low:{form}}, {mean.high:{form}}]"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return quality, cost and time of the three ways."""
    columns = (("quality", 100.0, ".0f"), ("cost", 1000.0, ".3f"), ("seconds", 1.0, ".1f"))
    lines = ["| | right, % | US dollars per 1,000 questions | seconds per question |", "|" + " --- |" * 4]
    for name in ("edge", "cloud", "routed"):
        told = [span(rows, f"{name}_{what}", scale, form) for what, scale, form in columns]
        lines.append(f"| {name if name == 'routed' else f'{name} only'} | {' | '.join(told)} |")
    return "\n".join(lines)


def by_kind(rows: Sequence[dict[str, Any]]) -> str:
    """Return the right answers and the cloud share for each kind of question."""
    lines = ["| kind | n | edge right | cloud right | routed right | to the cloud |", "|" + " --- |" * 6]
    for kind in sorted({row["topic"] for row in rows}):
        some = [row for row in rows if row["topic"] == kind]
        right = " | ".join(
            f"{np.mean([row[f'{name}_quality'] for row in some]):.0%}" for name in ("edge", "cloud", "routed")
        )
        share = np.mean([row["route"] == "cloud" for row in some])
        lines.append(f"| {kind} | {len(some)} | {right} | {share:.0%} |")
    return "\n".join(lines)


@click.command()
@click.argument("framework", type=click.Choice(FRAMEWORKS))
@options
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
def main(chosen: Options, framework: str, out: Path) -> None:
    """Measure an example app; what was asked already is not asked again."""
    logging.getLogger("confroute").setLevel(logging.ERROR)  # a question kept on the edge is no news here
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "outcomes.jsonl"
    rows = [json.loads(line) for line in kept.open(encoding="utf-8")] if kept.exists() else []
    done = {row["question"] for row in rows}
    app = app_of(framework, chosen)
    with kept.open("a", encoding="utf-8") as file:
        for row in map(json.loads, QUESTIONS.open(encoding="utf-8")):
            if row["question"] not in done:
                rows.append(measured(app, row, chosen.threshold))
                file.write(json.dumps(rows[-1], ensure_ascii=False) + "\n")
                file.flush()
                click.echo(f"{rows[-1]['route']:5} {rows[-1]['score']:.2f} {row['question']}", err=True)
    outcomes = replace(
        read_outcomes(kept),
        name=f"the questions of the {framework} example",
        edge=chosen.edge,
        cloud=chosen.cloud_name,
        notes=tuple(chosen.notes()),
    )
    signal = Signal("semantic entropy", outcomes.scores["score"], outcomes.costs())
    evaluation = evaluate(outcomes, signal, threshold=chosen.threshold)
    write_report(evaluation, out)
    lines = [f"{len(rows)} questions; edge {chosen.edge}, cloud {chosen.cloud_name}.", "", table(rows), ""]
    lines += [by_kind(rows), ""]
    lines += [
        f"- {standing.name}: APGR {standing.figures['apgr']}"
        + (f"; semantic entropy minus this {standing.against.difference}" if standing.against else "")
        for standing in evaluation.standings
    ]
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
