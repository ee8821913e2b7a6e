"""Thresholds: a number, a number by scale, and a dial that holds a share of cloud calls."""

import copy
import pickle
import threading
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from confroute import CloudShare
from confroute.errors import ConfigurationError
from confroute.routers.threshold import (
    NOTHING_TO_CLOUD,
    check_threshold,
    note_score,
    plain_threshold,
    threshold_at,
)

DEFAULT = 0.5


def achieved(dial: CloudShare, scores: Iterable[float], *, after: int = 0) -> float:
    """Route exact scores one after the other; return the share sent, the first `after` left out."""
    sent = []
    for score in scores:
        sent.append(score >= dial.at("scale", DEFAULT))
        dial.saw("scale", score, score)
    return float(np.mean(sent[after:]))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_the_share_is_held_on_scores_of_one_kind(share: float) -> None:
    scores = np.random.default_rng(0).beta(2, 5, 3000)
    assert achieved(CloudShare(share), scores, after=20) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(("start", "end"), [(0.3, 1.0), (1.0, 0.3)])
def test_the_share_follows_scores_that_drift(start: float, end: float) -> None:
    scores = np.random.default_rng(0).beta(2, 5, 5000) * np.linspace(start, end, 5000)
    assert achieved(CloudShare(0.3), scores) == pytest.approx(0.3, abs=0.045)


@pytest.mark.parametrize(
    ("share", "closest"), [(0.12, 0.1), (0.25, 0.2), (0.35, 0.4), (0.55, 0.6), (0.9, 1.0)]
)
def test_of_tied_scores_the_closest_share_is_taken(share: float, closest: float) -> None:
    scores = [0.0] * 8 + [0.25] * 4 + [0.5] * 4 + [0.75] * 2 + [1.0] * 2
    dial = CloudShare(share, warm_start=scores * 25)
    assert np.mean(np.array(scores) >= dial.at("scale", DEFAULT)) == pytest.approx(closest)


def test_tied_scores_that_come_one_by_one_keep_to_shares_around_the_target() -> None:
    values, chances = [0, 0.25, 0.5, 0.75, 1], [0.4, 0.2, 0.2, 0.1, 0.1]
    scores = np.random.default_rng(0).choice(values, 4000, p=chances)
    assert achieved(CloudShare(0.3), scores, after=20) == pytest.approx(0.3, abs=0.1)


def look_and_ask(certainty: float, agrees: list[bool], threshold: float) -> tuple[float, float, bool]:
    """Return the interval of ``u * (1 - a)`` and the verdict, where drawing stops once that is settled."""
    low, high, agreeing, n = 0.0, certainty, 0, len(agrees)
    for drawn in range(n + 1):
        low = certainty * (1 - (agreeing + n - drawn) / n) if certainty >= threshold else 0.0
        high = certainty * (1 - agreeing / n)
        if low >= threshold or high < threshold:
            break
        agreeing += agrees[drawn]
    return low, high, low >= threshold


def half_hard(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    hard = rng.random(n) < 0.5
    return (
        np.where(hard, rng.beta(3, 2, n), rng.beta(1, 5, n)),
        np.where(hard, rng.beta(1, 2, n), rng.beta(8, 1, n)),
    )


def mostly_sure(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.beta(1, 8, n), rng.beta(2, 2, n)


@pytest.mark.parametrize("kind", [half_hard, mostly_sure])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_the_share_is_held_where_scores_are_cut_short_by_the_threshold_itself(
    kind: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]], share: float
) -> None:
    rng, dial, sent, cut_short = np.random.default_rng(1), CloudShare(share), [], 0
    certainty, agreement = kind(rng, 3000)
    agrees = rng.random((3000, 4)) < agreement[:, None]
    for u, drawn in zip(certainty.tolist(), agrees.tolist(), strict=True):
        low, high, up = look_and_ask(u, drawn, dial.at("scale", DEFAULT))
        dial.saw("scale", low, high)
        sent.append(up)
        cut_short += low < high
    assert cut_short > 1500
    assert np.mean(sent[500:]) == pytest.approx(share, abs=0.025)


def test_an_interval_spreads_its_weight_evenly() -> None:
    dial = CloudShare(0.25)
    for _ in range(20):
        dial.saw("scale", 0.2, 0.6)
    assert dial.at("scale", DEFAULT) == pytest.approx(0.5)


def test_intervals_and_scores_weigh_the_same() -> None:
    dial = CloudShare(0.75)
    for _ in range(10):
        dial.saw("scale", 0.0, 0.4)
        dial.saw("scale", 0.8, 0.8)
    assert dial.at("scale", DEFAULT) == pytest.approx(0.2)  # all ten at 0.8, and half of each interval


def test_the_default_rules_until_twenty_scores_were_seen() -> None:
    dial = CloudShare(0.3)
    for seen in range(20):
        assert dial.at("scale", 0.42) == 0.42, seen
        dial.saw("scale", 0.9, 0.9)
    assert dial.at("scale", 0.42) != 0.42
    assert dial.at("another", 0.42) == 0.42


def test_a_warm_start_rules_at_once() -> None:
    dial = CloudShare(0.5, warm_start=[0.1, 0.2, 0.7, 0.8])
    assert 0.2 < dial.at("any", DEFAULT) <= 0.7
    by_scale = CloudShare(0.5, warm_start={"entropy-brief": [0.1, 0.2, 0.7, 0.8]})
    assert 0.2 < by_scale.at("entropy-brief", 0.9) <= 0.7
    assert by_scale.at("entropy-full", 0.9) == 0.9


def test_scales_do_not_mix() -> None:
    dial = CloudShare(0.5)
    for step in range(40):
        dial.saw("low", step / 400, step / 400)
        dial.saw("high", 0.9 + step / 400, 0.9 + step / 400)
    assert dial.at("low", DEFAULT) < 0.1
    assert dial.at("high", DEFAULT) > 0.9


def test_the_window_forgets() -> None:
    dial = CloudShare(0.5, window=20)
    for score in [0.9] * 20 + [0.1] * 20:
        dial.saw("scale", score, score)
    assert dial.at("scale", DEFAULT) < 0.9


@pytest.mark.parametrize(("share", "score", "goes"), [(0, 1.0, False), (1, 0.0, True)])
def test_none_and_all(share: float, score: float, goes: bool) -> None:
    dial = CloudShare(share)
    for _ in range(30):
        assert (score >= dial.at("scale", DEFAULT)) is goes
        dial.saw("scale", score, score)


def test_a_share_smaller_than_half_of_the_tied_top_sends_nothing() -> None:
    dial = CloudShare(0.1, warm_start=[1.0] * 30 + [0.0] * 70)
    assert dial.at("scale", DEFAULT) == pytest.approx(NOTHING_TO_CLOUD)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda dial: pickle.loads(pickle.dumps(dial))])
def test_a_copy_has_seen_the_same_and_sees_for_itself(copied: Callable[[CloudShare], CloudShare]) -> None:
    dial = CloudShare(0.3, window=40)
    for score in np.random.default_rng(0).random(40).tolist():
        dial.saw("scale", score, score)
    before = dial.at("scale", DEFAULT)
    twin = copied(dial)
    assert twin.at("scale", DEFAULT) == before
    for _ in range(40):
        twin.saw("scale", 0.0, 0.0)
    assert twin.at("scale", DEFAULT) != before
    assert dial.at("scale", DEFAULT) == before


def test_threads_lose_no_score() -> None:
    dial = CloudShare(0.5, window=4000)

    def note(score: float) -> None:
        for _ in range(1000):
            dial.at("scale", DEFAULT)
            dial.saw("scale", score, score)

    threads = [threading.Thread(target=note, args=(score,)) for score in (0.1, 0.2, 0.8, 0.9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dial.at("scale", DEFAULT) == 0.8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"share": 1.2}, "share is 1.2: expected a fraction"),
        ({"share": float("nan")}, "share is nan"),
        ({"share": "0.3"}, "share is '0.3'"),
        ({"share": 0.3, "window": 5}, "window is 5: expected a whole number of at least 20"),
        ({"share": 0.3, "warm_start": [0.1, 1.1]}, "warm_start holds something else than scores"),
        ({"share": 0.3, "warm_start": {"a": [float("nan")]}}, "warm_start holds something else than scores"),
        ({"share": 0.3, "warm_start": ["high"]}, "warm_start holds something else than scores"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        CloudShare(**arguments)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(("low", "high"), [(0.6, 0.5), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_an_interval_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(ConfigurationError, match="expected an interval within"):
        CloudShare(0.3).saw("scale", low, high)


@pytest.mark.parametrize(
    "threshold", [-0.1, float("nan"), float("inf"), "0.5", None, True, 30, {"scale": -1}, {"scale": "high"}]
)
def test_what_is_no_threshold_is_refused(threshold: object) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a number from 0 to 2.* CloudShare"):
        check_threshold(threshold)  # type: ignore[arg-type]  # wrong on purpose


def test_each_form_of_a_threshold_tells_its_number() -> None:
    dial = CloudShare(0.5, warm_start=[0.1, 0.9])
    assert threshold_at(check_threshold(0.4), "scale", DEFAULT) == 0.4
    assert threshold_at(check_threshold({"scale": 0.3}), "scale", DEFAULT) == 0.3
    assert threshold_at(check_threshold({"scale": 0.3}), "another", DEFAULT) == DEFAULT
    assert threshold_at(check_threshold(dial), "scale", DEFAULT) == dial.at("scale", DEFAULT)


def test_only_a_dial_notes_scores() -> None:
    dial = CloudShare(0.5, window=20)
    before = threshold_at(dial, "scale", DEFAULT)
    for threshold in (0.5, {"scale": 0.5}, dial):
        for _ in range(20):
            note_score(threshold, "scale", 0.9, 0.9)
    assert before == DEFAULT
    assert threshold_at(dial, "scale", DEFAULT) == 0.9


def test_thresholds_are_told_as_plain_data() -> None:
    assert plain_threshold(0.5) == 0.5
    assert plain_threshold({"scale": 0.5}) == {"scale": 0.5}
    assert plain_threshold(CloudShare(0.3)) == "CloudShare(0.3, window=500)"
