"""How a model is asked for an answer in order to judge it: for a whole reply, or for the bare answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from confroute.decision import Message, RouteRequest
from confroute.errors import ConfigurationError
from confroute.routers._verdict import Draw, SamplingRouter

Probe = Literal["full", "brief"]

BRIEF_INSTRUCTION = "Answer in as few words as possible."
BRIEF_MAX_TOKENS = 32
TOOL_MAX_TOKENS = 256
"""Longest brief answer where tools are bound: a call has its arguments."""


class ProbingRouter(SamplingRouter):
    """A router that judges answers which it has the model give.

    Args:
        probe: ``"full"`` for whole replies, ``"brief"`` for bare answers.
        max_tokens: Longest answer; by default 32 tokens for brief probes (256 where tools are bound) and the
            model's own limit for full ones.

    Raises:
        ConfigurationError: If there is no such probe.
    """

    def __init__(self, probe: Probe, max_tokens: int | None) -> None:
        if probe not in get_args(Probe):
            raise ConfigurationError(f"probe is {probe!r}: expected 'full' or 'brief'")
        self.probe = probe
        self.max_tokens = BRIEF_MAX_TOKENS if max_tokens is None and probe == "brief" else max_tokens

    def _draw(self, request: RouteRequest, n: int, *, temperature: float | None, logprobs: bool) -> Draw:
        max_tokens = self.max_tokens
        if self.probe == "brief" and request.tools and max_tokens is not None:
            max_tokens = max(max_tokens, TOOL_MAX_TOKENS)
        return Draw(
            n,
            append=(Message("user", BRIEF_INSTRUCTION),) if self.probe == "brief" else (),
            temperature=temperature,
            max_tokens=max_tokens,
            logprobs=logprobs,
        )

    def _asked(self, request: RouteRequest) -> RouteRequest:
        """Return what a probe's answers are held against: a schema is asked of the reply alone."""
        return replace(request, answer_schema=None) if self.probe == "brief" else request
