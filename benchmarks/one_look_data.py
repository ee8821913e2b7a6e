"""Recorded answers as `benchmarks/one_look.py` reads them, whatever file they are in."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import read_jsonl
from confroute.decision import Sample
from confroute.evaluation import load_benchmark
from confroute.labelling import Store
from confroute.labelling.correct import is_right
from confroute.labelling.export import import_run

FloatArray = NDArray[np.float64]

OPEN = frozenset({"nq", "triviaqa", "mawps"})
LETTERS = "ABCD"


@dataclass(frozen=True)
class Asked:
    """One question with what a model answered.

    Attributes:
        question: The question.
        look: The answer that one look sees.
        more: Further samples.
        right: Whether the look is right, then whether each further sample is; empty where another model's
            answer is handed out.
    """

    question: str
    look: Sample
    more: tuple[Sample, ...]
    right: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Recording:
    """Recorded answers to n questions.

    Attributes:
        name: What the report calls it.
        told: Which model is looked at, and whose answers are handed out.
        asked: The questions.
        edge: Quality of the answer that is handed out after one look, shape [n].
        cloud: Quality of the cloud's answers, shape [n]; None where there is no cloud.
    """

    name: str
    told: str
    asked: tuple[Asked, ...]
    edge: FloatArray
    cloud: FloatArray | None = None

    @property
    def has_logprobs(self) -> bool:
        """Whether the looks have log-probabilities."""
        return all(one.look.mean_logprob is not None for one in self.asked)

    @property
    def is_own(self) -> bool:
        """Whether the model that is looked at is the edge, whose answer is handed out."""
        return bool(self.asked[0].right)


def read_pair(path: Path) -> list[Recording]:
    """Read an export of ``confroute label``: each model as an edge, on open and on choice questions."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "run.sqlite") as store:
        import_run(store, path)
        questions, settings = store.questions(), store.settings()
        drawn: dict[tuple[int, str], list[Sample]] = {}
        for stored in store.samples():  # the greedy answer comes first
            drawn.setdefault((stored.draw.position, stored.draw.role), []).append(stored.sample)
    found = []
    for role, cloud_role in (("cloud", None), ("edge", "cloud")):
        for kind in ("open", "choice"):
            asked, edge, cloud = [], [], []
            for position, one in questions.items():
                if not one.answers or (one.dataset in OPEN) != (kind == "open"):
                    continue
                answers = drawn[position, role]
                right = tuple(bool(is_right(sample.text, one.answers, one.question)) for sample in answers)
                asked.append(Asked(one.question, answers[0], tuple(answers[1:]), right))
                edge.append(float(right[0]))
                if cloud_role is not None:
                    text = drawn[position, cloud_role][0].text
                    cloud.append(float(bool(is_right(text, one.answers, one.question))))
            told = f"{settings[role]} is looked at, its answer is handed out"
            if cloud_role is not None:
                told += f"; cloud {settings[cloud_role]}"
            name = f"{_short(settings[role])}, {kind} questions"
            found.append(
                Recording(name, told, tuple(asked), np.array(edge), np.array(cloud) if cloud else None)
            )
    return found


def _short(model: str) -> str:
    return next((size for size in ("0.5b", "1.5b") if size in model), model).upper()


def read_llama(data: Path) -> Recording:
    """Read LLaMA-13B's twenty samples of TriviaQA; the first stands for the reply."""
    asked = []
    for row in read_jsonl(data / "samples" / "llama-13b_triviaqa_20x500.jsonl"):
        samples = [Sample(text) for text in row["samples"]]
        right = tuple(bool(value) for value in row["sample_correct_alias"])
        asked.append(Asked(row["question"], samples[0], tuple(samples[1:]), right))
    told = (
        "no log-probabilities and no greedy answer: the first sample is the look and is handed out, the others "
        "are further ones; right by TriviaQA's aliases"
    )
    edge = np.array([float(one.right[0]) for one in asked])
    return Recording("LLaMA-13B, TriviaQA", told, tuple(asked), edge)


def read_nq(data: Path) -> Recording:
    """Read Qwen2.5-Coder-1.5B's answers to Natural Questions, beside GPT-4's that people judged."""
    judged = {row["question"]: row for row in read_jsonl(data / "cascades" / "nq_human_judged.jsonl")}
    asked, cloud = [], []
    for row in _read_gz(data / "recordings" / "nq_qwen1.5b_10x3020.jsonl.gz"):
        question, gold = row["question"], judged[row["question"]]["golden_answer"].split("/")
        answers = [_sample(one) for one in (row["greedy"], *row["samples"])]
        right = tuple(bool(is_right(one.text, [text.strip() for text in gold], question)) for one in answers)
        asked.append(Asked(question, answers[0], tuple(answers[1:]), right))
        cloud.append(float(judged[question]["judge_gpt4"]))
    told = (
        "Qwen2.5-Coder-1.5B is looked at and its answer handed out, right by rule; the cloud is GPT-4, judged "
        "by people (EVOUNA)"
    )
    edge = np.array([float(one.right[0]) for one in asked])
    return Recording("1.5B, Natural Questions", told, tuple(asked), edge, np.array(cloud))


def read_gsm8k(data: Path) -> Recording:
    """Read Qwen2.5-Coder-1.5B's worked answers to GSM8K, for Mixtral → GPT-4."""
    rows = {row["prompt_sha256_16"]: row for row in _read_gz(data / "recordings" / "gsm8k_qwen1.5b.jsonl.gz")}
    found = load_benchmark("gsm8k", data / "routellm")
    asked = []
    for question in found.questions:
        row = rows[_key(question)]
        asked.append(Asked(question, _sample(row["greedy"]), tuple(map(_sample, row["samples"]))))
    told = (
        "worked answers of Qwen2.5-Coder-1.5B (at most 320 tokens) are looked at; Mixtral's answer is handed "
        f"out, the cloud is {found.cloud}; {found.notes[0]}"
    )
    return Recording("GSM8K, Mixtral → GPT-4", told, tuple(asked), found.edge_quality, found.cloud_quality)


def read_mmlu(data: Path) -> Recording:
    """Read Qwen2.5-Coder-1.5B's log-probabilities of the four letters on MMLU, for Mixtral → GPT-4.

    The look is the likeliest letter, the further "samples" are all four letters, told and not drawn.
    """
    rows = {row["prompt_sha256_16"]: row for row in _read_gz(data / "recordings" / "mmlu_qwen1.5b.jsonl.gz")}
    found = load_benchmark("mmlu", data / "routellm")
    asked = []
    for question in found.questions:
        logprobs = rows[_key(question)]["letters_plain"]
        letters = tuple(
            Sample(letter, logprob=value, n_tokens=1) for letter, value in zip(LETTERS, logprobs, strict=True)
        )
        asked.append(Asked(question, letters[int(np.argmax(logprobs))], letters))
    told = (
        "the letters of Qwen2.5-Coder-1.5B after a two-shot prompt are looked at in one forward pass; Mixtral's "
        f"answer is handed out, the cloud is {found.cloud}; {found.notes[0]}"
    )
    return Recording("MMLU, Mixtral → GPT-4", told, tuple(asked), found.edge_quality, found.cloud_quality)


def without_logprobs(recording: Recording) -> Recording:
    """Return the same answers from a provider that tells no log-probabilities."""

    def bare(sample: Sample) -> Sample:
        return replace(sample, logprob=None)

    asked = tuple(
        replace(one, look=bare(one.look), more=tuple(map(bare, one.more))) for one in recording.asked
    )
    return replace(recording, asked=asked)


def _sample(row: dict[str, Any]) -> Sample:
    return Sample(row["text"], logprob=row["logprob"], n_tokens=row["n_tokens"], cut=not row["whole"])


def _key(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def _read_gz(path: Path) -> Sequence[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
