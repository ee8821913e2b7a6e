"""Looks at a model that was asked for a structured output, so that a look can be the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableParallel, RunnableSequence

from confroute.decision import RouteRequest, Sample, Sampler, ToolCall
from confroute.execution.schemas import answer_schema
from langchain_confroute._pair import schema_of
from langchain_confroute._usage import chat_model_of, unwrapped
from langchain_confroute.sampling import LangChainSampler


@dataclass(frozen=True, slots=True)
class Structured:
    """The edge, asked for a structured output.

    Attributes:
        model: The chat model with all that is bound to it for this purpose.
        output: Makes the output of its message: ``raw``, ``parsed`` and ``parsing_error``.
        include_raw: Whether the three are the output, or ``parsed`` alone.
        schema: The JSON schema of the output.
    """

    model: Runnable[Any, Any]
    output: Runnable[Any, Any]
    include_raw: bool
    schema: Mapping[str, Any] | None

    @property
    def tools(self) -> Sequence[Any]:
        """The tools that are bound for the output's sake."""
        tools: Sequence[Any] = unwrapped(self.model).kwargs.get("tools", ())
        return tools

    def read(self, sample: Sample, config: RunnableConfig) -> Sample:
        """Return a sample with the output in place of the message; one that cannot be read says so."""
        return self._with(sample, self.output.invoke({"raw": sample.raw}, config))

    async def aread(self, sample: Sample, config: RunnableConfig) -> Sample:
        """Return a sample with the output in place of the message; see `read`."""
        return self._with(sample, await self.output.ainvoke({"raw": sample.raw}, config))

    def _with(self, sample: Sample, found: Mapping[str, Any]) -> Sample:
        if found["parsed"] is None or found["parsing_error"] is not None:
            calls = sample.tool_calls or (ToolCall("output", unread=sample.text),)
            return replace(sample, tool_calls=tuple(replace(c, unread=c.unread or c.key) for c in calls))
        return replace(sample, raw=found if self.include_raw else found["parsed"])


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
    sent = answer_schema(unwrapped(model).kwargs)
    asked = sent if sent is not None and "properties" in sent else _parameters(schema) or sent
    return Structured(model, RunnableSequence(first, *others) if others else first, include_raw, asked)


def _parameters(schema: dict[str, Any] | type | None) -> Mapping[str, Any] | None:
    """Return the JSON schema in what LangChain takes for one: itself, or OpenAI's functions and formats."""
    told = schema_of(schema)
    told = told.get("function", told)
    found = told if "properties" in told else told.get("parameters") or told.get("schema")
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
