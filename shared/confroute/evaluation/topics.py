"""Where a router errs: by topic, and question by question."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from confroute.errors import require
from confroute.evaluation.bootstrap import Interval
from confroute.evaluation.inference import mean_interval
from confroute.evaluation.measure import Evaluation

_FEWEST_PER_TOPIC = 20
_MOST_TOPICS = 12
_WORDS = 3
_MOST_TERMS = 5000
_DIMENSIONS = 20


@dataclass(frozen=True)
class Topic:
    """How a router does on one topic.

    Attributes:
        name: The topic, or the words that tell a cluster of questions from the others.
        n: Number of questions.
        edge: Mean quality of the edge.
        cloud: Mean quality of the cloud.
        routed: Mean quality of the router at its threshold.
        share: Cloud share there.
        lost: Mean quality lost against always taking the better answer.
        missed: Questions left to the edge though the cloud's answer was better.
        wasted: Questions sent to the cloud though the edge's answer was as good.
    """

    name: str
    n: int
    edge: float
    cloud: float
    routed: float
    share: float
    lost: Interval
    missed: int
    wasted: int


@dataclass(frozen=True)
class Error:
    """One question that went the wrong way."""

    question: str
    score: float
    edge: float
    cloud: float


def topics(evaluation: Evaluation) -> list[Topic]:
    """Return the topics where the router loses most quality in all, worst first, twelve at most.

    The data's own topics where it has them, else clusters of questions with similar words (TF-IDF, latent
    semantic analysis, k-means).

    Raises:
        MissingExtraError: If scikit-learn is needed and not installed.
    """
    data = evaluation.outcomes
    names = data.topics if data.topics is not None else cluster_names(data.questions, seed=evaluation.seed)
    up = evaluation.to_cloud
    edge, cloud = data.edge_quality, data.cloud_quality
    routed = np.where(up, cloud, edge)
    lost = np.maximum(edge, cloud) - routed
    _, which = np.unique(np.array(names, dtype=object), return_inverse=True)
    found = []
    for topic in range(which.max() + 1):
        inside = np.flatnonzero(which == topic)
        better = cloud[inside] > edge[inside]
        found.append(
            Topic(
                name=names[inside[0]],
                n=len(inside),
                edge=float(edge[inside].mean()),
                cloud=float(cloud[inside].mean()),
                routed=float(routed[inside].mean()),
                share=float(up[inside].mean()),
                lost=mean_interval(lost[inside], seed=evaluation.seed),
                missed=int((~up[inside] & better).sum()),
                wasted=int((up[inside] & ~better).sum()),
            )
        )
    return sorted(found, key=lambda topic: -topic.n * topic.lost.estimate)[:_MOST_TOPICS]


def worst_questions(evaluation: Evaluation, most: int = 8) -> tuple[list[Error], list[Error]]:
    """Return the errors that the router was surest of.

    Args:
        evaluation: The evaluation.
        most: Most errors of a kind.

    Returns:
        Questions left to the edge though the cloud's answer was better, lowest scores first among those that
        lost most; and questions sent to the cloud though the edge's answer was as good, highest scores first.
    """
    data, scores, up = evaluation.outcomes, evaluation.router.scores, evaluation.to_cloud
    gain = data.cloud_quality - data.edge_quality

    def errors(wrong: NDArray[np.bool_], order: NDArray[np.int64]) -> list[Error]:
        return [
            Error(
                data.questions[i], float(scores[i]), float(data.edge_quality[i]), float(data.cloud_quality[i])
            )
            for i in order
            if wrong[i]
        ][:most]

    return (
        errors(~up & (gain > 0), np.lexsort((scores, -gain))),
        errors(up & (gain <= 0), np.lexsort((-scores, gain))),
    )


def cluster_names(questions: Sequence[str], *, seed: int = 0) -> tuple[str, ...]:
    """Group questions by their words and name each group by its three most telling ones.

    Args:
        questions: n questions.
        seed: Seed of k-means.

    Returns:
        The name of each question's group; one group for fewer than 40 questions.

    Raises:
        MissingExtraError: If scikit-learn is not installed.
    """
    k = min(_MOST_TOPICS, len(questions) // _FEWEST_PER_TOPIC)
    if k < 2:
        return ("all questions",) * len(questions)
    require("sklearn", extra="evaluate", purpose="Grouping questions by topic")
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    words = TfidfVectorizer(
        stop_words="english",
        sublinear_tf=True,
        max_features=_MOST_TERMS,
        min_df=2,
        token_pattern=r"(?u)\b[^\W\d_]{3,}\b",  # noqa: S106 - a pattern of words, no password
    )
    try:
        vectors = words.fit_transform(questions)
    except ValueError:  # no word occurs in two questions
        return ("all questions",) * len(questions)
    if vectors.shape[1] <= _WORDS:
        return ("all questions",) * len(questions)
    terms = words.get_feature_names_out()
    # k-means on sparse short texts puts nearly all into one cluster; in a few latent dimensions it does not.
    latent = TruncatedSVD(min(_DIMENSIONS, len(terms) - 1), random_state=seed).fit_transform(vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer groups than asked for will do
        labels = KMeans(n_clusters=k, n_init=3, random_state=seed).fit_predict(normalize(latent))
    _, labels = np.unique(labels, return_inverse=True)
    groups = range(labels.max() + 1)
    centres = np.stack([np.asarray(vectors[labels == label].mean(axis=0)).ravel() for label in groups])
    telling = np.argsort(-(centres - centres.mean(axis=0)), axis=1)[:, :_WORDS]
    names = [", ".join(terms[i] for i in row) for row in telling]
    return tuple(names[label] for label in labels)
