"""Carrying decisions out for one pair of models: what rules, what falls back, what is counted.

What rules, from the strongest: private, forced, capability and context size, budget, router.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from confroute.decision import Decided, Method, Route, RouteDecision, RouteRequest, Usage
from confroute.errors import BothModelsFailedError, ConfigurationError
from confroute.execution.accounts import Counters, SpendCap, Stats
from confroute.execution.breaker import Breaker
from confroute.execution.control import Controls, current_controls
from confroute.execution.failures import (
    CircuitOpenError,
    EmptyAnswerError,
    Failure,
    failure_of,
    is_control_flow,
)
from confroute.execution.guard import SampleGuard
from confroute.execution.limits import most_tokens
from confroute.execution.log import DecisionLog
from confroute.execution.turn import Answer, Ask, Turn

logger = logging.getLogger(__name__)

OnError = Literal["cloud", "edge", "raise"]

_CHARS_PER_TOKEN = 4  # of English text; a bound would be 1


@dataclass(slots=True)
class Side:
    """One of the two models, as far as carrying out a decision goes.

    Attributes:
        name: The model's name.
        timeout: Seconds until its first token; None for no limit.
        price: US dollars per input and per output token; None where unknown.
        max_output_tokens: Its longest reply; None where unknown.
        max_input_tokens: Its context window; None where unknown.
        sees_images: Whether it reads images; None where unknown.
        calls_tools: Whether it can call tools; None where unknown.
        breaker: Its circuit breaker.
    """

    name: str
    timeout: float | None = None
    price: tuple[float, float] | None = None
    max_output_tokens: int | None = None
    max_input_tokens: int | None = None
    sees_images: bool | None = None
    calls_tools: bool | None = None
    breaker: Breaker = field(default_factory=lambda: Breaker("model"))

    def bound(self, input_tokens: int) -> float:
        """Return the most that a call can cost, in US dollars.

        Raises:
            ConfigurationError: If the price or the longest reply is unknown.
        """
        if self.price is None or (self.max_output_tokens is None and self.price[1] > 0):
            missing = "its price" if self.price is None else "its longest reply"
            raise ConfigurationError(
                f"a budget cannot be kept: {missing} is unknown for the model {self.name!r}. Set its maximum "
                "output tokens, and use a model with a list price, or set no budget"
            )
        return input_tokens * self.price[0] + (self.max_output_tokens or 0) * self.price[1]


class Execution:
    """Carries out decisions for one edge and one cloud model, and keeps their accounts.

    Args:
        edge: The edge.
        cloud: The cloud.
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
        on_error: OnError = "cloud",
        cap: SpendCap | None = None,
        log: DecisionLog | None = None,
        counters: Counters | None = None,
    ) -> None:
        if cap is not None:
            cloud.bound(0)
        self.edge = edge
        self.cloud = cloud
        self.on_error = on_error
        self.cap = cap
        self.log = log
        self._counters = counters if counters is not None else Counters()

    @property
    def stats(self) -> Stats:
        """What has been done so far."""
        return self._counters.stats

    def turn(
        self,
        request: RouteRequest,
        *,
        controls: Controls | None = None,
        sticky: RouteDecision | None = None,
        input_tokens: int | None = None,
        drafts: bool = True,
    ) -> Turn:
        """Walk one turn.

        Args:
            request: The question.
            controls: What the caller rules; by default what `control` blocks say.
            sticky: The decision of this turn's earlier call, in a tool loop.
            input_tokens: The most tokens that the prompt can have; by default one per UTF-8 byte.
            drafts: Whether a router's draft can be the answer; where not, it counts as spent.

        Yields:
            The next step.

        Raises:
            BothModelsFailedError: If both models failed.
            ConfigurationError: If the request cannot be served as the caller rules.
        """
        controls = controls if controls is not None else current_controls()
        request = replace(
            request,
            private=request.private or controls.private,
        )
        if input_tokens is None:
            input_tokens = most_tokens(
                (m.text for m in request.messages), images=sum(m.has_images for m in request.messages)
            )
        limit = _Limit(self, controls.budget, input_tokens)
        ruled = self._ruled(request, controls, sticky, limit)
        decided = Decided(ruled) if ruled is not None else (yield from self._asked(request))
        if controls.threshold is not None:
            decided = _with_threshold(decided, controls.threshold)
        if not drafts:
            decided = _without_draft(decided)
        yield from self._carried_out(request, decided, limit)

    def _ruled(
        self, request: RouteRequest, controls: Controls, sticky: RouteDecision | None, limit: _Limit
    ) -> RouteDecision | None:
        """Decide without the router, where something stronger rules."""
        edge_lacks, cloud_lacks = _lacking(self.edge, request), _lacking(self.cloud, request)
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
        if sticky is not None and (lacks[sticky.route] is None or all(lacks.values())):
            return sticky.model_copy(update={"usage": Usage.none_spent(), "n_samples": 0, "private": False})
        if edge_lacks is not None and cloud_lacks is None:
            return _rule("cloud", "capability", f"{edge_lacks}, so the cloud answers", request)
        if cloud_lacks is not None and edge_lacks is None:
            return _rule("edge", "capability", f"{cloud_lacks}, so the edge answers", request)
        if not limit.allows_cloud():
            return _rule("edge", "budget", "the cloud might cost more than the budget leaves", request)
        return None

    def _asked(self, request: RouteRequest) -> Generator[Ask | Answer, Decided | None, Decided]:
        """Ask the router; where it fails, go where `on_error` says."""
        guard = SampleGuard(self.edge.breaker)
        try:
            decided = yield Ask(request, self.edge.timeout, guard)
        except Exception as error:
            if is_control_flow(error):
                raise
            guard.decided_without(error)
            return Decided(self._without_router(request, error))
        if decided is None:
            raise ConfigurationError("the router returned nothing: expected a Decided from decide()")
        if self.cap is not None:
            self.cap.settle(0.0, decided.decision.usage.usd)
        return decided

    def _carried_out(self, request: RouteRequest, decided: Decided, limit: _Limit) -> Turn:
        """Let the model answer that was decided on; where it fails, the other one."""
        first = decided.decision
        if first.route == "cloud" and not limit.reserve(first):
            first = first.model_copy(
                update={"route": "edge", "method": "budget", "reason": "the budget leaves no cloud call"}
            )
        try:
            yield from self._answered(request, replace(decided, decision=first), limit)
            return
        except Exception as error:
            other: Route = "edge" if first.route == "cloud" else "cloud"
            if not self._may_fall_back(error, first, other, request):
                raise
            fallen = _fallen_back(first, other, error)
            if other == "cloud" and not limit.reserve(fallen):
                raise
            cause = error
        try:
            yield from self._answered(request, Decided(fallen, evidence=decided.evidence), limit)
        except Exception as error:
            raise BothModelsFailedError({first.route: cause, other: error}) from error

    def _answered(self, request: RouteRequest, decided: Decided, limit: _Limit) -> Turn:
        """Let one model answer, unless its circuit is open."""
        decision = decided.decision
        side = self.edge if decision.route == "edge" else self.cloud
        receipt = Receipt(self, request, decision, limit.reserved)
        if decided.draft is None and not side.breaker.lets_pass():
            receipt.failed(Failure.REFUSED)
            raise CircuitOpenError(f"the {decision.route} failed a moment ago and is not asked again yet")
        try:
            yield Answer(decision, receipt, decided.draft, decided.evidence, side.timeout)
        except Exception as error:
            failure = Failure.OTHER if is_control_flow(error) else failure_of(error)
            receipt.failed(failure, billed=isinstance(error, EmptyAnswerError))
            side.breaker.failed(error, failure)
            raise
        except BaseException:  # cancelled: it may have been sent
            receipt.failed(Failure.TIMEOUT)
            side.breaker.abandoned()
            raise
        if decided.draft is None:
            side.breaker.succeeded()

    def _may_fall_back(
        self, error: Exception, decision: RouteDecision, other: Route, request: RouteRequest
    ) -> bool:
        if is_control_flow(error) or (decision.private and other == "cloud"):
            return False
        if _lacking(self.edge if other == "edge" else self.cloud, request) is not None:
            return False
        failure = failure_of(error)
        return failure is not Failure.BAD_REQUEST and (failure is not Failure.TOO_LONG or other == "cloud")

    def _without_router(self, request: RouteRequest, error: Exception) -> RouteDecision:
        if isinstance(error, ConfigurationError) or self.on_error == "raise":
            raise error
        logger.warning("The router failed, so the %s answers.", self.on_error, exc_info=error)
        route: Route = "edge" if self.on_error == "edge" else "cloud"
        return RouteDecision(
            route=route,
            method="fallback",
            reason=f"the router failed, so the {route} answers: {_told(error)}",
            private=request.private,
            fallback_from="edge" if route == "cloud" else "cloud",
            fallback_cause=_told(error),
        )


class _Limit:
    """What one call may still spend, by its own budget and by the object's cap."""

    def __init__(self, execution: Execution, budget: float | None, input_tokens: int) -> None:
        self._cap = execution.cap
        self._budget = budget
        limited = budget is not None or self._cap is not None
        self._bound = execution.cloud.bound(input_tokens) if limited else 0.0
        self.reserved = 0.0

    def allows_cloud(self) -> bool:
        within_cap = self._cap is None or self._bound <= self._cap.left
        return within_cap and (self._budget is None or self._bound <= self._budget)

    def reserve(self, decision: RouteDecision) -> bool:
        """Reserve a cloud call after what deciding has spent; False if that would be too much."""
        spent = decision.usage.usd or 0.0
        if self._budget is not None and spent + self._bound > self._budget:
            return False
        if self._cap is not None:
            if not self._cap.reserve(self._bound):
                return False
            self.reserved = self._bound
        return True


class Receipt:
    """Settles one answer, once: the cap, the counters and the log."""

    def __init__(
        self, execution: Execution, request: RouteRequest, decision: RouteDecision, reserved: float
    ) -> None:
        self._execution = execution
        self._request = request
        self._decision = decision
        self._reserved = reserved if decision.route == "cloud" else 0.0
        self._settled = False

    def done(self, usage: Usage | None) -> None:
        """Tell that the answer has ended, and what it used."""
        if self._settled:
            return
        self._settle(usage.usd if usage is not None else None)
        self._execution._counters.add(self._decision, usage, self._execution.cloud.price)
        if self._execution.log is not None:
            self._execution.log.write(self._request, self._decision, usage)

    def failed(self, failure: Failure, *, billed: bool = False) -> None:
        """Tell that no answer came; one that was empty is billed, one that timed out may be."""
        if not self._settled:
            self._settle(None if billed or failure is Failure.TIMEOUT else 0.0)

    def _settle(self, usd: float | None) -> None:
        self._settled = True
        if self._execution.cap is not None:
            self._execution.cap.settle(self._reserved, usd)


def _lacking(side: Side, request: RouteRequest) -> str | None:
    """Say what a model lacks to serve a request; None where it lacks nothing that is known."""
    if request.has_images and side.sees_images is False:
        return f"{side.name} cannot see images"
    if request.tools and side.calls_tools is False:
        return f"{side.name} cannot call tools"
    length = sum(len(message.text) for message in request.messages) // _CHARS_PER_TOKEN
    if side.max_input_tokens is not None and length > side.max_input_tokens:
        return f"the prompt of about {length} tokens exceeds the {side.max_input_tokens} of {side.name}"
    return None


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
