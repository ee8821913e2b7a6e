"""What two chat models are together: their profile, their tools, what is bound to both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_confroute._usage import chat_model_of, unwrapped

if TYPE_CHECKING:
    from langchain_confroute.chat_models import ChatConfRoute


class RoutedBinding(RunnableBinding[LanguageModelInput, AIMessage]):
    """A `ChatConfRoute` with arguments or a config bound, whose later configs rule the model itself too."""

    @classmethod
    def lc_id(cls) -> list[str]:
        """Serialise as what it is a kind of."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def with_config(
        self, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind a config; see `ChatConfRoute.with_config`."""
        given = merge_configs(config, cast("RunnableConfig", kwargs))
        ruled = cast("ChatConfRoute", self.bound)._ruled(given)
        return RoutedBinding(bound=ruled, kwargs=self.kwargs, config=merge_configs(self.config, given))


def merged_profile(edge: Runnable[Any, Any], cloud: Runnable[Any, Any]) -> ModelProfile | None:
    """Return what both models can do; None where that of one is unknown."""
    models = [chat_model_of(side) for side in (edge, cloud)]
    profiles = [model.profile if model is not None else None for model in models]
    if not all(profiles):
        return None
    first, second = cast("list[dict[str, Any]]", profiles)
    merged: dict[str, Any] = {}
    for key in first.keys() & second.keys():
        a, b = first[key], second[key]
        if isinstance(a, bool) and isinstance(b, bool):
            merged[key] = a and b
        elif isinstance(a, int) and isinstance(b, int):
            merged[key] = min(a, b)
    return cast("ModelProfile", merged)


def tools_of(edge: Runnable[Any, Any], kwargs: dict[str, Any]) -> list[Any]:
    """Return the tools that are bound to the edge or given with the call."""
    bound = unwrapped(edge).kwargs.get("tools", [])
    return [*bound, *kwargs.get("tools", [])]


def schema_of(schema: dict[str, Any] | type | None) -> dict[str, Any]:
    """Return what is sent of a structured output's schema; nothing where LangChain cannot tell it."""
    if schema is None or isinstance(schema, dict):
        return schema or {}
    try:
        return convert_to_openai_tool(schema)
    except (TypeError, ValueError):  # the model itself may take it all the same, or send none of it
        return {}


def identity_of(side: Runnable[Any, Any]) -> Any:
    """Return what tells a model from others, for caches and traces."""
    model = chat_model_of(side)
    return type(side).__name__ if model is None else {"type": model._llm_type, **model._identifying_params}


def with_fields(side: Runnable[Any, Any], fields: dict[str, Any]) -> Runnable[Any, Any]:
    """Return a copy of a model, bound or not, with other fields."""
    if isinstance(side, RunnableBinding):
        return side.model_copy(update={"bound": with_fields(side.bound, fields)})
    return side.model_copy(update=fields) if isinstance(side, BaseChatModel) else side
