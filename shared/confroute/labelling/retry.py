"""Which failed requests are worth another try, and when."""

from __future__ import annotations

from collections.abc import Iterator

from tenacity import RetryCallState
from tenacity.wait import wait_random_exponential

_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_HOPELESS_STATUS = frozenset({401, 403, 404})
_TRANSIENT_NAMES = ("Timeout", "RateLimit", "Overloaded", "Connect", "Protocol", "ReadError", "WriteError")
_LONGEST_WAIT_S = 120.0


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later: a rate limit, a time-out, a lost connection, a 5xx.

    Read from the status code or the class name of the error or of a cause of it, since each client library
    has classes of its own.
    """
    for cause in _causes(error):
        status = _status(cause)
        if status is not None:
            return status in _TRANSIENT_STATUS
        if isinstance(cause, TimeoutError | ConnectionError):
            return True
        if any(word in type(cause).__name__ for word in _TRANSIENT_NAMES):
            return True
    return False


def is_hopeless(error: BaseException) -> bool:
    """Whether every other request must fail as well: no key, no access, no such model."""
    return any(_status(cause) in _HOPELESS_STATUS for cause in _causes(error))


def was_refused(error: BaseException) -> bool:
    """Whether the provider said no, so that the request cost nothing; a time-out may have cost its price."""
    return any(_status(cause) is not None for cause in _causes(error))


class Backoff:
    """Tenacity's wait: as long as ``Retry-After`` asks, else exponential with jitter, in seconds.

    Args:
        first: Upper end of the first wait; each later one doubles it.
    """

    def __init__(self, first: float = 1.0) -> None:
        self._exponential = wait_random_exponential(multiplier=first, max=60)

    def __call__(self, state: RetryCallState) -> float:
        """Return the seconds to wait before the next attempt."""
        error = state.outcome.exception() if state.outcome is not None else None
        asked = _retry_after(error) if error is not None else None
        return self._exponential(state) if asked is None else min(asked, _LONGEST_WAIT_S)


def _retry_after(error: BaseException) -> float | None:
    for cause in _causes(error):
        headers = getattr(getattr(cause, "response", None), "headers", None)
        value = headers.get("retry-after") if headers is not None else None
        if value is not None:
            try:
                return max(0.0, float(value))
            except ValueError:  # an HTTP date: the exponential wait will do
                return None
    return None


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
