"""Equivalence judged by a language model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from confroute.decision import RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError
from confroute.models import Model
from confroute.uncertainty.equivalence import FloatArray, Pair

_PROMPT = """We are evaluating answers to the question: {question}

Possible answer 1: {a}
Possible answer 2: {b}

Does possible answer 1 semantically entail possible answer 2? \
Respond with one word: entailment, contradiction or neutral."""

_VERDICT = re.compile(r"entail|contradict|neutral", re.IGNORECASE)


class LLMEquivalence:
    """A language model judges entailment, with the question in its prompt (Farquhar et al. 2024).

    Every pair is one greedy call of a few tokens; the calls of a batch run side by side. A reply that names
    no verdict counts as neutral.

    Args:
        model: The judge, for instance from `confroute.models.load_model`.
        max_concurrency: Calls under way at once.
    """

    symmetric = False
    threshold = 0.5

    def __init__(self, model: Model, *, max_concurrency: int = 8) -> None:
        if max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency is {max_concurrency}: expected at least 1")
        self.model = model
        self.max_concurrency = max_concurrency

    @property
    def name(self) -> str:
        """Identity of the judge."""
        return f"llm-1:{self.model.name}"

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return 1.0 where the judge says "entailment", else 0.0; float array of shape [n]."""
        if not pairs:
            return np.zeros(0)
        with ThreadPoolExecutor(min(self.max_concurrency, len(pairs))) as pool:
            replies = list(pool.map(self._judge, pairs))
        bill = _bill.get()
        if bill is not None:
            bill += [reply.usage for reply in replies]
        return np.array([_entails(reply.text) for reply in replies], dtype=np.float64)

    def _judge(self, pair: Pair) -> Sample:
        question, a, b = pair
        request = RouteRequest.from_text(_PROMPT.format(question=question, a=a, b=b))
        (reply,) = self.model.sample(request, 1, temperature=0.0, max_tokens=8)
        return reply


def _entails(reply: str) -> bool:
    verdict = _VERDICT.search(reply)
    return verdict is not None and verdict[0].casefold() == "entail"


_bill: ContextVar[list[Usage | None] | None] = ContextVar("confroute_judges_bill", default=None)


@contextmanager
def judges_bill() -> Iterator[list[Usage | None]]:
    """Collect what language models that judge within a block use, a usage a call."""
    bill: list[Usage | None] = []
    token = _bill.set(bill)
    try:
        yield bill
    finally:
        _bill.reset(token)
