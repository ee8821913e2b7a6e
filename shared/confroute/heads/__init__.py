"""What do the labels teach? Heads that turn embeddings into a score: "the cloud is needed"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from confroute.errors import ConfigurationError
from confroute.heads.base import WINS, Head, wins_of
from confroute.heads.chance import RandomHead
from confroute.heads.learned import MatrixFactorizationHead, MLPHead
from confroute.heads.neighbours import KNNHead, SimilarityWeightedHead

__all__ = [
    "HEADS",
    "WINS",
    "Head",
    "KNNHead",
    "MLPHead",
    "MatrixFactorizationHead",
    "RandomHead",
    "SimilarityWeightedHead",
    "make_head",
    "restore_head",
    "wins_of",
]

HEADS: dict[str, type[Head]] = {
    head.name: head
    for head in (SimilarityWeightedHead, MatrixFactorizationHead, MLPHead, KNNHead, RandomHead)
}
"""The heads by name, as ``confroute train --head`` spells them."""


def make_head(name: str, params: Mapping[str, Any] | None = None) -> Head:
    """Make an unfitted head.

    Args:
        name: One of `HEADS`.
        params: Its constructor's arguments; its defaults if None.

    Raises:
        ConfigurationError: If there is no such head or it takes no such argument.
    """
    if name not in HEADS:
        raise ConfigurationError(f"unknown head {name!r}: expected one of {', '.join(HEADS)}")
    try:
        return HEADS[name](**dict(params or {}))
    except TypeError as error:
        raise ConfigurationError(
            f"the head {name!r} cannot be made from {dict(params or {})}: {error}"
        ) from error


def restore_head(name: str, params: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Head:
    """Make a fitted head from its name, `Head.params` and `Head.arrays`.

    Raises:
        ConfigurationError: If they do not fit together.
    """
    return make_head(name, params).restore(arrays)
