"""Drawing several answers from one model, whatever the framework: at once where it can, else side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace

from confroute.decision import Sample, Usage
from confroute.execution.failures import refuses_several

MAX_CONCURRENCY = 8
"""Most requests in flight for one set of samples, unless the caller says otherwise."""


def draw(
    n: int,
    one: Callable[[int], Sample],
    several: Callable[[], Sequence[Sample]] | None = None,
    *,
    most: int = MAX_CONCURRENCY,
) -> list[Sample]:
    """Draw samples.

    Args:
        n: How many.
        one: Draws the sample of a number, in a request of its own; called from several threads.
        several: Draws all of them in one request; None where the model cannot. It may bring fewer, and where
            the provider refuses it, `one` is asked for all.
        most: Most requests in flight.

    Returns:
        The samples, in order of their numbers.
    """
    samples: list[Sample] = []
    if several is not None and n > 1:
        try:
            samples = list(several())[:n]
        except Exception as error:
            if not refuses_several(error):
                raise
    missing = range(len(samples), n)
    with ThreadPoolExecutor(max(1, min(most, len(missing)))) as pool:
        calls = [pool.submit(copy_context().run, one, i) for i in missing]
    failed = [call.exception() for call in calls]
    samples += [call.result() for call in calls if call.exception() is None]
    return _all(samples, [cause for cause in failed if cause is not None])


async def adraw(
    n: int,
    one: Callable[[int], Awaitable[Sample]],
    several: Callable[[], Awaitable[Sequence[Sample]]] | None = None,
    *,
    most: int = MAX_CONCURRENCY,
) -> list[Sample]:
    """Draw samples; see `draw`."""
    samples: list[Sample] = []
    if several is not None and n > 1:
        try:
            samples = list(await several())[:n]
        except Exception as error:
            if not refuses_several(error):
                raise
    free = asyncio.Semaphore(most)

    async def bounded(i: int) -> Sample:
        async with free:
            return await one(i)

    drawn = await asyncio.gather(*(bounded(i) for i in range(len(samples), n)), return_exceptions=True)
    errors = [one for one in drawn if isinstance(one, BaseException)]
    return _all([*samples, *(one for one in drawn if not isinstance(one, BaseException))], errors)


def _all(samples: list[Sample], errors: list[BaseException]) -> list[Sample]:
    """Return the samples if none is missing; else raise why, with those that are there to be paid for."""
    if not errors:
        return samples
    with suppress(AttributeError):  # an error that takes no attribute
        errors[0].drawn_in_vain = samples  # type: ignore[attr-defined]  # read by `drawn_in_vain`
    raise errors[0]


def drawn_in_vain(error: BaseException) -> list[Sample]:
    """Return the samples that were drawn before one failed."""
    found: list[Sample] = getattr(error, "drawn_in_vain", [])
    return found


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
