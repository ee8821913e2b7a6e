"""Carrying decisions out for one pair of models: what rules, what falls back, what is counted.

What rules, from the strongest: private, forced, capability and context size, budget, router.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, Literal, get_args

from confroute.decision import Decided, Method, Route, RouteDecision, RouteRequest, Usage
from confroute.errors import BothModelsFailedError, ConfigurationError
from confroute.execution.accounts import Counters, Purse, SpendCap, Stats
from confroute.execution.control import Controls, current_controls
from confroute.execution.failures import (
    CircuitOpenError,
    EmptyAnswerError,
    Failure,
    OutOfBudgetError,
    charged,
    failure_of,
    is_control_flow,
)
from confroute.execution.guard import SampleGuard
from confroute.execution.limits import PromptSize, prompt_size
from confroute.execution.log import DecisionLog
from confroute.execution.receipt import Accounts, Call, Receipt
from confroute.execution.side import Side
from confroute.execution.turn import Answer, Ask, Turn

logger = logging.getLogger(__name__)

_NOTHING = Usage.none_spent()

OnError = Literal["cloud", "edge", "raise"]


class Execution:
    """Carries out decisions for one edge and one cloud model, and keeps their accounts.

    Args:
        edge: The edge.
        cloud: The cloud.
        sampled: The model that routers look at; the edge by default.
        on_error: Where a question goes when the router or its samples fail.
        cap: What the object may spend.
        log: Where decisions are logged.
        counters: Where calls are counted; new ones by default.

    Raises:
        ConfigurationError: If there is a cap, and the most that a cloud call costs is unknown.
    """

    def __init__(
        self,
        edge: Side,
        cloud: Side,
        *,
        sampled: Side | None = None,
        on_error: OnError = "cloud",
        cap: SpendCap | None = None,
        log: DecisionLog | None = None,
        counters: Counters | None = None,
    ) -> None:
        if cap is not None:
            cloud.bound(0)
        self.edge = edge
        self.cloud = cloud
        self.sampled = sampled if sampled is not None else edge
        self.on_error = on_error
        self.cap = cap
        self._accounts = Accounts(counters if counters is not None else Counters(), log, cloud.price)

    @classmethod
    def between(
        cls,
        describe: Callable[..., Side],
        edge: Any,
        cloud: Any,
        *,
        sampled: Any = None,
        edge_timeout: float | None = None,
        cloud_timeout: float | None = None,
        server_errors: int = 3,
        reset_after: float = 30.0,
        **settings: Any,
    ) -> Execution:
        """Make what carries decisions out between two models of a framework.

        Args:
            describe: Describes a model, given `timeout`, `server_errors` and `reset_after` for its side.
            edge: The edge.
            cloud: The cloud.
            sampled: The model that routers look at where that is not the edge; it has the edge's time-out.
            edge_timeout: Seconds until the edge's first token; None for no limit.
            cloud_timeout: The same for the cloud.
            server_errors: See `Breaker`.
            reset_after: See `Breaker`.
            **settings: The other arguments of this class.
        """
        breaker = {"server_errors": server_errors, "reset_after": reset_after}
        sides = (
            describe(edge, timeout=edge_timeout, **breaker),
            describe(cloud, timeout=cloud_timeout, **breaker),
        )
        looked_at = None if sampled is None else describe(sampled, timeout=edge_timeout, **breaker)
        return cls(*sides, sampled=looked_at, **settings)

    @property
    def stats(self) -> Stats:
        """What has been done so far."""
        return self._accounts.counters.stats

    def turn(
        self,
        request: RouteRequest,
        *,
        controls: Controls | None = None,
        sticky: RouteDecision | None = None,
        size: PromptSize | None = None,
        drafts: bool = True,
    ) -> Turn:
        """Walk one turn.

        Args:
            request: The question.
            controls: What the caller rules; by default what `control` blocks say.
            sticky: The decision of this turn's earlier call, in a tool loop.
            size: How long the prompt is; by default as long as the request's texts and images.
            drafts: Whether a router's draft can be the answer; where not, it counts as spent.

        Yields:
            The next step.

        Raises:
            BothModelsFailedError: If both models failed.
            OutOfBudgetError: If only the cloud can serve the request, and the cap leaves no cloud call.
            ConfigurationError: If the request cannot be served as the caller rules, or by neither model.
        """
        controls = controls if controls is not None else current_controls()
        request = replace(
            request,
            private=request.private or controls.private,
            query=request.query if controls.query is None else controls.query,
        )
        if size is None:
            size = prompt_size(
                (m.text for m in request.messages), images=sum(m.has_images for m in request.messages)
            )
        call = Call(request, size, Purse(self.cap, controls.budget))
        if call.purse.is_limited:
            self.cloud.bound(size.most)  # raises where that is unknown
        ruled = self._ruled(call, controls, sticky)
        if ruled is not None:
            beyond_budget = controls.route is not None or ruled.method == "capability"
            yield from self._carried_out(call, Decided(ruled), beyond_budget=beyond_budget)
            return
        decided = yield from self._asked(call, controls.threshold)
        if controls.threshold is not None:
            decided = _with_threshold(decided, controls.threshold)
        yield from self._carried_out(call, decided if drafts else _without_draft(decided))

    def _ruled(self, call: Call, controls: Controls, sticky: RouteDecision | None) -> RouteDecision | None:
        """Decide without the router, where something stronger rules."""
        request = call.request
        edge_lacks, cloud_lacks = (side.lacks(request, call.size) for side in (self.edge, self.cloud))
        if request.private:
            if edge_lacks is not None:
                raise ConfigurationError(
                    f"a private request stays on the edge, but {edge_lacks}. Send it without private, or "
                    "use an edge model that can serve it"
                )
            return _rule("edge", "private", "the request is private, so it stays on the edge", request)
        if controls.route is not None:
            why = f": {controls.reason}" if controls.reason else ""
            told = f"the caller asked for the {controls.route}{why}"
            return _rule(controls.route, "forced", told, request)
        lacks = {"edge": edge_lacks, "cloud": cloud_lacks}
        if sticky is not None and (
            lacks[sticky.route] is None
            or (all(lacks.values()) and self._side(sticky.route).unable(request) is None)
        ):
            return sticky.model_copy(update={"usage": Usage.none_spent(), "n_samples": 0, "private": False})
        if edge_lacks is not None and cloud_lacks is not None:
            return self._of_neither(call, edge_lacks, cloud_lacks)
        if edge_lacks is not None:
            return _rule("cloud", "capability", f"{edge_lacks}, so the cloud answers", request)
        if cloud_lacks is not None:
            return _rule("edge", "capability", f"{cloud_lacks}, so the edge answers", request)
        if not call.purse.allows(self._most(call, "cloud")):
            return _rule("edge", "budget", "the cloud might cost more than the budget leaves", request)
        return None

    def _of_neither(self, call: Call, edge_lacks: str, cloud_lacks: str) -> RouteDecision:
        """Decide where both models lack something: a window may do after all, since sizes are estimates."""
        able: list[Route] = [r for r in get_args(Route) if self._side(r).unable(call.request) is None]
        if not able:
            raise ConfigurationError(
                f"neither model can serve the request: {edge_lacks}, and {cloud_lacks}. Use a model that "
                "can, or leave that part of the request out"
            )
        route = max(able, key=lambda route: (self._side(route).max_input_tokens or 0, route == "cloud"))
        told = f"{edge_lacks}, and {cloud_lacks}; the {route} comes nearest"
        return _rule(route, "capability", told, call.request)

    def _asked(self, call: Call, threshold: float | None) -> Generator[Ask | Answer, Decided | None, Decided]:
        """Ask the router; where it fails, go where `on_error` says."""
        guard = SampleGuard(
            self.sampled.breaker,
            call.purse,
            lambda beyond, most: self.sampled.estimate(call.size.most + beyond, most),
        )
        try:
            decided = yield Ask(call.request, self.sampled.timeout, guard, threshold)
        except OutOfBudgetError as error:
            told = f"{error}, so the edge answers unasked"
            decided = Decided(_rule("edge", "budget", told, call.request))
            return _with_samples(decided, guard)
        except Exception as error:
            if is_control_flow(error):
                raise
            guard.decided_without(error)
            if self.sampled is self.edge and failure_of(error) is Failure.BAD_REQUEST:
                raise  # the request is what is wrong, as if the edge had been asked for the reply
            return _with_samples(Decided(self._without_router(call.request, error)), guard)
        if decided is None:
            raise ConfigurationError("the router returned nothing: expected a Decided from decide()")
        spent = decided.decision.usage + ((decided.draft.usage or Usage()) if decided.draft else _NOTHING)
        if spent.usd is not None and guard.usage.usd is not None:
            call.purse.settle(0.0, max(0.0, spent.usd - guard.usage.usd))  # what a judge of meaning has cost
        return decided

    def _carried_out(self, call: Call, decided: Decided, *, beyond_budget: bool = False) -> Turn:
        """Let the model answer that was decided on; where it fails, the other one."""
        first, reserved = decided.decision, 0.0
        if decided.draft is None:
            first, reserved = self._reserved(call, first, beyond_budget=beyond_budget)
        try:
            yield from self._answered(call, replace(decided, decision=first), reserved)
            return
        except Exception as error:
            other: Route = "edge" if first.route == "cloud" else "cloud"
            if not self._may_fall_back(error, first, other, call):
                raise
            fallen, reserved = _fallen_back(first, other, error), self._most(call, other)
            if not call.purse.reserve(reserved, whatever_is_left=other == "edge"):
                raise
            cause = error
        try:
            yield from self._answered(call, Decided(fallen, evidence=decided.evidence), reserved)
        except Exception as error:
            raise BothModelsFailedError({first.route: cause, other: error}) from error

    def _reserved(
        self, call: Call, decision: RouteDecision, *, beyond_budget: bool = False
    ) -> tuple[RouteDecision, float]:
        """Reserve what an answer can cost; where the cloud's is too much, the edge is to answer.

        The edge answers in any case: what it may cost is reserved so that the cloud leaves room for it.
        """
        if decision.route == "cloud":
            most = self._most(call, "cloud")
            if call.purse.reserve(most, beyond_budget=beyond_budget):
                return decision, most
            lacks = self.edge.unable(call.request)
            if lacks is not None:
                raise OutOfBudgetError(
                    f"{lacks}, and a call of the cloud might cost more than the cap leaves. Raise the cap, "
                    "or wait until its window has passed"
                )
            told: dict[str, Any] = {
                "route": "edge",
                "method": "budget",
                "reason": "the budget leaves no cloud call",
            }
            decision = decision.model_copy(update=told)
        most = self._most(call, "edge")
        call.purse.reserve(most, whatever_is_left=True)
        return decision, most

    def _most(self, call: Call, route: Route) -> float:
        return self._side(route).estimate(call.size.most, call.size.longest)

    def _side(self, route: Route) -> Side:
        return self.edge if route == "edge" else self.cloud

    def _answered(self, call: Call, decided: Decided, reserved: float) -> Turn:
        """Let one model answer, unless its circuit is open."""
        decision = decided.decision
        side = self._side(decision.route)
        receipt = Receipt(self._accounts, call, decided, side, reserved)
        if decided.draft is None and not side.breaker.lets_pass():
            receipt.failed(Failure.REFUSED)
            raise CircuitOpenError(f"the {decision.route} failed a moment ago and is not asked again yet")
        try:
            yield Answer(decision, receipt, decided.draft, decided.evidence, side.timeout)
        except Exception as error:
            failure = Failure.OTHER if is_control_flow(error) else failure_of(error)
            receipt.failed(failure, billed=isinstance(error, EmptyAnswerError), used=charged(error))
            side.breaker.failed(error, failure)
            raise
        except BaseException:  # cancelled: it may have been sent
            receipt.failed(Failure.TIMEOUT)
            side.breaker.abandoned()
            raise
        if decided.draft is None:
            side.breaker.succeeded()

    def _may_fall_back(self, error: Exception, decision: RouteDecision, other: Route, call: Call) -> bool:
        if is_control_flow(error) or (decision.private and other == "cloud"):
            return False
        if self._side(other).lacks(call.request, call.size) is not None:
            return False
        failure = failure_of(error)
        return failure is not Failure.BAD_REQUEST and (failure is not Failure.TOO_LONG or other == "cloud")

    def _without_router(self, request: RouteRequest, error: Exception) -> RouteDecision:
        if isinstance(error, ConfigurationError) or self.on_error == "raise":
            raise error
        bug = error if failure_of(error) is Failure.OTHER else None  # a model that is down needs no traceback
        logger.warning("The router failed, so the %s answers: %s", self.on_error, _told(error), exc_info=bug)
        route: Route = "edge" if self.on_error == "edge" else "cloud"
        return RouteDecision(
            route=route,
            method="fallback",
            reason=f"the router failed, so the {route} answers: {_told(error)}",
            private=request.private,
            fallback_from="edge" if route == "cloud" else "cloud",
            fallback_cause=_told(error),
        )


def _with_samples(decided: Decided, guard: SampleGuard) -> Decided:
    """Count samples that were drawn in vain."""
    told = {"usage": guard.usage, "n_samples": guard.n_samples}
    return replace(decided, decision=decided.decision.model_copy(update=told))


def _with_threshold(decided: Decided, threshold: float) -> Decided:
    """Apply the caller's threshold to the router's score, where there is one."""
    decision = decided.decision
    if decision.score is None or decision.method == "fallback":
        return decided
    route: Route = "cloud" if decision.score >= threshold else "edge"
    told: dict[str, Any] = {"route": route, "threshold": threshold}
    if route != decision.route:
        sign = ">=" if route == "cloud" else "<"
        told["reason"] = f"{decision.reason}; but the caller's: {decision.score:.2f} {sign} {threshold:.2f}"
    ruled = replace(decided, decision=decision.model_copy(update=told))
    return ruled if route == "edge" or ruled.draft is None else _without_draft(ruled)


def _without_draft(decided: Decided) -> Decided:
    """Drop a draft that will not be the answer, and count it as spent on deciding."""
    if decided.draft is None:
        return decided
    spent = decided.decision.usage + (decided.draft.usage or Usage())
    return replace(decided, draft=None, decision=decided.decision.model_copy(update={"usage": spent}))


def _rule(route: Route, method: Method, reason: str, request: RouteRequest) -> RouteDecision:
    return RouteDecision(route=route, method=method, reason=reason, private=request.private)


def _fallen_back(decision: RouteDecision, other: Route, error: Exception) -> RouteDecision:
    cause = _told(error)
    return decision.model_copy(
        update={
            "route": other,
            "method": "fallback",
            "reason": f"the {decision.route} failed, so the {other} answers: {cause}",
            "fallback_from": decision.route,
            "fallback_cause": cause,
        }
    )


def _told(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else f"{text[:299]}…"
