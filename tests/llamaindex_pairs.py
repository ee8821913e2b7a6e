"""A routed pair of real servers that misbehave on command, behind LlamaIndex's real client."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from confroute import RouteDecision
from llamaindex_confroute import ConfRouteLLM
from tests.llamaindex_paths import PATHS, add, decision_of, listed, text_of
from tests.openai_server import Answer, OpenAIServer

client = pytest.importorskip("llama_index.llms.openai_like", reason="needs llama-index-llms-openai-like")

FAULTS = ["timeout", "refused", "401", "429", "500", "malformed", "empty", "cut"]
STREAMS = [path for path in PATHS if "stream" in path]
STRUCTURED = [f"{prefix}structured_predict" for prefix in ("", "a", "stream_", "astream_")]
AS_JSON = {"should_use_structured_outputs": True}
"""Settings of a client whose structured predictions are answers in JSON."""

TIMEOUT = 0.25
PATIENCE = 20.0


class Pair:
    """A routed pair of real servers."""

    def __init__(self, edge: OpenAIServer, cloud: OpenAIServer) -> None:
        self.servers = {"edge": edge, "cloud": cloud}
        self.urls = {side: server.url for side, server in self.servers.items()}
        self.timeouts: dict[str, Any] = {"edge_timeout": PATIENCE, "cloud_timeout": PATIENCE}
        self.fields: dict[str, Any] = {}  # of both clients

    def break_(self, side: str, fault: str) -> None:
        if fault == "timeout":
            self.servers[side].hang_seconds = TIMEOUT * 4
            self.timeouts[f"{side}_timeout"] = TIMEOUT
        if fault == "refused":
            self.urls[side] = closed()
        else:
            self.servers[side].fault = fault

    def llm(self, router: Any, **settings: Any) -> ConfRouteLLM:
        clients = {side: model(f"{side}-model", url, **self.fields) for side, url in self.urls.items()}
        return ConfRouteLLM(router=router, **{**clients, **self.timeouts, **settings})

    def asked(self) -> tuple[int, int]:
        edge, cloud = (len(self.servers[side].requests) for side in ("edge", "cloud"))
        return edge, cloud


@contextmanager
def served() -> Iterator[Pair]:
    with (
        OpenAIServer("the edge says hello", model="edge-model") as edge,
        OpenAIServer("the cloud says hello", model="cloud-model") as cloud,
    ):
        yield Pair(edge, cloud)


def closed() -> str:
    """The address of a server that refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def model(name: str, url: str, **fields: Any) -> Any:
    settings: dict[str, Any] = {
        "is_chat_model": True,
        "is_function_calling_model": True,
        "max_retries": 0,
        "max_tokens": 50,
        "additional_kwargs": {"stream_options": {"include_usage": True}},
    }
    return client.OpenAILike(model=name, api_base=url, api_key="none", **{**settings, **fields})


def ask(llm: ConfRouteLLM, path: str) -> tuple[str, RouteDecision]:
    chunks = PATHS[path](llm)
    return text_of(chunks), decision_of(chunks)


class City(BaseModel):
    """A city."""

    name: str


def cities(name: str) -> Answer:
    """Answer with a city that is there in the first chunk of a stream, of two."""
    return lambda body, i: f'{{"name":"{name}" }}'


async def said(llm: ConfRouteLLM, path: str, *messages: ChatMessage) -> list[Any]:
    """Call by any path in this loop; completions and structured predictions take the last message alone."""
    *history, last = messages or (ChatMessage("hi"),)
    given: dict[str, Any] = {"messages": [*history, last]}
    if "with_tools" in path:
        given = {"tools": [add], "user_msg": last, "chat_history": history}
    elif "structured" in path:
        given = {"output_cls": City, "prompt": PromptTemplate("{text}"), "text": last.content}
    elif "complete" in path:
        given = {"prompt": last.content}
    reply = getattr(llm, path)(**given)
    if "stream" in path:
        return await listed(reply) if path.startswith("a") else list(reply)
    return [await reply if path.startswith("a") else reply]


async def replied(llm: ConfRouteLLM, path: str, *messages: ChatMessage) -> tuple[str, RouteDecision]:
    chunks = await said(llm, path, *messages)
    return text_of(chunks), decision_of(chunks)
