"""One look first: how likely the edge's answer was, and how far further answers agree with it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Self

from confroute.answers import conclusion_of, is_unconcluded, without_thought
from confroute.decision import Decided, RouteRequest, RouterInfo, Sample
from confroute.errors import ConfigurationError
from confroute.routers._stopping import CLOSE
from confroute.routers._verdict import Draws, verdict
from confroute.routers.probing import Probe, ProbingRouter
from confroute.routers.threshold import Threshold, check_threshold, note_score, threshold_at
from confroute.uncertainty import Equivalence, checked_equivalence
from confroute.uncertainty.agreement import agreement
from confroute.uncertainty.structure import problem_of

logger = logging.getLogger(__name__)

_VERSION = "1"
_LONG_TOKENS = 64  # of a full look: more than a few sentences
_CHARS_PER_TOKEN = 4  # of English text, where the model does not count its tokens
_INSTEAD = 4  # further answers where none were asked for, but the model tells no probability

Kind = Literal["confidence", "worked", "agreement"]

DEFAULT_THRESHOLDS: Mapping[str, float] = {
    "confidence": 0.2,
    "confidence-0": 0.4,
    "worked": 0.05,
    "worked-0": 0.07,
    "agreement": 0.5,
}
"""The threshold of each kind of scale where the user sets none; with ``-0``, that of ``n_samples=0``."""

_SCALES = r"(confidence|worked)(-0)?|agreement|(confidence|worked|agreement)-(full|brief)-\d+"


@dataclass(frozen=True, slots=True)
class ConfidenceEvidence:
    """What a router saw that compares further answers with the first one, for people who ask why.

    Attributes:
        answer: The first answer.
        probability: Geometric mean of the probabilities of its tokens; None where the model does not tell,
            or where it was left out.
        others: The further answers drawn.
        agreement: Probability that each of them means the same as the first, shape [len(others)].
        n_further: How many further answers would have been drawn at most.
        problem: Why the first answer cannot be used, in words; None where it can.
    """

    answer: Sample
    probability: float | None
    others: tuple[Sample, ...] = ()
    agreement: tuple[float, ...] = ()
    n_further: int = 0
    problem: str | None = None

    @property
    def agrees(self) -> tuple[bool, ...]:
        """Whether each of the further answers means the same as the first, more likely than not."""
        return tuple(value >= 0.5 for value in self.agreement)

    def groups(self) -> list[list[Sample]]:
        """Return the answers that agree with the first one, itself in front; then each of the others."""
        told = list(zip(self.others, self.agrees, strict=True))
        differing = [[other] for other, agrees in told if not agrees]
        return [[self.answer, *(other for other, agrees in told if agrees)], *differing]

    def to_dict(self) -> dict[str, Any]:
        """Return the answers and how far they agree, as plain JSON data."""
        return {
            "answer": self.answer.text,
            "probability": self.probability,
            "others": [other.text for other in self.others],
            "agreement": list(self.agreement),
            "agrees": list(self.agrees),
            "n_further": self.n_further,
            "problem": self.problem,
        }


@dataclass(slots=True)
class _Seen:
    """What is known of one question so far; a score lies between `low` and `high`.

    Attributes:
        answer: The first answer.
        doubt: 1 − the probability of that answer; 1 where that is unknown or left out.
        kind: The kind of scale: ``agreement`` where that probability is unknown or left out.
        n: Further answers that are drawn at most.
        others: Those drawn.
        agreement: How likely each means the same as the first.
    """

    answer: Sample
    doubt: float
    kind: Kind
    n: int
    others: list[Sample]
    agreement: list[float]

    def bounds(self, agreeing: int = 0, differing: int = 0) -> tuple[float, float]:
        """Return the least and the greatest score that all `n` answers can lead to.

        Args:
            agreeing: Answers yet to come that are taken to agree.
            differing: Answers yet to come that are taken not to.
        """
        if not self.n:
            return self.doubt, self.doubt
        agreed = sum(self.agreement) + agreeing
        missing = self.n - len(self.agreement) - agreeing - differing
        return self.doubt * (1 - (agreed + missing) / self.n), self.doubt * (1 - agreed / self.n)

    def missing(self, threshold: float | None) -> int:
        """Return how many answers to draw next: the fewest that could settle the verdict; 0 if it is.

        Args:
            threshold: The cloud answers from here on; None where all are to be drawn.
        """
        remaining = self.n - len(self.agreement)
        if threshold is None:
            return remaining
        for step in range(remaining + 1):
            outcomes = (self.bounds(agreeing=step), self.bounds(differing=step))
            if any(_is_settled(*bounds, threshold) for bounds in outcomes):
                return step
        return remaining


class ConfidenceRouter(ProbingRouter):
    """Sends a question to the cloud when the edge's one answer to it was unlikely and others disagree.

    The edge answers once. u = 1 − exp(mean token log-probability of that answer), and 1 where the model
    tells none. Where u < threshold, that settles it: the answer is the reply, and nothing more is drawn.
    Otherwise up to `n_samples` further answers are drawn at temperature 1; a is their mean probability of
    meaning the same *as that answer*, and the score is u · (1 − a). Drawing stops as soon as the answers
    still missing cannot move the score across the threshold, so the verdict is always that of all of them;
    the score of such a decision is a bound on its side of the threshold, and `RouteDecision.settled_early`
    says so. (A product of confidence and consistency is CoCoA of Vashurin et al. 2025, arXiv 2502.04964.)

    An answer that cannot be used has score 1 at once: a refusal, an empty one, a thought without an end, a
    call of a tool that is not bound or with arguments against its schema, text against the JSON schema that
    was asked for.

    Scores with and without the probability are different scales, and so are those of different probes and
    `n_samples`: the decision's ``router.name`` names the scale, such as ``confidence-full-4`` or, where the
    model told no probability, ``agreement-full-4``. Of full looks of more than 64 tokens, those that work
    towards a short conclusion are a scale of their own, ``worked-full-4``, since the mean over many tokens
    is close to 1; the others are long open replies, judged by agreement alone, since token probabilities do
    not compare kinds of tasks. It needs no training and fits any pair of models.

    Args:
        n_samples: Further answers to draw at most; 0 judges by the probability alone.
        threshold: The cloud answers where ``score >= threshold``: a number for every scale, a mapping from
            the name of a scale, or its kind, to a number, a `CloudShare`, or by default `DEFAULT_THRESHOLDS`.
        equivalence: What "the same meaning" is; `confroute.uncertainty.default_equivalence` by default.
        probe: With ``"full"`` the look is the reply, which cannot stream before it is judged. ``"brief"``
            asks for the bare answer in a few tokens first: cheap where replies are long, and the reply is
            another call, which is free to stream.
        max_tokens: Longest look; by default 32 tokens for brief ones (256 where tools are bound) and the
            model's own limit for full ones.

    Raises:
        ConfigurationError: If an argument is out of its range.
    """

    def __init__(
        self,
        *,
        n_samples: int = 4,
        threshold: Threshold | None = None,
        equivalence: Equivalence | None = None,
        probe: Probe = "full",
        max_tokens: int | None = None,
    ) -> None:
        if n_samples < 0:
            raise ConfigurationError(
                f"n_samples is {n_samples}: expected 0 for the probability alone, or more for further answers"
            )
        super().__init__(probe, max_tokens)
        self.n_samples = n_samples
        threshold = {} if threshold is None else threshold
        self.threshold: Threshold = check_threshold(threshold, _SCALES, "confidence-brief-4")
        self.equivalence = checked_equivalence(equivalence)
        self._stops_early = True

    def drawing_all(self) -> Self:
        """Return a copy that draws all samples and keeps every question: its scores are no bounds."""
        twin = super().drawing_all()
        twin._stops_early = False
        return twin

    def draws(self, request: RouteRequest) -> Draws:
        """Look at one answer, and draw others as far as they can change the verdict."""
        request = self._asked(request)
        (answer,) = yield self._draw(
            request, 1, temperature=None if self.probe == "full" else 0.0, logprobs=True
        )
        seen = self._seen(answer, request)
        threshold = self.threshold_of(self._scale(seen))
        problem = problem_of(answer, request)
        if problem is not None:
            return self._verdict(request, seen, threshold, problem=problem)
        while missing := seen.missing(threshold if self._stops_early else None):
            others = yield self._draw(request, missing, temperature=1.0, logprobs=False)
            seen.others += others
            seen.agreement += agreement(
                answer, others, equivalence=self.equivalence, request=request
            ).tolist()
        return self._verdict(request, seen, threshold)

    def _seen(self, answer: Sample, request: RouteRequest) -> _Seen:
        mean = answer.mean_logprob
        is_known = mean is not None and not math.isnan(mean)
        n = self.n_samples
        if not n and not is_known:
            _warn_of(answer.model)
            n = _INSTEAD
        kind: Kind = "confidence"
        if self.probe == "full" and _is_long(answer, request):
            is_open = n > 0 and _is_open(answer, request)
            kind = "agreement" if is_open else "worked"
        if mean is None or not is_known or kind == "agreement":
            return _Seen(answer, 1.0, "agreement", n, [], [])
        return _Seen(answer, 1 - math.exp(min(mean, 0.0)), kind, n, [], [])

    def _scale(self, seen: _Seen) -> str:
        return f"{seen.kind}-{self.probe}-{seen.n}"

    def threshold_of(self, scale: str) -> float:
        """Return the threshold that rules a scale now.

        Args:
            scale: Its name, as in ``RouteDecision.router``.
        """
        kind, _, n = scale.split("-")
        kind = f"{kind}-0" if n == "0" else kind
        return threshold_at(self.threshold, scale, DEFAULT_THRESHOLDS[kind], kind)

    def _verdict(
        self, request: RouteRequest, seen: _Seen, threshold: float, *, problem: str | None = None
    ) -> Decided:
        low, high = (1.0, 1.0) if problem is not None else seen.bounds()
        needed, settled_early = low >= threshold, low < high
        note_score(self.threshold, self._scale(seen), low, high)
        bound = f" at {'least' if needed else 'most'}" if settled_early else ""
        return verdict(
            request,
            score=low if needed else high,
            threshold=threshold,
            method="confidence",
            told=f"{_told(seen, problem)}: uncertainty{bound}",
            router=RouterInfo(name=self._scale(seen), version=_VERSION),
            samples=[seen.answer, *seen.others],
            draft=0 if self.probe == "full" else None,
            evidence=ConfidenceEvidence(
                answer=seen.answer,
                probability=1 - seen.doubt if seen.kind != "agreement" else None,
                others=tuple(seen.others),
                agreement=tuple(seen.agreement),
                n_further=seen.n,
                problem=problem,
            ),
            settled_early=settled_early,
        )


@lru_cache(maxsize=64)  # once a model
def _warn_of(model: str) -> None:
    logger.warning(
        "The model %r tells no token probability, which n_samples=0 judges by: %d further answers are "
        "compared instead. Set n_samples to choose how many.",
        model,
        _INSTEAD,
    )


def _is_settled(low: float, high: float, threshold: float) -> bool:
    return low == high or threshold <= 0 or low >= threshold + CLOSE or high < threshold - CLOSE


def _is_long(answer: Sample, request: RouteRequest) -> bool:
    """Whether an answer is a text of more than a few sentences."""
    if answer.tool_calls or request.answer_schema is not None:
        return False
    said = without_thought(answer.text)
    n_tokens = answer.n_tokens or len(said) // _CHARS_PER_TOKEN
    return n_tokens > _LONG_TOKENS


def _is_open(answer: Sample, request: RouteRequest) -> bool:
    """Whether an answer has no conclusion, other than by being cut off on the way to one."""
    if answer.cut and is_unconcluded(answer.text, request.query):
        return False
    return conclusion_of(answer.text, request.query) is None


def _told(seen: _Seen, problem: str | None) -> str:
    """Say what was seen, in words for people."""
    if problem is not None:
        return f"the edge's answer {problem}"
    told = [f"probability {1 - seen.doubt:.2f}"] if seen.kind != "agreement" else []
    drawn, spare = len(seen.others), seen.n - len(seen.others)
    if drawn:
        agreeing = sum(value >= 0.5 for value in seen.agreement)
        told.append(f"{agreeing} of {drawn} more {'answer agrees' if drawn == 1 else 'answers agree'}")
    if drawn and spare:
        told.append(f"and {spare} more would not change the verdict")
    return ", ".join(told) or "the edge answered once"
