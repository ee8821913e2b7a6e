"""Tables on disk: CSV, JSON lines or Parquet in, rows out."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from confroute.errors import ConfigurationError, require
from confroute.evaluation.ranking import FloatArray

SETTLED_EARLY = "drawing stopped once the verdict was settled, so that their score is a bound"
"""Why a row makes no curve."""

_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}

Row = Mapping[str, Any]
RowT = TypeVar("RowT", bound=Mapping[str, Any])


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read a table.

    Args:
        path: ``.csv`` with a header, ``.jsonl`` with an object a line, or ``.parquet``.

    Returns:
        One dictionary a row; values of a CSV file are texts.

    Raises:
        ConfigurationError: If the file is absent, empty or not what its name says.
        MissingExtraError: If it is Parquet and pyarrow is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist: expected a .csv, .jsonl or .parquet file")
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ConfigurationError(f"{path} ends in {path.suffix!r}: expected .csv, .jsonl or .parquet")
    rows = reader(path)
    if not rows:
        raise ConfigurationError(f"{path} has no rows: expected at least one")
    return rows


def numbers(rows: Sequence[Row], name: str, source: str) -> FloatArray:
    """Return a column of numbers, shape [n]; true and false count as 1 and 0.

    Raises:
        ConfigurationError: If the column is missing, or a value is no number; names the first bad row.
    """
    return np.array([_number(row.get(name), f"{source}, row {i}", name) for i, row in enumerate(rows, 1)])


def texts(rows: Sequence[Row], name: str, source: str) -> tuple[str, ...]:
    """Return a column of texts, n of them, none empty.

    Raises:
        ConfigurationError: If the column is missing or a text is empty; names the first bad row.
    """
    for i, row in enumerate(rows, 1):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ConfigurationError(
                f"{source}, row {i}: the column {name!r} holds {row.get(name)!r}, expected a text"
            )
    return tuple(row[name] for row in rows)


def comparable(rows: Sequence[RowT], source: str) -> tuple[list[RowT], int]:
    """Leave out rows whose score is a bound, and make sure that the others' scores share a scale.

    Args:
        rows: A table, with ``settled_early`` (true where drawing stopped once the verdict was settled) and
            ``router`` (the scale: a name, or a decision's ``{"name": ...}``) where known.
        source: Name of the table, for errors.

    Returns:
        The rows that are left, and how many are not.

    Raises:
        ConfigurationError: If none is left, or they hold scores of several scales.
    """
    kept = [row for row in rows if not _is_true(row.get("settled_early"))]
    if rows and not kept:
        raise ConfigurationError(
            f"{source}: every score is a bound, since drawing stopped once the verdict was settled "
            "('settled_early'): expected scores of all samples, as 'confroute evaluate' draws them"
        )
    scales = Counter(name for row in kept if (name := _scale(row.get("router"))))
    if len(scales) > 1:
        told = ", ".join(f"{count} rows of {name!r}" for name, count in scales.most_common())
        raise ConfigurationError(
            f"{source} holds scores of different scales, {told}: expected those of one; a threshold belongs "
            "to one scale, so make a table of each"
        )
    return kept, len(rows) - len(kept)


def _is_true(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() in ("true", "yes", "1")
    return bool(value)


def _scale(router: Any) -> str:
    name = router.get("name") if isinstance(router, Mapping) else router
    return name if isinstance(name, str) else ""


def _number(value: Any, where: str, name: str) -> float:
    if isinstance(value, str):
        value = _TRUTH.get(value.strip().casefold(), value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise ConfigurationError(
            f"{where}: the column {name!r} holds {value!r}, expected a number, or true or false. Leave out "
            "rows whose outcome is unknown, and columns that are not known for every row"
        )
    return number


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
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


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    require("pyarrow", extra="parquet", purpose="Reading Parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise ConfigurationError(f"{path} is not a Parquet file: {error}") from error
    return rows
