"""What kind of failure an exception of any client is, told by its status and its name, not its package."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum

from confroute.decision import Usage
from confroute.errors import ConfRouteError
from confroute.wishes import is_too_long, status_of


class EmptyAnswerError(ConfRouteError, RuntimeError):
    """A model answered with neither text nor a tool call."""

    def __init__(self) -> None:
        super().__init__("the model gave an empty answer")


class OutOfBudgetError(ConfRouteError, RuntimeError):
    """A budget or a cap leaves no room for a request that would have been sent."""


class CircuitOpenError(ConfRouteError, RuntimeError):
    """A model failed a moment ago and is not asked again yet."""


class Failure(Enum):
    """Kinds of failure, as far as they are treated differently."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    SERVER = "server"
    TOO_LONG = "too long"
    BAD_REQUEST = "bad request"
    OTHER = "other"


_BAD_REQUESTS = frozenset({400, 404, 409, 413, 415, 422})


def failure_of(error: BaseException) -> Failure:
    """Return what kind of failure an exception is.

    Args:
        error: Any client's exception. Its HTTP status counts where it has one; failing that, the names of its
            classes tell time-outs and refused connections.
    """
    status = status_of(error)
    if status is not None:
        if status in _BAD_REQUESTS:
            return Failure.TOO_LONG if is_too_long(error) else Failure.BAD_REQUEST
        if status in (408, 504):
            return Failure.TIMEOUT
        return Failure.SERVER if status >= 500 else Failure.OTHER
    names = [kind.__name__ for kind in type(error).__mro__]
    if any("Timeout" in name for name in names):
        return Failure.TIMEOUT
    if any("ConnectionError" in name or name == "ConnectError" for name in names):
        return Failure.REFUSED
    return Failure.OTHER


def charge(error: BaseException, usage: Usage | None) -> None:
    """Note on an error what the answer that it rejects has used, where that is known."""
    if usage is not None:
        with suppress(AttributeError):  # an error that takes no attribute
            error.confroute_usage = usage  # type: ignore[attr-defined]  # read by `charged`


def charged(error: BaseException) -> Usage | None:
    """Return what `charge` has noted on an error."""
    usage: Usage | None = getattr(error, "confroute_usage", None)
    return usage


def is_control_flow(error: BaseException) -> bool:
    """Whether an exception is no failure at all but LangGraph's way to pause or to jump."""
    return any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)
