"""Reading what providers say about their replies, in the layouts that they share across frameworks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def token_logprobs(told: Any) -> list[float]:
    """Read token log-probabilities in OpenAI's layout (``{"content": [...]}``) or Ollama's (a list).

    Returns:
        One number per token, in nats; empty where the layout is another or a token has none.
    """
    tokens = told.get("content") if isinstance(told, Mapping) else told
    if not isinstance(tokens, list):
        return []
    values = [token.get("logprob") for token in tokens if isinstance(token, Mapping)]
    known = [float(value) for value in values if isinstance(value, int | float)]
    return known if len(known) == len(tokens) else []
