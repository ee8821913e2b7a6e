import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confroute.decision import Decided, Route, RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError
from confroute.routers._stopping import SureStopping, reachable
from confroute.routers.entropy import EntropyRouter
from confroute.testing import ScriptedSampler
from confroute.uncertainty import ExactEquivalence, entropy_of
from confroute.uncertainty.equivalence import FloatArray, Pair

QUESTION = RouteRequest.from_text("What is the capital of France?")
THRESHOLDS = (0.2, 0.35, 0.5, 0.65, 0.8)


class Stream(ScriptedSampler):
    """An edge that goes on in its script from draw to draw, as a model does."""

    def sample(self, request: RouteRequest, n: int, **options: Any) -> list[Sample]:
        done = sum(draw.n for draw in self.draws)
        return super().sample(request, n, seed=done, **options)


def sequences(n: int) -> Iterator[tuple[int, ...]]:
    """All ways in which n samples can fall into clusters, numbered by first appearance."""
    if n == 0:
        yield ()
        return
    for head in sequences(n - 1):
        for label in range(max(head, default=-1) + 2):
            yield (*head, label)


def sizes(labels: Sequence[int]) -> list[int]:
    return list(Counter(labels).values())


def entropy(masses: Sequence[float]) -> float:
    total = sum(masses)
    return -sum(m / total * math.log(m / total) for m in masses if m / total > 0)


def full_verdict(labels: Sequence[int], threshold: float) -> Route:
    found = entropy_of([str(label) for label in labels], labels, estimator="discrete")
    return "cloud" if found.normalized >= threshold else "edge"


def run(rule: SureStopping, labels: Sequence[int]) -> tuple[Route | None, int]:
    """Return the rule's verdict on a sequence of clusters, and after how many; None if it needs them all."""
    drawn = 0
    while True:
        missing = rule.missing(sizes(labels[:drawn]))
        if isinstance(missing, str):
            return missing, drawn
        assert missing >= 1
        drawn += missing
        assert drawn <= len(labels)
        if drawn == len(labels):
            return None, drawn


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("remaining", [1, 2, 3])
def test_the_bounds_on_counts_are_the_extremes_of_all_outcomes(n: int, remaining: int) -> None:
    outcomes: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for labels in sequences(n + remaining):
        outcomes[tuple(sizes(labels[:n]))].append(entropy(sizes(labels)))
    for counts, entropies in outcomes.items():
        least, greatest = reachable(counts, remaining, weighted=False)
        assert least == pytest.approx(min(entropies), abs=1e-12)
        assert greatest == pytest.approx(max(entropies), abs=1e-12)


MASSES = st.lists(st.floats(1e-6, 4), min_size=1, max_size=5)
FURTHER = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=4)


@given(masses=MASSES, further=FURTHER)
def test_no_outcome_of_weighted_samples_is_beyond_the_bounds(
    masses: list[float], further: list[tuple[float, int]]
) -> None:
    least, greatest = reachable(masses, len(further), weighted=True)
    after = list(masses)
    for mass, where in further:
        if where < len(after):
            after[where] += mass
        else:
            after.append(mass)
    assert least - 1e-9 <= entropy(after) <= greatest + 1e-9


@given(masses=MASSES, remaining=st.integers(1, 4))
def test_the_bounds_on_weighted_samples_are_reached(masses: list[float], remaining: int) -> None:
    least, greatest = reachable(masses, remaining, weighted=True)
    joined = [[m + remaining * (i == joins) for i, m in enumerate(masses)] for joins in range(len(masses))]
    assert least == pytest.approx(min(map(entropy, joined)), abs=1e-9)
    added = np.geomspace(1e-9, 1, 4001)
    shares = np.column_stack([np.tile(masses, (len(added), 1)), *[added] * remaining])
    shares /= shares.sum(axis=1, keepdims=True)
    opened = -(shares * np.log(shares)).sum(axis=1)
    assert greatest == pytest.approx(opened.max(), abs=1e-4)
    assert greatest >= opened.max() - 1e-12


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_stopping_for_sure_never_changes_a_verdict_and_stops_as_soon_as_it_can(
    n: int, threshold: float
) -> None:
    """Against all sequences of n clusters: right at the stop, and one sample earlier still undecided."""
    rule = SureStopping(n, threshold)
    verdicts: dict[tuple[int, ...], set[Route]] = defaultdict(set)
    for labels in sequences(n):
        for drawn in range(n + 1):
            verdicts[labels[:drawn]].add(full_verdict(labels, threshold))
    for labels in sequences(n):
        found, drawn = run(rule, labels)
        assert found in {None, full_verdict(labels, threshold)}
        assert drawn == 2 or len(verdicts[labels[: drawn - 1]]) == 2


def test_a_score_on_the_threshold_is_not_settled_by_rounding() -> None:
    """A threshold that is the very score of some clustering is left to the whole draw."""
    threshold = entropy_of(["a"] * 3 + ["b"] * 2, [0] * 3 + [1] * 2, estimator="discrete").normalized
    for labels in sequences(5):
        found, _ = run(SureStopping(5, threshold), labels)
        if sorted(sizes(labels)) == [2, 3]:
            assert found is None


# Through the router.


def routers(n: int, threshold: float, **options: Any) -> tuple[EntropyRouter, EntropyRouter]:
    fixed: dict[str, Any] = {"n_samples": n, "threshold": threshold, "equivalence": ExactEquivalence()}
    return EntropyRouter(**fixed, **options), EntropyRouter(**fixed, adaptive=True, **options)


def check_consistent(decided: Decided) -> None:
    score, threshold = decided.decision.score, decided.decision.threshold
    assert score is not None
    assert threshold is not None
    assert (decided.decision.route == "cloud") == (score >= threshold)


@settings(deadline=None)
@given(
    samples=st.lists(st.tuples(st.sampled_from("abcd"), st.floats(-4, 0)), min_size=6, max_size=6),
    threshold=st.floats(0, 1.1),
    weighted=st.booleans(),
)
def test_adaptive_gives_the_verdict_of_all_samples(
    samples: list[tuple[str, float]], threshold: float, weighted: bool
) -> None:
    script = [Sample(text, logprob=logprob if weighted else None, n_tokens=1) for text, logprob in samples]
    whole, adaptive = routers(6, threshold)
    edge = Stream(script)
    decided = adaptive.decide(QUESTION, edge)
    expected = whole.decide(QUESTION, ScriptedSampler(script)).decision
    assert decided.decision.route == expected.route
    assert decided.decision.n_samples == sum(draw.n for draw in edge.draws) <= 6
    check_consistent(decided)
    if decided.decision.n_samples == 6:
        assert decided.decision.score == expected.score


def test_an_edge_that_agrees_is_asked_less() -> None:
    edge = Stream(["Paris"])
    _, adaptive = routers(5, 0.5)
    decided = adaptive.decide(QUESTION, edge)
    assert [draw.n for draw in edge.draws] == [3, 1]  # after three a verdict is possible: three meanings
    assert decided.decision.n_samples == 4
    assert decided.draft is not None
    assert decided.decision.reason == (
        "4 edge answers with one meaning, and 1 more would not change the verdict: uncertainty of at most "
        "0.31 < 0.50, the edge is sure"
    )


def test_usage_counts_what_was_drawn() -> None:
    priced = Sample("Paris", usage=Usage(input_tokens=10, output_tokens=2, usd=0.5))
    _, adaptive = routers(5, 0.5)
    assert adaptive.decide(QUESTION, Stream([priced])).decision.usage == Usage(
        input_tokens=30, output_tokens=6, usd=1.5
    )


def test_one_missing_log_probability_turns_to_counts() -> None:
    script = [Sample("a", logprob=-0.1, n_tokens=1), Sample("b"), *[Sample("a", logprob=-3, n_tokens=1)] * 4]
    whole, adaptive = routers(6, 0.5)
    decided = adaptive.decide(QUESTION, Stream(script))
    assert decided.evidence is not None
    assert decided.evidence.to_dict()["estimator"] == "discrete"
    assert decided.decision.route == whole.decide(QUESTION, ScriptedSampler(script)).decision.route


async def test_sync_and_async_give_one_verdict() -> None:
    for answers in (["a"], ["a", "b"], ["a", "b", "c", "d"]):
        _, adaptive = routers(7, 0.4)
        decided = adaptive.decide(QUESTION, Stream(answers))
        assert await adaptive.adecide(QUESTION, Stream(answers)) == decided


def test_a_pair_is_judged_once() -> None:
    class Counting(ExactEquivalence):
        def __init__(self) -> None:
            self.asked: Counter[Pair] = Counter()

        def score(self, pairs: Sequence[Pair]) -> FloatArray:
            self.asked.update(pairs)
            return super().score(pairs)

    equivalence = Counting()
    router = EntropyRouter(n_samples=10, threshold=0.6, adaptive=True, equivalence=equivalence)
    edge = Stream(["a", "b", "c", "a", "d", "a", "b", "a", "c", "a"])
    router.decide(QUESTION, edge)
    assert len(edge.draws) > 2
    assert set(equivalence.asked.values()) == {1}


def test_an_unbounded_entropy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs an entropy that is bounded"):
        EntropyRouter(adaptive=True, estimator="paper")


@given(
    answers=st.lists(st.sampled_from(["Paris", "Rome", "I don't know"]), min_size=5, max_size=5),
    threshold=st.floats(0.05, 0.99),
)
def test_stopping_early_changes_no_verdict_where_some_decline(answers: list[str], threshold: float) -> None:
    settings: dict[str, Any] = {
        "threshold": threshold,
        "equivalence": ExactEquivalence(),
        "estimator": "discrete",
    }
    whole = EntropyRouter(**settings).decide(QUESTION, Stream(answers)).decision
    early = EntropyRouter(**settings, adaptive=True).decide(QUESTION, Stream(answers)).decision
    assert early.route == whole.route
