"""confroute decides which of two language models answers a question: the edge, or the cloud.

Names are loaded at first use, so that ``import confroute`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from confroute._version import __version__

if TYPE_CHECKING:
    from confroute.decision import RouteDecision, RouteRequest, Sample
    from confroute.execution.control import control
    from confroute.routers.cascade import CascadeRouter
    from confroute.routers.confidence import ConfidenceRouter
    from confroute.routers.entropy import EntropyRouter
    from confroute.routers.self_check import SelfCheckRouter
    from confroute.routers.threshold import CloudShare
    from confroute.routers.trained import TrainedRouter, load_router

_HOMES = {
    "CascadeRouter": "confroute.routers.cascade",
    "CloudShare": "confroute.routers.threshold",
    "ConfidenceRouter": "confroute.routers.confidence",
    "EntropyRouter": "confroute.routers.entropy",
    "RouteDecision": "confroute.decision",
    "RouteRequest": "confroute.decision",
    "Sample": "confroute.decision",
    "SelfCheckRouter": "confroute.routers.self_check",
    "TrainedRouter": "confroute.routers.trained",
    "control": "confroute.execution.control",
    "load_router": "confroute.routers.trained",
}

__all__ = [
    "CascadeRouter",
    "CloudShare",
    "ConfidenceRouter",
    "EntropyRouter",
    "RouteDecision",
    "RouteRequest",
    "Sample",
    "SelfCheckRouter",
    "TrainedRouter",
    "__version__",
    "control",
    "load_router",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
