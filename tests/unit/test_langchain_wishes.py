"""What LangChain's clients do their own way when they are sampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI

from confroute import RouteRequest
from confroute.decision import Sample
from confroute.wishes import ROOM_FOR_THOUGHT, habits_of
from langchain_confroute.sampling import LangChainSampler
from tests.langchain_doubles import ScriptedChat
from tests.ollama_server import OllamaServer, thinking
from tests.openai_server import OpenAIServer

QUESTION = RouteRequest.from_text("Capital of France?")
MESSAGES = [HumanMessage("Capital of France?")]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body, i: "Paris", model="edge") as running:
        yield running


def client(server: OpenAIServer, **fields: Any) -> Any:
    settings: dict[str, Any] = {"model": "edge", "base_url": server.url, "api_key": "none", "max_retries": 0}
    return ChatOpenAI(**settings | fields)


def sampler(model: Any, **arguments: Any) -> LangChainSampler:
    return LangChainSampler(model, MESSAGES, **arguments)


async def drawn(way: str, handle: LangChainSampler, n: int = 3, **settings: Any) -> list[Sample]:
    if way == "sync":
        return handle.sample(QUESTION, n, **settings)
    return await handle.asample(QUESTION, n, **settings)


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


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
    assert "logprobs" in habits_of(model).refused  # older clients refuse n as well


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


def test_a_refusal_after_a_thought_is_not_drawn_again() -> None:
    blocks: list[Any] = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "refusal", "refusal": "I cannot."},
    ]
    model = ScriptedChat(model="m", answers=[AIMessage(blocks)])
    sampler(model).sample(QUESTION, 1, max_tokens=32)
    assert len(model.seen) == 1


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
