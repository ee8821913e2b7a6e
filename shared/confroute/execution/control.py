"""Control per call: what the caller rules, whatever the router would say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, get_args

from confroute.decision import Route
from confroute.errors import ConfigurationError
from confroute.routers.threshold import HIGHEST_THRESHOLD


@dataclass(frozen=True, slots=True)
class Controls:
    """What the caller rules for a call.

    Attributes:
        route: The route to take.
        threshold: The threshold to use instead of the router's own.
        private: Whether the call must stay on the edge.
        budget: US dollars that the call may cost at most.
        reason: Why this route, in the decision's words.
        query: The question itself, where the prompt says more.
    """

    route: Route | None = None
    threshold: float | None = None
    private: bool = False
    budget: float | None = None
    reason: str | None = None
    query: str | None = None

    def __post_init__(self) -> None:
        if self.route is not None and self.route not in get_args(Route):
            raise ConfigurationError(f"route is {self.route!r}: expected 'edge' or 'cloud'")
        for name in ("threshold", "budget"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value >= 0):
                raise ConfigurationError(f"{name} is {value!r}: expected a number of at least 0")
        if self.threshold is not None and self.threshold > HIGHEST_THRESHOLD:
            raise ConfigurationError(
                f"threshold is {self.threshold!r}: expected at most {HIGHEST_THRESHOLD}; scores lie in [0, 1]"
            )
        if not isinstance(self.private, bool):
            raise ConfigurationError(f"private is {self.private!r}: expected True or False")
        for name in ("reason", "query"):
            value = getattr(self, name)
            if not isinstance(value, str | None):  # its type alone is told: a question is the user's own
                raise ConfigurationError(f"{name} is of type {type(value).__name__}: expected a text")
        if self.reason is not None and self.route is None:
            raise ConfigurationError(
                f"reason is {self.reason!r}, but no route is asked for: expected both, or no reason"
            )

    def then(self, inner: Controls) -> Controls:
        """Return these controls with an inner block's on top; what is private stays private."""
        return Controls(
            route=inner.route if inner.route is not None else self.route,
            threshold=inner.threshold if inner.threshold is not None else self.threshold,
            private=self.private or inner.private,
            budget=inner.budget if inner.budget is not None else self.budget,
            reason=inner.reason if inner.route is not None else self.reason,
            query=inner.query if inner.query is not None else self.query,
        )

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], prefix: str = "confroute_") -> Controls:
        """Read controls from settings such as ``{"confroute_route": "cloud"}``; other keys are left alone.

        Raises:
            ConfigurationError: If a key with the prefix is unknown, or a value is out of range.
        """
        names = {key: key.removeprefix(prefix) for key in settings if key.startswith(prefix)}
        unknown = sorted(key for key, name in names.items() if name not in cls.__slots__)
        if unknown:
            known = ", ".join(f"{prefix}{name}" for name in cls.__slots__)
            raise ConfigurationError(f"unknown setting {', '.join(unknown)}: expected one of {known}")
        return cls(**{name: settings[key] for key, name in names.items() if settings[key] is not None})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


_NOTHING_RULED = Controls()
_current: ContextVar[Controls] = ContextVar("confroute_controls", default=_NOTHING_RULED)


@contextmanager
def control(
    *,
    route: Route | None = None,
    threshold: float | None = None,
    private: bool = False,
    budget: float | None = None,
    reason: str | None = None,
) -> Iterator[Controls]:
    """Rule every routed call within a ``with`` block, in any framework, sync or async.

    Blocks nest: an inner one overrides what it names, but never unpins what an outer one made private.

    Args:
        route: Take this route.
        threshold: Use this threshold instead of the router's own.
        private: Stay on the edge. A private call never reaches the cloud; if the edge cannot serve it, that
            is an error.
        budget: US dollars that one call may cost at most; the edge answers where the cloud might cost more.
        reason: Why this route, for the decision's own reason, such as ``"nothing was retrieved"``.

    Raises:
        ConfigurationError: If a value is out of range.

    Example:
        ```python
        with confroute.control(private=True):
            llm.invoke("What does my contract say about notice?")
        ```
    """
    token = _current.set(_current.get().then(Controls(route, threshold, private, budget, reason)))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def current_controls() -> Controls:
    """Return the controls of the ``with`` blocks around the caller."""
    return _current.get()
