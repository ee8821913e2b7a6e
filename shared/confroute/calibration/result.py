"""What a calibration found: a threshold with all that it belongs to, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from confroute._version import __version__
from confroute.errors import ConfigurationError
from confroute.evaluation import Interval

WrongBy = Literal["gold", "judge", "disagreement"]
Target = Literal["cloud_share", "usd_per_1000", "quality", "risk"]

WRONG_BY: dict[WrongBy, str] = {
    "gold": "wrong by gold answers",
    "judge": "wrong by a judge's verdict",
    "disagreement": "in disagreement with the cloud's answer",
}


class RiskBound(BaseModel):
    """A promise about the questions that stay on the edge.

    Attributes:
        alpha: At most this part of them is wrong.
        confidence: 1 − δ, the confidence of the promise.
        wrong_by: What "wrong" means: by gold answers, by a judge, or by disagreement with the cloud.
        n_tested: Questions that the thresholds were tested on.
        n_placed: Questions whose scores placed the grid; they tested nothing.
        grid: The thresholds, in the order of their test.
        n_passed: How many of them passed before the first that failed.
        kept: Tested questions that the last threshold passed keeps on the edge; of the first if none passed.
        wrong: How many of them are wrong.
        bound: Clopper-Pearson upper bound of the part that is wrong, at `confidence`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float
    confidence: float
    wrong_by: WrongBy
    n_tested: int
    n_placed: int
    grid: tuple[float, ...]
    n_passed: int
    kept: int
    wrong: int
    bound: float


class Calibration(BaseModel):
    """A threshold, the target that it serves and what it achieves on the calibration data.

    Attributes:
        target: What was asked for.
        asked: How much of it.
        met: Whether it can be met.
        threshold: The cloud answers where ``score >= threshold``; None where the target cannot be met.
        reason: What was found, in a sentence or two.
        data: Name of the data, which must have trained nothing.
        n: Number of questions.
        scored_by: What the threshold belongs to: router, encoder, estimator, N, equivalence.
        cloud_share: Share of the questions sent to the cloud at this threshold.
        quality: Mean quality at this threshold; None where qualities are unknown.
        recovered: Part of the gap to the cloud recovered (PGR); None where unknown or undefined.
        usd_per_1000: Expected US dollars per 1,000 questions; None where costs are unknown.
        risk: The promise, for the target ``risk``.
        written_by: Version of confroute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["confroute-calibration"] = "confroute-calibration"
    schema_version: Literal[1] = 1
    target: Target
    asked: float
    met: bool
    threshold: float | None
    reason: str
    data: str
    n: int
    scored_by: dict[str, Any] = Field(default_factory=dict)
    cloud_share: Interval | None = None
    quality: Interval | None = None
    recovered: Interval | None = None
    usd_per_1000: Interval | None = None
    risk: RiskBound | None = None
    written_by: str = __version__

    def save(self, path: str | Path) -> None:
        """Write the calibration as JSON."""
        Path(path).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read a saved calibration.

        Raises:
            ConfigurationError: If the file is absent, or is not one that this version reads.
        """
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise ConfigurationError(
                f"{path} is not a calibration that this version reads: {error}. Expected a file that "
                "Calibration.save or 'confroute calibrate' wrote"
            ) from error

    def to_markdown(self) -> str:
        """Return the section that a router's card carries."""
        told = {
            "cloud share": self.cloud_share,
            "mean quality": self.quality,
            "part of the gap recovered": self.recovered,
            "US dollars per 1,000 questions": self.usd_per_1000,
        }
        lines = [f"- {name}: {value}" for name, value in told.items() if value is not None]
        threshold = "none" if self.threshold is None else f"{self.threshold:.4f}"
        head = f"## Calibration\n\n{self.reason}\n\n- threshold: {threshold}"
        return "\n".join([head, *lines, f"- data: {self.data}, n = {self.n}, 95 % intervals"]) + "\n"
