"""``confroute label``: draw answers from two models, derive who should have answered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from confroute.labelling import LabelRun, LabelSettings
    from confroute.uncertainty import Equivalence

_FILE = click.Path(dir_okay=False, path_type=Path)
_EXIT_INTERRUPTED = 130
_EXIT_INCOMPLETE = 3


@click.command("label")
@click.argument("questions", type=_FILE, required=False)
@click.option("--edge", metavar="MODEL", help="The edge model, such as ollama:qwen2.5:1.5b.")
@click.option("--cloud", metavar="MODEL", help="The cloud model, such as openai:gpt-5.")
@click.option("--store", type=_FILE, help="The SQLite file of the run; made if absent.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many questions.")
@click.option(
    "-n",
    "--samples",
    "n",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Sampled answers per model and question, beside one greedy answer.",
)
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True)
@click.option("--top-p", type=click.FloatRange(min=0, max=1, min_open=True), default=0.9, show_default=True)
@click.option("--top-k", type=click.IntRange(min=0), default=50, show_default=True, help="0 for no limit.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=32, show_default=True, help="Longest answer."
)
@click.option("--instruction", help="System prompt; the default asks for the answer alone.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Most requests in flight per model.",
)
@click.option("--prices", type=_FILE, help="JSON: model to input and output dollars per million tokens.")
@click.option("--max-usd", type=click.FloatRange(min=0, min_open=True), help="Most that the run may cost.")
@click.option(
    "--equivalence",
    metavar="NAME",
    help="When two answers mean the same: default, exact, embedding, nli, nli:CHECKPOINT or llm:MODEL.",
)
@click.option("--rule", type=click.Choice(["difference", "paper"]), help="[default: difference]")
@click.option("--tau", type=click.FloatRange(min=0), help="Threshold of the rule.  [default: 0.1]")
@click.option(
    "--estimator",
    type=click.Choice(["likelihood", "discrete", "paper"]),
    help="Of both entropies.  [default: likelihood; paper with --rule paper]",
)
@click.option("--export", "export", type=_FILE, help="Write the run to a .parquet or .jsonl file.")
@click.option("--import", "import_", type=_FILE, help="Begin with the answers of an export.")
@click.option("--card", type=_FILE, help="Write what was found, per source, to a Markdown file.")
@click.option("--status", type=_FILE, metavar="STORE", help="Say what is in a store, and do nothing else.")
def label(
    questions: Path | None,
    edge: str | None,
    cloud: str | None,
    store: Path | None,
    limit: int | None,
    export: Path | None,
    import_: Path | None,
    card: Path | None,
    status: Path | None,
    **options: Any,
) -> None:
    """Label QUESTIONS with the model that should have answered each.

    Draws answers from an edge and a cloud model, clusters them by meaning and compares the entropies.
    QUESTIONS is a JSONL file with "question" and, where known, "id", "answers" and "dataset" in each line.

    The run can be stopped at any moment, even by kill -9: the same command goes on where it was. With --store
    alone, labels are made anew under other label settings, without asking a model.
    """
    if status is not None:
        _say_status(status)
        return
    if store is None:
        raise click.UsageError("give --store: the SQLite file that keeps the run")
    if questions is not None and not (edge and cloud):
        raise click.UsageError("give --edge and --cloud: the two models to ask")
    if questions is None and (edge or cloud):
        raise click.UsageError("give QUESTIONS, a JSONL file, to ask the models")
    if import_ is not None:
        _import(import_, store)
    if questions is not None:
        run = _run(questions, edge or "", cloud or "", store, limit, options)
        exit_code = _say_outcome(run, store)
    else:
        exit_code = _relabel(store, options)
    _say_judge(store)
    if export is not None or card is not None:
        _write(store, export, card)
    raise SystemExit(exit_code)


def _run(
    questions: Path, edge: str, cloud: str, store: Path, limit: int | None, options: dict[str, Any]
) -> LabelRun:
    from confroute.labelling import SamplingSettings
    from confroute.labelling import label as run_label
    from confroute.labelling.progress import ConsoleProgress

    fields = {name: options[name] for name in ("n", "temperature", "top_p", "max_tokens")}
    if options["instruction"] is not None:
        fields["instruction"] = options["instruction"]
    try:
        return run_label(
            questions,
            edge=edge,
            cloud=cloud,
            store=store,
            sampling=SamplingSettings(top_k=options["top_k"] or None, **fields),
            labels=_label_settings(options),
            equivalence=_equivalence(options["equivalence"] or "default"),
            concurrency=options["concurrency"],
            limit=limit,
            **_money(options),
            progress=ConsoleProgress(),
        )
    except KeyboardInterrupt:  # a second one, or one before the first request
        click.echo("left at once; give the same command again to go on", err=True)
        os._exit(_EXIT_INTERRUPTED)  # without waiting for requests in flight, which the store survives


def _relabel(store: Path, options: dict[str, Any]) -> int:
    """Label under the options given; without any, go on under the settings of the labels that are there."""
    from confroute.labelling import Store, relabel
    from confroute.labelling.labels import described, written_label_settings
    from confroute.labelling.money import SpendCapError

    equivalence = _equivalence(options["equivalence"] or "default")
    settings = _label_settings(options)
    if all(options[name] is None for name in ("rule", "tau", "estimator", "equivalence")):
        with Store(store, read_only=True) as opened:
            written, judge = written_label_settings(opened)
        if judge not in (None, described(equivalence)):
            click.echo(f"labels made with {judge} stay as they are; --equivalence makes them anew", err=True)
            return 0
        settings = written or settings
    try:
        n_labels = relabel(store, labels=settings, equivalence=equivalence, **_money(options))
    except SpendCapError as error:
        click.echo(str(error), err=True)
        return _EXIT_INCOMPLETE
    click.echo(f"{n_labels} labels in {store}", err=True)
    return 0


def _money(options: dict[str, Any]) -> dict[str, Any]:
    from confroute.labelling.money import read_prices

    prices = read_prices(options["prices"]) if options["prices"] else None
    return {"prices": prices, "max_usd": options["max_usd"]}


def _label_settings(options: dict[str, Any]) -> LabelSettings:
    from confroute.labelling import LabelSettings

    given = {name: options[name] for name in ("rule", "tau", "estimator") if options[name] is not None}
    if given.get("rule") == "paper":
        given.setdefault("estimator", "paper")
    return LabelSettings(**given)


def _equivalence(name: str) -> Equivalence:
    from confroute import uncertainty
    from confroute.models import load_model

    kind, _, rest = name.partition(":")
    if name == "default":
        return uncertainty.default_equivalence()
    if name == "exact":
        return uncertainty.ExactEquivalence()
    if name == "embedding":
        return uncertainty.EmbeddingEquivalence()
    if kind == "nli":
        return uncertainty.NLIEquivalence(rest) if rest else uncertainty.NLIEquivalence()
    if kind == "llm" and rest:
        return uncertainty.LLMEquivalence(load_model(rest))
    raise click.BadParameter(
        f"{name!r}: expected default, exact, embedding, nli, nli:CHECKPOINT or llm:MODEL",
        param_hint="--equivalence",
    )


def _say_status(store: Path) -> None:
    from confroute.labelling import Store
    from confroute.labelling.status import status

    with Store(store, read_only=True) as opened:
        click.echo(status(opened))


def _say_judge(store: Path) -> None:
    from confroute.labelling import Store
    from confroute.labelling.status import judge_told

    with Store(store, read_only=True) as opened:
        if told := judge_told(opened):
            click.echo(f"the judge of equivalence so far: {told}", err=True)


def _say_outcome(run: LabelRun, store: Path) -> int:
    drawing = run.drawing
    click.echo(f"{drawing.received} answers received; all that was received is in {store}", err=True)
    if drawing.interrupted:
        click.echo("interrupted: give the same command again to go on", err=True)
        return _EXIT_INTERRUPTED
    click.echo(f"{run.n_labels} questions labelled", err=True)
    if drawing.capped:
        click.echo("the spend cap is reached: raise --max-usd and give the command again to go on", err=True)
    if drawing.failed:
        click.echo(
            f"{len(drawing.failed)} requests failed, the last with: {drawing.failed[-1]}\n"
            "give the same command again to try them again",
            err=True,
        )
    return 0 if run.finished else _EXIT_INCOMPLETE


def _import(path: Path, store: Path) -> None:
    from confroute.labelling import Store
    from confroute.labelling.export import import_run

    with Store(store) as opened:
        added = import_run(opened, path)
    click.echo(f"{added} answers added to {store} from {path}", err=True)


def _write(store: Path, export: Path | None, card: Path | None) -> None:
    from confroute.labelling import Store

    with Store(store, read_only=True) as opened:
        if export is not None:
            from confroute.labelling.export import export_run

            click.echo(f"{export_run(opened, export)} questions written to {export}", err=True)
        if card is not None:
            from confroute.labelling.card import write_card

            write_card(opened, card)
            click.echo(f"findings written to {card}", err=True)
