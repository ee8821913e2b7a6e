"""Bounds and settings of models, read from what their classes have in common across frameworks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

LENGTH_FIELDS = ("max_tokens", "num_predict", "max_output_tokens", "max_new_tokens")
"""Names under which models keep the length of their longest reply."""

SAMPLING_ARGUMENTS = frozenset({"n", "seed", "stream", "logprobs", "top_logprobs"})
"""Arguments of a user's call that a sampler always sets itself, or leaves out."""

_LENGTH_ARGUMENTS = (*LENGTH_FIELDS, "max_completion_tokens")
_CHARS_PER_TOKEN = 4  # of English text
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_IMAGE = 2_000


class PromptSize(NamedTuple):
    """How long a prompt is.

    Attributes:
        most: The most tokens that it can have, for money: one per UTF-8 byte.
        about: The tokens that it probably has, for context windows: one per four characters of ASCII text,
            one per other character.
        longest: The longest reply that the caller asks for; None where the model's own limit holds.
    """

    most: int
    about: int
    longest: int | None = None


def prompt_size(texts: Iterable[str], *, images: int = 0, extras: Iterable[Any] = ()) -> PromptSize:
    """Measure a prompt without a tokenizer.

    Args:
        texts: The text of each message.
        images: Number of images.
        extras: What else is sent, as JSON: tools, a schema, and the tool calls of earlier answers.
    """
    texts = list(texts)
    sent = [*texts, *(json.dumps(extra, default=str, ensure_ascii=False) for extra in extras)]
    around = images * _TOKENS_PER_IMAGE + len(texts) * _TOKENS_PER_MESSAGE
    most = sum(len(text.encode()) for text in sent) + around
    others = sum(len(text) - len(text.encode("ascii", "ignore")) for text in sent)
    return PromptSize(most, (sum(map(len, sent)) - others) // _CHARS_PER_TOKEN + others)


def length_field(fields: Collection[str]) -> str | None:
    """Return the name under which a model keeps the length of its longest reply; None where it keeps none."""
    return next((name for name in LENGTH_FIELDS if name in fields), None)


def longest_reply(model: object) -> int | None:
    """Return the length that a model's replies are limited to, in tokens; None where it sets none."""
    limits = [getattr(model, name, None) for name in LENGTH_FIELDS]
    return next((limit for limit in limits if isinstance(limit, int) and limit > 0), None)


def longest_asked(*arguments: Mapping[str, Any]) -> int | None:
    """Return the longest reply that the arguments of calls ask for, in tokens; None where none does."""
    asked = [given.get(name) for given in arguments for name in _LENGTH_ARGUMENTS]
    return max((length for length in asked if isinstance(length, int)), default=None)


def without_sampling(
    arguments: Mapping[str, Any], *, temperature: float | None, max_tokens: int | None
) -> dict[str, Any]:
    """Return the arguments of a user's call but for those that a sampler sets itself.

    Args:
        arguments: The arguments.
        temperature: The sampler's temperature; the user's stays where this is None.
        max_tokens: The sampler's longest reply, likewise.
    """
    ours = SAMPLING_ARGUMENTS.union(_LENGTH_ARGUMENTS if max_tokens is not None else ())
    ours |= {"temperature"} if temperature is not None else set()
    return {name: value for name, value in arguments.items() if name not in ours}


def sampling_fields(
    fields: Collection[str],
    *,
    temperature: float | None = None,
    max_tokens: int | None = None,
    logprobs: bool = False,
    top_p: float | None = None,
    top_k: int | None = None,
) -> dict[str, Any]:
    """Return how a copy of a model is set in order to sample it, as far as the model has such fields.

    Args:
        fields: Names of the model's fields.
        temperature: Sampling temperature.
        max_tokens: Longest sample; set under the name that the model has for it.
        logprobs: Whether token log-probabilities are asked for.
        top_p: Nucleus sampling.
        top_k: Top-k sampling.
    """
    wanted: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    wanted["logprobs"] = True if logprobs else None
    if (length := length_field(fields)) is not None:
        wanted[length] = max_tokens
    return {name: value for name, value in wanted.items() if name in fields and value is not None}
