"""Recorded answers through the routers, as `benchmarks/one_look.py` measures them: scores, calls, tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from benchmarks.one_look_data import LETTERS, Asked, FloatArray, Recording, without_logprobs
from confroute.answers import answer_of
from confroute.decision import Decided, RouteRequest, Sample
from confroute.routers.confidence import ConfidenceRouter
from confroute.routers.entropy import EntropyRouter
from confroute.training import fold_by_question
from confroute.uncertainty import Equivalence, Estimator, entropy_of
from confroute.uncertainty.equivalence import Pair

SHARE = 0.3
FOLDS = 5
DRAWS, DRAWS_OF_MANY, MANY = 5, 2, 1000
"""How many draws of k samples a figure is the mean of, where more than k are recorded; fewer of `MANY`
questions."""

NEVER = 2.0
"""A threshold above every score: the edge answers, whatever is seen."""

DISAGREEMENT, PRODUCT = "d,", "u·d,"
LOOK, DRAFT = "the look is handed out", "its draft is handed out"


class Judged:
    """An equivalence whose scores stay in memory.

    Args:
        judge: Asked for what is not known yet.
    """

    symmetric = False
    threshold = 0.5

    def __init__(self, judge: Equivalence) -> None:
        self.judge = judge
        self.name = judge.name
        self.known: dict[Pair, float] = {}

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Return P(a entails b); shape [n]."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.known]
        if new:
            self.known |= dict(zip(new, self.judge.score(new).tolist(), strict=True))
        return np.array([self.known[pair] for pair in pairs])

    def judge_all(self, recording: Recording) -> None:
        """Judge all pairs of answers to each question in one batch."""
        pairs = []
        for one in recording.asked:
            texts = dict.fromkeys(answer_of(s.text, one.question) for s in (one.look, *one.more))
            pairs += [(one.question, a, b) for a in texts for b in texts if a != b]
        self.score(pairs)


class Replay:
    """A sampler that hands out recorded answers in their order, and counts them."""

    def __init__(self, answers: Sequence[Sample]) -> None:
        self.rest: Iterator[Sample] = iter(answers)
        self.drawn: list[Sample] = []
        self.n_requests = 0

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Return the next `n` answers."""
        self.n_requests += 1
        found = [next(self.rest) for _ in range(n)]
        self.drawn += found
        return found

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Return the next `n` answers."""
        return self.sample(request, n)

    @property
    def n_tokens(self) -> float:
        """Tokens of the answers drawn; NaN where they are not told."""
        return float(sum(math.nan if one.n_tokens is None else one.n_tokens for one in self.drawn))


class Spent(NamedTuple):
    """What deciding took: answers drawn, requests sent, tokens generated."""

    answers: float
    requests: float
    tokens: float


@dataclass(frozen=True)
class Signal:
    """A way to decide.

    Attributes:
        name: What the report calls it.
        k: Further answers that it draws after the look, or samples without a look.
        router: Makes the router for a threshold.
    """

    name: str
    k: int
    router: Callable[[float], ConfidenceRouter | EntropyRouter]

    @property
    def looks(self) -> bool:
        """Whether it draws the look first."""
        return not self.name.startswith("SE")


@dataclass
class Found:
    """What a signal gave: one entry for each draw of samples.

    Attributes:
        scores: Scores of all samples, shape [n] each.
        edge: Quality of the answer that is handed out, shape [n] each.
        spent: Answers, requests and tokens at a cloud share of `SHARE` on other questions, shape [n, 3] each.
        shares: The cloud share that this gave; empty where nothing is drawn.
        scales: How many decisions each scale of scores has.
    """

    scores: list[FloatArray] = field(default_factory=list)
    edge: list[FloatArray] = field(default_factory=list)
    spent: list[FloatArray] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    scales: Counter[str] = field(default_factory=Counter)


def signals_of(recording: Recording, equivalence: Equivalence) -> list[Signal]:
    """Return the signals that a recording can tell."""

    def entropy(k: int, estimator: Estimator = "likelihood") -> Callable[[float], EntropyRouter]:
        return lambda threshold: EntropyRouter(
            n_samples=k,
            threshold=threshold,
            equivalence=equivalence,
            estimator=estimator,
            adaptive=True,
        )

    def one_look(n: int) -> Callable[[float], ConfidenceRouter]:
        return lambda threshold: ConfidenceRouter(n_samples=n, threshold=threshold, equivalence=equivalence)

    n_more = len(recording.asked[0].more)
    found = [Signal(f"SE of {k}", k, entropy(k)) for k in (3, 5, 10) if k <= n_more]
    if not recording.has_logprobs:
        return [*found, *(Signal(f"{DISAGREEMENT} k = {k}", k, one_look(k)) for k in (3, 4, 10))]
    if n_more >= 10:
        found.append(Signal("SE of 10, discrete", 10, entropy(10, "discrete")))
    found.append(Signal("u, one call", 0, one_look(0)))
    found += [Signal(f"{DISAGREEMENT} k = {k}", k, one_look(k)) for k in (3, 4)]
    return found + [Signal(f"{PRODUCT} k = {k}", k, one_look(k)) for k in (3, 4, 5, 10) if k <= n_more]


def measure(signal: Signal, recording: Recording, seed: int) -> dict[str, Found]:
    """Put recorded answers through a router, to the end and stopping early; return what it gave, by name."""
    as_look, as_draft = Found(), Found()
    n, n_more = len(recording.asked), len(recording.asked[0].more)
    n_draws = DRAWS if n < MANY else DRAWS_OF_MANY
    starts = range(0, n_more, n_more // n_draws)[:n_draws] if 0 < signal.k < n_more else (0,)
    asked = (without_logprobs(recording) if signal.name.startswith(DISAGREEMENT) else recording).asked
    folds = fold_by_question([one.question for one in asked], folds=FOLDS, seed=seed)
    for start in starts:
        answers = [
            [*([one.look] if signal.looks else []), *one.more[start:], *one.more[:start]] for one in asked
        ]
        to_the_end = signal.router(NEVER).drawing_all()
        whole = [
            decide(to_the_end, one.question, drawn)[0] for one, drawn in zip(asked, answers, strict=True)
        ]
        scores = np.array([decided.decision.score for decided in whole])
        spent, to_cloud = np.empty((n, 3)), np.empty(n, dtype=bool)
        for fold in range(FOLDS):
            router = signal.router(threshold_for(scores[folds != fold]))
            for i in np.flatnonzero(folds == fold):
                decided, spent[i] = decide(router, asked[i].question, answers[i])
                to_cloud[i] = decided.decision.route == "cloud"
        drafts = [draft_is_right(one, decided) for one, decided in zip(asked, whole, strict=True)]
        for found, edge in ((as_look, recording.edge), (as_draft, np.array(drafts, dtype=np.float64))):
            found.scores.append(scores)
            found.scales.update(d.decision.router.name for d in whole if d.decision.router)
            found.edge.append(edge)
            found.spent.append(spent)
            found.shares.append(float(to_cloud.mean()))
    if signal.looks or not recording.is_own:
        return {signal.name: as_look}
    return {f"{signal.name}, {LOOK}": as_look, f"{signal.name}, {DRAFT}": as_draft}


def decide(
    router: ConfidenceRouter | EntropyRouter, question: str, answers: Sequence[Sample]
) -> tuple[Decided, Spent]:
    """Let a router decide on recorded answers."""
    replay = Replay(answers)
    decided = router.decide(RouteRequest.from_text(question), replay)
    return decided, Spent(len(replay.drawn), replay.n_requests, replay.n_tokens)


def threshold_for(scores: FloatArray) -> float:
    """Return the threshold whose cloud share is nearest to `SHARE`."""
    distinct, counts = np.unique(scores, return_counts=True)
    shares = np.cumsum(counts[::-1])[::-1] / len(scores)
    return float(distinct[np.argmin(np.abs(shares - SHARE))])


def draft_is_right(one: Asked, decided: Decided) -> bool:
    """Whether the sample that a router hands out is right; none is wrong."""
    numbers = [i for i, sample in enumerate((one.look, *one.more)) if sample is decided.draft]
    return bool(numbers and one.right and one.right[numbers[0]])


def at_default(recording: Recording, equivalence: Equivalence) -> dict[str, tuple[FloatArray, Spent]]:
    """Decide at the default thresholds; return, by scale, which questions go to the cloud and what it takes.

    Returns:
        0 and 1 by question, shape [n], and the mean spent on one.
    """
    bare = without_logprobs(recording)
    told = [(recording, 4), (recording, 0)] if recording.has_logprobs else []
    found = {}
    for answered, n_samples in (*told, (bare, 4)):
        router = ConfidenceRouter(n_samples=n_samples, equivalence=equivalence)
        whole = [decide(router, one.question, [one.look, *one.more]) for one in answered.asked]
        scales = Counter(decided.decision.router.name for decided, _ in whole if decided.decision.router)
        to_cloud = np.array([float(decided.decision.route == "cloud") for decided, _ in whole])
        name = " and ".join(f"`{scale}`" for scale, _ in scales.most_common())
        found[name] = to_cloud, Spent(*np.mean([spent for _, spent in whole], axis=0).tolist())
    return found


def read_letters(recording: Recording) -> dict[str, Found]:
    """Return the entropy over the four letters, told and not drawn, and the doubt of the likeliest one."""
    spent = np.ones((len(recording.asked), 3))
    entropy = [
        entropy_of(one.more, range(len(LETTERS)), estimator="likelihood").normalized
        for one in recording.asked
    ]
    router = ConfidenceRouter(n_samples=0, threshold=NEVER)
    doubt = [decide(router, one.question, [one.look])[0].decision.score for one in recording.asked]
    return {
        name: Found([np.array(scores)], [recording.edge], [spent], [SHARE])
        for name, scores in (("entropy of the four letters", entropy), ("u, the likeliest letter", doubt))
    }
