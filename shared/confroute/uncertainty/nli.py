"""Equivalence by a natural-language-inference checkpoint, as in the literature."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from confroute.errors import ConfigurationError, ModelError, require
from confroute.uncertainty.equivalence import FloatArray, Pair


class NLIEquivalence:
    """An NLI classifier judges whether one answer entails the other, the question before both.

    The score is P(entailment) / (P(entailment) + max(P(neutral), P(contradiction))), so that 0.5 is the
    literature's argmax. Which output is "entailment" is read from the checkpoint's own config.

    Args:
        model: Any Hugging Face sequence-classification or cross-encoder checkpoint with NLI labels: a hub
            name or a folder.
        batch_size: Pairs in one forward pass.
        max_length: Tokens of one pair; longer ones are cut, longest side first.
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
        if batch_size < 1:
            raise ConfigurationError(f"batch_size is {batch_size}: expected at least 1")
        self.model = str(model)
        self.batch_size = batch_size
        self.max_length = max_length
        self.device = device

    @property
    def name(self) -> str:
        """Identity of the judge."""
        return f"nli-1:{self.model}"

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
            inputs = tokenizer(
                [f"{q} {a}".strip() for q, a, _ in batch],
                [f"{q} {b}".strip() for q, _, b in batch],
                padding=True,
                truncation="longest_first",
                max_length=self.max_length,
                return_tensors="pt",
            ).to(model.device)
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
