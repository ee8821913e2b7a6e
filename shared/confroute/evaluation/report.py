"""The report: ``metrics.json``, plots, a table of every question, and one HTML page for people."""

from __future__ import annotations

import base64
import csv
import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confroute._version import __version__
from confroute.errors import ConfigurationError, require
from confroute.evaluation import plots
from confroute.evaluation.bootstrap import Interval
from confroute.evaluation.caveats import caveats, percent, verdict
from confroute.evaluation.measure import Evaluation, Standing
from confroute.evaluation.outcomes import OPTIONAL
from confroute.evaluation.topics import Error, Topic, topics, worst_questions

METRICS, PAGE, QUESTIONS = "metrics.json", "report.html", "questions.csv"

_LONGEST_QUESTION = 280


@dataclass(frozen=True)
class Findings:
    """An evaluation with what explains it.

    Attributes:
        evaluation: What was measured.
        topics: Where the router loses most.
        missed: Its surest errors towards the edge.
        wasted: Its surest errors towards the cloud.
    """

    evaluation: Evaluation
    topics: list[Topic]
    missed: list[Error]
    wasted: list[Error]

    @classmethod
    def of(cls, evaluation: Evaluation) -> Findings:
        """Look for topics and worst questions.

        Raises:
            MissingExtraError: If scikit-learn is needed and not installed.
        """
        missed, wasted = worst_questions(evaluation)
        return cls(evaluation, topics(evaluation), missed, wasted)


def write_report(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write the report.

    Args:
        evaluation: What was measured.
        folder: Made if absent. Gets ``metrics.json``, ``questions.csv`` (a table that `read_outcomes` reads
            again), ``tradeoff``, ``money`` and ``calibration`` as ``.svg`` and ``.png``, and ``report.html``,
            which holds its plots in itself and needs no net.

    Returns:
        The path of the page.

    Raises:
        ConfigurationError: If the folder is a file.
        MissingExtraError: If a package for plots, topics or the page is not installed.
    """
    require("jinja2", extra="evaluate", purpose="Writing the report")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file: expected a folder for the report")
    found = Findings.of(evaluation)
    drawn = plots.draw(evaluation)
    page = render(found, drawn)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(metrics(found), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / METRICS).write_text(text + "\n", encoding="utf-8")
    _write_questions(evaluation, folder / QUESTIONS)
    plots.write(drawn, folder)
    path = folder / PAGE
    path.write_text(page, encoding="utf-8")
    return path


def metrics(found: Findings) -> dict[str, Any]:
    """Return every figure as plain JSON data; what is undefined or unknown is null."""
    evaluation = found.evaluation
    data, point = evaluation.outcomes, evaluation.point
    calibration = evaluation.calibration
    return {
        "confroute": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            "name": data.name,
            "n": data.n,
            "edge": data.edge,
            "cloud": data.cloud,
            "edge_quality": _json(evaluation.edge_quality),
            "cloud_quality": _json(evaluation.cloud_quality),
            "notes": list(data.notes),
        },
        "router": evaluation.router.name,
        "undefined": evaluation.undefined,
        "resamples": evaluation.n_resamples,
        "seed": evaluation.seed,
        "at_threshold": {
            "threshold": _number(point.threshold),
            "chosen_on_these_questions": not point.given,
            **{
                name: _json(getattr(point, name))
                for name in ("share", "quality", "kept", "pgr", "cost", "saving")
            },
            "seconds": _json(point.seconds[0]) if point.seconds else None,
            "seconds_all_cloud": _json(point.seconds[1]) if point.seconds else None,
        },
        "savings": [
            {
                "kept": one.kept,
                "share": _number(one.share),
                "calls": _json(one.calls),
                "money": _json(one.money),
            }
            for one in evaluation.savings
        ],
        "routers": [_standing(one) for one in evaluation.standings],
        "calibration": None
        if calibration is None
        else {
            "predicted": calibration.predicted.tolist(),
            "observed": calibration.observed.tolist(),
            "count": calibration.count.tolist(),
            "ece": calibration.ece,
        },
        "topics": [{**asdict(topic), "lost": _json(topic.lost)} for topic in found.topics],
        "caveats": caveats(evaluation),
    }


def _standing(one: Standing) -> dict[str, Any]:
    against = one.against
    return {
        "name": one.name,
        **{name: _json(figure) for name, figure in one.figures.items()},
        "dips": one.dips,
        "apgr_difference": _json(against.difference) if against else None,
        "p_value": _number(against.p_value) if against else None,
        "p_adjusted": _number(one.p_adjusted),
    }


def _json(figure: Interval | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {
        name: _number(value) if isinstance(value, float) else value for name, value in asdict(figure).items()
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _write_questions(evaluation: Evaluation, path: Path) -> None:
    data = evaluation.outcomes
    columns: dict[str, Any] = {
        "question": data.questions,
        "edge_quality": data.edge_quality,
        "cloud_quality": data.cloud_quality,
    }
    for name in OPTIONAL:
        if getattr(data, name) is not None:
            columns[name] = getattr(data, name)
    if data.topics is not None:
        columns["topic"] = data.topics
    columns["score"] = evaluation.router.scores
    columns["route"] = ["cloud" if up else "edge" for up in evaluation.to_cloud]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def render(found: Findings, drawn: dict[str, dict[str, bytes]]) -> str:
    """Return the page as HTML; every text of the data is escaped.

    Raises:
        MissingExtraError: If jinja2 is not installed.
    """
    require("jinja2", extra="evaluate", purpose="Writing the report")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("confroute.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        part=_part,
        figure=_figure,
        reach=_reach,
        reach_percent=lambda i: _reach(i, percent=True),
        money=_money,
        seconds=lambda i: f"{i.estimate:.2f} s",
        p=_p,
        cut=_cut,
        data_uri=_data_uri,
    )
    return environment.get_template("report.html.j2").render(
        e=found.evaluation,
        data=found.evaluation.outcomes,
        point=found.evaluation.point,
        topics=found.topics,
        missed=found.missed,
        wasted=found.wasted,
        plots=drawn,
        verdict=verdict(found.evaluation),
        caveats=caveats(found.evaluation),
        version=__version__,
        day=datetime.now(UTC).date().isoformat(),
    )


def _part(figure: Interval | None) -> str:
    """Write a part with its interval, as percentages."""
    if figure is None:
        return "unknown"
    if math.isnan(figure.estimate):
        return "undefined"
    return f"{100 * figure.estimate:.1f} % ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def _figure(figure: Interval | None) -> str:
    if figure is None or math.isnan(figure.estimate):
        return "undefined"
    return f"{figure.estimate:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _reach(figure: Interval, *, percent: bool = False) -> str:
    """Write an interval alone; nothing where no resample differs, which is no certainty."""
    if math.isnan(figure.low) or figure.low == figure.high:
        return ""
    scale, places, unit = (100, 0, " %") if percent else (1, 3, "")
    told = f"{scale * figure.low:.{places}f} to {scale * figure.high:.{places}f}{unit}"
    return f"{told}, undefined in {figure.undefined:.0%} of resamples" if figure.undefined else told


def _money(figure: Interval) -> str:
    """Write dollars per 1,000 questions."""
    return f"${1000 * figure.estimate:,.3g}" if figure.estimate < 1 else f"${1000 * figure.estimate:,.0f}"


def _p(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST_QUESTION else flat[: _LONGEST_QUESTION - 1] + "…"


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
