from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    MessageRole,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.simple_llm_handler import SimpleLLMHandler
from llama_index.core.llms import MockLLM
from pydantic import Field

from confroute.decision import Message, RouteDecision, RouteRequest, Usage
from llamaindex_confroute import _turns
from llamaindex_confroute._messages import append, to_messages, to_request
from llamaindex_confroute._metadata import with_handlers
from llamaindex_confroute._sampling import Copies, LlamaIndexSampler
from llamaindex_confroute._sides import is_local, priced, provider_of, side_of, usage_of
from llamaindex_confroute._turns import TurnMemory
from tests.llamaindex_doubles import ScriptedLLM

EDGE = RouteDecision(route="edge", method="forced", reason="said so")
ACT = "Thought: I need a tool.\nAction: add\nAction Input: {}"


def test_messages_become_a_request() -> None:
    pinned = {"confroute": {"private": True}}
    messages = [
        ChatMessage("be brief", role=MessageRole.DEVELOPER),
        ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(image=b"x")]),
        ChatMessage("a cat", role=MessageRole.MODEL, additional_kwargs=pinned),
        ChatMessage("result", role=MessageRole.FUNCTION),
    ]
    request = to_request(messages, tools={"look": None})
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    assert (request.private, request.has_images, request.tools) == (True, True, ("look",))


@pytest.mark.parametrize(
    ("before", "text", "role"),
    [
        (ACT, "Observation: 3", "tool"),
        ("It is fine.", "Observation: it rains", "user"),
        ("?", "Error while parsing the output: no action", "tool"),
        (ACT, "And what is 4 + 5?", "user"),
    ],
)
def test_what_a_react_agent_writes_is_a_tools_turn(before: str, text: str, role: str) -> None:
    messages = [ChatMessage("q"), ChatMessage(before, role=MessageRole.ASSISTANT), ChatMessage(text)]
    assert to_messages(messages)[-1].role == role


def test_a_probe_goes_on_with_the_last_turn_of_its_speaker() -> None:
    ask, answer = Message("user", "Briefly."), Message("assistant", "Paris")
    (merged,) = append([ChatMessage("Capital?")], [ask])
    assert merged.content == "Capital?\nBriefly."
    assert [m.content for m in append([ChatMessage("Capital?")], [answer, ask])] == [
        "Capital?",
        "Paris",
        "Briefly.",
    ]
    image = ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(image=b"x")])
    (with_image,) = append([image], [ask])
    assert (len(with_image.blocks), with_image.content) == (2, "Briefly.")
    assert len(image.blocks) == 1


def test_the_turn_memory_answers_inside_a_turn_only_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_turns, "_SIZE", 2 * 2)  # two keys each
    memory = TurnMemory()
    asked = [RouteRequest.from_text(f"question {i}") for i in range(3)]
    for request in asked:
        memory.remember(request, EDGE)
    loops = [RouteRequest((*r.messages, Message("assistant", "a"), Message("tool", "b"))) for r in asked]
    assert [memory.recall(request) for request in loops] == [None, EDGE, EDGE]
    assert memory.recall(asked[2]) is None


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (CompletionResponse(text="a", raw={"usage": {"prompt_tokens": 3, "completion_tokens": 4}}), (3, 4)),
        (CompletionResponse(text="a", raw={"usage": {"input_tokens": 3, "output_tokens": 4}}), (3, 4)),
        (
            CompletionResponse(text="a", additional_kwargs={"prompt_tokens": 3, "completion_tokens": 4}),
            (3, 4),
        ),
        (
            ChatResponse(message=ChatMessage("a"), raw="a text", additional_kwargs={"prompt_tokens": 3}),
            (3, 0),
        ),
        (CompletionResponse(text="a"), None),
        ("a", None),
    ],
)
def test_usage_is_read_where_it_is_told(reply: Any, usage: Any) -> None:
    found = usage_of(reply)
    assert (found and (found.input_tokens, found.output_tokens)) == usage


def test_what_is_local_costs_nothing() -> None:
    assert is_local(MockLLM())
    assert is_local(ScriptedLLM(model="m", api_base="http://localhost:11434/v1"))
    away = ScriptedLLM(model="m", api_base="https://example.org/v1")
    assert not is_local(away)
    assert priced(None, MockLLM()).usd == 0.0
    assert priced(Usage(input_tokens=1, output_tokens=1), away).usd is None


def test_a_side_is_described_without_asking_it() -> None:
    class Asks(ScriptedLLM):
        @property
        def metadata(self) -> Any:
            raise ConnectionError("asked the server")

    side = side_of(Asks(model="m", max_tokens=9), timeout=2.0)
    assert (side.name, side.timeout, side.max_output_tokens, side.max_input_tokens) == ("m", 2.0, 9, 4096)
    assert side_of(Asks(model="m", context_window=3900), timeout=None).max_input_tokens is None
    assert side.price is None


def test_the_provider_is_the_integrations_package() -> None:
    kind = type("OpenAI", (ScriptedLLM,), {"__module__": "llama_index.llms.openai.base"})
    azure = type("Azure", (ScriptedLLM,), {"__module__": "llama_index.llms.azure_openai.base"})
    assert (provider_of(kind(model="m")), provider_of(azure(model="m"))) == ("openai", "azure")


def test_models_keep_their_own_handlers() -> None:
    own, given = CallbackManager([SimpleLLMHandler()]), CallbackManager([SimpleLLMHandler()])
    assert with_handlers(own, CallbackManager([])) is own
    assert with_handlers(CallbackManager([]), given) is given
    assert with_handlers(own, given).handlers == [*given.handlers, *own.handlers]


def test_copies_follow_their_model() -> None:
    copies = Copies()
    model: Any = ScriptedLLM(model="m", max_tokens=5)
    copy: Any = copies.of(model, {"temperature": 1.0})
    model.max_tokens = 7
    again = copies.of(model, {"temperature": 1.0})
    assert (copy.max_tokens, copy.temperature, model.temperature) == (7, 1.0, None)
    assert again is copy
    assert copies.of(model, {}) is model


class Ollama(ScriptedLLM):
    additional_kwargs: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def class_name(cls) -> str:
        return "Ollama_llm"


class HuggingFace(ScriptedLLM):
    max_tokens: None = None
    max_new_tokens: int = 256
    generate_kwargs: dict[str, Any] = Field(default_factory=dict)
    tokenizer_kwargs: dict[str, Any] = Field(default_factory=dict)


class Seeded(ScriptedLLM):
    seed: int = 7


@pytest.mark.parametrize(
    ("model", "temperature", "name", "values"),
    [
        (
            Ollama(model="m", additional_kwargs={"seed": 1}),
            0.7,
            "additional_kwargs",
            [{"seed": 1, "num_predict": 9}, {"seed": 2, "num_predict": 9}],
        ),
        (HuggingFace(model="m"), 0.7, "generate_kwargs", [{"do_sample": True, "temperature": 0.7}] * 2),
        (
            HuggingFace(model="m", generate_kwargs={"top_p": 0.9}),
            None,
            "generate_kwargs",
            [{"do_sample": False}] * 2,
        ),
        (
            HuggingFace(model="m", generate_kwargs={"temperature": 0.3}),
            None,
            "generate_kwargs",
            [{"temperature": 0.3, "do_sample": True}] * 2,
        ),
        (Seeded(model="m"), 0.7, "seed", [7, 8]),
    ],
)
def test_settings_reach_models_that_keep_them_elsewhere(
    model: Any, temperature: float | None, name: str, values: list[Any]
) -> None:
    sampler = LlamaIndexSampler(
        model, "chat", lambda model, extra: {"messages": [ChatMessage("q")]}, Copies()
    )
    for _ in range(2):
        sampler.sample(RouteRequest.from_text("q"), 1, temperature=temperature, max_tokens=9)
    assert [heard[name] for heard in model.settings] == values


def test_the_result_of_an_agents_code_is_a_tools_turn() -> None:
    thread = [
        ChatMessage("1 + 2?"),
        ChatMessage("<execute>print(1 + 2)</execute>", role="assistant"),
        ChatMessage("Result of executing the code given:\n\n3"),
    ]
    assert [message.role for message in to_messages(thread)] == ["user", "assistant", "tool"]
    assert to_messages(thread[2:])[0].role == "user", "what a human pastes first is a human's"
