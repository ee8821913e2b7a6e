"""Equivalence by a natural-language-inference checkpoint, as in the literature."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from confroute.errors import ConfigurationError, ModelError, require
from confroute.uncertainty.equivalence import FloatArray, Pair

_LEAST_TOKENS = 8
_TOKEN_CHARS = 32  # a token is hardly ever longer


class NLIEquivalence:
    """An NLI classifier judges whether one answer entails the other, the question before both.

    The score is P(entailment) / (P(entailment) + max(P(neutral), P(contradiction))), so that 0.5 is the
    literature's argmax. Which output is "entailment" is read from the checkpoint's own config.

    Args:
        model: Any Hugging Face sequence-classification or cross-encoder checkpoint with NLI labels: a hub
            name or a folder.
        batch_size: Pairs in one forward pass.
        max_length: Tokens of one pair. Of a longer one the question is cut, at its beginning, since the
            question proper stands at the end of a prompt; the answers stay whole. Where the answers alone
            are longer, the question goes and both end after the same number of characters.
        device: Torch device; the best available by default.

    Raises:
        MissingExtraError: If torch or transformers is not installed.
    """

    symmetric = False
    threshold = 0.5

    def __init__(
        self,
        model: str | Path = "microsoft/deberta-large-mnli",
        *,
        batch_size: int = 32,
        max_length: int = 512,
        device: str | None = None,
    ) -> None:
        for module in ("torch", "transformers"):
            require(module, extra="nli", purpose="NLIEquivalence")
        if max_length < _LEAST_TOKENS:
            raise ConfigurationError(f"max_length is {max_length}: expected at least {_LEAST_TOKENS} tokens")
        if batch_size < 1:
            raise ConfigurationError(f"batch_size is {batch_size}: expected at least 1")
        self.model = str(model)
        self.batch_size = batch_size
        self.max_length = max_length
        self.device = device

    @property
    def name(self) -> str:
        """Identity of the judge."""
        return f"nli-2:{self.model}:{self.max_length}"

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Score pairs in batches, one forward pass per `batch_size` pairs.

        Args:
            pairs: n triples ``(question, a, b)``.

        Returns:
            Float array of shape [n] in [0, 1].

        Raises:
            ModelError: If the checkpoint cannot be loaded.
            ConfigurationError: If the checkpoint has no entailment label.
        """
        import torch

        tokenizer, model, entailment = self._loaded
        scores = []
        for start in range(0, len(pairs), self.batch_size):
            batch = pairs[start : start + self.batch_size]
            sides = [fit_pair(tokenizer, pair, self.max_length) for pair in batch]
            lefts, rights = map(list, zip(*sides, strict=True))
            inputs = tokenizer(lefts, rights, padding=True, return_tensors="pt").to(model.device)
            with torch.inference_mode():
                probabilities = model(**inputs).logits.float().softmax(dim=-1).cpu().numpy()
            entailed = probabilities[:, entailment].astype(np.float64)
            rival = np.delete(probabilities, entailment, axis=1).max(axis=1)
            scores.append(entailed / np.maximum(entailed + rival, 1e-30))
        return np.concatenate(scores) if scores else np.zeros(0)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.model)
            model = AutoModelForSequenceClassification.from_pretrained(self.model)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"cannot load the NLI checkpoint {self.model!r}: {error}. Expected a folder with a "
                "sequence-classification model, or the name of one on a hub that this machine reaches"
            ) from error
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        return tokenizer, model.to(device).eval(), entailment_index(model.config.id2label)


def fit_pair(tokenizer: Any, pair: Pair, max_length: int) -> tuple[str, str]:
    """Return both sides of a pair, the question before each answer, cut to a number of tokens.

    Args:
        tokenizer: The checkpoint's own.
        pair: Question and two answers.
        max_length: Tokens of both sides together with what the tokenizer adds.

    Returns:
        The sides uncut where they fit. Otherwise with the longest end of the question that leaves room for
        both answers; without the question, and both answers up to the same length, where these alone do not
        fit.
    """
    question, a, b = pair

    def fits(kept: str, a: str, b: str) -> bool:
        return len(tokenizer(*_sides(kept, a, b), verbose=False)["input_ids"]) <= max_length

    if fits(question, a, b):
        return _sides(question, a, b)
    if fits("", a, b):
        question = question[-_TOKEN_CHARS * max_length :]
        n = _most(len(question), lambda n: fits(question[len(question) - n :], a, b))
        end = question[len(question) - n :]
        _, space, whole_words = end[:_TOKEN_CHARS].partition(" ")
        return _sides(whole_words + end[_TOKEN_CHARS:] if space else end, a, b)
    n = _most(_TOKEN_CHARS * max_length, lambda n: fits("", a[:n], b[:n]))
    return _sides("", a[:n], b[:n])


def _sides(question: str, a: str, b: str) -> tuple[str, str]:
    return f"{question} {a}".strip(), f"{question} {b}".strip()


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `limit` that fits, where every smaller one does; 0 if none."""
    return bisect_left(range(1, limit + 1), True, key=lambda n: not fits(n))


def entailment_index(id2label: dict[int, str]) -> int:
    """Return which output of a classifier means "entails".

    Args:
        id2label: The config's own map from output to label.

    Raises:
        ConfigurationError: If no label, or more than one, says so.
    """
    labels = {int(i): label.casefold().replace("-", "_") for i, label in id2label.items()}
    hits = [i for i, label in labels.items() if label.startswith("entail")]
    if len(hits) != 1 or len(labels) < 2:
        raise ConfigurationError(
            f"the checkpoint's labels are {list(id2label.values())}: expected exactly one that starts with "
            "'entail' beside at least one other. Set id2label in the checkpoint's config.json"
        )
    return hits[0]
