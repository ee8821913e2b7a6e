"""Savings at 95 % of the cloud's quality on recorded cascades, in real money, for every signal.

    python -m benchmarks.cascades DATA --encoder FOLDER_OR_NAME [--cache FOLDER] [--out FILE]

DATA holds ``cascades/`` (rational-llm-cascades: recorded answers, self-checks, tokens and dollars).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import embed, table
from benchmarks.public_routing import CASCADE_SETS, PAIRS, Outcomes, pooled, read_cascade
from confroute.calibration import calibrate_cascade
from confroute.encoders import Encoder, SentenceEncoder
from confroute.evaluation import (
    Costs,
    Interval,
    RoutingCurve,
    bootstrap_curve,
    edge_confidence_scores,
    oracle_scores,
    prompt_length_scores,
    random_spread,
)
from confroute.heads import make_head
from confroute.training import cross_validated_scores, fold_by_question

FloatArray = NDArray[np.float64]

HEAD = "similarity-weighted"
CONFIDENCE, LENGTH, TRAINED = "edge's confidence", "prompt length", f"trained ({HEAD})"
FOLDS = 5
SPLITS = 12
FITTED = ["held out", "bill", "kept, all splits", "US dollars per 1,000, first split", "kept, first split"]
KEPT = 0.95


def trained_scores(data: Outcomes, vectors: NDArray[np.float32], seed: int) -> FloatArray:
    """Score each question by a head that has not seen its fold.

    Every fold has a fit of its own, with a scale of its own, so what is pooled is the percentile among the
    cross-validated scores of that fit's training questions.
    """
    wins = (1 + data.cloud - data.edge) / 2
    folds = fold_by_question(data.questions, folds=FOLDS, seed=seed)
    trained = np.empty(len(wins))
    for fold in range(FOLDS):
        held = folds == fold
        seen = np.flatnonzero(~held)
        inner = fold_by_question([data.questions[i] for i in seen], folds=FOLDS, seed=seed + 1)
        inside = cross_validated_scores(lambda: make_head(HEAD), vectors[seen], wins[seen], inner)
        outside = make_head(HEAD).fit(vectors[seen], wins[seen]).score(vectors[held])
        trained[held] = percentile(outside, inside)
    return trained


def percentile(scores: FloatArray, reference: FloatArray) -> FloatArray:
    """Return the part of the reference below each score, ties by half."""
    ranked = np.sort(reference)
    below, upto = (np.searchsorted(ranked, scores, side=side) for side in ("left", "right"))
    part: FloatArray = (below + upto) / (2 * len(ranked))
    return part


def report(data: Outcomes, encoder: Encoder, cache: Path | None, seed: int) -> tuple[str, list[str]]:
    """Return the section of one set, and the row of the summary."""
    if data.confidence is None or data.before is None or data.after is None:
        raise SystemExit(f"{data.name}: no confidence or no money recorded")
    confidence = edge_confidence_scores(np.minimum(data.confidence, 0))
    trained = trained_scores(data, embed(encoder, data.questions, cache), seed)
    length = prompt_length_scores(data.questions)
    signals: dict[str, tuple[FloatArray, Costs]] = {
        LENGTH: (length, data.before),
        TRAINED: (trained, data.before),
        CONFIDENCE: (confidence, data.after),
        "oracle": (oracle_scores(data.edge, data.cloud), data.before),
    }
    curve = RoutingCurve.from_scores(length, data.edge, data.cloud)
    intro = f"n = {curve.n}; right: edge {data.edge.mean():.3f}, cloud {data.cloud.mean():.3f}"
    if curve.undefined:
        return f"{intro}. Undefined: {curve.undefined}.", []
    figures = {
        name: bootstrap_curve(scores, data.edge, data.cloud, costs=costs, kept=(KEPT,), seed=seed)
        for name, (scores, costs) in signals.items()
    }
    constant = bootstrap_curve(
        np.zeros(curve.n), data.edge, data.cloud, costs=data.before, kept=(KEPT,), seed=seed
    )
    figures = {"random": constant | random_spread(data.edge, data.cloud, seed=seed)} | figures
    rows = [[name, str(found["apgr"]), str(found["saving95"])] for name, found in figures.items()]
    header = ["signal", "APGR", "money saved at 95 % of the cloud's quality"]
    alone = table(FITTED, fitted(data, trained, confidence, seed))
    text = f"{intro}.\n\n{table(header, rows)}\n\n{alone}"
    return text, [_saved(figures[name]["saving95"]) for name in (LENGTH, TRAINED, CONFIDENCE)]


def _saved(figure: Interval) -> str:
    return f"{figure.estimate:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def fitted(data: Outcomes, trained: FloatArray, confidence: FloatArray, seed: int) -> list[list[str]]:
    """Return the rows of a cascade fitted on half of the questions, and of each router alone, held out."""
    if data.before is None or data.after is None:
        raise SystemExit(f"{data.name}: no money recorded")
    found = [
        calibrate_cascade(
            trained,
            confidence,
            edge_quality=data.edge,
            cloud_quality=data.cloud,
            edge_usd=data.before.edge,
            cloud_usd=data.before.cloud,
            signal_usd=np.maximum(data.after.edge - data.before.edge, 0),
            keep=KEPT,
            drafts=True,
            groups=data.questions,
            seed=seed + split,
        )
        for split in range(SPLITS)
    ]
    rows = []
    for name in ("policy", "trained_alone", "signal_alone"):
        policies = [getattr(one, name) for one in found]
        bills = [
            policy.usd_per_1000.estimate / one.all_cloud_usd_per_1000.estimate
            for policy, one in zip(policies, found, strict=True)
        ]
        kept = [policy.kept.estimate for policy in policies]
        rows.append(
            [
                {"policy": "fitted policy"}.get(name, name.replace("_", " ")),
                f"{np.mean(bills):.3f}",
                f"{np.mean(kept):.3f} ({min(kept):.3f} to {max(kept):.3f})",
                f"{policies[0].usd_per_1000}",
                f"{policies[0].kept}",
            ]
        )
    return rows


INTRO = """# Cascades with real money

Written by `benchmarks/cascades.py`. Data: mzelling/rational-llm-cascades (arXiv 2501.09345), train splits,
recorded answers, self-checks, tokens and prices. Brackets hold 95 % bootstrap intervals over questions
(1,000 resamples; for random's APGR the spread over 1,000 random routers). "Saved" is the part of the bill
for asking the cloud everything, at the smallest cloud share that keeps 95 % of the cloud's mean quality on
these questions; negative where deciding costs more than it saves.

What a signal pays for: random, prompt length, the oracle and the trained head ({head}, {encoder}) decide
before anything is generated and pay for one answer. The edge's confidence (log P(yes) of a self-check on
TriviaQA, TruthfulQA and GSM8K, the log-prob of the answer's letter on MMLU and MedMCQA)
pays for the edge's answer and its check on every question, and for the cloud's answer on top.

The head is trained on correctness in {folds} folds by question and scored on the fold left out. Scores of
different fits have different scales, so each is told as its percentile among its own training scores.
Intervals are per set, not adjusted for the number of sets.

The fitted policy is that of `calibrate_cascade`: band and threshold on half of the questions, told on the
other half; the bill is the part of asking the cloud everything. Means are over {splits} splits, the columns
with intervals are of the first split. A set on which the edge alone keeps 95 % needs no router.
"""


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--encoder", required=True, help="A sentence-transformers model: a hub name or a folder.")
@click.option("--encoder-name", help="What the report calls it.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keeps embeddings.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    data: Path, encoder: str, encoder_name: str | None, cache: Path | None, out: Path | None, seed: int
) -> None:
    encode = SentenceEncoder(encoder, name=encoder_name)
    summary: list[Sequence[str]] = []
    details = []
    for edge, cloud, chain in PAIRS:
        sets = [read_cascade(data / "cascades", name, edge, cloud, chain) for name in CASCADE_SETS]
        details.append(f"## {edge} → {cloud}\n")
        for one in (*sets, pooled(sets)):
            text, row = report(one, encode, cache, seed)
            details.append(f"### {one.name}\n\n{text}\n")
            if row:
                summary.append([f"{edge} → {cloud}, {one.name} (n = {len(one.questions)})", *row])
            click.echo(f"{edge} → {cloud}, {one.name}", err=True)
    header = ["data", *(f"saved by {name}" for name in (LENGTH, TRAINED, CONFIDENCE))]
    intro = INTRO.format(encoder=encode.name, head=HEAD, folds=FOLDS, splits=SPLITS)
    text = "\n".join([intro, "## Summary\n", f"{table(header, summary)}\n", *details])
    if out is not None:
        out.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
