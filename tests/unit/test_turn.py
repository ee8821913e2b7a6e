import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from confroute import EntropyRouter
from confroute.decision import Decided, RouteDecision, RouteRequest, Sample
from confroute.errors import BothModelsFailedError, ConfigurationError
from confroute.execution.breaker import Breaker
from confroute.execution.execution import Execution, OnError
from confroute.execution.side import Side
from confroute.execution.turn import Answer, Ask, adrive, drive
from confroute.testing import ScriptedRouter

QUESTION = RouteRequest.from_text("q")
SECRET = RouteRequest.from_text("q", private=True)


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


def fails(*routes: str, error: Exception | None = None) -> Callable[[Answer], RouteDecision]:
    """Answer with the decision itself, except on these routes."""

    def answer(step: Answer) -> RouteDecision:
        if step.decision.route in routes:
            raise error or ConnectionError(f"{step.decision.route} is down")
        return step.decision

    return answer


def routed(
    route: str,
    answer: Callable[[Answer], RouteDecision],
    request: RouteRequest = QUESTION,
    on_error: OnError = "cloud",
    error: Exception | None = None,
) -> RouteDecision:
    router = ScriptedRouter(route, error=error)  # type: ignore[arg-type]  # parametrised by plain strings
    execution = Execution(Side("edge"), Side("cloud"), on_error=on_error)
    return drive(execution.turn(request), lambda step: router.decide(step.request), answer)


@pytest.mark.parametrize("route", ["edge", "cloud"])
def test_the_decision_is_carried_out(route: str) -> None:
    decision = routed(route, fails())
    assert (decision.route, decision.method, decision.fallback_from) == (route, "trained", None)


@pytest.mark.parametrize(("down", "other"), [("cloud", "edge"), ("edge", "cloud")])
def test_the_other_model_answers_and_the_decision_says_so(down: str, other: str) -> None:
    decision = routed(down, fails(down))
    assert (decision.route, decision.method, decision.fallback_from) == (other, "fallback", down)
    assert decision.fallback_cause == f"ConnectionError: {down} is down"
    assert decision.reason.startswith(f"the {down} failed, so the {other} answers")


def test_both_down_is_one_error_with_both_causes() -> None:
    with pytest.raises(BothModelsFailedError, match=r"cloud is down.*edge is down") as caught:
        routed("cloud", fails("edge", "cloud"))
    assert list(caught.value.causes) == ["cloud", "edge"]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_wrong_request_is_handed_on(status: int) -> None:
    with pytest.raises(StatusError):
        routed("cloud", fails("cloud", error=StatusError(status)))


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_failing_provider_falls_back(status: int) -> None:
    assert routed("cloud", fails("cloud", error=StatusError(status))).route == "edge"


def test_private_never_falls_back_to_the_cloud() -> None:
    with pytest.raises(ConnectionError, match="edge is down"):
        routed("edge", fails("edge"), SECRET)


@pytest.mark.parametrize(
    ("request_", "on_error", "route"),
    [
        (QUESTION, "cloud", "cloud"),
        (QUESTION, "edge", "edge"),
    ],
)
def test_a_failing_router(request_: RouteRequest, on_error: OnError, route: str) -> None:
    decision = routed("edge", fails(), request_, on_error, RuntimeError("no samples"))
    assert (decision.route, decision.method, decision.score) == (route, "fallback", None)
    assert decision.fallback_cause == "RuntimeError: no samples"
    assert decision.fallback_from not in (None, route)


@pytest.mark.parametrize(("error", "is_bug"), [(ConnectionError("down"), False), (KeyError("x"), True)])
def test_the_log_holds_a_traceback_where_it_helps(
    error: Exception, is_bug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    routed("edge", fails(), error=error)
    (line,) = caplog.records
    assert type(error).__name__ in line.getMessage()
    assert bool(line.exc_info) == is_bug


def test_a_failing_router_can_raise() -> None:
    with pytest.raises(RuntimeError, match="no samples"):
        routed("edge", fails(), on_error="raise", error=RuntimeError("no samples"))


def test_a_misconfigured_router_always_raises() -> None:
    with pytest.raises(ConfigurationError, match="no sampler"):
        routed("edge", fails(), error=ConfigurationError("no sampler"))


async def test_async_takes_the_same_steps() -> None:
    router = ScriptedRouter("cloud")

    async def ask(step: Ask) -> Decided:
        return await router.adecide(step.request)

    async def answer(step: Answer) -> RouteDecision:
        return fails("cloud")(step)

    expected = routed("cloud", fails("cloud"))
    execution = Execution(Side("edge"), Side("cloud"))
    assert await adrive(execution.turn(QUESTION), ask, answer) == expected


class Hanging:
    """A sampler that never answers."""

    def __init__(self) -> None:
        self.asked = 0

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        self.asked += 1
        time.sleep(0.3)
        return [Sample("late")] * n

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        self.asked += 1
        await asyncio.sleep(0.3)
        return [Sample("late")] * n


@pytest.mark.parametrize("way", ["sync", "async"])
def test_samples_that_hang_cost_one_time_out(way: str) -> None:
    edge = Side("edge", timeout=0.05, breaker=Breaker("edge"))
    execution, sampler = Execution(edge, Side("cloud")), Hanging()
    router = EntropyRouter(n_samples=2)

    async def aask(step: Ask) -> Decided:
        return await router.adecide(step.request, step.guarded(sampler))

    async def aanswer(step: Answer) -> Answer:
        return step

    for _ in range(3):
        steps = execution.turn(RouteRequest.from_text("q"))
        if way == "sync":
            step = drive(steps, lambda ask: router.decide(ask.request, ask.guarded(sampler)), lambda one: one)
        else:
            step = asyncio.run(adrive(steps, aask, aanswer))
        assert step.decision.route == "cloud"
        step.receipt.done(None)
    assert sampler.asked == 1
    time.sleep(0.4)
    assert edge.breaker.blocks, "a late answer closed the circuit"
