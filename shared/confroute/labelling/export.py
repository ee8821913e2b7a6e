"""A run as Parquet or JSONL, in the Chatbot-Arena layout, with all that is needed to go on from it.

One row a question: the Arena's ``id, model_a, model_b, prompt, response_a, response_b, winner_model_a,
winner_model_b, winner_tie`` (a = edge, b = cloud, prompt = a JSON list with the question, responses = the
greedy answers), and beside it gold answers, samples, clusters, entropies, correctness and, in ``run``, the
run's settings as JSON. Questions whose answers are not all there are exported too, so that a run can go on
from its export; their winners are null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from confroute.decision import Route, Sample, Usage
from confroute.errors import ConfigurationError, require
from confroute.labelling.labels import grade
from confroute.labelling.settings import SamplingSettings, check_questions
from confroute.labelling.store import JUDGE_SPEND, SCHEMA_VERSION, Draw, Store, StoredSample

_SIDES: dict[Route, str] = {"edge": "a", "cloud": "b"}
_WINNERS = {"edge": "winner_model_a", "cloud": "winner_model_b", "tie": "winner_tie"}
_USAGE_FIELDS = ("input_tokens", "output_tokens", "usd")
_SAMPLE_FIELDS = ("kind", "idx", "seed", "text", "logprob", "n_tokens", *_USAGE_FIELDS, "model")
_UNITS = {".jsonl": "line", ".parquet": "row"}
_EXPECTED = "expected a .parquet or .jsonl file that 'confroute label --export' wrote"
_NEEDED = ("id", "question", "answers", "dataset", "samples_a", "samples_b", "run")


def export_rows(store: Store) -> Iterator[dict[str, Any]]:
    """Return a row for each question that has at least one answer, in the store's order."""
    settings = store.settings()
    if not settings:
        return
    settings.pop(JUDGE_SPEND, None)
    run = json.dumps({"schema": SCHEMA_VERSION, **settings}, ensure_ascii=False, sort_keys=True)
    clusters = {
        (p, r): json.loads(c) for p, r, c in store.rows("SELECT question, role, clusters FROM cluster")
    }
    entropies = {
        (position, role): rest
        for position, role, *rest in store.rows(
            "SELECT question, role, entropy, normalized, estimator FROM entropy"
        )
    }
    labels = {
        position: rest
        for position, *rest in store.rows("SELECT question, label, edge_correct, cloud_correct FROM label")
    }
    questions = store.questions()
    for position, samples in _by_question(store.samples()):
        question = questions[position]
        label, *correct = labels.get(position, [None, None, None])
        row: dict[str, Any] = {
            "id": question.id,
            "model_a": settings["edge"],
            "model_b": settings["cloud"],
            "prompt": json.dumps([question.question], ensure_ascii=False),
        }
        for role, side in _SIDES.items():
            greedy = (s.sample.text for s in samples if s.draw.role == role and s.draw.kind == "greedy")
            row[f"response_{side}"] = next(greedy, None)
        for name, column in _WINNERS.items():
            row[column] = None if label is None else int(label == name)
        row |= {"question": question.question, "answers": list(question.answers), "dataset": question.dataset}
        for (role, side), right in zip(_SIDES.items(), correct, strict=True):
            entropy, normalized, estimator = entropies.get((position, role), (None, None, None))
            row |= {
                f"entropy_{side}": entropy,
                f"normalized_entropy_{side}": normalized,
                f"estimator_{side}": estimator,
                f"correct_{side}": None if right is None else bool(right),
                f"clusters_{side}": clusters.get((position, role)) if label is not None else None,
                f"samples_{side}": [_sample_row(s) for s in samples if s.draw.role == role],
            }
        row["run"] = run
        yield row


def export_run(store: Store, path: str | Path) -> int:
    """Write a run to a file.

    Args:
        store: The run.
        path: ``.parquet`` or ``.jsonl``; replaced if there.

    Returns:
        The number of rows.

    Raises:
        ConfigurationError: If the ending is another, there is nothing to export, or it cannot be written.
        MissingExtraError: If pyarrow is not installed and the ending is ``.parquet``.
    """
    path = Path(path)
    write = {".parquet": _write_parquet, ".jsonl": _write_jsonl}.get(path.suffix)
    if write is None:
        raise ConfigurationError(f"cannot export to {path}: expected a name that ends in .parquet or .jsonl")
    rows = list(export_rows(store))
    if not rows:
        raise ConfigurationError(f"nothing to export: {store.path} has no answers yet")
    part = path.with_name(path.name + ".part")
    try:
        write(part, rows)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ConfigurationError(
            f"cannot write the export {path}: {error}. Nothing of the run is lost; give a place with room: "
            f"confroute label --store {store.path} --export FILE"
        ) from error
    return len(rows)


def import_run(store: Store, path: str | Path) -> int:
    """Add the questions and answers of an export to a store; answers that it has are left alone.

    Gold answers in the export replace the store's; where it has none, the store's stay. Labels are not taken
    over: they are derived from the answers again.

    Args:
        store: The store, new or of the same pair and settings.
        path: A file that `export_run` wrote.

    Returns:
        The number of answers added.

    Raises:
        ConfigurationError: If the file is not such an export or is of another pair or other settings.
    """
    path = Path(path)
    rows = _read(path)
    unit = _UNITS[path.suffix]
    if not rows:
        raise ConfigurationError(f"{path} is not an export of a labelling run: it has no rows")
    for number, row in enumerate(rows, start=1):
        if missing := [name for name in sorted(_NEEDED) if name not in row]:
            raise ConfigurationError(
                f"{path} is not an export of a labelling run: the column {missing[0]!r} is missing in {unit} "
                f"{number}"
            )
    runs = {row["run"] for row in rows}
    if len(runs) > 1:
        raise ConfigurationError(f"{path} holds rows of {len(runs)} runs; import the export of one run")
    run = _run_of(path, runs.pop())
    with store.transaction():
        store.bind(SamplingSettings.of_run(run), edge=run["edge"], cloud=run["cloud"])
        fields = ("id", "question", "answers", "dataset")
        questions = check_questions(
            ({key: row[key] for key in fields} for row in rows), source=str(path), unit=unit
        )
        positions = store.add_questions(questions, erase=False)
        grade(store)
        have = store.received()
        new = [
            stored
            for number, (position, row) in enumerate(zip(positions, rows, strict=True), start=1)
            for role, side in _SIDES.items()
            for stored in _stored_samples(f"{path}, {unit} {number}", position, role, row, side)
            if stored.draw not in have
        ]
        store.put_samples(new)
    return len(new)


def _by_question(samples: Iterable[StoredSample]) -> Iterator[tuple[int, list[StoredSample]]]:
    return ((position, list(group)) for position, group in groupby(samples, key=lambda s: s.draw.position))


def _sample_row(stored: StoredSample) -> dict[str, Any]:
    sample = stored.sample
    usage = sample.usage or Usage()
    values = (stored.draw.kind, stored.draw.idx, stored.seed, sample.text, sample.logprob, sample.n_tokens)
    counts = (usage.input_tokens, usage.output_tokens, usage.usd, sample.model)
    return dict(zip(_SAMPLE_FIELDS, (*values, *counts), strict=True))


def _stored_samples(
    where: str, position: int, role: Route, row: dict[str, Any], side: str
) -> list[StoredSample]:
    try:
        return [_stored(position, role, fields) for fields in row[f"samples_{side}"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{where}: a sample of question {row['id']!r} is not as an export has it: {error!r}"
        ) from error


def _stored(position: int, role: Route, fields: dict[str, Any]) -> StoredSample:
    usage = Usage(**{name: fields[name] for name in _USAGE_FIELDS})
    sample = Sample(
        fields["text"],
        logprob=fields["logprob"],
        n_tokens=fields["n_tokens"],
        usage=usage,
        model=fields["model"],
    )
    return StoredSample(Draw(position, role, fields["kind"], fields["idx"]), fields["seed"], sample)


def _run_of(path: Path, text: str) -> dict[str, Any]:
    try:
        run = json.loads(text)
        schema, _, _ = run["schema"], run["edge"], run["cloud"]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"{path}: the column 'run' holds no settings of a run") from error
    if schema != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} was exported with schema {schema}, this confroute reads schema {SCHEMA_VERSION}"
        )
    return dict(run)


def _write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    require("pyarrow", extra="parquet", purpose="Parquet export")
    import pyarrow as pa
    import pyarrow.parquet as pq

    sample = pa.struct(
        [
            ("kind", pa.string()),
            ("idx", pa.int32()),
            ("seed", pa.int64()),
            ("text", pa.string()),
            ("logprob", pa.float64()),
            ("n_tokens", pa.int32()),
            ("input_tokens", pa.int32()),
            ("output_tokens", pa.int32()),
            ("usd", pa.float64()),
            ("model", pa.string()),
        ]
    )
    types: dict[str, Any] = {"answers": pa.list_(pa.string())}
    types |= dict.fromkeys(_WINNERS.values(), pa.int8())
    for side in _SIDES.values():
        types |= {
            f"entropy_{side}": pa.float64(),
            f"normalized_entropy_{side}": pa.float64(),
            f"correct_{side}": pa.bool_(),
            f"clusters_{side}": pa.list_(pa.int32()),
            f"samples_{side}": pa.list_(sample),
        }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as lines:
                rows = [_parsed(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
        elif path.suffix == ".parquet":
            require("pyarrow", extra="parquet", purpose="Parquet import")
            import pyarrow.parquet as pq

            rows = pq.read_table(path).to_pylist()
        else:
            raise ConfigurationError(f"cannot import {path}: {_EXPECTED}")
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"cannot import {path}: {error}; {_EXPECTED}") from error
    return rows


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        told = f"{error.msg} at column {error.colno}"
    else:
        if isinstance(row, dict):
            return row
        told = f"{type(row).__name__} in place of an object"
    raise ConfigurationError(f"{where}: not a row of an export ({told}); {_EXPECTED}")
