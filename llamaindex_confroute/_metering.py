"""Hearing what a model uses where its reply does not tell: a structured prediction is the object alone."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.llms import LLM

from confroute.decision import Usage
from llamaindex_confroute._metadata import with_handlers
from llamaindex_confroute._sides import usage_of

_current: ContextVar[Meter | None] = ContextVar("confroute_meter", default=None)


class Meter:
    """Adds up what one answer's calls use, of models that report to `heard`.

    Attributes:
        usage: Their tokens; None where none was told.
        reply: The last of their replies.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.reply: Any = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to what is called within the block, in this thread or task."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def over(self, chunks: Iterable[Any]) -> Iterator[Any]:
        """Listen while a stream is read."""
        stream = iter(chunks)
        while True:
            with self.listening():
                try:
                    chunk = next(stream)
                except StopIteration:
                    return
            yield chunk

    async def aover(self, chunks: AsyncIterable[Any]) -> AsyncIterator[Any]:
        """Listen while a stream is read."""
        stream = aiter(chunks)
        while True:
            with self.listening():
                try:
                    chunk = await anext(stream)
                except StopAsyncIteration:
                    return
            yield chunk


def heard(model: LLM) -> dict[str, Any]:
    """Return the fields of a copy of a model whose calls a listening `Meter` hears."""
    return {"callback_manager": with_handlers(model.callback_manager, CallbackManager([_HANDLER]))}


class _Handler(BaseCallbackHandler):
    """Tells the meter that listens, if one does, what a call has used."""

    def __init__(self) -> None:
        super().__init__([], [])

    def on_event_end(
        self, event_type: CBEventType, payload: dict[str, Any] | None = None, event_id: str = "", **_: Any
    ) -> None:
        meter, told = _current.get(), payload or {}
        if meter is None or event_type is not CBEventType.LLM:
            return
        meter.reply = told.get(EventPayload.RESPONSE) or told.get(EventPayload.COMPLETION)
        used = usage_of(meter.reply)
        if used is not None:
            meter.usage = used if meter.usage is None else meter.usage + used

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **_: Any,
    ) -> str:
        return event_id

    def start_trace(self, trace_id: str | None = None) -> None:
        pass

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        pass


_HANDLER = _Handler()
