"""What a labelling run asks, and of whom: questions, sampling settings, label settings, seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from confroute.decision import Message, Route, RouteRequest
from confroute.errors import ConfigurationError
from confroute.uncertainty import Estimator

Kind = Literal["greedy", "sample"]
Rule = Literal["difference", "paper"]

ROLES: tuple[Route, Route] = ("edge", "cloud")
DEFAULT_INSTRUCTION = "Answer the question with the answer alone, as short as possible."


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SamplingSettings(_Frozen):
    """How answers are drawn; one store holds answers under one setting only.

    The defaults follow the literature (Farquhar et al. 2024): ten answers at temperature 1, top-p 0.9 and
    top-k 50, beside one greedy answer that stands for what the model would have replied.

    Attributes:
        n: Sampled answers per model and question.
        temperature: Of the sampled answers; the greedy one has 0.
        top_p: Nucleus mass; None for all.
        top_k: Number of likeliest tokens; None for all.
        max_tokens: Longest answer, in tokens; None leaves it to the model.
        instruction: System prompt; empty for none.
    """

    n: int = Field(default=10, ge=2)
    temperature: float = Field(default=1.0, gt=0)
    top_p: float | None = Field(default=0.9, gt=0, le=1)
    top_k: int | None = Field(default=50, ge=1)
    max_tokens: int | None = Field(default=32, ge=1)
    instruction: str = DEFAULT_INSTRUCTION

    @classmethod
    def of_run(cls, written: Mapping[str, Any]) -> SamplingSettings:
        """Return the sampling settings among the settings that a store or an export has written down."""
        return cls(**{name: written[name] for name in cls.model_fields if name in written})

    def request(self, question: str) -> RouteRequest:
        """Return the request that asks a question under the instruction."""
        turns = [Message("system", self.instruction)] if self.instruction else []
        return RouteRequest(messages=(*turns, Message("user", question)))

    def draws(self) -> list[tuple[Kind, int]]:
        """Return what is drawn from each model for each question: ``(kind, index)``."""
        return [("greedy", 0), *(("sample", i) for i in range(self.n))]


class LabelSettings(_Frozen):
    """How labels are made from answers; can be changed without asking a model again.

    Attributes:
        rule: ``difference``: the smaller Ĥ wins where the two differ by more than `tau`, else a tie.
            ``paper``: Eq. 3 and 4 of Zhang et al. 2025, the difference relative to the cloud's entropy.
        tau: Threshold of the rule.
        estimator: Estimator of both entropies, see `confroute.uncertainty.entropy`.
    """

    rule: Rule = "difference"
    tau: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    estimator: Estimator = "likelihood"


class Question(_Frozen):
    """One question of a run.

    Attributes:
        id: Its name in the run; derived from the text where a file gives none.
        question: The text.
        answers: Gold answers, any of which is right; empty where unknown.
        dataset: Where it comes from; empty where unknown.
    """

    id: str = Field(min_length=1)
    question: str
    answers: tuple[str, ...] = ()
    dataset: str = ""

    @field_validator("question")
    @classmethod
    def _has_text(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("the question is empty")
        if not text.isascii() and text != text.encode("utf-8", "replace").decode("utf-8"):
            raise ValueError("the question holds half a character (a lone surrogate), which is no text")
        return text


def seed_for(model: str, question_id: str, index: int) -> int:
    """Return the seed of one draw, in [0, 2³¹): a hash of model, question and sample number."""
    key = json.dumps([model, question_id, index]).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") >> 1


def read_questions(path: str | Path, *, limit: int | None = None) -> list[Question]:
    """Read questions from a JSONL file and check every line of it.

    Args:
        path: One JSON object a line, with ``question`` and, where known, ``id``, ``answers`` (a list) and
            ``dataset``; other fields are left alone.
        limit: Only the first so many.

    Returns:
        The questions, in the file's order.

    Raises:
        ConfigurationError: If the file cannot be read, a line is broken, a field is missing, or two lines
            have one id or, without ids, one question; the message names the line.
    """
    try:
        with Path(path).open(encoding="utf-8") as lines:
            return check_questions(_parsed(lines, path), source=str(path))[:limit]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"cannot read the questions in {path}: {error}. Expected a UTF-8 file with one JSON object a line"
        ) from error


def check_questions(rows: Iterable[Any], *, source: str = "questions", unit: str = "line") -> list[Question]:
    """Turn rows into questions and check each.

    Args:
        rows: `Question` objects or mappings with the fields that `read_questions` names.
        source: What the rows are, for error messages.
        unit: What one of them is, for error messages.

    Raises:
        ConfigurationError: As `read_questions`; also if there is no question at all.
    """
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{source}, {unit} {number}"
        question = row if isinstance(row, Question) else _question(row, where)
        if question.id in seen:
            first = f"{unit} {seen[question.id]}"
            if isinstance(row, dict) and row.get("id") is None:
                raise ConfigurationError(
                    f"{where}: the same question as {first}, and no 'id' to tell them apart; expected each "
                    "question once: take one of them out, or give each an 'id' of its own"
                )
            raise ConfigurationError(
                f"{where}: the id {question.id!r} is already that of {first}; give each question an id of "
                "its own"
            )
        seen[question.id] = number
        questions.append(question)
    if not questions:
        raise ConfigurationError(f"{source}: no question in it; expected one JSON object a line")
    return questions


def _parsed(lines: Iterable[str], path: str | Path) -> Iterator[Any]:
    told = list(lines)
    while told and not told[-1].strip():
        told.pop()  # a blank last line is how editors end a file
    for number, line in enumerate(told, start=1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigurationError(
                f"{path}, line {number}: not JSON ({error.msg} at column {error.colno}); expected an object "
                'such as {"id": "q1", "question": "Who wrote Emma?", "answers": ["Jane Austen"]}'
            ) from error


def _question(row: Any, where: str) -> Question:
    if not isinstance(row, dict) or "question" not in row:
        raise ConfigurationError(f"{where}: the field 'question' is missing; expected a JSON object with it")
    fields = {key: row[key] for key in ("id", "question", "answers", "dataset") if row.get(key) is not None}
    if isinstance(fields.get("id"), int):
        fields["id"] = str(fields["id"])
    if "id" not in fields:
        text = str(fields["question"]).encode("utf-8", "replace")
        fields["id"] = hashlib.blake2b(text, digest_size=8).hexdigest()
    try:
        return Question(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{where}: the field '{name}' is wrong: {first['msg']}") from error
