"""What `examples.measure` prints: tables of quality, calls and time, with 95 % bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from confroute.evaluation.bootstrap import Interval, interval_of
from confroute.evaluation.inference import mean_interval, resampled_means

Row = dict[str, Any]
Cuts = Mapping[tuple[str, str], float]
HEADER = (
    "right, %",
    "to the cloud, %",
    "timed",
    "edge calls",
    "seconds",
    "seconds to the first token",
    "times the edge alone",
)


def told(scores: Sequence[Row], times: Sequence[Row], cuts: Cuts, columns: Mapping[str, str]) -> str:
    """Return all tables.

    Args:
        scores: One row a question, with the qualities of both models and the scores.
        times: One row a question and way.
        cuts: The threshold of each way of routing and question.
        columns: The column of the score of each way of routing.
    """
    looked_at = {row["question"] for row in scores if row["brief"]["scale"] is not None}
    some = [row for row in scores if row["question"] in looked_at]
    timed = [row for row in times if row["question"] in looked_at]
    return "\n".join(
        [
            *_ways(scores, times, cuts, columns),
            "",
            f"Of these, the {len(some)} questions for which something was retrieved:",
            "",
            *_ways(some, timed, cuts, columns),
            "",
            *_kinds(scores, cuts, columns),
            "",
            *_scales(scores),
        ]
    )


def routed_right(row: Row, way: str, cuts: Cuts, columns: Mapping[str, str]) -> tuple[float, bool]:
    """Return the quality of what a way of routing hands out, and whether the cloud answers."""
    if row[columns[way]] >= cuts[way, row["question"]]:
        return row["cloud_quality"], True
    return row["full_quality" if way == "full" else "edge_quality"], False


def ratio(over: Sequence[float], under: Sequence[float]) -> Interval:
    """Return the ratio of the means of two numbers per question, shape [n] each, with its interval."""
    both = np.array([over, under], dtype=np.float64).T
    draws = resampled_means(both)
    return interval_of(float(both[:, 0].mean() / both[:, 1].mean()), draws[:, 0] / draws[:, 1], len(both))


def _ways(scores: Sequence[Row], times: Sequence[Row], cuts: Cuts, columns: Mapping[str, str]) -> list[str]:
    lines = [f"| way | {' | '.join(HEADER)} |", "|" + " --- |" * (len(HEADER) + 1)]
    alone = {row["question"]: row["seconds"] for row in times if row["way"] == "edge"}
    for way in ("edge", "cloud", *columns):
        if way in columns:
            found = [routed_right(row, way, cuts, columns) for row in scores]
            right, share = [one[0] for one in found], f"{np.mean([one[1] for one in found]):.0%}"
        else:
            right, share = [row[f"{way}_quality"] for row in scores], "0%" if way == "edge" else "100%"
        mine = [row for row in times if row["way"] == way]
        shared = [row for row in mine if row["question"] in alone]
        against = ""
        if shared and way != "edge":
            against = _span(
                ratio([row["seconds"] for row in shared], [alone[row["question"]] for row in shared]), ".2f"
            )
        cells = [_mean(right, ".0f", 100.0), share]
        cells += [str(len(mine)), *(_column(mine, name) for name in ("calls", "seconds", "first")), against]
        lines.append(f"| {way}{' only' if way in ('edge', 'cloud') else ''} | {' | '.join(cells)} |")
    return lines


def _kinds(scores: Sequence[Row], cuts: Cuts, columns: Mapping[str, str]) -> list[str]:
    lines = [
        "| kind | n | edge right | cloud right | routed right (brief) | to the cloud |",
        "|" + " --- |" * 6,
    ]
    for kind in sorted({row["topic"] for row in scores}):
        some = [row for row in scores if row["topic"] == kind]
        found = [routed_right(row, "brief", cuts, columns) for row in some]
        rates = [
            np.mean([row["edge_quality"] for row in some]),
            np.mean([row["cloud_quality"] for row in some]),
            np.mean([one[0] for one in found]),
            np.mean([one[1] for one in found]),
        ]
        lines.append(f"| {kind} | {len(some)} | {' | '.join(f'{rate:.0%}' for rate in rates)} |")
    return lines


def _scales(scores: Sequence[Row]) -> list[str]:
    """Return how many looks fell on each scale."""
    lines = []
    for probe in ("brief", "full"):
        scales = [row[probe]["scale"] or "not looked at" for row in scores]
        found = "; ".join(f"{scale} {scales.count(scale)}" for scale in sorted(set(scales)))
        lines.append(f"- scales of the {probe} looks: {found}")
    return lines


def _column(rows: Sequence[Row], name: str) -> str:
    return _mean([row[name] for row in rows], ".1f") if rows else ""


def _mean(values: Sequence[float], form: str, scale: float = 1.0) -> str:
    return _span(mean_interval([scale * value for value in values]), form)


def _span(found: Interval, form: str) -> str:
    return f"{found.estimate:{form}} [{found.low:{form}}, {found.high:{form}}]"
