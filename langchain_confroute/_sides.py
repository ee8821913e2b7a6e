"""The two models as the core's execution sees them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from confroute.execution.accounts import Counters
from confroute.execution.breaker import Breaker
from confroute.execution.execution import Execution
from confroute.execution.limits import PromptSize, longest_asked, longest_reply, prompt_size
from confroute.execution.side import Side
from confroute.prices import token_prices
from langchain_confroute._messages import file_bytes, media_blocks
from langchain_confroute._usage import chat_model_of, is_local, name_of

_MEDIA = {"audio": "audio_inputs", "video": "video_inputs", "pdf": "pdf_inputs"}
_MOST_EXECUTIONS = 64
_OBJECTS = ("sampled", "cap", "log")


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
    name = name_of(model)
    profile: Mapping[str, Any] = model.profile or {}
    return Side(
        name,
        timeout=timeout,
        price=token_prices(name, model._get_ls_params().get("ls_provider"), local=is_local(model)),
        max_output_tokens=_longest_reply(model),
        max_input_tokens=profile.get("max_input_tokens") or getattr(model, "num_ctx", None),
        sees_images=profile.get("image_inputs"),
        calls_tools=profile.get("tool_calling"),
        reads={kind: bool(profile[key]) for kind, key in _MEDIA.items() if key in profile},
        breaker=Breaker(name, server_errors=server_errors, reset_after=reset_after),
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
        """Return the execution for these settings; see `Execution.between`."""
        models = tuple(chat_model_of(side) or side for side in (edge, cloud))
        objects = (*models, *(settings.get(name) for name in _OBJECTS))
        plain = {key: value for key, value in settings.items() if key not in _OBJECTS}
        key = (*map(id, objects), *sorted(plain.items()))
        with self._lock:
            if key not in self._made:
                if len(self._made) >= _MOST_EXECUTIONS:
                    self._made.pop(next(iter(self._made)))
                made = Execution.between(side_of, *models, counters=self.counters, **settings)
                self._made[key] = made, objects  # the objects are kept, so that no other takes their ids
            return self._made[key][0]


def _longest_reply(model: BaseChatModel) -> int | None:
    return longest_reply(model) or (model.profile or {}).get("max_output_tokens")


def size_of(
    messages: Sequence[BaseMessage], extras: Iterable[Any], *arguments: Mapping[str, Any]
) -> PromptSize:
    """Measure a prompt, images, tool calls and what else is sent with it included.

    Args:
        messages: The prompt.
        extras: What else is sent.
        arguments: Arguments of the call and of what is bound to the models, for the longest reply.
    """
    texts = [str(message.text) for message in messages]
    images = sum(media_blocks(message) for message in messages)
    calls = [call for message in messages for call in getattr(message, "tool_calls", [])]
    size = prompt_size(texts, images=images, extras=[*calls, *extras])
    return size._replace(most=size.most + file_bytes(messages), longest=longest_asked(*arguments))
