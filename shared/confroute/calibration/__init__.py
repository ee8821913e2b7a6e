"""Where to cut: a threshold for a cloud share, a cost, a quality or a risk, and what it achieves."""

from confroute.calibration.calibrate import calibrate
from confroute.calibration.result import Calibration, RiskBound, WrongBy
from confroute.calibration.risk import clopper_pearson_upper, fixed_sequence, risk_grid

__all__ = [
    "Calibration",
    "RiskBound",
    "WrongBy",
    "calibrate",
    "clopper_pearson_upper",
    "fixed_sequence",
    "risk_grid",
]
