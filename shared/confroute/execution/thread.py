"""What a conversation's earlier answers say about the next one, by the decisions stamped on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from confroute.decision import Role, RouteDecision

DECISION_KEY = "confroute"
"""Where a framework's message carries its decision."""

Stamp = Mapping[str, Any] | None
"""The decision on a message as plain JSON data; None where there is none."""


def is_pinned(stamps: Iterable[Stamp]) -> bool:
    """Whether a thread must stay on the edge: one of its answers was private."""
    return any(stamp is not None and stamp.get("private") for stamp in stamps)


def sticky_decision(turns: Sequence[tuple[Role, Stamp]]) -> RouteDecision | None:
    """Return the decision that a turn goes on with: that of its latest stamped answer.

    A turn lasts from what a human said to what a human says next: it is a tool loop, an answer that is to be
    put into another form, or what another agent was handed.

    Args:
        turns: Role and stamp of every message, oldest first.

    Returns:
        None where a human has spoken last, or a system prompt asks for something new.
    """
    if not turns or turns[-1][0] not in ("tool", "assistant"):
        return None
    for role, stamp in reversed(turns):
        if role == "user":
            return None
        if role == "assistant" and stamp:
            return read_stamp(stamp)
    return None


def read_stamp(stamp: Stamp) -> RouteDecision | None:
    """Return a stamp's decision; None where there is none that this version can read."""
    if not stamp:
        return None
    try:
        return RouteDecision.model_validate(stamp)
    except ValidationError:  # a thread that another version began
        return None
