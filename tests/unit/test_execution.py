import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import confroute
from confroute.decision import Decided, Message, Route, RouteDecision, RouteRequest, Sample, Usage
from confroute.errors import ConfigurationError
from confroute.execution.accounts import Counters, SpendCap
from confroute.execution.breaker import Breaker
from confroute.execution.control import Controls, current_controls
from confroute.execution.execution import Execution
from confroute.execution.failures import CircuitOpenError, Failure, failure_of
from confroute.execution.log import DecisionLog
from confroute.execution.side import Side
from confroute.execution.turn import Answer, adrive, drive
from confroute.testing import ScriptedRouter

QUESTION = RouteRequest.from_text("q")
IMAGE = RouteRequest((Message("user", "what is this", has_images=True),))
PRICE = (0.001, 0.01)


def side(name: str, **known: Any) -> Side:
    return Side(name, breaker=Breaker(name), **known)


def priced(**known: Any) -> Side:
    return side("cloud", price=PRICE, max_output_tokens=10, **known)


def run(
    execution: Execution,
    request: RouteRequest = QUESTION,
    *,
    route: Route = "cloud",
    usage: Usage | None = None,
    fails: dict[str, Exception] | None = None,
    **arguments: Any,
) -> RouteDecision:
    router = ScriptedRouter(route)

    def answer(step: Answer) -> Answer:
        error = (fails or {}).get(step.decision.route)
        if error is not None:
            raise error
        return step

    steps = execution.turn(request, **arguments)
    step = drive(steps, lambda ask: router.decide(ask.request), answer)
    free = Usage(input_tokens=1, output_tokens=1, usd=0.0)
    step.receipt.done(free if step.decision.method == "budget" else usage)
    return step.decision


# What rules


def test_private_rules_over_everything() -> None:
    execution = Execution(side("edge"), side("cloud"))
    controls = Controls(route="cloud", private=True, threshold=0.0)
    decision = run(execution, controls=controls)
    assert (decision.route, decision.method, decision.private) == ("edge", "private", True)


def test_a_private_request_that_the_edge_cannot_serve_is_an_error() -> None:
    execution = Execution(side("edge", sees_images=False), side("cloud"))
    with pytest.raises(ConfigurationError, match="edge cannot see images"):
        run(execution, IMAGE, controls=Controls(private=True))


def test_forced_rules_over_capability() -> None:
    execution = Execution(side("edge", sees_images=False), side("cloud"))
    assert run(execution, IMAGE, controls=Controls(route="edge")).method == "forced"


def test_a_forced_route_may_say_why() -> None:
    ruled = Controls(route="cloud", reason="nothing was retrieved")
    told = run(Execution(side("edge"), side("cloud")), controls=ruled).reason
    assert told == "the caller asked for the cloud: nothing was retrieved"
    assert ruled.then(Controls(route="edge")).reason is None
    assert ruled.then(Controls(private=True)).reason == "nothing was retrieved"
    with pytest.raises(ConfigurationError, match="no route is asked for"):
        Controls(reason="nothing was retrieved")


@pytest.mark.parametrize("name", ["query", "reason"])
def test_an_error_does_not_quote_what_was_asked(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is of type list: expected a text") as raised:
        Controls.from_mapping({f"confroute_{name}": ["my secret"]})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("edge", "cloud", "expected"),
    [
        ({"sees_images": False}, {}, ("cloud", "capability")),
        ({}, {"sees_images": False}, ("edge", "capability")),
        ({}, {}, ("cloud", "trained")),
        ({"sees_images": True}, {"sees_images": True}, ("cloud", "trained")),
    ],
)
def test_images_go_to_who_can_see(
    edge: dict[str, Any], cloud: dict[str, Any], expected: tuple[str, str]
) -> None:
    decision = run(Execution(side("edge", **edge), side("cloud", **cloud)), IMAGE)
    assert (decision.route, decision.method) == expected


@pytest.mark.parametrize(
    ("edge", "tools", "expected"),
    [
        (False, ("search",), ("cloud", "capability", "edge cannot call tools, so the cloud answers")),
        (False, (), ("edge", "trained", None)),
        (None, ("search",), ("edge", "trained", None)),
        (True, ("search",), ("edge", "trained", None)),
    ],
)
def test_tools_go_to_who_can_call_them(
    edge: bool | None, tools: tuple[str, ...], expected: tuple[str, str, str | None]
) -> None:
    request = replace(QUESTION, tools=tools)
    decision = run(Execution(side("edge", calls_tools=edge), side("cloud")), request, route="edge")
    assert (decision.route, decision.method) == expected[:2]
    assert expected[2] in (None, decision.reason)


def test_a_prompt_that_the_edge_cannot_hold_goes_to_the_cloud() -> None:
    execution = Execution(side("edge", max_input_tokens=100), side("cloud", max_input_tokens=10_000))
    long = RouteRequest.from_text("word " * 200)
    decision = run(execution, long, route="edge")
    assert (decision.route, decision.method) == ("cloud", "capability")
    assert run(execution, QUESTION, route="edge").method == "trained"


def test_a_tool_loop_keeps_its_route_and_spends_nothing_on_deciding() -> None:
    before = RouteDecision(
        route="cloud",
        score=0.9,
        threshold=0.5,
        method="entropy",
        reason="x",
        n_samples=5,
        usage=Usage(usd=1.0),
    )
    decision = run(Execution(side("edge"), side("cloud")), route="edge", sticky=before)
    assert (decision.route, decision.method, decision.n_samples) == ("cloud", "entropy", 0)
    assert decision.usage == Usage.none_spent()


def test_private_breaks_a_tool_loop_in_the_cloud() -> None:
    before = RouteDecision(route="cloud", method="entropy", reason="x")
    decision = run(Execution(side("edge"), side("cloud")), sticky=before, controls=Controls(private=True))
    assert decision.route == "edge"


@pytest.mark.parametrize(
    ("threshold", "route"), [(0.0, "cloud"), (0.3, "cloud"), (0.31, "edge"), (1.5, "edge")]
)
def test_the_callers_threshold_rules_over_the_routers(threshold: float, route: Route) -> None:
    draft = Sample("draft", usage=Usage(input_tokens=1, output_tokens=1, usd=0.5))
    decision = RouteDecision(route="edge", score=0.3, threshold=0.5, method="entropy", reason="sure")
    steps = Execution(side("edge"), side("cloud")).turn(QUESTION, controls=Controls(threshold=threshold))
    step = drive(steps, lambda ask: Decided(decision, draft), lambda step: step)
    assert (step.decision.route, step.decision.threshold) == (route, threshold)
    assert (step.draft is draft) == (route == "edge")
    assert step.decision.usage.usd == (0.5 if route == "cloud" else 0.0)


# Control


def test_control_blocks_nest() -> None:
    with confroute.control(route="cloud", budget=1.0), confroute.control(threshold=0.2, budget=2.0):
        assert current_controls() == Controls(route="cloud", threshold=0.2, budget=2.0)
    assert current_controls() == Controls()


def test_an_inner_block_never_unpins() -> None:
    with confroute.control(private=True), confroute.control(private=False, route="cloud"):
        assert current_controls().private


def test_controls_from_a_config() -> None:
    read = Controls.from_mapping({"confroute_route": "edge", "thread_id": "1", "confroute_threshold": None})
    assert read == Controls(route="edge")
    with pytest.raises(
        ConfigurationError, match=r"unknown setting confroute_roote: expected one of confroute_route"
    ):
        Controls.from_mapping({"confroute_roote": "edge"})


@pytest.mark.parametrize(
    "bad",
    [{"route": "moon"}, {"threshold": -1}, {"threshold": 30}, {"budget": float("nan")}, {"private": "yes"}],
)
def test_bad_controls(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected"), confroute.control(**bad):
        pass


async def test_controls_belong_to_their_task() -> None:
    async def one(route: Route) -> Route | None:
        with confroute.control(route=route):
            await asyncio.sleep(0)
            return current_controls().route

    routes: list[Route] = ["edge", "cloud"] * 20
    assert await asyncio.gather(*map(one, routes)) == routes


# Money


def test_a_cap_reserves_before_it_sends() -> None:
    cap = SpendCap(0.25)
    execution = Execution(side("edge"), priced(), cap=cap)
    bound = 10 * PRICE[1] + 9 * PRICE[0]
    decisions = [run(execution, usage=Usage(input_tokens=1, output_tokens=1, usd=bound)) for _ in range(4)]
    assert [d.route for d in decisions] == ["cloud", "cloud", "edge", "edge"]
    assert decisions[-1].method == "budget"
    assert cap.left == pytest.approx(0.25 - 2 * bound)


def test_a_cap_that_cannot_be_kept_is_refused_when_it_is_set() -> None:
    with pytest.raises(ConfigurationError, match="its price is unknown for the model 'cloud'"):
        Execution(side("edge"), side("cloud"), cap=SpendCap(1.0))
    with pytest.raises(ConfigurationError, match="its longest reply is unknown"):
        Execution(side("edge"), side("cloud", price=PRICE), cap=SpendCap(1.0))
    with pytest.raises(ConfigurationError, match="its price is unknown"):
        run(Execution(side("edge"), side("cloud")), controls=Controls(budget=1.0))


def test_a_call_may_have_a_budget_of_its_own() -> None:
    execution = Execution(side("edge"), priced())
    assert run(execution, controls=Controls(budget=0.05)).method == "budget"
    assert run(execution, controls=Controls(budget=0.5)).route == "cloud"


def test_caps_hold_under_concurrent_calls() -> None:
    bound = 10 * PRICE[1] + 9 * PRICE[0]
    cap = SpendCap(bound * 7.5)
    execution = Execution(side("edge"), priced(), cap=cap)
    spent = Usage(input_tokens=9, output_tokens=10, usd=bound)
    with ThreadPoolExecutor(50) as pool:
        decisions = list(pool.map(lambda _: run(execution, usage=spent), range(50)))
    assert sum(d.route == "cloud" for d in decisions) == 7
    assert execution.stats.usd == pytest.approx(7 * bound)
    assert cap.left == pytest.approx(0.5 * bound, abs=1e-9)


def test_a_window_forgets() -> None:
    now = [0.0]
    cap = SpendCap(1.0, window=60, clock=lambda: now[0])
    assert cap.reserve(0.8)
    cap.settle(0.8, 0.6)
    assert not cap.reserve(0.5)
    now[0] = 60.0
    assert cap.reserve(1.0)


def test_a_failed_call_gives_its_reservation_back() -> None:
    cap = SpendCap(0.2)
    execution = Execution(side("edge"), priced(), cap=cap)
    decision = run(execution, fails={"cloud": ConnectionError("refused")})
    assert decision.method == "fallback"
    assert cap.left == pytest.approx(0.2)


async def test_a_cancelled_call_keeps_its_reservation_as_spent() -> None:
    cap = SpendCap(0.2)
    execution = Execution(side("edge"), priced(), cap=cap)
    router = ScriptedRouter("cloud")

    async def never(step: Answer) -> None:
        await asyncio.sleep(60)

    async def ask(step: Any) -> Any:
        return router.decide(step.request)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(adrive(execution.turn(QUESTION), ask, never), 0.05)
    assert cap.left == pytest.approx(0.2 - 10 * PRICE[1] - 9 * PRICE[0])


def test_counters() -> None:
    execution = Execution(side("edge", price=(0.0, 0.0)), priced())
    run(execution, route="edge", usage=Usage(input_tokens=100, output_tokens=10, usd=0.0))
    run(execution, route="cloud", usage=Usage(input_tokens=100, output_tokens=10, usd=0.2))
    stats = execution.stats
    assert (stats.calls, stats.cloud_calls, stats.cloud_share) == (2, 1, 0.5)
    assert (stats.input_tokens, stats.output_tokens) == (200, 20)
    assert stats.usd == pytest.approx(0.2)
    assert stats.usd_saved == pytest.approx(100 * PRICE[0] + 10 * PRICE[1])
    run(execution, usage=None)
    assert execution.stats.usd is None


def test_counters_add_up_from_any_thread() -> None:
    counters = Counters()
    decision = RouteDecision(route="cloud", method="forced", reason="x", n_samples=2)
    usage = Usage(input_tokens=1, output_tokens=1, usd=0.5)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: counters.add(decision, usage, None), range(500)))
    assert (counters.stats.calls, counters.stats.samples, counters.stats.usd) == (500, 1000, 250.0)


# The breaker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.mark.parametrize("failure", [Failure.TIMEOUT, Failure.REFUSED])
def test_one_timeout_opens_and_one_success_closes(clock: list[float], failure: Failure) -> None:
    breaker = Breaker("m")
    breaker.failed(TimeoutError(), failure)
    assert not breaker.lets_pass()
    clock[0] += 30.1
    assert breaker.lets_pass()
    assert not breaker.lets_pass(), "one trial at a time"
    breaker.succeeded()
    assert breaker.lets_pass()
    assert breaker.lets_pass()


@pytest.mark.parametrize("failure", [Failure.TIMEOUT, Failure.REFUSED, Failure.SERVER])
def test_a_failed_trial_opens_again(clock: list[float], failure: Failure) -> None:
    breaker = Breaker("m")
    breaker.failed(TimeoutError(), Failure.TIMEOUT)
    clock[0] += 30.1
    assert breaker.lets_pass()
    breaker.failed(RuntimeError(), failure)
    assert not breaker.lets_pass()


@pytest.mark.parametrize("failure", [Failure.BAD_REQUEST, Failure.TOO_LONG])
def test_a_trial_that_was_refused_for_its_content_shows_that_the_model_is_there(
    clock: list[float], failure: Failure
) -> None:
    breaker = Breaker("m")
    breaker.failed(TimeoutError(), Failure.TIMEOUT)
    clock[0] += 30.1
    assert breaker.lets_pass()
    breaker.failed(RuntimeError(), failure)
    assert breaker.lets_pass()
    assert breaker.lets_pass()


def test_server_errors_must_come_in_a_row() -> None:
    breaker = Breaker("m")
    for _ in range(5):
        breaker.failed(RuntimeError(), Failure.SERVER)
        breaker.failed(RuntimeError(), Failure.SERVER)
        breaker.succeeded()
    assert breaker.lets_pass()
    for _ in range(3):
        breaker.failed(RuntimeError(), Failure.SERVER)
    assert not breaker.lets_pass()


@pytest.mark.parametrize("failure", [Failure.BAD_REQUEST, Failure.TOO_LONG, Failure.OTHER])
def test_the_callers_fault_never_opens(failure: Failure) -> None:
    breaker = Breaker("m")
    for _ in range(10):
        breaker.failed(RuntimeError(), failure)
    assert breaker.lets_pass()


def test_an_abandoned_trial_can_be_tried_again(clock: list[float]) -> None:
    breaker = Breaker("m")
    breaker.failed(TimeoutError(), Failure.TIMEOUT)
    clock[0] += 31
    assert breaker.lets_pass()
    breaker.abandoned()
    assert breaker.lets_pass()


def test_a_private_call_to_a_dead_edge_fails_at_once() -> None:
    execution = Execution(side("edge"), side("cloud"))
    execution.edge.breaker.failed(TimeoutError(), Failure.TIMEOUT)
    with pytest.raises(CircuitOpenError):
        run(execution, controls=Controls(private=True))


def test_what_kind_of_failure() -> None:
    class APITimeoutError(Exception): ...

    class StatusError(Exception):
        def __init__(self, code: int, text: str = "") -> None:
            super().__init__(text)
            self.status_code = code

    assert failure_of(APITimeoutError()) is Failure.TIMEOUT
    assert failure_of(TimeoutError()) is Failure.TIMEOUT
    assert failure_of(ConnectionRefusedError()) is Failure.REFUSED
    assert failure_of(StatusError(503)) is Failure.SERVER
    assert failure_of(StatusError(400, "maximum context length is 10")) is Failure.TOO_LONG
    assert failure_of(StatusError(400)) is Failure.BAD_REQUEST
    others = [StatusError(401), StatusError(429), ValueError()]
    assert {failure_of(error) for error in others} == {Failure.OTHER}


# The log


@given(texts=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5), private=st.booleans())
def test_the_log_holds_no_prompt_unless_asked(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], private: bool
) -> None:
    folder: Path = tmp_path_factory.mktemp("log")
    quiet, telling = DecisionLog(folder / "quiet"), DecisionLog(folder / "telling", with_query=True)
    for log in (quiet, telling):
        execution = Execution(side("edge"), side("cloud"), log=log)
        for text in texts:
            run(execution, RouteRequest.from_text(text, private=private))
    rows = [json.loads(line) for line in quiet.path.read_text().splitlines()]
    assert len(rows) == len(texts)
    assert all("query" not in row and row["route"] and row["time"] for row in rows)
    told = [json.loads(line).get("query") for line in telling.path.read_text().splitlines()]
    assert told == ([None] * len(texts) if private else texts)
