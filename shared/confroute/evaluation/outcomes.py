"""What both models made of a set of questions: the ground that every router is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from confroute.errors import ConfigurationError
from confroute.evaluation.curves import Costs
from confroute.evaluation.ranking import FloatArray, column
from confroute.evaluation.tables import SETTLED_EARLY, comparable, numbers, read_rows, texts

OPTIONAL = (
    "edge_cost",
    "cloud_cost",
    "decision_cost",
    "edge_seconds",
    "cloud_seconds",
    "decision_seconds",
    "edge_logprob",
)
"""Columns that a table may have."""

_OTHER_ROUTER = "score_"


@dataclass(frozen=True)
class Outcomes:
    """Questions with the quality of both models' answers, and money and time where recorded.

    Attributes:
        name: What the data are.
        questions: The n questions.
        edge_quality: Shape [n]: right or wrong, or a grade; more is better.
        cloud_quality: Shape [n], on the same scale.
        edge_cost: US dollars of the edge's answer, shape [n]; None where unknown.
        cloud_cost: The same of the cloud's.
        decision_cost: US dollars that the router at hand spends to decide, shape [n], without a draft that
            becomes the reply; None for nothing.
        edge_seconds: Seconds until the edge had answered, shape [n]; None where unknown.
        cloud_seconds: The same of the cloud.
        decision_seconds: Seconds that the router at hand takes to decide, shape [n], without a draft that
            becomes the reply; None for none.
        edge_logprob: Logarithm of the edge's own confidence in its answer, shape [n]; None where unknown.
        topics: A topic for each question; None where unknown.
        scores: Scores that came with the data, shape [n] each, by router.
        edge: Name of the edge model.
        cloud: Name of the cloud model.
        notes: What a reader must know about the data, in sentences.
    """

    name: str
    questions: tuple[str, ...]
    edge_quality: FloatArray
    cloud_quality: FloatArray
    edge_cost: FloatArray | None = None
    cloud_cost: FloatArray | None = None
    decision_cost: FloatArray | None = None
    edge_seconds: FloatArray | None = None
    cloud_seconds: FloatArray | None = None
    decision_seconds: FloatArray | None = None
    edge_logprob: FloatArray | None = None
    topics: tuple[str, ...] | None = None
    scores: Mapping[str, FloatArray] = field(default_factory=dict)
    edge: str = "the edge model"
    cloud: str = "the cloud model"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.questions)
        for name in ("edge_quality", "cloud_quality", *OPTIONAL):
            values = getattr(self, name)
            if values is not None:
                column(values, name, n)
        for name, scores in self.scores.items():
            column(scores, f"scores of {name}", n)
        if self.topics is not None and len(self.topics) != n:
            raise ConfigurationError(f"{len(self.topics)} topics for {n} questions: expected one for each")

    @property
    def n(self) -> int:
        """Number of questions."""
        return len(self.questions)

    def costs(self, *, drafts: bool = False, deciding: FloatArray | None = None) -> Costs | None:
        """Return what a router's calls cost; None where a price is unknown.

        Args:
            drafts: Whether the router looks at the edge's answer first, which is then paid for on every
                question.
            deciding: What it spends to decide besides, shape [n], in US dollars.
        """
        return _spent(self.edge_cost, self.cloud_cost, deciding, drafts=drafts)

    def seconds(self, *, drafts: bool = False, deciding: FloatArray | None = None) -> Costs | None:
        """Return how long a router's answers take, in seconds; None where not recorded. See `costs`."""
        return _spent(self.edge_seconds, self.cloud_seconds, deciding, drafts=drafts)


def _spent(
    edge: FloatArray | None, cloud: FloatArray | None, deciding: FloatArray | None, *, drafts: bool
) -> Costs | None:
    if edge is None or cloud is None or not cloud.sum() > 0:
        return None  # a cloud that costs nothing leaves nothing to save
    extra = np.zeros(len(edge)) if deciding is None else deciding
    return Costs.of(edge + extra, cloud + extra + (edge if drafts else 0.0), cloud)


def read_outcomes(path: str | Path) -> Outcomes:
    """Read a table of outcomes, from any pair of models and any router.

    Columns: ``question``, ``edge_quality``, ``cloud_quality``; where known ``edge_cost``, ``cloud_cost`` and
    ``decision_cost`` (US dollars), ``edge_seconds``, ``cloud_seconds``, ``decision_seconds``,
    ``edge_logprob``, ``topic``; ``score`` of the router at hand and ``score_NAME`` of others;
    ``settled_early`` (rows whose score is a bound, which are left out) and ``router`` (the score's scale).

    Args:
        path: ``.csv``, ``.jsonl`` or ``.parquet``.

    Raises:
        ConfigurationError: If the file is absent or a column is missing or not as described.
        MissingExtraError: If it is Parquet and pyarrow is not installed.
    """
    path = Path(path)
    rows, settled = comparable(read_rows(path), path.name)
    have = set(rows[0])
    missing = {"question", "edge_quality", "cloud_quality"} - have
    if missing:
        raise ConfigurationError(
            f"{path} has no column {', '.join(sorted(missing))}: expected question, edge_quality, "
            f"cloud_quality and, where known, {', '.join(OPTIONAL)}, topic, score, score_NAME"
        )
    scores = {
        name.removeprefix(_OTHER_ROUTER): numbers(rows, name, path.name)
        for name in rows[0]
        if name == "score" or name.startswith(_OTHER_ROUTER)
    }
    known: dict[str, Any] = {name: numbers(rows, name, path.name) for name in OPTIONAL if name in have}
    return Outcomes(
        name=path.name,
        questions=texts(rows, "question", path.name),
        edge_quality=numbers(rows, "edge_quality", path.name),
        cloud_quality=numbers(rows, "cloud_quality", path.name),
        topics=texts(rows, "topic", path.name) if "topic" in have else None,
        scores=scores,
        notes=(f"{settled} rows are left out: {SETTLED_EARLY}.",) if settled else (),
        **known,
    )
