"""The layout of the paper's Table 1, with our figures beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Mapping

from confroute.evaluation.bootstrap import Interval

BENCHMARKS = ("MT-Bench", "GSM8K", "MMLU")
HEADS = {
    "similarity-weighted": "SW",
    "matrix-factorization": "MF",
    "knn": "kNN",
    "mlp": "MLP",
}
RANDOM = "random"

PAPER: dict[tuple[str, str], tuple[float, ...]] = {
    ("Random", ""): (51.29, 78.55, 48.79, 80.16, 50.04, 79.32),
    ("TO-Router", "kNN"): (59.72, 90.39, 47.93, 79.03, 43.73, 77.74),
    ("TO-Router", "MLP"): (49.15, 86.67, 51.03, 77.77, 44.01, 77.43),
    ("RouteLLM", "SW"): (56.08, 78.37, 46.03, 79.58, 47.41, 74.23),
    ("RouteLLM", "MF"): (55.59, 84.12, 49.07, 80.09, 58.55, 83.68),
    ("Confidence-driven", "SW"): (27.31, 55.61, 48.03, 80.41, 37.96, 73.85),
    ("Confidence-driven", "MF"): (42.94, 63.53, 41.89, 75.34, 50.06, 78.38),
    ("Confidence-driven", "kNN"): (60.84, 81.50, 44.08, 76.32, 42.70, 75.28),
    ("Confidence-driven", "MLP"): (35.54, 74.92, 50.04, 79.79, 57.07, 83.27),
}
"""CPT(50 %) and CPT(80 %) on each of `BENCHMARKS`, in percent of calls (arXiv 2502.11021, Table 1)."""

Figures = Mapping[str, Interval]


def render_table1(ours: Mapping[str, Mapping[str, Figures]], *, system: str = "confroute") -> str:
    """Write Table 1 in Markdown: CPT in percent of calls to the cloud, less is better.

    Args:
        ours: By router (``random`` or one of `HEADS`) and benchmark (one of `BENCHMARKS`), figures with
            ``cpt50`` and ``cpt80`` as `bootstrap_curve` gives them. What is absent is written as n/a.
        system: What our rows are called.
    """
    targets = [f"{name} CPT({part} %)" for name in BENCHMARKS for part in (50, 80)]
    lines = [_line(["system", "router", *targets]), _line(["---"] * (2 + len(targets)))]
    lines += [
        _line([f"{who} (paper)", head, *(f"{value:.2f}" for value in values)])
        for (who, head), values in PAPER.items()
    ]
    for router, short in {RANDOM: "random", **HEADS}.items():
        found = ours.get(router, {})
        cells = [_cell(found.get(name, {}).get(f"cpt{part}")) for name in BENCHMARKS for part in (50, 80)]
        lines.append(_line([system, short, *cells]))
    counts = {
        name: figures["cpt50"].n for by_name in ours.values() for name, figures in by_name.items() if figures
    }
    told = ", ".join(f"{name} {counts[name]:,}" for name in BENCHMARKS if name in counts)
    absent = [name for name in BENCHMARKS if name not in counts]
    note = f"n of our rows: {told or 'none'}." + (f" n/a: {', '.join(absent)} not at hand." if absent else "")
    return "\n".join([*lines, "", note])


def _cell(figure: Interval | None) -> str:
    if figure is None:
        return "n/a"
    if math.isnan(figure.estimate):
        return "undefined"
    return f"{100 * figure.estimate:.2f} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
