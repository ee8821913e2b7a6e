"""Runs the demo's questions through ``prompt | ChatConfRoute | parser`` and shows what happened."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from confroute.decision import Usage
from confroute.errors import ConfRouteError, ModelError
from confroute.prices import with_price
from confroute.routers.confidence import ConfidenceRouter
from langchain_confroute._routing import DECISION_EVENT
from langchain_confroute._usage import is_local, name_of
from langchain_confroute.chat_models import ChatConfRoute
from langchain_confroute.demo.recorded import RecordedChat, questions, recording
from langchain_confroute.models import chat_model

MAX_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one question."""

    question: str
    answer: str
    decision: dict[str, Any]
    evidence: dict[str, Any] | None
    usage_by_model: dict[str, Usage]
    seconds: float


def run(*, edge: str, cloud: str | None, samples: int, threshold: float | None, as_json: bool) -> None:
    """Run the demo.

    Args:
        edge: Model string of the edge.
        cloud: Model string of the cloud; None for the recorded stand-in.
        samples: Further edge answers to draw at most, after the first.
        threshold: Cloud from this uncertainty on; None for the router's own.
        as_json: Print JSON lines instead of a report.

    Raises:
        ConfRouteError: If a model cannot be loaded or does not answer.
    """
    router = ConfidenceRouter(n_samples=samples, threshold=threshold, probe="brief")
    out, err = Console(highlight=False), Console(stderr=True)
    logging.getLogger("confroute").setLevel(logging.ERROR)  # the report says it in words
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    with bar:
        task = bar.add_task(f"loading {edge}", total=len(questions()))
        edge_model = chat_model(edge, max_tokens=MAX_TOKENS)
        cloud_model = RecordedChat() if cloud is None else chat_model(cloud)
        llm = ChatConfRoute(edge=edge_model, cloud=cloud_model, router=router, on_error="raise")
        if not as_json:
            _print_heading(out, edge_model, cloud_model)
        outcomes = []
        for question in questions():
            bar.update(task, description=f"asking: {question[:50]}")
            outcome = _ask(llm, question, edge, cloud)
            outcomes.append(outcome)
            bar.advance(task)
            if as_json:
                out.print(_json(outcome, cloud_model), soft_wrap=True, markup=False)
            else:
                _print_outcome(out, outcome)
    if not as_json:
        _print_summary(out, outcomes, edge_model, cloud_model)


class _Watch(BaseCallbackHandler):
    """Catches the decision as any application can: from its custom event."""

    def __init__(self) -> None:
        self.event: dict[str, Any] = {}

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        if name == DECISION_EVENT:
            self.event = data


def _ask(llm: ChatConfRoute, question: str, edge: str, cloud: str | None) -> Outcome:
    chain = ChatPromptTemplate.from_template("{question}") | llm | StrOutputParser()
    watch, usage = _Watch(), UsageMetadataCallbackHandler()
    start = time.perf_counter()
    try:
        answer = chain.invoke({"question": question}, config={"callbacks": [watch, usage]})
    except ConfRouteError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {str(error).rstrip('.')}"
        raise ModelError(
            f"no answer from {edge!r} or {cloud or 'the recording'!r}: {told}. "
            "Check that the servers run and that the keys are set"
        ) from error
    seconds = time.perf_counter() - start
    decision = dict(watch.event)
    evidence = decision.pop("evidence")
    counted = {
        name: Usage(input_tokens=tokens["input_tokens"], output_tokens=tokens["output_tokens"])
        for name, tokens in usage.usage_metadata.items()
    }
    return Outcome(question, answer, decision, evidence, counted, seconds)


def _json(outcome: Outcome, cloud: BaseChatModel) -> str:
    row = {
        "question": outcome.question,
        "route": outcome.decision["route"],
        "answer": outcome.answer,
        "evidence": outcome.evidence,
        "decision": outcome.decision,
        "usage": {name: usage.model_dump() for name, usage in outcome.usage_by_model.items()},
        "cloud_is_recorded": isinstance(cloud, RecordedChat),
        "seconds": round(outcome.seconds, 3),
    }
    return json.dumps(row, ensure_ascii=False)


def _print_heading(out: Console, edge: BaseChatModel, cloud: BaseChatModel) -> None:
    out.print(f"[bold]edge[/]   {escape(name_of(edge))}")
    out.print(f"[bold]cloud[/]  {escape(name_of(cloud))}")
    if isinstance(cloud, RecordedChat):
        out.print(
            f"       No cloud is asked: these answers were recorded from {recording()['recorded_with']}, a "
            "larger\n       open model. Name a live one with --cloud, for instance --cloud openai:gpt-5.",
            style="yellow",
        )
    out.print()


def _print_outcome(out: Console, outcome: Outcome) -> None:
    decision = outcome.decision
    colour = "green" if decision["route"] == "edge" else "cyan"
    out.print(f"[bold]{escape(outcome.question)}[/]")
    for line in _looked(outcome.evidence):
        out.print(f"  {escape(line)}", style="dim")
    out.print(f"  {escape(decision['reason'])}")
    out.print(f"  [{colour}]{decision['route']}:[/] {escape(' '.join(outcome.answer.split()))}\n")


def _looked(evidence: dict[str, Any] | None) -> list[str]:
    """Return the edge's first answer, then which further ones agree with it."""
    if evidence is None:
        return []
    first = f"first   {_shortened(evidence['answer'])}"
    if not evidence["others"]:
        return [first, "nothing more was drawn, since that settled it"]
    further = zip(evidence["others"], evidence["agrees"], strict=True)
    return [
        first,
        *(f"{'agrees ' if agrees else 'differs'} {_shortened(text)}" for text, agrees in further),
    ]


def _shortened(text: str, width: int = 60) -> str:
    flat = " ".join(text.split()) or "(nothing)"
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"


def _print_summary(out: Console, outcomes: list[Outcome], edge: BaseChatModel, cloud: BaseChatModel) -> None:
    to_cloud = [outcome for outcome in outcomes if outcome.decision["route"] == "cloud"]
    table = Table(title=f"{len(outcomes)} questions", show_header=False, title_justify="left")
    table.add_row("answered by the edge", str(len(outcomes) - len(to_cloud)))
    table.add_row("answered by the cloud", f"{len(to_cloud)} ({len(to_cloud) / len(outcomes):.0%})")
    spent, all_cloud, how = _cloud_usage(outcomes, to_cloud, cloud)
    if spent is not None and all_cloud is not None:
        table.add_row("cloud tokens, routed", f"{_tokens(spent):,}")
        table.add_row("cloud tokens, everything to the cloud", f"{_tokens(all_cloud):,} ({how})")
        table.add_row("cloud cost, routed", _dollars(spent))
        table.add_row("cloud cost, everything to the cloud", _dollars(all_cloud))
    edge_usage = [u for o in outcomes for name, u in o.usage_by_model.items() if name == name_of(edge)]
    edge_tokens = sum(_tokens(usage) for usage in edge_usage)
    cost = "no fee, it runs here" if is_local(edge) else "see its price list"
    table.add_row("edge tokens, looks included", f"{edge_tokens:,} ({cost})")
    table.add_row("time", f"{sum(outcome.seconds for outcome in outcomes):.0f} s")
    out.print(table)


def _cloud_usage(
    outcomes: list[Outcome], to_cloud: list[Outcome], cloud: BaseChatModel
) -> tuple[Usage | None, Usage | None, str]:
    """Return the cloud's usage as routed, that of sending it everything, and how the latter is known."""
    provider = cloud._get_ls_params().get("ls_provider")
    name = name_of(cloud)

    def priced(input_tokens: int, output_tokens: int) -> Usage:
        return with_price(Usage(input_tokens=input_tokens, output_tokens=output_tokens), name, provider)

    if isinstance(cloud, RecordedChat):
        rows = {row["question"]: row for row in recording()["questions"]}
        asked = [rows[outcome.question] for outcome in to_cloud]
        sums = [
            priced(sum(row["input_tokens"] for row in some), sum(row["output_tokens"] for row in some))
            for some in (asked, list(rows.values()))
        ]
        return sums[0], sums[1], "as recorded"
    edge_names = {key for o in outcomes if o.decision["route"] == "edge" for key in o.usage_by_model}
    used = [
        u for o in to_cloud for key, u in o.usage_by_model.items() if key not in edge_names or key == name
    ]
    if not used:
        return None, None, ""
    spent = [sum(getattr(u, kind) or 0 for u in used) for kind in ("input_tokens", "output_tokens")]
    scale = len(outcomes) / len(to_cloud)
    return (
        priced(*spent),
        priced(*(round(tokens * scale) for tokens in spent)),
        "estimated from the questions that it answered",
    )


def _tokens(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _dollars(usage: Usage) -> str:
    return "unknown: no list price for this model" if usage.usd is None else f"${usage.usd:.6f}"
