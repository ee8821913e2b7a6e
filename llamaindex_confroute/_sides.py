"""The two models as the core's execution sees them: names, limits, prices, and what a call cost."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.callbacks.token_counting import get_tokens_from_response
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM

from confroute.decision import Usage
from confroute.execution.breaker import Breaker
from confroute.execution.limits import longest_reply
from confroute.execution.side import Side
from confroute.prices import is_on_this_machine, token_prices, with_price
from llamaindex_confroute._messages import Reply

_URL_FIELDS = ("api_base", "base_url")
_IN_PROCESS = ("llama_index.core.llms.mock", "llama_index.llms.huggingface.", "llama_index.llms.llama_cpp.")
_PROVIDERS = {
    "azure_openai": "azure",
    "bedrock_converse": "aws",
    "google_genai": "google",
    "mistralai": "mistral",
}
"""Providers whose integration is not named as in the price list."""


def side_of(model: LLM, *, timeout: float | None, server_errors: int = 3, reset_after: float = 30.0) -> Side:
    """Describe a model, without asking it; the last two arguments are those of its breaker.

    A context window counts as unknown where it is LlamaIndex's default for "not set".
    """
    name, window = name_of(model), getattr(model, "context_window", None)
    is_known = isinstance(window, int) and window > 0 and window != DEFAULT_CONTEXT_WINDOW
    return Side(
        name,
        timeout=timeout,
        price=token_prices(name, provider_of(model), local=is_local(model)),
        max_output_tokens=longest_reply(model),
        max_input_tokens=window if is_known else None,
        calls_tools=None if isinstance(model, FunctionCallingLLM) else False,
        breaker=Breaker(name, server_errors=server_errors, reset_after=reset_after),
    )


def name_of(model: LLM) -> str:
    """Return a model's name; not from its metadata, for which some models ask their server."""
    return str(getattr(model, "model", None) or getattr(model, "model_name", None) or model.class_name())


def provider_of(model: LLM) -> str:
    """Return a model's provider as the price list spells it: ``llama_index.llms.openai`` → ``openai``."""
    package = type(model).__module__.removeprefix("llama_index.llms.").split(".")[0]
    return _PROVIDERS.get(package, package)


def is_local(model: LLM) -> bool:
    """Whether calls cost no money: a model in this process, or a server on this machine."""
    if any(kind.__module__.startswith(_IN_PROCESS) for kind in type(model).__mro__):
        return True
    return is_on_this_machine(str(url) for field in _URL_FIELDS if (url := getattr(model, field, None)))


def usage_of(reply: Any) -> Usage | None:
    """Return the tokens that the provider counted for a reply or up to a chunk; None where it did not."""
    if not isinstance(reply, ChatResponse | CompletionResponse):
        return None
    beside = CompletionResponse(text="", raw={"usage": None}, additional_kwargs=reply.additional_kwargs)
    for told in (reply, beside):
        try:
            tokens = get_tokens_from_response(told)
        except (TypeError, ValueError, AttributeError):  # a raw reply in a layout of its own
            continue
        if any(tokens):
            return Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    return None


def priced(usage: Usage | None, model: LLM, told_name: str = "") -> Usage:
    """Return a call's usage in dollars too; what is unknown stays unknown.

    Args:
        usage: Tokens, where known.
        model: The model that answered.
        told_name: The model's name as it told itself.
    """
    name = told_name or name_of(model)
    return with_price(usage or Usage(), name, provider_of(model), local=is_local(model))


def raw_of(reply: Reply) -> dict[str, Any]:
    """Return the provider's own reply as a dict; empty where there is none of a known shape."""
    raw: Any = reply.raw
    raw = raw.model_dump() if hasattr(raw, "model_dump") else raw
    return raw if isinstance(raw, dict) else {}
