"""Baselines: what they rank, and that nothing beats the oracle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from confroute.errors import ConfigurationError
from confroute.evaluation import (
    RoutingCurve,
    edge_confidence_scores,
    oracle_scores,
    prompt_length_scores,
    random_scores,
    random_spread,
)


def test_prompt_length_ranks_by_characters_with_ties() -> None:
    scores = prompt_length_scores(["bb", "a", "cccc", "dd"])
    assert list(scores) == [0.5, 0, 1, 0.5]


def test_prompts_of_one_length_are_all_alike() -> None:
    assert list(prompt_length_scores(["ab", "cd"])) == [0.5, 0.5]


def test_edge_confidence_is_one_minus_probability() -> None:
    assert edge_confidence_scores([0.0, math.log(0.25)]) == pytest.approx([0, 0.75])


def test_a_positive_logprob_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at most 0"):
        edge_confidence_scores([0.5])


def test_no_order_beats_the_oracle() -> None:
    edge, cloud = [0, 1, 0, 1, 0], [1, 1, 1, 0, 0]
    oracle = RoutingCurve.from_scores(oracle_scores(edge, cloud), edge, cloud).apgr
    best = max(
        RoutingCurve.from_scores(order, edge, cloud).apgr for order in itertools.permutations(range(5))
    )
    assert oracle == pytest.approx(best)


def test_random_spread_covers_random_routers_at_its_level() -> None:
    rng = np.random.default_rng(5)
    edge, cloud = rng.random(200) < 0.4, rng.random(200) < 0.7
    spread = random_spread(edge, cloud, n_routers=1000)
    assert spread["apgr"].estimate == pytest.approx(0.5)
    assert spread["cpt80"].estimate == pytest.approx(0.8)
    apgrs = [RoutingCurve.from_scores(random_scores(200, s), edge, cloud).apgr for s in range(1000, 1500)]
    inside = np.mean([(spread["apgr"].low <= value <= spread["apgr"].high) for value in apgrs])
    assert 0.91 < inside < 0.985


def test_random_spread_is_undefined_without_a_gap() -> None:
    assert str(random_spread([1, 1], [1, 0])["apgr"]) == "undefined"
