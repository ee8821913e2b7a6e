"""Semantic entropy over clusters of answers, by named estimators.

"Semantic entropy" means several numbers in the literature, so each has its name here:

* ``likelihood`` (default): Nature 2024, Eq. 5. A cluster's mass is the sum of its members' length-normalised
  sequence probabilities; masses are normalised over clusters; H = −Σ P log P.
* ``discrete``: the same with P = share of the samples. Taken by itself wherever a log-probability is missing.
* ``paper``: Eq. 2 of Zhang et al. 2025 (arXiv 2502.11021), SE = −(1/|C|) Σ log p(C), un-normalised. It can be
  negative, and it is not in [0, 1]; it serves to reproduce the paper.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from confroute.decision import Sample
from confroute.errors import ConfigurationError
from confroute.uncertainty.clustering import cluster
from confroute.uncertainty.equivalence import Equivalence, FloatArray
from confroute.uncertainty.refusal import is_refusal

Estimator = Literal["likelihood", "discrete", "paper"]


@dataclass(frozen=True, slots=True)
class SemanticEntropy:
    """The entropy of N answers over their meanings.

    Attributes:
        entropy: H in nats; under ``likelihood`` and ``discrete`` in [0, log k] for k clusters.
        normalized: Ĥ = H / log N, clipped to [0, 1]; 0 for fewer than two answers.
        estimator: The estimator used; ``discrete`` where a log-probability that another needs is missing.
        clusters: Cluster number of each answer, in order of first appearance.
        masses: Probability of each cluster, normalised over clusters.
    """

    entropy: float
    normalized: float
    estimator: Estimator
    clusters: tuple[int, ...]
    masses: tuple[float, ...]

    @property
    def n_clusters(self) -> int:
        """Number of distinct meanings."""
        return len(self.masses)

    @property
    def largest(self) -> int:
        """Number of the largest cluster; of equal ones, that of more probability mass, then the first."""
        sizes = Counter(self.clusters)
        return max(sizes, key=lambda label: (sizes[label], self.masses[label], -label))

    def __float__(self) -> float:
        return self.entropy


def declines(samples: Sequence[Sample], found: SemanticEntropy, question: str = "") -> bool:
    """Whether most of the largest cluster declines to answer, or says nothing.

    Such a model is sure of one thing, that it does not know: as doubt, its Ĥ counts as 1.
    """
    if not samples:
        return False
    members = [s for s, label in zip(samples, found.clusters, strict=True) if label == found.largest]
    return 2 * sum(sample.is_empty or is_refusal(sample.text, question) for sample in members) > len(members)


def semantic_entropy(
    samples: Sequence[Sample | str],
    *,
    equivalence: Equivalence,
    question: str = "",
    estimator: Estimator = "likelihood",
) -> SemanticEntropy:
    """Cluster answers by meaning and take the entropy over the clusters.

    Args:
        samples: N answers; plain strings have no log-probability.
        equivalence: The judge of "means the same".
        question: The question, for judges that read it.
        estimator: ``likelihood``, ``discrete`` or ``paper``, see the module.

    Returns:
        The entropy; 0 for no answer and for one.

    Raises:
        ConfigurationError: If the estimator is unknown.
    """
    return entropy_of(
        samples, cluster(samples, equivalence=equivalence, question=question), estimator=estimator
    )


def entropy_of(
    samples: Sequence[Sample | str], clusters: Sequence[int], *, estimator: Estimator = "likelihood"
) -> SemanticEntropy:
    """Take the entropy of answers whose clusters are known.

    Args:
        samples: N answers.
        clusters: N cluster numbers, counted from 0 without a gap.
        estimator: As in `semantic_entropy`.

    Returns:
        The entropy.

    Raises:
        ConfigurationError: If the estimator is unknown or the lengths differ.
    """
    if estimator not in get_args(Estimator):
        raise ConfigurationError(
            f"unknown estimator {estimator!r}: expected one of {', '.join(get_args(Estimator))}"
        )
    if len(samples) != len(clusters):
        raise ConfigurationError(
            f"{len(samples)} answers but {len(clusters)} cluster numbers: expected one each"
        )
    if not samples:
        return SemanticEntropy(0.0, 0.0, estimator, (), ())
    labels = np.asarray(clusters, dtype=np.intp)
    logprobs = _mean_logprobs(samples)
    used: Estimator = estimator
    if logprobs is None or estimator == "discrete":
        used, logprobs = "discrete", np.zeros(len(samples))
    log_sums = _logsumexp_by_cluster(logprobs, labels)
    log_masses = log_sums - np.logaddexp.reduce(log_sums)
    masses = np.exp(log_masses)
    if used == "paper":
        finite = log_sums[np.isfinite(log_sums)]
        entropy = -float(finite.mean()) + 0.0
    else:
        positive = masses > 0
        entropy = max(0.0, -float(np.sum(masses[positive] * log_masses[positive])))
        entropy = min(entropy, math.log(len(masses)))
    normalized = min(1.0, max(0.0, entropy / math.log(len(samples)))) if len(samples) > 1 else 0.0
    return SemanticEntropy(entropy, normalized + 0.0, used, tuple(labels.tolist()), tuple(masses.tolist()))


def _mean_logprobs(samples: Sequence[Sample | str]) -> FloatArray | None:
    """Length-normalised log-probabilities, shape [N]; None if one is missing, or if none is finite."""
    values = [sample.mean_logprob if isinstance(sample, Sample) else None for sample in samples]
    if any(value is None or math.isnan(value) or value == math.inf for value in values):
        return None
    array = np.array(values, dtype=np.float64)
    return array if np.isfinite(array).any() else None


def _logsumexp_by_cluster(logprobs: FloatArray, labels: NDArray[np.intp]) -> FloatArray:
    sums = np.full(labels.max() + 1, -np.inf)
    np.logaddexp.at(sums, labels, logprobs)
    return sums
