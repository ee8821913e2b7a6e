"""A local GGUF file as a model, through llama.cpp, with log-probabilities.

The start that all prompts share (the instruction) is evaluated once, the rest of a prompt once per question;
every further sample of the question rewinds the KV cache to the end of the prompt. What a call computes does
not depend on the calls before it, so one seed gives one answer.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from confroute.decision import Message, RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError, ModelError, require
from confroute.replies import answer_logprob

DEFAULT_MAX_TOKENS = 256
DEFAULT_CONTEXT = 2048
THREADS_VARIABLE = "CONFROUTE_GGUF_THREADS"
_BATCH = 512
_OPTIONS = "threads (a number), context (a number of tokens), stop (only 'line')"


def load(spec: str) -> GGUFModel:
    """Load the model of a string such as ``gguf:/models/qwen.gguf#threads=1&stop=line``.

    Options, after ``#`` and joined by ``&``: ``threads`` (default: the environment variable
    ``CONFROUTE_GGUF_THREADS``, else llama.cpp's own choice), ``context`` in tokens, and ``stop=line``,
    which ends an answer at its first line break.

    Args:
        spec: The string, with or without ``gguf:``.

    Returns:
        The loaded model.

    Raises:
        ConfigurationError: If the file is absent or an option is unknown.
        MissingExtraError: If llama-cpp-python is not installed.
        ModelError: If llama.cpp cannot read the file.
    """
    path, _, fragment = spec.removeprefix("gguf:").partition("#")
    options: dict[str, str] = {}
    for part in filter(None, fragment.split("&")):
        key, equals, value = part.partition("=")
        if not equals or key not in ("threads", "context", "stop"):
            raise ConfigurationError(f"unknown option {part!r} in {spec!r}: expected {_OPTIONS}")
        options[key] = value
    if options.get("stop", "line") != "line":
        raise ConfigurationError(f"stop={options['stop']!r} in {spec!r}: expected {_OPTIONS}")
    threads = options.get("threads") or os.environ.get(THREADS_VARIABLE)
    return GGUFModel(
        Path(path).expanduser(),
        threads=_number(threads, "threads", spec) if threads else None,
        context=_number(options.get("context", str(DEFAULT_CONTEXT)), "context", spec),
        one_line="stop" in options,
    )


def _number(text: str, option: str, spec: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ConfigurationError(f"{option}={text!r} for {spec!r}: expected a whole number from 1")
    return int(text)


class GGUFModel:
    """One GGUF file, as `confroute.models.Model`.

    Prompts follow the chat template in the file's own metadata. Log-probabilities are those of the model's
    full distribution, before temperature, top-k and top-p, and count the token that ends the answer.

    Args:
        path: The GGUF file.
        threads: Threads of llama.cpp; its own choice if None.
        context: Longest prompt and answer together, in tokens.
        one_line: Whether an answer ends at its first line break.
    """

    max_concurrency = 1

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        context: int = DEFAULT_CONTEXT,
        one_line: bool = False,
    ) -> None:
        require("llama_cpp", extra="gguf", purpose="A GGUF model")
        if not path.is_file():
            raise ConfigurationError(f"no GGUF file at {path}: expected 'gguf:/path/to/model.gguf'")
        import llama_cpp
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self.name = path.stem
        self.one_line = one_line
        self._lock = threading.Lock()
        self._llama_cpp: Any = llama_cpp
        try:
            self._llm = llama_cpp.Llama(
                str(path),
                n_ctx=context,
                n_batch=_BATCH,
                n_threads=threads,
                n_threads_batch=threads,
                verbose=False,
            )
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"llama.cpp cannot read {path}: {error}. Expected a complete GGUF file"
            ) from error
        template = self._llm.metadata.get("tokenizer.chat_template")
        if template is None:
            raise ModelError(
                f"{path} has no chat template in its metadata (tokenizer.chat_template); "
                "expected an instruction-tuned model"
            )
        bos = self._llm._model.token_get_text(max(self._llm.token_bos(), 0))
        eos = self._llm._model.token_get_text(self._llm.token_eos())
        self._formatter = Jinja2ChatFormatter(template, eos_token=eos, bos_token=bos)
        self._n_vocab = self._llm.n_vocab()
        self._context = context
        self._prompt: list[int] = []
        self._prefix: list[int] = []
        self._first: NDArray[np.float32] | None = None

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
        """Draw `n` answers one after another; draw i is seeded with ``seed + i``.

        A file has no temperature of its own, so that None is greedy.

        Raises:
            ConfigurationError: If the prompt does not fit into the context.
        """
        longest = max_tokens or DEFAULT_MAX_TOKENS
        with self._lock:
            first = self._evaluate([*request.messages, *append])
            n_prompt = len(self._prompt)
            if n_prompt + longest > self._context:
                raise ConfigurationError(
                    f"prompt of {n_prompt} tokens and answer of up to {longest} exceed the context of "
                    f"{self._context} tokens of {self.name}; raise it with '#context=...'"
                )
            samples = []
            for i in range(n):
                rng = np.random.default_rng(None if seed is None else seed + i)
                self._rewind(n_prompt)
                tokens, logprobs_told = self._generate(first, rng, longest, temperature or 0.0, top_p, top_k)
                text = self._text(tokens).strip()
                logprob, n_tokens = answer_logprob(self._told(tokens, logprobs_told), text)
                samples.append(
                    Sample(
                        text=text,
                        logprob=logprob,
                        n_tokens=n_tokens,
                        usage=Usage(input_tokens=n_prompt, output_tokens=len(tokens)),
                        model=self.name,
                    )
                )
            return samples

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
        """Draw `n` answers in a thread, one call at a time."""
        return await asyncio.to_thread(
            self.sample,
            request,
            n,
            append=append,
            temperature=temperature,
            max_tokens=max_tokens,
            logprobs=logprobs,
            top_p=top_p,
            top_k=top_k,
            seed=seed,
        )

    def _evaluate(self, messages: Sequence[Message]) -> NDArray[np.float32]:
        """Bring the KV cache to the end of the prompt; return the logits there, shape [vocabulary]."""
        prompt = self._tokens(messages)
        if prompt == self._prompt and self._first is not None:
            return self._first
        if len(prompt) >= self._context:
            raise ConfigurationError(
                f"prompt of {len(prompt)} tokens exceeds the context of {self._context} tokens of "
                f"{self.name}; raise it with '#context=...'"
            )
        prefix = self._shared_start(messages, prompt)
        self._first = None
        if prefix != self._prefix:
            self._rewind(0)
            self._prefix = []
            self._llm.eval(prefix)
            self._prefix = prefix
        self._rewind(len(prefix))
        self._llm.eval(prompt[len(prefix) :])
        self._prompt, self._first = prompt, self._logits()
        return self._first

    def _shared_start(self, messages: Sequence[Message], prompt: list[int]) -> list[int]:
        """Tokens before the last turn's text: the same for every question under one instruction."""
        *before, last = messages
        others = (self._tokens([*before, Message(last.role, text)]) for text in ("0", "?"))
        shared = takewhile(lambda tokens: len(set(tokens)) == 1, zip(prompt[:-1], *others, strict=False))
        return [token for token, *_ in shared]

    def _tokens(self, messages: Sequence[Message]) -> list[int]:
        turns: Any = [{"role": message.role, "content": message.text} for message in messages]
        text = self._formatter(messages=turns).prompt
        tokens: list[int] = self._llm.tokenize(text.encode(), add_bos=False, special=True)
        return tokens

    def _rewind(self, n_tokens: int) -> None:
        self._llm._ctx.kv_cache_seq_rm(-1, n_tokens, -1)
        self._llm.n_tokens = n_tokens

    def _logits(self) -> NDArray[np.float32]:
        pointer = self._llama_cpp.llama_get_logits_ith(self._llm._ctx.ctx, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,)).copy()

    def _generate(
        self,
        logits: NDArray[np.float32],
        rng: np.random.Generator,
        max_tokens: int,
        temperature: float,
        top_p: float | None,
        top_k: int | None,
    ) -> tuple[list[int], list[float]]:
        tokens: list[int] = []
        logprobs: list[float] = []
        while True:
            token = pick(logits, rng, temperature=temperature, top_p=top_p, top_k=top_k)
            peak = logits.max()
            log_sum = float(np.log(np.exp(logits - peak).sum(dtype=np.float64)))
            logprobs.append(float(logits[token] - peak) - log_sum)
            tokens.append(token)
            if len(tokens) == max_tokens or self._ends(tokens):
                return tokens, logprobs
            self._llm.eval([token])
            logits = self._logits()

    def _told(self, tokens: list[int], logprobs: list[float]) -> list[dict[str, Any]]:
        """Describe tokens as providers do."""
        spelled = [list(self._llm.detokenize([token])) for token in tokens]
        return [{"bytes": b, "logprob": p} for b, p in zip(spelled, logprobs, strict=True)]

    def _ends(self, tokens: list[int]) -> bool:
        if self._llama_cpp.llama_vocab_is_eog(self._llm._model.vocab, tokens[-1]):
            return True
        return self.one_line and "\n" in self._raw_text(tokens).lstrip()

    def _text(self, tokens: list[int]) -> str:
        text = self._raw_text(tokens).strip()
        return text.split("\n", 1)[0] if self.one_line else text

    def _raw_text(self, tokens: list[int]) -> str:
        data: bytes = self._llm.detokenize(tokens)
        return data.decode("utf-8", "ignore")


def pick(
    logits: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    temperature: float,
    top_p: float | None,
    top_k: int | None,
) -> int:
    """Draw one token: temperature, then top-k, then top-p within it, as Hugging Face orders them.

    Args:
        logits: Float array of shape [vocabulary].
        rng: Source of chance; not touched at temperature 0.
        temperature: 0 takes the likeliest token.
        top_p: Smallest set of likeliest tokens that reaches this mass; None for all.
        top_k: Number of likeliest tokens; None for all.

    Returns:
        The token.
    """
    if temperature == 0:
        return int(logits.argmax())
    k = min(top_k or len(logits), len(logits))
    top = np.argpartition(logits, -k)[-k:] if k < len(logits) else np.arange(len(logits))
    top = top[np.lexsort((top, -logits[top]))]
    scaled = logits[top].astype(np.float64) / temperature
    mass = np.exp(scaled - scaled[0])
    mass /= mass.sum()
    if top_p is not None and top_p < 1:
        mass = mass[: int(np.searchsorted(np.cumsum(mass), top_p)) + 1]
        mass /= mass.sum()
    return int(top[min(int(np.searchsorted(np.cumsum(mass), rng.random(), side="right")), len(mass) - 1)])
