"""Carrying out what a generator asks for, so that sync and async code share its steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

Step = TypeVar("Step")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


def drive(steps: Generator[Step, Answer, Result], act: Callable[[Step], Answer]) -> Result:
    """Carry steps out and return what they come to."""
    answer: Any = None  # a generator's first send is None by its protocol
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer = act(step)


async def adrive(steps: Generator[Step, Answer, Result], act: Callable[[Step], Awaitable[Answer]]) -> Result:
    """Carry steps out and return what they come to."""
    answer: Any = None  # as in drive
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer = await act(step)
