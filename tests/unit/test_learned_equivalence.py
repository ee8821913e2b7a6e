"""The equivalence model that ships, on every class of answers it is made for, and on hostile input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confroute.errors import ConfigurationError
from confroute.uncertainty import default_equivalence
from confroute.uncertainty.clustering import cluster
from confroute.uncertainty.equivalence import Equivalence
from confroute.uncertainty.learned import WEIGHTS, LearnedEquivalence
from confroute.uncertainty.trees import Trees

CHOICE = "Which gas do plants absorb?\nA. oxygen\nB. carbon dioxide\nC. nitrogen\nD. helium"

SAME = {
    "more or fewer words": [
        ("What is the capital of France?", "Paris", "It is Paris."),
        ("What is the capital of France?", "paris, France", "Paris"),
        ("Who wrote Hamlet?", "William Shakespeare", "Shakespeare"),
        ("Which band was it?", "The Beatles", "Beatles"),
    ],
    "answer within a sentence": [
        ("What is the capital of France?", "The capital of France is Paris.", "Paris"),
        ("When did the war end?", "The war ended in 1945.", "1945"),
        (
            "Who discovered penicillin?",
            "Penicillin was discovered by Alexander Fleming in 1928.",
            "Alexander Fleming",
        ),
    ],
    "aliases and initials": [
        ("Which country is it?", "USA", "United States of America"),
        ("Which country is it?", "UK", "United Kingdom"),
        ("Which organisation is it?", "WHO", "World Health Organization"),
        ("Who wrote Harry Potter?", "J. K. Rowling", "JK Rowling"),
        ("Who was president?", "JFK", "John F. Kennedy"),
    ],
    "numbers": [
        ("How many are there?", "twelve", "12"),
        ("How many are there?", "3,000", "3000"),
        ("How many people live there?", "3 million", "3,000,000"),
        ("How many are there?", "There are twenty-one.", "21"),
    ],
    "units": [
        ("How far is it?", "5 km", "5 kilometres"),
        ("How far is it?", "5 km", "5000 m"),
        ("How long does it take?", "2 hours", "120 minutes"),
        ("What does it cost?", "$5", "5 dollars"),
    ],
    "dates": [
        ("When was it signed?", "July 4, 1776", "4 July 1776"),
        ("When was it signed?", "July 4, 1776", "1776-07-04"),
        ("When was it signed?", "It was signed on July 4, 1776.", "the 4th of July 1776"),
    ],
    "percentages": [
        ("What share is it?", "50%", "50 percent"),
        ("What share is it?", "fifty percent", "50%"),
        ("What share is it?", "50%", "half"),
    ],
    "negation": [
        ("", "It is not true.", "It isn't true."),
        ("", "The drug does not work.", "The drug doesn't work."),
    ],
    "choice letters": [
        (CHOICE, "B", "B. carbon dioxide"),
        (CHOICE, "B", "carbon dioxide"),
        (CHOICE, "(B)", "The answer is B."),
    ],
    "lists": [
        ("What are the colours?", "red, white and blue", "blue, white, red"),
        ("Which countries are they?", "France, Germany and Italy", "Italy, France, Germany"),
    ],
    "yes and no": [
        ("Is it raining?", "Yes", "Yes, it is."),
        ("Is it raining?", "No, it is not.", "Nope"),
    ],
    "refusals": [
        ("Who was it?", "I don't know.", "I'm not sure."),
        ("Who was it?", "Unknown", "I cannot answer that question."),
        ("Who was it?", "I have no idea", "As an AI language model, I do not have that information."),
    ],
    "other languages": [
        ("日本の首都はどこですか", "東京", "東京です"),
        ("Was ist die Hauptstadt?", "Berlin", "Die Hauptstadt ist Berlin."),
        ("Какая столица?", "Москва", "москва"),
        ("Welche Stadt?", "München", "Munchen"),
    ],
    "code": [
        ("", "def f(x):\n    return x + 1", "def f(x):\n    return x + 1\n"),
        ("", "```python\nprint(1)\n```", "```\nprint(1)\n```"),
    ],
}

DIFFERENT = {
    "more or fewer words": [
        ("What is the capital of France?", "Paris", "It is Lyon."),
        ("Which band was it?", "The Beatles", "The Rolling Stones"),
    ],
    "answer within a sentence": [
        ("What is the capital of France?", "The capital of France is Paris.", "Lyon"),
        ("When did the war end?", "The war ended in 1945.", "1946"),
        ("When did the war end?", "The war ended in 1945.", "The war ended in 1946."),
    ],
    "aliases and initials": [
        ("Which agency was it?", "FBI", "CIA"),
        ("Who was it?", "Michael Jackson", "Janet Jackson"),
    ],
    "numbers": [
        ("How many are there?", "twelve", "13"),
        ("How many people live there?", "3.5", "3.5 million"),
        ("What year was it?", "1945", "1946"),
    ],
    "units": [
        ("How far is it?", "5 km", "5 miles"),
        ("How heavy is it?", "10 kg", "10 pounds"),
        ("What does it cost?", "€5", "$5"),
    ],
    "dates": [
        ("When was it signed?", "July 4, 1776", "July 5, 1776"),
        ("When was it signed?", "It was signed on July 4, 1776.", "July 4, 1777"),
    ],
    "percentages": [("What share is it?", "50%", "5%")],
    "negation": [
        ("", "The drug is effective.", "The drug is not effective."),
        ("", "Penguins can fly.", "Penguins can't fly."),
    ],
    "choice letters": [(CHOICE, "A", "B"), (CHOICE, "A. oxygen", "carbon dioxide")],
    "lists": [("What are the colours?", "red, white and blue", "red, white and green")],
    "yes and no": [
        ("Is it raining?", "Yes", "No"),
        ("Is Paris the capital?", "Yes, Paris is the capital of France.", "No"),
    ],
    "refusals": [("Who was it?", "I don't know.", "Paris"), ("Who was it?", "Unknown", "Albert Einstein")],
    "other languages": [("日本の首都はどこですか", "東京", "大阪"), ("Какая столица?", "Москва", "Киев")],
    "code": [
        ("", "def f(x):\n    return x + 1", "def f(x):\n    return x - 1"),
        ("", "for i in range(10):\n    print(i)", "for i in range(11):\n    print(i)"),
    ],
    "one-word swaps": [
        ("", "The car is red.", "The car is blue."),
        ("", "A man plays a guitar.", "A man plays a violin."),
        ("", "The shop is open.", "The shop is closed."),
    ],
}


@pytest.fixture(scope="module")
def learned() -> LearnedEquivalence:
    return LearnedEquivalence()


def flat(table: dict[str, list[tuple[str, str, str]]]) -> list[object]:
    return [
        pytest.param(*pair, id=f"{kind}: {pair[1]} / {pair[2]}"[:90])
        for kind, pairs in table.items()
        for pair in pairs
    ]


@pytest.mark.parametrize(("question", "a", "b"), flat(SAME))
def test_answers_that_mean_the_same_join_both_ways(
    learned: LearnedEquivalence, question: str, a: str, b: str
) -> None:
    assert (learned.score([(question, a, b), (question, b, a)]) >= learned.threshold).all()


@pytest.mark.parametrize(("question", "a", "b"), flat(DIFFERENT))
def test_answers_that_differ_stay_apart(learned: LearnedEquivalence, question: str, a: str, b: str) -> None:
    assert (learned.score([(question, a, b), (question, b, a)]) < learned.threshold).all()


def test_a_sentence_entails_a_vaguer_one_and_not_the_reverse(learned: LearnedEquivalence) -> None:
    exact, vague = "A man plays a guitar.", "A man plays an instrument."
    forward, backward = learned.score([("", exact, vague), ("", vague, exact)])
    assert forward >= learned.threshold > backward


def test_groups_like_the_demo(learned: LearnedEquivalence) -> None:
    answers = ["Paris", "It is Paris.", "Lyon", "paris, France"]
    assert cluster(answers, equivalence=learned, question="What is the capital of France?") == [0, 0, 1, 0]
    assert cluster(["1945", "1946", "In 1945."], equivalence=learned, question="When did it end?") == [
        0,
        1,
        0,
    ]


def test_long_prose_joins_itself_and_not_another_subject(learned: LearnedEquivalence) -> None:
    prose = "The river rises in the hills and flows north through three towns before it meets the sea. " * 30
    other = (
        "Interest rates were raised by a quarter point, and the bank expects prices to fall by spring. " * 30
    )
    same, different = learned.score([("", prose, prose.upper()), ("", prose, other)])
    assert same >= learned.threshold > different


def test_satisfies_the_protocol_and_names_its_weights(learned: LearnedEquivalence) -> None:
    assert isinstance(learned, Equivalence)
    assert learned.name.startswith("learned-")
    assert not learned.symmetric
    assert learned.score([]).shape == (0,)


def test_a_batch_scores_as_single_pairs_do(learned: LearnedEquivalence) -> None:
    pairs = [pair for table in (SAME, DIFFERENT) for found in table.values() for pair in found]
    singles = [LearnedEquivalence().score([pair])[0] for pair in pairs[:5]]
    singles += [learned.score([pair])[0] for pair in pairs[5:]]
    np.testing.assert_allclose(learned.score(pairs), singles, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=80))
def test_any_text_gets_a_probability(a: str, b: str, question: str) -> None:
    scores = LearnedEquivalence().score([(question, a, b), (question, a, a), ("", b, a)])
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[1] >= 0.5


@settings(max_examples=5, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
    st.sampled_from(["", "a", "1", " x/y", "\ud800"]),
)
def test_a_hundred_thousand_characters_are_read_safely(unit: str, tail: str) -> None:
    text = (unit * 100_000)[:100_000] + tail
    scores = LearnedEquivalence().score(
        [("who?", text, "Paris"), (text, "Paris", text), ("", text, text + "z")]
    )
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    "text", ["hundred " * 12_000, "1/" * 50_000, "(" * 100_000, "= 1\n" * 25_000, "A. " * 33_000]
)
def test_repetitive_input_takes_no_long_time(learned: LearnedEquivalence, text: str) -> None:
    assert 0 <= learned.score([("", text, text[:-2] + "7")])[0] <= 1


def test_an_empty_answer_equals_only_an_empty_answer(learned: LearnedEquivalence) -> None:
    empty, spaces, against = learned.score([("q", "", ""), ("q", "", "  \n"), ("q", "", "Paris")])
    assert min(empty, spaces) >= learned.threshold > against


def test_needs_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys; from confroute.uncertainty.learned import LearnedEquivalence; "
        "LearnedEquivalence().score([('q', 'Paris', 'It is Paris.')]); "
        "assert not {'torch', 'transformers', 'sklearn', 'scipy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"equivalence\.json"):
        LearnedEquivalence.load(tmp_path)


def test_a_model_with_other_features_is_refused(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS / "equivalence.safetensors", tmp_path)
    meta = json.loads((WEIGHTS / "equivalence.json").read_text())
    meta["features"] = meta["features"][:-1]
    (tmp_path / "equivalence.json").write_text(json.dumps(meta))
    with pytest.raises(ConfigurationError, match="features"):
        LearnedEquivalence.load(tmp_path)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS / "equivalence.json", tmp_path)
    (tmp_path / "equivalence.safetensors").write_bytes(b"not weights")
    with pytest.raises(ConfigurationError, match="cannot read"):
        LearnedEquivalence.load(tmp_path)


def test_a_copied_folder_gives_the_same_scores(learned: LearnedEquivalence, tmp_path: Path) -> None:
    for name in ("equivalence.json", "equivalence.safetensors"):
        shutil.copy(WEIGHTS / name, tmp_path)
    copy = LearnedEquivalence.load(tmp_path)
    pairs = [pair for found in SAME.values() for pair in found]
    assert copy.name == learned.name
    np.testing.assert_array_equal(copy.score(pairs), learned.score(pairs))


def test_trees_walk_to_the_leaf_that_the_thresholds_name() -> None:
    feature = np.array([[0, 1, 1]])
    threshold = np.array([[0.5, 1.0, 2.0]])
    leaf = np.array([[1.0, 2.0, 3.0, 4.0]])
    rows = np.array([[0.0, 1.0], [0.0, 1.5], [1.0, 2.0], [1.0, 2.5]], dtype=np.float32)
    np.testing.assert_allclose(Trees(feature, threshold, leaf, 10.0).raw(rows), [11, 12, 13, 14])


def test_trees_of_no_binary_shape_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tree arrays"):
        Trees(np.zeros((1, 2), dtype=int), np.zeros((1, 2)), np.zeros((1, 3)), 0.0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Virginia", "West Virginia"),
        ("York", "New York"),
        ("Toy Story", "Toy Story 2"),
        ("Henry", "Henry VIII"),
        ("eastern Europe", "western Europe"),
        ("The price will increase.", "The price will decrease."),
        ("Alice defeated Bob.", "Bob defeated Alice."),
        ("Mars is bigger than Earth.", "Earth is bigger than Mars."),
        ("3-1", "1-3"),
        ("3 pm", "3 am"),
        ("14:30", "15:30"),
        ("Aldous Huxley", "George Orwell wrote it, not Aldous Huxley."),
        ("Sydney", "Many think it is Sydney, but the capital is Canberra."),
    ],
)
def test_answers_that_share_words_and_differ_in_what_decides(a: str, b: str) -> None:
    clusters = [tuple(cluster(pair, equivalence=default_equivalence())) for pair in ([a, b], [b, a])]
    assert clusters == [(0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("3 pm", "15:00"),
        ("noon", "12 pm"),
        ("dogs and cats", "cats and dogs"),
        ("Alice married Bob.", "Bob married Alice."),
        ("1945", "in 1945"),
        ("Canberra", "Many think it is Sydney, but the capital is Canberra."),
        ("George Orwell", "George Orwell wrote it, not Aldous Huxley."),
    ],
)
def test_contrasts_leave_alone_what_means_the_same(a: str, b: str) -> None:
    clusters = [tuple(cluster(pair, equivalence=default_equivalence())) for pair in ([a, b], [b, a])]
    assert clusters == [(0, 0), (0, 0)]
