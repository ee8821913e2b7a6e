"""The edge's own probability of the answer that it gave."""

from __future__ import annotations

import math

from confroute.decision import RouteRequest, RouterInfo
from confroute.errors import SamplingError
from confroute.routers._verdict import Draw, Draws, SamplingRouter, check_threshold, verdict

_INFO = RouterInfo(name="logprob", version="1")


class LogProbRouter(SamplingRouter):
    """Sends a question to the cloud when the edge gave its own answer a low probability.

    The edge answers greedily; the score is 1 − exp(mean token log-probability), one minus the geometric mean
    of the probabilities of the answer's tokens. The answer is the draft, so that a question that stays on the
    edge costs one call in all. The score's scale belongs to the model: calibrate the threshold.

    Args:
        threshold: The cloud answers where ``score >= threshold``.
        max_tokens: Longest answer, which may become the reply; the model's own limit by default.

    Raises:
        ConfigurationError: If the threshold is below 0 or not a number.
    """

    def __init__(self, *, threshold: float = 0.5, max_tokens: int | None = None) -> None:
        self.threshold = check_threshold(threshold)
        self.max_tokens = max_tokens

    def draws(self, request: RouteRequest) -> Draws:
        """Draw the greedy answer and judge by its log-probability."""
        samples = yield Draw(1, temperature=0.0, max_tokens=self.max_tokens, logprobs=True)
        mean = samples[0].mean_logprob
        if mean is None or math.isnan(mean):
            raise SamplingError(
                f"the edge model {samples[0].model!r} gave no token log-probabilities, which LogProbRouter "
                "judges by: use EntropyRouter, or SelfCheckRouter(votes=5), which need none"
            )
        return verdict(
            request,
            score=1 - math.exp(min(mean, 0.0)),
            threshold=self.threshold,
            method="logprob",
            told=f"the edge's answer has a mean token log-probability of {mean:.2f}: doubt",
            router=_INFO,
            samples=samples[:1],
            draft=0,
        )
