"""An edge that answers with a script, in tests of routers."""

from __future__ import annotations

import math
from typing import Any

from confroute.decision import RouteRequest, Sample, Usage
from confroute.testing import ScriptedSampler

QUESTION = RouteRequest.from_text("What is the capital of France?")
PRICED = Usage(input_tokens=10, output_tokens=2, usd=0.5)


def said(text: str = "Paris", probability: float | None = None, **known: Any) -> Sample:
    """An answer of three tokens, each of this probability."""
    if probability is not None:
        known |= {"logprob": 3 * math.log(probability), "n_tokens": 3}
    return Sample(text, usage=PRICED, model="edge", **known)


class Edge(ScriptedSampler):
    """An edge that answers with a script, each answer once."""

    def __init__(self, *answers: Sample | str) -> None:
        self.answers = [answer if isinstance(answer, Sample) else said(answer) for answer in answers]
        self.given = 0
        super().__init__(self.next)

    def next(self, request: RouteRequest, number: int) -> Sample:
        self.given += 1
        return self.answers[self.given - 1]
