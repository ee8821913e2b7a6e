"""The decision as an event of LlamaIndex's instrumentation."""

from __future__ import annotations

from typing import Any

from llama_index.core.instrumentation.events import BaseEvent
from llama_index_instrumentation import get_dispatcher

from confroute.decision import RouteDecision
from confroute.execution.telemetry import event_of
from confroute.execution.turn import Answer

dispatcher = get_dispatcher(__name__)


class RouteDecisionEvent(BaseEvent):
    """A question was routed; fired once for each, when the model that answers is known.

    Example:
        ```python
        from llama_index.core.instrumentation import get_dispatcher
        from llama_index.core.instrumentation.event_handlers import BaseEventHandler
        from llamaindex_confroute import RouteDecisionEvent

        class Decisions(BaseEventHandler):
            def handle(self, event, **kwargs):
                if isinstance(event, RouteDecisionEvent):
                    print(event.decision.reason)

        get_dispatcher().add_event_handler(Decisions())
        ```

    Attributes:
        decision: Who answers, and why.
        evidence: The sampled answers by meaning and their entropy; None where nothing was sampled.
    """

    decision: RouteDecision
    evidence: dict[str, Any] | None = None

    @classmethod
    def class_name(cls) -> str:
        """Return the name of this event."""
        return "RouteDecisionEvent"


def tell(step: Answer) -> None:
    """Fire the event of an answer, in the span around the caller."""
    evidence = event_of(step)["evidence"]
    dispatcher.event(RouteDecisionEvent(decision=step.decision, evidence=evidence))
