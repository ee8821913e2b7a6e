"""What a reader must bear in mind, in words."""

from __future__ import annotations

import math

from confroute.evaluation.measure import CONFIDENCE, LENGTH, Evaluation, Standing

_FEW = 300
_ALPHA = 0.05
_CHANCE = 0.5
_ALWAYS = (
    (
        "Intervals hold 95 % of the results on questions drawn anew from the same source. They do not tell "
        "how the router does on other kinds of questions, with other models, or if trained again."
    ),
    (
        "The random router's interval is the spread of single random routers on these questions. The oracle "
        "knows both answers in advance; no router can."
    ),
    "p-values are adjusted for the number of comparisons in the table (Holm).",
)


def verdict(evaluation: Evaluation) -> str:
    """Say in a sentence or two whether the router was worth it."""
    if evaluation.undefined:
        return f"There is nothing to route here: {evaluation.undefined}."
    point = evaluation.point
    told = (
        f"Sending {percent(point.share.estimate)} of the questions to the cloud keeps "
        f"{percent(point.kept.estimate)} of the cloud's quality"
    )
    if point.saving is not None:
        saved = point.saving.estimate
        what, whose = ("saves", "its bill") if saved >= 0 else ("costs", "its bill on top")
        told += f" and {what} {percent(abs(saved))} of {whose}"
    return f"{told}. {_beaten(evaluation)}".strip()


def _beaten(evaluation: Evaluation) -> str:
    told = []
    for name, rule in ((LENGTH, "sending long questions to the cloud"), (CONFIDENCE, CONFIDENCE)):
        standing = evaluation.standing(name)
        if standing is None or standing.against is None or evaluation.router.name == name:
            continue
        told.append(f"{_outcome(standing)} {rule}")
    if evaluation.standings[0].figures["apgr"].high < _CHANCE:
        told.append("is worse than chance")
    return f"As an order of questions, it {', and it '.join(told)}." if told else ""


def _outcome(standing: Standing) -> str:
    against = standing.against
    if against is None or math.isnan(standing.p_adjusted) or standing.p_adjusted > _ALPHA:
        return "is not shown to differ from"
    return "beats" if against.difference.estimate > 0 else "is worse than"


def caveats(evaluation: Evaluation) -> list[str]:
    """Return what limits the figures, as sentences."""
    data, point = evaluation.outcomes, evaluation.point
    found = list(data.notes)
    if evaluation.undefined:
        found.append(f"APGR and CPT are undefined: {evaluation.undefined}.")
    elif (unsure := evaluation.standings[0].figures["apgr"].undefined) > 0:
        found.append(
            f"In {percent(unsure)} of the resamples the cloud was no better than the edge: the gap between "
            "the two may be chance, and APGR and CPT, which are parts of it, say little."
        )
    if data.n < _FEW:
        found.append(f"{data.n} questions are few: read the intervals, not the figures.")
    if not point.given:
        found.append(
            "The threshold was chosen on these very questions, so the figures at it are a little too good. "
            "Choose it on other questions for figures that will hold."
        )
    if evaluation.router.costs is None:
        found.append("Money is not known for every question, so savings are told in calls, not in dollars.")
    elif evaluation.point.saving is not None:
        found.append(
            "Money counts answers, drafts that were thrown away and what was spent to decide. It leaves out "
            "the machine that the edge model and the router run on."
        )
    dipping = [one.name for one in evaluation.standings if one.dips]
    if dipping:
        found.append(
            "Sending more to the cloud does not always help: quality falls below 80 % of the gap again after "
            f"first reaching it for {', '.join(dipping)}. CPT is the first crossing."
        )
    if len(set(evaluation.router.scores.tolist())) < min(20, data.n):
        found.append(
            "The router has few distinct scores, so most cloud shares cannot be reached by a threshold; the "
            "curve between its points is what random picks among equal scores give on average."
        )
    return [*found, *_ALWAYS]


def percent(part: float) -> str:
    """Return a part as a percentage for people."""
    return "unknown" if math.isnan(part) else f"{100 * part:.0f} %"
