"""Routing on public outcomes of real model pairs: question-only heads, recorded confidence, baselines, money.

    python -m benchmarks.public_routing DATA --encoder FOLDER_OR_NAME [--cache FOLDER] [--out FILE]

DATA holds ``routellm/`` (RouteLLM's own evaluation files) and ``cascades/`` (rational-llm-cascades).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import embed, read_jsonl, table
from confroute.encoders import Encoder, SentenceEncoder
from confroute.evaluation import (
    Costs,
    Interval,
    RoutingCurve,
    auroc,
    bootstrap_curve,
    compare,
    edge_confidence_scores,
    oracle_scores,
    prompt_length_scores,
    random_spread,
)
from confroute.heads import make_head
from confroute.training import cross_validated_scores, fold_by_question

FloatArray = NDArray[np.float64]

HEADS = ("similarity-weighted", "matrix-factorization", "mlp", "knn")
WEAK, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
PAIRS = (("llama3.2-3b", "llama3.1-405b", "llama"), ("gpt-4o-mini", "gpt-4o", "qwen_oai"))
CASCADE_SETS = ("triviaqa", "truthfulqa", "gsm8k", "mmlu", "medmcqa")
PRICES = {  # US dollars per million tokens in and out; checked against the recorded costs of one-call sets
    "llama3.2-3b": (0.1, 0.1),
    "llama3.1-405b": (3.0, 3.0),
    "gpt-4o-mini": (0.15, 0.6),
    "gpt-4o": (2.5, 10.0),
}
ONE_CALL = ("mmlu", "medmcqa")
CONFIDENCE = "edge's recorded confidence"


@dataclass(frozen=True)
class Outcomes:
    """Questions with both models' outcomes, and the money where it is recorded."""

    name: str
    questions: list[str]
    edge: FloatArray
    cloud: FloatArray
    confidence: FloatArray | None = None
    before: Costs | None = None  # a router that decides before anything is generated
    after: Costs | None = None  # a router that looks at the edge's answer, which is then always paid for


def read_routellm(folder: Path, name: str) -> Outcomes:
    """Read RouteLLM's responses, without the prompts that it lists as contaminated."""
    files = (
        [folder / "gsm8k_responses.csv"] if name == "gsm8k" else sorted((folder / "responses").glob("*.csv"))
    )
    rows: list[dict[str, str]] = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as lines:
            rows += csv.DictReader(lines)
    dropped = {row["eval_prompt"] for row in read_jsonl(folder / "contaminated_prompts.jsonl")}
    kept = [row for row in rows if row["prompt"] not in dropped]
    told = (
        f"{name}: {len(rows)} questions, {len(rows) - len(kept)} of {len(dropped)} contaminated ones dropped"
    )
    click.echo(told, err=True)
    return Outcomes(
        name,
        [row["prompt"] for row in kept],
        np.array([row[WEAK] == "True" for row in kept], dtype=np.float64),
        np.array([row[STRONG] == "True" for row in kept], dtype=np.float64),
    )


def read_cascade(folder: Path, name: str, edge: str, cloud: str, chain: str) -> Outcomes:
    """Read a recorded cascade; rows without the edge's confidence are left out."""
    rows = [
        row for row in read_jsonl(folder / f"{name}_{chain}.jsonl") if row["models"][edge]["conf"] is not None
    ]
    paid = np.array([row["models"][edge]["cost"] for row in rows])
    edge_alone = np.array([answer_cost(row["models"][edge], edge) for row in rows])
    cloud_alone = np.array([answer_cost(row["models"][cloud], cloud) for row in rows])
    if name in ONE_CALL and not np.allclose(edge_alone, paid, rtol=0.02):
        raise SystemExit(f"{name}: recorded costs of {edge} do not follow from its prices and tokens")
    return Outcomes(
        name,
        [bare_question(row["user_prompt"]) for row in rows],
        np.array([row["models"][edge]["correct"] for row in rows], dtype=np.float64),
        np.array([row["models"][cloud]["correct"] for row in rows], dtype=np.float64),
        np.array([row["models"][edge]["conf"] for row in rows]),
        Costs.of(edge_alone, cloud_alone),
        Costs.of(paid, paid + cloud_alone, cloud_alone),
    )


def bare_question(prompt: str) -> str:
    """Return the question and its choices without the set's own instruction before and "Answer:" behind."""
    parts = re.split(r"\n\n(?:Question|Problem): ", prompt, maxsplit=1)
    if len(parts) != 2:
        raise SystemExit(f"no question found in the prompt {prompt[:80]!r}")
    return re.sub(r"\s*Answer:\s*$", "", parts[1])


def answer_cost(call: dict[str, Any], model: str) -> float:
    """Return the dollars of the answer itself; the recorded cost may hold a self-check call too."""
    price_in, price_out = PRICES[model]
    return float(call["tok_in"] * price_in + call["tok_out"] * price_out) / 1e6


def pooled(parts: Sequence[Outcomes]) -> Outcomes:
    """Join several sets into one."""

    def joined(costs: Sequence[Costs | None]) -> Costs:
        known = [cost for cost in costs if cost is not None]
        return Costs(
            *(np.concatenate([getattr(c, f) for c in known]) for f in ("edge", "cloud", "all_cloud"))
        )

    return Outcomes(
        "all five",
        [question for part in parts for question in part.questions],
        np.concatenate([part.edge for part in parts]),
        np.concatenate([part.cloud for part in parts]),
        np.concatenate([part.confidence for part in parts if part.confidence is not None]),
        joined([part.before for part in parts]),
        joined([part.after for part in parts]),
    )


def head_scores(data: Outcomes, vectors: NDArray[np.float32], seed: int) -> dict[str, FloatArray]:
    """Return each head's cross-validated scores, trained on correctness: who was right alone, else a tie."""
    wins = (1 + data.cloud - data.edge) / 2
    folds = fold_by_question(data.questions, folds=5, seed=seed)

    def scores(name: str) -> FloatArray:
        params = {"seed": seed} if "seed" in make_head(name).params else {}
        return cross_validated_scores(lambda: make_head(name, params), vectors, wins, folds)

    return {name: scores(name) for name in HEADS}


def report(data: Outcomes, encoder: Encoder, cache: Path | None, seed: int) -> str:
    """Return the section of one set."""
    length = prompt_length_scores(data.questions)
    signals = head_scores(data, embed(encoder, data.questions, cache), seed)
    if data.confidence is not None:
        signals[CONFIDENCE] = edge_confidence_scores(np.minimum(data.confidence, 0))
    signals |= {"prompt length": length, "oracle": oracle_scores(data.edge, data.cloud)}
    curve = RoutingCurve.from_scores(length, data.edge, data.cloud)
    intro = f"n = {curve.n}; right: edge {data.edge.mean():.3f}, cloud {data.cloud.mean():.3f}"
    if curve.undefined:
        return f"{intro}. Undefined: {curve.undefined}."
    rows = [_random_row(random_spread(data.edge, data.cloud, seed=seed), money=data.before is not None)]
    for name, scores in signals.items():
        costs = data.after if name == CONFIDENCE else data.before
        found = bootstrap_curve(scores, data.edge, data.cloud, costs=costs, seed=seed)
        against = compare(scores, length, data.edge, data.cloud, seed=seed)["apgr"]
        row = [name, *(_cell(found[key]) for key in ("apgr", "cpt50", "cpt80"))]
        row.append(
            "" if name == "prompt length" else f"{_cell(against.difference)}, p = {against.p_value:.3f}"
        )
        rows.append([*row, _cell(found["saving95"])] if costs is not None else row)
    header = ["router", "APGR", "CPT(50 %)", "CPT(80 %)", "ΔAPGR to prompt length"]
    if data.before is not None:
        header.append("saved at 95 % of the cloud's quality")
    if found["apgr"].undefined:
        intro += f"; {found['apgr'].undefined:.1%} of the resamples have no gap and are left out"
    if data.confidence is not None:
        wrong = auroc(signals[CONFIDENCE], 1 - data.edge, seed=seed)
        intro += f"; AUROC of the edge's confidence for its own errors {wrong}"
    return f"{intro}\n\n{table(header, rows)}"


def _cell(interval: Interval) -> str:
    return str(replace(interval, undefined=0.0))  # said once, above the table


def _random_row(spread: dict[str, Interval], *, money: bool) -> list[str]:
    row = ["random (spread)", *(str(spread[key]) for key in ("apgr", "cpt50", "cpt80")), ""]
    return [*row, ""] if money else row


INTRO = """# Routing on public outcomes

Written by `benchmarks/public_routing.py`. Brackets hold 95 % bootstrap intervals over questions (1,000
resamples; for random: the spread over 1,000 random routers). APGR: more is better; CPT: the share of
calls to the cloud, less is better. Heads see the question's embedding only ({encoder}), are trained on
correctness (the model that was right alone wins, else a tie) and scored by 5-fold cross-validation by
question, seed {seed}, with their default settings. Oracle: the best order there is, which no router can
know.

RouteLLM's files: lm-sys/RouteLLM (Apache-2.0), half of its questions, its contaminated prompts dropped;
edge Mixtral-8x7B, cloud gpt-4-1106-preview. Cascades: mzelling/rational-llm-cascades (arXiv 2501.09345),
train splits, each prompt without its own instruction; the edge's confidence is log P(yes) of a self-check
call on TriviaQA, TruthfulQA and GSM8K and the log-prob of the answer's letter on MMLU and MedMCQA. Money
is in recorded tokens and prices: a head pays for one answer; the confidence pays for the edge's answer
and self-check always, and for the cloud's answer on top. "Saved" is against asking the cloud everything,
at the smallest cloud share that keeps 95 % of the cloud's mean quality.
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
    parts = [INTRO.format(encoder=encode.name, seed=seed)]
    for name in ("gsm8k", "mmlu"):
        outcomes = read_routellm(data / "routellm" / name, name)
        parts.append(f"## RouteLLM {name}\n\n{report(outcomes, encode, cache, seed)}\n")
    for edge, cloud, chain in PAIRS:
        sets = [read_cascade(data / "cascades", name, edge, cloud, chain) for name in CASCADE_SETS]
        parts.append(f"## Cascades: {edge} → {cloud}\n")
        parts += [f"### {s.name}\n\n{report(s, encode, cache, seed)}\n" for s in (*sets, pooled(sets))]
    text = "\n".join(parts)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
