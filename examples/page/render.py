"""The page's panels as HTML. Whatever a model or a document says is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from confroute.execution.accounts import Stats
from examples.page.turn import About, Source, Turn

WAITING = '<p class="quiet">Asking the edge model…</p>'


def heading(about: About) -> str:
    """Return the title, the two models, and what must be known of them."""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in about.notes)
    return (
        f"<h1>Ask the documents</h1><p class='quiet'>{escape(about.framework)} · "
        f"<b class='edge'>edge</b> {escape(about.edge)} · "
        f"<b class='cloud'>cloud</b> {escape(about.cloud)}</p>{notes}"
    )


def verdict(turn: Turn) -> str:
    """Return who answers, how sure the edge was, and why."""
    if turn.decision is None:
        return WAITING
    decision = turn.decision
    route, told = decision["route"], f"<p>{escape(decision['reason'])}</p>"
    pinned = '<span class="badge private">private</span>' if decision["private"] else ""
    fell = ""
    if decision["fallback_from"]:
        fell = (
            f'<p class="note" id="fallback">The {decision["fallback_from"]} did not answer, so the {route} '
            f"did: {escape(str(decision['fallback_cause']))}</p>"
        )
    return f'<span class="badge {route}" id="route">{route}</span>{pinned}{_gauge(decision)}{told}{fell}'


def _gauge(decision: dict[str, Any]) -> str:
    score, threshold = decision["score"], decision["threshold"]
    if score is None or threshold is None:
        return ""
    at, mark = f"{100 * score:.0f}%", f"{100 * min(threshold, 1):.0f}%"
    bound = ("at least " if decision["route"] == "cloud" else "at most ") if decision["settled_early"] else ""
    told = f"uncertainty {bound}{score:.2f}, threshold {threshold:.2f}"
    return (
        f'<div class="gauge" role="img" aria-label="{told}">'
        f'<div class="fill {decision["route"]}{" bound" if bound else ""}" style="width:{at}"></div>'
        f'<div class="mark" style="left:{mark}"></div></div>'
        f'<p class="scale"><span>sure</span><span>{told}</span><span>unsure</span></p>'
    )


def look(turn: Turn) -> str:
    """Return the edge's first answer with its probability, and which further answers agree with it."""
    evidence = (turn.decision or {}).get("evidence")
    if not evidence:
        return '<p class="quiet">The edge was not looked at.</p>' if turn.decision else ""
    probability = evidence["probability"]
    sure = "" if probability is None else f" <small>probability {probability:.2f}</small>"
    lines = [f'<div class="answer first"><b>first</b><span>{_said(evidence["answer"])}{sure}</span></div>']
    for text, agrees in zip(evidence["others"], evidence["agrees"], strict=True):
        kind, mark = ("agrees", "✓ agrees") if agrees else ("differs", "✗ differs")
        lines.append(f'<div class="answer {kind}"><b>{mark}</b><span>{_said(text)}</span></div>')
    return "".join(lines) + f'<p class="quiet">{_end(evidence)}</p>'


def _end(evidence: dict[str, Any]) -> str:
    """Say why no more was drawn."""
    if evidence["problem"] is not None:
        return f"It cannot be used: it {escape(evidence['problem'])}."
    drawn, spare = len(evidence["others"]), evidence["n_further"] - len(evidence["others"])
    if not spare:
        return ""
    return (
        f"{spare} more would not change the verdict."
        if drawn
        else "Nothing more was drawn, since that settled it."
    )


def _said(text: str) -> str:
    return escape(" ".join(text.split())) or "(nothing)"


def sources(turn: Turn) -> str:
    """Return the passages, each to be opened."""
    if turn.sources is None:
        return ""
    if not turn.sources:
        return '<p class="quiet">No passage is about this question.</p>'
    return "".join(_source(i, source) for i, source in enumerate(turn.sources, 1))


def _source(number: int, source: Source) -> str:
    return (
        f"<details><summary>[{number}] {escape(source.name)}</summary><p>{escape(source.text)}</p></details>"
    )


def tally(stats: Stats) -> str:
    """Return what was asked, spent and saved so far."""
    edge = stats.calls - stats.cloud_calls
    facts = [
        ("questions", str(stats.calls)),
        ("edge", str(edge)),
        ("cloud", str(stats.cloud_calls)),
        ("spent", _dollars(stats.usd)),
        ("saved", _dollars(stats.usd_saved)),
    ]
    told = "".join(f'<div class="fact"><b id="{name}">{value}</b> {name}</div>' for name, value in facts)
    return f'<div class="facts">{told}</div>'


def _dollars(usd: float | None) -> str:
    return "unknown" if usd is None else f"${usd:.6f}" if abs(usd) < 0.01 else f"${usd:,.4f}"


def failure(error: Exception) -> str:
    """Return why there is no answer."""
    return f'<p class="note" id="error">No answer: {escape(str(error))}</p>'
