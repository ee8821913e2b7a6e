"""Every paid request is reserved before it is sent: answers of both models, and samples."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confroute import EntropyRouter
from confroute.choices import share_usage
from confroute.decision import Message, RouteDecision, RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError
from confroute.execution.accounts import Purse, SpendCap
from confroute.execution.breaker import Breaker
from confroute.execution.control import Controls
from confroute.execution.execution import Execution
from confroute.execution.failures import Failure, OutOfBudgetError
from confroute.execution.side import Side
from confroute.execution.turn import Answer, Deciding, drive
from confroute.sampling import Drawing, draw
from confroute.testing import ScriptedRouter, ScriptedSampler
from confroute.uncertainty import ExactEquivalence, LLMEquivalence
from confroute.wishes import Ask

QUESTION = RouteRequest.from_text("q")
IMAGE = RouteRequest((Message("user", "what is this", has_images=True),))
N_TOKENS = 9  # of the question's prompt, at most


def side(name: str, price: tuple[float, float] | None = None, **known: Any) -> Side:
    return Side(name, price=price, max_output_tokens=10, breaker=Breaker(name), **known)


class Paid(ScriptedSampler):
    """Samples that cost a tenth of a dollar each."""

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        usage = Usage(input_tokens=1, output_tokens=1, usd=0.1)
        return [Sample(s.text, usage=usage) for s in super().sample(request, n, **settings)]


def run(
    execution: Execution,
    router: Any,
    sampler: Any = None,
    *,
    request: RouteRequest = QUESTION,
    usd: float | None = 0.0,
    controls: Controls | None = None,
) -> RouteDecision:
    steps = execution.turn(request, controls=controls or Controls())
    step = drive(steps, Deciding(router, lambda: sampler).ask, lambda answer: answer)
    step.receipt.done(Usage(input_tokens=1, output_tokens=1, usd=usd))
    return step.decision


def entropy(**arguments: Any) -> EntropyRouter:
    return EntropyRouter(n_samples=4, probe="brief", max_tokens=10, **arguments)


# What a budget yields to


def test_a_forced_route_goes_before_the_calls_budget() -> None:
    execution = Execution(side("edge"), side("cloud", (0.0, 1.0)))
    decision = run(execution, ScriptedRouter("edge"), controls=Controls(route="cloud", budget=0.5))
    assert (decision.route, decision.method) == ("cloud", "forced")


def test_no_route_goes_before_the_objects_cap() -> None:
    execution = Execution(side("edge"), side("cloud", (0.0, 1.0)), cap=SpendCap(9.0))
    decision = run(execution, ScriptedRouter("edge"), controls=Controls(route="cloud"))
    assert (decision.route, decision.method) == ("edge", "budget")


def test_what_only_the_cloud_can_do_goes_before_the_calls_budget() -> None:
    execution = Execution(side("edge", sees_images=False), side("cloud", (0.0, 1.0)))
    decision = run(execution, ScriptedRouter("edge"), request=IMAGE, controls=Controls(budget=0.5))
    assert (decision.route, decision.method) == ("cloud", "capability")


def test_a_model_that_cannot_see_gets_no_image_for_want_of_money() -> None:
    execution = Execution(side("edge", sees_images=False), side("cloud", (0.0, 1.0)), cap=SpendCap(9.0))
    with pytest.raises(OutOfBudgetError, match="edge cannot see images, and a call of the cloud might cost"):
        run(execution, ScriptedRouter("edge"), request=IMAGE)
    assert execution.cap is not None
    assert execution.cap.left == 9.0


# Samples


def test_samples_are_reserved_and_settled() -> None:
    cap = SpendCap(1.0)
    seen: list[float] = []

    class Watching(Paid):
        def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
            seen.append(cap.left)
            return super().sample(request, n, **settings)

    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.01)), cap=cap)
    decision = run(execution, entropy(), Watching(["a"]), usd=0.05)
    assert (decision.route, decision.n_samples) == ("edge", 4)
    assert seen == [pytest.approx(1.0 - 4 * 10 * 0.01)]
    assert cap.left == pytest.approx(1.0 - 4 * 0.1 - 0.05)


@pytest.mark.parametrize("limit", [{"cap": SpendCap(0.39)}, {"controls": Controls(budget=0.39)}])
def test_samples_that_might_cost_too_much_are_not_drawn(limit: dict[str, Any]) -> None:
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.01)), cap=limit.get("cap"))
    sampler = Paid(["a", "b"])
    decision = run(execution, entropy(), sampler, controls=limit.get("controls"))
    assert (decision.route, decision.method, decision.n_samples) == ("edge", "budget", 0)
    assert sampler.draws == []


def test_the_cloud_leaves_what_deciding_has_spent() -> None:
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.03)))
    sampler = Paid(["a", "b", "c", "d"])
    assert run(execution, entropy(), sampler, controls=Controls(budget=0.8)).route == "cloud"
    assert run(execution, entropy(), sampler, controls=Controls(budget=0.6)).method == "budget"


def test_samples_drawn_in_vain_are_counted() -> None:
    class Halfway(EntropyRouter):
        def decide(self, request: RouteRequest, sampler: Any = None) -> Any:
            super().decide(request, sampler)
            raise RuntimeError("after the samples")

    execution = Execution(side("edge"), side("cloud"))
    decision = run(execution, Halfway(n_samples=3, probe="brief"), Paid(["a"]))
    assert (decision.method, decision.n_samples) == ("fallback", 3)
    assert decision.usage.usd == pytest.approx(0.3)
    assert execution.stats.samples == 3


class Thinks(Paid):
    """Thinks before a brief answer, longer than that may be."""

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        def send(ask: Ask) -> list[Sample]:
            text = "<think>hm" if ask.max_tokens == 32 else "a"
            return [replace(sample, text=text) for sample in super(Thinks, self).sample(request, ask.n)]

        ask = Ask(max_tokens=settings["max_tokens"])
        return draw(Drawing(self, n, ask, lambda sample: sample.is_empty), send)


@pytest.mark.parametrize(("usd", "route", "spent"), [(100.0, "edge", 0.4), (1.5, "cloud", 0.3)])
def test_room_for_a_thought_is_reserved(usd: float, route: str, spent: float) -> None:
    cap = SpendCap(usd)
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.01)), cap=cap)
    router = EntropyRouter(n_samples=3, probe="brief", equivalence=ExactEquivalence())
    decision = run(execution, router, Thinks(["a"]))
    assert (decision.route, decision.method, decision.n_samples) == (route, "entropy", 3)
    assert decision.usage.usd == pytest.approx(spent)
    assert cap.left == pytest.approx(usd - spent)


def test_a_draft_is_paid_once() -> None:
    cap = SpendCap(1.0)
    execution = Execution(side("edge", (0.0, 0.001)), side("cloud", (0.0, 0.001)), cap=cap)
    steps = execution.turn(QUESTION, controls=Controls())
    router = EntropyRouter(n_samples=3, probe="full")
    step = drive(steps, Deciding(router, lambda: Paid(["a"])).ask, lambda answer: answer)
    assert step.draft is not None
    step.receipt.done(None)
    assert cap.left == pytest.approx(0.7)
    assert execution.stats.usd == pytest.approx(0.3)


def test_a_judge_of_meaning_is_part_of_what_deciding_costs() -> None:
    cap = SpendCap(2.0)
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.01)), cap=cap)
    judge = Paid(["contradiction"])
    router = entropy(equivalence=LLMEquivalence(judge))
    decision = run(execution, router, Paid(["a", "b", "c", "d"]), usd=0.05)
    assert (decision.route, decision.n_samples, len(judge.draws)) == ("cloud", 4, 6)
    assert decision.usage.usd == pytest.approx(0.4 + 0.6)
    assert cap.left == pytest.approx(2.0 - 1.0 - 0.05)
    assert execution.stats.usd == pytest.approx(1.05)


def test_each_decision_has_its_own_judges_bill() -> None:
    judge = Paid(["contradiction"])
    router = entropy(equivalence=LLMEquivalence(judge))
    with ThreadPoolExecutor(8) as pool:
        decided = list(pool.map(lambda _: router.decide(QUESTION, Paid(["a", "b", "c", "d"])), range(40)))
    assert {round(d.decision.usage.usd or 0.0, 6) for d in decided} == {1.0}


# An edge that costs money


def test_the_edge_answers_whatever_the_cap_and_is_counted() -> None:
    cap = SpendCap(0.15)
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.02)), cap=cap)
    routes = [run(execution, ScriptedRouter("edge"), usd=0.1).route for _ in range(3)]
    assert routes == ["edge"] * 3
    assert cap.left == pytest.approx(0.15 - 0.3)


def test_the_cloud_leaves_room_for_edge_answers_in_flight() -> None:
    cap = SpendCap(0.25)
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.02)), cap=cap)

    def answer(step: Answer) -> Answer:
        assert run(execution, ScriptedRouter("cloud")).method == "budget"  # 0.15 are left, it might cost 0.2
        return step

    drive(execution.turn(QUESTION), Deciding(ScriptedRouter("edge"), lambda: None).ask, answer)


def test_fifty_concurrent_calls_that_all_cost_money_do_not_overrun_a_cap() -> None:
    cap = SpendCap(10.0)
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.1)), cap=cap)

    def one(i: int) -> RouteDecision:
        steps = execution.turn(QUESTION, controls=Controls())
        sampler = Paid([f"{k}" for k in range(4)])
        step = drive(steps, Deciding(entropy(), lambda: sampler).ask, lambda answer: answer)
        usd = 1.0 if step.decision.route == "cloud" else 0.1  # as much as it may be
        step.receipt.done(Usage(input_tokens=1, output_tokens=1, usd=usd))
        return step.decision

    with ThreadPoolExecutor(50) as pool:
        decisions = list(pool.map(one, range(50)))
    n_cloud = sum(d.route == "cloud" for d in decisions)
    samples = sum(d.usage.usd or 0.0 for d in decisions)
    assert n_cloud > 0
    assert any(d.method == "budget" for d in decisions)
    assert samples + n_cloud <= 10.0
    assert cap.left == pytest.approx(10.0 - samples - n_cloud - 0.1 * (50 - n_cloud))
    assert execution.stats.usd == pytest.approx(10.0 - cap.left)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 1), st.booleans()), max_size=30),
    st.floats(0, 5),
    st.none() | st.floats(0, 5),
)
def test_a_purse_spends_no_more_than_it_has(
    requests: list[tuple[float, float | None, bool]], limit: float, budget: float | None
) -> None:
    cap = SpendCap(limit)
    purse = Purse(cap, budget)
    spent = 0.0
    for most, share, is_settled in requests:
        if purse.reserve(most):
            used = most if share is None else most * share
            if is_settled:
                purse.settle(most, None if share is None else used)
            spent += used if is_settled else most
    assert spent <= limit + 1e-9
    assert budget is None or spent <= budget + 1e-9
    assert cap.left == pytest.approx(limit - spent, abs=1e-9)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(0, 500), st.integers(0, 500))
def test_the_shares_of_a_request_add_up_to_it(lengths: list[int], n_in: int, n_out: int) -> None:
    samples = [Sample("x", n_tokens=n or None) for n in lengths]
    usage = Usage(input_tokens=n_in, output_tokens=n_out, usd=0.25)
    shares = [s.usage for s in share_usage(samples, usage) if s.usage is not None]
    assert sum(u.input_tokens or 0 for u in shares) == n_in
    assert sum(u.output_tokens or 0 for u in shares) == n_out
    assert sum(u.usd or 0.0 for u in shares) == pytest.approx(0.25)


def test_a_longer_choice_has_the_larger_share() -> None:
    samples = [Sample("x", n_tokens=1), Sample("y", n_tokens=3)]
    short, long = share_usage(samples, Usage(input_tokens=10, output_tokens=4, usd=1.0))
    assert short.usage == Usage(input_tokens=5, output_tokens=1, usd=0.25)
    assert long.usage == Usage(input_tokens=5, output_tokens=3, usd=0.75)


# What neither model can do


def test_what_neither_model_can_do_is_an_error_before_anything_is_sent() -> None:
    execution = Execution(side("edge", sees_images=False), side("cloud", sees_images=False))
    sampler = Paid(["a"])
    with pytest.raises(ConfigurationError, match="neither model can serve the request: edge cannot see"):
        run(execution, entropy(), sampler, request=IMAGE)
    assert sampler.draws == []


@pytest.mark.parametrize("kind", ["audio", "video", "pdf"])
def test_other_media_go_by_capability_too(kind: str) -> None:
    request = RouteRequest((Message("user", "what is this", media=frozenset({kind})),))
    execution = Execution(side("edge", reads={kind: False}), side("cloud"))
    decision = run(execution, ScriptedRouter("edge"), request=request)
    assert (decision.route, decision.method) == ("cloud", "capability")
    assert decision.reason == f"edge cannot read {kind}, so the cloud answers"


@pytest.mark.parametrize(("edge", "cloud", "route"), [(50, 60, "cloud"), (60, 50, "edge"), (50, 50, "cloud")])
def test_a_prompt_beyond_both_windows_goes_to_the_larger(edge: int, cloud: int, route: str) -> None:
    request = RouteRequest.from_text("word " * 400)
    sides = side("edge", max_input_tokens=edge), side("cloud", max_input_tokens=cloud)
    sampler = Paid(["a"])
    decision = run(Execution(*sides), entropy(), sampler, request=request)
    assert (decision.route, decision.method) == (route, "capability")
    assert sampler.draws == []


def test_a_loop_keeps_its_route_whatever_threshold_the_call_asks_for() -> None:
    sticky = RouteDecision(route="edge", method="budget", reason="x", score=0.9)
    steps = Execution(side("edge"), side("cloud")).turn(
        QUESTION, sticky=sticky, controls=Controls(threshold=0.1)
    )
    step = drive(steps, Deciding(ScriptedRouter("cloud"), lambda: None).ask, lambda answer: answer)
    assert step.decision.route == "edge"


def test_a_lapsed_reservation_of_a_timed_out_sample_counts_as_spent() -> None:
    cap = SpendCap(1.0)
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.01)), cap=cap)
    decision = run(execution, entropy(), Paid(["a"], error=TimeoutError("late")))
    assert decision.method == "fallback"
    assert cap.left == pytest.approx(1.0 - 4 * 10 * 0.01)


def test_an_answer_that_was_refused_costs_nothing() -> None:
    cap = SpendCap(1.0)
    execution = Execution(side("edge", (0.0, 0.01)), side("cloud", (0.0, 0.01)), cap=cap)
    steps = execution.turn(QUESTION, controls=Controls())
    step = drive(steps, Deciding(ScriptedRouter("edge"), lambda: None).ask, lambda answer: answer)
    assert cap.left == pytest.approx(0.9)
    step.receipt.failed(Failure.REFUSED)
    assert cap.left == pytest.approx(1.0)
