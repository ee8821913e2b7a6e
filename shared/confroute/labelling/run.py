"""Phases 1 and 2 of the paper in one call: draw answers from two models, derive preference labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confroute.decision import Route
from confroute.errors import ConfigurationError
from confroute.labelling.draw import Drawer, Drawing, Progress
from confroute.labelling.judge import judge_prices, paid
from confroute.labelling.labels import check_label_settings, count_labels, make_labels
from confroute.labelling.money import Price, SpendCap, SpendCapError
from confroute.labelling.settings import (
    LabelSettings,
    Question,
    SamplingSettings,
    check_questions,
    read_questions,
)
from confroute.labelling.store import Store, store_errors
from confroute.models import Model, load_model
from confroute.uncertainty import CachedEquivalence, Equivalence, ExactEquivalence, default_equivalence


@dataclass(frozen=True, slots=True)
class LabelRun:
    """What a labelling run did.

    Attributes:
        drawing: How the sampling ended.
        n_labels: Labels in the store now; None where the run was interrupted before it labelled.
    """

    drawing: Drawing
    n_labels: int | None

    @property
    def finished(self) -> bool:
        """Whether every answer that was asked for is there."""
        return not (self.drawing.interrupted or self.drawing.capped or self.drawing.failed)


def label(
    questions: str | Path | Sequence[Question | Mapping[str, Any]],
    *,
    edge: Model | str,
    cloud: Model | str,
    store: str | Path,
    sampling: SamplingSettings | None = None,
    labels: LabelSettings | None = None,
    equivalence: Equivalence | None = None,
    concurrency: int = 8,
    limit: int | None = None,
    prices: Mapping[str, tuple[float, float]] | None = None,
    max_usd: float | None = None,
    progress: Progress | None = None,
) -> LabelRun:
    """Draw answers to questions from an edge and a cloud model, and label who should have answered.

    The run can be killed at any moment; the same call goes on from the last received answer. It is what the
    command ``confroute label`` does.

    Args:
        questions: A JSONL file, see `read_questions`, or the questions themselves.
        edge: The edge model, or a string that names it, see `confroute.models.load_model`.
        cloud: The cloud model, the same.
        store: The SQLite file of the run; made if absent.
        sampling: How to sample.
        labels: How to label.
        equivalence: The judge of "means the same"; `default_equivalence` by default. Its scores are cached
            beside the store.
        concurrency: Most requests in flight per model.
        limit: Only the first so many questions.
        prices: US dollars per input and per output token by model name; list prices where absent.
        max_usd: Most that the store's whole run may cost, the calls of an `LLMEquivalence` included; a
            request that might exceed it is not sent.
        progress: Told what happens.

    Returns:
        What was done.

    Raises:
        ConfigurationError: If an input is not what is needed; nothing is asked then.
        ModelError: If a model refuses every request; what was received is kept.
        StoreError: If the store cannot be written; what was received is kept.
    """
    sampling = sampling or SamplingSettings()
    labels = labels or LabelSettings()
    check_label_settings(labels)
    if concurrency < 1:
        raise ConfigurationError(f"concurrency is {concurrency}: expected at least 1")
    if isinstance(questions, str | Path):
        wanted = read_questions(questions, limit=limit)
    else:
        wanted = check_questions(questions)[:limit]
    with Store(store) as opened:
        models: dict[Route, Model] = {"edge": _model(edge), "cloud": _model(cloud)}
        if models["edge"].name == models["cloud"].name:
            raise ConfigurationError(
                f"edge and cloud are the same model, {models['edge'].name}: expected two different ones"
            )
        opened.bind(sampling, edge=models["edge"].name, cloud=models["cloud"].name)
        table = prices or {}
        price_of = {role: Price(model.name, table) for role, model in models.items()}
        if max_usd is not None and sampling.max_tokens is None:
            raise ConfigurationError("no spend cap without a longest reply: give max_tokens")
        cap = _cap(opened, [*price_of.values(), *judge_prices(equivalence, table)], max_usd)
        positions = opened.add_questions(wanted)
        drawer = Drawer(
            opened, models, sampling, prices=price_of, cap=cap, concurrency=concurrency, progress=progress
        )
        drawing = drawer.run(dict(zip(positions, wanted, strict=True)))
        if drawing.interrupted:
            return LabelRun(drawing, None)
        try:
            return LabelRun(drawing, _label(opened, labels, equivalence, table, cap))
        except SpendCapError:
            drawing.capped = True
            return LabelRun(drawing, count_labels(opened))


def relabel(
    store: str | Path,
    *,
    labels: LabelSettings | None = None,
    equivalence: Equivalence | None = None,
    prices: Mapping[str, tuple[float, float]] | None = None,
    max_usd: float | None = None,
) -> int:
    """Make the labels of a store anew under other settings, without asking its two models.

    Args:
        store: The SQLite file of a run.
        labels: How to label.
        equivalence: As in `label`.
        prices: As in `label`.
        max_usd: As in `label`.

    Returns:
        The number of labels.

    Raises:
        ConfigurationError: If there is no such store.
        SpendCapError: If an `LLMEquivalence` runs out of money; what it said is kept.
    """
    if not Path(store).is_file():
        raise ConfigurationError(f"no store at {store}; give questions, --edge and --cloud to make one")
    with Store(store) as opened:
        table = prices or {}
        bought = judge_prices(equivalence, table)
        cap = _cap(opened, bought, max_usd if bought else None)
        return _label(opened, labels or LabelSettings(), equivalence, table, cap)


def _label(
    store: Store,
    labels: LabelSettings,
    equivalence: Equivalence | None,
    table: Mapping[str, tuple[float, float]],
    cap: SpendCap,
) -> int:
    judge = equivalence or default_equivalence()
    if isinstance(judge, ExactEquivalence | CachedEquivalence):
        return make_labels(store, labels, judge)
    scores = f"{store.path}.scores"
    with (
        store_errors(scores),
        paid(judge, store, table, cap) as bought,
        CachedEquivalence(bought, scores) as cached,
    ):
        return make_labels(store, labels, cached)


def _model(model: Model | str) -> Model:
    return load_model(model) if isinstance(model, str) else model


def _cap(store: Store, prices: Sequence[Price], max_usd: float | None) -> SpendCap:
    if max_usd is None:
        return SpendCap(None)
    if not 0 < max_usd < float("inf"):
        raise ConfigurationError(f"the spend cap is {max_usd}: expected US dollars above 0")
    for price in prices:
        if price.per_token is None:
            raise ConfigurationError(
                f"no spend cap without a price, and that of {price.model!r} is unknown; add it to --prices "
                "(0 for a model of your own), or leave the cap away"
            )
    spent, n_unknown = store.spent()
    if n_unknown:
        raise ConfigurationError(
            f"no spend cap on {store.path}: it has {n_unknown} answers whose cost is unknown; "
            "leave the cap away, or use another --store"
        )
    return SpendCap(max_usd, spent=spent)
