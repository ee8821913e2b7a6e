"""Every head and every signal on a recorded pair of models, cross-validated by question.

    python -m benchmarks.recording RECORDING.parquet --encoder FOLDER_OR_NAME [--cache FOLDER] [--out FILE]

RECORDING is an export of ``confroute label`` with answers that are right or wrong.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.common import embed, table
from confroute.encoders import SentenceEncoder
from confroute.evaluation import (
    RoutingCurve,
    bootstrap_curve,
    oracle_scores,
    prompt_length_scores,
    random_spread,
)
from confroute.heads import HEADS, make_head
from confroute.labelling import Store, relabel
from confroute.labelling.card import findings
from confroute.labelling.export import import_run
from confroute.training import cross_validated_scores, fold_by_question
from confroute.uncertainty import ExactEquivalence

TAU = 0.1
FOLDS = 5
SETS = {"all with gold answers": None, "choice questions": "choice", "open questions": "open"}


@click.command()
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--encoder", required=True, help="A sentence-transformers model: a hub name or a folder.")
@click.option("--encoder-name", help="What the report calls it.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keeps embeddings.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    recording: Path, encoder: str, encoder_name: str | None, cache: Path | None, out: Path | None, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sqlite"
        with Store(path) as store:
            import_run(store, recording)
        relabel(path, equivalence=ExactEquivalence())
        with Store(path, read_only=True) as store:
            settings, found = store.settings(), findings(store)
    entropy = {
        role: np.array([f.sides[role].entropy.normalized for f in found]) for role in ("edge", "cloud")
    }
    surer = entropy["edge"] - entropy["cloud"]
    wins = np.where(np.abs(surer) > TAU, (surer > 0).astype(float), 0.5)
    questions = [f.question for f in found]
    encode = SentenceEncoder(encoder, name=encoder_name)
    vectors = embed(encode, questions, cache)
    fold_of = fold_by_question(questions, folds=FOLDS, seed=seed)
    scores = {
        f"head: {name}": cross_validated_scores(lambda name=name: make_head(name), vectors, wins, fold_of)  # type: ignore[misc]  # bound at once
        for name in HEADS
        if name != "random"
    }
    scores["edge's semantic entropy"] = entropy["edge"]
    scores["edge's greedy log-prob"] = np.array([f.sides["edge"].doubt or 0.0 for f in found])
    scores["difference of both entropies (the label)"] = surer
    scores["prompt length"] = prompt_length_scores(questions)
    right = {role: [f.sides[role].right for f in found] for role in ("edge", "cloud")}
    rated = [i for i in range(len(found)) if None not in (right["edge"][i], right["cloud"][i])]
    sections = [
        "# The recorded pair",
        "",
        f"Written by `benchmarks/recording.py`. Edge {settings['edge']}, cloud {settings['cloud']};",
        f"{len(found)} labelled questions, {len(rated)} of them with gold answers. Heads learn the",
        f"preference labels (smaller Ĥ by more than {TAU}, ties as half a win) from question embeddings;",
        f"{FOLDS} folds by question, seed {seed}. Clusters by exact canonical form. Quality is correctness.",
        "Brackets: 95 % bootstrap intervals over questions (1,000 resamples).",
        "",
    ]
    for name, kind in SETS.items():
        kept = [i for i in rated if kind is None or (found[i].source in _OPEN) == (kind == "open")]
        edge = np.array([right["edge"][i] for i in kept], dtype=float)
        cloud = np.array([right["cloud"][i] for i in kept], dtype=float)
        sections += [f"## {name}, n = {len(kept)}", ""]
        sections += [f"Edge right {edge.mean():.3f}, cloud right {cloud.mean():.3f}.", ""]
        undefined = RoutingCurve.from_scores(np.zeros(len(kept)), edge, cloud).undefined
        if undefined:
            sections += [f"No curve: {undefined}", ""]
            continue
        rows = {
            signal: bootstrap_curve(values[kept], edge, cloud, seed=seed) for signal, values in scores.items()
        }
        rows["random"] = random_spread(edge, cloud, seed=seed)
        rows["oracle"] = bootstrap_curve(oracle_scores(edge, cloud), edge, cloud, seed=seed)
        cells = [[signal, str(f["apgr"]), str(f["cpt50"]), str(f["cpt80"])] for signal, f in rows.items()]
        sections += [table(["signal", "APGR", "CPT(50 %)", "CPT(80 %)"], cells), ""]
    text = "\n".join(sections)
    if out is None:
        click.echo(text)
    else:
        out.write_text(text, encoding="utf-8")


_OPEN = frozenset({"nq", "tq", "triviaqa", "popqa", "mawps"})


if __name__ == "__main__":
    main()
