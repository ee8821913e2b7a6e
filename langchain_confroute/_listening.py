"""Hearing what a model's run shows and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk

from confroute.decision import Usage
from confroute.execution.failures import charge
from confroute.execution.turn import Spoken
from langchain_confroute._messages import usage_of


class Listener(BaseCallbackHandler):
    """Hears whether a model's run has shown anything, and whether it ended well.

    A model that is merely invoked streams all the same where LangGraph or `astream_events` wants its tokens.
    Once one of them is out, no other model may begin anew.

    Args:
        spoken: Told that something is about to be shown.

    Attributes:
        shown: Whether anything was shown.
        answered: Whether the model ended well.
        error: What the model raised, if anything.
        usage: Tokens that the run, and all models below it, have used; None where none was told.
    """

    run_inline = True  # at once and in order, in async runs too
    raise_error = True  # an answer that nobody waits for any more must not begin

    def __init__(self, spoken: Spoken | None = None) -> None:
        self._spoken = spoken
        self.shown = False
        self.answered = False
        self.error: BaseException | None = None
        self.usage: Usage | None = None

    @contextmanager
    def charging(self) -> Iterator[None]:
        """Note on an error that rejects what the model said what it has used."""
        try:
            yield
        except Exception as error:
            charge(error, self.usage)
            raise

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        """Note that something was shown, if the chunk says anything."""
        self._note(bool(token) or says_something(getattr(chunk, "message", None)))

    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        """Note that something was shown, in the protocol of ``version="v3"``."""
        self._note(event.get("event") == "content-block-delta")

    def _note(self, speaks: bool) -> None:
        if speaks and self._spoken is not None:
            self._spoken.begin()
        self.shown = self.shown or speaks

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        """Note the end, and what was used."""
        self.answered = True
        for generation in response.generations[0] if response.generations else []:
            used = usage_of(getattr(generation, "message", None))
            if used is not None:
                self.usage = used if self.usage is None else self.usage + used

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Note the error."""
        self.error = error


class CutOff:
    """Stands for a reply that broke off after its first token, so that nothing else is tried.

    Attributes:
        error: Why it broke off.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


def says_something(chunk: Any) -> bool:
    """Whether a chunk of a reply has text, content or a piece of a tool call."""
    if isinstance(chunk, AIMessageChunk):
        return bool(str(chunk.text) or chunk.tool_call_chunks or chunk.content)
    return chunk is not None
