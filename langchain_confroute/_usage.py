"""What a LangChain call cost."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

from confroute.decision import Usage
from confroute.prices import is_on_this_machine, with_price
from langchain_confroute._messages import model_name, usage_of

_URL_FIELDS = ("base_url", "openai_api_base")


class Unwrapped(NamedTuple):
    """A Runnable without its bindings, retries and fallbacks.

    Attributes:
        bare: What they were around; of fallbacks the first.
        kwargs: The arguments that were bound.
        configs: The configs that were bound, outermost first.
    """

    bare: Runnable[Any, Any]
    kwargs: dict[str, Any]
    configs: list[RunnableConfig]


def unwrapped(runnable: Runnable[Any, Any]) -> Unwrapped:
    """Take a Runnable out of whatever LangChain's own methods have put around it."""
    kwargs: dict[str, Any] = {}
    configs: list[RunnableConfig] = []
    while True:
        if isinstance(runnable, RunnableBindingBase):
            kwargs = {**runnable.kwargs, **kwargs}
            configs.append(runnable.config)
            runnable = runnable.bound
        elif isinstance(runnable, RunnableWithFallbacks):
            runnable = runnable.runnable
        else:
            return Unwrapped(runnable, kwargs, configs)


def chat_model_of(runnable: Runnable[Any, Any]) -> BaseChatModel | None:
    """Return the chat model under any number of bindings, retries and fallbacks; None if there is none."""
    bare = unwrapped(runnable).bare
    return bare if isinstance(bare, BaseChatModel) else None


def name_of(model: BaseChatModel) -> str:
    """Return the name of a chat model as its traces carry it."""
    return str(model._get_ls_params().get("ls_model_name") or type(model).__name__)


def is_local(model: BaseChatModel) -> bool:
    """Whether calls cost no money: a model in this process, or a server on this machine."""
    if getattr(getattr(model, "llm", None), "pipeline", None) is not None:
        return True
    urls = [str(url) for field in _URL_FIELDS if (url := getattr(model, field, None))]
    if not urls and model._get_ls_params().get("ls_provider") == "ollama":
        urls = [os.environ.get("OLLAMA_HOST") or "localhost"]
    return is_on_this_machine(urls)


def priced_usage(message: BaseMessage, model: BaseChatModel | None) -> Usage | None:
    """Return tokens and dollars of a reply; dollars stay unknown where the model's price or its tokens are.

    What runs on this machine costs nothing, however many tokens it does not tell.
    """
    usage = usage_of(message) if isinstance(message, AIMessage) else None
    if model is None or (usage is None and not is_local(model)):
        return usage
    usage = usage or Usage()
    provider = model._get_ls_params().get("ls_provider")
    return with_price(usage, model_name(message) or name_of(model), provider, local=is_local(model))
