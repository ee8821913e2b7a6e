"""What each of several answers to one request has used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from confroute.decision import Sample, Usage


def share_usage(samples: Sequence[Sample], usage: Usage | None) -> list[Sample]:
    """Return the samples of one request, each with its part of what the request used.

    Generated tokens go by the length of each sample where that is known for all, else in equal parts, and so
    does the money; prompt tokens go in equal parts. The parts add up to the whole.

    Args:
        samples: The choices of one request.
        usage: What the provider counted for it.
    """
    if not samples or usage is None:
        return list(samples)
    lengths = [sample.n_tokens or 0 for sample in samples]
    equal = [1] * len(samples)
    weights = lengths if all(lengths) else equal
    inputs, outputs = _parts(usage.input_tokens, equal), _parts(usage.output_tokens, weights)
    total = sum(weights)
    return [
        replace(
            sample,
            usage=Usage(
                input_tokens=inputs[i],
                output_tokens=outputs[i],
                usd=None if usage.usd is None else usage.usd * weights[i] / total,
            ),
        )
        for i, sample in enumerate(samples)
    ]


def counted_alone(own: Usage | None, whole: Usage) -> dict[str, int] | None:
    """Return what a choice of a request would have used alone, since it may be handed out.

    Args:
        own: Its part of what the request used.
        whole: What the request used.

    Returns:
        Counts of tokens under OpenAI's names; None where they are unknown.
    """
    output = None if own is None else own.output_tokens
    if whole.input_tokens is None or output is None:
        return None
    return {
        "prompt_tokens": whole.input_tokens,
        "completion_tokens": output,
        "total_tokens": whole.input_tokens + output,
    }


def _parts(count: int | None, weights: Sequence[int]) -> list[int | None]:
    """Split a count by weights into whole parts that add up to it."""
    if count is None:
        return [None] * len(weights)
    total, reached, given = sum(weights), 0, 0
    parts: list[int | None] = []
    for weight in weights:
        reached += weight
        upto = count * reached // total
        parts.append(upto - given)
        given = upto
    return parts
