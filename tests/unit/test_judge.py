"""The judge: orders, ties, bias, agreement, cost, and that nothing is asked twice."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confroute.decision import RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError, ModelError
from confroute.evaluation import judge
from confroute.evaluation.asking import CachedModel, ReplyCache
from confroute.evaluation.judge_prompts import CHOICE, MT_BENCH, PAPER
from confroute.testing import ScriptedSampler

SHOWN = re.compile(r"\[Answer ([A-Z])\]\n(.*?)\n\[End of answer", re.DOTALL)


def shown(request: RouteRequest) -> dict[str, str]:
    """The answers that the judge sees, by letter."""
    return dict(SHOWN.findall(request.messages[-1].text))


def preferring(worth: Callable[[str], float]) -> ScriptedSampler:
    """A judge that names the answers of the highest worth, wherever they stand."""

    def reply(request: RouteRequest, number: int) -> str:
        answers = shown(request)
        best = max(map(worth, answers.values()))
        named = [letter for letter, text in answers.items() if worth(text) == best]
        return f"Because of this and that: [[{', '.join(named)}]]"

    return ScriptedSampler(reply, name="fair")


QUESTIONS = [f"question {i}" for i in range(12)]
GOOD = [f"good {i}" for i in range(12)]
BAD = [f"bad {i}" for i in range(12)]


def test_a_fair_judge_is_seen_through_the_shuffling() -> None:
    found = judge(QUESTIONS, {"a": BAD, "b": GOOD}, model=preferring(lambda t: t.startswith("good")))
    assert (found.quality == [0, 1]).all()
    assert found.agreement is not None
    assert found.agreement.estimate == 1
    assert [one.estimate for one in found.position_bias] == [0, 0]
    assert (found.asked, found.unread, found.ties) == (24, 0, 0)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (told["judge"], told["n"], told["mean"]["b"]["estimate"]) == ("fair", 12, 1)
    assert found.difference("b", "a").difference.estimate == 1
    assert found.difference("b", "a").p_value < 0.01


def test_both_orders_are_shown_once_each() -> None:
    model = preferring(len)
    judge(QUESTIONS, {"a": BAD, "b": GOOD}, model=model)
    orders = [tuple(shown(draw.request).values()) for draw in model.draws]
    expected = {(GOOD[i], BAD[i]) for i in range(12)} | {(BAD[i], GOOD[i]) for i in range(12)}
    assert set(orders) == expected
    assert len(orders) == 24


def test_a_judge_that_looks_at_the_place_is_found_out() -> None:
    first = ScriptedSampler(["[[A]]"], name="first")
    found = judge(QUESTIONS, {"a": BAD, "b": GOOD}, model=first)
    assert (found.quality == 0.5).all()
    assert found.agreement is not None
    assert found.agreement.estimate == 0
    assert found.kappa == pytest.approx(-1)
    assert [one.estimate for one in found.position_bias] == [0.5, -0.5]


def test_in_one_order_the_place_is_random() -> None:
    first = ScriptedSampler(["[[A]]"], name="first")
    questions = [f"q{i}" for i in range(400)]
    answers = {"a": [f"x{i}" for i in range(400)], "b": [f"y{i}" for i in range(400)]}
    found = judge(questions, answers, model=first, orders=1)
    assert 0.4 < found.mean("a").estimate < 0.6
    assert found.agreement is None


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(0, 99), st.data())
def test_k_answers_in_any_order_give_the_wins_of_a_plain_count(k: int, seed: int, data: Any) -> None:
    worth = [data.draw(st.lists(st.integers(0, 2), min_size=k, max_size=k)) for _ in range(4)]
    names = [f"m{j}" for j in range(k)]
    answers = {name: [f"{i}-{j}-{worth[i][j]}" for i in range(4)] for j, name in enumerate(names)}
    found = judge(
        QUESTIONS[:4], answers, model=preferring(lambda t: int(t[-1])), seed=seed, max_concurrency=1
    )
    for i, row in enumerate(worth):
        winners = [w == max(row) for w in row]
        assert found.quality[i] == pytest.approx([won / sum(winners) for won in winners])
    assert [one.estimate for one in found.position_bias] == pytest.approx([0] * k)
    assert found.agreement is not None
    assert found.agreement.estimate == 1


def test_every_answer_stands_at_every_place() -> None:
    model = preferring(len)
    judge(["q"], {name: [name] for name in "xyz"}, model=model)
    places = {(place, text) for d in model.draws for place, text in enumerate(shown(d.request).values())}
    assert places == set(itertools.product(range(3), "xyz"))


def test_agreement_and_kappa_equal_hand_figures() -> None:
    # Two questions: one judged alike in both orders, one by its place.
    def reply(request: RouteRequest, number: int) -> str:
        if "question 0" in request.messages[-1].text:
            return next(f"[[{x}]]" for x, text in shown(request).items() if text.startswith("good"))
        return "[[A]]"

    found = judge(QUESTIONS[:2], {"a": BAD[:2], "b": GOOD[:2]}, model=ScriptedSampler(reply))
    assert found.agreement is not None
    assert found.agreement.estimate == pytest.approx(0.5)
    # Verdicts: b, b, a, b; chance agreement (1/4)² + (3/4)² = 5/8.
    assert found.kappa == pytest.approx((0.5 - 0.625) / (1 - 0.625))


def test_equal_answers_are_a_tie_that_costs_nothing() -> None:
    model = preferring(len)
    found = judge(["q"], {"a": ["same"], "b": ["same"]}, model=model)
    assert list(found.quality[0]) == [0.5, 0.5]
    assert not model.draws
    assert (found.asked, found.usage.usd) == (0, 0)


def test_contestants_with_one_answer_share_its_win() -> None:
    found = judge(["q"], {"a": ["best"], "b": ["best"], "c": ["bad"]}, model=preferring(len))
    assert list(found.quality[0]) == [0.5, 0.5, 0]


def test_in_the_papers_setting_each_one_named_wins() -> None:
    letters = iter(["A, B", "A and B", "B"])
    model = ScriptedSampler(lambda request, number: next(letters))
    found = judge(
        ["q"],
        {"a": ["1"], "b": ["2"], "c": ["3"]},
        model=model,
        prompt="paper",
        references=["42"],
        max_concurrency=1,
    )
    assert found.quality.sum() == pytest.approx(5 / 3)
    assert "Right answer:\n42" in model.draws[0].request.messages[-1].text
    assert model.draws[0].settings["max_tokens"] == PAPER.max_tokens


def test_what_cannot_be_read_counts_for_nobody() -> None:
    replies = iter(["I cannot tell.", "[[C]]", "[[A]]", "[[A]]"])
    model = ScriptedSampler(lambda request, number: next(replies))
    found = judge(["q", "r"], {"a": ["1", "2"], "b": ["3", "4"]}, model=model, max_concurrency=1)
    assert found.unread == 2
    assert np.isnan(found.quality[0]).all()
    assert found.mean("a").n == 1


def test_a_judge_that_says_nothing_readable_is_an_error_when_asked_for_figures() -> None:
    found = judge(["q"], {"a": ["1"], "b": ["2"]}, model=ScriptedSampler(["hm"]))
    with pytest.raises(ConfigurationError, match="none of the 2 replies"):
        found.mean("a")


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("[[A]]", (0,)),
        ("[[tie]]", (0, 1, 2)),
        ("first I thought [[A]], but [[B]]", (1,)),
        ("[[C, A]]", (0, 2)),
        ("[[Answer B]]", (1,)),
        ("B", (1,)),
        ("A, C.", (0, 2)),
        ("A and B", (0, 1)),
        ("[[a]]", (0,)),
        ("Solution A", (0,)),
        ("The answer is B.", (1,)),
        ("Solutions A and C", (0, 2)),
        ("[[both]]", None),
        ("I cannot say", None),
        ("a dog", None),
        ("[[D]]", None),
        ("[[]]", None),
        ("A is better", None),
        ("", None),
    ],
)
def test_verdicts_are_read(reply: str, named: tuple[int, ...] | None) -> None:
    assert CHOICE.read_choice(reply, 3) == named


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("Rating: [[7]]", 7),
        ("[[2]] no, [[8.5]]", 8.5),
        ("Rating: [[11]]", None),
        ("[[good]]", None),
        ("7", None),
    ],
)
def test_grades_are_read(reply: str, grade: float | None) -> None:
    assert MT_BENCH.read_grade(reply) == grade


def test_grades_look_at_one_answer_at_a_time() -> None:
    model = ScriptedSampler(
        lambda request, number: f"[[{9 if 'good' in request.messages[-1].text else 3}]]", name="grader"
    )
    found = judge(
        QUESTIONS, {"a": BAD, "b": GOOD}, model=model, prompt="mt-bench", references=["ref", *[None] * 11]
    )
    assert (found.quality == [3, 9]).all()
    assert found.mean("b").estimate == 9
    assert (found.agreement, found.kappa, found.position_bias) == (None, None, ())
    texts = [draw.request.messages[-1].text for draw in model.draws]
    assert sum("Reference Answer]\nref" in text for text in texts) == 2


def test_braces_and_letters_in_answers_change_nothing() -> None:
    text = CHOICE.messages("{answers} {reference}", ["{letter}", "[[A]]"], None)[-1].text
    assert "{answers} {reference}" in text
    assert "[Answer A]\n{letter}\n" in text


def test_a_run_that_died_goes_on_where_it_was(tmp_path: Path) -> None:
    asked = 0

    def reply(request: RouteRequest, number: int) -> Sample:
        nonlocal asked
        asked += 1
        if asked == 8:
            raise ValueError("the judge is out of order")
        return Sample("[[A]]", usage=Usage(input_tokens=10, output_tokens=1, usd=0.01))

    arguments: dict[str, Any] = {
        "model": ScriptedSampler(reply, name="j"),
        "cache": tmp_path / "judge.sqlite",
        "max_concurrency": 1,
    }
    with pytest.raises(ModelError, match="out of order"):
        judge(QUESTIONS, {"a": BAD, "b": GOOD}, **arguments)
    found = judge(QUESTIONS, {"a": BAD, "b": GOOD}, **arguments)
    assert asked == 25  # 24 replies and the one that failed
    assert found.usage.usd == pytest.approx(0.24)
    assert found.spent.usd == pytest.approx(0.17)
    again = judge(QUESTIONS, {"a": BAD, "b": GOOD}, **arguments)
    assert asked == 25
    assert (again.quality == found.quality).all()
    assert again.spent.usd == 0


def test_transient_failures_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confroute.labelling.retry.Backoff.__call__", lambda self, state: 0.0)
    failures = iter([TimeoutError(), ConnectionError()])

    def reply(request: RouteRequest, number: int) -> str:
        for failure in failures:
            raise failure
        return "fine"

    with ReplyCache() as cache:
        asked = CachedModel(ScriptedSampler(reply), cache).ask(RouteRequest.from_text("q"))
    assert asked.samples[0].text == "fine"


def test_unknown_money_stays_unknown_and_prices_are_used() -> None:
    def reply(request: RouteRequest, number: int) -> Sample:
        return Sample("[[A]]", usage=Usage(input_tokens=100, output_tokens=10))

    answers = {"a": ["1"], "b": ["2"]}
    unknown = judge(["q"], answers, model=ScriptedSampler(reply, name="no-such-model"))
    assert unknown.usage.usd is None
    prices = {"no-such-model": (1e-6, 1e-5)}
    priced = judge(["q"], answers, model=ScriptedSampler(reply, name="no-such-model"), prices=prices)
    assert priced.usage.usd == pytest.approx(2 * 2e-4)


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database " * 100)
    with pytest.raises(ConfigurationError, match="cannot be used to keep replies"):
        ReplyCache(path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"prompt": "nonsense"}, "there is no prompt"),
        ({"answers": {"a": ["1"]}}, "two or more"),
        ({"answers": {"a": ["1"], "b": []}}, "0 answers of 'b'"),
        ({"orders": 0}, "orders is 0"),
        ({"orders": 2, "prompt": "mt-bench"}, "orders is 2"),
        ({"questions": [], "answers": {"a": [], "b": []}}, "no questions"),
        ({"references": ["1", "2"]}, "2 answers of 'references'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], told: str) -> None:
    given = {"questions": ["q"], "answers": {"a": ["1"], "b": ["2"]}, **arguments}
    with pytest.raises(ConfigurationError, match=told):
        judge(given.pop("questions"), given.pop("answers"), model=ScriptedSampler(["[[A]]"]), **given)


def test_more_orders_than_there_are_ask_no_order_twice() -> None:
    coin = ScriptedSampler(lambda request, number: "[[A]]" if number % 2 else "[[B]]", name="coin")
    found = judge(QUESTIONS, {"a": BAD, "b": GOOD}, model=coin, orders=16)
    assert found.asked == 24
    seen = [draw.request.messages[-1].text for draw in coin.draws]
    assert len(set(seen)) == len(seen) == 24


def test_a_question_read_in_one_order_only_credits_nobody() -> None:
    def reply(request: RouteRequest, number: int) -> str:
        first = shown(request)["A"]
        return "[[A]]" if first.startswith("bad") or first.endswith(" 0") else "hard to say"

    found = judge(QUESTIONS, {"a": BAD, "b": GOOD}, model=ScriptedSampler(reply))
    assert np.isnan(found.quality[1:]).all()
    assert found.quality[0].tolist() == [0.5, 0.5]
    assert found.unread == 11
