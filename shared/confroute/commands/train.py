"""``confroute train``: a router from labelled questions."""

from __future__ import annotations

from pathlib import Path

import click

_HEADS = ("similarity-weighted", "matrix-factorization", "mlp", "knn", "random")


@click.command(no_args_is_help=True)
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the router.")
@click.option("--head", type=click.Choice(_HEADS), default=_HEADS[0], show_default=True)
@click.option(
    "--encoder",
    default="sentence-transformers/all-MiniLM-L6-v2",
    show_default=True,
    help="A sentence-transformers model: a name on the hub, or a folder.",
)
@click.option(
    "--encoder-name",
    help="What the saved router calls the encoder, where --encoder is a folder.  [default: --encoder]",
)
@click.option(
    "--cloud-share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of calls that the threshold sends to the cloud, until it is calibrated.",
)
@click.option(
    "--hold-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Leave this part of the questions out, for calibrate --held-out.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def train(
    labels: Path,
    out: Path,
    head: str,
    encoder: str,
    encoder_name: str | None,
    cloud_share: float,
    hold_out: float | None,
    folds: int,
    seed: int,
) -> None:
    """Train a router on LABELS, the .parquet or .jsonl file that "confroute label --export" wrote.

    Writes the router with its model card, and prints the card: cross-validated figures beside random, prompt
    length and oracle.
    """
    from confroute.calibration.table import is_held_out
    from confroute.encoders import SentenceEncoder
    from confroute.training import read_labels
    from confroute.training import train as run_training

    data = read_labels(labels)
    click.echo(f"{len(data.rows)} labelled questions, {data.skipped} without a label", err=True)
    rows, told = data.rows, f"`{data.source}`"
    if hold_out is not None:
        rows = [row for row in rows if not is_held_out(row.question, hold_out)]
        told = f"{told}, without {len(data.rows) - len(rows)} questions held out for calibration"
    trained = run_training(
        rows,
        head=head,
        encoder=SentenceEncoder(encoder, name=encoder_name),
        pair=data.pair,
        data=told,
        cloud_share=cloud_share,
        folds=folds,
        seed=seed,
    )
    trained.router.save(out)
    click.echo(trained.router.card)
    click.echo(f"saved in {out}", err=True)
