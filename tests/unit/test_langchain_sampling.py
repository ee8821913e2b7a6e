from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda

from confroute import RouteRequest
from confroute.decision import Message, Sampler, Usage, total_usage
from confroute.errors import ConfigurationError
from confroute.models import Model
from langchain_confroute.models import LangChainModel, chat_model
from langchain_confroute.sampling import LangChainSampler
from tests.langchain_doubles import ScriptedChat
from tests.openai_server import OpenAIServer

QUESTION = RouteRequest.from_text("Capital of France?")
MESSAGES = [SystemMessage("Be brief."), HumanMessage("Capital of France?")]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body, i: f"answer {i}") as running:
        yield running


@pytest.fixture
def usage() -> UsageMetadataCallbackHandler:
    return UsageMetadataCallbackHandler()


def sampler(model: Any, **arguments: Any) -> LangChainSampler:
    return LangChainSampler(model, MESSAGES, **arguments)


async def draw(way: str, handle: LangChainSampler, n: int, **settings: Any) -> Any:
    if way == "sync":
        return handle.sample(QUESTION, n, **settings)
    return await handle.asample(QUESTION, n, **settings)


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
async def test_one_request_draws_them_all_where_the_model_takes_n(
    way: str, server: OpenAIServer, usage: UsageMetadataCallbackHandler
) -> None:
    model = chat_model(server.url)
    samples = await draw(way, sampler(model, config={"callbacks": [usage]}), 4, logprobs=True, max_tokens=9)
    assert [sample.text for sample in samples] == ["answer 0", "answer 1", "answer 2", "answer 3"]
    (body,) = server.requests
    assert (body["n"], body["temperature"], body["max_tokens"], body["logprobs"]) == (4, 1.0, 9, True)
    assert [(sample.logprob, sample.n_tokens) for sample in samples] == [(-1.0, 2)] * 4
    assert {sample.model for sample in samples} == {"served"}
    counted = usage.usage_metadata["served"]
    assert (counted["input_tokens"], counted["output_tokens"]) == (7, 8)
    assert total_usage([sample.usage for sample in samples]) == Usage(
        input_tokens=7, output_tokens=8, usd=0.0
    )
    assert {sample.usage.output_tokens for sample in samples if sample.usage} == {2}


@WAYS
async def test_a_server_that_ignores_n_is_asked_for_the_rest(
    way: str, server: OpenAIServer, usage: UsageMetadataCallbackHandler
) -> None:
    server.honours_n = False
    samples = await draw(way, sampler(chat_model(server.url), config={"callbacks": [usage]}), 3)
    assert len(samples) == 3
    assert len(server.requests) == 3
    counted = usage.usage_metadata["served"]
    assert (counted["input_tokens"], counted["output_tokens"]) == (21, 6)


@WAYS
async def test_others_are_asked_one_by_one(way: str, usage: UsageMetadataCallbackHandler) -> None:
    model = ScriptedChat(model="m", answers=["a", "b", "c"])
    samples = await draw(way, sampler(model, config={"callbacks": [usage]}), 3, temperature=0.7)
    assert sorted(sample.text for sample in samples) == ["a", "b", "c"]
    assert [settings["temperature"] for settings in model.settings] == [0.7] * 3
    assert usage.usage_metadata["m"]["input_tokens"] == 9
    assert model.temperature is None


@WAYS
async def test_a_cache_does_not_make_all_samples_one(way: str) -> None:
    set_llm_cache(InMemoryCache())
    try:
        model = ScriptedChat(model="m", answers=["a", "b", "c"])
        samples = await draw(way, sampler(model), 3)
        assert sorted(sample.text for sample in samples) == ["a", "b", "c"]
    finally:
        set_llm_cache(None)


def test_a_fixed_seed_does_not_make_all_samples_one(server: OpenAIServer) -> None:
    server.honours_n = False
    sampler(chat_model(server.url, seed=7)).sample(QUESTION, 3)
    assert sorted(body["seed"] for body in server.requests) == [7, 8, 9]


def test_seeds_are_given_one_a_sample(server: OpenAIServer) -> None:
    server.honours_n = False
    sampler(chat_model(server.url)).sample(QUESTION, 2, seed=40)
    assert sorted(body["seed"] for body in server.requests) == [40, 41]


def test_a_probe_continues_the_last_turn(server: OpenAIServer) -> None:
    sampler(chat_model(server.url)).sample(QUESTION, 1, append=(Message("user", "Be briefer."),))
    roles = [message["role"] for message in server.requests[0]["messages"]]
    assert roles == ["system", "user"]
    assert server.requests[0]["messages"][1]["content"] == "Capital of France?\nBe briefer."


def test_a_self_check_adds_turns(server: OpenAIServer) -> None:
    added = (Message("assistant", "Paris"), Message("user", "Is that right?"))
    sampler(chat_model(server.url)).sample(QUESTION, 1, append=added)
    roles = [message["role"] for message in server.requests[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_images_and_tools_stay(server: OpenAIServer) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    tools = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}]
    messages = [HumanMessage([{"type": "text", "text": "What is this?"}, image])]
    model = chat_model(server.url).bind(tools=tools)
    LangChainSampler(model, messages).sample(QUESTION, 1, append=(Message("user", "Be brief."),))
    (body,) = server.requests
    content = body["messages"][0]["content"]
    assert image in content
    assert body["tools"][0]["function"]["name"] == "search"


def test_tool_calls_are_read() -> None:
    reply = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "1"}])
    (sample,) = sampler(ScriptedChat(model="m", answers=[reply])).sample(QUESTION, 1)
    assert [call.key for call in sample.tool_calls] == ['add({"a": 1})']


def test_samples_do_not_stream_even_if_the_model_would() -> None:
    class Tokens(BaseCallbackHandler):
        heard: list[str] = []  # noqa: RUF012 - one test, one instance

        def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
            self.heard.append(token)

    tokens = Tokens()
    sampler(ScriptedChat(model="m"), config={"callbacks": [tokens]}).sample(QUESTION, 2)
    assert tokens.heard == []


def test_only_chat_models_can_be_sampled() -> None:
    with pytest.raises(ConfigurationError, match="cannot sample RunnableLambda"):
        sampler(RunnableLambda(lambda x: x))


def test_an_unlisted_price_stays_unknown(usage: UsageMetadataCallbackHandler) -> None:
    (sample,) = sampler(ScriptedChat(model="nobody-knows-this")).sample(QUESTION, 1)
    assert sample.usage == Usage(input_tokens=3, output_tokens=1, usd=None)


def test_a_list_price_is_counted() -> None:
    pytest.importorskip("genai_prices")

    class Priced(ScriptedChat):
        def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
            return {"ls_provider": "openai", "ls_model_name": "gpt-4o-mini"}

    (sample,) = sampler(Priced(model="gpt-4o-mini")).sample(QUESTION, 1)
    assert sample.usage is not None
    assert sample.usage.usd == pytest.approx(3 * 0.15e-6 + 1 * 0.60e-6)


def test_model_strings_give_models(server: OpenAIServer) -> None:
    model = LangChainModel(chat_model(f"{server.url}#named"))
    assert isinstance(model, Model)
    assert isinstance(model, Sampler)
    assert model.name == "named"
    (sample,) = model.sample(QUESTION, 1, temperature=0.0)
    assert sample.text == "answer 0"
    assert server.requests[0]["temperature"] == 0.0
    assert server.requests[0]["model"] == "named"


def test_a_longest_reply_is_set_under_the_name_that_the_model_has_for_it() -> None:
    pytest.importorskip("langchain_ollama", reason="needs the dependency group 'examples'")
    model = chat_model("ollama:qwen2.5:1.5b", max_tokens=5)
    assert (model.model, model.num_predict) == ("qwen2.5:1.5b", 5)  # type: ignore[attr-defined]  # a ChatOllama
