"""``confroute calibrate``: a threshold for a share, a cost, a quality or a risk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from confroute.calibration.table import CalibrationData, Row
    from confroute.routers.trained import TrainedRouter

_EXIT_UNMET = 3
_TARGETS = ("cloud_share", "usd_per_1000", "quality", "risk")


@click.command(no_args_is_help=True)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--router",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A saved router: scores the questions of DATA, and is given the threshold.",
)
@click.option("--encoder", help="The router's encoder from another place, such as a folder.")
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True),
    help="Take only the questions that training with this --hold-out left out.",
)
@click.option("--cloud-share", type=click.FloatRange(0, 1), help="Target: at most this share to the cloud.")
@click.option(
    "--usd-per-1000", type=click.FloatRange(min=0), help="Target: US dollars per 1,000 questions, at most."
)
@click.option(
    "--quality", type=click.FloatRange(0, 1, min_open=True), help="Target: part of the gap recovered."
)
@click.option(
    "--risk",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Target: at most this part of what stays on the edge is wrong.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Confidence of --risk.",
)
@click.option(
    "--wrong-by",
    type=click.Choice(["gold", "judge", "disagreement"]),
    default="gold",
    show_default=True,
    help='What "wrong" means for --risk.',
)
@click.option(
    "--edge-usd", type=click.FloatRange(min=0), help="US dollars of one edge answer, signal included."
)
@click.option("--cloud-usd", type=click.FloatRange(min=0), help="US dollars of one cloud answer.")
@click.option(
    "--cascade",
    is_flag=True,
    help="Fit a cascade instead: the band and threshold of the cheapest policy that keeps --keep.",
)
@click.option(
    "--keep",
    type=click.FloatRange(0, 1, min_open=True),
    help="For --cascade: part of the cloud's quality to keep.  [default: 0.95]",
)
@click.option(
    "--signal-usd", type=click.FloatRange(min=0), help="For --cascade: US dollars of one signal, draft aside."
)
@click.option(
    "--drafts",
    is_flag=True,
    help="For --cascade: the signal looks at the edge's reply itself, which is the reply where it is sure.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the result as JSON.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.pass_context
def calibrate(
    ctx: click.Context,
    /,
    data: Path,
    router: Path | None,
    encoder: str | None,
    held_out: float | None,
    wrong_by: str,
    edge_usd: float | None,
    cloud_usd: float | None,
    cascade: bool,
    keep: float | None,
    signal_usd: float | None,
    drafts: bool,
    out: Path | None,
    **options: Any,
) -> None:
    """Find the threshold for one target on DATA, which must have trained nothing.

    DATA is a .parquet, .jsonl or .csv file with a row a question: "score" and the outcomes "edge_correct",
    "cloud_correct", "judged_wrong", "disagrees", "edge_usd", "cloud_usd" as far as the target needs them; or
    what "confroute label --export" wrote, whose edge entropies are the scores unless --router is given.

    --risk is a promise about new questions; the other targets are met on DATA, with intervals. Where a target
    cannot be met, the command says why, leaves the router as it is and ends with exit code 3.

    --cascade fits the band of a CascadeRouter to money, on half of DATA, and tells its figures on the other
    half. It needs "score" (or --router), "signal_score", both outcomes, and the dollars of each call:
    "edge_usd", "cloud_usd" and "signal_usd".

    \b
    Examples:
      confroute calibrate held_out.parquet --router my-router --risk 0.1
      confroute calibrate held_out.csv --cascade --keep 0.95
    """
    from confroute.calibration import calibrate as run
    from confroute.evaluation import Costs
    from confroute.routers.trained import TrainedRouter

    if not cascade and (keep is not None or signal_usd is not None or drafts):
        raise click.UsageError("--keep, --signal-usd and --drafts go with --cascade")
    if cascade:
        targets = [name for name in _TARGETS if options[name] is not None]
        if targets:
            flags = ", ".join("--" + name.replace("_", "-") for name in targets)
            raise click.UsageError(f"--cascade fits to --keep: leave {flags} out")
        prices = {"edge_usd": edge_usd, "cloud_usd": cloud_usd, "signal_usd": signal_usd}
        keep = 0.95 if keep is None else keep
        _fit_cascade(
            data, router, encoder, held_out, out, prices, keep=keep, drafts=drafts, seed=options["seed"]
        )
        return
    by: Any = wrong_by if options["risk"] is not None else None  # click has checked the choice
    loaded = None if router is None else TrainedRouter.load(router, encoder=_encoder(encoder))
    table = _read(data, held_out, loaded, wrong_by=by, rated=options["quality"] is not None)
    edge = edge_usd if edge_usd is not None else table.edge_usd
    cloud = cloud_usd if cloud_usd is not None else table.cloud_usd
    if options["usd_per_1000"] is not None and (edge is None or cloud is None):
        raise click.UsageError(
            "--usd-per-1000 needs what an answer of each model costs: give --edge-usd and --cloud-usd, or "
            f"full columns 'edge_usd' and 'cloud_usd' in {data.name}"
        )
    n = len(table.scores)
    both = table.edge_quality is not None and table.cloud_quality is not None
    found = run(
        table.scores,
        edge_quality=table.edge_quality if both else None,
        cloud_quality=table.cloud_quality if both else None,
        costs=None if edge is None or cloud is None else Costs.of(_each(edge, n), _each(cloud, n)),
        wrong=table.wrong,
        wrong_by=by,
        data=data.name,
        scored_by=table.scored_by if router is None else _origin(router),
        **options,
    )
    _say(found.to_markdown(), table.dropped, table.settled)
    if out is not None:
        found.save(out)
    if not found.met:
        ctx.exit(_EXIT_UNMET)
    if router is not None:
        from confroute.calibration.folder import write_into

        write_into(router, found)
        click.echo(f"threshold written into {router}", err=True)


def _fit_cascade(
    data: Path,
    router: Path | None,
    encoder: str | None,
    held_out: float | None,
    out: Path | None,
    prices: dict[str, float | None],
    *,
    keep: float,
    drafts: bool,
    seed: int,
) -> None:
    from confroute.calibration import calibrate_cascade
    from confroute.calibration.table import cascade_data
    from confroute.routers.trained import TrainedRouter

    loaded = None if router is None else TrainedRouter.load(router, encoder=_encoder(encoder))
    rows = _rows(data, held_out, loaded)
    table = cascade_data(rows, prices=prices, scorer=None if loaded is None else loaded.score)
    found = calibrate_cascade(
        **table.columns,
        keep=keep,
        drafts=drafts,
        groups=table.questions,
        data=data.name,
        scored_by={} if router is None else _origin(router),
        seed=seed,
    )
    _say(found.to_markdown(), table.dropped, table.settled)
    if out is not None:
        found.save(out)


def _read(
    data: Path, held_out: float | None, router: TrainedRouter | None, *, wrong_by: Any, rated: bool
) -> CalibrationData:
    from confroute.calibration.table import calibration_data
    from confroute.uncertainty import default_equivalence

    return calibration_data(
        _rows(data, held_out, router),
        wrong_by=wrong_by,
        rated=rated,
        scorer=None if router is None else router.score,
        equivalence=default_equivalence,
    )


def _rows(data: Path, held_out: float | None, router: TrainedRouter | None) -> list[Row]:
    from confroute.calibration.table import held_out_rows, read_rows

    rows = read_rows(data)
    if held_out is not None:
        rows = held_out_rows(rows, held_out)
    return rows if router is None else _unseen(rows, router)


def _unseen(rows: list[Row], router: TrainedRouter) -> list[Row]:
    """Leave out the questions that the router was trained on: on them it is better than it will be."""
    from confroute.calibration.table import question_of
    from confroute.heads.storage import question_digest

    kept = [
        row
        for number, row in enumerate(rows, start=1)
        if question_digest(question_of(row, number)) not in router.trained_on
    ]
    if not kept:
        raise click.UsageError(
            f"all {len(rows)} questions trained this router, so that nothing can be told from them: train "
            "with --hold-out 0.3 and calibrate with --held-out 0.3, or give other questions"
        )
    if len(kept) < len(rows):
        click.echo(f"{len(rows) - len(kept)} questions left out: they trained the router", err=True)
    return kept


def _encoder(model: str | None) -> Any:
    from confroute.encoders import SentenceEncoder

    return None if model is None else SentenceEncoder(model)


def _origin(router: Path) -> dict[str, Any]:
    from confroute.heads.storage import read_folder

    config, _, _ = read_folder(router)
    pair = None if config.pair is None else config.pair.model_dump()
    return {"router": f"trained-{config.head}", "encoder": config.encoder, "pair": pair}


def _each(usd: Any, n: int) -> Any:
    return [usd] * n if isinstance(usd, float) else usd


def _say(page: str, dropped: int, settled: int) -> None:
    from confroute.evaluation.tables import SETTLED_EARLY

    click.echo(page)
    if settled:
        click.echo(f"{settled} rows left out: {SETTLED_EARLY}", err=True)
    if dropped:
        click.echo(f"{dropped} rows left out: their score, or a verdict that is needed, is unknown", err=True)
