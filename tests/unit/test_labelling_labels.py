"""Preference labels: the rules, their edge cases, and the store's labels against a plain reference."""

from __future__ import annotations

import json
import math
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confroute.decision import Route, RouteRequest, Sample
from confroute.labelling import LabelSettings, SamplingSettings, Store, label
from confroute.labelling.correct import is_right
from confroute.labelling.labels import (
    both_entropies,
    described,
    preference,
    relative_difference,
    written_label_settings,
)
from confroute.labelling.settings import seed_for
from confroute.uncertainty import ExactEquivalence, SemanticEntropy, entropy_of
from confroute.uncertainty.equivalence import FloatArray, Pair
from tests.unit.labelling_doubles import SeededModel, make_questions

PAPER = LabelSettings(rule="paper", estimator="paper")


def entropy(value: float, normalized: float | None = None) -> SemanticEntropy:
    return SemanticEntropy(value, value if normalized is None else normalized, "likelihood", (0,), (1.0,))


def test_the_default_rule_compares_normalised_entropies() -> None:
    at = LabelSettings(tau=0.1)
    assert preference(entropy(0.2), entropy(0.5), at) == "edge"
    assert preference(entropy(0.5), entropy(0.2), at) == "cloud"
    assert preference(entropy(0.5), entropy(0.45), at) == "tie"
    assert preference(entropy(0.0), entropy(0.0), LabelSettings(tau=0)) == "tie"
    assert preference(entropy(0.25), entropy(0.5), LabelSettings(tau=0.25)) == "tie", "more than tau, not tau"


def test_the_papers_rule_is_relative_to_the_cloud() -> None:
    assert relative_difference(edge=1.0, cloud=2.0) == 0.5
    assert relative_difference(edge=1.0, cloud=-2.0) == 1.5
    assert preference(entropy(1.9), entropy(2.0), PAPER) == "tie"
    assert preference(entropy(1.5), entropy(2.0), PAPER) == "edge"
    assert preference(entropy(-1.0), entropy(-2.0), PAPER) == "cloud", "Eq. 2 can be negative"


def test_the_papers_rule_survives_a_zero_denominator() -> None:
    assert relative_difference(edge=0.0, cloud=0.0) == 0.0
    assert relative_difference(edge=1e-3, cloud=0.0) == math.inf
    assert preference(entropy(0.0), entropy(0.0), PAPER) == "tie"
    assert preference(entropy(0.01), entropy(0.0), PAPER) == "cloud"
    assert preference(entropy(-0.01), entropy(0.0), PAPER) == "edge"


def test_one_side_without_logprobs_makes_both_discrete() -> None:
    known = [Sample(t, logprob=-1.0 - i, n_tokens=1) for i, t in enumerate("aab")]
    unknown = [Sample(t) for t in "abc"]
    found = both_entropies(
        {"edge": known, "cloud": unknown}, {"edge": [0, 0, 1], "cloud": [0, 1, 2]}, LabelSettings()
    )
    assert found["edge"].estimator == found["cloud"].estimator == "discrete"
    assert found["edge"] == entropy_of(known, [0, 0, 1], estimator="discrete")


@pytest.mark.parametrize(
    ("answer", "gold", "question", "right"),
    [
        ("Paris", ["paris"], "", True),
        ("The capital is Paris.", ["Paris"], "", True),
        ("Parisian", ["Paris"], "", False),
        ("George Bush", ["George W. Bush", "Bush"], "", True),
        ("14 + 4 = 18", ["18"], "", True),
        ("14 + 4 = 18", ["14"], "", False),
        ("5 pounds", ["5"], "", True),
        ("1,000", ["1000"], "", True),
        ("2.50", ["2.5"], "", True),
        ("July 20, 1969", ["1969"], "", True),
        ("", ["Paris"], "", False),
        ("B", ["B", "B. fog", "fog"], "What?\nA. rain\nB. fog", True),
        ("B. fog", ["B", "B. fog", "fog"], "What?\nA. rain\nB. fog", True),
        ("A or B", ["B", "B. fog", "fog"], "What?\nA. rain\nB. fog", False),
        ("anything", [], "", None),
    ],
)
def test_an_answer_is_right_by_a_fixed_rule(
    answer: str, gold: list[str], question: str, right: bool | None
) -> None:
    assert is_right(answer, gold, question) is right


class TableEquivalence:
    """Directed scores from a table of chance, the same for equal pairs."""

    name = "table"
    symmetric = False

    def __init__(self, seed: int, threshold: float = 0.5) -> None:
        self.seed = seed
        self.threshold = threshold
        self.asked: list[Pair] = []

    def one(self, question: str, a: str, b: str) -> float:
        return float(np.random.default_rng([self.seed, *f"{question}|{a}|{b}".encode()]).random())

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        self.asked += pairs
        return np.array([self.one(*pair) for pair in pairs])


def sequential(question: str, answers: Sequence[str], judge: TableEquivalence) -> list[int]:
    """The literature's algorithm as written: each answer against each representative, in order."""
    representatives: list[str] = []
    known: dict[str, int] = {}
    for answer in answers:
        if answer in known:
            continue
        for number, other in enumerate(representatives):
            forward = judge.one(question, answer, other) >= judge.threshold
            if forward and judge.one(question, other, answer) >= judge.threshold:
                known[answer] = number
                break
        else:
            known[answer] = len(representatives)
            representatives.append(answer)
    return [known[answer] for answer in answers]


class Drawn:
    """A model whose answer to a seed is given."""

    def __init__(self, name: str, answers: dict[int, Sample]) -> None:
        self.name = name
        self.answers = answers

    def sample(self, request: RouteRequest, n: int, *, seed: int | None = None, **rest: Any) -> list[Sample]:
        return [self.answers.get(seed or 0, Sample("greedy"))]

    async def asample(self, request: RouteRequest, n: int, **rest: Any) -> list[Sample]:
        return self.sample(request, n, **rest)


answer = st.builds(
    Sample, st.sampled_from("abcdef"), logprob=st.floats(-30, -0.01) | st.none(), n_tokens=st.just(2)
)


@settings(max_examples=40, deadline=None)
@given(
    data=st.lists(
        st.tuples(st.lists(answer, min_size=4, max_size=4), st.lists(answer, min_size=4, max_size=4)),
        min_size=1,
        max_size=6,
    ),
    seed=st.integers(0, 2**16),
    rule=st.sampled_from([LabelSettings(), LabelSettings(tau=0.3, estimator="discrete"), PAPER]),
)
def test_the_stores_labels_equal_a_sequential_reference(
    data: list[tuple[list[Sample], list[Sample]]], seed: int, rule: LabelSettings
) -> None:
    questions = make_questions(len(data))
    models = {}
    for number, name in enumerate(("small", "large")):
        drawn = {
            seed_for(name, question.id, i + 1): sample
            for question, answers in zip(questions, data, strict=True)
            for i, sample in enumerate(answers[number])
        }
        models[name] = Drawn(name, drawn)
    judge = TableEquivalence(seed)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "run.sqlite"
        label(
            questions,
            edge=models["small"],
            cloud=models["large"],
            store=store,
            sampling=SamplingSettings(n=4),
            labels=rule,
            equivalence=judge,
        )
        db = sqlite3.connect(store)
        clusters = {(q, role): json.loads(c) for q, role, c in db.execute("SELECT * FROM cluster")}
        labels = dict(db.execute("SELECT question, label FROM label").fetchall())
        db.close()
    assert len(judge.asked) == len(set(judge.asked)), "no pair is scored twice"
    for number, (question, (edge, cloud)) in enumerate(zip(questions, data, strict=True)):
        expected = {
            "edge": sequential(question.question, [s.text for s in edge], judge),
            "cloud": sequential(question.question, [s.text for s in cloud], judge),
        }
        assert {role: clusters[number, role] for role in expected} == expected
        found = [
            entropy_of(samples, expected[role], estimator=rule.estimator)
            for role, samples in (("edge", edge), ("cloud", cloud))
        ]
        if found[0].estimator != found[1].estimator:
            found = [
                entropy_of(samples, expected[role], estimator="discrete")
                for role, samples in (("edge", edge), ("cloud", cloud))
            ]
        assert labels[number] == preference(found[0], found[1], rule)


def test_another_threshold_clusters_anew(tmp_path: Path) -> None:
    clusters = {}
    for name, thresholds in {"fresh": [0.9], "changed": [0.2, 0.9]}.items():
        for threshold in thresholds:
            label(
                make_questions(6),
                edge=SeededModel("small"),
                cloud=SeededModel("large"),
                store=tmp_path / name,
                sampling=SamplingSettings(n=4),
                equivalence=TableEquivalence(3, threshold),
            )
        with Store(tmp_path / name, read_only=True) as store:
            clusters[name] = store.rows("SELECT * FROM cluster")
            assert written_label_settings(store)[1] == "table from 0.9"
    assert clusters["changed"] == clusters["fresh"]
    assert described(ExactEquivalence()) == "exact-1"


@pytest.mark.parametrize("said", ["I don't know.", ""])
def test_a_model_that_declines_is_not_sure(said: str) -> None:
    samples: dict[Route, list[Sample]] = {
        "edge": [Sample(said)] * 5,
        "cloud": [Sample("Paris")] * 4 + [Sample("Rome")],
    }
    clusters: dict[Route, list[int]] = {"edge": [0] * 5, "cloud": [0, 0, 0, 0, 1]}
    found = both_entropies(samples, clusters, LabelSettings())
    assert found["edge"].normalized == 1.0
    assert preference(found["edge"], found["cloud"], LabelSettings()) == "cloud"
