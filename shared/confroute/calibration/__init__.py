"""Where to cut: a threshold for a cloud share, a cost, a quality or a risk, and what it achieves."""

from confroute.calibration.calibrate import calibrate
from confroute.calibration.cascade import calibrate_cascade
from confroute.calibration.cascade_result import CascadeCalibration, Policy
from confroute.calibration.result import Calibration, RiskBound, WrongBy
from confroute.calibration.risk import clopper_pearson_upper, fixed_sequence, risk_grid

__all__ = [
    "Calibration",
    "CascadeCalibration",
    "Policy",
    "RiskBound",
    "WrongBy",
    "calibrate",
    "calibrate_cascade",
    "clopper_pearson_upper",
    "fixed_sequence",
    "risk_grid",
]
