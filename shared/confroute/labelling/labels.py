"""Phase 2: clusters, entropies and preference labels of the questions that are complete.

Everything here is derived from the samples in the store; it can be thrown away and made again under other
settings without asking a model.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from confroute.decision import Route, Sample
from confroute.errors import ConfigurationError
from confroute.labelling.correct import RULE, is_right
from confroute.labelling.settings import ROLES, LabelSettings, Question, SamplingSettings
from confroute.labelling.store import Store
from confroute.uncertainty import Equivalence, SemanticEntropy, cluster_many, declines, entropy_of

Label = Literal["edge", "cloud", "tie"]

_CHUNK = 256
"""Questions that are clustered in lockstep and committed together."""

_ZERO = 1e-12


def preference(edge: SemanticEntropy, cloud: SemanticEntropy, settings: LabelSettings) -> Label:
    """Return which model is surer, or a tie.

    Rule ``difference``: the smaller Ĥ wins where |Ĥ_edge − Ĥ_cloud| > τ. Rule ``paper`` (Zhang et al. 2025):
    the smaller SE wins where δ > τ (Eq. 4), with δ from `relative_difference` (Eq. 3).

    Args:
        edge: Entropy of the edge model's answers.
        cloud: Entropy of the cloud model's answers, by the same estimator.
        settings: The rule and τ.
    """
    if settings.rule == "difference":
        a, b = edge.normalized, cloud.normalized
        delta = abs(a - b)
    else:
        a, b = edge.entropy, cloud.entropy
        delta = relative_difference(a, b)
    if delta <= settings.tau:
        return "tie"
    return "edge" if a < b else "cloud"


def relative_difference(edge: float, cloud: float) -> float:
    """Return δ of Eq. 3, |(cloud − edge) / cloud|.

    With a cloud entropy of 0, of which the paper does not speak, it is 0 where the edge's is 0 too and
    infinite otherwise.
    """
    if abs(cloud) > _ZERO:
        return abs((cloud - edge) / cloud)
    return 0.0 if abs(edge) <= _ZERO else math.inf


def check_label_settings(settings: LabelSettings) -> None:
    """Refuse a rule on an estimator that it is not made for.

    Raises:
        ConfigurationError: If the rule ``difference`` meets the estimator ``paper``.
    """
    if settings.rule == "difference" and settings.estimator == "paper":
        raise ConfigurationError(
            "the rule 'difference' compares entropies in [0, 1], which the estimator 'paper' does not give; "
            "take the rule 'paper' with it, or another estimator"
        )


def both_entropies(
    samples: dict[Route, list[Sample]], clusters: dict[Route, list[int]], settings: LabelSettings
) -> dict[Route, SemanticEntropy]:
    """Return both models' entropies by one estimator: ``discrete`` for both where one lacks log-probs.

    A model that mostly declines to answer, or says nothing, is in doubt, however alike its answers are: its Ĥ
    is 1, as in `EntropyRouter`.
    """
    found = {role: entropy_of(samples[role], clusters[role], estimator=settings.estimator) for role in ROLES}
    if len({entropy.estimator for entropy in found.values()}) > 1:
        found = {role: entropy_of(samples[role], clusters[role], estimator="discrete") for role in ROLES}
    return {
        role: replace(entropy, normalized=1.0) if declines(samples[role], entropy) else entropy
        for role, entropy in found.items()
    }


def make_labels(store: Store, settings: LabelSettings, equivalence: Equivalence) -> int:
    """Label every question of the store whose answers are all there; go on from earlier labels.

    Labels under other settings are made anew; clusters are kept while the equivalence is the same.

    Args:
        store: The store, open for writing.
        settings: Rule, τ and estimator.
        equivalence: The judge of "means the same".

    Returns:
        How many questions have a label now.
    """
    check_label_settings(settings)
    _prepare(store, settings, equivalence)
    grade(store)
    sampling = SamplingSettings.of_run(store.settings())
    questions = store.questions()
    unlabelled = _unlabelled(store)
    todo = [position for position in complete_questions(store, sampling) if position in unlabelled]
    for start in range(0, len(todo), _CHUNK):
        _label_chunk(store, {p: questions[p] for p in todo[start : start + _CHUNK]}, settings, equivalence)
    return count_labels(store)


def count_labels(store: Store) -> int:
    """Return how many questions have a label."""
    ((n_labels,),) = store.rows("SELECT count(*) FROM label")
    return int(n_labels)


def grade(store: Store) -> None:
    """Judge the labelled answers whose gold answers came, or were mended, after their label."""
    rows = store.rows(
        "SELECT position, role, text, answers, question.question FROM label "
        "JOIN question ON position = label.question JOIN sample ON sample.question = position "
        "WHERE edge_correct IS NULL AND answers != '[]' AND kind = 'greedy'"
    )
    right: dict[int, dict[Route, bool | None]] = defaultdict(dict)
    for position, role, text, answers, question in rows:
        right[position][role] = is_right(text, json.loads(answers), question)
    with store.transaction() as db:
        db.executemany(
            "UPDATE label SET edge_correct = ?, cloud_correct = ? WHERE question = ?",
            [(verdicts["edge"], verdicts["cloud"], position) for position, verdicts in right.items()],
        )


def written_label_settings(store: Store) -> tuple[LabelSettings | None, str | None]:
    """Return the settings that a store's labels were made under, and what `described` said of the judge."""
    written = store.settings().get("labels")
    if written is None:
        return None, None
    return LabelSettings(**{name: written[name] for name in LabelSettings.model_fields}), written[
        "equivalence"
    ]


def described(equivalence: Equivalence) -> str:
    """Return what a judge's verdicts depend on: its name, and a threshold that is not the usual 0.5."""
    threshold = float(equivalence.threshold)
    return equivalence.name if threshold == 0.5 else f"{equivalence.name} from {threshold}"


def complete_questions(store: Store, sampling: SamplingSettings) -> list[int]:
    """Return the positions of the questions whose answers are all there, in order."""
    wanted = len(ROLES) * len(sampling.draws())
    rows = store.rows(
        "SELECT question FROM sample GROUP BY question HAVING count(*) >= ? ORDER BY question", (wanted,)
    )
    return [position for (position,) in rows]


def _prepare(store: Store, settings: LabelSettings, equivalence: Equivalence) -> None:
    judge = described(equivalence)
    wanted = {**settings.model_dump(), "equivalence": judge, "correctness": RULE}
    written = store.settings().get("labels")
    if written == wanted:
        return
    with store.transaction() as db:
        if written is None or written["equivalence"] != judge:
            db.execute("DELETE FROM cluster")
        db.execute("DELETE FROM entropy")
        db.execute("DELETE FROM label")
        store.put_settings({"labels": wanted})


def _unlabelled(store: Store) -> set[int]:
    rows = store.rows("SELECT position FROM question WHERE position NOT IN (SELECT question FROM label)")
    return {position for (position,) in rows}


def _label_chunk(
    store: Store, questions: dict[int, Question], settings: LabelSettings, equivalence: Equivalence
) -> None:
    samples: dict[int, dict[Route, list[Sample]]] = {p: {role: [] for role in ROLES} for p in questions}
    greedy: dict[int, dict[Route, str]] = defaultdict(dict)
    for stored in store.samples(list(questions)):
        draw = stored.draw
        if draw.kind == "greedy":
            greedy[draw.position][draw.role] = stored.sample.text
        else:
            samples[draw.position][draw.role].append(stored.sample)
    clusters = _clusters(store, questions, samples, equivalence)
    with store.transaction() as db:
        for position, question in questions.items():
            entropies = both_entropies(samples[position], clusters[position], settings)
            label = preference(entropies["edge"], entropies["cloud"], settings)
            right = (is_right(greedy[position][role], question.answers, question.question) for role in ROLES)
            db.executemany(
                "INSERT OR REPLACE INTO cluster VALUES (?, ?, ?)",
                [(position, role, json.dumps(clusters[position][role])) for role in ROLES],
            )
            db.executemany(
                "INSERT INTO entropy VALUES (?, ?, ?, ?, ?)",
                [(position, role, e.entropy, e.normalized, e.estimator) for role, e in entropies.items()],
            )
            db.execute("INSERT INTO label VALUES (?, ?, ?, ?)", (position, label, *right))


def _clusters(
    store: Store,
    questions: dict[int, Question],
    samples: dict[int, dict[Route, list[Sample]]],
    equivalence: Equivalence,
) -> dict[int, dict[Route, list[int]]]:
    """Return clusters by question and role: those in the store, and the rest in one lockstep run."""
    known: dict[int, dict[Route, list[int]]] = defaultdict(dict)
    chosen = json.dumps(list(questions))
    query = "SELECT question, role, clusters FROM cluster WHERE question IN (SELECT value FROM json_each(?))"
    for position, role, clusters in store.rows(query, (chosen,)):
        known[position][role] = json.loads(clusters)
    missing = [(p, role) for p in questions for role in ROLES if role not in known[p]]
    groups: Sequence[tuple[str, list[Sample]]] = [(questions[p].question, samples[p][r]) for p, r in missing]
    for (position, role), found in zip(missing, cluster_many(groups, equivalence=equivalence), strict=True):
        known[position][role] = found
    return known
