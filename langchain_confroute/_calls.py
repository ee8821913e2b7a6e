"""From what a caller of the chat model says to a call that can be routed."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from confroute.execution.control import Controls, current_controls
from confroute.schemas import answer_schema, asked_of
from langchain_confroute._messages import sticky_decision, to_request
from langchain_confroute._pair import tools_of
from langchain_confroute._routing import Call
from langchain_confroute._sides import size_of
from langchain_confroute._usage import unwrapped
from langchain_confroute.runnables import Query, text_of
from langchain_confroute.sampling import LangChainSampler


def call_of(
    messages: list[BaseMessage],
    kwargs: dict[str, Any],
    *,
    edge: Runnable[Any, Any],
    cloud: Runnable[Any, Any],
    sampler: Runnable[Any, Any] | None,
    query: Query | None,
    controls: Controls,
) -> Call:
    """Describe a call of the pair.

    Args:
        messages: What the models are given.
        kwargs: Further arguments of the models.
        edge: The edge, with what is bound to it.
        cloud: The cloud, with what is bound to it.
        sampler: The model that the router looks at, where that is not the edge.
        query: Finds the question in the messages.
        controls: What the pair itself rules.
    """
    tools = tools_of(edge, kwargs)
    looked_at = edge if sampler is None else sampler
    (bare, bound, _), bound_to_cloud = unwrapped(edge), unwrapped(cloud).kwargs
    return Call(
        input=messages,
        request=to_request(
            messages,
            tools=tools,
            query="" if query is None else text_of(query(messages)),
            schema=answer_schema({**asked_of(bare), **bound, **kwargs}),
        ),
        sampler=lambda config: LangChainSampler(looked_at, messages, config=config, kwargs=kwargs),
        kwargs=kwargs,
        sticky=sticky_decision(messages),
        size=size_of(messages, tools, kwargs, bound, bound_to_cloud),
        drafts=sampler is None,
        controls=controls.then(current_controls()),
    )


def of_input(model: BaseChatModel, query: Query | None) -> Query | None:
    """Return what finds the question in any input of a chat model, where `query` finds it in messages."""
    return None if query is None else lambda given: query(model._convert_input(given).to_messages())


def with_stop(stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call with its stop words."""
    return kwargs if stop is None else {**kwargs, "stop": stop}
