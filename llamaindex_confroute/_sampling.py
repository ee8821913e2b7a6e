"""Drawing samples from a LlamaIndex model, so that they are real, seen once and never shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.llms import LLM

from confroute.choices import share_usage
from confroute.decision import Message, RouteRequest, Sample, Usage
from confroute.execution.limits import LENGTH_FIELDS, sampling_fields, without_sampling
from confroute.replies import answer_logprob, is_cut_off, is_cut_thought
from confroute.sampling import Drawing, Numbers, adraw, draw
from confroute.schemas import unasked, without_schema
from confroute.wishes import Ask
from llamaindex_confroute._messages import Reply, has_thought, tool_calls_of
from llamaindex_confroute._openai import alone, choices_of, takes_n
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

    Samples come from copies of the model, with another seed for each where it has a fixed one; later batches
    of one handle go on where the seeds of earlier ones ended. One request draws them all where the model
    takes ``n``; a bounded parallel batch draws whatever is missing after it.

    Args:
        model: The model.
        method: The method that answers, such as ``"chat"``.
        arguments: Its arguments.
        copies: Where copies are kept.
        around: Makes of the method of a copy one that returns a reply, where it returns something else.
    """

    def __init__(
        self,
        model: LLM,
        method: str,
        arguments: Arguments,
        copies: Copies,
        *,
        around: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda method: method,
    ) -> None:
        self._model = model
        self._method = method
        self._arguments = arguments
        self._copies = copies
        self._around = around
        self._numbers = Numbers()

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        drawing, way = self._draw(n, **settings)

        def send(ask: Ask) -> list[Sample]:
            method, arguments = way.ready("", ask)
            return way.samples(self._around(method)(**arguments), ask)

        return draw(drawing, send)

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        drawing, way = self._draw(n, **settings)

        async def send(ask: Ask) -> list[Sample]:
            method, arguments = way.ready("a", ask)
            return way.samples(await self._around(method)(**arguments), ask)

        return await adraw(drawing, send)

    def _draw(
        self,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float | None = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
    ) -> tuple[Drawing, _Draw]:
        arguments = self._arguments(self._model, append)
        arguments = without_schema(arguments) if append else arguments
        drawing = Drawing.of(
            self._model,
            n,
            is_cut,
            self._numbers,
            _own_settings(self._model, arguments),
            at_once=takes_n(self._model, self._method),
            has_switch=_is_ollama(self._model),
            logprobs=logprobs and "logprobs" in type(self._model).model_fields,
            temperature=temperature,
            max_tokens=max_tokens,
        )
        model = self._copies.of(self._model, unasked(self._model)) if append else self._model
        return drawing, _Draw(model, self._method, arguments, self._copies)


@dataclass(frozen=True, slots=True)
class _Draw:
    """How requests for samples are carried out."""

    model: LLM
    name: str
    arguments: dict[str, Any]
    copies: Copies

    def ready(self, prefix: str, ask: Ask) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Return the method that answers a request and its arguments; with the prefix "a" the async one."""
        fields = type(self.model).model_fields
        arguments = without_sampling(self.arguments, temperature=ask.temperature, max_tokens=ask.max_tokens)
        update = sampling_fields(
            fields, temperature=ask.temperature, max_tokens=ask.max_tokens, logprobs=ask.logprobs
        )
        if ask.logprobs and getattr(self.model, "top_logprobs", None) == 0:
            update["top_logprobs"] = 1  # for the client's own 0, llama.cpp's server tells none at all
        nested = _nested_settings(self.model, ask)
        is_nested = _is_ollama(self.model) or hasattr(self.model, "generate_kwargs")
        if ask.temperature is not None and "temperature" not in fields and not is_nested:
            arguments["temperature"] = ask.temperature
        if ask.max_tokens is not None and fields.keys().isdisjoint(LENGTH_FIELDS) and not is_nested:
            arguments["max_tokens"] = ask.max_tokens
        if not ask.thinks:
            arguments.pop("think", None)
            update["thinking"] = False
        if ask.n > 1:
            arguments["n"] = ask.n
        if ask.seed is not None and "seed" in self.arguments:
            arguments["seed"] = ask.seed
        if ask.seed is not None and isinstance(getattr(self.model, "seed", None), int):
            update["seed"] = ask.seed
        copy = self.copies.of(self.model, update | nested)
        return getattr(copy, f"{prefix}{self.name}"), arguments

    def samples(self, reply: Reply, ask: Ask) -> list[Sample]:
        """Describe the choices of a request, each with its own part of what the request used.

        The reply object of each tells its usage as if it had been drawn alone: the prompt and its own
        tokens.
        """
        if ask.n == 1:
            return [self.sample(reply)]
        choices = choices_of(reply, self.model, self.arguments)
        whole = self._usage(reply)
        samples = share_usage([self.sample(choice) for choice in choices], whole)
        return [replace(sample, raw=alone(sample.raw, sample.usage, whole)) for sample in samples]

    def sample(self, reply: Reply) -> Sample:
        """Describe a reply, with tool calls and, where the provider gave them, log-probabilities."""
        text = (reply.message.content or "") if isinstance(reply, ChatResponse) else reply.text
        raw = raw_of(reply)
        choices = raw.get("choices") or [{}]
        logprob, n_tokens = answer_logprob(choices[0].get("logprobs") or raw.get("logprobs"), text)
        return Sample(
            text=text,
            tool_calls=tool_calls_of(reply, self.model if "tools" in self.arguments else None),
            logprob=logprob,
            n_tokens=n_tokens,
            usage=self._usage(reply),
            model=str(raw.get("model") or name_of(self.model)),
            cut=is_cut_off(_ended(reply)),
            raw=reply,
        )

    def _usage(self, reply: Reply) -> Usage:
        return priced(usage_of(reply), self.model, str(raw_of(reply).get("model") or ""))


def is_cut(sample: Sample) -> bool:
    """Whether a sampled answer was cut in the thought before it."""
    if sample.tool_calls:
        return False
    reply: Reply = sample.raw
    thought = isinstance(reply, ChatResponse) and has_thought(reply.message)
    return is_cut_thought(sample.text, thought=thought, ended=_ended(reply))


def _ended(reply: Reply) -> str:
    """Return why a reply ended, as the provider says; empty where it does not."""
    raw = raw_of(reply)
    choice = (raw.get("choices") or [{}])[0]
    told = (choice.get("finish_reason"), raw.get("done_reason"), raw.get("stop_reason"), raw.get("status"))
    return next((ended for ended in told if isinstance(ended, str)), "")


def _is_ollama(model: LLM) -> bool:
    return model.class_name() == "Ollama_llm"


def _own_settings(model: LLM, arguments: dict[str, Any]) -> list[Mapping[str, Any]]:
    """Return where the user's settings may stand; clients set their own defaults as if the user had."""
    fields = type(model).model_fields
    own: dict[str, Any] = {
        name: getattr(model, name)
        for name in ("temperature", "thinking")
        if name in model.model_fields_set and getattr(model, name) != fields[name].default
    }
    own["seed"] = getattr(model, "seed", None)  # it is fixed, whoever has set it
    nested = (getattr(model, name, None) for name in ("additional_kwargs", "generate_kwargs"))
    return [arguments, own, *(place for place in nested if isinstance(place, Mapping))]


def _nested_settings(model: LLM, ask: Ask) -> dict[str, Any]:
    """Return the settings that models keep in a dict: Hugging Face's, Ollama's, and what others add."""
    if hasattr(model, "generate_kwargs") and hasattr(model, "tokenizer_kwargs"):
        kept = dict(model.generate_kwargs)
        if ask.temperature is None:
            return {"generate_kwargs": {**kept, "do_sample": True}} if "temperature" in kept else {}
        if ask.temperature == 0:
            greedy = {name: value for name, value in kept.items() if name not in _SAMPLING_ONLY}
            return {"generate_kwargs": {**greedy, "do_sample": False}}
        return {"generate_kwargs": {**kept, "do_sample": True, "temperature": ask.temperature}}
    extra = getattr(model, "additional_kwargs", None)
    if not isinstance(extra, dict):
        return {}
    kept = without_sampling(extra, temperature=ask.temperature, max_tokens=ask.max_tokens)
    if ask.seed is not None and "seed" in extra:
        kept["seed"] = ask.seed
    if _is_ollama(model) and ask.max_tokens is not None:
        kept["num_predict"] = ask.max_tokens
    return {"additional_kwargs": kept} if kept != extra else {}


_SAMPLING_ONLY = frozenset({"temperature", "top_p", "top_k", "min_p", "typical_p"})
"""Settings that Hugging Face's ``generate`` warns of where it does not sample."""
