import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from confroute.decision import (
    Decided,
    RouteDecision,
    Router,
    RouteRequest,
    RouterInfo,
    Sample,
    Sampler,
    Usage,
)
from confroute.errors import ConfigurationError
from confroute.evaluation import RoutingCurve
from confroute.evaluation.ranking import FloatArray
from confroute.routers._combination import ALL, Combination, Kind
from confroute.routers.combined import CombinedRouter
from confroute.routers.entropy import EntropyRouter
from confroute.testing import ScriptedSampler

QUESTION = RouteRequest.from_text("What is the capital of France?")
SPENT = Usage(input_tokens=5, output_tokens=1, usd=0.25)
DRAFT = Usage(input_tokens=7, output_tokens=3, usd=0.5)


class Signal:
    """A signal of one score, with a draft where its own threshold lets it keep one."""

    def __init__(self, score: float, draft: str = "", threshold: float = 0.0) -> None:
        self.score = score
        self.draft = Sample(draft, usage=DRAFT) if draft else None
        self.threshold = threshold
        self.asked: list[RouteRequest] = []

    def decide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        self.asked.append(request)
        kept = self.draft if self.score < self.threshold else None
        usage = SPENT if kept or not self.draft else SPENT + DRAFT
        decision = RouteDecision(
            route="edge",
            score=self.score,
            threshold=self.threshold,
            method="logprob",
            reason="scripted",
            n_samples=1,
            usage=usage,
            router=RouterInfo(name="scripted", version="1"),
        )
        return Decided(decision, kept)

    async def adecide(self, request: RouteRequest, sampler: Sampler | None = None) -> Decided:
        return self.decide(request, sampler)


def rows(n: int, *, both_matter: bool, seed: int = 0) -> tuple[dict[str, FloatArray], FloatArray]:
    """Scores of two signals, and outcomes that hang on both of them or on the first alone."""
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, n))
    logit = 5 * (a + b - 1) if both_matter else 6 * (a - 0.5)
    return {"a": a, "b": b}, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


@lru_cache
def combination(kind: Kind, *, both_matter: bool) -> Combination:
    """Fitted once for all tests, since choosing draws a thousand resamples."""
    router = CombinedRouter({"a": Signal(0.2), "b": Signal(0.3)}, kind=kind)
    scores, outcomes = rows(600, both_matter=both_matter)
    return router.fit(scores, outcomes)._fitted


def fitted(*, both_matter: bool, kind: Kind = "logistic", **signals: Any) -> CombinedRouter:
    router = CombinedRouter(signals or {"a": Signal(0.2), "b": Signal(0.3)}, kind=kind)
    router._combination = combination(kind, both_matter=both_matter)
    return router


def area(scores: FloatArray, outcomes: FloatArray) -> float:
    return RoutingCurve.from_scores(scores, np.zeros(len(outcomes)), outcomes).apgr


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_two_signals_that_both_tell_something_are_combined(kind: Kind) -> None:
    router = fitted(both_matter=True, kind=kind)
    assert router.choice.used == ALL
    assert "all signals together are surely better than the best one: on 600 rows" in router.choice.reason
    scores, outcomes = rows(3000, both_matter=True, seed=1)
    combined = router.score(scores)
    assert area(combined, outcomes) > max(area(scores["a"], outcomes), area(scores["b"], outcomes)) + 0.02
    assert combined.min() >= 0
    assert combined.max() <= 1
    for low, high in ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)):  # calibrated: what it predicts happens so often
        near = (combined > low) & (combined < high)
        assert outcomes[near].mean() == pytest.approx(combined[near].mean(), abs=0.08)


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_a_signal_that_tells_nothing_makes_it_fall_back(kind: Kind) -> None:
    router = fitted(both_matter=False, kind=kind)
    assert router.choice.used == "a"
    assert "not surely better than the best one" in router.choice.reason
    scores, _ = rows(500, both_matter=False, seed=1)
    order = np.argsort(scores["a"])
    assert (np.diff(router.score({"a": scores["a"]})[order]) >= 0).all()


def test_a_fallback_keeps_the_signals_direction() -> None:
    """However badly a small sample speaks of it: a score always means that the cloud is needed."""
    rng = np.random.default_rng(0)
    scores, outcomes = rng.random(40), np.tile([0.0, 1.0], 20)
    router = CombinedRouter({"a": Signal(0.5)}).fit({"a": np.sort(scores)[::-1]}, np.sort(outcomes))
    assert router.score({"a": [0.1]})[0] < router.score({"a": [0.9]})[0]
    assert router.choice.reason == "a is the only signal"


def test_halves_count_for_both_sides() -> None:
    scores, _ = rows(400, both_matter=True)
    router = CombinedRouter({"a": Signal(0.5), "b": Signal(0.5)})
    ties = np.where(np.arange(400) % 2, 0.5, np.where(scores["a"] > 0.5, 1.0, 0.0))
    assert 0.3 < router.fit(scores, ties).score(scores).mean() < 0.7


def test_the_decision_asks_all_that_is_used() -> None:
    a, b = Signal(0.2, "first"), Signal(0.3, "second")
    decided = fitted(both_matter=True, a=a, b=b).decide(QUESTION)
    decision = decided.decision
    assert (decision.route, decision.method, decision.n_samples) == ("edge", "combined", 2)
    assert decided.draft == a.draft
    assert decision.usage == SPENT + SPENT + DRAFT  # the second draft is discarded
    assert decision.reason.startswith("a 0.20, b 0.30: combined 0.")
    assert (a.threshold, b.threshold) == (0.0, 0.0)  # the routers handed in are left as they were


def test_a_cloud_verdict_discards_the_drafts_and_counts_them() -> None:
    decided = fitted(both_matter=True, a=Signal(0.9, "first"), b=Signal(0.9, "second")).decide(QUESTION)
    assert decided.decision.route == "cloud"
    assert decided.draft is None
    assert decided.decision.usage == SPENT + SPENT + DRAFT + DRAFT


def test_after_a_fallback_only_that_signal_is_asked() -> None:
    a, b = Signal(0.2), Signal(0.3)
    decision = fitted(both_matter=False, a=a, b=b).decide(QUESTION).decision
    assert (len(a.asked), len(b.asked)) == (1, 0)
    assert decision.usage == SPENT


async def test_sync_and_async_give_one_verdict() -> None:
    router = fitted(both_matter=True, a=Signal(0.2, "x"), b=Signal(0.3))
    assert await router.adecide(QUESTION) == router.decide(QUESTION)


def test_with_a_real_signal_the_draft_survives_its_own_threshold() -> None:
    entropy = EntropyRouter(n_samples=2, threshold=0.0)
    router = fitted(both_matter=False, a=entropy, b=Signal(0.3))
    decided = router.decide(QUESTION, ScriptedSampler(["Paris"]))
    assert decided.decision.route == "edge"
    assert decided.draft is not None
    assert decided.evidence is not None


def test_a_private_request_stays_marked() -> None:
    assert fitted(both_matter=True).decide(RouteRequest.from_text("secret", private=True)).decision.private


@pytest.mark.parametrize("both_matter", [True, False])
@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_saved_and_loaded_it_scores_the_same(tmp_path: Path, kind: Kind, both_matter: bool) -> None:
    router = fitted(both_matter=both_matter, kind=kind)
    router.threshold = 0.4
    router.save(tmp_path / "r")
    loaded = CombinedRouter.load(tmp_path / "r", {"a": Signal(0.2), "b": Signal(0.3)})
    scores, _ = rows(200, both_matter=both_matter, seed=2)
    assert loaded.score(scores).tolist() == router.score(scores).tolist()
    assert loaded.choice == router.choice
    assert loaded.threshold == 0.4
    assert loaded.decide(QUESTION) == router.decide(QUESTION)


def test_loading_and_scoring_need_no_scikit_learn(tmp_path: Path) -> None:
    fitted(both_matter=True, kind="isotonic").save(tmp_path / "r")
    code = f"""
import sys
sys.modules.update(sklearn=None, scipy=None, torch=None)
from confroute.routers.combined import CombinedRouter
from confroute.routers.logprob import LogProbRouter
router = CombinedRouter.load({str(tmp_path / "r")!r}, {{"a": LogProbRouter(), "b": LogProbRouter()}})
print(router.score({{"a": [0.5], "b": [0.5]}})[0])
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert 0 < float(out) < 1


def test_loading_needs_the_signals_that_are_used(tmp_path: Path) -> None:
    fitted(both_matter=False).save(tmp_path / "r")
    assert CombinedRouter.load(tmp_path / "r", {"a": Signal(0.2)}).decide(QUESTION).decision.score
    with pytest.raises(ConfigurationError, match=r"uses the signals a: expected .* 'a' is missing"):
        CombinedRouter.load(tmp_path / "r", {"b": Signal(0.2)})


def test_bad_folders(tmp_path: Path) -> None:
    signals = {"a": Signal(0.2), "b": Signal(0.3)}
    with pytest.raises(ConfigurationError, match="not a saved CombinedRouter"):
        CombinedRouter.load(tmp_path / "none", signals)
    fitted(both_matter=True).save(tmp_path / "r")
    path = tmp_path / "r" / "combined.json"
    config = json.loads(path.read_text())
    for change, told in (
        ({"schema_version": 2}, "written by a newer confroute"),
        ({"format": "other"}, "damaged or another program's"),
        ({"weights_sha256": "0"}, "does not have the checksum"),
        ({"kind": "magic"}, "damaged or another program's"),
    ):
        path.write_text(json.dumps({**config, **change}))
        with pytest.raises(ConfigurationError, match=told):
            CombinedRouter.load(tmp_path / "r", signals)
    path.write_text("[]")
    with pytest.raises(ConfigurationError, match="damaged or another program's"):
        CombinedRouter.load(tmp_path / "r", signals)


def test_bad_use() -> None:
    signals = {"a": Signal(0.2), "b": Signal(0.3)}
    with pytest.raises(ConfigurationError, match="there are no signals"):
        CombinedRouter({})
    with pytest.raises(ConfigurationError, match="'a' samples adaptively"):
        CombinedRouter({"a": EntropyRouter(adaptive=True)})
    router = CombinedRouter(signals)
    with pytest.raises(ConfigurationError, match="is not fitted"):
        router.decide(QUESTION)
    with pytest.raises(ConfigurationError, match="no scores of the signal 'b'"):
        router.fit({"a": [0.1, 0.2]}, [0, 1])
    scores, outcomes = rows(50, both_matter=True)
    with pytest.raises(ConfigurationError, match="outcomes span 1 to 1"):
        router.fit(scores, np.ones(50))
    with pytest.raises(ConfigurationError, match="30 folds of 50 rows"):
        router.fit(scores, outcomes, folds=30)
    with pytest.raises(ConfigurationError, match=r"scores\['b'\] holds 49 numbers"):
        router.fit({"a": scores["a"], "b": scores["b"][:49]}, outcomes)
    with pytest.raises(ConfigurationError, match="kind is 'magic'"):
        CombinedRouter(signals, kind="magic").fit(scores, outcomes)  # type: ignore[arg-type]  # what is tested


def test_it_keeps_the_contract() -> None:
    assert isinstance(CombinedRouter({"a": Signal(0.2)}), Router)
