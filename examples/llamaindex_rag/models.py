"""LlamaIndex LLMs by the same strings as everywhere in confroute."""

from __future__ import annotations

import os
from urllib.parse import urldefrag

from llama_index.core.llms import LLM
from llama_index.llms.huggingface import HuggingFaceLLM
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai_like import OpenAILike

from confroute.errors import ConfigurationError
from langchain_confroute.demo.smollm2 import model_path

_TIMEOUT = 300.0  # seconds; a small machine may take its time


def llm(spec: str, *, max_tokens: int) -> LLM:
    """Make an LLM of a string.

    Args:
        spec: ``ollama:MODEL``, ``openai:MODEL``, ``URL#MODEL`` of an OpenAI-compatible server, or
            ``local:FOLDER``, a Hugging Face model run in this process (``local:smollm2`` is the demo's).
        max_tokens: Longest reply.

    Raises:
        ConfigurationError: If the string is none of these.
    """
    provider, _, name = spec.partition(":")
    if provider in ("http", "https"):
        url, model = urldefrag(spec)
        if not model:
            raise ConfigurationError(f"{spec!r} names no model: expected it after '#', as in {url}#MODEL")
        key = os.environ.get("OPENAI_API_KEY", "none")  # servers on this machine ask for one and ignore it
        return OpenAILike(
            model=model,
            api_base=url,
            api_key=key,
            is_chat_model=True,
            max_tokens=max_tokens,
            timeout=_TIMEOUT,
        )
    if provider == "ollama":
        return Ollama(model=name, request_timeout=_TIMEOUT, additional_kwargs={"num_predict": max_tokens})
    if provider == "openai":
        return OpenAI(model=name)
    if provider == "local":
        folder = model_path() if name == "smollm2" else name
        return HuggingFaceLLM(
            model_name=folder,
            tokenizer_name=folder,
            context_window=2048,
            max_new_tokens=max_tokens,
            generate_kwargs={"do_sample": False},
            device_map="cpu",
        )
    raise ConfigurationError(
        f"cannot read the model {spec!r}: expected ollama:MODEL, openai:MODEL, URL#MODEL or local:FOLDER"
    )
