"""What a labelling run found, per source of its questions, as Markdown.

Says for each source how often each model is right, how much each doubts, whom the labels prefer at which τ,
and how well each model's doubt tells its own errors from its right answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from confroute.decision import Route, Sample
from confroute.errors import ConfigurationError
from confroute.evaluation import auroc
from confroute.labelling.labels import preference, written_label_settings
from confroute.labelling.settings import ROLES, LabelSettings, SamplingSettings
from confroute.labelling.store import Store
from confroute.uncertainty import SemanticEntropy, entropy_of

TAUS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
_Z = 1.959964  # 97.5 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Side:
    """What one model showed on one question.

    Attributes:
        entropy: Semantic entropy of its samples, as labelled.
        exact: Entropy over equal strings, by the same estimator.
        doubt: Minus the mean token log-prob of the greedy answer, in nats; None where unknown.
        right: Whether the greedy answer is right; None without gold answers.
    """

    entropy: SemanticEntropy
    exact: SemanticEntropy
    doubt: float | None
    right: bool | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One labelled question."""

    id: str
    question: str
    source: str
    sides: dict[Route, Side]


def findings(store: Store) -> list[Finding]:
    """Return what a run found on each labelled question.

    Raises:
        ConfigurationError: If nothing is labelled yet.
    """
    rows = store.rows("SELECT question, edge_correct, cloud_correct FROM label ORDER BY question")
    if not rows:
        raise ConfigurationError(f"nothing to tell: {store.path} has no labels yet")
    right: dict[tuple[int, Route], bool | None] = {}
    for position, *verdicts in rows:
        for role, verdict in zip(ROLES, verdicts, strict=True):
            right[position, role] = None if verdict is None else bool(verdict)
    entropies = {
        (position, role): (entropy, normalized, estimator)
        for position, role, entropy, normalized, estimator in store.rows("SELECT * FROM entropy")
    }
    greedy: dict[tuple[int, Route], Sample] = {}
    samples: dict[tuple[int, Route], list[Sample]] = {key: [] for key in right}
    for stored in store.samples([position for position, *_ in rows]):
        key = (stored.draw.position, stored.draw.role)
        if stored.draw.kind == "greedy":
            greedy[key] = stored.sample
        else:
            samples[key].append(stored.sample)
    found = []
    questions = store.questions()
    for position, *_ in rows:
        sides = {
            role: _side(samples[position, role], greedy[position, role], entropies[position, role], verdict)
            for role in ROLES
            for verdict in [right[position, role]]
        }
        question = questions[position]
        source = question.dataset or question.id.rpartition("-")[0] or "all"
        found.append(Finding(question.id, question.question, source, sides))
    return found


def _side(
    samples: list[Sample], greedy: Sample, entropy: tuple[float, float, str], right: bool | None
) -> Side:
    value, normalized, estimator = entropy
    numbers: dict[str, int] = {}
    strings = [numbers.setdefault(" ".join(s.text.casefold().split()), len(numbers)) for s in samples]
    exact = entropy_of(samples, strings, estimator=estimator)  # type: ignore[arg-type]  # as it was stored
    semantic = SemanticEntropy(value, normalized, exact.estimator, (), ())
    return Side(semantic, exact, None if greedy.mean_logprob is None else -greedy.mean_logprob, right)


def write_card(store: Store, path: str | Path) -> None:
    """Write the findings of a run to a Markdown file.

    Raises:
        ConfigurationError: If nothing is labelled yet.
    """
    Path(path).write_text(card(store), encoding="utf-8")


def card(store: Store) -> str:
    """Return the findings of a run as Markdown.

    Every figure has its n and a 95 % interval: Wilson's for shares, the normal approximation for means,
    a percentile bootstrap over questions for AUROC.
    """
    found = findings(store)
    written = store.settings()
    settings, _ = written_label_settings(store)
    assert settings is not None  # noqa: S101 - findings() has found labels
    sampling = ", ".join(f"{key} {value}" for key, value in SamplingSettings.of_run(written))
    made = ", ".join(f"{key} {value}" for key, value in written["labels"].items())
    groups = by_source(found)
    lines = [
        f"# {written['edge']} and {written['cloud']}",
        "",
        f"{len(found)} questions, sampled with {sampling}. Labels by {made}. Brackets are 95 % intervals.",
        "",
        "## Right answers and doubt",
        "",
        *table(
            ("source", "n with gold", "edge right", "cloud right", "n", "mean Ĥ edge", "mean Ĥ cloud"),
            [(name, *_quality_row(rows)) for name, rows in groups.items()],
        ),
        "",
        "## Labels by tau",
        "",
        "Shares edge / cloud / tie, in per cent.",
        "",
        *table(
            ("source", "n", *(f"τ = {tau:g}" for tau in TAUS)),
            [(name, str(len(rows)), *_label_row(rows, settings)) for name, rows in groups.items()],
        ),
        "",
        "## Does a model know when it errs?",
        "",
        "AUROC for the model's own wrong greedy answers; 0.5 is chance.",
        "",
        *table(
            ("source", "model", "n (wrong)", "semantic entropy", "exact-string entropy", "greedy log-prob"),
            [row for name, rows in groups.items() for row in _auroc_rows(name, rows)],
        ),
        "",
    ]
    return "\n".join(lines)


def by_source(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Return the findings of each source by name, and those of all where there are several."""
    groups: dict[str, list[Finding]] = {}
    for finding in sorted(found, key=lambda finding: finding.source):
        groups.setdefault(finding.source, []).append(finding)
    return groups if len(groups) < 2 else {**groups, "all": list(found)}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table as lines."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def share(hits: int, n: int) -> str:
    """Return a share in per cent with Wilson's 95 % interval."""
    if n == 0:
        return "unknown"
    p = hits / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return f"{100 * p:.1f} % [{100 * (centre - half):.1f}, {100 * (centre + half):.1f}]"


def mean(values: Sequence[float]) -> str:
    """Return a mean with its normal 95 % interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "unknown"
    middle = float(np.mean(values))
    half = _Z * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{middle:.3f} [{middle - half:.3f}, {middle + half:.3f}]"


def area(scores: Sequence[float | None], wrong: Sequence[bool]) -> str:
    """Return an AUROC with its 95 % interval; "unknown" where a score is."""
    known = [score for score in scores if score is not None]
    return str(auroc(known, wrong)) if len(known) == len(scores) else "unknown"


def _quality_row(rows: list[Finding]) -> list[str]:
    judged = [row for row in rows if row.sides["edge"].right is not None]
    right = [share(sum(row.sides[role].right is True for row in judged), len(judged)) for role in ROLES]
    doubts = [mean([row.sides[role].entropy.normalized for row in rows]) for role in ROLES]
    return [str(len(judged)), *right, str(len(rows)), *doubts]


def _label_row(rows: list[Finding], settings: LabelSettings) -> list[str]:
    cells = []
    for tau in TAUS:
        rule = settings.model_copy(update={"tau": tau})
        labels = [preference(row.sides["edge"].entropy, row.sides["cloud"].entropy, rule) for row in rows]
        shares = (100 * labels.count(name) / len(labels) for name in ("edge", "cloud", "tie"))
        cells.append(" / ".join(f"{value:.0f}" for value in shares))
    return cells


def _auroc_rows(name: str, rows: list[Finding]) -> list[list[str]]:
    table_rows = []
    for role in ROLES:
        sides = [row.sides[role] for row in rows if row.sides[role].right is not None]
        if not sides:
            continue
        wrong = [side.right is False for side in sides]
        scores: list[Sequence[float | None]] = [
            [side.entropy.entropy for side in sides],
            [side.exact.entropy for side in sides],
            [side.doubt for side in sides],
        ]
        cells = [area(values, wrong) for values in scores]
        table_rows.append([name, role, f"{len(sides)} ({sum(wrong)})", *cells])
    return table_rows
