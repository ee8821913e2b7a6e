"""Clients of both frameworks that refuse what is wished for, and models that think before a brief answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from llama_index.core.base.llms.types import ChatMessage

from confroute import ConfidenceRouter, EntropyRouter, RouteRequest
from confroute.decision import Sample, Sampler, ToolCall
from confroute.uncertainty import ExactEquivalence
from confroute.wishes import ROOM_FOR_THOUGHT
from langchain_confroute import ChatConfRoute
from langchain_confroute.sampling import LangChainSampler
from llamaindex_confroute import ConfRouteLLM
from llamaindex_confroute._sampling import Copies, LlamaIndexSampler
from tests.ollama_server import OllamaServer, thinking
from tests.openai_server import OpenAIServer

QUESTION = "Capital of France?"
METHODS: dict[Any, str] = {EntropyRouter: "entropy", ConfidenceRouter: "confidence"}
TOLD = {
    "logprobs": "Unsupported parameter: 'logprobs' is not supported with this model.",
    "n": "'n' : number must be at most 1",
    "temperature": "Unsupported value: 'temperature' does not support 1.0 with this model.",
}


class Face(Protocol):
    """One framework's clients, samplers and pair."""

    def client(self, server: OpenAIServer, *, seed: int | None = None) -> Any: ...

    def ollama(self, server: OllamaServer) -> Any: ...

    def sampler(self, model: Any) -> Sampler: ...

    async def decided(self, path: str, **sides: Any) -> tuple[str, str]:
        """Ask a pair, and return the decision's method and the reply's text."""


class LangChain:
    def client(self, server: OpenAIServer, *, seed: int | None = None) -> Any:
        settings: dict[str, Any] = {"base_url": server.url, "api_key": "none", "max_retries": 0}
        return ChatOpenAI(model="edge", seed=seed, **settings)

    def ollama(self, server: OllamaServer) -> Any:
        ollama = pytest.importorskip("langchain_ollama", reason="needs the dependency group 'examples'")
        return ollama.ChatOllama(model="qwen3", base_url=server.url)

    def sampler(self, model: Any) -> Sampler:
        return LangChainSampler(model.bind(stop=["\n"]), [HumanMessage(QUESTION)])

    async def decided(self, path: str, **sides: Any) -> tuple[str, str]:
        llm, messages = ChatConfRoute(**sides), [HumanMessage(QUESTION)]
        reply: Any
        if path == "sync":
            reply = llm.invoke(messages)
        elif path == "async":
            reply = await llm.ainvoke(messages)
        else:
            streamed = (
                list(llm.stream(messages)) if path == "stream" else [c async for c in llm.astream(messages)]
            )
            reply = sum(streamed[1:], streamed[0])
        return reply.response_metadata["confroute"]["method"], reply.text


class LlamaIndex:
    def client(self, server: OpenAIServer, *, seed: int | None = None) -> Any:
        like = pytest.importorskip("llama_index.llms.openai_like", reason="needs the group 'examples'")
        settings: dict[str, Any] = {"is_chat_model": True, "max_retries": 0, "api_key": "none"}
        settings["additional_kwargs"] = {} if seed is None else {"seed": seed}
        return like.OpenAILike(model="edge", api_base=server.url, **settings)

    def ollama(self, server: OllamaServer) -> Any:
        ollama = pytest.importorskip("llama_index.llms.ollama", reason="needs the group 'examples'")
        return ollama.Ollama(model="qwen3", base_url=server.url, context_window=1000)

    def sampler(self, model: Any) -> Sampler:
        messages = [ChatMessage(QUESTION)]
        return LlamaIndexSampler(model, "chat", lambda model, extra: {"messages": messages}, Copies())

    async def decided(self, path: str, **sides: Any) -> tuple[str, str]:
        llm, messages = ConfRouteLLM(**sides), [ChatMessage(QUESTION)]
        reply: Any
        if path == "sync":
            reply = llm.chat(messages)
        elif path == "async":
            reply = await llm.achat(messages)
        elif path == "stream":
            reply = list(llm.stream_chat(messages))[-1]
        else:
            reply = [chunk async for chunk in await llm.astream_chat(messages)][-1]
        return reply.additional_kwargs["confroute"]["method"], reply.message.content


@dataclass(frozen=True)
class Way:
    """A face, asked in one of two ways."""

    face: Face
    is_async: bool

    async def drawn(self, model: Any, n: int = 3, *, handle: Any = None, **settings: Any) -> list[Sample]:
        handle = self.face.sampler(model) if handle is None else handle
        request = RouteRequest.from_text(QUESTION)
        if self.is_async:
            samples: list[Sample] = await handle.asample(request, n, **settings)
            return samples
        return list(handle.sample(request, n, **settings))


@pytest.fixture(params=[LangChain, LlamaIndex])
def face(request: Any) -> Any:
    return request.param()


@pytest.fixture(params=["sync", "async"])
def way(request: Any, face: Any) -> Way:
    return Way(face, request.param == "async")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body, i: "Paris", model="edge") as running:
        yield running


def asks_for(body: dict[str, Any], wish: str) -> bool:
    if wish == "temperature":
        return body.get(wish) == 1.0
    return (body.get("n") or 1) > 1 if wish == "n" else bool(body.get(wish))


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("status", ["400", "403", "422"])
@pytest.mark.parametrize("wish", ["logprobs", "n", "temperature"])
async def test_what_a_provider_refuses_is_asked_for_once(
    way: Way, names: bool, status: str, wish: str, server: OpenAIServer
) -> None:
    refused: list[dict[str, Any]] = []

    def fault(body: dict[str, Any]) -> str | None:
        if not asks_for(body, wish):
            return None
        refused.append(body)
        return status

    server.fault, server.fault_message = fault, TOLD[wish] if names else None
    model = way.face.client(server)
    for _ in range(3):
        assert [sample.text for sample in await way.drawn(model, logprobs=True)] == ["Paris"] * 3
    assert len(refused) == (1 if names else {"logprobs": 1, "n": 2, "temperature": 3}[wish])
    assert [asks_for(server.requests[-1], one) for one in TOLD] == [one != wish for one in TOLD]


async def test_a_filtered_question_is_handed_on(way: Way, server: OpenAIServer) -> None:
    model = way.face.client(server)
    await way.drawn(model, logprobs=True)
    server.fault, server.fault_message = "400", "The response was filtered: content management policy"
    with pytest.raises(Exception, match="content management policy"):
        await way.drawn(model, logprobs=True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("path", ["sync", "async", "stream", "astream"])
@pytest.mark.parametrize("wish", ["logprobs", "n"])
@pytest.mark.parametrize("probe", ["full", "brief"])
@pytest.mark.parametrize("kind", [EntropyRouter, ConfidenceRouter])
async def test_no_question_leaves_the_edge_for_it(
    face: Face, path: str, wish: str, probe: Any, kind: Any, server: OpenAIServer
) -> None:
    server.fault = lambda body: "400" if asks_for(body, wish) else None
    edge = face.client(server)
    with OpenAIServer("the cloud", model="cloud") as cloud:
        router = kind(probe=probe, n_samples=3, equivalence=ExactEquivalence())
        for _ in range(2):
            method, text = await face.decided(path, edge=edge, cloud=face.client(cloud), router=router)
            assert (method, text.strip()) == (METHODS[kind], "Paris")
        assert cloud.requests == []


async def test_seeds_go_on_over_the_batches_of_a_decision(way: Way, server: OpenAIServer) -> None:
    server.honours_n = False
    model = way.face.client(server, seed=7)
    handle = way.face.sampler(model)
    await way.drawn(model, 1, handle=handle)
    await way.drawn(model, 3, handle=handle)
    assert sorted(body["seed"] for body in server.requests) == [7, 8, 9, 10]
    server.honours_n = True
    await way.drawn(model, 2, handle=handle)
    await way.drawn(model, 2, handle=handle)
    assert [body["seed"] for body in server.requests[-2:]] == [11, 13]
    await way.drawn(way.face.client(server), 2)
    assert "seed" not in server.requests[-1]


async def test_log_probabilities_leave_the_thought_out(way: Way, server: OpenAIServer) -> None:
    spelled = ("<think>", "hm", "</think>", "Pa", "ris")
    tokens = [{"token": token, "logprob": -1.0, "top_logprobs": []} for token in spelled]
    choice = {"message": {"content": "<think>hm</think>Paris"}, "logprobs": {"content": tokens}}
    server.answer = lambda body, i: choice
    samples = await way.drawn(way.face.client(server), 2, logprobs=True)
    assert [(sample.logprob, sample.n_tokens) for sample in samples] == [(-2.0, 2)] * 2


async def test_calls_are_kept_whatever_they_are(way: Way, server: OpenAIServer) -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "nowhere", "arguments": '{"a": '}},
    ]
    server.answer = lambda body, i: {"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    (sample,) = await way.drawn(way.face.client(server), 1, max_tokens=32)
    assert sample.tool_calls == (ToolCall("add", {"a": 1}), ToolCall("nowhere", unread='{"a": '))
    assert len(server.requests) == 1


@pytest.mark.parametrize("message", [{"content": "<think>let me see"}, {"reasoning_content": "let me see"}])
async def test_a_brief_answer_has_room_for_the_thought(
    way: Way, message: dict[str, Any], server: OpenAIServer
) -> None:
    def longest(body: dict[str, Any]) -> int:
        return int(body.get("max_tokens") or body["max_completion_tokens"])

    cut = {"message": message, "finish_reason": "length"}
    server.answer = lambda body, i: cut if longest(body) < 100 else "<think>hm</think>Paris"
    model = way.face.client(server)
    for _ in range(2):
        samples = await way.drawn(model, 2, max_tokens=32)
        assert [sample.text for sample in samples] == ["<think>hm</think>Paris"] * 2
    room = 32 + ROOM_FOR_THOUGHT
    assert [longest(body) for body in server.requests] == [32, room, room]


async def test_ollamas_thinking_is_switched_off_for_brief_answers(way: Way) -> None:
    with OllamaServer(thinking(100, "Paris")) as server:
        model = way.face.ollama(server)
        for _ in range(2):
            samples = await way.drawn(model, 2, max_tokens=32, temperature=None)
            assert [sample.text for sample in samples] == ["Paris"] * 2
        assert [body.get("think") for body in server.requests] == [None, *[False] * 4]
        assert {body["options"]["num_predict"] for body in server.requests} == {32}
        assert {body["options"]["temperature"] for body in server.requests} == {0.0}
        await way.drawn(model, 1)
        assert server.requests[-1].get("think") is None
        assert "num_predict" not in server.requests[-1]["options"]
