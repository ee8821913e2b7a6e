"""Drawing samples from a LlamaIndex model, so that they are real, seen once and never shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.llms import LLM

from confroute.decision import Message, RouteRequest, Sample, ToolCall, Usage
from confroute.execution.limits import LENGTH_FIELDS, sampling_fields, without_sampling
from confroute.execution.replies import token_logprobs
from confroute.execution.sampling import adraw, draw, share_usage
from llamaindex_confroute._messages import Reply, is_empty
from llamaindex_confroute._openai import choices_of, takes_n
from llamaindex_confroute._sides import name_of, priced, raw_of, usage_of

_MOST_COPIES = 64

Arguments = Callable[[LLM, Sequence[Message]], dict[str, Any]]
"""From a model, and what a probe appends, to the arguments of its method."""


class Copies:
    """Copies of models with other settings, kept so that a copy keeps its connections."""

    def __init__(self) -> None:
        self._copies: dict[tuple[int, str], tuple[LLM, LLM]] = {}
        self._lock = threading.Lock()

    def of(self, model: LLM, update: dict[str, Any]) -> LLM:
        """Return a copy of the model as it is now, but for these fields."""
        if not update:
            return model
        with self._lock:
            told = {name: value for name, value in update.items() if name != "callback_manager"}
            key = (id(model), repr(sorted(told.items())))
            if key not in self._copies:
                if len(self._copies) >= _MOST_COPIES:
                    self._copies.pop(next(iter(self._copies)))
                self._copies[key] = (model, model.model_copy())
            copy = self._copies[key][1]
            vars(copy).update(vars(model) | update)
            return copy


class LlamaIndexSampler:
    """A handle on one model, with the messages and tools of one call.

    Samples come from copies of the model, with another seed for each where it has a fixed one. One request
    draws them all where the model takes ``n``; a bounded parallel batch draws whatever is missing after it.

    Args:
        model: The model.
        method: The method that answers, such as ``"chat"``.
        arguments: Its arguments.
        copies: Where copies are kept.
    """

    def __init__(self, model: LLM, method: str, arguments: Arguments, copies: Copies) -> None:
        self._model = model
        self._method = method
        self._arguments = arguments
        self._copies = copies

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        way = self._draw(n, **settings)

        def one(i: int) -> Sample:
            return way.sample(way.method("", i)(**way.arguments))

        def several() -> list[Sample]:
            return way.samples(way.method("")(**way.arguments, n=n))

        return draw(n, one, several if way.at_once else None)

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        way = self._draw(n, **settings)

        async def one(i: int) -> Sample:
            return way.sample(await way.method("a", i)(**way.arguments))

        async def several() -> list[Sample]:
            return way.samples(await way.method("a")(**way.arguments, n=n))

        return await adraw(n, one, several if way.at_once else None)

    def _draw(
        self,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
    ) -> _Draw:
        fields = type(self._model).model_fields
        update = sampling_fields(fields, temperature=temperature, max_tokens=max_tokens, logprobs=logprobs)
        nested = _nested_settings(self._model, temperature, max_tokens)
        arguments = without_sampling(self._arguments(self._model, append), max_tokens=max_tokens)
        if not nested and "temperature" not in fields:
            arguments["temperature"] = temperature
        if not nested and max_tokens is not None and fields.keys().isdisjoint(LENGTH_FIELDS):
            arguments["max_tokens"] = max_tokens
        at_once = takes_n(self._model, self._method)
        return _Draw(self._model, self._method, arguments, update | nested, self._copies, at_once)


@dataclass(frozen=True, slots=True)
class _Draw:
    """How one request for samples is carried out."""

    model: LLM
    name: str
    arguments: dict[str, Any]
    update: dict[str, Any]
    copies: Copies
    at_once: bool

    def method(self, prefix: str, i: int = 0) -> Callable[..., Any]:
        """Return the method that draws sample `i`: the sync one, or with the prefix "a" the async one."""
        copy = self.copies.of(self.model, self.update | _seeded(self.model, self.update, i))
        method: Callable[..., Any] = getattr(copy, f"{prefix}{self.name}")
        return method

    def samples(self, reply: Reply) -> list[Sample]:
        """Describe all choices of one request."""
        choices = [self.sample(choice) for choice in choices_of(reply, self.model, self.arguments)]
        return share_usage(choices, self._usage(reply))

    def sample(self, reply: Reply) -> Sample:
        """Describe a reply, with tool calls and, where the provider gave them, log-probabilities."""
        choices = raw_of(reply).get("choices") or [{}]
        logprobs = token_logprobs(choices[0].get("logprobs") or raw_of(reply).get("logprobs"))
        return Sample(
            text=(reply.message.content or "") if isinstance(reply, ChatResponse) else reply.text,
            tool_calls=self._tool_calls(reply),
            logprob=sum(logprobs) if logprobs else None,
            n_tokens=len(logprobs) or None,
            usage=self._usage(reply),
            model=str(raw_of(reply).get("model") or name_of(self.model)),
            raw=reply,
        )

    def _usage(self, reply: Reply) -> Usage:
        return priced(usage_of(reply), self.model, str(raw_of(reply).get("model") or ""))

    def _tool_calls(self, reply: Reply) -> tuple[ToolCall, ...]:
        if "tools" not in self.arguments or is_empty(reply):
            return ()
        found = self.model.get_tool_calls_from_response(reply, error_on_no_tool_call=False)  # type: ignore[attr-defined]  # models with tools have it
        return tuple(ToolCall(call.tool_name, call.tool_kwargs) for call in found)


def _nested_settings(model: LLM, temperature: float, max_tokens: int | None) -> dict[str, Any]:
    """Return the settings that some models keep in a dict: Hugging Face's and Ollama's."""
    if hasattr(model, "generate_kwargs") and hasattr(model, "tokenizer_kwargs"):
        return {"generate_kwargs": {**model.generate_kwargs, "do_sample": True, "temperature": temperature}}
    if model.class_name() == "Ollama_llm" and max_tokens is not None:
        return {"additional_kwargs": {**model.additional_kwargs, "num_predict": max_tokens}}  # type: ignore[attr-defined]  # Ollama's options
    return {}


def _seeded(model: LLM, update: dict[str, Any], i: int) -> dict[str, Any]:
    """Return another seed for each sample, where the model has a fixed one: it would make them all alike."""
    if isinstance(seed := getattr(model, "seed", None), int):
        return {"seed": seed + i}
    extra = update.get("additional_kwargs", getattr(model, "additional_kwargs", None))
    if isinstance(extra, dict) and isinstance(extra.get("seed"), int):
        return {"additional_kwargs": {**extra, "seed": extra["seed"] + i}}
    return {}
