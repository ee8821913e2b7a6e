"""A Hugging Face model in this process, through LangChain's own integration, with its settings heeded.

`langchain_huggingface.ChatHuggingFace` over a local pipeline ignores temperature, ``n``, seed and length, and
reports neither usage nor log-probabilities; this subclass does all of that with one batched ``generate``.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline

from confroute.answers import answer_begins
from confroute.errors import ModelError

_DEFAULT_MAX_TOKENS = 256
_PIPELINE_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_new_tokens",
}
_GENERATING = threading.Lock()  # seeds are global in torch, and two generations at once only slow each other


class ChatLocalHuggingFace(ChatHuggingFace):
    """`ChatHuggingFace` over a local text-generation pipeline.

    Heeds `temperature` (None and 0 are greedy), `top_p`, `top_k`, `max_tokens`, `seed`, `n` and `logprobs`,
    and reports usage and the model's name; what is unset is as the checkpoint's generation config has it.
    Tools are not offered to the model, and its profile says so. Needs the extra ``demo``.
    """

    top_k: int | None = None

    @classmethod
    def of(cls, model: BaseChatModel, **settings: Any) -> ChatLocalHuggingFace:
        """Make one from a `ChatHuggingFace` over a pipeline.

        Args:
            model: The chat model.
            **settings: Settings of its pipeline that come before those which the pipeline was made with.
        """
        shared = {name: getattr(model, name) for name in ChatHuggingFace.model_fields}
        own = {**(shared["llm"].pipeline_kwargs or {}), **settings}
        for name, theirs in _PIPELINE_SETTINGS.items():
            if shared.get(name) is None and own.get(theirs) is not None:
                shared[name] = own[theirs]
        return cls(**shared)

    @classmethod
    def load(cls, model: str | Path, **settings: Any) -> ChatLocalHuggingFace:
        """Load a causal language model with a chat template.

        Args:
            model: A folder, or a name on a hub that this machine reaches.
            **settings: Fields of the chat model, such as ``max_tokens=64``.

        Raises:
            ModelError: If it cannot be loaded.
        """
        try:
            llm = HuggingFacePipeline.from_model_id(str(model), task="text-generation")
        except (OSError, ValueError) as error:
            raise ModelError(
                f"cannot load the model {str(model)!r}: {error}. Expected a folder with a causal language "
                "model, or the name of one on a hub that this machine reaches"
            ) from error
        settings.setdefault("profile", {"tool_calling": False})
        return cls(llm=llm, tokenizer=llm.pipeline.tokenizer, model_id=str(model), **settings)

    @property
    def _model_name(self) -> str:
        return Path(self.model_id or self.llm.model_id).name

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {
            **super()._get_ls_params(stop, **kwargs),
            "ls_provider": "huggingface",
            "ls_model_name": self._model_name,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt = self._prompt(messages)
        n_prompt = prompt["input_ids"].shape[1]
        output = self._run(prompt, self._generation_settings(stop))
        sequences = [self._until_end(tokens) for tokens in output.sequences[:, n_prompt:].tolist()]
        usage = _usage(n_prompt, sum(map(len, sequences)))  # of the whole request, on every message
        generations = []
        for i, tokens in enumerate(sequences):
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
            message = AIMessage(
                _before(text, stop).strip(),
                usage_metadata=usage,
                response_metadata={"model_name": self._model_name},
            )
            if self.logprobs:
                steps = [logits[i].float().log_softmax(-1) for logits in output.logits[: len(tokens)]]
                chosen = [float(step[token]) for step, token in zip(steps, tokens, strict=True)]
                spelled = self._spelled(tokens) if answer_begins(text) else self._in_vocabulary(tokens)
                told = [{"token": t, "logprob": p} for t, p in zip(spelled, chosen, strict=True)]
                message.response_metadata["logprobs"] = {"content": told}
            generations.append(ChatGeneration(message=message))
        return ChatResult(generations=generations, llm_output={"model_name": self._model_name})

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await asyncio.to_thread(self._generate, messages, stop, None, **kwargs)

    def _prompt(self, messages: list[BaseMessage]) -> Any:
        text = self._to_chat_prompt(messages)
        prompt = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        return prompt.to(self.llm.pipeline.model.device)

    def _run(self, prompt: Any, settings: dict[str, Any]) -> Any:
        import torch

        model, n = self.llm.pipeline.model, settings["num_return_sequences"]
        with _GENERATING, torch.inference_mode():
            if n > 1:
                settings |= {"num_return_sequences": 1, **_read_once(model, prompt, n)}
                prompt = {name: value.repeat(n, 1) for name, value in prompt.items()}
            if self.seed is not None:
                torch.manual_seed(self.seed)
            return model.generate(**prompt, **settings)

    def _generation_settings(self, stop: list[str] | None) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "max_new_tokens": self.max_tokens or _DEFAULT_MAX_TOKENS,
            "do_sample": bool(self.temperature),
            "num_return_sequences": self.n or 1,
            "return_dict_in_generate": True,
            "output_logits": bool(self.logprobs),
        }
        if self.temperature:
            settings |= {
                "temperature": self.temperature,
                "top_p": self.top_p or 1.0,
                "top_k": self.top_k or 0,
            }
        if stop:
            settings |= {"stop_strings": stop, "tokenizer": self.tokenizer}
        return settings

    def _until_end(self, tokens: list[int]) -> list[int]:
        """Cut after the end token; what follows it is padding."""
        ends = self.llm.pipeline.model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        for i, token in enumerate(tokens):
            if token in ends:
                return tokens[: i + 1]
        return tokens

    def _in_vocabulary(self, tokens: list[int]) -> list[str]:
        names: list[str] = self.tokenizer.convert_ids_to_tokens(tokens)
        return names

    def _spelled(self, tokens: list[int]) -> list[str]:
        """Return what each token adds to the text; one character of several tokens is told of the first.

        A token alone may lose the space before it or be part of a character, so that each is decoded behind
        the last ones before it that have added to the text.
        """
        added = [""] * len(tokens)
        before = after = 0  # the tokens between are complete, and have added to the text last
        first = 0  # of the tokens that are yet to be told
        for end in range(1, len(tokens) + 1):
            known = self.tokenizer.decode(tokens[before:after], skip_special_tokens=True)
            read = self.tokenizer.decode(tokens[before:end], skip_special_tokens=True)
            if read.endswith("�") and end < len(tokens):
                continue
            if len(read) > len(known):
                added[first] = read[len(known) :]
                before, after = after, end
            first = end
        return added

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        prompt = self._prompt(messages)
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        closed = threading.Event()
        settings = {**self._generation_settings(stop), "num_return_sequences": 1, "output_logits": False}
        settings["streamer"] = streamer
        settings["stopping_criteria"] = StoppingCriteriaList([lambda ids, scores, **_: closed.is_set()])
        with ThreadPoolExecutor(1) as worker:
            generated = worker.submit(self._run, prompt, settings)
            generated.add_done_callback(lambda _: streamer.on_finalized_text("", stream_end=True))
            try:
                for text in streamer:
                    chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
                    if run_manager:
                        run_manager.on_llm_new_token(text, chunk=chunk)
                    yield chunk
            finally:
                closed.set()
            n_prompt = prompt["input_ids"].shape[1]
            n_output = len(self._until_end(generated.result().sequences[0, n_prompt:].tolist()))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=_usage(n_prompt, n_output),
                response_metadata={"model_name": self._model_name},
                chunk_position="last",
            )
        )

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self._stream(messages, stop, None, **kwargs)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _read_once(model: Any, prompt: Any, n: int) -> dict[str, Any]:
    """Read a prompt once for n answers, but for its last token, and return its cache."""
    from transformers import DynamicCache

    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    cache = DynamicCache(config=model.config)
    model(prompt["input_ids"][:, :-1], use_cache=True, logits_to_keep=1, **{name: cache})
    cache.batch_repeat_interleave(n)
    return {name: cache}


def _usage(n_prompt: int, n_output: int) -> UsageMetadata:
    return {"input_tokens": n_prompt, "output_tokens": n_output, "total_tokens": n_prompt + n_output}


def _before(text: str, stop: list[str] | None) -> str:
    """Cut the text before the first stop string."""
    for end in stop or []:
        text = text.split(end, 1)[0]
    return text
