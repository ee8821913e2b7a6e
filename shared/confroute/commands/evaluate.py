"""``confroute evaluate``: was it worth it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from confroute.evaluation.measure import Signal
    from confroute.evaluation.outcomes import Outcomes

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DEFAULT_ROUTER = "confidence"
_ROUTERS = (_DEFAULT_ROUTER, "entropy", "self-check")
_BENCHMARKS = ("mmlu", "gsm8k", "mt-bench")
_EXIT_DRIFT = 4


@click.command("evaluate", no_args_is_help=True)
@click.option("--table", type=_FILE, help="Outcomes of any pair of models, with scores of any router.")
@click.option("--benchmark", type=click.Choice(_BENCHMARKS), help="A public benchmark, by name.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the benchmark, in RouteLLM's layout.  [default: fetched once]",
)
@click.option("--questions", type=_FILE, help='Questions for two live models, with "answers" where known.')
@click.option("--edge", metavar="MODEL", help="The live edge model, such as ollama:qwen2.5:1.5b.")
@click.option("--cloud", metavar="MODEL", help="The live cloud model, such as openai:gpt-5.")
@click.option("--judge", metavar="MODEL", help="Grades answers of live models that no gold answers settle.")
@click.option(
    "--router",
    metavar="FOLDER",
    help="A saved router; with live models also confidence, entropy or self-check.  [default: confidence]",
)
@click.option("--encoder", help="The saved router's encoder from another place, such as a folder.")
@click.option("--threshold", type=float, help="Its threshold.  [default: the router's own]")
@click.option(
    "--keep",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Where no threshold is known: part of the cloud's quality to keep.",
)
@click.option("--drafts", is_flag=True, help="The router of the table reads the edge's answer first.")
@click.option("--cache", type=click.Path(dir_okay=False, path_type=Path), help="Keeps live replies.")
@click.option("--prices", type=_FILE, help="JSON: model to input and output dollars per million tokens.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many questions.")
@click.option("--resamples", type=click.IntRange(min=100), default=1000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("evaluation"),
    show_default=True,
    help="Folder for metrics.json, the plots and report.html.",
)
@click.option("--watch", type=_FILE, metavar="LOG", help="Look for drift in a log of decisions instead.")
@click.option(
    "--reference",
    type=_FILE,
    help="With --watch: calibration scores (a table with a column score, such as questions.csv), an earlier "
    "log, or calibration.json.  [default: that of --router]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(table: Path | None, watch: Path | None, out: Path, as_json: bool, **options: Any) -> None:
    """Tell whether routing is worth it, on your own data.

    \b
    A router of any make, by a table with question, edge_quality, cloud_quality and score:
      confroute evaluate --table outcomes.csv
    A saved router on a public benchmark:
      confroute evaluate --router FOLDER --benchmark mmlu
    Two live models:
      confroute evaluate --questions q.jsonl --edge ollama:qwen2.5:1.5b --cloud openai:gpt-5 --cache q.sqlite
    Decisions of the last days, against calibration (exit code 4: drift):
      confroute evaluate --watch decisions.jsonl --reference evaluation/questions.csv

    Writes metrics.json, plots and one HTML page into --out. Tables may also have edge_cost, cloud_cost,
    decision_cost (US dollars), edge_seconds, cloud_seconds, edge_logprob, topic, and score_NAME of other
    routers.
    """
    if watch is not None:
        _watch(watch, options, as_json=as_json)
        return
    chosen = [name for name in ("benchmark", "questions") if options[name] is not None]
    if (table is not None) + len(chosen) != 1:
        raise click.UsageError("give one of --table, --benchmark, --questions or --watch")
    if options["questions"] is not None:
        outcomes, signal, threshold = _live(options)
    else:
        outcomes, signal, threshold = _recorded(table, options)
    _report(outcomes, signal, threshold, out, options, as_json=as_json)


def _report(
    outcomes: Outcomes,
    signal: Signal,
    threshold: float | None,
    out: Path,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from confroute.evaluation.caveats import verdict
    from confroute.evaluation.measure import Signal as OtherSignal
    from confroute.evaluation.measure import evaluate as measure
    from confroute.evaluation.report import METRICS, write_report

    others = [
        OtherSignal(name, scores, outcomes.costs())
        for name, scores in outcomes.scores.items()
        if name != "score"
    ]
    found = measure(
        outcomes,
        signal,
        others=others,
        threshold=threshold if options["threshold"] is None else options["threshold"],
        keep=options["keep"],
        n_resamples=options["resamples"],
        seed=options["seed"],
    )
    page = write_report(found, out)
    if as_json:
        click.echo((out / METRICS).read_text(encoding="utf-8"), nl=False)
        return
    click.echo(f"{outcomes.name}, n = {outcomes.n}, intervals of 95 %")
    click.echo(verdict(found))
    for one in found.standings:
        told = ", ".join(f"{name} {figure}" for name, figure in one.figures.items())
        click.echo(f"  {one.name}: {told}")
    click.echo(f"report: {page}", err=True)


def _recorded(table: Path | None, options: dict[str, Any]) -> tuple[Outcomes, Signal, float | None]:
    from confroute.evaluation.benchmarks import CLOUD, EDGE, load_benchmark
    from confroute.evaluation.measure import Signal
    from confroute.evaluation.outcomes import read_outcomes

    if table is not None:
        outcomes = read_outcomes(table)
    else:
        models = {"edge": options["edge"] or EDGE, "cloud": options["cloud"] or CLOUD}
        outcomes = load_benchmark(options["benchmark"], options["data"], **models)
    if options["limit"] is not None:
        raise click.UsageError("--limit is for live models: a part of a benchmark misleads")
    if options["router"] is not None:
        router = _saved(options)
        click.echo(f"scoring {outcomes.n} questions", err=True)
        scores = router.score(outcomes.questions)
        name = f"{router.head.name}, trained"
        threshold = router.threshold_of(router.scale)
        return outcomes, Signal(name, scores, outcomes.costs(), outcomes.seconds()), threshold
    if "score" not in outcomes.scores:
        raise click.UsageError(
            "there is nothing to evaluate: give --router, or a table with the column 'score'"
        )
    drafts = options["drafts"]
    return (
        outcomes,
        Signal(
            "score",
            outcomes.scores["score"],
            outcomes.costs(drafts=drafts, deciding=outcomes.decision_cost),
            outcomes.seconds(drafts=drafts, deciding=outcomes.decision_seconds),
        ),
        None,
    )


def _live(options: dict[str, Any]) -> tuple[Outcomes, Signal, float | None]:
    from confroute.evaluation.live import evaluate_live, read_questions
    from confroute.evaluation.measure import Signal
    from confroute.labelling.money import read_prices

    if not (options["edge"] and options["cloud"]):
        raise click.UsageError("give --edge and --cloud: the two live models")
    live = evaluate_live(
        read_questions(options["questions"])[: options["limit"]],
        edge=options["edge"],
        cloud=options["cloud"],
        router=_router(options),
        judge_model=options["judge"],
        name=options["questions"].name,
        cache=options["cache"],
        prices=read_prices(options["prices"]) if options["prices"] else None,
    )
    if live.judgement is not None:
        told = live.judgement
        cost = "an unknown sum" if told.spent.usd is None else f"${told.spent.usd:.4f}"
        click.echo(f"{told.judge}: {told.asked} grades, {told.unread} unread, {cost} spent now", err=True)
    data = live.outcomes
    money = (
        data.costs(drafts=live.drafts, deciding=data.decision_cost)
        if data.decision_cost is not None
        else None
    )
    time = data.seconds(drafts=live.drafts, deciding=data.decision_seconds)
    return data, Signal(options["router"] or _DEFAULT_ROUTER, live.scores, money, time), live.threshold


def _router(options: dict[str, Any]) -> Any:
    from confroute.routers.confidence import ConfidenceRouter
    from confroute.routers.entropy import EntropyRouter
    from confroute.routers.self_check import SelfCheckRouter

    makers: dict[str, Any] = {
        "confidence": lambda: ConfidenceRouter(probe="brief"),
        "entropy": lambda: EntropyRouter(probe="brief"),
        "self-check": SelfCheckRouter,
    }
    maker = makers.get(options["router"] or _DEFAULT_ROUTER)
    return maker() if maker is not None else _saved(options)


def _saved(options: dict[str, Any]) -> Any:
    from confroute.encoders import SentenceEncoder
    from confroute.routers.trained import load_router

    if options["router"] in _ROUTERS:
        raise click.UsageError(
            f"the router {options['router']!r} must ask a live edge model: give --questions, --edge and "
            "--cloud, or a table with its scores"
        )
    encoder = SentenceEncoder(options["encoder"]) if options["encoder"] else None
    return load_router(options["router"], encoder=encoder)


def _watch(log: Path, options: dict[str, Any], *, as_json: bool) -> None:
    import json

    from confroute.evaluation.drift import drift, read_log, read_reference

    reference = options["reference"]
    if reference is None and options["router"] is not None:
        reference = Path(options["router"]) / "calibration.json"
    if reference is None:
        raise click.UsageError("give --reference: what the log is held against")
    logged, skipped = read_log(log)
    found = drift(
        logged,
        read_reference(reference),
        skipped=skipped,
        n_resamples=options["resamples"],
        seed=options["seed"],
    )
    click.echo(json.dumps(found.to_dict()) if as_json else found.to_text())
    raise SystemExit(_EXIT_DRIFT if found.drifted else 0)
