"""Drawing samples from a LangChain chat model, so that they are real, seen once and never shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from pydantic import SkipValidation

from confroute.decision import Message, RouteRequest, Sample, total_usage
from confroute.errors import ConfigurationError
from confroute.execution.limits import sampling_fields, without_sampling
from confroute.execution.sampling import MAX_CONCURRENCY, adraw, draw, share_usage
from langchain_confroute._messages import append as append_messages
from langchain_confroute._messages import to_sample
from langchain_confroute._usage import priced_usage, unwrapped

SAMPLE_TAG = "confroute:sample"
"""Tag of every run that draws a sample, for ``exclude_tags``."""

_NOSTREAM_TAG = "nostream"  # LangGraph leaves runs with this tag out of its token stream
SAMPLE_CONFIG: RunnableConfig = {"tags": [_NOSTREAM_TAG, SAMPLE_TAG], "run_name": "confroute_sample"}


class LangChainSampler:
    """A handle on one chat model, with the messages, tools and run of one call.

    Samples come from a copy of the model that has no cache, since a cache would answer all of them with the
    first, and another seed for each, since a fixed one would do the same. One request draws them all where
    the model takes ``n``; a bounded parallel batch draws whatever is missing after it.

    Args:
        model: The model, with or without tools bound.
        messages: The conversation in full: images and tool history stay in it.
        config: The run under which the samples are traced.
        kwargs: Further arguments of the call, such as ``stop`` or ``tools``.

    Raises:
        ConfigurationError: If what is to be sampled is not a chat model.
    """

    def __init__(
        self,
        model: Runnable[Any, Any],
        messages: Sequence[BaseMessage],
        *,
        config: RunnableConfig | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        bare, bound, configs = unwrapped(model)
        if not isinstance(bare, BaseChatModel):
            raise ConfigurationError(
                f"cannot sample {type(bare).__name__}: expected a chat model, with or without tools bound"
            )
        self._model = _local(bare)
        self._messages = messages
        self._kwargs = {**bound, **(kwargs or {})}
        self._config = merge_configs(config, *configs, SAMPLE_CONFIG)

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler` and `confroute.models.Model`."""
        way = self._draw(**settings)

        def one(i: int) -> Sample:
            return way.sample(way.seeded(i).invoke(way.messages, self._config, **way.kwargs))

        def several() -> list[Sample]:
            return way.samples(way.several(n).generate([way.messages], **self._traced(), **way.kwargs))

        return draw(n, one, several if way.takes_n else None, most=self._most)

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler` and `confroute.models.Model`."""
        way = self._draw(**settings)

        async def one(i: int) -> Sample:
            return way.sample(await way.seeded(i).ainvoke(way.messages, self._config, **way.kwargs))

        async def several() -> list[Sample]:
            result = await way.several(n).agenerate([way.messages], **self._traced(), **way.kwargs)
            return way.samples(result)

        return await adraw(n, one, several if way.takes_n else None, most=self._most)

    @property
    def _most(self) -> int:
        return self._config.get("max_concurrency") or MAX_CONCURRENCY

    def _draw(
        self,
        *,
        append: Sequence[Message] = (),
        temperature: float = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
        top_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> _Draw:
        fields = type(self._model).model_fields
        update = sampling_fields(
            fields,
            temperature=temperature,
            max_tokens=max_tokens,
            logprobs=logprobs,
            top_p=top_p,
            top_k=top_k,
        )
        unseen = {"cache": False, "disable_streaming": True} | (
            {"streaming": False} if "streaming" in fields else {}
        )
        copy = self._model.model_copy(update=update | unseen)
        if seed is None:
            seed = getattr(copy, "seed", None)
        kwargs = without_sampling(self._kwargs, max_tokens=max_tokens)
        return _Draw(copy, append_messages(self._messages, append), seed, kwargs)

    def _traced(self) -> dict[str, Any]:
        return {key: self._config.get(key) for key in ("callbacks", "tags", "metadata", "run_name")}


@dataclass(frozen=True, slots=True)
class _Draw:
    """How one request for samples is carried out."""

    model: BaseChatModel
    messages: list[BaseMessage]
    seed: int | None
    kwargs: dict[str, Any]

    @property
    def takes_n(self) -> bool:
        """Whether the model draws several answers in one request."""
        return "n" in type(self.model).model_fields and not getattr(self.model, "use_responses_api", False)

    def several(self, n: int) -> BaseChatModel:
        """Return the model that draws `n` samples in one request."""
        return _Several.of(self.seeded(0).model_copy(update={"n": n}))

    def seeded(self, i: int) -> BaseChatModel:
        """Return the model that draws one sample, with a seed of its own if there is one at all."""
        has_seed = self.seed is not None and "seed" in type(self.model).model_fields
        return self.model.model_copy(update={"seed": (self.seed or 0) + i} if has_seed else {})

    def samples(self, result: LLMResult) -> list[Sample]:
        generations = [g for g in result.generations[0] if isinstance(g, ChatGeneration)]
        samples = [self.sample(generation.message) for generation in generations]
        return share_usage(samples, total_usage([sample.usage for sample in samples]))

    def sample(self, message: BaseMessage) -> Sample:
        return to_sample(message, usage=priced_usage(message, self.model))


class _Several(BaseChatModel):
    """Draws several answers in one request, and mends how LangChain reports them.

    With ``n > 1`` LangChain leaves the model's name off the messages and repeats the whole request's usage
    on each of them. Here every message carries the name; the first carries the usage of the request, which
    is what usage handlers read, and the others carry zero.
    """

    inner: SkipValidation[BaseChatModel]

    @classmethod
    def of(cls, inner: BaseChatModel) -> _Several:
        return cls(
            inner=inner,
            cache=False,
            disable_streaming=True,
            rate_limiter=inner.rate_limiter,
            callbacks=inner.callbacks,
            tags=inner.tags,
            metadata=inner.metadata,
            output_version=inner.output_version,
            name=inner.get_name(),
        )

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return dict(self.inner._identifying_params)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.inner._get_ls_params(stop, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._mended(self.inner._generate(messages, stop=stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._mended(await self.inner._agenerate(messages, stop=stop, **kwargs))

    def _mended(self, result: ChatResult) -> ChatResult:
        told = result.llm_output or {}
        name = told.get("model_name") or told.get("model") or self._get_ls_params().get("ls_model_name")
        for i, generation in enumerate(result.generations):
            message = generation.message
            message.response_metadata = {"model_name": name, **message.response_metadata}
            if "logprobs" in (generation.generation_info or {}):
                message.response_metadata.setdefault(
                    "logprobs", (generation.generation_info or {})["logprobs"]
                )
            if i and isinstance(message, AIMessage) and message.usage_metadata is not None:
                message.usage_metadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        return result


def _local(model: BaseChatModel) -> BaseChatModel:
    """Replace a Hugging Face pipeline's chat model, which ignores every setting, by one that heeds them."""
    if type(model).__name__ == "ChatHuggingFace" and getattr(getattr(model, "llm", None), "pipeline", None):
        from langchain_confroute.huggingface import ChatLocalHuggingFace

        return ChatLocalHuggingFace.of(model)
    return model
