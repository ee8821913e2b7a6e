"""The model card of a trained router, written by the run that trained it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confroute.evaluation.bootstrap import Comparison, Interval
from confroute.heads.storage import Pair


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training run did and found.

    Attributes:
        head: The head's name.
        params: Its constructor's arguments, seed included.
        encoder: Name of the encoder.
        pair: The two models; None where unknown.
        data: What the rows are, in words.
        n: Rows trained on.
        label_shares: Share of ``edge``, ``cloud`` and ``tie`` among them; win rates count as the nearer one.
        threshold: The threshold set.
        threshold_share: Cloud share of the cross-validated scores at it.
        folds: Folds of the cross-validation; equal questions share a fold.
        seed: Seed of the folds and the resamples.
        yardstick: What "quality" is in the figures, in words.
        n_evaluated: Rows that the figures are about.
        undefined: Why APGR and CPT are undefined on them; None where they are defined.
        figures: ``apgr``, ``cpt50`` and ``cpt80`` of the head and of what it is shown beside.
        against_length: The head against the rule "longer prompt → cloud"; None where undefined.
    """

    head: str
    params: Mapping[str, Any]
    encoder: str
    pair: Pair | None
    data: str
    n: int
    label_shares: Mapping[str, float]
    threshold: float
    threshold_share: float
    folds: int
    seed: int
    yardstick: str
    n_evaluated: int
    undefined: str | None
    figures: Mapping[str, Mapping[str, Interval]]
    against_length: Comparison | None

    @property
    def verdict(self) -> str:
        """One plain sentence on whether the head beats prompt length."""
        if self.against_length is None:
            return f"Whether this head is any good cannot be told here: {self.undefined}."
        difference = self.against_length.difference
        told = f"ΔAPGR {difference}, paired bootstrap, p = {self.against_length.p_value:.3f}"
        if difference.low > 0:
            return f"On these questions the head beats the rule 'longer prompt → cloud': {told}."
        if difference.high < 0:
            return f"On these questions the head is WORSE than the rule 'longer prompt → cloud': {told}."
        return f"On these questions the head is no better than the rule 'longer prompt → cloud': {told}."

    def to_markdown(self) -> str:
        """Return the card."""
        pair = f"edge `{self.pair.edge}`, cloud `{self.pair.cloud}`" if self.pair else "unknown"
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.label_shares.items())
        facts = {
            "Head": f"`{self.head}` {json.dumps(dict(self.params))}",
            "Encoder": f"`{self.encoder}`",
            "Pair": pair,
            "Data": f"{self.data}; {self.n} labelled questions",
            "Labels": shares,
            "Threshold": f"{self.threshold:.6g}, which sends {self.threshold_share:.1%} of the "
            "cross-validated scores to the cloud; `confroute calibrate` sets it for a share, a cost, a "
            "quality or a risk",
            "Seed": str(self.seed),
        }
        lines = ["# A confroute router", "", *(f"- **{key}:** {value}" for key, value in facts.items())]
        lines += ["", "## How good it is", "", self.verdict, ""]
        lines += self._table() if self.undefined is None else []
        lines += ["", "## What it is not", "", *(f"- {caveat}" for caveat in _CAVEATS)]
        return "\n".join(lines) + "\n"

    def _table(self) -> list[str]:
        level = next(iter(self.figures.values()))["apgr"].level
        told = (
            f"{self.folds}-fold cross-validation, equal questions in one fold; quality is {self.yardstick}; "
            f"n = {self.n_evaluated}; {level:.0%} bootstrap intervals over questions (for random: the spread "
            "of random routers). APGR: more is better; CPT: the share of calls to the cloud, less is better."
        )
        rows = [told, "", "| router | APGR | CPT(50 %) | CPT(80 %) |", "|---|---|---|---|"]
        for name, figures in self.figures.items():
            rows.append(f"| {name} | {figures['apgr']} | {figures['cpt50']} | {figures['cpt80']} |")
        return rows


_CAVEATS = (
    "It is made for the pair above. For another edge model, label and train again.",
    "It sees the question alone. Signals that look at the edge's answers know more and cost more.",
    "The intervals are about these questions; other kinds of questions can differ by far more.",
)
