"""Heads: one interface, ties as half a win, closed forms against solvers, state that survives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from confroute.errors import ConfigurationError
from confroute.evaluation import auroc
from confroute.heads import (
    HEADS,
    KNNHead,
    MatrixFactorizationHead,
    MLPHead,
    RandomHead,
    SimilarityWeightedHead,
    make_head,
    restore_head,
    wins_of,
)

LEARNING = ["similarity-weighted", "matrix-factorization", "mlp", "knn"]


def easy(n: int = 400, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Questions whose need for the cloud is one direction of the embedding, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 16)).astype(np.float32)
    return x, np.where(x[:, 0] + 0.3 * rng.normal(size=n) > 0, "cloud", "edge")


@pytest.mark.parametrize("name", HEADS)
def test_scores_are_in_the_unit_interval_and_survive_saving(name: str) -> None:
    x, labels = easy()
    head = make_head(name).fit(x, labels)
    scores = head.score(x[:50] * 7)  # length does not matter
    assert scores.shape == (50,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    again = restore_head(head.name, head.params, head.arrays)
    assert np.array_equal(again.score(x[:50]), head.score(x[:50]))
    assert head.score(np.zeros((0, 16))).shape == (0,)


@pytest.mark.parametrize("name", LEARNING)
def test_heads_learn_what_there_is_to_learn(name: str) -> None:
    x, labels = easy()
    held_x, held = easy(seed=1)
    scores = make_head(name).fit(x, labels).score(held_x)
    assert auroc(scores, held == "cloud", n_resamples=10).estimate > 0.85


@pytest.mark.parametrize("name", HEADS)
def test_one_question_gets_the_same_score_alone_and_among_others(name: str) -> None:
    x, labels = easy()
    head = make_head(name).fit(x, labels)
    alone = np.concatenate([head.score(row[None]) for row in x])
    assert alone == pytest.approx(head.score(x), abs=2e-6)  # float32 sums hang on the batch


@pytest.mark.parametrize("name", ["matrix-factorization", "mlp", "random"])
def test_seeds_decide_and_nothing_else(name: str) -> None:
    x, labels = easy(100)
    first = make_head(name, {"seed": 1}).fit(x, labels).score(x)
    np.random.seed(5)  # noqa: NPY002 - the global state must not matter
    assert np.array_equal(make_head(name, {"seed": 1}).fit(x, labels).score(x), first)
    assert not np.array_equal(make_head(name, {"seed": 2}).fit(x, labels).score(x), first)


@pytest.mark.parametrize("name", ["similarity-weighted", "knn"])
def test_a_tie_is_one_win_for_each_side(name: str) -> None:
    x, labels = easy(60)
    tied = labels.astype(object)
    tied[:20] = "tie"
    doubled_x = np.concatenate([x, x])
    doubled = np.concatenate([np.where(tied == "tie", "edge", tied), np.where(tied == "tie", "cloud", tied)])
    single = make_head(name, {"n_neighbors": 5} if name == "knn" else {})
    double = make_head(name, {"n_neighbors": 10} if name == "knn" else {})
    assert single.fit(x, tied).score(x) == pytest.approx(double.fit(doubled_x, doubled).score(x), abs=2e-6)


@pytest.mark.parametrize("name", ["matrix-factorization", "mlp"])
def test_ties_alone_teach_indifference(name: str) -> None:
    x, _ = easy(100)
    assert make_head(name).fit(x, ["tie"] * 100).score(x) == pytest.approx(np.full(100, 0.5), abs=0.06)


def test_labels_and_win_rates_are_the_same_thing() -> None:
    assert list(wins_of(["edge", "tie", "cloud"])) == list(wins_of([0, 0.5, 1.0])) == [0, 0.5, 1]


def test_similarity_weighted_is_the_bradley_terry_optimum() -> None:
    """The paper fits coefficients per query by weighted cross-entropy; RouteLLM uses this very solver."""
    linear = pytest.importorskip("sklearn.linear_model")
    x, labels = easy(80)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    scores = SimilarityWeightedHead().fit(x, labels).score(x[:10])
    for query, score in zip(unit[:10], scores, strict=True):
        cosine = unit @ query
        weights = 10 * 10 ** (cosine / cosine.max())
        won = (labels == "cloud").astype(int)
        signs = np.where(won == 1, 1.0, -1.0)  # half of the battles seen from each side
        solver = linear.LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10, max_iter=1000)
        solver.fit(
            np.concatenate([np.ones_like(signs), -np.ones_like(signs)])[:, None],
            np.concatenate([won, 1 - won]),
            sample_weight=np.concatenate([weights, weights]),
        )
        assert score == pytest.approx(1 / (1 + np.exp(-solver.coef_[0, 0])), abs=1e-4)


def test_similarity_weighted_by_hand() -> None:
    head = SimilarityWeightedHead().fit([[1, 0], [0, 1]], ["cloud", "edge"])
    # cosines 1 and 0, weights 100 and 10
    assert head.score([[2, 0]])[0] == pytest.approx(100 / 110, abs=1e-6)


def test_where_nothing_is_similar_every_question_votes_alike() -> None:
    head = SimilarityWeightedHead().fit([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]], ["cloud", "edge", "edge"])
    assert head.score([[-1, 0]])[0] == pytest.approx(1 / 3, abs=1e-6)


def test_one_neighbour_copies_the_nearest_label() -> None:
    head = KNNHead(n_neighbors=1).fit([[1, 0], [0, 1], [-1, 0]], ["cloud", "edge", "tie"])
    assert list(head.score([[0.9, 0.1], [0.1, 0.9], [-1, -0.1]])) == [1, 0, 0.5]


def test_more_neighbours_than_rows_is_the_mean() -> None:
    assert KNNHead(n_neighbors=99).fit([[1, 0], [0, 1]], ["cloud", "edge"]).score([[1, 0]])[0] == 0.5


def test_factors_multiply_out_to_one_direction() -> None:
    x, labels = easy()
    head = MatrixFactorizationHead().fit(x, labels)
    assert head.arrays["direction"].shape == (16,)
    assert int(np.argmax(np.abs(head.arrays["direction"]))) == 0
    assert head.score(-x) == pytest.approx(1 - head.score(x), abs=2e-6)  # no bias


def test_random_scores_are_uniform() -> None:
    x, labels = easy(4000)
    scores = RandomHead().fit(x, labels).score(x)
    assert np.quantile(scores, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


@pytest.mark.parametrize(
    ("embeddings", "labels", "match"),
    [
        ([[1.0, 0.0]], ["strong"], "unknown label 'strong'"),
        ([[1.0, 0.0]], [1.5], r"outside \[0, 1\]"),
        ([[1.0, 0.0]], ["edge", "cloud"], "1 embeddings but 2 labels"),
        ([1.0, 0.0], ["edge"], "shape"),
        ([[float("nan"), 0.0]], ["edge"], "not finite"),
        (np.zeros((0, 2)), [], "nothing to learn"),
    ],
)
def test_bad_training_rows_are_refused(embeddings: Any, labels: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        KNNHead().fit(embeddings, labels)


def test_an_unfitted_head_says_so() -> None:
    with pytest.raises(ConfigurationError, match="not fitted"):
        MLPHead().score([[1.0]])


def test_another_encoders_rows_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="3 dimensions"):
        KNNHead().fit([[1, 0]], ["edge"]).score([[1, 0, 0]])


@pytest.mark.parametrize(
    ("name", "params", "match"),
    [
        ("forest", {}, "unknown head"),
        ("knn", {"k": 3}, "cannot be made"),
        ("knn", {"n_neighbors": 0}, "at least 1"),
        ("similarity-weighted", {"gamma": 1.0}, "above 1"),
        ("mlp", {"hidden": 0}, "at least 1"),
        ("matrix-factorization", {"rank": 0}, "at least 1"),
    ],
)
def test_impossible_heads_are_refused(name: str, params: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        make_head(name, params)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"columns": np.ones((3, 2)), "wins": np.ones(3)},
        {"columns": np.ones((3, 2)), "wins": np.array([1, np.nan])},
        {"columns": np.ones(2), "wins": np.ones(2)},
        {"columns": np.ones((3, 2)), "wins": np.ones(2), "more": np.ones(1)},
    ],
)
def test_state_that_does_not_fit_is_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="array"):
        restore_head("knn", {}, arrays)
