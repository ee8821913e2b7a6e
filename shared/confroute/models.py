"""From a model string such as ``ollama:qwen2.5`` to something that answers and samples.

Providers register in the entry-point group ``confroute.models``: the entry point's name is the part of the
string before the colon, its value a function ``load(spec) -> Model``. A string whose prefix nobody has
registered goes to the entry point ``langchain``, which reads LangChain model strings and URLs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from confroute.decision import Message, RouteRequest, Sample
from confroute.errors import ConfigurationError, MissingExtraError

_GROUP = "confroute.models"
_FALLBACK = "langchain"


@runtime_checkable
class Model(Protocol):
    """A model that the command line can question: a `Sampler` with a name and full sampling settings.

    `seed` makes a draw repeatable where the provider can; with ``n > 1``, draw i uses ``seed + i``.
    ``temperature=0`` means greedy, None the temperature that the model was loaded with, greedy if none.
    """

    @property
    def name(self) -> str:
        """The model's own name, as in a price list or a file name."""
        ...

    def sample(
        self,
        request: RouteRequest,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float | None = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
        top_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> list[Sample]:
        """Draw `n` answers to the request."""
        ...

    async def asample(
        self,
        request: RouteRequest,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float | None = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
        top_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> list[Sample]:
        """Draw `n` answers to the request."""
        ...


def load_model(spec: str) -> Model:
    """Load the model that a string names.

    Args:
        spec: ``provider:model`` (``ollama:qwen2.5:1.5b``, ``openai:gpt-5``), the URL of an
            OpenAI-compatible server (``http://localhost:8000/v1``, optionally ``#model``), or a string
            with a prefix that an installed package has registered.

    Returns:
        The model, loaded or ready to be loaded at its first call.

    Raises:
        ConfigurationError: If the string names no provider.
        ModelError: If the provider cannot load the model.
        MissingExtraError: If the provider's package is not installed.
    """
    prefix, colon, rest = spec.strip().partition(":")
    if not colon or not rest:
        raise ConfigurationError(
            f"unknown model {spec!r}: expected 'provider:model' such as 'ollama:qwen2.5:1.5b' or "
            "'openai:gpt-5', or the URL of an OpenAI-compatible server such as 'http://localhost:8000/v1'"
        )
    providers = {point.name: point for point in entry_points(group=_GROUP)}
    point = providers.get(prefix) or providers.get(_FALLBACK)
    if point is None:
        raise ConfigurationError(
            f"unknown model {spec!r}: no package has registered the provider {prefix!r}. "
            'For LangChain model strings: pip install "confroute[models]"'
        )
    try:
        load: Callable[[str], Model] = point.load()
    except ModuleNotFoundError as error:
        extra = "demo" if prefix == "local" else "models"
        raise MissingExtraError(
            f"The model {spec!r} needs the package {error.name!r}, which is not installed. "
            f'Install it with: pip install "confroute[{extra}]"'
        ) from error
    return load(spec.strip())
