"""Quality over time: do the decisions of today still look like those that the threshold was chosen on?

Scores and cloud share of a log of decisions are tested against those of calibration, over the whole log and
day by day, with p-values adjusted for their number. That tells whether questions or models have changed; what
quality costs of it, only answered and judged questions can tell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from confroute.decision import RouteDecision
from confroute.errors import ConfigurationError, require
from confroute.evaluation.bootstrap import Interval, interval_of
from confroute.evaluation.inference import holm, wilson
from confroute.evaluation.ranking import FloatArray, column, resampled_counts
from confroute.evaluation.tables import comparable, numbers, read_rows

_BY_ROUTER = frozenset({"trained", "confidence", "entropy", "self_check", "cascade", "fallback"})
_FEWEST = 20
"""Fewer decisions than this are not tested."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One decision that a router took, from a log.

    Attributes:
        time: When, in this machine's time zone.
        score: "The cloud is needed".
        threshold: The threshold that ruled.
        router: The router's name and version.
        settled_early: Whether the score is a bound, since drawing stopped once the verdict was settled.
    """

    time: datetime
    score: float
    threshold: float
    router: str
    settled_early: bool = False

    def tells(self, threshold: float) -> bool:
        """Whether the score tells the verdict at a threshold: a bound must lie on the side that it bounds."""
        goes = self.score >= self.threshold
        return not self.settled_early or goes == (self.score >= threshold)


@dataclass(frozen=True)
class Window:
    """Decisions of one span of time against calibration.

    Attributes:
        name: The span: ``all``, or a day.
        n: Number of decisions.
        share: Cloud share at the last threshold of the log, with Wilson's interval.
        distance: Kolmogorov-Smirnov distance of the scores to calibration's, in [0, 1]; NaN where unknown.
        p_scores: p-value of "scores come from the same distribution", adjusted; NaN where not tested. With
            tied scores it is too large rather than too small.
        p_share: p-value of "the cloud share is the same", adjusted; NaN where not tested.
    """

    name: str
    n: int
    share: Interval
    distance: float
    p_scores: float
    p_share: float


@dataclass(frozen=True)
class Drift:
    """What a log says against calibration.

    Attributes:
        router: The router.
        threshold: Its threshold in the last decision of the log.
        n_reference: Number of calibration scores.
        expected_share: Cloud share at that threshold in calibration.
        windows: All decisions, then each day.
        n_tests: Number of p-values that were adjusted together, by Holm's method.
        alpha: Chance of any false alarm among them.
        proposed: Threshold that would send `expected_share` of the log's questions to the cloud again, with
            its bootstrap interval; None where there is no drift, or scores are bounds.
        proposed_share: Cloud share of the log's questions at `proposed`.
        skipped: Rows that no router decided (forced, private, without a score), of another router, or whose
            score is a bound that does not tell the verdict at `threshold`.
        thresholds: Distinct thresholds in the log.
    """

    router: str
    threshold: float
    n_reference: int
    expected_share: float
    windows: list[Window]
    n_tests: int
    alpha: float
    proposed: Interval | None
    proposed_share: float
    skipped: int
    thresholds: int

    @property
    def drifted(self) -> bool:
        """Whether any test, after adjustment, speaks against calibration."""
        return any(p <= self.alpha for w in self.windows for p in (w.p_scores, w.p_share))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON data; what was not tested is null."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return {"drifted": self.drifted, **plain}

    def to_text(self) -> str:
        """Return a report for people."""
        whole, kept = self.windows[0], _percent(self.expected_share)
        told = (
            f"{self.router}: {whole.n} decisions against {self.n_reference} calibration scores; "
            f"{self.skipped} rows not decided by it are left out\n"
            f"cloud share at threshold {self.threshold:.3f}: {_percent(whole.share.estimate)} "
            f"[{_percent(whole.share.low)}, {_percent(whole.share.high)}], {kept} in calibration\n\n"
            f"{'':12}{'n':>7}{'share':>9}{'KS':>8}{'p scores':>11}{'p share':>10}\n"
        )
        for w in self.windows:
            mark = " *" if min(_p(w.p_scores), _p(w.p_share)) <= self.alpha else ""
            told += (
                f"{w.name:12}{w.n:>7}{_percent(w.share.estimate):>9}{w.distance:>8.3f}"
                f"{_told(w.p_scores):>11}{_told(w.p_share):>10}{mark}\n"
            )
        told += (
            f"\np-values are adjusted for {self.n_tests} tests (Holm); * at most {self.alpha:g}. Looking "
            "again every day is more tests: expect a false alarm now and then\n"
        )
        if self.thresholds > 1:
            told += f"the log holds {self.thresholds} thresholds: shares are told at the last one\n"
        if self.drifted and self.proposed is None:
            return (
                f"{told}drift: the cloud share is another. Scores are bounds, so that the log tells no "
                "threshold that would restore it: calibrate on new questions"
            )
        if self.proposed is None:
            return f"{told}no drift found: keep the threshold {self.threshold:.3f}"
        return (
            f"{told}drift: for a cloud share of {kept} again, set the threshold to "
            f"{self.proposed.estimate:.4f} [{self.proposed.low:.4f}, {self.proposed.high:.4f}]; on this log "
            f"it gives {_percent(self.proposed_share)}\n"
            "this keeps the bill, not the quality: what answers are worth now, only questions from the log "
            "that are labelled or judged can tell ('confroute label', 'confroute evaluate')"
        )


def read_log(path: str | Path) -> tuple[list[Logged], int]:
    """Read a log of decisions: JSON lines, each a decision with its ``time`` in ISO 8601.

    A last line that is not whole yet is left out.

    Returns:
        The decisions that a router took, in order of time, and the number of other rows.

    Raises:
        ConfigurationError: If the file is absent or a line is no such decision.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist: expected a log of decisions, JSON lines")
    logged = []
    others = 0
    fields = set(RouteDecision.model_fields)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                time = datetime.fromisoformat(row["time"])
                decision = RouteDecision(**{name: row[name] for name in fields & set(row)})
            except (ValueError, TypeError, KeyError) as error:
                if not line.endswith("\n"):
                    break  # the last line is being written
                raise ConfigurationError(
                    f"{path}, line {number} is not a decision with a time ({type(error).__name__}: {error}): "
                    'expected {"time": "2026-05-01T12:00:00+00:00", "route": "edge", "score": 0.2, ...}'
                ) from error
            if decision.method not in _BY_ROUTER or decision.score is None or decision.threshold is None:
                others += 1
                continue
            router = f"{decision.router.name} {decision.router.version}" if decision.router else "a router"
            logged.append(
                Logged(time.astimezone(), decision.score, decision.threshold, router, decision.settled_early)
            )
    return sorted(logged, key=lambda one: one.time), others


@dataclass(frozen=True)
class Reference:
    """What the log is held against.

    Attributes:
        n: Number of calibration questions.
        scores: Their scores, shape [n]; None where only their cloud share is known.
        share: Their cloud share; None to count it in `scores`, at the log's threshold.
    """

    n: int
    scores: FloatArray | None
    share: float | None = None

    @classmethod
    def of(cls, scores: ArrayLike) -> Reference:
        """Hold calibration scores, shape [n]."""
        known = column(scores, "calibration scores")
        return cls(len(known), known)

    def share_at(self, threshold: float) -> float:
        """Return the cloud share that was promised."""
        if self.share is not None or self.scores is None:
            return self.share or 0.0
        return float((self.scores >= threshold).mean())


def read_reference(path: str | Path) -> Reference:
    """Read what a threshold was calibrated on.

    Args:
        path: A table with a column ``score`` (the ``questions.csv`` of an evaluation is one), an earlier log
            of decisions, or the ``calibration.json`` of a router's folder, which knows the cloud share alone,
            as does a log with scores that are bounds.

    Raises:
        ConfigurationError: If the file is none of them.
    """
    path = Path(path)
    if path.suffix == ".json":
        from confroute.calibration import Calibration

        calibration = Calibration.load(path)
        if calibration.cloud_share is None:
            raise ConfigurationError(f"{path} tells no cloud share: its target could not be met")
        return Reference(calibration.n, None, calibration.cloud_share.estimate)
    rows = read_rows(path)
    if "time" in rows[0] and "route" in rows[0]:
        logged, _ = read_log(path)
        if any(one.settled_early for one in logged):
            return Reference(
                len(logged), None, float(np.mean([one.score >= one.threshold for one in logged]))
            )
        return Reference.of([one.score for one in logged])
    rows, _ = comparable(rows, path.name)
    return Reference.of(numbers(rows, "score", path.name))


def drift(
    log: Sequence[Logged],
    reference: Reference,
    *,
    skipped: int = 0,
    alpha: float = 0.05,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Drift:
    """Test logged decisions against calibration.

    Scores by a two-sample Kolmogorov-Smirnov test, cloud share by Fisher's exact test on counts above and
    below the threshold, for all decisions and for each day with twenty or more; p-values are adjusted
    together. Decisions are taken to be independent: many calls of one agent or one user are not, and make
    p-values too small. Where the log holds decisions of several routers, the last one's count. Scores that
    are bounds tell a share and no distribution: where the log holds any, the cloud share alone is tested, on
    the decisions whose verdict at the last threshold is known, and no other threshold is proposed.

    Args:
        log: Decisions, in order of time.
        reference: What they are held against; without its scores, only the cloud share is tested.
        skipped: Rows left out by `read_log`.
        alpha: Chance of any false alarm.
        n_resamples: Resamples behind the interval of the proposed threshold.
        seed: Seed of the resamples.

    Raises:
        ConfigurationError: If the log or the reference holds fewer than twenty decisions.
        MissingExtraError: If scipy is not installed.
    """
    last = log[-1] if log else None
    ours = [
        one for one in log if last is not None and one.router == last.router and one.tells(last.threshold)
    ]
    if last is None or min(len(ours), reference.n) < _FEWEST:
        raise ConfigurationError(
            f"{len(ours)} decisions and {reference.n} calibration scores: expected at least {_FEWEST} of each"
        )
    require("scipy", extra="evaluate", purpose="Testing for drift")
    if bounds := any(one.settled_early for one in ours):
        reference = Reference(reference.n, None, reference.share_at(last.threshold))
    days: dict[str, list[Logged]] = {}
    for one in ours:
        days.setdefault(one.time.date().isoformat(), []).append(one)
    spans = {"all": ours, **days}
    expected = reference.share_at(last.threshold)
    raw = [_test(span, reference, last.threshold) for span in spans.values()]
    p_values = holm([p for one in raw for p in one[1:]])
    windows = [
        Window(name, len(span), _share(span, last.threshold), one[0], *p_values[2 * i : 2 * i + 2])
        for i, ((name, span), one) in enumerate(zip(spans.items(), raw, strict=True))
    ]
    found = Drift(
        router=last.router,
        threshold=last.threshold,
        n_reference=reference.n,
        expected_share=expected,
        windows=windows,
        n_tests=sum(not math.isnan(p) for p in p_values),
        alpha=alpha,
        proposed=None,
        proposed_share=float("nan"),
        skipped=skipped + len(log) - len(ours),
        thresholds=len({one.threshold for one in ours}),
    )
    if bounds or not found.drifted:
        return found
    scores = np.array([one.score for one in ours])
    proposed = _threshold_for(scores, expected, n_resamples, seed)
    share = float((scores >= proposed.estimate).mean())
    return Drift(**{**vars(found), "proposed": proposed, "proposed_share": share})


def _test(span: Sequence[Logged], reference: Reference, threshold: float) -> tuple[float, float, float]:
    """Return the distance of scores, and p-values of scores and of share."""
    from scipy.stats import fisher_exact, ks_2samp  # type: ignore[import-untyped]  # ships no types

    scores = np.array([one.score for one in span])
    distance, p_scores = float("nan"), float("nan")
    if reference.scores is not None:
        ks = ks_2samp(scores, reference.scores)
        distance, p_scores = float(ks.statistic), float(ks.pvalue)
    if len(span) < _FEWEST:
        return distance, float("nan"), float("nan")
    above, expected = int((scores >= threshold).sum()), round(reference.share_at(threshold) * reference.n)
    table = [[above, len(span) - above], [expected, reference.n - expected]]
    return distance, p_scores, float(fisher_exact(table).pvalue)


def _share(span: Sequence[Logged], threshold: float) -> Interval:
    rate = np.array([np.mean([one.score >= threshold for one in span])])
    low, high = wilson(rate, np.array([float(len(span))]))
    return Interval(float(rate[0]), float(low[0]), float(high[0]), len(span))


def _threshold_for(scores: FloatArray, share: float, n_resamples: int, seed: int) -> Interval:
    """Return the threshold whose cloud share comes nearest to one that is wanted."""
    ranked = np.sort(scores)[::-1]
    candidates = np.append(np.unique(scores)[::-1], 0.0)  # from careful to bold
    ends = np.searchsorted(-ranked, -candidates, side="right")
    above = np.nextafter(candidates[0], np.inf)  # nothing to the cloud
    choices = np.append(above, candidates)

    def nearest(cumulated: FloatArray) -> FloatArray:
        shares = np.concatenate([np.zeros((len(cumulated), 1)), cumulated[:, ends - 1]], axis=1)
        picked: FloatArray = choices[np.abs(shares - share).argmin(axis=1)]
        return picked

    n = len(scores)
    draws = np.concatenate(
        [nearest(np.cumsum(counts, axis=1) / n) for counts in resampled_counts(n, n_resamples, seed)]
    )
    estimate = float(nearest(np.arange(1, n + 1)[None] / n)[0])
    return interval_of(estimate, draws, n)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list) else value


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _p(value: float) -> float:
    return 1.0 if math.isnan(value) else value


def _told(value: float) -> str:
    return "too few" if math.isnan(value) else f"{value:.2g}"
