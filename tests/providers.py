"""Scripted models behind the providers' names, so that the code in documents runs as it is written."""

from __future__ import annotations

import math
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from confroute.decision import RouteRequest, Sample, Usage


@dataclass(frozen=True)
class Call:
    """An answer that calls a tool."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What one model is asked, in any framework.

    Attributes:
        model: The model's name.
        text: The last human turn.
        number: How often this model was asked this before.
        tools: Names of the tools that it may call.
        after_tool: Whether a tool has answered since that turn.
    """

    model: str
    text: str
    number: int
    tools: tuple[str, ...] = ()
    after_tool: bool = False


@dataclass(frozen=True)
class Said:
    """An answer, and the probability of each of its tokens, where the model tells it.

    LlamaIndex's client of Ollama tells none, and so its stand-in does not either.
    """

    text: str
    probability: float

    def __str__(self) -> str:
        return self.text


Answer = str | Said | Call | Exception
Script = Callable[[Asked], Answer]


@dataclass
class Play:
    """A script, and how often each model was asked each question."""

    script: Script
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    lock: Any = field(default_factory=threading.Lock)

    def __call__(
        self, model: str, text: str, tools: tuple[str, ...] = (), after_tool: bool = False
    ) -> Answer:
        with self.lock:
            number = self.asked[model, text]
            self.asked[model, text] += 1
        return self.script(Asked(model, text, number, tools, after_tool))


def name_of_tool(tool: Any) -> str:
    """Return the name of a tool: an object's, a class's, a function's, or a text that is one."""
    return str(getattr(tool, "name", None) or getattr(tool, "__name__", tool))


def langchain_models(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """Put scripted chat models in the place of `ChatOllama` and `ChatOpenAI`."""
    from langchain_core.messages import AIMessage, BaseMessage

    from tests.langchain_doubles import ScriptedChat

    play = Play(script)

    class Provided(ScriptedChat):
        provider: str
        logprobs: bool | None = None

        def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
            return {**super()._get_ls_params(stop, **kwargs), "ls_provider": self.provider}

        def _next(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
            last = max(i for i, message in enumerate(messages) if message.type == "human")
            after_tool = any(message.type == "tool" for message in messages[last:])
            tools = tuple(name_of_tool(tool) for tool in kwargs.get("tools", ()))
            answer: Any = play(self.model, str(messages[last].text), tools, after_tool)
            if isinstance(answer, Call):
                call = {"name": answer.tool, "args": answer.arguments, "id": f"call-{answer.tool}"}
                answer = AIMessage("", tool_calls=[call])
            said = str(answer) if isinstance(answer, Said) else answer
            reply = ScriptedChat._next(self.model_copy(update={"answers": [said]}), messages, kwargs)
            if isinstance(answer, Said) and self.logprobs:
                told = [{"token": answer.text, "logprob": math.log(answer.probability)}]
                reply.response_metadata["logprobs"] = {"content": told}
            return reply

    for name, cls, provider in (
        ("langchain_ollama", "ChatOllama", "ollama"),
        ("langchain_openai", "ChatOpenAI", "openai"),
    ):
        module = ModuleType(name)
        setattr(module, cls, lambda provider=provider, **fields: Provided(provider=provider, **fields))
        monkeypatch.setitem(sys.modules, name, module)


def llamaindex_models(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """Put scripted LLMs in the place of LlamaIndex's `Ollama` and `OpenAI`."""
    from llama_index.core.base.llms.types import ChatMessage, MessageRole

    from tests.llamaindex_doubles import ScriptedLLM, tool_call

    play = Play(script)

    def answer(asked: Any, model: str, kwargs: dict[str, Any]) -> Any:
        messages = [ChatMessage(asked)] if isinstance(asked, str) else asked
        last = max(i for i, m in enumerate(messages) if m.role == MessageRole.USER)
        after_tool = any(m.role == MessageRole.TOOL for m in messages[last:])
        tools = tuple(name_of_tool(tool) for tool in kwargs.get("tools", ()))
        said = play(model, messages[last].content or "", tools, after_tool)
        if isinstance(said, Call):
            return tool_call(said.tool, **said.arguments)
        return str(said) if isinstance(said, Said) else said

    class Provided(ScriptedLLM):
        def _next(self, asked: Any, kwargs: dict[str, Any]) -> ChatMessage:
            answers = [answer(asked, self.model, kwargs)]
            return ScriptedLLM._next(self.model_copy(update={"answers": answers}), asked, kwargs)

    for name, cls in (("llama_index.llms.ollama", "Ollama"), ("llama_index.llms.openai", "OpenAI")):
        module = ModuleType(name)
        setattr(module, cls, Provided)
        monkeypatch.setitem(sys.modules, name, module)


class CommandModel:
    """A scripted model as `confroute.models.Model`, for model strings on the command line."""

    def __init__(self, spec: str, play: Play) -> None:
        self.name = spec.partition(":")[2]
        self._play = play

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        text = request.messages[-1].text
        usage = Usage(input_tokens=10, output_tokens=2, usd=0.0)
        samples = []
        for answer in (self._play(self.name, text) for _ in range(n)):
            mean = math.log(answer.probability) if isinstance(answer, Said) else -0.25
            samples.append(Sample(str(answer), logprob=2 * mean, n_tokens=2, usage=usage, model=self.name))
        return samples

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        return self.sample(request, n, **settings)


def command_models(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """Put scripted models behind all model strings."""
    play = Play(script)
    for module in ("confroute.models", "confroute.labelling.run", "confroute.evaluation.asking"):
        monkeypatch.setattr(f"{module}.load_model", lambda spec: CommandModel(spec, play))
