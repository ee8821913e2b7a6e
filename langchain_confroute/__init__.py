"""confroute for LangChain: a chat model that routes each question to an edge or a cloud model.

Names are loaded at first use, so that importing the package stays light.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from confroute._version import __version__
from confroute.errors import MissingExtraError, require

if TYPE_CHECKING:
    from langchain_confroute.chat_models import ChatConfRoute
    from langchain_confroute.decisions import ConfRouteDecisionModel as ConfRouteDecisionModel
    from langchain_confroute.middleware import ConfRouteMiddleware as ConfRouteMiddleware
    from langchain_confroute.runnables import RunnableConfRoute, RunnableRouteDecision

_HOMES = {
    "ChatConfRoute": "langchain_confroute.chat_models",
    "ConfRouteDecisionModel": "langchain_confroute.decisions",
    "ConfRouteMiddleware": "langchain_confroute.middleware",
    "RunnableConfRoute": "langchain_confroute.runnables",
    "RunnableRouteDecision": "langchain_confroute.runnables",
}

__all__ = [
    "ChatConfRoute",
    "ConfRouteDecisionModel",
    "ConfRouteMiddleware",
    "RunnableConfRoute",
    "RunnableRouteDecision",
    "__version__",
]


def _core_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version("langchain-core").split(".")[:2])
    except PackageNotFoundError:
        return ()


_HAS_DECISIONS = _core_version() >= (1, 8)

if not _HAS_DECISIONS:
    __all__.remove("ConfRouteDecisionModel")
if find_spec("langchain") is None:
    __all__.remove("ConfRouteMiddleware")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    purpose = f"langchain_confroute.{name}"
    is_middleware = name == "ConfRouteMiddleware"
    for module in ("langchain_core", "langchain") if is_middleware else ("langchain_core",):
        require(module, extra="agents" if is_middleware else "langchain", purpose=purpose)
    if name == "ConfRouteDecisionModel" and not _HAS_DECISIONS:
        raise MissingExtraError(
            f"{purpose} needs langchain-core 1.8 or newer, and {version('langchain-core')} is installed. "
            'Install it with: pip install --upgrade "langchain-core>=1.8"'
        )
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
