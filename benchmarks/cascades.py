"""Savings at 95 % of the cloud's quality on recorded cascades, in real money, for every signal.

    python -m benchmarks.cascades DATA --encoder FOLDER_OR_NAME [--cache FOLDER] [--out FILE]

DATA holds ``cascades/`` (rational-llm-cascades: recorded answers, self-checks, tokens and dollars).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import embed, table
from benchmarks.public_routing import CASCADE_SETS, PAIRS, Outcomes, pooled, read_cascade
from confroute.encoders import Encoder, SentenceEncoder
from confroute.evaluation import (
    Comparison,
    Costs,
    Interval,
    RoutingCurve,
    bootstrap_curve,
    compare,
    edge_confidence_scores,
    oracle_scores,
    prompt_length_scores,
    random_spread,
)
from confroute.heads import make_head
from confroute.routers.combined import CombinedRouter
from confroute.routers.self_check import SelfCheckRouter
from confroute.routers.trained import TrainedRouter
from confroute.training import cross_validated_scores, fold_by_question

FloatArray = NDArray[np.float64]

HEAD = "similarity-weighted"
CONFIDENCE, LENGTH, TRAINED, COMBINED = "edge's confidence", "prompt length", f"trained ({HEAD})", "combined"
FOLDS = 5
KEPT = 0.95


def both_scores(
    data: Outcomes, vectors: NDArray[np.float32], confidence: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Score each question by a head, and by a combination, that have not seen its fold.

    The combination is fitted on the training folds alone: on the edge's confidence, and on scores of heads
    that have not seen the question either. Every fold has a fit of its own, with a scale of
    its own, so what is pooled is the percentile among the scores of that fit's training questions.

    Returns:
        The head's scores, the combined ones, and what the combination used in each fold.
    """
    wins = (1 + data.cloud - data.edge) / 2
    folds = fold_by_question(data.questions, folds=FOLDS, seed=seed)
    trained, combined = np.empty(len(wins)), np.empty(len(wins))
    used = []
    for fold in range(FOLDS):
        held = folds == fold
        seen = np.flatnonzero(~held)
        inner = fold_by_question([data.questions[i] for i in seen], folds=FOLDS, seed=seed + 1)
        inside = cross_validated_scores(lambda: make_head(HEAD), vectors[seen], wins[seen], inner)
        outside = make_head(HEAD).fit(vectors[seen], wins[seen]).score(vectors[held])
        router = CombinedRouter({CONFIDENCE: SelfCheckRouter(), TRAINED: TrainedRouter(head=make_head(HEAD))})
        router.fit({CONFIDENCE: confidence[seen], TRAINED: inside}, wins[seen], seed=seed)
        known = router.score({CONFIDENCE: confidence[seen], TRAINED: inside})
        new = router.score({CONFIDENCE: confidence[held], TRAINED: outside})
        trained[held], combined[held] = percentile(outside, inside), percentile(new, known)
        used.append(router.choice.used)
    return trained, combined, used


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
    trained, combined, used = both_scores(data, embed(encoder, data.questions, cache), confidence, seed)
    length = prompt_length_scores(data.questions)
    signals: dict[str, tuple[FloatArray, Costs]] = {
        LENGTH: (length, data.before),
        TRAINED: (trained, data.before),
        CONFIDENCE: (confidence, data.after),
        COMBINED: (combined, data.after),
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

    def lead(over: FloatArray) -> Comparison:
        return compare(combined, over, data.edge, data.cloud, cpts=(), seed=seed)["apgr"]

    leads = {CONFIDENCE: lead(confidence), LENGTH: lead(length), TRAINED: lead(trained)}
    rows = [
        [
            name,
            str(found["apgr"]),
            str(found["saving95"]),
            f"{leads[name].difference}, p = {leads[name].p_value:.3f}" if name in leads else "",
        ]
        for name, found in figures.items()
    ]
    header = ["signal", "APGR", "money saved at 95 % of the cloud's quality", "combined − this, APGR"]
    told = ", ".join(f"{name} in {count} of {FOLDS} folds" for name, count in Counter(used).items())
    text = f"{intro}. What the combination used: {told}.\n\n{table(header, rows)}"
    names = (LENGTH, TRAINED, CONFIDENCE, COMBINED)
    row = [
        *(_saved(figures[name]["saving95"]) for name in names),
        _told(leads[CONFIDENCE]),
        _told(leads[LENGTH]),
    ]
    return text, row


def _saved(figure: Interval) -> str:
    return f"{figure.estimate:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _told(lead: Comparison) -> str:
    low, high = lead.difference.low, lead.difference.high
    answer = "yes" if low > 0 else "no, worse" if high < 0 else "not shown"
    return f"{answer}: {lead.difference.estimate:+.3f} [{low:+.3f}, {high:+.3f}]"


INTRO = """# Cascades with real money

Written by `benchmarks/cascades.py`. Data: mzelling/rational-llm-cascades (arXiv 2501.09345), train splits,
recorded answers, self-checks, tokens and prices. Brackets hold 95 % bootstrap intervals over questions
(1,000 resamples; for random's APGR the spread over 1,000 random routers). "Saved" is the part of the bill
for asking the cloud everything, at the smallest cloud share that keeps 95 % of the cloud's mean quality on
these questions; negative where deciding costs more than it saves.

What a signal pays for: random, prompt length, the oracle and the trained head ({head}, {encoder}) decide
before anything is generated and pay for one answer. The edge's confidence (log P(yes) of a self-check on
TriviaQA, TruthfulQA and GSM8K, the log-prob of the answer's letter on MMLU and MedMCQA) and the combination
pay for the edge's answer and its check on every question, and for the cloud's answer on top.

The combination (`CombinedRouter`, logistic) joins the edge's confidence and the trained head's score. Head
and combination are trained on correctness in {folds} outer folds by question and scored on the fold left out;
within the training folds the combination sees only scores of heads that have not seen the question. It falls
back to one signal where joining is not surely better on its training folds. Scores of different fits have
different scales, so each is told as its percentile among its own training scores. Intervals and p-values
are per comparison, not adjusted for the number of sets.
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
    header = ["data", *(f"saved by {name}" for name in (LENGTH, TRAINED, CONFIDENCE, COMBINED))]
    header += [f"combined beats {name}, APGR?" for name in ("confidence", "prompt length")]
    intro = INTRO.format(encoder=encode.name, head=HEAD, folds=FOLDS)
    text = "\n".join([intro, "## Summary\n", f"{table(header, summary)}\n", *details])
    if out is not None:
        out.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
