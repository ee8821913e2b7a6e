"""The report's plots, as SVG and PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confroute.errors import require
from confroute.evaluation.inference import wilson
from confroute.evaluation.measure import CONFIDENCE, LENGTH, ORACLE, RANDOM, Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = (5.0, 3.9)  # inches: small, so that letters stay readable on a phone
_DPI = 200
# Okabe and Ito's colours, which colour-blind readers can tell apart; dashes tell lines apart in print.
_ROUTER = "#0072B2"
_STYLES = {
    RANDOM: ("#888888", (0, (1, 2))),
    LENGTH: ("#E69F00", (0, (6, 2))),
    CONFIDENCE: ("#009E73", (0, (4, 1, 1, 1))),
    ORACLE: ("#444444", "-"),
}
_DOT: dict[str, Any] = {"marker": "o", "color": _ROUTER, "ms": 8, "mec": "white", "zorder": 5}
_OTHERS = ("#CC79A7", "#D55E00", "#56B4E9", "#B8A900")
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "confroute",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def draw(evaluation: Evaluation) -> dict[str, dict[str, bytes]]:
    """Draw what can be drawn.

    Args:
        evaluation: What was measured.

    Returns:
        ``tradeoff``, ``money`` where costs are known, ``calibration`` where scores lie in [0, 1]; each as
        ``svg`` and ``png``.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    require("matplotlib", extra="evaluate", purpose="Drawing plots")
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figures = {"tradeoff": _tradeoff(evaluation)}
        if evaluation.router.costs is not None:
            figures["money"] = _money(evaluation)
        if evaluation.calibration is not None:
            figures["calibration"] = _calibration(evaluation)
        return {name: _drawn(figure) for name, figure in figures.items()}


def write(plots: dict[str, dict[str, bytes]], folder: Path) -> list[Path]:
    """Write the plots into a folder and return their paths."""
    paths = []
    for name, kinds in plots.items():
        for kind, data in kinds.items():
            path = folder / f"{name}.{kind}"
            path.write_bytes(data)
            paths.append(path)
    return paths


def _figure() -> tuple[Figure, Any]:
    from matplotlib.figure import Figure  # without pyplot: no screen, and nothing kept between calls

    figure = Figure(figsize=_SIZE, layout="constrained")
    return figure, figure.add_subplot()


def _drawn(figure: Figure) -> dict[str, bytes]:
    drawn = {}
    for kind in ("svg", "png"):
        buffer = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
        figure.set_layout_engine("none")  # what the first drawing has laid out stays
        drawn[kind] = buffer.getvalue()
    return drawn


def _tradeoff(evaluation: Evaluation) -> Figure:
    figure, axes = _figure()
    share, low, high = evaluation.band
    axes.fill_between(100 * share, low, high, color=_ROUTER, alpha=0.15, linewidth=0)
    _lines(evaluation, axes, money=False)
    axes.plot(100 * evaluation.point.share.estimate, evaluation.point.quality.estimate, **_DOT)
    axes.set_xlabel("Questions sent to the cloud (%)")
    axes.set_ylabel("Mean quality of the answers")
    axes.set_xlim(-2, 102)
    _legend(figure, axes)
    return figure


def _money(evaluation: Evaluation) -> Figure:
    figure, axes = _figure()
    _lines(evaluation, axes, money=True)
    point = evaluation.point
    if point.cost is not None:
        axes.plot(1000 * point.cost.estimate, point.quality.estimate, **_DOT)
    everything = evaluation.standings[0].curve.all_cloud_cost
    if everything is not None:
        quality = evaluation.cloud_quality.estimate
        axes.plot(1000 * everything, quality, "s", color="#222222", ms=6, label="all to the cloud")
    axes.set_xlabel("US dollars per 1,000 questions")
    axes.set_ylabel("Mean quality of the answers")
    axes.set_xlim(left=0)
    _legend(figure, axes)
    return figure


def _lines(evaluation: Evaluation, axes: Any, *, money: bool) -> None:
    others = iter(_OTHERS * len(evaluation.standings))
    for standing in reversed(evaluation.standings):
        curve = standing.curve
        own = standing is evaluation.standings[0]
        colour, dashes = (_ROUTER, "-") if own else _STYLES.get(standing.name) or (next(others), "-")
        if money and curve.cost is None:
            continue
        x = 1000 * curve.cost if money and curve.cost is not None else 100 * curve.share
        label = f"{standing.name} (this router)" if own else standing.name
        axes.plot(x, curve.quality, color=colour, linestyle=dashes, lw=2.2 if own else 1.4, label=label)


def _legend(figure: Figure, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=2)


def _calibration(evaluation: Evaluation) -> Figure:
    figure, axes = _figure()
    told = evaluation.calibration
    if told is not None:
        low, high = wilson(told.observed, told.count)
        reach = (told.observed - low, high - told.observed)
        size = 20 + 180 * told.count / told.count.max()
        axes.plot([0, 1], [0, 1], color="#888888", linestyle=(0, (1, 2)), label="a perfect probability")
        axes.errorbar(told.predicted, told.observed, yerr=reach, fmt="none", ecolor=_ROUTER, alpha=0.5)
        axes.scatter(
            told.predicted, told.observed, s=size, color=_ROUTER, alpha=0.8, label="scores (area: questions)"
        )
    axes.axvline(min(max(evaluation.point.threshold, 0), 1), color="#D55E00", lw=1.2, label="threshold")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("Score: “the cloud is needed”")
    axes.set_ylabel("How often the cloud’s answer was better")
    _legend(figure, axes)
    return figure
