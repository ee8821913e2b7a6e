"""Real servers for what deciding sends, and the ways to call what decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import BaseModel, SecretStr

from confroute import RouteDecision
from tests.openai_server import OpenAIServer

EDGE_SAYS = "the edge says hello"


class Servers:
    """Real servers for the edge, the cloud and a model that is only looked at."""

    def __init__(self, edge: OpenAIServer, cloud: OpenAIServer, other: OpenAIServer) -> None:
        self.edge = edge
        self.cloud = cloud
        self.other = other

    def model(self, server: OpenAIServer, **settings: Any) -> BaseChatOpenAI:
        return BaseChatOpenAI(
            model=server.model,
            base_url=server.url,
            api_key=SecretStr("none"),
            max_retries=0,
            stream_usage=True,
            **settings,
        )

    def sides(self) -> dict[str, Any]:
        return {"edge": self.model(self.edge), "cloud": self.model(self.cloud)}

    def looks(self, server: OpenAIServer) -> list[dict[str, Any]]:
        """Return the requests that asked for log-probabilities, as looks do."""
        return [body for body in server.requests if body.get("logprobs")]


@pytest.fixture
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        names = {"edge-model": EDGE_SAYS, "cloud-model": "the cloud says hello", "other-model": "Paris"}
        made = [stack.enter_context(OpenAIServer(said, model=name)) for name, said in names.items()]
        for server in made:
            server.logprob = -0.05
        yield Servers(*made)


async def alisted(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


def whole(chunks: list[Any]) -> Any:
    return sum(chunks[1:], chunks[0])


ASK = "Which capital?"


LANGCHAIN: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda llm: llm.invoke(ASK),
    "ainvoke": lambda llm: asyncio.run(llm.ainvoke(ASK)),
    "stream": lambda llm: whole(list(llm.stream(ASK))),
    "astream": lambda llm: whole(asyncio.run(alisted(llm.astream(ASK)))),
    "batch": lambda llm: llm.batch([ASK])[0],
}


CHAT_ONLY: dict[str, Callable[[Any], Any]] = {
    "generate": lambda llm: llm.generate([[HumanMessage(ASK)]]).generations[0][0].message,
    "events": lambda llm: asyncio.run(alisted(llm.astream_events(ASK)))[-1]["data"]["output"],
}


PROBES = pytest.mark.parametrize(("probe", "requests"), [("full", 1), ("brief", 2)])


def check(servers: Servers, reply: Any, requests: int) -> None:
    decision = RouteDecision.model_validate(reply.response_metadata["confroute"])
    assert reply.text == EDGE_SAYS
    assert (decision.route, decision.method, decision.n_samples) == ("edge", "confidence", 1)
    assert decision.settled_early
    assert (len(servers.edge.requests), len(servers.looks(servers.edge))) == (requests, 1)
    assert servers.cloud.requests == []


class Capital(BaseModel):
    """A capital."""

    name: str
    people: int


def prediction(told: dict[str, Any]) -> Callable[[dict[str, Any], int], Any]:
    """Answer with an object: as a call of the tool that asks for it, or as JSON."""

    def answer(body: dict[str, Any], i: int) -> Any:
        if not body.get("tools"):
            return json.dumps(told)
        name = body["tools"][0]["function"]["name"]
        call = {"id": "1", "type": "function", "function": {"name": name, "arguments": json.dumps(told)}}
        return {"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}

    return answer
