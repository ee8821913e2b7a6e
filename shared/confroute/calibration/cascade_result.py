"""What fitting a cascade found: the cheapest policy beside each router alone, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from confroute._version import __version__
from confroute.evaluation import Interval


class Policy(BaseModel):
    """One way to route, with what it does on questions that did not fit it.

    Attributes:
        router: What decides: the trained router alone, the signal alone, or a cascade of both.
        band: ``(low, high)`` of the trained score between which the signal is asked; None but for a cascade.
        threshold: The cloud answers where the policy's score is at least this.
        usd_per_1000: US dollars per 1,000 questions, held out.
        quality: Mean quality, held out.
        kept: Part of the cloud's mean quality kept, held out.
        cloud_share: Share of the questions sent to the cloud, held out.
        asked: Share of the questions that the signal is paid for, held out.
        dearer: US dollars per 1,000 questions that it costs more than the cheapest policy, held out, question
            by question; None for that policy itself.
        fitted_usd_per_1000: US dollars per 1,000 questions where it was fitted.
        fitted_kept: Part of the cloud's quality kept where it was fitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    router: Literal["trained", "signal", "cascade"]
    band: tuple[float, float] | None
    threshold: float
    usd_per_1000: Interval
    quality: Interval
    kept: Interval
    cloud_share: Interval
    asked: Interval
    dearer: Interval | None
    fitted_usd_per_1000: float
    fitted_kept: float


class CascadeCalibration(BaseModel):
    """The cheapest policy that keeps a part of the cloud's quality, beside each router alone.

    Attributes:
        keep: Part of the cloud's mean quality that was asked for.
        policy: The cheapest policy.
        trained_alone: The cheapest threshold of the trained router without a signal.
        signal_alone: The cheapest threshold of the signal asked on every question.
        all_cloud_usd_per_1000: US dollars per 1,000 questions of asking the cloud everything, held out.
        data: Name of the data.
        n_fitted: Questions that fitted the policies.
        n_held_out: Questions that the figures are told on.
        scored_by: What the scores come from.
        written_by: Version of confroute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["confroute-cascade-calibration"] = "confroute-cascade-calibration"
    schema_version: Literal[1] = 1
    keep: float
    policy: Policy
    trained_alone: Policy
    signal_alone: Policy
    all_cloud_usd_per_1000: Interval
    data: str
    n_fitted: int
    n_held_out: int
    scored_by: dict[str, Any] = Field(default_factory=dict)
    written_by: str = __version__

    @property
    def code(self) -> str:
        """What to write into code."""
        if self.policy.band is None:
            return f"{self.policy.router}.threshold = {self.policy.threshold}"
        return f"CascadeRouter(trained, signal, band={self.policy.band}, threshold={self.policy.threshold})"

    def save(self, path: str | Path) -> None:
        """Write the result as JSON."""
        Path(path).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def to_markdown(self) -> str:
        """Return the result as a page: what to write into code, and what it did on held-out questions."""
        head = "| | US dollars per 1,000 | quality | of the cloud's | to the cloud | signal asked |\n"
        rule = "|---|---|---|---|---|---|\n"
        lines = [
            f"| {name} | {p.usd_per_1000} | {p.quality} | {p.kept} | {p.cloud_share} | {p.asked} |\n"
            for name, p in self._named()
        ]
        lines.append(f"| all to the cloud | {self.all_cloud_usd_per_1000} | | 1 | 1 | 0 |\n")
        dearer = [f"- {name} costs {p.dearer} more\n" for name, p in self._named() if p.dearer is not None]
        found = self.policy
        return (
            f"## Cascade\n\n{self._reason()}\n\n```python\n{self.code}\n```\n\n"
            f"Held out ({self.n_held_out} questions that fitted nothing, 95 % intervals):\n\n"
            f"{head}{rule}{''.join(lines)}\n{''.join(dearer)}"
            f"- where it was fitted ({self.n_fitted} questions): {found.fitted_usd_per_1000:.4g} US dollars, "
            f"{found.fitted_kept:.1%} of the cloud's quality\n- data: {self.data}\n"
        )

    def _named(self) -> Iterator[tuple[str, Policy]]:
        yield "this policy", self.policy
        yield "trained router alone", self.trained_alone
        yield "signal alone", self.signal_alone

    def _reason(self) -> str:
        found = self.policy
        if found.band is not None:
            what = f"asking the signal where the trained score is in [{found.band[0]}, {found.band[1]})"
        elif found.router == "trained":
            what = "the trained router alone: the signal is not worth what it costs"
        else:
            what = "the signal alone: the trained router saves none of it"
        told = f"the cheapest policy that keeps {self.keep:.1%} of the cloud's quality is {what}."
        if found.kept.low < self.keep:
            told += (
                f" Held out it keeps {found.kept.estimate:.1%}, and the interval reaches down to "
                f"{found.kept.low:.1%}: ask for a little more than you need, or fit on more questions."
            )
        return told
