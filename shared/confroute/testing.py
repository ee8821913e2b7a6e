"""Scripted doubles, for the tests of applications that use confroute.

A `ScriptedSampler` plays the edge model in tests of routers; `ScriptedRouter` plays the router in tests of
everything else. Both record what they were asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confroute.decision import (
    Decided,
    Message,
    Route,
    RouteDecision,
    RouteRequest,
    RouterInfo,
    Sample,
    Sampler,
    Usage,
)

Script = (
    Mapping[str, Sequence[str | Sample]]
    | Sequence[str | Sample]
    | Callable[[RouteRequest, int], str | Sample]
)


@dataclass(frozen=True, slots=True)
class Draw:
    """One recorded request for samples."""

    request: RouteRequest
    n: int
    settings: Mapping[str, Any]


class ScriptedSampler:
    """A model that gives the answers of a script; both a `Sampler` and a `confroute.models.Model`.

    Args:
        script: Answers by question, or answers for every question, cycled where more are asked for; or a
            function of the request and the sample's number.
        name: The model's name.
        error: Raised at every call, if given.
    """

    def __init__(self, script: Script, *, name: str = "scripted", error: Exception | None = None) -> None:
        self.script = script
        self.name = name
        self.error = error
        self.draws: list[Draw] = []
        self._lock = threading.Lock()

    def sample(
        self,
        request: RouteRequest,
        n: int,
        *,
        append: Sequence[Message] = (),
        temperature: float | None = 1.0,
        max_tokens: int | None = None,
        logprobs: bool = False,
        top_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> list[Sample]:
        """Return the script's first `n` answers to this question; with a seed, n answers from there on."""
        settings = {
            "append": tuple(append),
            "temperature": temperature,
            "max_tokens": max_tokens,
            "logprobs": logprobs,
            "top_p": top_p,
            "top_k": top_k,
            "seed": seed,
        }
        with self._lock:
            self.draws.append(Draw(request, n, settings))
        if self.error is not None:
            raise self.error
        return [self._answer(request, (seed or 0) + i) for i in range(n)]

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Return what `sample` returns."""
        return self.sample(request, n, **settings)

    def _answer(self, request: RouteRequest, number: int) -> Sample:
        if callable(self.script):
            answer = self.script(request, number)
        else:
            answers = self.script[request.query] if isinstance(self.script, Mapping) else self.script
            answer = answers[number % len(answers)]
        if isinstance(answer, Sample):
            return answer
        usage = Usage(input_tokens=len(request.query.split()), output_tokens=len(answer.split()), usd=0.0)
        return Sample(answer, usage=usage, model=self.name)


class ScriptedRouter:
    """A router that sends questions where a script says, without asking any model.

    Args:
        routes: One route for all questions, a route by question, or a function of the request.
        draft: The reply that comes with every edge route, if any.
        error: Raised at every call, if given.
    """

    def __init__(
        self,
        routes: Route | Mapping[str, Route] | Callable[[RouteRequest], Route],
        *,
        draft: Sample | None = None,
        error: Exception | None = None,
    ) -> None:
        self.routes = routes
        self.draft = draft
        self.error = error
        self.requests: list[RouteRequest] = []
        self._lock = threading.Lock()

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Return the scripted route as a decision of method "trained", with score 0 or 1."""
        with self._lock:
            self.requests.append(request)
        if self.error is not None:
            raise self.error
        if isinstance(self.routes, str):
            route = self.routes
        elif isinstance(self.routes, Mapping):
            route = self.routes[request.query]
        else:
            route = self.routes(request)
        decision = RouteDecision(
            route=route,
            score=1.0 if route == "cloud" else 0.0,
            threshold=0.5,
            method="trained",
            reason=f"scripted: {route}",
            private=request.private,
            router=RouterInfo(name="scripted", version="1"),
        )
        return Decided(decision, self.draft if route == "edge" else None)

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        """Return what `decide` returns."""
        return self.decide(request, sampler)
