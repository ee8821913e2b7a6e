"""Public benchmarks by name, in the file layout of RouteLLM (lm-sys/RouteLLM, Apache-2.0).

Each is a folder with both models' outcomes and a list of prompts to drop, because a near copy of them was in
RouteLLM's training data: ``mmlu`` (``responses/mmlu_*.csv``), ``gsm8k`` (``gsm8k_responses.csv``) and
``mt_bench`` (``question.jsonl``, ``judgements.jsonl``), with ``contaminated_prompts.jsonl`` in each.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confroute.errors import ConfigurationError, ModelError
from confroute.evaluation.outcomes import Outcomes
from confroute.evaluation.ranking import FloatArray
from confroute.evaluation.tables import numbers, read_rows, texts

EDGE = "mistralai/Mixtral-8x7B-Instruct-v0.1"
CLOUD = "gpt-4-1106-preview"
SOURCE = "https://raw.githubusercontent.com/lm-sys/RouteLLM/main/routellm/evals"

_CONTAMINATED = "contaminated_prompts.jsonl"
_SUBJECTS = [
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A public benchmark.

    Attributes:
        folder: Its folder in RouteLLM's repository.
        files: Its files there.
        read: Reads the folder, for an edge and a cloud model.
    """

    folder: str
    files: tuple[str, ...]
    read: Callable[[Path, str, str], Outcomes]


def load_benchmark(
    name: str, path: str | Path | None = None, *, edge: str = EDGE, cloud: str = CLOUD
) -> Outcomes:
    """Load a benchmark without its contaminated prompts.

    Args:
        name: ``mmlu``, ``gsm8k`` or ``mt-bench``.
        path: Its folder, or the folder that holds it. Fetched once into the user's cache if None.
        edge: The edge model, as the files name it.
        cloud: The cloud model, as the files name it.

    Raises:
        ConfigurationError: If there is no such benchmark, or the folder is of another layout.
        ModelError: If the files cannot be fetched.
    """
    benchmark = _benchmark(name)
    if path is None:
        return benchmark.read(fetch_benchmark(name), edge, cloud)
    inner = Path(path) / benchmark.folder
    folder = inner if inner.is_dir() else Path(path)
    if not (folder / _CONTAMINATED).is_file():
        raise ConfigurationError(
            f"{path} holds no benchmark {name!r}: expected RouteLLM's folder {benchmark.folder!r}, with "
            f"{', '.join(benchmark.files[:2])}"
        )
    return benchmark.read(folder, edge, cloud)


def fetch_benchmark(name: str, folder: str | Path | None = None, *, source: str = SOURCE) -> Path:
    """Fetch a benchmark's files from RouteLLM's public repository; those that are there stay.

    Args:
        name: ``mmlu``, ``gsm8k`` or ``mt-bench``.
        folder: Where to keep benchmarks; ``confroute/routellm`` in the user's cache by default.
        source: Address of the folder that holds them.

    Returns:
        The benchmark's own folder.

    Raises:
        ConfigurationError: If there is no such benchmark.
        ModelError: If a file cannot be fetched.
    """
    benchmark = _benchmark(name)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = (Path(folder) if folder is not None else cache / "confroute" / "routellm") / benchmark.folder
    for file in benchmark.files:
        path = target / file
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        address = f"{source}/{benchmark.folder}/{file}"
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - an http(s) address of ours or the caller's
                data = answer.read()
        except OSError as error:
            raise ModelError(
                f"cannot fetch {address} ({error}). Give the path of a copy of RouteLLM's folder "
                f"routellm/evals/{benchmark.folder} instead"
            ) from error
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)
    return target


def _benchmark(name: str) -> Benchmark:
    if name not in BENCHMARKS:
        raise ConfigurationError(f"there is no benchmark {name!r}: expected one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def _read_mmlu(folder: Path, edge: str, cloud: str) -> Outcomes:
    files = sorted((folder / "responses").glob("mmlu_*.csv"))
    if not files:
        raise ConfigurationError(f"{folder} holds no responses/mmlu_*.csv: expected RouteLLM's folder 'mmlu'")
    rows = [{**row, "topic": _topic(file)} for file in files for row in read_rows(file)]
    return _responses("MMLU", folder, rows, edge, cloud)


def _topic(file: Path) -> str:
    return file.stem.removeprefix("mmlu_").replace("_", " ")


def _read_gsm8k(folder: Path, edge: str, cloud: str) -> Outcomes:
    return _responses("GSM8K", folder, read_rows(folder / "gsm8k_responses.csv"), edge, cloud)


def _responses(name: str, folder: Path, rows: list[dict[str, Any]], edge: str, cloud: str) -> Outcomes:
    for model in (edge, cloud):
        if model not in rows[0]:
            known = sorted(set(rows[0]) - {"prompt", "topic"})
            raise ConfigurationError(f"{folder} has no column {model!r}: its columns are {', '.join(known)}")
    dropped = _contaminated(folder)
    kept = [row for row in rows if row["prompt"] not in dropped]
    return Outcomes(
        name=name,
        questions=texts(kept, "prompt", name),
        edge_quality=numbers(kept, edge, name),
        cloud_quality=numbers(kept, cloud, name),
        topics=tuple(row["topic"] for row in kept) if "topic" in rows[0] else None,
        edge=edge,
        cloud=cloud,
        notes=(_dropped(len(rows) - len(kept), len(rows)),),
    )


def _read_mt_bench(folder: Path, edge: str, cloud: str) -> Outcomes:
    """Read MT-Bench: the mean grade over both turns; routing sees the first turn, as in RouteLLM."""
    dropped = _contaminated(folder)
    questions = read_rows(folder / "question.jsonl")
    kept = [row for row in questions if dropped.isdisjoint(row["turns"])]
    grades: dict[tuple[Any, str], list[float]] = {}
    unparsed = 0
    for row in read_rows(folder / "judgements.jsonl"):
        if row["score"] < 0:  # the judge's reply held no grade
            unparsed += 1
            continue
        grades.setdefault((row["question_id"], row["model"]), []).append(float(row["score"]))
    notes = [_dropped(len(questions) - len(kept), len(questions))]
    if unparsed:
        notes.append(f"{unparsed} judgements without a grade are left out.")
    return Outcomes(
        name="MT-Bench",
        questions=tuple(str(row["turns"][0]) for row in kept),
        edge_quality=_mean_grades(kept, grades, edge),
        cloud_quality=_mean_grades(kept, grades, cloud),
        topics=tuple(str(row.get("category", "other")) for row in kept),
        edge=edge,
        cloud=cloud,
        notes=tuple(notes),
    )


def _mean_grades(
    rows: list[dict[str, Any]], grades: Mapping[tuple[Any, str], list[float]], model: str
) -> FloatArray:
    for row in rows:
        if (row["question_id"], model) not in grades:
            known = sorted({name for _, name in grades})
            raise ConfigurationError(
                f"question {row['question_id']} has no grade for {model!r}: models graded are "
                f"{', '.join(known)}"
            )
    return np.array([np.mean(grades[row["question_id"], model]) for row in rows])


def _contaminated(folder: Path) -> set[str]:
    return {row["eval_prompt"] for row in read_rows(folder / _CONTAMINATED)}


def _dropped(n_dropped: int, n: int) -> str:
    return f"{n_dropped} of {n} prompts are dropped as contaminated, by RouteLLM's list."


BENCHMARKS: dict[str, Benchmark] = {
    "mmlu": Benchmark(
        "mmlu", (_CONTAMINATED, *(f"responses/mmlu_{subject}.csv" for subject in _SUBJECTS)), _read_mmlu
    ),
    "gsm8k": Benchmark("gsm8k", (_CONTAMINATED, "gsm8k_responses.csv"), _read_gsm8k),
    "mt-bench": Benchmark("mt_bench", (_CONTAMINATED, "question.jsonl", "judgements.jsonl"), _read_mt_bench),
}
