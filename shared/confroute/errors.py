"""The errors that confroute raises on purpose.

Each message says what was wrong, what was expected and how to mend it.
"""

import importlib.util


class ConfRouteError(Exception):
    """Base of every error that confroute raises on purpose."""


class ConfigurationError(ConfRouteError, ValueError):
    """An argument, an option or a file is not what is needed."""


class MissingExtraError(ConfRouteError, ImportError):
    """An optional dependency is not installed; the message names the exact ``pip install``."""


class SamplingError(ConfRouteError, RuntimeError):
    """The edge model could not be sampled, so its doubt is unknown."""


class ModelError(ConfRouteError, RuntimeError):
    """A model could not be loaded or did not answer."""


class BothModelsFailedError(ConfRouteError, RuntimeError):
    """Neither the edge nor the cloud answered.

    Attributes:
        causes: What each route raised, in the order tried.
    """

    def __init__(self, causes: dict[str, BaseException]) -> None:
        self.causes = causes
        told = "; ".join(f"{route}: {type(error).__name__}: {error}" for route, error in causes.items())
        super().__init__(f"neither model answered. {told}")


def require(module: str, *, extra: str, purpose: str) -> None:
    """Check that an optional dependency can be imported, without importing it.

    Args:
        module: Top-level module name, such as ``"torch"``.
        extra: The extra of this distribution that installs it.
        purpose: What needs it, as the start of a sentence.

    Raises:
        MissingExtraError: If the module is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"{purpose} needs the package '{module}', which is not installed. "
            f'Install it with: pip install "confroute[{extra}]"'
        )
