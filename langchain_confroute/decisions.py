"""`ConfRouteDecisionModel`: a router as LangChain's own middleware asks one (langchain-core 1.8 or newer)."""

from __future__ import annotations

from typing import Any

from langchain_core.decisions import (
    BaseDecisionModel,
    Choice,
    ChoiceAnswer,
    ClassifierResponse,
    Question,
    State,
)
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config
from pydantic import ConfigDict, SkipValidation

from confroute.decision import RouteDecision, Router
from confroute.errors import ConfigurationError
from langchain_confroute.runnables import Query, RunnableRouteDecision

_ROUTES = frozenset({"edge", "cloud"})


class ConfRouteDecisionModel(BaseDecisionModel):
    """Answers the question "edge or cloud?" of LangChain's `ModelRouterMiddleware` with a router's verdict.

    It answers `Choice` questions whose labels are ``edge`` and ``cloud``. The cloud's probability is the
    router's score, the confidence is the chosen label's probability, and the choice obeys the router's
    threshold, so that it is not always the likelier label. The middleware shows it the latest human message
    only; `ConfRouteMiddleware` sees the whole conversation, and falls back.

    Args:
        router: Decides.
        edge: The edge chat model; needed by routers that look at it.
        query: Finds the question in what is to be classified.
        sampler: The chat model that the router looks at, where that is not the edge.
        model: Name of the router, for traces.

    Example:
        ```python
        ModelRouterMiddleware(
            choices={"edge": ModelChoice(edge, "easy"), "cloud": ModelChoice(cloud, "hard")},
            instructions="Which model?",
            classifier=ConfRouteDecisionModel(router=ConfidenceRouter(), edge=edge),
        )
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    router: SkipValidation[Router]
    edge: SkipValidation[Runnable[Any, Any] | None] = None
    query: SkipValidation[Query | None] = None
    sampler: SkipValidation[Runnable[Any, Any] | None] = None
    model: str = "confroute"

    @property
    def _provider(self) -> str:
        return "confroute"

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        _check(questions)
        return self._response(self._verdict.invoke(state, ensure_config()), questions)

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        _check(questions)
        return self._response(await self._verdict.ainvoke(state, ensure_config()), questions)

    @property
    def _verdict(self) -> RunnableRouteDecision:
        return RunnableRouteDecision(
            router=self.router, edge=self.edge, query=self.query, sampler=self.sampler
        )

    def _response(self, decision: RouteDecision, questions: dict[str, Question]) -> ClassifierResponse:
        certain = 1.0 if decision.route == "cloud" else 0.0
        cloud = certain if decision.score is None else decision.score
        probabilities = {"edge": 1.0 - cloud, "cloud": cloud}
        answer = ChoiceAnswer(
            type="choice",
            choice=decision.route,
            probabilities=probabilities,
            confidence=probabilities[decision.route],
        )
        return ClassifierResponse(model=self.model, answers=dict.fromkeys(questions, answer))


def _check(questions: dict[str, Question]) -> None:
    for name, question in questions.items():
        if not isinstance(question, Choice) or question.criteria.keys() != _ROUTES:
            asked = type(question).__name__
            if isinstance(question, Choice):
                asked += f" between {', '.join(question.criteria)}"
            raise ConfigurationError(
                f"the question {name!r} is a {asked}: expected a Choice between 'edge' and 'cloud'"
            )
