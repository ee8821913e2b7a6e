"""Adaptive sampling: how many samples it takes, and which verdicts it changes, on recorded samples.

    python -m benchmarks.adaptive_sampling [--samples FILE] [--recording STORE] [--out FILE]

``--samples`` is a JSONL file with ``question`` and ``samples``; ``--recording`` a store of ``confroute
label``. Every decision goes through `EntropyRouter`, which draws from the recorded answers in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import read_jsonl, table
from confroute.calibration.risk import share_interval
from confroute.decision import RouteDecision, RouteRequest, Sample
from confroute.evaluation import Interval
from confroute.evaluation.bootstrap import interval_of
from confroute.evaluation.ranking import resampled_counts
from confroute.labelling import Store
from confroute.routers.entropy import EntropyRouter
from confroute.uncertainty import (
    CachedEquivalence,
    Equivalence,
    Estimator,
    ExactEquivalence,
    default_equivalence,
)

N_SAMPLES = 10
THRESHOLDS = (0.3, 0.5, 0.7)
ESTIMATORS: tuple[Estimator, ...] = ("likelihood", "discrete")


@dataclass(frozen=True)
class Recorded:
    """One question with the answers recorded for it."""

    question: str
    answers: Sequence[Sample]


class Replay:
    """A sampler that hands out recorded answers in their order."""

    def __init__(self, answers: Sequence[Sample]) -> None:
        self.rest: Iterator[Sample] = iter(answers)
        self.n_calls = 0

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Return the next `n` answers."""
        self.n_calls += 1
        return [next(self.rest) for _ in range(n)]

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Return the next `n` answers."""
        return self.sample(request, n)


def read_samples(path: Path) -> list[Recorded]:
    rows = read_jsonl(path)
    return [Recorded(row["question"], [Sample(text) for text in row["samples"]]) for row in rows]


def read_recording(path: Path) -> dict[str, list[Recorded]]:
    """Return the questions with at least `N_SAMPLES` samples, by model."""
    found: dict[str, list[Recorded]] = {}
    with Store(path, read_only=True) as store:
        questions, settings = store.questions(), store.settings()
        answers: dict[tuple[str, int], list[Sample]] = {}
        for stored in store.samples():
            if stored.draw.kind == "sample":
                answers.setdefault((settings[stored.draw.role], stored.draw.position), []).append(
                    stored.sample
                )
    for (model, position), samples in answers.items():
        if len(samples) >= N_SAMPLES:
            found.setdefault(model, []).append(Recorded(questions[position].question, samples))
    return found


def decide(router: EntropyRouter, recorded: Recorded) -> tuple[RouteDecision, int]:
    replay = Replay(recorded.answers)
    return router.decide(RouteRequest.from_text(recorded.question), replay).decision, replay.n_calls


def report(data: Sequence[Recorded], equivalence: Equivalence) -> str:
    weighted = all(sample.mean_logprob is not None for one in data for sample in one.answers)
    rows = []
    for threshold in THRESHOLDS:
        for estimator in ESTIMATORS:
            if estimator == "likelihood" and not weighted:
                continue
            fixed: dict[str, Any] = {
                "n_samples": N_SAMPLES,
                "threshold": threshold,
                "estimator": estimator,
                "equivalence": equivalence,
            }
            whole = [decide(EntropyRouter(**fixed), one)[0] for one in data]
            adaptive = EntropyRouter(**fixed, adaptive=True)
            found = [decide(adaptive, one) for one in data]
            drawn = mean([decision.n_samples for decision, _ in found])
            calls = np.mean([n_calls for _, n_calls in found])
            differs = [decision.route != full.route for (decision, _), full in zip(found, whole, strict=True)]
            share = np.mean([full.route == "cloud" for full in whole])
            rows.append(
                [
                    f"{threshold:.1f}",
                    f"{share:.1%}",
                    estimator,
                    str(drawn),
                    f"{1 - drawn.estimate / N_SAMPLES:.0%}",
                    f"{calls:.1f}",
                    f"{sum(differs)}: {share_interval(sum(differs), len(differs))}",
                ]
            )
    header = [
        "threshold",
        "cloud share",
        "estimator",
        "mean samples of 10",
        "saved",
        "requests",
        "verdicts changed (share)",
    ]
    return f"n = {len(data)} questions\n\n{table(header, rows)}\n"


def mean(values: Sequence[float]) -> Interval:
    array = np.asarray(values, dtype=np.float64)
    draws = [counts @ array / len(array) for counts in resampled_counts(len(array), 1000, 0)]
    return interval_of(float(array.mean()), np.concatenate(draws), len(array))


INTRO = f"""# Adaptive sampling

Written by `benchmarks/adaptive_sampling.py`. `EntropyRouter` with N = {N_SAMPLES} and adaptive sampling
against the same router drawing all {N_SAMPLES}, on recorded answers in their recorded order. Equivalence:
{{equivalence}}; on the recording exact canonical form, since the other was trained on Natural Questions.
Drawing stops where the answers still missing cannot move the score across the threshold. Brackets: 95 %
intervals over questions, by bootstrap for means and Wilson's for shares. Requests: round trips to the model,
where all at once is 1.
"""


@click.command()
@click.option("--samples", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path))
def main(samples: Path | None, recording: Path | None, out: Path | None) -> None:
    judge = default_equivalence()
    parts = [INTRO.format(equivalence=f"`{judge.name}`")]
    with CachedEquivalence(judge, ":memory:") as equivalence:
        if samples is not None:
            parts.append(f"## {samples.stem}\n\n{report(read_samples(samples), equivalence)}")
        if recording is not None:
            for model, data in sorted(read_recording(recording).items()):
                parts.append(f"## Recording: {model}\n\n{report(data, ExactEquivalence())}")
    text = "\n".join(parts)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
