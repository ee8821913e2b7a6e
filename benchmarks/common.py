"""What the benchmarks share: reading lines of JSON, embeddings kept on disk, tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from confroute.encoders import Encoder


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:  # str.splitlines would split at U+2028 within a text
        return [json.loads(line) for line in lines if line.strip()]


def embed(encoder: Encoder, texts: Sequence[str], cache: Path | None) -> NDArray[np.float32]:
    """Encode texts, or read what was encoded before: the file is named after encoder and texts."""
    if cache is None:
        return encoder.encode(texts)
    key = hashlib.sha256("\0".join([encoder.name, *texts]).encode()).hexdigest()[:16]
    path = cache / f"embeddings-{key}.npy"
    if path.exists():
        loaded: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return loaded
    vectors = encoder.encode(texts)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
