"""Several signals, one calibrated score."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, ValidationError

from confroute._version import __version__
from confroute.decision import (
    Decided,
    RouteDecision,
    RouteRequest,
    RouterInfo,
    Sampler,
    clip_score,
    total_usage,
)
from confroute.errors import ConfigurationError
from confroute.evaluation.ranking import FloatArray, column
from confroute.routers._combination import Choice, Combination, Kind
from confroute.routers._verdict import ScoringRouter, adrive, check_threshold, drive, score_of

_INFO = RouterInfo(name="combined", version="1")
_CONFIG, _WEIGHTS = "combined.json", "combined.safetensors"
_NEVER = 2.0  # a threshold above every score: a signal is asked for its score, and keeps its draft


class _File(BaseModel):
    """What ``combined.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["confroute-combined"] = "confroute-combined"
    schema_version: Literal[1] = 1
    signals: tuple[str, ...]
    kind: Kind
    used: str
    reason: str
    threshold: float
    weights_sha256: str
    written_by: str = __version__


class CombinedRouter:
    """Asks several signals and makes one calibrated score of them.

    The score is the probability that the cloud is needed, fitted on rows of scores with outcomes. Where
    combining is not surely better than the best signal alone, `fit` falls back to that one; then only it is
    asked. `choice` says which, and why.

    Args:
        signals: Routers by name, each with a score of its own; their own thresholds do not count.
        kind: ``logistic`` (a logistic regression on each score's rank) or ``isotonic`` (the same on each
            score's isotonic regression).
        threshold: The cloud answers where ``score >= threshold``.

    Raises:
        ConfigurationError: If there is no signal, or one samples adaptively, so that its score is not whole.
    """

    def __init__(
        self, signals: Mapping[str, ScoringRouter], *, kind: Kind = "logistic", threshold: float = 0.5
    ) -> None:
        if not signals:
            raise ConfigurationError(
                "there are no signals: expected routers by name, such as {'entropy': ...}"
            )
        for name, router in signals.items():
            if getattr(router, "adaptive", False):
                raise ConfigurationError(
                    f"the signal {name!r} samples adaptively, which tells its verdict but not its score: "
                    "expected adaptive=False"
                )
        self.signals = dict(signals)
        self.kind: Kind = kind
        self.threshold = check_threshold(threshold)
        self._combination: Combination | None = None

    def fit(
        self, scores: Mapping[str, ArrayLike], outcomes: ArrayLike, *, folds: int = 5, seed: int = 0
    ) -> Self:
        """Fit on scores and outcomes of questions that trained none of the signals.

        Args:
            scores: Each signal's scores by name, n numbers in [0, 1] each.
            outcomes: How much the cloud was needed, in [0, 1], shape [n]: 1 where only the cloud is right, 0
                where only the edge is, 0.5 for both or neither; or 1 where the edge is wrong, else 0.
            folds: Folds of the cross-validation that decides on the fallback.
            seed: Its seed.

        Returns:
            The router itself.

        Raises:
            ConfigurationError: If scores or outcomes are not as described, or too few.
            MissingExtraError: If scikit-learn is not installed.
        """
        rows = self._rows(scores, tuple(self.signals))
        needed = column(outcomes, "outcomes", len(rows))
        names = tuple(self.signals)
        self._combination = Combination.fit(names, rows, needed, kind=self.kind, folds=folds, seed=seed)
        return self

    @property
    def choice(self) -> Choice:
        """Which signals are used, and why.

        Raises:
            ConfigurationError: If the router is not fitted.
        """
        return self._fitted.choice

    def score(self, scores: Mapping[str, ArrayLike]) -> FloatArray:
        """Combine scores; numpy alone.

        Args:
            scores: By name, n numbers each, of the signals that are used.

        Returns:
            The probability that the cloud is needed, float array of shape [n] in [0, 1].

        Raises:
            ConfigurationError: If the router is not fitted, or a signal is missing.
        """
        fitted = self._fitted
        return fitted.score(self._rows(scores, fitted.needed))

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Ask the signals that are used and decide.

        Args:
            request: The question.
            sampler: The handle on the edge model, for signals that need one.

        Returns:
            The decision with the usage of all signals and, where the edge answers, the first draft there is.

        Raises:
            ConfigurationError: If the router is not fitted, or a signal needs a sampler and got none.
            SamplingError: If a signal cannot be had.
        """
        return drive(self._steps(request), lambda router: router.decide(request, sampler))

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Ask the signals that are used and decide; see `decide`."""
        return await adrive(self._steps(request), lambda router: router.adecide(request, sampler))

    def save(self, folder: str | Path) -> None:
        """Write what was fitted: safetensors and JSON. The signals themselves are not kept.

        Raises:
            ConfigurationError: If the router is not fitted.
        """
        from safetensors.numpy import save

        fitted = self._fitted
        weights = save({name: np.ascontiguousarray(array) for name, array in fitted.arrays.items()})
        config = _File(
            signals=fitted.names,
            kind=fitted.kind,
            used=fitted.choice.used,
            reason=fitted.choice.reason,
            threshold=self.threshold,
            weights_sha256=hashlib.sha256(weights).hexdigest(),
        )
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for name, data in (
            (_WEIGHTS, weights),
            (_CONFIG, (config.model_dump_json(indent=2) + "\n").encode()),
        ):
            part = target / f"{name}.part"
            part.write_bytes(data)
            part.replace(target / name)

    @classmethod
    def load(cls, folder: str | Path, signals: Mapping[str, ScoringRouter]) -> Self:
        """Read a saved router; scikit-learn is not needed.

        Args:
            folder: What `save` wrote.
            signals: The signals by the names they were saved under; at least those that are used.

        Raises:
            ConfigurationError: If the folder is absent, foreign, newer or damaged, or a signal is missing.
        """
        config, arrays = _read(Path(folder))
        router = cls(signals, kind=config.kind, threshold=config.threshold)
        router._combination = Combination(
            config.signals, config.kind, Choice(config.used, config.reason), arrays
        )
        missing = [name for name in router._combination.needed if name not in router.signals]
        if missing:
            raise ConfigurationError(
                f"the router in {folder} uses the signals {', '.join(router._combination.needed)}: expected "
                f"a router under each of these names, {missing[0]!r} is missing"
            )
        return router

    @property
    def _fitted(self) -> Combination:
        if self._combination is None:
            raise ConfigurationError(
                "the CombinedRouter is not fitted: call fit(scores, outcomes), or load a saved one"
            )
        return self._combination

    def _rows(self, scores: Mapping[str, ArrayLike], needed: tuple[str, ...]) -> FloatArray:
        """Return scores as [n, k] over all signals; 0 for those that do not count."""
        missing = [name for name in needed if name not in scores]
        if missing:
            raise ConfigurationError(
                f"no scores of the signal {missing[0]!r}: expected those of {', '.join(needed)}"
            )
        n = len(np.atleast_1d(np.asarray(scores[needed[0]])))
        names = tuple(self.signals) if self._combination is None else self._combination.names
        absent = np.zeros(n)
        return np.column_stack(
            [column(scores[name], f"scores[{name!r}]", n) if name in needed else absent for name in names]
        )

    def _steps(self, request: RouteRequest) -> Generator[ScoringRouter, Decided, Decided]:
        asked: dict[str, Decided] = {}
        for name in self._fitted.needed:
            signal = copy.copy(self.signals[name])
            signal.threshold = _NEVER
            asked[name] = yield signal
        scores = {name: score_of(decided) for name, decided in asked.items()}
        score = clip_score(float(self.score({name: [value] for name, value in scores.items()})[0]))
        needed = score >= self.threshold
        drafts = [decided.draft for decided in asked.values() if decided.draft is not None]
        draft = drafts.pop(0) if drafts and not needed else None
        told = ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
        sign, finding = (">=", "the cloud is needed") if needed else ("<", "the edge is enough")
        usages = [decided.decision.usage for decided in asked.values()]
        decision = RouteDecision(
            route="cloud" if needed else "edge",
            score=score,
            threshold=self.threshold,
            method="combined",
            reason=f"{told}: combined {score:.2f} {sign} {self.threshold:.2f}, {finding}",
            private=request.private,
            n_samples=sum(decided.decision.n_samples for decided in asked.values()),
            usage=total_usage([*usages, *(spare.usage for spare in drafts)]),
            router=_INFO,
        )
        evidence = next((decided.evidence for decided in asked.values() if decided.evidence), None)
        return Decided(decision, draft, evidence)


def _read(folder: Path) -> tuple[_File, dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        raw = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        weights = (folder / _WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{folder} is not a saved CombinedRouter: {error}. Expected a folder that CombinedRouter.save "
            "wrote"
        ) from error
    schema = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(schema, int) and schema > 1:
        raise ConfigurationError(
            f"{folder} was written by a newer confroute: its schema is {schema}, this version reads 1. "
            "Upgrade with: pip install --upgrade confroute"
        )
    try:
        config = _File.model_validate(raw)
        if hashlib.sha256(weights).hexdigest() != config.weights_sha256:
            raise ConfigurationError(f"{_WEIGHTS} does not have the checksum that {_CONFIG} gives")
        return config, load(weights)
    except (ValidationError, ValueError, SafetensorError) as error:
        raise ConfigurationError(
            f"the CombinedRouter in {folder} is damaged or another program's: {error}. Copy it or fit it "
            "again"
        ) from error
