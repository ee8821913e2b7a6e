"""The decision as attributes of the current OpenTelemetry span, where OpenTelemetry is set up."""

from __future__ import annotations

import sys
from typing import Any

from confroute.decision import RouteDecision
from confroute.execution.turn import Answer

_KEYS = ("route", "score", "threshold", "method", "reason", "private", "n_samples", "fallback_from")


def record(decision: RouteDecision) -> None:
    """Write the decision on the span around the caller, if there is one; never loads OpenTelemetry itself."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return
    span = trace.get_current_span()
    if not span.is_recording():
        return
    for key in _KEYS:
        value = getattr(decision, key)
        if value is not None:
            span.set_attribute(f"confroute.{key}", value)
    if decision.usage.usd is not None:
        span.set_attribute("confroute.usage.usd", decision.usage.usd)


def event_of(step: Answer) -> dict[str, Any]:
    """Return the decision and its evidence as a framework's own event carries them, and trace them."""
    record(step.decision)
    evidence = step.evidence.to_dict() if step.evidence is not None else None
    return {**step.decision.to_dict(), "evidence": evidence}
