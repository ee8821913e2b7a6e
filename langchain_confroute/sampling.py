"""Drawing samples from a LangChain chat model, so that they are real, seen once and never shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from pydantic import SkipValidation

from confroute.choices import counted_alone, share_usage
from confroute.decision import Message, RouteRequest, Sample, Usage, total_usage
from confroute.errors import ConfigurationError
from confroute.execution.limits import sampling_fields, without_sampling
from confroute.sampling import MAX_CONCURRENCY, Drawing, Numbers, adraw, draw
from confroute.schemas import unasked, without_schema
from confroute.wishes import Ask
from langchain_confroute._messages import append as append_messages
from langchain_confroute._messages import is_cut, to_sample
from langchain_confroute._usage import priced_usage, unwrapped

SAMPLE_TAG = "confroute:sample"
"""Tag of every run that draws a sample, for ``exclude_tags``."""

_NOSTREAM_TAG = "nostream"  # LangGraph leaves runs with this tag out of its token stream
SAMPLE_CONFIG: RunnableConfig = {"tags": [_NOSTREAM_TAG, SAMPLE_TAG], "run_name": "confroute_sample"}


class LangChainSampler:
    """A handle on one chat model, with the messages, tools and run of one call.

    Samples come from a copy of the model that has no cache, since a cache would answer all of them with the
    first, and another seed for each, since a fixed one would do the same; later batches of one handle go on
    where the seeds of earlier ones ended. One request draws them all where the model takes ``n``; a bounded
    parallel batch draws whatever is missing after it.

    Args:
        model: The model, with or without tools bound.
        messages: The conversation in full: images and tool history stay in it.
        config: The run under which the samples are traced.
        kwargs: Further arguments of the call, such as ``stop`` or ``tools``.

    Attributes:
        config: The run of each sample.

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
        self._asked = bare
        self._messages = messages
        self._kwargs = {**bound, **(kwargs or {})}
        self._model = _local(bare, self._kwargs)
        self.config = merge_configs(config, *configs, SAMPLE_CONFIG)
        self._numbers = Numbers()

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler` and `confroute.models.Model`."""
        drawing, way = self._draw(n, **settings)

        def send(ask: Ask) -> list[Sample]:
            model, kwargs = way.ready(ask)
            if ask.n > 1:
                return way.samples(model.generate([way.messages], **self._traced(), **kwargs))
            return [way.sample(model.invoke(way.messages, self.config, **kwargs))]

        return draw(drawing, send, most=self._most)

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Draw `n` answers; see `confroute.decision.Sampler` and `confroute.models.Model`."""
        drawing, way = self._draw(n, **settings)

        async def send(ask: Ask) -> list[Sample]:
            model, kwargs = way.ready(ask)
            if ask.n > 1:
                return way.samples(await model.agenerate([way.messages], **self._traced(), **kwargs))
            return [way.sample(await model.ainvoke(way.messages, self.config, **kwargs))]

        return await adraw(drawing, send, most=self._most)

    @property
    def _most(self) -> int:
        return self.config.get("max_concurrency") or MAX_CONCURRENCY

    def _draw(
        self,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float | None = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
        top_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> tuple[Drawing, _Draw]:
        fields = type(self._model).model_fields
        takes = {*fields, *self._kwargs, *(self._kwargs.get("options") or ())}
        drawing = Drawing.of(
            self._asked,
            n,
            is_cut,
            self._numbers,
            _own_settings(self._asked, self._kwargs),
            at_once="n" in fields and not getattr(self._model, "use_responses_api", False),
            has_switch=any(kind.__name__ == "ChatOllama" for kind in type(self._model).__mro__),
            logprobs=logprobs and "logprobs" in fields,
            temperature=temperature,
            takes_temperature="temperature" in takes,
            max_tokens=max_tokens,
            seed=seed,
        )
        way = _Draw(
            self._model.model_copy(update=unasked(self._model)) if append else self._model,
            append_messages(self._messages, append),
            without_schema(self._kwargs) if append else self._kwargs,
            top_p=top_p,
            top_k=top_k,
        )
        return drawing, way

    def _traced(self) -> dict[str, Any]:
        return {key: self.config.get(key) for key in ("callbacks", "tags", "metadata", "run_name")}


@dataclass(frozen=True, slots=True)
class _Draw:
    """How requests for samples are carried out."""

    model: BaseChatModel
    messages: list[BaseMessage]
    kwargs: dict[str, Any]
    top_p: float | None
    top_k: int | None

    def ready(self, ask: Ask) -> tuple[BaseChatModel, dict[str, Any]]:
        """Return the copy of the model that answers a request, and the arguments of its call."""
        fields = type(self.model).model_fields
        update = sampling_fields(
            fields,
            temperature=ask.temperature,
            max_tokens=ask.max_tokens,
            logprobs=ask.logprobs,
            top_p=self.top_p,
            top_k=self.top_k,
        )
        kwargs = without_sampling(self.kwargs, temperature=ask.temperature, max_tokens=ask.max_tokens)
        if ask.temperature is not None and "temperature" not in fields:
            kwargs["temperature"] = ask.temperature
        update |= {"cache": False, "disable_streaming": True}
        if "streaming" in fields:
            update["streaming"] = False
        if "n" in fields and (ask.n > 1 or getattr(self.model, "n", None) is not None):
            update["n"] = ask.n
        if not ask.thinks:
            kwargs.pop("reasoning", None)
            update["reasoning"] = False
        if ask.seed is not None and "seed" in fields:
            update["seed"] = ask.seed
        elif ask.seed is not None and "seed" in self.kwargs:
            kwargs["seed"] = ask.seed
        if isinstance(options := kwargs.get("options"), dict):  # Ollama's, which take the place of its fields
            kwargs["options"] = options | {name: update[name] for name in _OPTIONS if name in update}
        copy = self.model.model_copy(update=update)
        return (_Several.of(copy) if ask.n > 1 else copy), kwargs

    def samples(self, result: LLMResult) -> list[Sample]:
        """Describe all choices of one request, each with its own part of what the request used.

        The reply object of each tells its usage as if it had been drawn alone: the prompt and its own
        tokens.
        """
        generations = [g for g in result.generations[0] if isinstance(g, ChatGeneration)]
        samples = [self.sample(generation.message) for generation in generations]
        whole = total_usage([sample.usage for sample in samples])
        samples = share_usage(samples, whole)
        return [replace(sample, raw=_alone(sample.raw, sample.usage, whole)) for sample in samples]

    def sample(self, message: BaseMessage) -> Sample:
        """Describe a reply."""
        return to_sample(message, usage=priced_usage(message, self.model))


_OPTIONS = ("temperature", "num_predict", "seed", "top_p", "top_k")


def _own_settings(model: BaseChatModel, kwargs: dict[str, Any]) -> list[Mapping[str, Any]]:
    """Return where the user's settings may stand: in what is bound, on the model, or for its pipeline."""
    own = {"seed", *model.model_fields_set}  # a seed is fixed, whoever has set it
    pipeline = getattr(getattr(model, "llm", None), "pipeline_kwargs", None)
    fields = {name: value for name, value in vars(model).items() if name in own}
    nested = (kwargs.get("options"), kwargs.get("pipeline_kwargs"), fields, pipeline)
    return [kwargs, *(place for place in nested if isinstance(place, Mapping))]


def _alone(message: BaseMessage, own: Usage | None, whole: Usage) -> BaseMessage:
    """Return a choice with the usage that it would have had alone, since it may be handed out."""
    counts = counted_alone(own, whole)
    if not isinstance(message, AIMessage) or counts is None:
        return message
    read, written, total = counts.values()
    counted = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=total)
    told = dict(message.response_metadata)
    if "token_usage" in told:
        told["token_usage"] = counts
    return message.model_copy(update={"usage_metadata": counted, "response_metadata": told})


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
        told = dict(result.llm_output or {})
        name = told.get("model_name") or told.get("model") or self._get_ls_params().get("ls_model_name")
        for i, generation in enumerate(result.generations):
            message = generation.message
            message.response_metadata = {**told, "model_name": name, **message.response_metadata}
            if "logprobs" in (generation.generation_info or {}):
                message.response_metadata.setdefault(
                    "logprobs", (generation.generation_info or {})["logprobs"]
                )
            if i and isinstance(message, AIMessage) and message.usage_metadata is not None:
                message.usage_metadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        return result


def _local(model: BaseChatModel, kwargs: dict[str, Any]) -> BaseChatModel:
    """Replace a Hugging Face pipeline's chat model, which ignores every setting, by one that heeds them."""
    if type(model).__name__ == "ChatHuggingFace" and getattr(getattr(model, "llm", None), "pipeline", None):
        from langchain_confroute.huggingface import ChatLocalHuggingFace

        return ChatLocalHuggingFace.of(model, **(kwargs.get("pipeline_kwargs") or {}))
    return model
