"""One look against many samples: errors told, routing, calls and tokens, on recorded answers.

    python -m benchmarks.one_look RECORDING --folds FOLDER [--data DATA] [--cache FOLDER] [--out FILE]

RECORDING is an export of ``confroute label``; FOLDER holds the cross-fitted equivalences that
``scripts/train_equivalence.py --folds`` writes; DATA holds ``samples/``, ``recordings/``, ``cascades/`` and
``routellm/``. What is absent is left out, and said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import click
import numpy as np

from benchmarks.common import table
from benchmarks.equivalence import CrossFit
from benchmarks.one_look_data import (
    FloatArray,
    Recording,
    read_gsm8k,
    read_llama,
    read_mmlu,
    read_nq,
    read_pair,
)
from benchmarks.one_look_run import (
    DRAWS,
    DRAWS_OF_MANY,
    LOOK,
    MANY,
    PRODUCT,
    SHARE,
    Found,
    Judged,
    at_default,
    measure,
    read_letters,
    signals_of,
)
from confroute.errors import ConfigurationError
from confroute.evaluation import Interval, oracle_scores, prompt_length_scores, random_spread
from confroute.evaluation.bootstrap import interval_of
from confroute.evaluation.curves import NO_GAP
from confroute.evaluation.inference import mean_interval
from confroute.evaluation.ranking import area, cumulate, descending, first_crossing, resampled_counts
from confroute.evaluation.table1 import PAPER
from confroute.routers.confidence import DEFAULT_THRESHOLDS
from confroute.uncertainty import CachedEquivalence, Equivalence

RESAMPLES = 1000
CHUNK = 100
"""Resamples worked on at a time."""

ROUTELLM_BEST = {
    "MMLU": ("SW, trained on Arena and MMLU's own validation answers", "35.40", "71.55", "0.603"),
    "GSM8K": ("a fine-tuned 8B, trained on Arena and judged answers", "33.64", "63.26", "0.622"),
}
"""The lowest CPT(50 %) of RouteLLM's routers on each, arXiv 2406.18665v4."""


@lru_cache(maxsize=1)
def counts_of(n: int, seed: int) -> tuple[FloatArray, ...]:
    """Return how often each question counts: each once, then the resamples; [1, n] and [`CHUNK`, n] each."""
    resampled = np.concatenate(list(resampled_counts(n, RESAMPLES, seed)))
    return np.ones((1, n)), *np.split(resampled, RESAMPLES // CHUNK)


def areas(scores: FloatArray, wrong: FloatArray, seed: int) -> FloatArray:
    """Return the AUROC on all questions, then on each resample; shape [1 + RESAMPLES]."""
    order, ends = descending(scores)
    found = []
    for counts in counts_of(len(scores), seed):
        ranked = counts[:, order]
        hits, misses = (cumulate(ranked * side[order], ends) for side in (wrong, 1 - wrong))
        possible = hits[:, -1] * misses[:, -1]
        found.append(area(misses, hits) / np.where(possible > 0, possible, np.nan))
    return np.concatenate(found)


def curves(scores: FloatArray, edge: FloatArray, cloud: FloatArray, seed: int) -> FloatArray:
    """Return APGR, CPT(50 %) and CPT(80 %) on all questions, then on each resample; [3, 1 + RESAMPLES]."""
    order, ends = descending(scores)
    found = []
    for counts in counts_of(len(scores), seed):
        share = cumulate(counts[:, order], ends) / len(scores)
        gain = cumulate(counts[:, order] * (cloud - edge)[order], ends) / len(scores)
        gap = gain[:, -1:]
        pgr = gain / np.where(gap > NO_GAP, gap, np.nan)
        crossings = [first_crossing(share, pgr, np.full(len(pgr), part - 1e-12)) for part in (0.5, 0.8)]
        found.append(np.array([area(share, pgr), *crossings]))
    return np.concatenate(found, axis=1)


def interval(values: FloatArray, n: int) -> Interval:
    return interval_of(float(values[0]), values[1:], n)


def row_of(name: str, found: Found, recording: Recording, seed: int) -> list[str]:
    """Return a signal's row: means over draws, intervals over questions."""
    n = len(recording.asked)
    pairs = list(zip(found.scores, found.edge, strict=True))
    cells = [name, str(interval(auroc_of(found, seed), n))]
    if recording.cloud is not None:
        cloud = recording.cloud
        drawn = np.mean([curves(scores, edge, cloud, seed) for scores, edge in pairs], axis=0)
        cells += [str(interval(values, n)) for values in drawn]
    if not found.shares:
        return cells
    spent = np.mean([np.concatenate([c @ s / n for c in counts_of(n, seed)]) for s in found.spent], axis=0)
    answers, requests, tokens = (interval(values, n) for values in spent.T)
    cells += [f"{answers.estimate:.2f} [{answers.low:.2f}, {answers.high:.2f}]", f"{requests.estimate:.2f}"]
    cells += ["unknown" if math.isnan(tokens.estimate) else f"{tokens.estimate:.0f}"]
    return [*cells, f"{np.mean(found.shares):.0%}"]


def auroc_of(found: Found, seed: int) -> FloatArray:
    drawn = [areas(scores, 1 - edge, seed) for scores, edge in zip(found.scores, found.edge, strict=True)]
    mean: FloatArray = np.mean(drawn, axis=0)
    return mean


def section(recording: Recording, found: dict[str, Found], seed: int) -> str:
    n, edge, cloud = len(recording.asked), recording.edge, recording.cloud
    rows = [row_of(name, one, recording, seed) for name, one in found.items()]
    length = prompt_length_scores([one.question for one in recording.asked])
    free = {"prompt length": length, "random": np.zeros(n)}
    free["oracle"] = 1 - edge if cloud is None else oracle_scores(edge, cloud)
    for name, scores in free.items():
        row = row_of(name, Found([scores], [edge], [], []), recording, seed)
        if name == "random":
            spread = {} if cloud is None else random_spread(edge, cloud, seed=seed)
            row = [name, "0.500", *map(str, spread.values())]
        rows.append([*row, "0", "0", "0", ""])
    header = ["signal", "AUROC, errors of what is handed out"]
    header += [] if cloud is None else ["APGR", "CPT(50 %)", "CPT(80 %)"]
    header += ["answers drawn", "requests", "tokens", "cloud share"]
    right = f"right: edge {edge.mean():.3f}" + ("" if cloud is None else f", cloud {cloud.mean():.3f}")
    scales = Counter(
        name.split("-")[0]
        for signal, one in found.items()
        if signal.startswith(PRODUCT)
        for name in one.scales.elements()
    )
    scale = ", ".join(f"{kind} {count / scales.total():.0%}" for kind, count in scales.most_common())
    told = f"{_sentence(recording.told)}." + (f" Scales of u·d: {scale}." if scale else "")
    return f"## {recording.name}\n\nn = {n}; {right}. {told}\n\n{table(header, rows)}\n"


def _sentence(told: str) -> str:
    return (told[0].upper() + told[1:]).rstrip(".")


def targets(all_found: dict[str, tuple[Recording, dict[str, Found]]], seed: int) -> str:
    """Return four more answers beside ten samples, paired on the same resamples."""
    rows = []
    tried = [(name, *one, estimator) for name, one in all_found.items() for estimator in ("", ", discrete")]
    for name, recording, found, estimator in tried:
        ours, ten = found.get(f"{PRODUCT} k = 4"), found.get(f"SE of 10{estimator}, {LOOK}")
        if ours is None or ten is None:
            continue
        n = len(recording.asked)
        a, b = auroc_of(ours, seed), auroc_of(ten, seed)
        drawn = float(np.mean([spent[:, 0].mean() for spent in ours.spent]))
        cells = [str(interval(values, n)) for values in (a, b)]
        difference = interval(a - b, n)
        told = f"{difference.estimate:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
        rows.append(
            [
                name,
                f"SE of 10{estimator}",
                str(n),
                *cells,
                told,
                f"{drawn:.2f}",
                f"{np.mean(ours.shares):.0%}",
            ]
        )
    header = ["data", "against", "n", f"{PRODUCT} k = 4", "ten samples", "difference"]
    header += ["answers drawn", "cloud share"]
    return f"## Four more answers beside ten samples\n\n{table(header, rows)}\n"


def defaults(recordings: Sequence[Recording], equivalence: Equivalence) -> str:
    """Return what the default thresholds do."""
    rows = []
    for one in recordings:
        for scale, (to_cloud, spent) in at_default(one, equivalence).items():
            kept = to_cloud == 0
            wrong = mean_interval(1 - one.edge[kept]) if kept.any() else "none kept"
            cells = [str(mean_interval(to_cloud)), f"{1 - one.edge.mean():.3f}", str(wrong)]
            rows.append([one.name, scale, str(len(to_cloud)), *cells, f"{spent.answers:.2f}"])
    header = ["data", "scale", "n", "cloud share", "wrong of all", "wrong of those kept", "answers drawn"]
    return f"## The default thresholds\n\n{DEFAULTS}\n{table(header, rows)}\n"


def beside_the_paper(all_found: dict[str, tuple[Recording, dict[str, Found]]], seed: int) -> str:
    """Return our rows beside the paper's Table 1 and RouteLLM's best."""
    rows = []
    for i, title in ((1, "GSM8K"), (2, "MMLU")):
        column = slice(2 * i, 2 * i + 2)
        best = min((values[column][0], who, head) for (who, head), values in PAPER.items())
        values = PAPER[best[1], best[2]][column]
        system = f"{best[1]} {best[2]} (the paper, trained)"
        rows.append([title, system, "", *(f"{value:.2f}" for value in values), "", ""])
        system, *cpts, apgr = ROUTELLM_BEST[title]
        rows.append([title, f"RouteLLM: {system}", "", *cpts, apgr, ""])
        for name, (recording, found) in all_found.items():
            if not name.startswith(title) or recording.cloud is None:
                continue
            n = len(recording.asked)
            lengths = prompt_length_scores([one.question for one in recording.asked])
            length = curves(lengths, recording.edge, recording.cloud, seed)[0]
            for signal, one in {**found, "prompt length": Found([lengths], [recording.edge])}.items():
                pairs = zip(one.scores, one.edge, strict=True)
                drawn = np.mean([curves(s, e, recording.cloud, seed) for s, e in pairs], axis=0)
                whole, *shares = (interval(values, n) for values in drawn)
                told = [f"{100 * x.estimate:.1f} [{100 * x.low:.1f}, {100 * x.high:.1f}]" for x in shares]
                lead = interval(drawn[0] - length, n)
                told += [str(whole), f"{lead.estimate:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"]
                rows.append([title, f"confroute, untrained: {signal}", str(n), *told])
    header = ["data", "system", "n", "CPT(50 %), %", "CPT(80 %), %", "APGR", "APGR − prompt length's"]
    return f"## Beside the paper's Table 1\n\n{BESIDE}\n{table(header, rows)}\n"


DEFAULTS = f"""{", ".join(f"{kind} {value:g}" for kind, value in DEFAULT_THRESHOLDS.items())} (with -0: of
`n_samples=0`); `agreement` is the scale where log-probs are not told. Of GSM8K, "wrong" is Mixtral's answer.
"""

BESIDE = """CPT in percent of calls to the cloud, less is better. The paper's rows (arXiv 2502.11021, Table 1: the
router with the lowest CPT(50 %)) and RouteLLM's (arXiv 2406.18665v4, likewise) are all of the questions, without
intervals as printed there; the paper's strong model is gpt-4-0613, RouteLLM's and ours gpt-4-1106-preview. Ours
are half of the questions.
"""

INTRO = """# One look against many samples

Written by `benchmarks/one_look.py`. Recorded answers go through `ConfidenceRouter` and `EntropyRouter`, which draw
them in their order. u = 1 − exp(mean token log-prob of the look); d = 1 − its mean agreement with k further
answers (`ConfidenceRouter` on answers without log-probs); u·d is `ConfidenceRouter`. SE is `EntropyRouter`
(likelihood estimator where log-probs are known), once for the errors of the look (as with `probe="brief"`), once
for those of its own draft, a member of the largest cluster (as with `probe="full"`). Scores are those of all
answers; figures are means over {draws} draws of the recorded samples ({few} of more than {many:,} questions; one
where all samples are taken); brackets hold 95 % bootstrap intervals over questions ({resamples:,} resamples; for
random's APGR and CPT the spread over 1,000 random routers).

"Answers drawn", requests and tokens (of the answers drawn, prompts left out) are means to decide one question,
with exact early stopping (`EntropyRouter(adaptive=True)` likewise) at the threshold that gave a cloud share of
{share:g} on the other four of five parts of the questions; "cloud share" is what that gave on the part
left out. With u·d and d the look is among the answers drawn, and is the reply where the edge answers.

The equivalence is cross-fitted: five models, each trained without a fifth of the questions, and every question is
judged by the one that has not seen it. All Natural Questions here are among the people's judgements that it learns
from; of the TriviaQA questions, aliases. Some training pairs are made from an answer of such a question (lists,
names, negations, letters of choice questions); these are not told apart by question, and hold no answer of any
model that is measured here.
"""


@click.command()
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--folds", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keeps equivalence scores.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    recording: Path, folds: Path, data: Path | None, cache: Path | None, out: Path | None, seed: int
) -> None:
    recordings, left_out = read_pair(recording), []
    for read in (read_llama, read_nq, read_gsm8k, read_mmlu):
        name = read.__name__.removeprefix("read_")
        if data is None:
            left_out.append(f"{name} is left out: there is no --data")
            continue
        try:
            recordings.append(read(data))
        except (FileNotFoundError, ConfigurationError) as error:
            left_out.append(f"{name} is left out: {error}")
    all_found: dict[str, tuple[Recording, dict[str, Found]]] = {}
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    file = ":memory:" if cache is None else cache / "one_look.sqlite"
    with CachedEquivalence(CrossFit(folds), file) as kept:
        equivalence = Judged(kept)
        for one in recordings:
            click.echo(one.name, err=True)
            if one.name.startswith("MMLU"):
                all_found[one.name] = one, read_letters(one)
                continue
            equivalence.judge_all(one)
            found: dict[str, Found] = {}
            for signal in signals_of(one, equivalence):
                found |= measure(signal, one, seed)
            all_found[one.name] = one, found
        drawn = [one for one in recordings if not one.name.startswith("MMLU")]
        told = defaults(drawn, equivalence)
    intro = INTRO.format(draws=DRAWS, few=DRAWS_OF_MANY, many=MANY, resamples=RESAMPLES, share=SHARE)
    parts = [intro, *(f"{line}\n" for line in left_out), targets(all_found, seed), told]
    parts += [beside_the_paper(all_found, seed)] if data is not None else []
    parts += [section(one, found, seed) for one, found in all_found.values()]
    text = "\n".join(parts)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
