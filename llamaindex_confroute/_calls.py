"""From what a caller of the LLM says to a call that can be routed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.tools import BaseTool

from confroute.decision import Message, RouteRequest
from confroute.execution.limits import prompt_size
from confroute.schemas import answer_schema, told_tools
from llamaindex_confroute._messages import (
    append,
    media_blocks,
    sticky_in,
    to_request,
    without_stamps,
)
from llamaindex_confroute._routing import Call
from llamaindex_confroute._sampling import Arguments


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt and its values, to be formatted by the model that answers."""

    prompt: BasePromptTemplate
    values: dict[str, Any]


class FormattedPrompt(str):
    """A prompt as text that remembers what it was made from, for `LLM.predict` on completion models."""

    __slots__ = ("template",)

    template: Template

    @classmethod
    def of(cls, text: str, template: Template) -> FormattedPrompt:
        """Remember the template of a text."""
        prompt = cls(text)
        prompt.template = template
        return prompt


class FormattedMessages(list[ChatMessage]):
    """Messages that remember what they were made from, for `LLM.predict` on chat models."""

    def __init__(self, messages: Sequence[ChatMessage], template: Template) -> None:
        super().__init__(messages)
        self.template = template


def chat(messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> Call:
    """Describe a chat."""
    template = messages.template if isinstance(messages, FormattedMessages) else None

    def arguments(model: LLM, extra: Sequence[Message]) -> dict[str, Any]:
        given = messages
        if template is not None:
            given = model._get_messages(template.prompt, **template.values)
        return {"messages": append(without_stamps(given), extra), **kwargs}

    call = _call("chat", arguments, messages, tools=kwargs.get("tools") or (), kwargs=kwargs)
    return call if template is None else _of_template(call, template)


def complete(prompt: str, kwargs: dict[str, Any]) -> Call:
    """Describe a completion.

    A prompt that is "formatted" is so by the pair, which has no template of its own; that of the model that
    answers is still to be applied.
    """
    template = prompt.template if isinstance(prompt, FormattedPrompt) else None

    def arguments(model: LLM, extra: Sequence[Message]) -> dict[str, Any]:
        text = str(prompt) if template is None else model._get_prompt(template.prompt, **template.values)
        asked = "\n".join([text, *(message.text for message in extra)])
        return {"prompt": asked, "formatted": template is not None, **kwargs}

    call = Call("complete", arguments, RouteRequest.from_text(str(prompt)))
    return call if template is None else _of_template(call, template)


def chat_with_tools(
    tools: Sequence[BaseTool],
    user_msg: str | ChatMessage | None,
    chat_history: Sequence[ChatMessage] | None,
    kwargs: dict[str, Any],
) -> Call:
    """Describe a chat with tools.

    Every model gets a list of its own, since some append the user's message to the one that they are given.
    """
    messages = list(chat_history or [])
    if user_msg is not None:
        messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)

    def arguments(model: LLM, extra: Sequence[Message]) -> dict[str, Any]:
        return {"tools": tools, "chat_history": append(without_stamps(messages), extra), **kwargs}

    return _call("chat_with_tools", arguments, messages, tools=tools, kwargs=kwargs)


def structured(
    edge: LLM,
    output_cls: type[Any],
    prompt: BasePromptTemplate,
    llm_kwargs: dict[str, Any] | None,
    values: dict[str, Any],
) -> Call:
    """Describe a structured prediction; a brief probe asks the edge for a bare answer to the same prompt.

    Every model gets keyword arguments of its own, since some write into those that they are given.
    """
    sampled = chat(prompt.format_messages(llm=edge, **values), {})

    def arguments(model: LLM, extra: Sequence[Message]) -> dict[str, Any]:
        own = dict(llm_kwargs) if llm_kwargs is not None else None
        return {"output_cls": output_cls, "prompt": prompt, "llm_kwargs": own, **values}

    sampled = _of_template(sampled, Template(prompt, values))
    request = replace(sampled.request, answer_schema=output_cls.model_json_schema())
    return replace(
        sampled, method="structured_predict", arguments=arguments, request=request, sampled=sampled
    )


def _call(
    method: str,
    arguments: Arguments,
    messages: Sequence[ChatMessage],
    *,
    tools: Iterable[Any] = (),
    kwargs: Mapping[str, Any],
) -> Call:
    told = [_described(tool) for tool in tools]
    request = to_request(messages, tools=told_tools(told), schema=answer_schema(kwargs))
    sent_along = [message.additional_kwargs for message in messages if message.additional_kwargs]
    return Call(
        method,
        arguments,
        request,
        sticky=sticky_in(messages, request),
        size=prompt_size(
            (message.text for message in request.messages),
            images=sum(media_blocks(message) for message in messages),
            extras=[*sent_along, *told],
        ),
    )


def _of_template(call: Call, template: Template) -> Call:
    """Return a call that knows what a human has said among the values of its prompt.

    That is the question of query engines and synthesisers, ``query_str``, which stands among passages there;
    else all but retrieved passages.
    """
    prompt = template.prompt
    chosen = getattr(prompt, "default_template", prompt)  # of a prompt that differs by kind of model
    filled = {**chosen.kwargs, **prompt.kwargs, **template.values}
    if "query_str" not in filled:
        asked = tuple(str(value) for name, value in filled.items() if "context" not in name)
        return replace(call, asked=asked)
    question = str(filled["query_str"])
    return replace(call, asked=(question,), request=replace(call.request, query=question))


def _described(tool: Any) -> Any:
    """Return what a model is told of a tool; tools come as objects, or as dicts in requests."""
    if not isinstance(tool, BaseTool):
        return tool
    metadata = tool.metadata
    return {
        "name": metadata.get_name(),
        "description": metadata.description,
        "parameters": metadata.get_parameters_dict(),
    }
