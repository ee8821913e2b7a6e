"""What a question got, for agents and engines that rebuild their messages and lose the stamp on the way."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import ClassVar, TypeVar

from confroute.decision import Message, RouteDecision, RouteRequest

T = TypeVar("T")

_SIZE = 2 * 1_024  # two keys each
_PINS = 65_536
_LEAST = 8  # characters; shorter lines, such as "thanks", stand in too many threads
_AROUND = re.compile(r"^(?:user|human|assistant|message)\s*:\s*|</?\w+>", re.IGNORECASE)
_CONVERSATION = "<current_conversation>"  # how LlamaIndex's agents ask for their answer as an object
_STOP = "You have reached the maximum number of iterations"  # how they are told to come to an end
_ASKED = re.compile(r"^\s*<user>$(.*?)^\s*</user>$", re.DOTALL | re.MULTILINE)
_SAID = re.compile(r"<message>(.*?)</message>", re.DOTALL)


class TurnMemory:
    """Remembers the decisions of recent questions, and which questions were private.

    `ReActAgent` and some chat engines keep the text of their answers only, so that nothing in the next call
    tells who gave them. The decision matters inside a turn alone, when the last message is an observation,
    tells the agent to stop, or asks for its answer as an object; a human's turn is decided anew. That a
    question was private matters to every later turn of its thread, in every object of this process. Only
    digests are kept: of the last 1,024 questions, and of the last 65,536 lines of private ones that are long
    enough to mean anything.
    """

    _pins: ClassVar[OrderedDict[bytes, None]] = OrderedDict()
    _said: ClassVar[OrderedDict[bytes, None]] = OrderedDict()
    _pinning: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._decisions: OrderedDict[bytes, RouteDecision] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, request: RouteRequest, decision: RouteDecision) -> None:
        """Keep the decision of a question."""
        with self._lock:
            for question in _questions(request.messages)[-1:]:
                for key in (_key(request.messages, question), _digest(_CONVERSATION, question)):
                    _keep(self._decisions, key, decision, _SIZE)

    def recall(self, request: RouteRequest) -> RouteDecision | None:
        """Return the decision of the question whose turn goes on; None if none does."""
        questions = _questions(request.messages)
        if not questions:
            return None
        if request.messages[-1].role == "tool":
            key = _key(request.messages, questions[-1])
        elif request.messages[-1].role == "system" and request.messages[-1].text.startswith(_STOP):
            key = _key(request.messages[:-1], questions[-1])
        elif questions[-1].startswith(_CONVERSATION):
            asked = _ASKED.findall(questions[-1])
            key = _digest(_CONVERSATION, "\n".join(_SAID.findall(asked[-1])) if asked else "")
        else:
            return None
        with self._lock:
            return self._decisions.get(key)

    def pin(self, request: RouteRequest, asked: Sequence[str] | None = None) -> None:
        """Remember that a question is private, whatever becomes of it.

        Args:
            request: The request.
            asked: What of its prompt the caller has said, where a template says the rest.
        """
        with self._pinning:
            for line in _lines(asked if asked is not None else _questions(request.messages)[-1:]):
                _keep(self._pins, line, None, _PINS)

    def pin_said(self, texts: Iterable[str]) -> None:
        """Remember what a model said privately: engines and agents ask on with it, as if they were human."""
        with self._pinning:
            for line in _lines(texts):
                _keep(self._said, line, None, _PINS)

    def is_pinned(self, request: RouteRequest, asked: Sequence[str] | None = None) -> bool:
        """Whether a thread holds a private question, as a message or as a line of a prompt made of it.

        The question at hand is none of them, nor what its own tool loop has said: it may be asked anew. But
        it may be what a model made of a private question.
        """
        humans = [i for i, message in enumerate(request.messages) if message.role == "user"]
        if not humans:
            return False
        told = [m.text for m in request.messages[: humans[-1]] if m.role in ("user", "assistant")]
        at_hand = list(asked) if asked is not None else [request.messages[humans[-1]].text]
        told += [text for text in at_hand if "\n" in text.strip()]
        with self._pinning:
            return any(line in self._pins for line in _lines(told)) or any(
                line in self._said for line in _lines(at_hand)
            )


def _keep(kept: OrderedDict[bytes, T], key: bytes, value: T, size: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > size:
        kept.popitem(last=False)


def _lines(texts: Iterable[str]) -> list[bytes]:
    """Return digests of lines, without what a prompt made of messages puts around each."""
    found = (_AROUND.sub("", line.strip()).strip() for text in texts for line in text.splitlines())
    return [_digest(line) for line in found if len(line) >= _LEAST]


def _questions(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages if message.role == "user"]


def _key(messages: Sequence[Message], question: str) -> bytes:
    return _digest(*(message.text for message in messages if message.role == "system"), question)


def _digest(*texts: str) -> bytes:
    digest = blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.digest()
