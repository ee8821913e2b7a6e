"""Equivalence judged by a language model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from confroute.answers import without_thought
from confroute.decision import RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError
from confroute.models import Model
from confroute.uncertainty.equivalence import FloatArray, Pair

_PROMPT = """We are evaluating answers to the question: {question}

Possible answer 1: {a}
Possible answer 2: {b}

Does possible answer 1 semantically entail possible answer 2? \
Respond with one word: entailment, contradiction or neutral."""

_VERDICT = re.compile(
    r"(?P<denied>(?:\b(?:not?|non|never|neither|cannot|fails? to)\b|n['’]t\b)[\s\w*-]{0,30}?)?"
    r"(?P<verdict>entail|contradict|neutral)",
    re.IGNORECASE,
)
_QUESTION_CHARS = 2000  # the end of a longer prompt, where the question proper stands
_VERDICT_TOKENS = 8
_THOUGHT_TOKENS = 4096


class LLMEquivalence:
    """A language model judges entailment, with the question in its prompt (Farquhar et al. 2024).

    Every pair is one greedy call of a few tokens; the calls of a batch run side by side. Of a long question
    the last 2,000 characters are sent, of the answers and of the judge's own reply nothing that is thought. A
    reply that names no verdict, or only denies some, counts as neutral.

    Args:
        model: The judge, for instance from `confroute.models.load_model`.
        max_concurrency: Calls under way at once.
        max_tokens: Longest reply. By default 8 tokens; a judge that says nothing in them, since it thinks
            first, is asked the same again with room for 4,096, and has that room from then on.
    """

    symmetric = False
    threshold = 0.5

    def __init__(self, model: Model, *, max_concurrency: int = 8, max_tokens: int | None = None) -> None:
        if max_concurrency < 1:
            raise ConfigurationError(f"max_concurrency is {max_concurrency}: expected at least 1")
        if max_tokens is not None and max_tokens < 1:
            raise ConfigurationError(f"max_tokens is {max_tokens}: expected at least 1, or None")
        self.model = model
        self.max_tokens = max_tokens
        self._thinks = False
        self.max_concurrency = max_concurrency

    @property
    def name(self) -> str:
        """Identity of the judge."""
        return f"llm-2:{self.model.name}"

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return 1.0 where the judge says "entailment", else 0.0; float array of shape [n]."""
        if not pairs:
            return np.zeros(0)
        with ThreadPoolExecutor(min(self.max_concurrency, len(pairs))) as pool:
            replies = list(pool.map(self._judge, pairs))
        bill = _bill.get()
        if bill is not None:
            bill += [reply.usage for drawn in replies for reply in drawn]
        return np.array([_entails(drawn[-1].text) for drawn in replies], dtype=np.float64)

    def _judge(self, pair: Pair) -> list[Sample]:
        """Return all replies that a pair took; the last one is the verdict."""
        question, a, b = pair
        prompt = _PROMPT.format(
            question=question[-_QUESTION_CHARS:], a=without_thought(a), b=without_thought(b)
        )
        request = RouteRequest.from_text(prompt)
        if self.max_tokens is not None or self._thinks:
            return self._ask(request, self.max_tokens or _THOUGHT_TOKENS)
        replies = self._ask(request, _VERDICT_TOKENS)
        if replies[-1].is_empty:
            self._thinks = True
            replies = replies + self._ask(request, _THOUGHT_TOKENS)
        return replies

    def _ask(self, request: RouteRequest, max_tokens: int) -> list[Sample]:
        return self.model.sample(request, 1, temperature=0.0, max_tokens=max_tokens)


def _entails(reply: str) -> bool:
    verdicts = _VERDICT.finditer(without_thought(reply))
    verdict = next((found["verdict"] for found in verdicts if found["denied"] is None), "")
    return verdict.casefold() == "entail"


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
