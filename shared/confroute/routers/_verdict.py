"""What routers share: steps without input or output, carried out sync or async, and the verdict."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

from confroute.decision import (
    Decided,
    Evidence,
    Message,
    Method,
    RouteDecision,
    RouteRequest,
    RouterInfo,
    Sample,
    Sampler,
    Usage,
    clip_score,
    total_usage,
)
from confroute.errors import ConfigurationError, SamplingError
from confroute.routers.threshold import (
    DEFAULT_THRESHOLD,
    NOTHING_TO_CLOUD,
    CloudShare,
    Threshold,
    threshold_at,
)
from confroute.steps import adrive, drive
from confroute.uncertainty.llm import judges_bill


class ScoringRouter(Protocol):
    """A router whose verdict is ``score >= threshold``, by the number that rules the scale of the score."""

    threshold: Threshold

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Decide who answers."""
        ...

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Decide who answers."""
        ...


@runtime_checkable
class DrawsAll(Protocol):
    """A router that may stop before its score is known, and can be told not to."""

    def drawing_all(self) -> ScoringRouter:
        """Return a copy whose scores are no bounds."""
        ...


@dataclass(frozen=True, slots=True)
class Draw:
    """A request for `n` samples; the fields are those of `confroute.decision.Sampler.sample`."""

    n: int
    append: tuple[Message, ...] = ()
    temperature: float | None = 1.0
    max_tokens: int | None = None
    logprobs: bool = False

    def settings(self) -> dict[str, Any]:
        """Return everything but `n`, as keyword arguments."""
        return {
            "append": self.append,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "logprobs": self.logprobs,
        }

    def received(self, samples: list[Sample]) -> list[Sample]:
        """Return the samples that were asked for.

        Raises:
            SamplingError: If there are fewer.
        """
        if len(samples) < self.n:
            raise SamplingError(f"the edge model returned {len(samples)} of {self.n} samples")
        return samples[: self.n]


Draws = Generator[Draw, list[Sample], Decided]
"""The steps of one decision: yields what to draw, is sent what was drawn, returns the verdict."""


class SamplingRouter(ABC):
    """A router that puts questions to the edge model; a subclass writes its steps once, as `draws`.

    Attributes:
        threshold: The cloud answers where ``score >= threshold``.
    """

    threshold: Threshold

    def threshold_of(self, scale: str) -> float:
        """Return the threshold that rules a scale now.

        Args:
            scale: Its name, as in ``RouteDecision.router``.
        """
        return threshold_at(self.threshold, scale, DEFAULT_THRESHOLD)

    @abstractmethod
    def draws(self, request: RouteRequest) -> Draws:
        """Walk one decision without input or output."""

    def drawing_all(self) -> Self:
        """Return a copy that draws all samples and leaves every question on the edge: no score is a bound."""
        twin = copy.copy(self)
        twin.threshold = NOTHING_TO_CLOUD
        return twin

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Ask the edge and decide.

        Args:
            request: The question.
            sampler: The handle on the edge model.

        Returns:
            The decision and, where the signal already produced a reply and the edge answers, the draft.

        Raises:
            ConfigurationError: If there is no sampler.
            SamplingError: If the edge's samples do not tell what is needed; the message says what is missing.
        """
        handle = need_sampler(self, sampler)
        with judges_bill() as bill:
            decided = drive(
                self.draws(request),
                lambda draw: draw.received(handle.sample(request, draw.n, **draw.settings())),
            )
        return _billed(decided, bill)

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Ask the edge and decide; see `decide`."""
        handle = need_sampler(self, sampler)

        async def act(draw: Draw) -> list[Sample]:
            return draw.received(await handle.asample(request, draw.n, **draw.settings()))

        with judges_bill() as bill:
            decided = await adrive(self.draws(request), act)
        return _billed(decided, bill)


def _billed(decided: Decided, bill: list[Usage | None]) -> Decided:
    """Add what judges of equivalence have used to what deciding has spent."""
    if not bill:
        return decided
    usage = decided.decision.usage + total_usage(bill)
    return replace(decided, decision=decided.decision.model_copy(update={"usage": usage}))


def drawing_all(router: ScoringRouter) -> ScoringRouter:
    """Return a copy of a router whose scores are no bounds: it draws all samples and keeps every draft."""
    if isinstance(router, DrawsAll):
        return router.drawing_all()
    twin = copy.copy(router)
    twin.threshold = NOTHING_TO_CLOUD
    return twin


def threshold_of(router: ScoringRouter, scale: str) -> float:
    """Return the number that rules a scale of a router; NaN where only questions or a signal tell."""
    if isinstance(router.threshold, CloudShare):
        return math.nan
    own = getattr(router, "threshold_of", None)
    return float(own(scale)) if own is not None else threshold_at(router.threshold, scale, math.nan)


def need_sampler(router: object, sampler: Sampler | None) -> Sampler:
    """Return the sampler.

    Raises:
        ConfigurationError: If there is none.
    """
    if sampler is None:
        raise ConfigurationError(
            f"{type(router).__name__} samples the edge model, but got no sampler: pass "
            "decide(request, sampler), or give the face its edge model"
        )
    return sampler


def verdict(
    request: RouteRequest,
    *,
    score: float,
    threshold: float,
    method: Method,
    told: str,
    router: RouterInfo,
    samples: Sequence[Sample],
    draft: int | None = None,
    evidence: Evidence | None = None,
    settled_early: bool = False,
) -> Decided:
    """Build the decision of a router that drew samples.

    Args:
        request: The question.
        score: "The cloud is needed"; clipped to [0, 1].
        threshold: The number that rules: the cloud answers where ``score >= threshold``.
        method: The kind of router.
        told: What was seen and what the score is, as the start of the reason.
        router: Name and version of the router.
        samples: All that was drawn.
        draft: Number of the sample that becomes the reply if the edge answers; None if none can. An empty
            one is no reply.
        evidence: What the router saw.
        settled_early: Whether the score is a bound, since drawing stopped once the verdict was settled.

    Returns:
        The decision; its usage covers every sample but the draft that is handed out.
    """
    clipped = clip_score(score)
    unsure = clipped >= threshold
    handed_out = None if draft is None or unsure or samples[draft].is_empty else draft
    sign, finding = (">=", "the edge is unsure") if unsure else ("<", "the edge is sure")
    digits = 2 if unsure else _digits(clipped, threshold)
    decision = RouteDecision(
        route="cloud" if unsure else "edge",
        score=clipped,
        threshold=threshold,
        method=method,
        reason=f"{told} {clipped:.{digits}f} {sign} {threshold:.{digits}f}, {finding}",
        private=request.private,
        n_samples=len(samples),
        usage=total_usage([sample.usage for i, sample in enumerate(samples) if i != handed_out]),
        router=router,
        settled_early=settled_early,
    )
    return Decided(decision, None if handed_out is None else samples[handed_out], evidence)


def _digits(low: float, high: float) -> int:
    """Return how many decimals tell two numbers apart, from two on."""
    return next((n for n in range(2, 6) if f"{low:.{n}f}" != f"{high:.{n}f}"), 2)


def score_of(decided: Decided) -> float:
    """Return the score that a router gave.

    Raises:
        ConfigurationError: If it gave none.
    """
    score = decided.decision.score
    if score is None:
        raise ConfigurationError(
            f"the {decided.decision.method} router gave no score: expected a router that scores, such as "
            "TrainedRouter or ConfidenceRouter"
        )
    return score
