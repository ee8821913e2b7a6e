import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute.uncertainty.exact import ExactEquivalence
from confroute.uncertainty.normalize import canonical, parse_options

CHOICE = "Why is there mist?\nA. humidity condensed\nB) it is warm\n(C) it is always so\nD: cool air"

SAME = [
    ("Paris", "paris."),
    ("the Beatles", "Beatles"),
    ("Wilhelm Röntgen", "wilhelm rontgen"),
    ("1,000", "1000.0"),
    ("one thousand", "1000"),
    ("twenty-five", "25"),
    ("2.5 million", "2,500,000"),
    ("50%", "50 percent"),
    ("$5.00", "$5"),
    ("-0", "0"),
    ("14 December 1972", "December 14, 1972"),
    ("1972-12-14", "Dec. 14th 1972."),
    ("December 1972", "Dec, 1972"),
    ("It is Paris.", "Paris"),
    ("The answer is 42", "42"),
    ("ｆｕｌｌ", "full"),
]
DIFFERENT = [
    ("1945", "1946"),
    ("1945", "1945%"),
    ("3/4", "34"),
    ("2.5", "25"),
    ("-5", "5"),
    ("14 December 1972", "14 December 1973"),
    ("C++", "C#"),
    ("yes", "no"),
    ("", "the"),
    ("01/02/2003", "02/01/2003"),
    ("Wilhelm II", "Wilhelm I"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_same(a: str, b: str) -> None:
    assert canonical(a) == canonical(b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different(a: str, b: str) -> None:
    assert canonical(a) != canonical(b)


@pytest.mark.parametrize(
    "answer",
    [
        "B",
        "b",
        "(B)",
        "B.",
        "**B**",
        "B) it is warm",
        "it is warm",
        "The answer is B",
        "Option B",
        "answer: b",
    ],
)
def test_choice_letters(answer: str) -> None:
    assert canonical(answer, CHOICE) == "choice:B"


@pytest.mark.parametrize("answer", ["A cool day", "E", "humidity", "Because it is warm"])
def test_not_a_choice(answer: str) -> None:
    assert not canonical(answer, CHOICE).startswith("choice:")


def test_options() -> None:
    assert list(parse_options(CHOICE)) == ["A", "B", "C", "D"]
    assert parse_options("When was J. S. Bach born?") == {}
    assert canonical("A") == canonical("a") == "a"


@given(a=st.text(max_size=300), question=st.text(max_size=300))
def test_any_text_is_equivalent_to_itself(a: str, question: str) -> None:
    score = ExactEquivalence().score([(question, a, a)])
    assert score.tolist() == [1.0]


@given(st.integers(-(10**15), 10**15))
def test_numbers_in_every_grouping(n: int) -> None:
    assert canonical(f"{n:,}") == canonical(str(n)) == canonical(f"{n}.00") == f"number:{n}"


def test_lone_surrogates_are_read() -> None:
    assert canonical("\ud800 five") == canonical("\ud800 five")


def test_long_texts_are_only_text() -> None:
    assert canonical("9" * 100_000) == "9" * 100_000
