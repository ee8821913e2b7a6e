"""Semantic entropy at query time: sample the edge for this question and see whether it agrees with itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np

from confroute.decision import Decided, Route, RouteRequest, RouterInfo, Sample, clip_score
from confroute.errors import ConfigurationError
from confroute.routers._stopping import SureStopping, reachable
from confroute.routers._verdict import Draw, Draws, verdict
from confroute.routers.probing import Probe, ProbingRouter
from confroute.routers.threshold import (
    DEFAULT_THRESHOLD,
    Threshold,
    check_threshold,
    note_score,
)
from confroute.uncertainty import (
    CachedEquivalence,
    Equivalence,
    Estimator,
    SemanticEntropy,
    checked_equivalence,
    semantic_entropy,
)
from confroute.uncertainty.structure import problem_of

_VERSION = "1"
_SCALES = r"entropy-(likelihood|discrete|paper)-(full|brief)-\d+"


@dataclass(frozen=True, slots=True)
class EntropyEvidence:
    """What a router that takes the entropy of samples saw, for people who ask why.

    Attributes:
        samples: The answers drawn.
        clusters: The cluster of each sample, numbered from 0 in order of first appearance.
        entropy: Semantic entropy in nats.
        normalized: The same divided by log N, in [0, 1].
        estimator: The estimator that gave it.
    """

    samples: tuple[Sample, ...]
    clusters: tuple[int, ...]
    entropy: float
    normalized: float
    estimator: str

    def groups(self) -> list[list[Sample]]:
        """Return the samples by cluster, largest cluster first."""
        groups: list[list[Sample]] = [[] for _ in range(max(self.clusters, default=-1) + 1)]
        for sample, label in zip(self.samples, self.clusters, strict=True):
            groups[label].append(sample)
        return sorted(groups, key=len, reverse=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the answers by meaning, and their entropy, as plain JSON data."""
        return {
            "meanings": [[sample.text for sample in group] for group in self.groups()],
            "entropy": self.entropy,
            "normalized": self.normalized,
            "estimator": self.estimator,
        }


class EntropyRouter(ProbingRouter):
    """Sends a question to the cloud when the edge's own answers to it disagree in meaning.

    The score is Ĥ, the semantic entropy of `n_samples` edge answers divided by log N (Farquhar et al. 2024).
    Where the largest cluster declines to answer ("I don't know"), is empty or cannot be used (see
    `confroute.uncertainty.structure.problem_of`), the score is 1: an edge that is sure that it does not know
    needs the cloud. It needs no training and fits any pair of models. Its threshold belongs to `n_samples`,
    `equivalence` and `estimator`: change one and calibrate again.

    With `adaptive`, answers are drawn in small steps, each as small as could settle the verdict, and drawing
    stops where the answers still missing cannot move the score across the threshold. The verdict is that of
    all `n_samples`; fewer are paid for, in more round trips. The score of a decision that stopped early is
    the bound that settled it, as ``settled_early`` tells: it is not to be calibrated on.

    Args:
        n_samples: Answers to draw; at least 2, since one answer always agrees with itself.
        threshold: The cloud answers where ``score >= threshold``. With five samples 0.5 means three
            meanings or more. A number, a mapping from scale to number, or a `CloudShare`.
        equivalence: What "the same meaning" is; `confroute.uncertainty.default_equivalence` by default.
        probe: ``"full"`` draws whole replies, and one of the largest cluster becomes the reply where the
            edge answers, without a further call. ``"brief"`` asks for the bare answer in a few tokens: cheap,
            comparable where a reply would be a page long, and the reply is left free to stream.
        temperature: Sampling temperature; above 0.
        estimator: See `confroute.uncertainty.entropy`.
        max_tokens: Longest sample; by default 32 tokens for brief probes (256 where tools are bound) and the
            model's own limit for full ones.
        adaptive: Whether to stop drawing once the verdict is settled.

    Raises:
        ConfigurationError: If an argument is out of its range, or two do not go together.
    """

    def __init__(
        self,
        *,
        n_samples: int = 5,
        threshold: Threshold = DEFAULT_THRESHOLD,
        equivalence: Equivalence | None = None,
        probe: Probe = "full",
        temperature: float = 1.0,
        estimator: Estimator = "likelihood",
        max_tokens: int | None = None,
        adaptive: bool = False,
    ) -> None:
        if n_samples < 2:
            raise ConfigurationError(
                f"n_samples is {n_samples}: expected at least 2, since the entropy of fewer answers is "
                "always 0"
            )
        super().__init__(probe, max_tokens)
        if not temperature > 0:
            raise ConfigurationError(
                f"temperature is {temperature}: expected above 0, since greedy samples are all the same"
            )
        if estimator not in get_args(Estimator):
            raise ConfigurationError(
                f"estimator is {estimator!r}: expected one of {', '.join(get_args(Estimator))}"
            )
        if adaptive and estimator == "paper":
            raise ConfigurationError(
                "adaptive sampling needs an entropy that is bounded: expected estimator 'likelihood' or "
                "'discrete'"
            )
        self.n_samples = n_samples
        self.threshold: Threshold = check_threshold(threshold, _SCALES, "entropy-likelihood-brief-5")
        self.equivalence = checked_equivalence(equivalence)
        self.temperature = temperature
        self.estimator = estimator
        self.adaptive = adaptive

    def draws(self, request: RouteRequest) -> Draws:
        """Draw answers, all at once or step by step, and judge by their entropy."""
        request = self._asked(request)
        if not self.adaptive:
            samples = yield self._answers(request, self.n_samples)
            found = self._entropy(request, samples, self.equivalence)
            return self._verdict(request, samples, found, self.threshold_of(self._scale(found.estimator)))
        held: dict[Estimator, float] = {}  # a dial turns meanwhile: one decision is held to one number

        def standing(estimator: Estimator) -> float:
            if estimator not in held:
                held[estimator] = self.threshold_of(self._scale(estimator))
            return held[estimator]

        samples = yield self._answers(request, SureStopping(self.n_samples, standing(self.estimator)).first)
        with CachedEquivalence(self.equivalence, ":memory:") as kept:  # a pair is judged once, not every step
            while True:
                found = self._entropy(request, samples, kept)
                threshold = standing(found.estimator)
                if len(samples) >= self.n_samples:
                    return self._verdict(request, samples, found, threshold)
                missing = SureStopping(self.n_samples, threshold).missing(*_sizes_and_masses(samples, found))
                if missing == "edge" and self._may_be_unusable(samples, found, request):
                    missing = self.n_samples - len(samples)
                if not isinstance(missing, int):
                    return self._verdict(request, samples, found, threshold, stopped=missing)
                samples = samples + (yield self._answers(request, missing))

    def drawing_all(self) -> Self:
        """Return a copy that draws all samples and keeps every question: its scores are no bounds."""
        twin = super().drawing_all()
        twin.adaptive = False
        return twin

    def _scale(self, estimator: Estimator) -> str:
        return f"entropy-{estimator}-{self.probe}-{self.n_samples}"

    def _answers(self, request: RouteRequest, n: int) -> Draw:
        logprobs = self.estimator != "discrete"
        return self._draw(request, n, temperature=self.temperature, logprobs=logprobs)

    def _entropy(
        self, request: RouteRequest, samples: Sequence[Sample], equivalence: Equivalence
    ) -> SemanticEntropy:
        return semantic_entropy(
            samples, equivalence=equivalence, question=request.query, estimator=self.estimator
        )

    def _may_be_unusable(
        self, samples: Sequence[Sample], found: SemanticEntropy, request: RouteRequest
    ) -> bool:
        """Whether the largest cluster may come to be one that cannot be used once all samples are drawn."""
        declined = [problem_of(sample, request) is not None for sample in samples]
        answered = Counter(label for label, no in zip(found.clusters, declined, strict=True) if not no)
        return sum(declined) + self.n_samples - len(samples) >= max(answered.values(), default=0)

    def _verdict(
        self,
        request: RouteRequest,
        samples: Sequence[Sample],
        found: SemanticEntropy,
        standing: float,
        stopped: Route | None = None,
    ) -> Decided:
        scale = self._scale(found.estimator)
        problems = _problems(samples, found, request)
        problem = _told_problem(problems, len(samples))
        low = high = score = 1.0 if problem is not None else clip_score(found.normalized)
        if problem is None and stopped is not None:
            low, high = self._bounds(samples, found)
            score, high = (low, 1.0) if stopped == "cloud" else (high, high)  # refusals may yet make it 1
        note_score(self.threshold, scale, low, high)
        evidence = EntropyEvidence(
            samples=tuple(samples),
            clusters=found.clusters,
            entropy=found.entropy,
            normalized=found.normalized,
            estimator=found.estimator,
        )
        return verdict(
            request,
            score=score,
            threshold=standing,
            method="entropy",
            told=(self._told(len(samples), found, stopped) if problem is None else f"{problem}: uncertainty"),
            router=RouterInfo(name=scale, version=_VERSION),
            samples=samples,
            draft=None if self.probe == "brief" else _pick_draft(samples, problems),
            evidence=evidence,
            settled_early=stopped is not None and problem is None,
        )

    def _bounds(self, samples: Sequence[Sample], found: SemanticEntropy) -> tuple[float, float]:
        """Return the least and the greatest score that the samples still missing can lead to."""
        sizes, masses = _sizes_and_masses(samples, found)
        missing = self.n_samples - len(samples)
        ends = reachable(sizes if masses is None else masses, missing, weighted=masses is not None)
        least, greatest = (clip_score(end / math.log(self.n_samples)) for end in ends)
        return least, greatest

    def _told(self, n_drawn: int, found: SemanticEntropy, stopped: Route | None) -> str:
        meanings = "one meaning" if found.n_clusters == 1 else f"{found.n_clusters} meanings"
        if stopped is None:
            return f"{n_drawn} edge answers with {meanings}: uncertainty"
        return (
            f"{n_drawn} edge answers with {meanings}, and {self.n_samples - n_drawn} more would not change "
            f"the verdict: uncertainty of at {'least' if stopped == 'cloud' else 'most'}"
        )


def _problems(
    samples: Sequence[Sample], found: SemanticEntropy, request: RouteRequest
) -> dict[int, str | None]:
    """Return why each member of the largest cluster cannot be used, by its number; None where it can."""
    members = [i for i, label in enumerate(found.clusters) if label == found.largest]
    return {i: problem_of(samples[i], request) for i in members}


def _told_problem(problems: Mapping[int, str | None], n: int) -> str | None:
    """Return why what most answers say cannot be used, in words; None where it can."""
    unusable = [problem for problem in problems.values() if problem is not None]
    if 2 * len(unusable) <= len(problems):
        return None
    return f"{len(unusable)} of {n} edge answers cannot be used (the first {unusable[0]})"


def _sizes_and_masses(
    samples: Sequence[Sample], found: SemanticEntropy
) -> tuple[list[int], list[float] | None]:
    """Return each cluster's number of samples and, under the likelihood estimator, its mass."""
    clusters = np.array(found.clusters)
    sizes = np.bincount(clusters).tolist()
    if found.estimator == "discrete":
        return sizes, None
    logprobs = [sample.mean_logprob for sample in samples]
    known = np.array([-math.inf if value is None else value for value in logprobs])
    return sizes, np.bincount(clusters, weights=np.exp(known)).tolist()


def _pick_draft(samples: Sequence[Sample], problems: Mapping[int, str | None]) -> int | None:
    """Pick the reply among the members of the largest cluster: the likeliest of those that can be used.

    Where log-probabilities are unknown, the first of them. None if there is none.
    """
    usable = [i for i, problem in problems.items() if problem is None]
    known = {i: value for i in usable if (value := samples[i].mean_logprob) is not None}
    if known and len(known) == len(usable):
        return max(known, key=lambda i: (known[i], -i))
    return usable[0] if usable else None
