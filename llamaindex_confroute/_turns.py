"""Which decision a question got, for agents that rebuild their messages and lose the stamp on the way."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b

from confroute.decision import RouteDecision, RouteRequest

_SIZE = 1_024


class TurnMemory:
    """Remembers the decisions of recent questions, keyed by the question and the system's text.

    `ReActAgent` keeps the text of its answers only, so that nothing in its next call tells who gave them. It
    matters inside a turn alone, when the last message is an observation; a human's turn is always decided
    anew. Only digests are kept, of the last 1,024 questions.
    """

    def __init__(self) -> None:
        self._decisions: OrderedDict[bytes, RouteDecision] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, request: RouteRequest, decision: RouteDecision) -> None:
        """Keep the decision of a question."""
        key = _key(request)
        with self._lock:
            self._decisions[key] = decision
            self._decisions.move_to_end(key)
            if len(self._decisions) > _SIZE:
                self._decisions.popitem(last=False)

    def recall(self, request: RouteRequest) -> RouteDecision | None:
        """Return the decision of the question whose turn goes on; None if none does."""
        if not request.messages or request.messages[-1].role != "tool":
            return None
        with self._lock:
            return self._decisions.get(_key(request))


def _key(request: RouteRequest) -> bytes:
    asked = [message.text for message in request.messages if message.role == "user"]
    told = [message.text for message in request.messages if message.role == "system"]
    digest = blake2b(digest_size=16)
    for text in (*told, *asked[-1:]):
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.digest()
