"""LangChain chat models by string, for the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urldefrag, urlsplit

from langchain_core.language_models import BaseChatModel

from confroute.decision import RouteRequest, Sample
from confroute.errors import ConfigurationError, ModelError, require
from confroute.execution.limits import length_field
from langchain_confroute._messages import append
from langchain_confroute._usage import name_of
from langchain_confroute.sampling import LangChainSampler

_LOCAL_KEY = "none"  # servers on this machine ask for a key and ignore it


class LangChainModel:
    """A LangChain chat model as `confroute.models.Model`.

    Args:
        chat_model: The chat model.
    """

    def __init__(self, chat_model: BaseChatModel) -> None:
        self.chat_model = chat_model

    @property
    def name(self) -> str:
        """The model's own name."""
        return name_of(self.chat_model)

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.models.Model`."""
        return self._sampler(request).sample(request, n, **settings)

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.models.Model`."""
        return await self._sampler(request).asample(request, n, **settings)

    def _sampler(self, request: RouteRequest) -> LangChainSampler:
        return LangChainSampler(self.chat_model, append([], request.messages))


def load(spec: str) -> LangChainModel:
    """Load a LangChain chat model; the entry point ``langchain`` of ``confroute.models``.

    Args:
        spec: See `chat_model`.
    """
    return LangChainModel(chat_model(spec))


def chat_model(spec: str, **settings: Any) -> BaseChatModel:
    """Make a chat model of a string.

    Args:
        spec: ``provider:model`` as in `langchain.chat_models.init_chat_model`; the URL of an
            OpenAI-compatible server, with the model after ``#`` where it serves several; or
            ``local:FOLDER``, a Hugging Face model run in this process (``local:smollm2`` is the demo's).
        **settings: Fields of the chat model, such as ``max_tokens=64``.

    Raises:
        ConfigurationError: If the string names no provider that LangChain knows.
        MissingExtraError: If the provider's package is not installed.
        ModelError: If the model cannot be loaded or its server does not answer.
    """
    if spec.startswith(("http://", "https://")):
        return _openai_compatible(spec, settings)
    if spec.startswith("local:"):
        for module in ("langchain_huggingface", "transformers", "torch"):
            require(module, extra="demo", purpose=f"The model {spec!r}")
        from langchain_confroute.demo import smollm2
        from langchain_confroute.huggingface import ChatLocalHuggingFace

        name = spec.removeprefix("local:")
        if name == "smollm2":
            return ChatLocalHuggingFace.load(smollm2.model_path(), top_p=0.9, **settings)
        return ChatLocalHuggingFace.load(name, **settings)
    require("langchain", extra="models", purpose=f"The model string {spec!r}")
    from langchain.chat_models import init_chat_model

    try:
        model: BaseChatModel = init_chat_model(spec, **settings)
    except ImportError as error:
        raise ModelError(f"cannot load the model {spec!r}: {error}") from error
    except ValueError as error:
        told = str(error).splitlines()[0].split(". ")[0]
        raise ConfigurationError(
            f"cannot load the model {spec!r}: {told}. Expected provider:model, such as openai:gpt-5 or "
            "ollama:qwen2.5:1.5b, the URL of an OpenAI-compatible server, or local:FOLDER"
        ) from error
    except Exception as error:
        raise ModelError(f"cannot load the model {spec!r}: {type(error).__name__}: {error}") from error
    limit, field = settings.get("max_tokens"), length_field(type(model).model_fields)
    if limit is not None and field is not None:
        setattr(model, field, limit)  # Ollama has a name of its own for it, and ignores the usual one
    return model


def _openai_compatible(spec: str, settings: dict[str, Any]) -> BaseChatModel:
    require("langchain_openai", extra="models", purpose=f"The server {spec!r}")
    import os

    from langchain_openai.chat_models.base import BaseChatOpenAI

    url, model = urldefrag(spec)
    key = os.environ.get("OPENAI_API_KEY", _LOCAL_KEY)
    make: Callable[..., BaseChatModel] = BaseChatOpenAI
    if not model:
        model = _only_model(url, key)
    return make(base_url=url, model=model, api_key=key, **settings)


def _only_model(url: str, key: str) -> str:
    """Ask a server which model it serves."""
    import openai

    try:
        served = [
            model.id
            for model in openai.OpenAI(base_url=url, api_key=key, timeout=10, max_retries=0).models.list()
        ]
    except openai.OpenAIError as error:
        raise ModelError(
            f"the server at {urlsplit(url).netloc} does not answer: {error}. Is it running, and does the URL "
            "end as its manual says, usually in /v1?"
        ) from error
    if len(served) == 1:
        return served[0]
    raise ConfigurationError(
        f"{url} serves {len(served)} models: name one after '#', "
        f"as in {url}#{served[0] if served else 'MODEL'}"
    )
