"""An opt-in log of decisions, one JSON object a line, without prompt text unless asked."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from pathlib import Path

from confroute.decision import RouteDecision, RouteRequest, Usage

logger = logging.getLogger(__name__)


class DecisionLog:
    """Appends every decision to a file, as JSON lines that ``confroute evaluate --watch`` reads.

    A line that cannot be written is a warning: an answer that is paid for is worth more.

    Args:
        path: The file; made if absent, with its folder.
        with_query: Whether the question's text is logged too, and the whole text of errors, which may quote
            it. Private questions never are.
    """

    def __init__(self, path: str | Path, *, with_query: bool = False) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.with_query = with_query
        self._lock = threading.Lock()

    def write(self, request: RouteRequest, decision: RouteDecision, reply: Usage | None) -> None:
        """Append one decision."""
        row = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **decision.to_dict()}
        row["reply_usage"] = reply.model_dump() if reply is not None else None
        if self.with_query and not decision.private:
            row["query"] = request.query
        elif decision.fallback_cause is not None:
            kind = decision.fallback_cause.partition(":")[0]
            row["reason"] = decision.reason.replace(decision.fallback_cause, kind)
            row["fallback_cause"] = kind
        line = json.dumps(row) + "\n"
        try:
            with self._lock, self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            logger.warning("cannot log a decision in %s: %s", self.path, error)
