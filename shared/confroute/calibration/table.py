"""Calibration data from files: scores with outcomes, or labelled questions, as Parquet, JSONL or CSV."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from confroute.calibration.result import WrongBy
from confroute.errors import ConfigurationError, require
from confroute.evaluation.ranking import FloatArray
from confroute.evaluation.tables import comparable
from confroute.uncertainty import Equivalence, cluster_many

Row = dict[str, Any]
Scorer = Callable[[Sequence[str]], FloatArray]

SCORES = ("score", "normalized_entropy_a")
EDGE_QUALITY = ("edge_quality", "edge_correct", "correct_a")
CLOUD_QUALITY = ("cloud_quality", "cloud_correct", "correct_b")
EDGE_USD = ("edge_usd",)
CLOUD_USD = ("cloud_usd",)
SIGNAL_SCORES = ("signal_score",)
SIGNAL_USD = ("signal_usd",)
WRONG: dict[WrongBy, tuple[str, ...]] = {"judge": ("judged_wrong",), "disagreement": ("disagrees",)}

_TRUTH = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """Scores and outcomes, one per question, in one order.

    Attributes:
        scores: Shape [n].
        edge_quality: Shape [n]; None where the file does not tell it for every question.
        cloud_quality: The same of the cloud.
        edge_usd: US dollars of an edge answer, shape [n]; None where unknown.
        cloud_usd: The same of the cloud.
        wrong: Whether the edge is wrong, shape [n]; None where it was not asked for.
        dropped: Rows left out, since their score or a verdict that is needed is unknown.
        settled: Rows left out, since drawing stopped once the verdict was settled: their score is a bound.
        scored_by: What the file says that the scores come from.
    """

    scores: FloatArray
    edge_quality: FloatArray | None
    cloud_quality: FloatArray | None
    edge_usd: FloatArray | None
    cloud_usd: FloatArray | None
    wrong: FloatArray | None
    dropped: int
    settled: int = 0
    scored_by: dict[str, Any] = field(default_factory=dict)


def read_rows(path: str | Path) -> list[Row]:
    """Read a table.

    Args:
        path: ``.parquet``, ``.jsonl`` (one object a line) or ``.csv`` (with a header).

    Raises:
        ConfigurationError: If the file is absent, empty, broken or of another kind.
        MissingExtraError: If it is Parquet and pyarrow is not installed.
    """
    path = Path(path)
    read = {".parquet": _parquet, ".jsonl": _jsonl, ".csv": _csv}.get(path.suffix)
    if read is None:
        raise ConfigurationError(f"{path} ends in {path.suffix!r}: expected .parquet, .jsonl or .csv")
    try:
        rows = read(path)
    except (OSError, ValueError) as error:  # pyarrow's and json's errors are ValueErrors
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ConfigurationError(f"{path} holds no rows: expected one for each question")
    return rows


def calibration_data(
    rows: Sequence[Row],
    *,
    wrong_by: WrongBy | None = None,
    rated: bool = False,
    scorer: Scorer | None = None,
    equivalence: Callable[[], Equivalence] | None = None,
) -> CalibrationData:
    """Pick scores and outcomes out of a table.

    Scores come from `scorer`, which reads the questions, or from the column ``score``, or from
    ``normalized_entropy_a``, the edge's entropy in a labelling run's export. "Wrong" comes, by gold, from
    ``edge_correct`` (``correct_a``); by a judge from ``judged_wrong``; by disagreement from ``disagrees``, or
    from comparing ``response_a`` with ``response_b`` by `equivalence`.

    Args:
        rows: The table.
        wrong_by: What "wrong" goes by; None where it is not needed.
        rated: Whether the quality of both answers is needed.
        scorer: Scores questions, such as `TrainedRouter.score`.
        equivalence: Makes the judge of "means the same", for answers that are to be compared here.

    Raises:
        ConfigurationError: If no column has what is needed, a cell is not a number, or the scores are of
            several scales.
    """
    rows, settled = (rows, 0) if scorer is not None else comparable(rows, "the table")
    if scorer is not None:
        scores = scorer([question_of(row, number) for number, row in enumerate(rows, start=1)])
    else:
        scores = _needed(rows, SCORES, "the scores")
    wrong = None if wrong_by is None else _wrong(rows, wrong_by, equivalence)
    needed = [scores] if wrong is None else [scores, wrong]
    if rated:
        needed.append(_needed(rows, EDGE_QUALITY, "the quality of the edge's answers"))
        needed.append(_needed(rows, CLOUD_QUALITY, "the quality of the cloud's answers"))
    known = np.isfinite(needed).all(axis=0)
    if not known.any():
        raise ConfigurationError("no row has both a score and a verdict on the answers")

    def complete(names: Sequence[str]) -> FloatArray | None:
        values = _numbers(rows, names)
        return values[known] if values is not None and np.isfinite(values[known]).all() else None

    return CalibrationData(
        scores=scores[known],
        edge_quality=complete(EDGE_QUALITY),
        cloud_quality=complete(CLOUD_QUALITY),
        edge_usd=complete(EDGE_USD),
        cloud_usd=complete(CLOUD_USD),
        wrong=None if wrong is None else wrong[known],
        dropped=int((~known).sum()),
        settled=settled,
        scored_by={} if scorer is not None else _origin(rows[0]),
    )


@dataclass(frozen=True, slots=True)
class CascadeData:
    """What a cascade is fitted on, one per question, in one order.

    Attributes:
        columns: The arguments of `calibrate_cascade` by name, shape [n] each.
        questions: The questions, n of them; None where the table has none.
        dropped: Rows left out, since something of them is unknown.
        settled: Rows left out, since the signal stopped once its verdict was settled: its score is a bound.
    """

    columns: dict[str, FloatArray]
    questions: list[str] | None
    dropped: int
    settled: int


def cascade_data(
    rows: Sequence[Row], *, prices: Mapping[str, float | None], scorer: Scorer | None = None
) -> CascadeData:
    """Pick out of a table what a cascade is fitted on.

    Columns: ``score`` of the trained router, unless `scorer` scores the questions; ``signal_score``; both
    qualities; ``edge_usd``, ``cloud_usd`` and ``signal_usd``.

    Args:
        rows: The table.
        prices: US dollars of one call by the name of its column, which go before the column.
        scorer: Scores questions, such as `TrainedRouter.score`.

    Raises:
        ConfigurationError: If a column is missing, a cell is not a number, no row is complete, or the scores
            are of several scales.
    """
    rows, settled = comparable(rows, "the table")
    if scorer is not None:
        scores = scorer([question_of(row, number) for number, row in enumerate(rows, start=1)])
    else:
        scores = _needed(rows, SCORES[:1], "the trained router's score")
    columns = {
        "scores": scores,
        "signal_scores": _needed(rows, SIGNAL_SCORES, "the signal's score"),
        "edge_quality": _needed(rows, EDGE_QUALITY, "the quality of the edge's answers"),
        "cloud_quality": _needed(rows, CLOUD_QUALITY, "the quality of the cloud's answers"),
    }
    money = {
        "edge_usd": (EDGE_USD, "the US dollars of an edge answer"),
        "cloud_usd": (CLOUD_USD, "the US dollars of a cloud answer"),
        "signal_usd": (SIGNAL_USD, "the US dollars of the signal's samples"),
    }
    for name, (names, what) in money.items():
        price = prices.get(name)
        columns[name] = _needed(rows, names, what) if price is None else np.full(len(rows), float(price))
    known = np.isfinite(list(columns.values())).all(axis=0)
    if not known.any():
        raise ConfigurationError("no row has both scores, both qualities and the dollars of every call")
    asked = [
        row.get("question") for row, kept in zip(rows, np.atleast_1d(known).tolist(), strict=True) if kept
    ]
    return CascadeData(
        columns={name: values[known] for name, values in columns.items()},
        questions=None if None in asked else [str(question) for question in asked],
        dropped=int((~known).sum()),
        settled=settled,
    )


def is_held_out(question: str, share: float) -> bool:
    """Tell whether a question is among the part that training leaves out, by a hash of its text.

    The same text, case and spaces aside, is always on the same side, and a larger share holds a smaller one.

    Args:
        question: The question.
        share: Part of all questions to leave out, in [0, 1].
    """
    digest = hashlib.blake2b(" ".join(question.casefold().split()).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def held_out_rows(rows: Sequence[Row], share: float) -> list[Row]:
    """Return the rows whose question `is_held_out`.

    Raises:
        ConfigurationError: If there is none, or a row has no question.
    """
    kept = [row for number, row in enumerate(rows, start=1) if is_held_out(question_of(row, number), share)]
    if not kept:
        raise ConfigurationError(
            f"none of {len(rows)} questions is held out at a share of {share}: give more"
        )
    return kept


def question_of(row: Mapping[str, Any], number: int) -> str:
    """Return a row's question: the column ``question``, or the first entry of ``prompt``, a JSON list.

    Raises:
        ConfigurationError: If the row has neither.
    """
    question = row.get("question")
    if question is None:
        try:
            question = json.loads(row["prompt"])[0]
        except (KeyError, TypeError, ValueError, IndexError):
            question = None
    if not isinstance(question, str) or not question.strip():
        raise ConfigurationError(
            f"row {number} has no question: expected a column 'question', or 'prompt' with a JSON list"
        )
    return question


def _wrong(
    rows: Sequence[Row], wrong_by: WrongBy, equivalence: Callable[[], Equivalence] | None
) -> FloatArray:
    if wrong_by == "gold":
        return 1 - _needed(rows, EDGE_QUALITY[1:], "whether the edge is right")
    stated = _numbers(rows, WRONG[wrong_by])
    if stated is not None:
        return stated
    compared = wrong_by == "disagreement" and "response_a" in rows[0] and equivalence is not None
    if not compared:
        return _needed(rows, WRONG[wrong_by], "the verdict on the edge's answer")
    answers = [(row.get("response_a"), row.get("response_b")) for row in rows]
    both = [i for i, pair in enumerate(answers) if None not in pair]
    groups = [(question_of(rows[i], i + 1), [str(text) for text in answers[i]]) for i in both]
    wrong = np.full(len(rows), np.nan)
    if equivalence is not None:  # narrowed for the type checker
        wrong[both] = [len(set(found)) - 1 for found in cluster_many(groups, equivalence=equivalence())]
    return wrong


def _needed(rows: Sequence[Row], names: Sequence[str], what: str) -> FloatArray:
    values = _numbers(rows, names)
    if values is None:
        raise ConfigurationError(
            f"the table does not tell {what}: expected a column {' or '.join(map(repr, names))}; it has "
            f"{', '.join(map(repr, rows[0]))}"
        )
    return values


def _numbers(rows: Sequence[Row], names: Sequence[str]) -> FloatArray | None:
    """Return the first column that is there, NaN where a cell is empty; None if there is none."""
    name = next((name for name in names if any(row.get(name) not in (None, "") for row in rows)), None)
    if name is None:
        return None
    return np.array([_number(row.get(name), f"row {i}, {name!r}") for i, row in enumerate(rows, start=1)])


def _number(cell: Any, where: str) -> float:
    if cell is None or cell == "":
        return math.nan
    if isinstance(cell, str) and cell.strip().casefold() in _TRUTH:
        return _TRUTH[cell.strip().casefold()]
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{where} is {cell!r}: expected a number, or nothing") from None


def _origin(row: Row) -> dict[str, Any]:
    """Return what an export says about its entropies: a threshold belongs to estimator, N and equivalence."""
    if "score" in row or not isinstance(row.get("run"), str):
        return {}
    run = json.loads(row["run"])
    return {
        "router": "entropy",
        "edge": run.get("edge"),
        "estimator": row.get("estimator_a"),
        "n_samples": run.get("n"),
        "temperature": run.get("temperature"),
        "equivalence": (run.get("labels") or {}).get("equivalence"),
    }


def _parquet(path: Path) -> list[Row]:
    require("pyarrow", extra="parquet", purpose="Reading Parquet")
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def _jsonl(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def _csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
