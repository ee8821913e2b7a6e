"""Phase 3: from labelled questions to a trained router and its card."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from confroute.encoders import Encoder, default_encoder
from confroute.errors import ConfigurationError, require
from confroute.evaluation import (
    Interval,
    RoutingCurve,
    bootstrap_curve,
    compare,
    oracle_scores,
    prompt_length_scores,
    random_spread,
)
from confroute.heads import Head, make_head, wins_of
from confroute.heads.card import TrainingReport
from confroute.heads.storage import Pair, question_digest
from confroute.routers.trained import TrainedRouter

FloatArray = NDArray[np.float64]

_LEAST_GOLD = 30
"""Fewer rows with known correctness than this are no yardstick."""

_WINNERS = {"winner_model_a": "edge", "winner_model_b": "cloud", "winner_tie": "tie"}
_OPTIONAL = {
    "edge_entropy": ("edge_entropy", "normalized_entropy_a"),
    "cloud_entropy": ("cloud_entropy", "normalized_entropy_b"),
    "edge_correct": ("edge_correct", "correct_a"),
    "cloud_correct": ("cloud_correct", "correct_b"),
}


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One labelled question.

    Attributes:
        question: The question.
        label: ``edge``, ``cloud`` or ``tie``, or the cloud's win rate in [0, 1].
        edge_entropy: Normalised semantic entropy of the edge's answers, in [0, 1]; None where unknown.
        cloud_entropy: The same of the cloud's.
        edge_correct: Whether, or how well, the edge answers it, in [0, 1]; None where unknown.
        cloud_correct: The same of the cloud.
    """

    question: str
    label: str | float
    edge_entropy: float | None = None
    cloud_entropy: float | None = None
    edge_correct: float | None = None
    cloud_correct: float | None = None


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Labelled questions of one pair of models.

    Attributes:
        rows: The rows.
        pair: The two models.
        skipped: Rows of the file that carry no label yet.
        source: Name of the file.
    """

    rows: list[LabelledRow]
    pair: Pair
    skipped: int
    source: str


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained router and what its training found."""

    router: TrainedRouter
    report: TrainingReport


def read_labels(path: str | Path) -> LabelledData:
    """Read labelled questions in the Chatbot-Arena layout, as ``confroute label --export`` writes them.

    Columns ``model_a`` (the edge), ``model_b`` (the cloud), ``prompt`` (a JSON list whose first entry is the
    question), ``winner_model_a``, ``winner_model_b``, ``winner_tie``; entropies and correctness where known.
    Rows without a winner are skipped and counted.

    Args:
        path: ``.parquet`` or ``.jsonl``.

    Raises:
        ConfigurationError: If the file is absent, of another layout, or of several pairs of models.
        MissingExtraError: If it is Parquet and pyarrow is not installed.
    """
    path = Path(path)
    rows: list[LabelledRow] = []
    pairs: set[tuple[str, str]] = set()
    skipped = 0
    for number, raw in enumerate(_raw_rows(path), start=1):
        where = f"{path}, row {number}"
        label = _label(raw, where)
        if label is None:
            skipped += 1
            continue
        pairs.add((str(raw.get("model_a", "")), str(raw.get("model_b", ""))))
        known = {name: _number(raw, columns, where) for name, columns in _OPTIONAL.items()}
        rows.append(LabelledRow(_question(raw, where), label, **known))
    if not rows:
        raise ConfigurationError(f"{path} has no labelled rows: run 'confroute label' to its end first")
    if len(pairs) > 1:
        raise ConfigurationError(
            f"{path} holds rows of {len(pairs)} pairs of models, such as {sorted(pairs)[:2]}: expected one, "
            "with the edge as model_a throughout"
        )
    edge, cloud = pairs.pop()
    return LabelledData(rows, Pair(edge=edge, cloud=cloud), skipped, path.name)


def train(
    rows: Iterable[LabelledRow | Mapping[str, Any]],
    *,
    head: str = "similarity-weighted",
    params: Mapping[str, Any] | None = None,
    encoder: Encoder | None = None,
    pair: Pair | None = None,
    data: str = "rows passed in",
    cloud_share: float = 0.5,
    folds: int = 5,
    seed: int = 0,
) -> Trained:
    """Train a router on labelled questions, and measure it by cross-validation.

    Quality in the figures is correctness on the rows where it is known for both models (30 at least), and
    else the labels themselves: the model that a label prefers counts as right.

    Args:
        rows: `LabelledRow`, or dictionaries with its fields.
        head: One of `confroute.heads.HEADS`.
        params: The head's arguments; its defaults if None. `seed` goes to heads that take one.
        encoder: all-MiniLM-L6-v2 by default.
        pair: The models that the labels came from.
        data: What the rows are, for the card.
        cloud_share: The threshold sends about this share of the cross-validated scores to the cloud.
        folds: Folds of the cross-validation; rows with the same question share a fold.
        seed: Seed of the head, the folds and the resamples.

    Returns:
        The router, fitted on all rows, with its card, and the report behind the card.

    Raises:
        ConfigurationError: If an argument or a row is not as described.
        MissingExtraError: If a package for encoding or training is not installed.
    """
    labelled = [row if isinstance(row, LabelledRow) else _row_of(row) for row in rows]
    questions = [row.question for row in labelled]
    if not 0 <= cloud_share <= 1:
        raise ConfigurationError(f"cloud_share is {cloud_share}: expected a fraction between 0 and 1")
    fold_of = fold_by_question(questions, folds=folds, seed=seed)
    wins = _wins(labelled)
    chosen = dict(params or {})
    if "seed" in make_head(head).params:
        chosen.setdefault("seed", seed)
    encode = encoder if encoder is not None else default_encoder()
    embeddings = encode.encode(questions)
    scores = cross_validated_scores(lambda: make_head(head, chosen), embeddings, wins, fold_of)
    threshold = float(np.quantile(scores, 1 - cloud_share, method="higher"))

    fitted = make_head(head, chosen).fit(embeddings, wins)
    rated = np.array([None not in (row.edge_correct, row.cloud_correct) for row in labelled])
    gold = int(rated.sum()) >= _LEAST_GOLD
    used = np.flatnonzero(rated) if gold else np.arange(len(labelled))
    edge, cloud = _qualities([labelled[i] for i in used], wins[used], gold=gold)
    curve = RoutingCurve.from_scores(scores[used], edge, cloud)
    length = prompt_length_scores([questions[i] for i in used])
    figures = {
        f"{head} (this router)": bootstrap_curve(scores[used], edge, cloud, seed=seed),
        "random": random_spread(edge, cloud, seed=seed),
        "prompt length": bootstrap_curve(length, edge, cloud, seed=seed),
        **_entropy_figures([labelled[i] for i in used], edge, cloud, seed),
        "oracle": bootstrap_curve(oracle_scores(edge, cloud), edge, cloud, seed=seed),
    }
    report = TrainingReport(
        head=head,
        params=fitted.params,
        encoder=encode.name,
        pair=pair,
        data=data,
        n=len(labelled),
        label_shares={
            "edge": float((wins < 0.25).mean()),
            "cloud": float((wins > 0.75).mean()),
            "tie": float(((wins >= 0.25) & (wins <= 0.75)).mean()),
        },
        threshold=threshold,
        threshold_share=float((scores >= threshold).mean()),
        folds=folds,
        seed=seed,
        yardstick="correctness of both models' answers" if gold else "the labels themselves (no gold)",
        n_evaluated=len(used),
        undefined=curve.undefined,
        figures=figures,
        against_length=None
        if curve.undefined
        else compare(scores[used], length, edge, cloud, seed=seed)["apgr"],
    )
    router = TrainedRouter(
        head=fitted, encoder=encode, threshold=threshold, pair=pair, card=report.to_markdown()
    )
    router.trained_on = frozenset(map(question_digest, questions))
    return Trained(router, report)


def fold_by_question(questions: Sequence[str], *, folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Deal questions into folds so that equal ones, case and spaces aside, share a fold.

    Args:
        questions: n questions.
        folds: Number of folds.
        seed: Seed of the deal.

    Returns:
        The fold of each question, from 0, shape [n].

    Raises:
        ConfigurationError: If there are fewer distinct questions than folds.
    """
    keys = [" ".join(question.casefold().split()) for question in questions]
    distinct, group = np.unique(np.array(keys, dtype=object), return_inverse=True)
    if not 2 <= folds <= len(distinct):
        raise ConfigurationError(
            f"{folds} folds of {len(distinct)} distinct questions: expected at least 2 folds, and a question "
            "for each"
        )
    dealt = np.random.default_rng(seed).permutation(len(distinct)) % folds
    return np.asarray(dealt[group], dtype=np.int64)


def cross_validated_scores(
    make: Callable[[], Head], embeddings: NDArray[np.float32], wins: FloatArray, fold_of: NDArray[np.int64]
) -> FloatArray:
    """Score each question by a head that has not seen its fold.

    Args:
        make: Makes an unfitted head.
        embeddings: Shape [n, d].
        wins: The cloud's wins in [0, 1], shape [n].
        fold_of: The fold of each question, shape [n].

    Returns:
        Scores of shape [n] in [0, 1].
    """
    scores = np.empty(len(wins))
    for fold in np.unique(fold_of):
        held = fold_of == fold
        scores[held] = make().fit(embeddings[~held], wins[~held]).score(embeddings[held])
    return scores


def _qualities(rows: Sequence[LabelledRow], wins: FloatArray, *, gold: bool) -> tuple[FloatArray, FloatArray]:
    if not gold:
        return 1 - wins, wins
    return (
        np.array([row.edge_correct for row in rows], dtype=np.float64),
        np.array([row.cloud_correct for row in rows], dtype=np.float64),
    )


def _entropy_figures(
    rows: Sequence[LabelledRow], edge: FloatArray, cloud: FloatArray, seed: int
) -> dict[str, dict[str, Interval]]:
    entropies = [row.edge_entropy for row in rows if row.edge_entropy is not None]
    if len(entropies) < len(rows):
        return {}
    name = "the edge's semantic entropy (samples at query time)"
    return {name: bootstrap_curve(entropies, edge, cloud, seed=seed)}


def _wins(rows: Sequence[LabelledRow]) -> FloatArray:
    return np.concatenate([wins_of([row.label]) for row in rows])


def _row_of(fields: Mapping[str, Any]) -> LabelledRow:
    try:
        return LabelledRow(**fields)
    except TypeError as error:
        raise ConfigurationError(
            f"a row is {dict(fields)!r}: expected 'question' and 'label', and where known "
            f"{', '.join(_OPTIONAL)} ({error})"
        ) from error


def _raw_rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist: expected the labels that 'confroute label' wrote")
    if path.suffix == ".parquet":
        require("pyarrow", extra="parquet", purpose="Reading Parquet labels")
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        except pa.ArrowException as error:
            raise ConfigurationError(f"{path} is not a Parquet file: {error}") from error
        return rows
    if path.suffix != ".jsonl":
        raise ConfigurationError(f"{path} ends in {path.suffix!r}: expected .parquet or .jsonl")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigurationError(f"{path}, line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigurationError(f"{path}, line {number} is not a JSON object")
        rows.append(row)
    return rows


def _label(raw: Mapping[str, Any], where: str) -> str | None:
    missing = [column for column in _WINNERS if column not in raw]
    if missing:
        raise ConfigurationError(
            f"{where} has no column {missing[0]!r}: expected the Chatbot-Arena layout that 'confroute label "
            "--export' writes"
        )
    told = {label: raw[column] for column, label in _WINNERS.items()}
    if all(_unknown(value) for value in told.values()):
        return None
    won = [label for label, value in told.items() if value in (1, True)]
    if len(won) != 1:
        raise ConfigurationError(f"{where} has {len(won)} winners: expected exactly one of {list(_WINNERS)}")
    return won[0]


def _question(raw: Mapping[str, Any], where: str) -> str:
    try:
        turns = json.loads(raw["prompt"])
    except (KeyError, TypeError, ValueError):
        turns = None
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], str) or not turns[0].strip():
        raise ConfigurationError(
            f"{where}: the column 'prompt' must be a JSON list whose first entry is the question"
        )
    return turns[0]


def _number(raw: Mapping[str, Any], columns: Sequence[str], where: str) -> float | None:
    value = next((raw[column] for column in columns if not _unknown(raw.get(column))), None)
    if value is None:
        return None
    if not isinstance(value, (int, float)):
        raise ConfigurationError(f"{where}: {columns[0]!r} is {value!r}, expected a number or nothing")
    return float(value)


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
