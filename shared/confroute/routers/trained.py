"""The paper's router: one embedding and one product decide, before anything is generated."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from confroute._version import __version__
from confroute.decision import Decided, RouteDecision, RouteRequest, RouterInfo, Sampler, clip_score
from confroute.encoders import Encoder, SentenceEncoder, default_encoder
from confroute.errors import ConfigurationError
from confroute.heads import Head, restore_head
from confroute.heads.storage import (
    CHECK_ARRAY,
    ENCODER_CHECK,
    Pair,
    RouterFile,
    question_digest,
    read_folder,
    write_folder,
)
from confroute.routers.threshold import (
    DEFAULT_THRESHOLD,
    CloudShare,
    Threshold,
    check_threshold,
    note_score,
    threshold_at,
)

FloatArray = NDArray[np.float64]

_VERSION = "1"
_SAME_ENCODER = 0.999


class TrainedRouter:
    """Sends a question to the cloud when similar questions needed it in training.

    It belongs to the pair of models that its labels came from, and its threshold to its head and encoder.

    Args:
        head: A head of `confroute.heads`, fitted or not.
        encoder: Turns questions into vectors; all-MiniLM-L6-v2 by default.
        threshold: The cloud answers where ``score >= threshold``: a number, a mapping from scale to number,
            or a `CloudShare`.
        pair: The models that the labels came from.
        card: The model card, Markdown.

    Attributes:
        head: The head.
        encoder: The encoder.
        threshold: The threshold.
        pair: The pair, or None where unknown.
        card: The card; empty where there is none.
        trained_on: Digests of the questions that it was trained on; empty where unknown.

    Raises:
        ConfigurationError: If the threshold is none.
    """

    def __init__(
        self,
        *,
        head: Head,
        encoder: Encoder | None = None,
        threshold: Threshold = DEFAULT_THRESHOLD,
        pair: Pair | None = None,
        card: str = "",
    ) -> None:
        self.head = head
        self.encoder: Encoder = encoder if encoder is not None else default_encoder()
        self.threshold: Threshold = check_threshold(threshold, "trained-.+", self.scale)
        self.pair = pair
        self.card = card
        self.trained_on: frozenset[str] = frozenset()
        self._unchecked: NDArray[np.float32] | None = None

    def fit(self, queries: Sequence[str], labels: Sequence[str] | ArrayLike) -> Self:
        """Encode the questions and fit the head.

        Args:
            queries: n questions.
            labels: ``edge``, ``cloud`` or ``tie``, or the cloud's win rates in [0, 1]; shape [n].

        Returns:
            The router itself.

        Raises:
            ConfigurationError: If there are no questions, or labels do not fit them.
            MissingExtraError: If a package for encoding or training is not installed.
        """
        if not len(queries):
            raise ConfigurationError("there are no questions to fit on: expected at least one")
        self.head.fit(self.encoder.encode(list(queries)), labels)
        self._unchecked = None
        self.trained_on = frozenset(map(question_digest, queries))
        return self

    def check_edge(self, edge_model: str) -> None:
        """Warn where the router was trained on another edge model; every face does so when it is made.

        Args:
            edge_model: Name of the edge model at hand.

        Warns:
            UserWarning: If the edge at hand is another model than the one that the labels came from.
        """
        trained_on = self.pair.edge if self.pair else ""
        if trained_on and not same_model(edge_model, trained_on):
            warnings.warn(
                f"this router was trained on the doubts of {trained_on!r}, the edge at hand is "
                f"{edge_model!r}: its scores may say little about it. Label and train with your own pair, or "
                "use EntropyRouter, which needs no training",
                UserWarning,
                stacklevel=3,
            )

    def score(self, queries: Sequence[str]) -> FloatArray:
        """Return how much each question needs the cloud, float array of shape [n] in [0, 1].

        Raises:
            ConfigurationError: If the head is not fitted, or the encoder is not the one it was fitted with.
        """
        if isinstance(queries, str):
            raise ConfigurationError("score() takes a list of questions: expected [question], got a string")
        if not len(queries):
            return np.zeros(0)
        self._check_encoder()
        return self.score_embeddings(self.encoder.encode(list(queries)))

    def score_embeddings(self, embeddings: ArrayLike) -> FloatArray:
        """Score questions that are encoded already; needs neither torch nor the encoder.

        Args:
            embeddings: Shape [n, d], from the encoder that the head was fitted with.

        Returns:
            Float array of shape [n] in [0, 1].

        Raises:
            ConfigurationError: If the head is not fitted or the embeddings have another length.
        """
        return self.head.score(embeddings)

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Score the request's query and decide; draws no samples.

        Raises:
            ConfigurationError: If the head is not fitted, or the encoder is not the one it was fitted with.
            ModelError: If the encoder cannot be loaded.
        """
        score = clip_score(self.score([request.query])[0])
        router = RouterInfo(name=self.scale, version=_VERSION)
        standing = self.threshold_of(router.name)
        note_score(self.threshold, router.name, score, score)
        needed = score >= standing
        sign, verdict = (">=", "the cloud is needed") if needed else ("<", "the edge is enough")
        return Decided(
            RouteDecision(
                route="cloud" if needed else "edge",
                score=score,
                threshold=standing,
                method="trained",
                reason=f"similar questions score {score:.2f} {sign} {standing:.2f}, {verdict}",
                private=request.private,
                router=router,
            )
        )

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Decide in a thread, so that encoding does not hold up the event loop; see `decide`."""
        return await asyncio.to_thread(self.decide, request, sampler)

    def save(self, folder: str | Path) -> None:
        """Write the router: safetensors, JSON and the card, all or nothing.

        The encoder is kept by name, with its embedding of one fixed text, by which another one is noticed.

        Args:
            folder: Where; an earlier router there is replaced.

        Raises:
            ConfigurationError: If the head is not fitted, the threshold is a `CloudShare`, or the folder
                holds something else.
        """
        if isinstance(self.threshold, CloudShare):
            raise ConfigurationError(
                f"the threshold is {self.threshold!r}, which belongs to the questions at hand: expected a "
                "number in a saved router. Set router.threshold to one before saving, and to a CloudShare "
                "after loading"
            )
        arrays = dict(self.head.arrays)
        known = self._unchecked if self._unchecked is not None else self.encoder.encode([ENCODER_CHECK])[0]
        arrays[CHECK_ARRAY] = np.asarray(known, dtype=np.float32)
        config = RouterFile(
            head=self.head.name,
            params=self.head.params,
            encoder=self.encoder.name,
            dimension=self.head.dimension,
            threshold=self.threshold_of(self.scale),
            pair=self.pair,
            trained_on=tuple(sorted(self.trained_on)),
            written_by=__version__,
        )
        write_folder(folder, config, arrays, self.card)

    @classmethod
    def load(cls, folder: str | Path, *, encoder: Encoder | None = None) -> Self:
        """Read a saved router. Needs neither torch nor scikit-learn; the encoder is loaded at its first text.

        Args:
            folder: What `save` wrote.
            encoder: The same encoder from another place, such as a folder; by its saved name by default.

        Raises:
            ConfigurationError: If the folder is absent, foreign, newer or damaged; the message says which.
        """
        config, arrays, card = read_folder(folder)
        check = arrays.pop(CHECK_ARRAY, None)
        try:
            head = restore_head(config.head, config.params, arrays)
        except ConfigurationError as error:
            raise ConfigurationError(f"the router in {folder} is damaged: {error}") from error
        if head.dimension != config.dimension:
            raise ConfigurationError(
                f"the router in {folder} is damaged: its weights have {head.dimension} dimensions, its "
                f"configuration says {config.dimension}"
            )
        router = cls(
            head=head,
            encoder=encoder if encoder is not None else SentenceEncoder(config.encoder),
            threshold=config.threshold,
            pair=config.pair,
            card=card,
        )
        router._unchecked = check
        router.trained_on = frozenset(config.trained_on)
        return router

    def threshold_of(self, scale: str) -> float:
        """Return the threshold that rules a scale now; see `confroute.routers.threshold`."""
        return threshold_at(self.threshold, scale, DEFAULT_THRESHOLD)

    @property
    def scale(self) -> str:
        """Name of the scale of its scores, as in ``RouteDecision.router``."""
        return f"trained-{self.head.name}"

    def _check_encoder(self) -> None:
        """At the first text after loading, make sure that the encoder is the one of the training run."""
        if self._unchecked is None:
            return
        ours = np.asarray(self.encoder.encode([ENCODER_CHECK])[0], dtype=np.float64)
        theirs = self._unchecked.astype(np.float64)
        if ours.shape == theirs.shape:
            lengths = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
            cosine = float(ours @ theirs) / max(lengths, 1e-12)
        else:
            cosine = 0.0
        if cosine < _SAME_ENCODER:
            raise ConfigurationError(
                f"the encoder {self.encoder.name!r} is not the one that this router was trained with: a test "
                f"text has cosine {cosine:.3f} to the embedding kept from training, expected above "
                f"{_SAME_ENCODER}. Load the router with the encoder that its card names"
            )
        self._unchecked = None


def load_router(
    folder: str | Path, *, edge_model: str | None = None, encoder: Encoder | None = None
) -> TrainedRouter:
    """Load a saved router.

    Args:
        folder: What ``confroute train`` or `TrainedRouter.save` wrote.
        edge_model: Name of the edge model at hand; warns where the router was trained on another.
        encoder: The router's encoder from another place; by its saved name by default.

    Raises:
        ConfigurationError: If there is no router, or its folder is foreign, newer or damaged.

    Warns:
        UserWarning: If the edge at hand is another model than the one that the labels came from.
    """
    router = TrainedRouter.load(folder, encoder=encoder)
    if edge_model:
        router.check_edge(edge_model)
    return router


def same_model(a: str, b: str) -> bool:
    """Tell whether two names mean one model: case, punctuation, provider, folder and quantisation aside.

    ``ollama:qwen2.5-coder:0.5b`` and ``Qwen/Qwen2.5-Coder-0.5B-Instruct`` are one.
    """
    return _core(a) == _core(b)


def _core(name: str) -> str:
    provider, colon, rest = name.casefold().partition(":")
    is_tag = any(c.isdigit() for c in provider) or rest[:1].isdigit()  # qwen2.5:1.5b, mistral:7b
    bare = rest if colon and not is_tag else name.casefold()
    bare = re.split(r"[/#]", bare)[-1].removesuffix(".gguf")
    bare = bare.removesuffix("-gguf")
    bare = re.sub(r"[-_.](q\d\w*|f16|bf16|fp16|int[48]|awq|gptq)$", "", bare)
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[-_.](instruct|chat|it)(?=$|[-_.])", "", bare))
