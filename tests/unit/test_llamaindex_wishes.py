"""LlamaIndex clients that refuse what is wished for, and models that think before a brief answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.callbacks import llm_chat_callback

from confroute import ConfidenceRouter, EntropyRouter, RouteRequest
from confroute.decision import Sample, ToolCall
from confroute.uncertainty import ExactEquivalence
from confroute.wishes import ROOM_FOR_THOUGHT, habits_of
from llamaindex_confroute import ConfRouteLLM
from llamaindex_confroute._sampling import Copies, LlamaIndexSampler
from llamaindex_confroute._sides import usage_of
from tests.llamaindex_doubles import ScriptedLLM
from tests.ollama_server import OllamaServer, thinking
from tests.openai_server import OpenAIServer

openai_like = pytest.importorskip("llama_index.llms.openai_like", reason="needs the group 'examples'")

QUESTION = RouteRequest.from_text("Capital of France?")
MESSAGES = [ChatMessage("Capital of France?")]
METHODS: dict[Any, str] = {EntropyRouter: "entropy", ConfidenceRouter: "confidence"}
TOLD = {
    "logprobs": "Unsupported parameter: 'logprobs' is not supported with this model.",
    "n": "'n' : number must be at most 1",
}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body, i: "Paris", model="edge") as running:
        yield running


def client(server: OpenAIServer, **fields: Any) -> Any:
    settings: dict[str, Any] = {"is_chat_model": True, "max_retries": 0, "api_key": "none"}
    return openai_like.OpenAILike(model="edge", api_base=server.url, **settings | fields)


def asks_for(body: dict[str, Any], wish: str) -> bool:
    return (body.get("n") or 1) > 1 if wish == "n" else bool(body.get(wish))


def sampler(model: Any, **arguments: Any) -> LlamaIndexSampler:
    return LlamaIndexSampler(
        model, "chat", lambda model, extra: {"messages": MESSAGES, **arguments}, Copies()
    )


async def drawn(way: str, handle: LlamaIndexSampler, n: int = 3, **settings: Any) -> list[Sample]:
    if way == "sync":
        return handle.sample(QUESTION, n, **settings)
    return await handle.asample(QUESTION, n, **settings)


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("status", ["400", "403", "422"])
@pytest.mark.parametrize("wish", ["logprobs", "n"])
async def test_what_a_provider_refuses_is_asked_for_once(
    way: str, names: bool, status: str, wish: str, server: OpenAIServer
) -> None:
    refused: list[dict[str, Any]] = []

    def fault(body: dict[str, Any]) -> str | None:
        if not asks_for(body, wish):
            return None
        refused.append(body)
        return status

    server.fault, server.fault_message = fault, TOLD[wish] if names else None
    model = client(server)
    for _ in range(3):
        samples = await drawn(way, sampler(model), logprobs=True)
        assert [sample.text for sample in samples] == ["Paris"] * 3
    assert len(refused) == (1 if names or wish == "logprobs" else 2)
    assert [asks_for(server.requests[-1], one) for one in TOLD] == [one != wish for one in TOLD]


async def test_a_client_that_does_not_know_an_argument_is_asked_without() -> None:
    class Strict(ScriptedLLM):
        temperature: None = None
        max_tokens: None = None
        logprobs: bool | None = None

        @llm_chat_callback()
        def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            if self.logprobs:
                raise ValueError("this model has no logprobs")
            return self._reply(messages, kwargs)

    model = Strict(model="m")
    assert len(sampler(model).sample(QUESTION, 3, logprobs=True)) == 3
    assert habits_of(model).refused == {"logprobs"}


def test_an_argument_of_the_call_is_taken_back() -> None:
    class Strict(ScriptedLLM):
        @llm_chat_callback()
        def chat(self, messages: Any) -> ChatResponse:
            return self._reply(messages, {})

    fields = {name: field for name, field in Strict.model_fields.items() if name != "temperature"}
    Strict.__pydantic_fields__ = fields
    model = Strict(model="m")
    assert len(sampler(model).sample(QUESTION, 2)) == 2
    assert habits_of(model).refused == {"temperature=1.0"}


@WAYS
async def test_a_filtered_question_is_handed_on(way: str, server: OpenAIServer) -> None:
    model = client(server)
    await drawn(way, sampler(model), logprobs=True)
    server.fault, server.fault_message = "400", "The response was filtered: content management policy"
    with pytest.raises(Exception, match="content management policy"):
        await drawn(way, sampler(model), logprobs=True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("path", ["chat", "stream_chat", "achat", "astream_chat", "complete"])
@pytest.mark.parametrize("wish", ["logprobs", "n"])
@pytest.mark.parametrize("probe", ["full", "brief"])
@pytest.mark.parametrize("kind", [EntropyRouter, ConfidenceRouter])
async def test_no_question_leaves_the_edge_for_it(
    path: str, wish: str, probe: Any, kind: Any, server: OpenAIServer
) -> None:
    server.fault = lambda body: "400" if asks_for(body, wish) else None
    with OpenAIServer("the cloud", model="cloud") as cloud:
        router = kind(probe=probe, n_samples=3, equivalence=ExactEquivalence())
        llm = ConfRouteLLM(edge=client(server), cloud=client(cloud), router=router)
        for _ in range(2):
            reply = await _asked(llm, path)
            assert reply.additional_kwargs["confroute"]["method"] == METHODS[kind]
        assert cloud.requests == []


async def _asked(llm: ConfRouteLLM, path: str) -> Any:
    if path == "complete":
        return llm.complete("Capital of France?")
    if path == "chat":
        return llm.chat(MESSAGES)
    if path == "achat":
        return await llm.achat(MESSAGES)
    if path == "stream_chat":
        return list(llm.stream_chat(MESSAGES))[-1]
    return [chunk async for chunk in await llm.astream_chat(MESSAGES)][-1]


@WAYS
async def test_seeds_go_on_over_the_batches_of_a_decision(way: str, server: OpenAIServer) -> None:
    server.honours_n = False
    handle = sampler(client(server, additional_kwargs={"seed": 7}))
    await drawn(way, handle, 1)
    await drawn(way, handle, 3)
    assert sorted(body["seed"] for body in server.requests) == [7, 8, 9, 10]
    await drawn(way, sampler(client(server)), 1)
    assert "seed" not in server.requests[-1]


@pytest.mark.parametrize(
    ("fields", "given", "sent"),
    [
        ({}, {}, 0.0),
        ({"temperature": 0.4}, {}, 0.4),
        ({"additional_kwargs": {"temperature": 0.5}}, {}, 0.5),
    ],
)
def test_no_temperature_is_the_users_own_or_greedy(
    fields: dict[str, Any], given: dict[str, Any], sent: float, server: OpenAIServer
) -> None:
    model = client(server, **fields)
    sampler(model, **given).sample(QUESTION, 1, temperature=None)
    sampler(model, **given).sample(QUESTION, 1, temperature=1.0)
    assert [body["temperature"] for body in server.requests] == [sent, 1.0]


def test_log_probabilities_leave_the_thought_out() -> None:
    tokens: list[dict[str, Any]] = [
        {"token": t, "logprob": -1.0, "top_logprobs": []} for t in ("<think>", "hm", "</think>", "Pa", "ris")
    ]
    choice = {"message": {"content": "<think>hm</think>Paris"}, "logprobs": {"content": tokens}}
    with OpenAIServer(lambda body, i: choice) as server:
        samples = sampler(client(server)).sample(QUESTION, 2, logprobs=True)
    assert [(sample.logprob, sample.n_tokens) for sample in samples] == [(-2.0, 2)] * 2


def test_calls_are_kept_whatever_they_are(server: OpenAIServer) -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "nowhere", "arguments": '{"a": '}},
    ]
    server.answer = lambda body, i: {"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    (sample,) = sampler(client(server)).sample(QUESTION, 1, max_tokens=32)
    assert sample.tool_calls == (ToolCall("add", {"a": 1}), ToolCall("nowhere", unread='{"a": '))
    assert len(server.requests) == 1


def test_a_client_that_cannot_read_its_calls_has_made_one() -> None:
    class Raises(ScriptedLLM):
        def get_tool_calls_from_response(self, *arguments: Any, **kwargs: Any) -> Any:
            raise ValueError("no JSON")

    message = ChatMessage(role=MessageRole.ASSISTANT, additional_kwargs={"tool_calls": ["add("]})
    handle = sampler(Raises(model="m", answers=[message]), tools=[])
    (sample,) = handle.sample(QUESTION, 1)
    assert [call.unread for call in sample.tool_calls] == ["ValueError: no JSON"]


def test_blocks_with_arguments_as_text_are_read() -> None:
    block = ToolCallBlock(tool_name="add", tool_kwargs='{"a": 1}')
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[block])
    (sample,) = sampler(ScriptedLLM(model="m", answers=[message])).sample(QUESTION, 1)
    assert sample.tool_calls == (ToolCall("add", {"a": 1}),)


def test_a_choice_is_a_whole_reply(server: OpenAIServer) -> None:
    server.answer = lambda body, i: " ".join(["Paris"] * (i + 1))
    samples = sampler(client(server)).sample(QUESTION, 3, logprobs=True)
    for words, sample in enumerate(samples, 1):
        reply = sample.raw
        (choice,) = reply.raw.choices
        assert (reply.raw.id, reply.raw.model) == ("x", "edge")
        assert choice.message.content == reply.message.content == sample.text
        usage = usage_of(reply)
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == (7, words)
        assert reply.additional_kwargs["completion_tokens"] == words


@WAYS
@pytest.mark.parametrize(
    "cut",
    [
        {"message": {"content": "<think>let me see"}, "finish_reason": "length"},
        {"message": {"reasoning_content": "let me see"}, "finish_reason": "length"},
    ],
)
async def test_a_brief_answer_has_room_for_the_thought(
    way: str, cut: dict[str, Any], server: OpenAIServer
) -> None:
    server.answer = lambda body, i: cut if body["max_tokens"] < 100 else "<think>hm</think>Paris"
    model = client(server)
    for _ in range(2):
        samples = await drawn(way, sampler(model), 2, max_tokens=32)
        assert [sample.text for sample in samples] == ["<think>hm</think>Paris"] * 2
    room = 32 + ROOM_FOR_THOUGHT
    assert [body["max_tokens"] for body in server.requests] == [32, room, room]


@WAYS
async def test_ollamas_thinking_is_switched_off_for_brief_answers(way: str) -> None:
    ollama = pytest.importorskip("llama_index.llms.ollama", reason="needs the group 'examples'")
    with OllamaServer(thinking(100, "Paris")) as server:
        model = ollama.Ollama(model="qwen3", base_url=server.url, context_window=1000)
        for _ in range(2):
            samples = await drawn(way, sampler(model), 2, max_tokens=32, temperature=None)
            assert [sample.text for sample in samples] == ["Paris"] * 2
        assert [body.get("think") for body in server.requests] == [None, *[False] * 4]
        assert {body["options"]["num_predict"] for body in server.requests} == {32}
        assert {body["options"]["temperature"] for body in server.requests} == {0.0}
        await drawn(way, sampler(model), 1)
        assert server.requests[-1].get("think") is None
        assert "num_predict" not in server.requests[-1]["options"]
