"""The GGUF model, as far as it goes without a model file: strings and token draws."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from confroute.errors import ConfigurationError, MissingExtraError
from confroute.labelling.gguf import load, pick

LOGITS = np.log(np.array([0.05, 0.4, 0.1, 0.3, 0.15], dtype=np.float32))


def draws(
    temperature: float = 1.0, top_p: float | None = None, top_k: int | None = None, n: int = 4000
) -> list[float]:
    rng = np.random.default_rng(1)
    found = [pick(LOGITS, rng, temperature=temperature, top_p=top_p, top_k=top_k) for _ in range(n)]
    return [found.count(token) / n for token in range(len(LOGITS))]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.05, 0.4, 0.1, 0.3, 0.15]),
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7, 0]),
        ({"top_p": 0.7}, [0, 4 / 7, 0, 3 / 7, 0]),
        ({"top_p": 0.71}, [0, 0.4 / 0.85, 0, 0.3 / 0.85, 0.15 / 0.85]),
        ({"top_k": 2, "top_p": 0.5}, [0, 1, 0, 0, 0]),
        ({"top_k": 99, "temperature": 0.5}, np.array([25, 1600, 100, 900, 225]) / 2850),
        ({"temperature": 0.0}, [0, 1, 0, 0, 0]),
    ],
)
def test_tokens_are_drawn_as_asked(settings: dict[str, Any], expected: list[float]) -> None:
    assert draws(**settings) == pytest.approx(list(expected), abs=0.025)


def test_one_seed_gives_one_token() -> None:
    chosen = {pick(LOGITS, np.random.default_rng(7), temperature=1, top_p=0.9, top_k=50) for _ in range(5)}
    assert len(chosen) == 1


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("gguf:/m.gguf#speed=3", "unknown option 'speed=3'"),
        ("gguf:/m.gguf#threads=0", "threads='0'"),
        ("gguf:/m.gguf#threads=1&context=big", "context='big'"),
        ("gguf:/m.gguf#stop=word", "stop='word'"),
    ],
)
def test_a_bad_option_is_named(spec: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load(spec)


def test_an_absent_file_or_package_is_named() -> None:
    installed = importlib.util.find_spec("llama_cpp") is not None
    with pytest.raises(
        ConfigurationError if installed else MissingExtraError, match="absent.gguf" if installed else "gguf"
    ):
        load("gguf:/absent.gguf")
