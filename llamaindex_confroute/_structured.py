"""Looks at a model that is asked for an object, so that a look can be the object."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms import LLM
from pydantic import BaseModel

from confroute.decision import RouteRequest, Sample, Sampler
from llamaindex_confroute._metering import Meter, heard
from llamaindex_confroute._sampling import Arguments, Copies, LlamaIndexSampler

_OBJECT = "confroute_object"
_NO_OBJECT = "is not the object that was asked for"


class StructuredSampler:
    """Draws whole objects, each in the model's own way, and bare answers where a probe asks for those.

    Args:
        model: The model.
        arguments: Makes the arguments of its ``structured_predict``.
        copies: Where copies are kept.
        bare: The handle on the model as it chats.
    """

    def __init__(self, model: LLM, arguments: Arguments, copies: Copies, bare: Sampler) -> None:
        listened = copies.of(model, heard(model))
        self._whole = LlamaIndexSampler(listened, "structured_predict", arguments, copies, around=_told)
        self._bare = bare

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        if settings.get("append"):
            return self._bare.sample(request, n, **settings)
        return [_read(sample) for sample in self._whole.sample(request, n, **settings)]

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler`."""
        if settings.get("append"):
            return await self._bare.asample(request, n, **settings)
        return [_read(sample) for sample in await self._whole.asample(request, n, **settings)]


def _read(sample: Sample) -> Sample:
    """Return a sample with the object in place of the reply that carries it."""
    found = sample.raw.additional_kwargs[_OBJECT]
    return replace(sample, tool_calls=(), problem=_NO_OBJECT if found is None else None, raw=found)


def _told(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method that predicts an object return it as a reply, with what its model told beside it."""

    def predicted(**arguments: Any) -> ChatResponse:
        meter, found = Meter(), None
        with meter.listening():
            try:
                found = predict(**arguments)
            except ValueError:  # what was answered is no such object; a provider's own error is none of these
                if meter.reply is None:
                    raise
        return _reply(found, meter)

    async def apredicted(**arguments: Any) -> ChatResponse:
        meter, found = Meter(), None
        with meter.listening():
            try:
                found = await predict(**arguments)
            except ValueError:  # as above
                if meter.reply is None:
                    raise
        return _reply(found, meter)

    return apredicted if inspect.iscoroutinefunction(inspect.unwrap(predict)) else predicted


def _reply(found: Any, meter: Meter) -> ChatResponse:
    text = found.model_dump_json() if isinstance(found, BaseModel) else ""
    return ChatResponse(
        message=ChatMessage(text, role=MessageRole.ASSISTANT),
        raw=getattr(meter.reply, "raw", None),
        additional_kwargs={**getattr(meter.reply, "additional_kwargs", {}), _OBJECT: found},
    )
