"""confroute for LlamaIndex: an LLM and a selector that route each question to an edge or a cloud model.

Names are loaded at first use, so that importing the package stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from confroute._version import __version__
from confroute.errors import require

if TYPE_CHECKING:
    from llamaindex_confroute.events import RouteDecisionEvent
    from llamaindex_confroute.llms import ConfRouteLLM
    from llamaindex_confroute.selectors import ConfRouteSelector

_HOMES = {
    "ConfRouteLLM": "llamaindex_confroute.llms",
    "ConfRouteSelector": "llamaindex_confroute.selectors",
    "RouteDecisionEvent": "llamaindex_confroute.events",
}

__all__ = ["ConfRouteLLM", "ConfRouteSelector", "RouteDecisionEvent", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        require("llama_index", extra="llamaindex", purpose=f"llamaindex_confroute.{name}")
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
