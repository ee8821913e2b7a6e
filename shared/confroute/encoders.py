"""Sentence encoders: texts in, unit vectors out. torch is imported at the first text, not before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from confroute.errors import ModelError, require

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors.

    Attributes:
        name: Name of the encoder; a saved router keeps it and loads the encoder by it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - documented on the class

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector a text, float32 array of shape [n, d]."""
        ...


class SentenceEncoder:
    """A sentence-transformers model, loaded at its first use. Its vectors have length one.

    Of a text longer than the model's window (256 tokens for all-MiniLM-L6-v2) the beginning is cut and the
    end is read, since the question proper stands at the end of a prompt. Texts that fit are read whole.

    Args:
        model: Name on the hub, or a folder.
        name: What saved routers call it; `model` by default. Set it where a folder holds a model that
            others get by name.
        batch_size: Texts in one forward pass.
        device: Torch device; the best available by default.

    Raises:
        MissingExtraError: At the first use, if sentence-transformers is not installed.
        ModelError: At the first use, if the model cannot be loaded.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_ENCODER,
        *,
        name: str | None = None,
        batch_size: int = 128,
        device: str | None = None,
    ) -> None:
        self.model = str(model)
        self.name = name if name is not None else self.model
        self.batch_size = batch_size
        self.device = device
        self._lock = threading.Lock()
        self._loaded: SentenceTransformer | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length one a text, float32 array of shape [n, d]."""
        with self._lock:  # tokenizers refuse to be used from two threads at once
            vectors: NDArray[np.float32] = self._load().encode(
                list(texts),
                batch_size=self.batch_size,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)

    def _load(self) -> SentenceTransformer:
        if self._loaded is None:
            require("sentence_transformers", extra="embeddings", purpose=f"The encoder {self.name!r}")
            from sentence_transformers import SentenceTransformer

            try:
                loaded = SentenceTransformer(self.model, device=self.device)
            except (OSError, ValueError) as error:
                raise ModelError(
                    f"cannot load the encoder {self.model!r}: {error}. Expected a folder with a "
                    "sentence-transformers model, or the name of one on a hub that this machine reaches"
                ) from error
            tokenizer: Any = getattr(loaded, "tokenizer", None)
            if hasattr(tokenizer, "truncation_side"):  # models of static vectors have no window to cut to
                tokenizer.truncation_side = "left"
            self._loaded = loaded
        return self._loaded


def default_encoder() -> SentenceEncoder:
    """Return the encoder that routers use unless told otherwise: all-MiniLM-L6-v2, 384 dimensions."""
    return SentenceEncoder()
