"""What a question got, for agents and engines that rebuild their messages and lose the stamp on the way."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import ClassVar, TypeVar

from confroute.decision import RouteDecision, RouteRequest

T = TypeVar("T")

_SIZE = 1_024
_PINS = 65_536
_LEAST = 8  # characters; shorter lines, such as "thanks", stand in too many threads
_AROUND = re.compile(r"^(?:user|human|assistant|message)\s*:\s*|</?\w+>", re.IGNORECASE)


class TurnMemory:
    """Remembers the decisions of recent questions, and which questions were private.

    `ReActAgent` and some chat engines keep the text of their answers only, so that nothing in the next call
    tells who gave them. The decision matters inside a turn alone, when the last message is an observation; a
    human's turn is always decided anew. That a question was private matters to every later turn of its
    thread, in every object of this process. Only digests are kept: of the last 1,024 questions, and of the
    last 65,536 lines of private ones that are long enough to mean anything.
    """

    _pins: ClassVar[OrderedDict[bytes, None]] = OrderedDict()
    _pinning: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._decisions: OrderedDict[bytes, RouteDecision] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, request: RouteRequest, decision: RouteDecision) -> None:
        """Keep the decision of a question."""
        with self._lock:
            _keep(self._decisions, _key(request), decision, _SIZE)

    def recall(self, request: RouteRequest) -> RouteDecision | None:
        """Return the decision of the question whose turn goes on; None if none does."""
        if not request.messages or request.messages[-1].role != "tool":
            return None
        with self._lock:
            return self._decisions.get(_key(request))

    def pin(self, request: RouteRequest) -> None:
        """Remember that a question is private, whatever becomes of it."""
        with self._pinning:
            for line in _lines(_questions(request)[-1:]):
                _keep(self._pins, line, None, _PINS)

    def is_pinned(self, request: RouteRequest) -> bool:
        """Whether a thread holds a private question, as a message or as a line of a prompt made of it.

        The question at hand is none of them, nor what its own tool loop has said: it may be asked anew.
        """
        asked = [i for i, message in enumerate(request.messages) if message.role == "user"]
        if not asked:
            return False
        told = [m.text for m in request.messages[: asked[-1]] if m.role in ("user", "assistant")]
        last = request.messages[asked[-1]].text
        if "\n" in last.strip():
            told.append(last)
        with self._pinning:
            return any(line in self._pins for line in _lines(told))


def _keep(kept: OrderedDict[bytes, T], key: bytes, value: T, size: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > size:
        kept.popitem(last=False)


def _lines(texts: Iterable[str]) -> list[bytes]:
    """Return digests of lines, without what a prompt made of messages puts around each."""
    found = (_AROUND.sub("", line.strip()).strip() for text in texts for line in text.splitlines())
    return [_digest(line) for line in found if len(line) >= _LEAST]


def _questions(request: RouteRequest) -> list[str]:
    return [message.text for message in request.messages if message.role == "user"]


def _key(request: RouteRequest) -> bytes:
    told = [message.text for message in request.messages if message.role == "system"]
    return _digest(*told, *_questions(request)[-1:])


def _digest(*texts: str) -> bytes:
    digest = blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.digest()
