"""The edge answers, then says whether that answer is right."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from confroute.answers import without_thought
from confroute.decision import Decided, Message, RouteRequest, RouterInfo, Sample, clip_score
from confroute.errors import ConfigurationError, SamplingError
from confroute.routers._verdict import Draw, Draws, SamplingRouter, verdict
from confroute.routers.threshold import (
    DEFAULT_THRESHOLD,
    Threshold,
    check_threshold,
    note_score,
)
from confroute.uncertainty.structure import problem_of

CHECK_QUESTION = "Is this answer correct? Reply with yes or no, one word."

_VOTES = 5  # where a model tells no log-probability
_VOTE_MAX_TOKENS = 8
_VERSION = "1"
_SCALES = r"self-check|self-check-votes-\d+"
_SAYS = {"yes": True, "true": True, "correct": True, "right": True}
_SAYS |= {"no": False, "false": False, "incorrect": False, "wrong": False}


class SelfCheckRouter(SamplingRouter):
    """Sends a question to the cloud when the edge does not stand by its own answer.

    The edge answers greedily, then is asked whether that answer is right (P(True) of Kadavath et al. 2022,
    arXiv 2207.05221); the score is 1 − P(yes). By default P(yes) is read off the log-probability of the one
    token that the check says: p where it is a yes, 1 − p where it is a no. With `votes`, the check is drawn
    so many times and P(yes) is the share of yes among the verdicts that can be read; so it is, with five
    votes, where a model tells no log-probability. The two scales differ: a threshold belongs to one of them.

    Args:
        threshold: The cloud answers where ``score >= threshold``: a number, a mapping from scale to number,
            or a `CloudShare`.
        votes: Checks to draw at temperature 1, for models that give no log-probabilities; None reads the
            log-probability of one.
        max_tokens: Longest answer, which may become the reply; the model's own limit by default.

    Raises:
        ConfigurationError: If an argument is out of its range.
    """

    def __init__(
        self,
        *,
        threshold: Threshold = DEFAULT_THRESHOLD,
        votes: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        if votes is not None and votes < 1:
            raise ConfigurationError(f"votes is {votes}: expected at least 1, or None for log-probabilities")
        self.threshold: Threshold = check_threshold(threshold, _SCALES, "self-check")
        self.votes = votes
        self.max_tokens = max_tokens

    def draws(self, request: RouteRequest) -> Draws:
        """Draw the greedy answer, then the check of it."""
        drafts = yield Draw(1, temperature=None, max_tokens=self.max_tokens)
        draft = drafts[0]
        problem = problem_of(draft, request)
        if problem is not None:
            return self._verdict(request, drafts, 1.0, f"the edge's answer {problem}: uncertainty")
        append = (Message("assistant", _said(draft)), Message("user", CHECK_QUESTION))
        checks: list[Sample] = []
        p_yes, scale, source = None, "self-check", "P(yes)"
        if self.votes is None:
            checks = yield Draw(1, append, temperature=0.0, max_tokens=1, logprobs=True)
            p_yes = _read_logprob(checks[0])
        if p_yes is None:
            votes = yield Draw(self.votes or _VOTES, append, max_tokens=_VOTE_MAX_TOKENS)
            checks = [*checks, *votes]
            p_yes, scale = _count(votes), f"self-check-votes-{len(votes)}"
            source = f"share of yes in {len(votes)} checks"
        told = f"asked whether its answer is right, the edge says yes ({source} {p_yes:.2f}): uncertainty"
        return self._verdict(request, [draft, *checks], 1 - p_yes, told, scale)

    def _verdict(
        self,
        request: RouteRequest,
        samples: list[Sample],
        score: float,
        told: str,
        scale: str = "self-check",
    ) -> Decided:
        score = clip_score(score)
        standing = self.threshold_of(scale)
        note_score(self.threshold, scale, score, score)
        return verdict(
            request,
            score=score,
            threshold=standing,
            method="self_check",
            told=told,
            router=RouterInfo(name=scale, version=_VERSION),
            samples=samples,
            draft=0,
        )


def _said(draft: Sample) -> str:
    """Return the answer as text, tool calls included."""
    return "\n".join([without_thought(draft.text), *(call.key for call in draft.tool_calls)]).strip()


def _says_yes(check: Sample) -> bool | None:
    word = re.match(r"\W*(\w+)", without_thought(check.text))
    return _SAYS.get(word[1].casefold()) if word else None


def _read_logprob(check: Sample) -> float | None:
    """Return P(yes) by the log-probability of a check; None where the model told none."""
    says_yes = _says_yes(check)
    if says_yes is None:
        raise _unreadable([check])
    if check.logprob is None or math.isnan(check.logprob):
        return None
    said = math.exp(min(check.logprob, 0.0))
    return said if says_yes else 1 - said


def _count(checks: Sequence[Sample]) -> float:
    readable = [said for check in checks if (said := _says_yes(check)) is not None]
    if not readable:
        raise _unreadable(checks)
    return sum(readable) / len(readable)


def _unreadable(checks: Sequence[Sample]) -> SamplingError:
    return SamplingError(
        f"asked whether its answer is right, the edge model {checks[0].model!r} said neither yes nor no: use "
        "ConfidenceRouter(n_samples=0) or EntropyRouter with it"
    )
