"""What LlamaIndex's clients do their own way when they are sampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.callbacks import llm_chat_callback

from confroute import RouteRequest
from confroute.decision import ToolCall
from confroute.wishes import habits_of
from llamaindex_confroute._sampling import Copies, LlamaIndexSampler
from llamaindex_confroute._sides import usage_of
from tests.llamaindex_doubles import ScriptedLLM
from tests.openai_server import OpenAIServer

openai_like = pytest.importorskip("llama_index.llms.openai_like", reason="needs the group 'examples'")

QUESTION = RouteRequest.from_text("Capital of France?")
MESSAGES = [ChatMessage("Capital of France?")]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body, i: "Paris", model="edge") as running:
        yield running


def client(server: OpenAIServer, **fields: Any) -> Any:
    settings: dict[str, Any] = {"is_chat_model": True, "max_retries": 0, "api_key": "none"}
    return openai_like.OpenAILike(model="edge", api_base=server.url, **settings | fields)


def sampler(model: Any, **arguments: Any) -> LlamaIndexSampler:
    return LlamaIndexSampler(
        model, "chat", lambda model, extra: {"messages": MESSAGES, **arguments}, Copies()
    )


def test_a_client_that_does_not_know_an_argument_is_asked_without() -> None:
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


def test_the_fewest_alternatives_that_make_a_server_tell_log_probabilities_are_asked_for(
    server: OpenAIServer,
) -> None:
    for mine, asked in ((0, 1), (3, 3)):
        sampler(client(server, top_logprobs=mine)).sample(QUESTION, 1, logprobs=True)
        assert (server.requests[-1]["logprobs"], server.requests[-1]["top_logprobs"]) == (True, asked)


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
