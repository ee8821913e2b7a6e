"""Opening a stream: up to its first token another model may still answer, afterwards none."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeVar

from confroute.execution.failures import EmptyAnswerError

Chunk = TypeVar("Chunk")


def opened(
    chunks: Iterable[Chunk], says_something: Callable[[Chunk], bool]
) -> tuple[list[Chunk], Iterator[Chunk]]:
    """Read a stream up to its first chunk that says something.

    Returns:
        The chunks read, and the stream of the others.

    Raises:
        EmptyAnswerError: If no chunk says anything.
    """
    rest, opening = iter(chunks), []
    for chunk in rest:
        opening.append(chunk)
        if says_something(chunk):
            return opening, rest
    raise EmptyAnswerError


async def aopened(
    chunks: AsyncIterable[Chunk], says_something: Callable[[Chunk], bool]
) -> tuple[list[Chunk], AsyncIterator[Chunk]]:
    """Read a stream up to its first chunk that says something; see `opened`."""
    rest, opening = aiter(chunks), []
    async for chunk in rest:
        opening.append(chunk)
        if says_something(chunk):
            return opening, rest
    raise EmptyAnswerError


async def nothing() -> AsyncIterator[Any]:
    """Return the stream of no chunks, for what follows on an answer that is there as a whole."""
    chunks: tuple[Any, ...] = ()
    for chunk in chunks:
        yield chunk
