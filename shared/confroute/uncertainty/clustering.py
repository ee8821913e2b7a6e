"""Answers into clusters of one meaning.

The algorithm is the literature's (Farquhar et al. 2024; Zhang et al. 2025, §3.1): a candidate joins the first
cluster whose representative, its first member, it entails and is entailed by; otherwise it opens a cluster.
It is walked representative by representative instead of candidate by candidate: all answers that are still
alone are compared with the newest representative in one batch, for all questions at once. That asks for the
same pairs, gives the same clusters, and needs two batches per meaning instead of two per answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from confroute.answers import answer_of, is_unconcluded
from confroute.decision import Sample
from confroute.errors import ConfigurationError
from confroute.uncertainty.equivalence import Equivalence, FloatArray, Pair

logger = logging.getLogger(__name__)

Group = tuple[str, Sequence["Sample | str"]]
"""``(question, answers)``."""


def cluster(samples: Sequence[Sample | str], *, equivalence: Equivalence, question: str = "") -> list[int]:
    """Cluster the answers to one question by meaning.

    What is compared is what of each reply is its answer, see `confroute.answers`. Equal answers share a
    cluster without being scored. Answers that call tools share one only with answers
    that call the same tools with equal arguments.

    Args:
        samples: n answers.
        equivalence: The judge of "means the same".
        question: The question, for judges that read it.

    Returns:
        n cluster numbers, counted from 0 in order of first appearance.
    """
    return cluster_many([(question, samples)], equivalence=equivalence)[0]


def cluster_many(groups: Sequence[Group], *, equivalence: Equivalence) -> list[list[int]]:
    """Cluster the answers to many questions in lockstep, each step in one batch.

    Given equal scores, the clusters equal those of the sequential algorithm, question by question.

    Args:
        groups: m pairs ``(question, answers)``.
        equivalence: The judge of "means the same".

    Returns:
        m lists of cluster numbers, as from `cluster`.
    """
    states = [_State.of(question, samples) for question, samples in groups]
    waiting = [state for state in states if state.open_cluster()]
    while waiting:
        asked = [(state, text) for state in waiting for text in state.unassigned_texts()]
        pairs = [(state.question, text, state.representative) for state, text in asked]
        joins = _entails(equivalence, pairs)
        if not equivalence.symmetric:
            reverse = [(q, b, a) for (q, a, b), forward in zip(pairs, joins, strict=True) if forward]
            backward = iter(_entails(equivalence, reverse))
            joins = [forward and next(backward) for forward in joins]
        for (state, text), join in zip(asked, joins, strict=True):
            if join:
                state.join(text)
        waiting = [state for state in waiting if state.open_cluster()]
    return [state.labels() for state in states]


_Key = tuple[bool, str]  # (is compared as it is and not by the equivalence, the text or the canonical calls)


@dataclass(slots=True)
class _State:
    """One question: its answers in order, and the cluster of each distinct answer once it is known."""

    question: str
    keys: list[_Key]
    cluster_of: dict[_Key, int] = field(default_factory=dict)
    representative: str = ""
    n_clusters: int = 0

    @classmethod
    def of(cls, question: str, samples: Iterable[Sample | str]) -> _State:
        return cls(question, [_key(sample, question, i) for i, sample in enumerate(samples)])

    def open_cluster(self) -> bool:
        """Open a cluster with the first unassigned answer; False once nothing is left to compare."""
        for key in self.keys:
            if key in self.cluster_of:
                continue
            self.cluster_of[key] = self.n_clusters
            self.n_clusters += 1
            calls_tools, text = key
            if not calls_tools and self.unassigned_texts():
                self.representative = text
                return True
        return False

    def unassigned_texts(self) -> list[str]:
        unassigned = (key for key in self.keys if key not in self.cluster_of)
        return list(dict.fromkeys(text for calls_tools, text in unassigned if not calls_tools))

    def join(self, text: str) -> None:
        self.cluster_of[False, text] = self.cluster_of[False, self.representative]

    def labels(self) -> list[int]:
        return [self.cluster_of[key] for key in self.keys]


def _key(sample: Sample | str, question: str, number: int) -> _Key:
    if isinstance(sample, str):
        return (False, answer_of(sample, question))
    if sample.tool_calls:
        return (True, "\n".join(sorted(call.key for call in sample.tool_calls)))
    if sample.cut and is_unconcluded(sample.text, question):
        return (True, f"cut off {number}")  # it agrees with nothing
    return (False, answer_of(sample.text, question))


def _entails(equivalence: Equivalence, pairs: Sequence[Pair]) -> list[bool]:
    """Score each distinct pair once, shortest first so that batches pad little, and apply the threshold."""
    unique = sorted(set(pairs), key=lambda pair: (len(pair[0]) + len(pair[1]) + len(pair[2]), pair))
    if not unique:
        return []
    scores = scored(equivalence, unique)
    entailed = dict(zip(unique, (scores >= equivalence.threshold).tolist(), strict=True))
    return [entailed[pair] for pair in pairs]


def scored(equivalence: Equivalence, pairs: Sequence[Pair]) -> FloatArray:
    """Return an equivalence's scores; NaN counts as 0, with a warning.

    Args:
        equivalence: The equivalence.
        pairs: n pairs.

    Returns:
        Scores, float array of shape [n].

    Raises:
        ConfigurationError: If there are not as many scores as pairs.
    """
    scores = np.array(equivalence.score(pairs), dtype=np.float64)
    if scores.shape != (len(pairs),):
        raise ConfigurationError(
            f"{equivalence.name}: score() returned shape {scores.shape} for {len(pairs)} pairs; "
            f"expected ({len(pairs)},), one score a pair"
        )
    unknown = np.isnan(scores)
    if unknown.any():
        told = "%s: %d of %d scores are NaN; read as 'not equivalent'"
        logger.warning(told, equivalence.name, unknown.sum(), len(scores))
        scores[unknown] = 0.0
    return scores
