"""A scripted pair, every way to call it, and what listens to the calls."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import root_dispatcher

from confroute import RouteDecision
from confroute.decision import Router
from confroute.testing import ScriptedRouter
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_doubles import ScriptedLLM

AGREE = ["Paris", "paris", "It is Paris."]
DISAGREE = ["Paris", "Rome", "Bern"]
HI = [ChatMessage("hi")]


def pair(
    router: Router | None = None,
    edge: Iterable[Any] = ("edge says hello",),
    cloud: Iterable[Any] = ("cloud says hello",),
    edge_settings: dict[str, Any] | None = None,
    **settings: Any,
) -> ConfRouteLLM:
    return ConfRouteLLM(
        edge=ScriptedLLM(model="edge-model", answers=list(edge), **(edge_settings or {})),
        cloud=ScriptedLLM(model="cloud-model", answers=list(cloud)),
        router=router or ScriptedRouter("edge"),
        **settings,
    )


def seen(llm: ConfRouteLLM) -> tuple[int, int]:
    return len(llm.edge.seen), len(llm.cloud.seen)  # type: ignore[attr-defined]  # the doubles' records


async def listed(chunks: Any) -> list[Any]:
    return [chunk async for chunk in await chunks]


def _add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


add = FunctionTool.from_defaults(_add, name="add")

PATHS: dict[str, Callable[[ConfRouteLLM], list[Any]]] = {
    "chat": lambda llm: [llm.chat(HI)],
    "achat": lambda llm: [asyncio.run(llm.achat(HI))],
    "stream_chat": lambda llm: list(llm.stream_chat(HI)),
    "astream_chat": lambda llm: asyncio.run(listed(llm.astream_chat(HI))),
    "complete": lambda llm: [llm.complete("hi")],
    "acomplete": lambda llm: [asyncio.run(llm.acomplete("hi"))],
    "stream_complete": lambda llm: list(llm.stream_complete("hi")),
    "astream_complete": lambda llm: asyncio.run(listed(llm.astream_complete("hi"))),
    "chat_with_tools": lambda llm: [llm.chat_with_tools([add], "hi")],
    "achat_with_tools": lambda llm: [asyncio.run(llm.achat_with_tools([add], "hi"))],
    "stream_chat_with_tools": lambda llm: list(llm.stream_chat_with_tools([add], "hi")),
    "astream_chat_with_tools": lambda llm: asyncio.run(listed(llm.astream_chat_with_tools([add], "hi"))),
}
ALL_PATHS = pytest.mark.parametrize("path", PATHS)


def text_of(chunks: list[Any]) -> str:
    if len(chunks) > 1:
        return "".join(chunk.delta or "" for chunk in chunks)
    return str(getattr(chunks[0], "text", None) or chunks[0].message.content)


def decision_of(chunks: list[Any]) -> RouteDecision:
    stamps = [chunk.additional_kwargs["confroute"] for chunk in chunks]
    assert all(stamp == stamps[0] for stamp in stamps)
    assert json.loads(json.dumps(stamps[0])) == stamps[0]
    for chunk in chunks:
        if hasattr(chunk, "message"):
            assert chunk.message.additional_kwargs["confroute"] == stamps[0]
    return RouteDecision.model_validate(stamps[0])


class Events(BaseEventHandler):
    """Records LlamaIndex's instrumentation events."""

    events: list[Any] = []  # noqa: RUF012 - a pydantic field

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.events.append(event)

    def named(self, name: str) -> list[Any]:
        return [event for event in self.events if event.class_name() == name]


class Calls(BaseCallbackHandler):
    """Records the model of every LLM event of the legacy callbacks."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.models: list[str] = []

    def on_event_start(self, event_type: Any, payload: Any = None, *args: Any, **kwargs: Any) -> str:
        if event_type == CBEventType.LLM:
            self.models.append(payload["serialized"]["model_name"])
        return "event"

    def on_event_end(self, *args: Any, **kwargs: Any) -> None: ...

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, *args: Any, **kwargs: Any) -> None: ...


@contextmanager
def listening() -> Iterator[Events]:
    """Listen to LlamaIndex's instrumentation."""
    handler = Events(events=[])
    root_dispatcher.add_event_handler(handler)
    try:
        yield handler
    finally:
        root_dispatcher.event_handlers.remove(handler)
