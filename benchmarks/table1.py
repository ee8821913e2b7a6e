"""The paper's Table 1 with our figures: four heads, trained on labels of one pair, on RouteLLM's benchmarks.

    python -m benchmarks.table1 DATA LABELS --encoder FOLDER_OR_NAME [--cache FOLDER] [--out FILE]

DATA holds ``routellm/`` in its public layout; LABELS is what ``confroute label --export`` wrote.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from benchmarks.common import embed
from confroute.encoders import SentenceEncoder
from confroute.errors import ConfigurationError
from confroute.evaluation import bootstrap_curve, load_benchmark, random_spread
from confroute.evaluation.table1 import HEADS, RANDOM, Figures, render_table1
from confroute.heads import make_head, wins_of
from confroute.training import read_labels

NAMES = {"MT-Bench": "mt-bench", "GSM8K": "gsm8k", "MMLU": "mmlu"}

INTRO = """# The paper's Table 1

Written by `benchmarks/table1.py`. CPT in percent of calls to the cloud, less is better. The paper's rows are
arXiv 2502.11021, Table 1, without intervals as printed there. Our rows: heads with default settings and seed
{seed}, on embeddings by {encoder}, trained on {n:,} questions of `{labels}` ({shares}),
labelled with the semantic entropy of {edge} (edge) and {cloud} (cloud). Brackets
hold 95 % bootstrap intervals over questions; for random, the spread over 1,000 random routers.

What differs from the paper: its labels come from Mixtral-8x7B and GPT-4 themselves, ours from another pair;
its strong model is gpt-4-0613, RouteLLM's files hold gpt-4-1106-preview. A router belongs to the pair that
it was trained on, so our rows show how labels of one pair carry over to another.
"""


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--encoder", required=True, help="A sentence-transformers model: a hub name or a folder.")
@click.option("--encoder-name", help="What the report calls it.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keeps embeddings.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    data: Path,
    labels: Path,
    encoder: str,
    encoder_name: str | None,
    cache: Path | None,
    out: Path | None,
    seed: int,
) -> None:
    encode = SentenceEncoder(encoder, name=encoder_name)
    labelled = read_labels(labels)
    wins = wins_of([row.label for row in labelled.rows])
    trained_on = embed(encode, [row.question for row in labelled.rows], cache)
    heads = {}
    for name in HEADS:
        params = {"seed": seed} if "seed" in make_head(name).params else {}
        heads[name] = make_head(name, params).fit(trained_on, wins)
    ours: dict[str, dict[str, Figures]] = {name: {} for name in (RANDOM, *HEADS)}
    notes = []
    for title, name in NAMES.items():
        try:
            found = load_benchmark(name, data / "routellm")
        except ConfigurationError as error:
            click.echo(f"{title} is left out: {error}", err=True)
            continue
        notes += [f"{title}: {note}" for note in found.notes]
        edge, cloud = found.edge_quality, found.cloud_quality
        ours[RANDOM][title] = random_spread(edge, cloud, seed=seed)
        vectors = embed(encode, found.questions, cache)
        for head, fitted in heads.items():
            ours[head][title] = bootstrap_curve(fitted.score(vectors), edge, cloud, seed=seed)
    counts = {"edge": np.mean(wins == 0), "tie": np.mean(wins == 0.5), "cloud": np.mean(wins == 1)}
    intro = INTRO.format(
        seed=seed,
        encoder=encode.name,
        n=len(wins),
        labels=labelled.source,
        shares=", ".join(f"{name} {share:.0%}" for name, share in counts.items()),
        edge=labelled.pair.edge,
        cloud=labelled.pair.cloud,
    )
    apgr = [
        f"- {HEADS[head]}: "
        + ", ".join(f"{title} {figures['apgr']} (n = {figures['apgr'].n})" for title, figures in row.items())
        for head, row in ours.items()
        if head in HEADS
    ]
    text = "\n".join(
        [intro, render_table1(ours), "", *notes, "", "APGR, which the paper does not report:", "", *apgr, ""]
    )
    if out is not None:
        out.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
