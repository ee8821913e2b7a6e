"""How sure is this model? Samples into clusters of one meaning, clusters into entropy."""

from functools import lru_cache

from confroute.errors import ConfigurationError
from confroute.uncertainty.cache import CachedEquivalence
from confroute.uncertainty.clustering import cluster, cluster_many
from confroute.uncertainty.embedding import EmbeddingEquivalence
from confroute.uncertainty.entropy import (
    Estimator,
    SemanticEntropy,
    declines,
    entropy_of,
    semantic_entropy,
)
from confroute.uncertainty.equivalence import Equivalence
from confroute.uncertainty.exact import ExactEquivalence
from confroute.uncertainty.learned import LearnedEquivalence
from confroute.uncertainty.llm import LLMEquivalence
from confroute.uncertainty.nli import NLIEquivalence
from confroute.uncertainty.refusal import is_refusal

__all__ = [
    "CachedEquivalence",
    "EmbeddingEquivalence",
    "Equivalence",
    "Estimator",
    "ExactEquivalence",
    "LLMEquivalence",
    "LearnedEquivalence",
    "NLIEquivalence",
    "SemanticEntropy",
    "checked_equivalence",
    "cluster",
    "cluster_many",
    "declines",
    "default_equivalence",
    "entropy_of",
    "is_refusal",
    "semantic_entropy",
]


@lru_cache(maxsize=1)
def default_equivalence() -> Equivalence:
    """Return the equivalence that routers use unless told otherwise: the learned one that ships."""
    return LearnedEquivalence()


def checked_equivalence(equivalence: Equivalence | None) -> Equivalence:
    """Return the equivalence, or the default one where there is none.

    Raises:
        ConfigurationError: If it is none.
    """
    if equivalence is None:
        return default_equivalence()
    if isinstance(equivalence, type) or not isinstance(equivalence, Equivalence):
        raise ConfigurationError(
            f"equivalence is {equivalence!r}: expected an object with name, symmetric, threshold and "
            "score(), such as confroute.uncertainty.ExactEquivalence()"
        )
    return equivalence
