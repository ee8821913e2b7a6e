"""Doubles for the tests of labelling."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confroute.decision import RouteRequest, Sample, Usage
from confroute.labelling import Question


def make_questions(n: int) -> list[Question]:
    return [Question(id=f"q{i}", question=f"Question {i}?", answers=(f"answer {i % 4}",)) for i in range(n)]


class SeededModel:
    """Answers by question and seed alone; slower or faster by chance; tells a log what it was asked.

    Args:
        name: The model's name.
        log: File that gets a line ``name question temperature seed`` for each request, before it is answered.
        variety: Number of distinct answers.
        delay: Longest time of an answer in seconds.
    """

    def __init__(self, name: str, *, log: Path | None = None, variety: int = 4, delay: float = 0.0) -> None:
        self.name = name
        self.log = log
        self.variety = variety
        self.delay = delay
        self.calls: list[tuple[str, int]] = []

    def sample(
        self, request: RouteRequest, n: int, *, seed: int | None = None, **settings: Any
    ) -> list[Sample]:
        assert n == 1
        question = request.messages[-1].text
        self.calls.append((question, seed or 0))
        if self.log is not None:
            line = f"{self.name}|{question}|{seed}\n"
            with self.log.open("ab", buffering=0) as out:
                out.write(line.encode())
        if self.delay:
            time.sleep(random.random() * self.delay)
        chance = random.Random(f"{self.name}|{question}|{seed}")
        text = f"answer {chance.randrange(self.variety)}"
        usage = Usage(input_tokens=10, output_tokens=2)
        return [Sample(text, logprob=-chance.random() * 4, n_tokens=2, usage=usage, model=self.name)]

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        return self.sample(request, n, **settings)


class FailingModel(SeededModel):
    """Raises the given errors first, in order, then answers."""

    def __init__(self, name: str, errors: Sequence[Exception], **settings: Any) -> None:
        super().__init__(name, **settings)
        self.errors = list(errors)

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        if self.errors:
            self.calls.append((request.messages[-1].text, settings.get("seed") or 0))
            raise self.errors.pop(0)
        return super().sample(request, n, **settings)


class StatusError(Exception):
    """An error as HTTP client libraries raise them."""

    def __init__(self, status_code: int, message: str = "refused") -> None:
        super().__init__(message)
        self.status_code = status_code


def fork(function: Any) -> int:
    """Run a function in a forked process; return its process id. It exits with 0, or 1 after an exception."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return child


class JudgeModel(SeededModel):
    """Says by the prompt alone whether two answers mean the same; 100 tokens in, one out."""

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        super().sample(request, n, **settings)
        same = random.Random(request.messages[-1].text).random() < 0.5
        usage = Usage(input_tokens=100, output_tokens=1)
        return [Sample("entailment" if same else "neutral", usage=usage, model=self.name)]


def count(store: Path, query: str) -> Any:
    """Return the one figure that a query on a store gives."""
    db = sqlite3.connect(store)
    try:
        return db.execute(query).fetchone()[0]
    finally:
        db.close()
