from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute.decision import Sample, ToolCall
from confroute.errors import ConfigurationError
from confroute.uncertainty import CachedEquivalence, ExactEquivalence, cluster, cluster_many
from confroute.uncertainty.equivalence import FloatArray, Pair


class TableEquivalence:
    """Scores pairs by a function, and records every batch."""

    name = "table"
    threshold = 0.5

    def __init__(self, entails: Callable[[str, str], bool], *, symmetric: bool = False) -> None:
        self.entails = entails
        self.symmetric = symmetric
        self.batches: list[list[Pair]] = []

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        self.batches.append(list(pairs))
        return np.array([float(self.entails(a, b)) for _, a, b in pairs])


def sequential(texts: Sequence[str], entails: Callable[[str, str], bool]) -> list[int]:
    """The literature's algorithm, one candidate and one pair at a time."""
    representatives: list[str] = []
    label_of: dict[str, int] = {}
    for text in texts:
        if text in label_of:
            continue
        for label, representative in enumerate(representatives):
            if entails(text, representative) and entails(representative, text):
                label_of[text] = label
                break
        else:
            label_of[text] = len(representatives)
            representatives.append(text)
    return [label_of[text] for text in texts]


TEXTS = st.lists(st.sampled_from("abcdefgh"), max_size=12)
RELATION = st.frozensets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=64)


@given(groups=st.lists(TEXTS, max_size=5), relation=RELATION)
def test_lockstep_clusters_equal_the_sequential_ones(
    groups: list[list[str]], relation: frozenset[tuple[str, str]]
) -> None:
    equivalence = TableEquivalence(lambda a, b: (a, b) in relation)
    found = cluster_many([(f"q{i}", texts) for i, texts in enumerate(groups)], equivalence=equivalence)
    assert found == [sequential(texts, lambda a, b: (a, b) in relation) for texts in groups]


@given(texts=TEXTS, relation=RELATION)
def test_no_pair_is_scored_twice_and_none_in_vain(
    texts: list[str], relation: frozenset[tuple[str, str]]
) -> None:
    asked: list[tuple[str, str]] = []

    def entails(a: str, b: str) -> bool:
        asked.append((a, b))
        return (a, b) in relation

    equivalence = TableEquivalence(entails)
    cluster(texts, equivalence=equivalence)
    batched = list(asked)
    asked.clear()
    sequential(texts, entails)
    assert len(batched) == len(set(batched))
    assert set(batched) == set(asked)


@given(texts=st.lists(st.text(max_size=4), max_size=10), data=st.data())
def test_order_does_not_matter_where_equivalence_is_transitive(texts: list[str], data: st.DataObject) -> None:
    equivalence = TableEquivalence(lambda a, b: len(a) == len(b), symmetric=True)
    order = data.draw(st.permutations(range(len(texts))))
    labels = cluster(texts, equivalence=equivalence)
    shuffled = cluster([texts[i] for i in order], equivalence=equivalence)
    together = [[labels[i] == labels[j] for j in order] for i in order]
    assert together == [[a == b for b in shuffled] for a in shuffled]


def test_first_matching_cluster_wins_and_chains_do_not_merge() -> None:
    steals = {("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}
    chain = {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    assert cluster(["a", "b", "c"], equivalence=TableEquivalence(lambda a, b: (a, b) in steals)) == [0, 1, 0]
    assert cluster(["a", "b", "c"], equivalence=TableEquivalence(lambda a, b: (a, b) in chain)) == [0, 0, 1]


def test_one_direction_is_not_enough() -> None:
    one_way = TableEquivalence(lambda a, b: (a, b) == ("b", "a"))
    assert cluster(["a", "b"], equivalence=one_way) == [0, 1]


def test_questions_share_batches_two_a_meaning() -> None:
    equivalence = TableEquivalence(lambda a, b: a[0] == b[0])
    groups = [(f"q{i}", [f"x{i}", f"y{i}", f"xx{i}", f"yy{i}"]) for i in range(50)]
    assert cluster_many(groups, equivalence=equivalence) == [[0, 1, 0, 1]] * 50
    assert [len(batch) for batch in equivalence.batches] == [150, 50, 50, 50]


def test_a_symmetric_judge_is_asked_one_direction() -> None:
    equivalence = TableEquivalence(lambda a, b: True, symmetric=True)
    assert cluster(["a", "b", "c"], equivalence=equivalence) == [0, 0, 0]
    assert len(equivalence.batches) == 1


def test_tool_calls_share_a_cluster_only_with_equal_calls() -> None:
    samples = [
        Sample("", tool_calls=(ToolCall("search", {"q": "x", "n": 1}),)),
        Sample("search", tool_calls=()),
        Sample("let me look", tool_calls=(ToolCall("search", {"n": 1, "q": "x"}),)),
        Sample("", tool_calls=(ToolCall("search", {"q": "y", "n": 1}),)),
    ]
    everything = TableEquivalence(lambda a, b: True)
    assert cluster(samples, equivalence=everything) == [0, 1, 0, 2]


def test_empty_and_single_inputs() -> None:
    assert cluster([], equivalence=ExactEquivalence()) == []
    assert cluster(["x"], equivalence=ExactEquivalence()) == [0]
    assert cluster_many([], equivalence=ExactEquivalence()) == []


def test_nan_means_not_equivalent(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(TableEquivalence):
        def score(self, pairs: Sequence[Pair]) -> FloatArray:
            return np.full(len(pairs), np.nan)

    assert cluster(["a", "b"], equivalence=Broken(lambda a, b: True)) == [0, 1]
    assert "NaN" in caplog.text


def test_a_wrong_shape_is_refused() -> None:
    class Broken(TableEquivalence):
        def score(self, pairs: Sequence[Pair]) -> FloatArray:
            return np.zeros(len(pairs) + 1)

    with pytest.raises(ConfigurationError, match="expected \\(1,\\)"):
        cluster(["a", "b"], equivalence=Broken(lambda a, b: True))


def test_cached_scores_survive_the_process_and_are_not_asked_again(tmp_path: object) -> None:
    path = f"{tmp_path}/scores.sqlite"
    groups = [("q", ["a", "b", "aa", "bb"])]
    first = TableEquivalence(lambda a, b: a[0] == b[0])
    with CachedEquivalence(first, path) as cached:
        expected = cluster_many(groups, equivalence=cached)
    second = TableEquivalence(lambda a, b: pytest.fail("asked again"))
    with CachedEquivalence(second, path) as cached:
        assert cluster_many(groups, equivalence=cached) == expected
    assert not second.batches


def test_a_cache_keeps_judges_apart(tmp_path: object) -> None:
    path = f"{tmp_path}/scores.sqlite"
    yes, no = TableEquivalence(lambda a, b: True), TableEquivalence(lambda a, b: False)
    no.name = "other"
    with CachedEquivalence(yes, path) as a, CachedEquivalence(no, path) as b:
        assert a.score([("q", "x", "y")]).tolist() == [1.0]
        assert b.score([("q", "x", "y")]).tolist() == [0.0]


def test_a_calculation_that_was_cut_off_shares_no_cluster() -> None:
    cut = Sample(
        "First 3 * 4 = 12, and then we take 12 from the 20 that there were, so that 20 - 12", cut=True
    )
    question = "How many are left?"
    assert cluster([cut, cut, "8"], equivalence=ExactEquivalence(), question=question) == [0, 1, 2]
