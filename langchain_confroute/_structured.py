"""Looks at a model that was asked for a structured output, so that a look can be the output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableParallel, RunnableSequence
from pydantic import BaseModel, ValidationError

from confroute.answers import without_thought
from confroute.decision import RouteRequest, Sample, Sampler
from confroute.schemas import answer_schema, told_tools
from langchain_confroute._pair import schema_of
from langchain_confroute._usage import chat_model_of, unwrapped
from langchain_confroute.sampling import LangChainSampler

_UNREAD = "cannot be read as the output that was asked for"


@dataclass(frozen=True, slots=True)
class Structured:
    """The edge, asked for a structured output.

    Attributes:
        model: The chat model with all that is bound to it for this purpose.
        output: Makes the output of its message: ``raw``, ``parsed`` and ``parsing_error``.
        include_raw: Whether the three are the output, or ``parsed`` alone.
        schema: The JSON schema of the output.
        kind: The class of the output, where the model's client would have made it itself.
    """

    model: Runnable[Any, Any]
    output: Runnable[Any, Any]
    include_raw: bool
    schema: Mapping[str, Any] | None
    kind: type[BaseModel] | None = None

    @property
    def tools(self) -> Sequence[Any]:
        """The tools that are bound for the output's sake, with the schema of the output as theirs."""
        told = told_tools(unwrapped(self.model).kwargs.get("tools", ()))
        return [{"name": name, "parameters": own or self.schema} for name, own in told.items()]

    def read(self, sample: Sample, config: RunnableConfig) -> Sample:
        """Return a sample with the output in place of the message; one that cannot be read says so."""
        return self._with(sample, self.output.invoke({"raw": self._raw(sample)}, config))

    async def aread(self, sample: Sample, config: RunnableConfig) -> Sample:
        """Return a sample with the output in place of the message; see `read`."""
        return self._with(sample, await self.output.ainvoke({"raw": self._raw(sample)}, config))

    def _raw(self, sample: Sample) -> AIMessage:
        """Return the message, with the object that its client would have made of it."""
        message: AIMessage = sample.raw
        if self.kind is None:
            return message
        try:
            parsed = self.kind.model_validate_json(without_thought(sample.text))
        except ValidationError:
            return message
        return message.model_copy(
            update={"additional_kwargs": {**message.additional_kwargs, "parsed": parsed}}
        )

    def _with(self, sample: Sample, found: Mapping[str, Any]) -> Sample:
        parsed = found["parsed"]
        if parsed is None or found["parsing_error"] is not None:
            return replace(sample, problem=_UNREAD)
        said = parsed.model_dump(mode="json") if isinstance(parsed, BaseModel) else parsed
        text = sample.text if sample.tool_calls else json.dumps(said, ensure_ascii=False, default=str)
        return replace(sample, text=text, raw=found if self.include_raw else parsed)


def structured_of(
    edge: Runnable[Any, Any], schema: dict[str, Any] | type | None, *, include_raw: bool, **kwargs: Any
) -> Structured | None:
    """Take a model's structured output apart into the model and what reads it.

    Returns:
        The parts; None where the model's own way to structured output is another than LangChain's usual one.
    """
    whole = edge.with_structured_output(schema, include_raw=True, **kwargs)  # type: ignore[attr-defined]  # a chat model, bound or not
    if not isinstance(whole, RunnableSequence) or not isinstance(whole.first, RunnableParallel):
        return None
    model = whole.first.steps__.get("raw")
    if model is None or len(whole.first.steps__) != 1 or chat_model_of(model) is None:
        return None
    _, first, *others = whole.steps
    asked = _json_schema(schema) or answer_schema(unwrapped(model).kwargs)
    model, kind = _unparsed(model)
    output = RunnableSequence(first, *others) if others else first
    return Structured(model, output, include_raw, asked, kind)


def _unparsed(model: Runnable[Any, Any]) -> tuple[Runnable[Any, Any], type[BaseModel] | None]:
    """Return a model whose client does not read the reply, and the class that it would have made of it.

    OpenAI's client raises where a reply does not fit its class, and what was said and used is lost.
    """
    kind = unwrapped(model).kwargs.get("response_format")
    if not isinstance(kind, type) or not issubclass(kind, BaseModel):
        return model, None
    from openai import pydantic_function_tool

    told = pydantic_function_tool(kind)["function"]
    asked = {"name": told["name"], "strict": True, "schema": told["parameters"]}
    return model.bind(response_format={"type": "json_schema", "json_schema": asked}), kind


def _json_schema(schema: dict[str, Any] | type | None) -> Mapping[str, Any] | None:
    """Return the JSON schema of an output, in whatever form a user gave it; None where it is not told."""
    told = schema_of(schema)
    told = told.get("function", told)
    found = told.get("parameters") or told.get("schema") or (told if "properties" in told else None)
    return found if isinstance(found, Mapping) else None


class StructuredSampler:
    """Draws whole structured outputs, and bare answers where a probe asks for those.

    Args:
        structured: The edge, asked for a structured output.
        bare: The handle on the edge as it is.
        messages: The conversation.
        config: The run under which the samples are traced.
    """

    def __init__(
        self,
        structured: Structured,
        bare: Sampler,
        messages: Sequence[BaseMessage],
        config: RunnableConfig,
    ) -> None:
        self._structured = structured
        self._whole = LangChainSampler(structured.model, messages, config=config)
        self._bare = bare

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        if settings.get("append"):
            return self._bare.sample(request, n, **settings)
        drawn = self._whole.sample(request, n, **settings)
        return [self._structured.read(sample, self._whole.config) for sample in drawn]

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        if settings.get("append"):
            return await self._bare.asample(request, n, **settings)
        drawn = await self._whole.asample(request, n, **settings)
        return [await self._structured.aread(sample, self._whole.config) for sample in drawn]
