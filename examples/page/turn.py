"""What the page shows of a question, and what an app must give it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from confroute.execution.accounts import Stats


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that was retrieved.

    Attributes:
        name: File that it comes from.
        text: The passage.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A question as far as it is answered.

    Attributes:
        sources: What was retrieved; None while nothing has been.
        decision: The decision as plain data, with its evidence; None while the edge is being asked.
        answer: The answer so far.
    """

    sources: list[Source] | None = None
    decision: dict[str, Any] | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What the page says of an app.

    Attributes:
        framework: Name of the framework.
        edge: Name of the edge model.
        cloud: Name of the cloud model.
        notes: Sentences that a user must know, such as that the cloud is a recording.
        questions: Questions to begin with.
    """

    framework: str
    edge: str
    cloud: str
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


class RagApp(Protocol):
    """An app behind the page."""

    about: About

    @property
    def stats(self) -> Stats:
        """What the routed model has done so far."""
        ...

    def ask(self, question: str, *, threshold: float | None, private: bool) -> Iterator[Turn]:
        """Answer; each turn that is yielded says more than the one before.

        Args:
            question: The question.
            threshold: Cloud from this uncertainty on; None for the router's own.
            private: Whether it must stay on the edge.
        """
        ...
