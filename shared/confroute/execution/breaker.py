"""A circuit breaker per model, so that a dead model costs one time-out and not one per call."""

from __future__ import annotations

import threading
import time

from purgatory.domain.model import HALF_OPENED, OPENED, Context, OpenedState

from confroute.errors import ConfigurationError
from confroute.execution.failures import Failure

_AT_ONCE = frozenset({Failure.TIMEOUT, Failure.REFUSED})
_ANSWERED = frozenset({Failure.BAD_REQUEST, Failure.TOO_LONG})


class Breaker:
    """Opens after one time-out or refused connection, or after several server errors in a row.

    While it is open the model is not asked. After `reset_after` seconds one call may try; its outcome closes
    the circuit or opens it again. What is the caller's fault (400, 401) never opens it.

    Args:
        name: Name of the model, for messages.
        server_errors: 5xx answers in a row that open it.
        reset_after: Seconds until a call may try again.
    """

    def __init__(self, name: str, *, server_errors: int = 3, reset_after: float = 30.0) -> None:
        if server_errors < 1 or not reset_after > 0:
            raise ConfigurationError(
                f"breaker: server_errors is {server_errors} and reset_after is {reset_after}: expected at "
                "least 1 error, and more than 0 seconds"
            )
        self.name = name
        self.reset_after = reset_after
        self._state = Context(name, threshold=server_errors, ttl=reset_after)
        self._lock = threading.Lock()
        self._trying = False

    @property
    def blocks(self) -> bool:
        """Whether the model may not be asked now; asking this uses up no trial."""
        opened_at = self._state.opened_at
        is_open = self._state.state == OPENED and opened_at is not None
        return is_open and time.time() <= (opened_at or 0.0) + self.reset_after

    def lets_pass(self) -> bool:
        """Whether the model may be asked now; after the waiting time, true for one caller."""
        with self._lock:
            try:
                self._state.handle_new_request()
            except OpenedState:
                return False
            if self._state.state == HALF_OPENED:
                if self._trying:
                    return False
                self._trying = True
            return True

    def succeeded(self) -> None:
        """Tell that the model answered."""
        with self._lock:
            self._trying = False
            self._state.handle_end_request()

    def abandoned(self) -> None:
        """Tell that a call was given up, so that nothing is known."""
        with self._lock:
            self._trying = False

    def failed(self, error: Exception, failure: Failure) -> None:
        """Tell that the model failed."""
        with self._lock:
            self._trying = False
            if failure in _AT_ONCE:
                self._state.set_state(OpenedState(self.name))
            elif failure is Failure.SERVER:
                self._state.handle_exception(error)
            elif failure in _ANSWERED:
                self._state.handle_end_request()  # the server is there, whatever it thinks of the request
            self._state.messages.clear()
