"""LangChain clients that refuse what is wished for, and models that think before a brief answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI

from confroute import ConfidenceRouter, EntropyRouter, RouteRequest
from confroute.decision import Sample, ToolCall
from confroute.uncertainty import ExactEquivalence
from confroute.wishes import ROOM_FOR_THOUGHT, habits_of
from langchain_confroute import ChatConfRoute
from langchain_confroute.sampling import LangChainSampler
from tests.langchain_doubles import ScriptedChat
from tests.ollama_server import OllamaServer, thinking
from tests.openai_server import OpenAIServer

QUESTION = RouteRequest.from_text("Capital of France?")
MESSAGES = [HumanMessage("Capital of France?")]
METHODS: dict[Any, str] = {EntropyRouter: "entropy", ConfidenceRouter: "confidence"}
TOLD = {
    "logprobs": "Unsupported parameter: 'logprobs' is not supported with this model.",
    "n": "'n' : number must be at most 1",
    "temperature": "Unsupported value: 'temperature' does not support 1.0 with this model.",
}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body, i: "Paris", model="edge") as running:
        yield running


def client(server: OpenAIServer, **fields: Any) -> Any:
    settings: dict[str, Any] = {"model": "edge", "base_url": server.url, "api_key": "none", "max_retries": 0}
    return ChatOpenAI(**settings | fields)


def asks_for(body: dict[str, Any], wish: str) -> bool:
    return (body.get("n") or 1) > 1 if wish == "n" else bool(body.get(wish))


def sampler(model: Any, **arguments: Any) -> LangChainSampler:
    return LangChainSampler(model, MESSAGES, **arguments)


async def drawn(way: str, handle: LangChainSampler, n: int = 3, **settings: Any) -> list[Sample]:
    if way == "sync":
        return handle.sample(QUESTION, n, **settings)
    return await handle.asample(QUESTION, n, **settings)


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("status", ["400", "403", "422"])
@pytest.mark.parametrize("wish", ["logprobs", "n", "temperature"])
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
        samples = await drawn(way, sampler(model.bind(stop=["\n"])), logprobs=True)
        assert [sample.text for sample in samples] == ["Paris"] * 3
    assert len(refused) == (1 if names else {"logprobs": 1, "n": 2, "temperature": 3}[wish])
    last = server.requests[-1]
    assert [asks_for(last, one) for one in TOLD] == [one != wish for one in TOLD]


@WAYS
@pytest.mark.parametrize(
    "fields", [{"use_responses_api": True}, {"reasoning": {"effort": "low"}}, {"model": "gpt-5-pro"}]
)
async def test_the_responses_api_is_asked_without(
    way: str, fields: dict[str, Any], server: OpenAIServer
) -> None:
    model = client(server, **fields)
    for _ in range(2):
        samples = await drawn(way, sampler(model), logprobs=True)
        assert [(sample.text, sample.logprob) for sample in samples] == [("Paris", None)] * 3
    assert len(server.requests) == 6
    assert habits_of(model).refused == {"logprobs"}


def test_a_client_that_does_not_know_an_argument_is_asked_without() -> None:
    class Strict(ScriptedChat):
        logprobs: bool | None = None
        n: int | None = None

        def _generate(self, *arguments: Any, **kwargs: Any) -> ChatResult:
            for name in ("logprobs", "n"):
                if getattr(self, name):
                    raise TypeError(f"create() got an unexpected keyword argument '{name}'")
            return super()._generate(*arguments, **kwargs)

    model = Strict(model="m")
    assert len(sampler(model).sample(QUESTION, 3, logprobs=True)) == 3
    assert habits_of(model).refused == {"logprobs", "n"}


@WAYS
async def test_a_filtered_question_is_handed_on(way: str, server: OpenAIServer) -> None:
    model = client(server)
    await drawn(way, sampler(model), logprobs=True)
    server.fault, server.fault_message = "400", "The response was filtered: content management policy"
    with pytest.raises(Exception, match="content management policy"):
        await drawn(way, sampler(model), logprobs=True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("path", ["invoke", "stream", "ainvoke", "astream"])
@pytest.mark.parametrize("wish", ["logprobs", "n"])
@pytest.mark.parametrize("probe", ["full", "brief"])
@pytest.mark.parametrize("kind", [EntropyRouter, ConfidenceRouter])
async def test_no_question_leaves_the_edge_for_it(
    path: str, wish: str, probe: Any, kind: Any, server: OpenAIServer
) -> None:
    server.fault = lambda body: "400" if asks_for(body, wish) else None
    with OpenAIServer("the cloud", model="cloud") as cloud:
        router = kind(probe=probe, n_samples=3, equivalence=ExactEquivalence())
        llm = ChatConfRoute(edge=client(server), cloud=client(cloud, model="cloud"), router=router)
        for _ in range(2):
            reply = await _asked(llm, path)
            assert reply.response_metadata["confroute"]["method"] == METHODS[kind]
            assert str(reply.text).strip() == "Paris"
        assert cloud.requests == []


async def _asked(llm: ChatConfRoute, path: str) -> Any:
    if path == "invoke":
        return llm.invoke(MESSAGES)
    if path == "ainvoke":
        return await llm.ainvoke(MESSAGES)
    streamed = [c async for c in llm.astream(MESSAGES)] if path == "astream" else list(llm.stream(MESSAGES))
    chunks: list[Any] = list(streamed)
    return sum(chunks[1:], chunks[0])


@WAYS
async def test_seeds_go_on_over_the_batches_of_a_decision(way: str, server: OpenAIServer) -> None:
    server.honours_n = False
    handle = sampler(client(server, seed=7))
    await drawn(way, handle, 1)
    await drawn(way, handle, 3)
    assert sorted(body["seed"] for body in server.requests) == [7, 8, 9, 10]
    server.honours_n = True
    await drawn(way, handle, 2)
    await drawn(way, handle, 2)
    assert [body["seed"] for body in server.requests[-2:]] == [11, 13]
    await drawn(way, sampler(client(server)), 2)
    assert "seed" not in server.requests[-1]


def test_a_bound_seed_is_a_fixed_one(server: OpenAIServer) -> None:
    handle = sampler(client(server).bind(seed=40))
    for _ in range(2):
        handle.sample(QUESTION, 1)
    assert [body["seed"] for body in server.requests] == [40, 41]


@pytest.mark.parametrize(
    ("fields", "bound", "given", "sent"),
    [
        ({}, {}, {}, 0.0),
        ({"temperature": 0.4}, {}, {}, 0.4),
        ({}, {"temperature": 0.6}, {}, 0.6),
        ({"temperature": 0.4}, {}, {"temperature": 0.9}, 0.9),
    ],
)
def test_no_temperature_is_the_users_own_or_greedy(
    fields: dict[str, Any], bound: dict[str, Any], given: dict[str, Any], sent: float, server: OpenAIServer
) -> None:
    model = client(server, **fields).bind(**bound)
    sampler(model, kwargs=given).sample(QUESTION, 1, temperature=None)
    sampler(model, kwargs=given).sample(QUESTION, 1, temperature=1.0)
    assert [body["temperature"] for body in server.requests] == [sent, 1.0]


def test_a_refused_temperature_leaves_the_users_own(server: OpenAIServer) -> None:
    server.fault = lambda body: "400" if body.get("temperature") == 0.0 else None
    model = client(server)
    sampler(model).sample(QUESTION, 1, temperature=None)
    sampler(model).sample(QUESTION, 1, temperature=1.0)
    assert [body.get("temperature") for body in server.requests] == [0.0, None, 1.0]


def test_log_probabilities_leave_the_thought_out() -> None:
    tokens = [{"token": t, "logprob": -1.0} for t in ("<think>", "hm", "</think>", "Pa", "ris")]
    choice = {"message": {"content": "<think>hm</think>Paris"}, "logprobs": {"content": tokens}}
    with OpenAIServer(lambda body, i: choice) as server:
        (sample,) = sampler(client(server)).sample(QUESTION, 1, logprobs=True)
    assert (sample.logprob, sample.n_tokens) == (-2.0, 2)


def test_calls_are_kept_whatever_they_are(server: OpenAIServer) -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "nowhere", "arguments": '{"a": '}},
    ]
    server.answer = lambda body, i: {"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    (sample,) = sampler(client(server)).sample(QUESTION, 1, max_tokens=32)
    assert sample.tool_calls == (ToolCall("add", {"a": 1}), ToolCall("nowhere", unread='{"a": '))
    assert len(server.requests) == 1


def test_a_choice_is_a_whole_reply(server: OpenAIServer) -> None:
    server.answer = lambda body, i: " ".join(["Paris"] * (i + 1))
    model = client(server)
    plain = model.invoke(MESSAGES)
    samples = sampler(model).sample(QUESTION, 3, logprobs=True)
    for words, sample in enumerate(samples, 1):
        reply: AIMessage = sample.raw
        assert set(plain.response_metadata) <= set(reply.response_metadata)
        assert reply.response_metadata["model_name"] == "edge"
        assert reply.id
        assert reply.usage_metadata is not None
        assert (reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"]) == (7, words)
        assert reply.response_metadata["token_usage"]["completion_tokens"] == words
    assert len({sample.raw.id for sample in samples}) == 3


def thinks(body: dict[str, Any]) -> bool:
    return (body.get("max_tokens") or body.get("max_completion_tokens") or 1_000_000) < 100


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
    server.answer = lambda body, i: cut if thinks(body) else "<think>hm</think>Paris"
    model = client(server)
    for _ in range(2):
        samples = await drawn(way, sampler(model), 2, max_tokens=32)
        assert [sample.text for sample in samples] == ["<think>hm</think>Paris"] * 2
    limits = [body.get("max_tokens") or body["max_completion_tokens"] for body in server.requests]
    assert limits == [32, 32 + ROOM_FOR_THOUGHT, 32 + ROOM_FOR_THOUGHT]


def test_a_refusal_after_a_thought_is_not_drawn_again() -> None:
    blocks: list[Any] = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "refusal", "refusal": "I cannot."},
    ]
    model = ScriptedChat(model="m", answers=[AIMessage(blocks)])
    sampler(model).sample(QUESTION, 1, max_tokens=32)
    assert len(model.seen) == 1


@WAYS
async def test_ollamas_thinking_is_switched_off_for_brief_answers(way: str) -> None:
    ollama = pytest.importorskip("langchain_ollama", reason="needs the dependency group 'examples'")
    with OllamaServer(thinking(100, "Paris")) as server:
        model = ollama.ChatOllama(model="qwen3", base_url=server.url)
        for _ in range(2):
            samples = await drawn(way, sampler(model), 2, max_tokens=32, temperature=None)
            assert [sample.text for sample in samples] == ["Paris"] * 2
        assert [body.get("think") for body in server.requests] == [None, *[False] * 4]
        assert {body["options"]["num_predict"] for body in server.requests} == {32}
        await drawn(way, sampler(model), 1)
        assert server.requests[-1].get("think") is None
        assert "num_predict" not in server.requests[-1]["options"]


def test_room_is_given_where_thinking_cannot_be_switched_off() -> None:
    ollama = pytest.importorskip("langchain_ollama", reason="needs the dependency group 'examples'")
    answer = thinking(100, "Paris")
    with OllamaServer(lambda body: 400 if body.get("think") is False else answer(body)) as server:
        model = ollama.ChatOllama(model="gpt-oss", base_url=server.url)
        for _ in range(2):
            (sample,) = sampler(model).sample(QUESTION, 1, max_tokens=32)
            assert sample.text == "Paris"
        limits = [body["options"]["num_predict"] for body in server.requests]
        assert limits == [32, 32, 32 + ROOM_FOR_THOUGHT, 32 + ROOM_FOR_THOUGHT]


def test_options_of_a_call_do_not_undo_sampling() -> None:
    ollama = pytest.importorskip("langchain_ollama", reason="needs the dependency group 'examples'")
    with OllamaServer(lambda body: ({"content": "Paris"}, "stop")) as server:
        model = ollama.ChatOllama(model="m", base_url=server.url)
        handle = sampler(model.bind(options={"temperature": 0.2, "num_ctx": 64}))
        for temperature in (1.0, None):
            handle.sample(QUESTION, 1, temperature=temperature, max_tokens=9)
        options = [body["options"] for body in server.requests]
        assert [(told["temperature"], told["num_ctx"]) for told in options] == [(1.0, 64), (0.2, 64)]
        assert {told["num_predict"] for told in options} == {9}


def test_a_seed_among_the_options_of_a_call_is_a_fixed_one() -> None:
    ollama = pytest.importorskip("langchain_ollama", reason="needs the dependency group 'examples'")
    with OllamaServer(lambda body: ({"content": "Paris"}, "stop")) as server:
        model = ollama.ChatOllama(model="m", base_url=server.url)
        sampler(model.bind(options={"seed": 7})).sample(QUESTION, 3)
        assert sorted(body["options"]["seed"] for body in server.requests) == [7, 8, 9]
