import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute.decision import Sample
from confroute.errors import ConfigurationError
from confroute.uncertainty import Estimator, ExactEquivalence, entropy_of, semantic_entropy

LOGPROBS = st.floats(min_value=-1e4, max_value=0, allow_nan=False)


def sample(text: str, mean_logprob: float, tokens: int = 3) -> Sample:
    return Sample(text, logprob=mean_logprob * tokens, n_tokens=tokens)


def labelled(n_max: int = 12) -> st.SearchStrategy[list[int]]:
    """Cluster numbers from 0 without a gap, in order of first appearance."""
    return st.lists(st.integers(0, n_max), min_size=1, max_size=n_max).map(
        lambda labels: [list(dict.fromkeys(labels)).index(label) for label in labels]
    )


def reference_likelihood(logprobs: list[float], labels: list[int]) -> float:
    """Nature 2024 Eq. 5, in plain Python, after a shift that leaves it unchanged."""
    top = max(logprobs)
    mass: dict[int, float] = {}
    for value, label in zip(logprobs, labels, strict=True):
        mass[label] = mass.get(label, 0.0) + math.exp(value - top)
    total = sum(mass.values())
    return -sum(m / total * math.log(m / total) for m in mass.values() if m > 0)


@given(labels=labelled(), data=st.data())
def test_likelihood_equals_a_plain_implementation(labels: list[int], data: st.DataObject) -> None:
    logprobs = data.draw(st.lists(LOGPROBS, min_size=len(labels), max_size=len(labels)))
    samples = [sample(str(label), value, 1) for label, value in zip(labels, logprobs, strict=True)]
    found = entropy_of(samples, labels)
    assert found.estimator == "likelihood"
    assert found.entropy == pytest.approx(reference_likelihood(logprobs, labels), abs=1e-9)


@given(labels=labelled(), data=st.data(), estimator=st.sampled_from(["likelihood", "discrete"]))
def test_bounds(labels: list[int], data: st.DataObject, estimator: Estimator) -> None:
    logprobs = data.draw(st.lists(LOGPROBS, min_size=len(labels), max_size=len(labels)))
    samples = [sample("x", value) for value in logprobs]
    found = entropy_of(samples, labels, estimator=estimator)
    k = len(set(labels))
    assert 0 <= found.entropy <= math.log(k) + 1e-12
    assert 0 <= found.normalized <= 1
    assert math.copysign(1, found.entropy) == 1
    assert math.copysign(1, found.normalized) == 1
    assert sum(found.masses) == pytest.approx(1)


@given(labels=labelled(), data=st.data())
def test_order_of_the_samples_does_not_matter(labels: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(labels))))
    samples = [sample("x", -float(i)) for i in range(len(labels))]
    before = entropy_of(samples, labels).entropy
    after = entropy_of([samples[i] for i in order], [labels[i] for i in order]).entropy
    assert after == pytest.approx(before, abs=1e-9)


def test_discrete_by_hand() -> None:
    found = semantic_entropy(["Paris", "paris.", "The Paris", "Rome"], equivalence=ExactEquivalence())
    assert found.clusters == (0, 0, 0, 1)
    assert found.estimator == "discrete"
    assert found.entropy == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert found.normalized == pytest.approx(found.entropy / math.log(4))
    assert float(found) == found.entropy


@pytest.mark.parametrize("n", [1, 2, 10])
def test_agreement_is_plain_zero(n: int) -> None:
    found = semantic_entropy(["same"] * n, equivalence=ExactEquivalence())
    assert str(found.entropy) == str(found.normalized) == "0.0"


def test_total_disagreement_is_one() -> None:
    found = semantic_entropy([str(i) for i in range(10)], equivalence=ExactEquivalence())
    assert found.normalized == 1.0
    assert found.entropy == pytest.approx(math.log(10))


def test_no_answers() -> None:
    found = semantic_entropy([], equivalence=ExactEquivalence())
    assert (found.entropy, found.normalized, found.clusters, found.n_clusters) == (0.0, 0.0, (), 0)


def test_a_cluster_of_negligible_mass_does_not_underflow() -> None:
    found = entropy_of([sample("a", -1), sample("b", -800)], [0, 1])
    assert found.entropy == pytest.approx(0.0, abs=1e-12)
    assert not math.isnan(found.entropy)
    low = entropy_of([sample("a", -5000.0), sample("b", -5000.0)], [0, 1])
    assert low.entropy == pytest.approx(math.log(2))


@pytest.mark.parametrize("logprob", [None, math.nan, math.inf])
def test_one_missing_logprob_makes_it_discrete(logprob: float | None) -> None:
    samples = [sample("a", -1), Sample("b", logprob=logprob, n_tokens=2), sample("b", -3)]
    found = entropy_of(samples, [0, 1, 1])
    assert found.estimator == "discrete"
    assert found.masses == pytest.approx((1 / 3, 2 / 3))


def test_impossible_answers_count_for_nothing() -> None:
    found = entropy_of([sample("a", -1), sample("b", -math.inf)], [0, 1])
    assert found.entropy == 0.0
    assert entropy_of([sample("a", -math.inf)] * 2, [0, 1]).estimator == "discrete"


def test_length_is_normalised() -> None:
    short = Sample("a", logprob=-2.0, n_tokens=2)
    long = Sample("b", logprob=-20.0, n_tokens=20)
    assert entropy_of([short, long], [0, 1]).entropy == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("probabilities", "labels", "expected"),
    [
        ([0.9] * 10, [0] * 10, -2.20),
        ([0.9] * 9 + [0.3], [0] * 9 + [1], -0.44),
        ([0.3] * 10, list(range(10)), 1.20),
    ],
)
def test_the_papers_equation_2(probabilities: list[float], labels: list[int], expected: float) -> None:
    samples = [sample("x", math.log(p)) for p in probabilities]
    found = entropy_of(samples, labels, estimator="paper")
    assert found.estimator == "paper"
    assert found.entropy == pytest.approx(expected, abs=0.006)


def test_masses_ignore_a_common_factor() -> None:
    a = entropy_of([sample("a", -1), sample("b", -2)], [0, 1]).masses
    b = entropy_of([sample("a", -101), sample("b", -102)], [0, 1]).masses
    assert np.allclose(a, b)


def test_bad_arguments() -> None:
    with pytest.raises(ConfigurationError, match="unknown estimator 'nature'"):
        semantic_entropy(["a"], equivalence=ExactEquivalence(), estimator="nature")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ConfigurationError, match="2 answers but 1 cluster"):
        entropy_of(["a", "b"], [0])
