"""The two models as the core's execution sees them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from confroute.execution import limits
from confroute.execution.accounts import Counters, SpendCap
from confroute.execution.breaker import Breaker
from confroute.execution.execution import Execution, OnError, Side
from confroute.execution.log import DecisionLog
from confroute.prices import token_prices
from langchain_confroute._usage import chat_model_of, is_local, name_of

_MOST_EXECUTIONS = 64


def side_of(
    runnable: Runnable[Any, Any],
    *,
    timeout: float | None = None,
    server_errors: int = 3,
    reset_after: float = 30.0,
) -> Side:
    """Describe a model: its price, its limits, what it can see. The last two are those of its breaker."""
    model = chat_model_of(runnable)
    if model is None:
        name = runnable.get_name()
        breaker = Breaker(name, server_errors=server_errors, reset_after=reset_after)
        return Side(name, timeout=timeout, breaker=breaker)
    name, profile = name_of(model), model.profile or {}
    return Side(
        name,
        timeout=timeout,
        price=token_prices(name, model._get_ls_params().get("ls_provider"), local=is_local(model)),
        max_output_tokens=_longest_reply(model),
        max_input_tokens=profile.get("max_input_tokens") or getattr(model, "num_ctx", None),
        sees_images=profile.get("image_inputs"),
        calls_tools=profile.get("tool_calling"),
        breaker=Breaker(name, server_errors=server_errors, reset_after=reset_after),
    )


def execution_of(
    edge: Runnable[Any, Any],
    cloud: Runnable[Any, Any],
    *,
    on_error: OnError = "cloud",
    edge_timeout: float | None = None,
    cloud_timeout: float | None = None,
    server_errors: int = 3,
    reset_after: float = 30.0,
    cap: SpendCap | None = None,
    log: DecisionLog | None = None,
    counters: Counters | None = None,
) -> Execution:
    """Make what carries decisions out between two models."""
    described = partial(side_of, server_errors=server_errors, reset_after=reset_after)
    return Execution(
        described(edge, timeout=edge_timeout),
        described(cloud, timeout=cloud_timeout),
        on_error=on_error,
        cap=cap,
        log=log,
        counters=counters,
    )


class Executions:
    """The executions of one object and of its copies, each made once for its settings.

    LangChain copies an object for every call that sets one of its `configurable_fields`, and whenever tools
    are bound. Copies with equal settings share breakers; all of them share the counters.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self._made: dict[tuple[Any, ...], tuple[Execution, tuple[Any, ...]]] = {}
        self._lock = threading.Lock()

    def get(self, edge: Runnable[Any, Any], cloud: Runnable[Any, Any], **settings: Any) -> Execution:
        """Return the execution for these settings; see `execution_of`."""
        models = tuple(chat_model_of(side) or side for side in (edge, cloud))
        objects = (*models, settings.get("cap"), settings.get("log"))
        plain = {key: value for key, value in settings.items() if key not in ("cap", "log")}
        key = (*map(id, objects), *sorted(plain.items()))
        with self._lock:
            if key not in self._made:
                if len(self._made) >= _MOST_EXECUTIONS:
                    self._made.pop(next(iter(self._made)))
                made = execution_of(*models, counters=self.counters, **settings)
                self._made[key] = made, objects  # the objects are kept, so that no other takes their ids
            return self._made[key][0]


def _longest_reply(model: BaseChatModel) -> int | None:
    return limits.longest_reply(model) or (model.profile or {}).get("max_output_tokens")


def most_tokens(messages: Sequence[BaseMessage], tools: Iterable[Any]) -> int:
    """Return the most tokens that a prompt can have: one per byte, images and tools included."""
    texts = [str(message.text) for message in messages]
    blocks = [b for m in messages if isinstance(m.content, list) for b in m.content if isinstance(b, dict)]
    images = sum("image" in str(block.get("type")) for block in blocks)
    calls = [call for message in messages for call in getattr(message, "tool_calls", [])]
    return limits.most_tokens(texts, images=images, extras=[*calls, *tools])
