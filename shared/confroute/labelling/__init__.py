"""Phases 1 and 2 of the paper: who should have answered? Resumable, see `confroute.labelling.store`."""

from confroute.labelling.money import SpendCapError
from confroute.labelling.run import LabelRun, label, relabel
from confroute.labelling.settings import LabelSettings, Question, SamplingSettings, read_questions
from confroute.labelling.store import Store, StoreError

__all__ = [
    "LabelRun",
    "LabelSettings",
    "Question",
    "SamplingSettings",
    "SpendCapError",
    "Store",
    "StoreError",
    "label",
    "read_questions",
    "relabel",
]
