"""Train the equivalence model that ships with confroute.

Reads judged pairs (NQ answers judged by people, SNLI, one-word swaps) and questions with answers from a data
folder, derives training pairs from them, fits boosted trees on three quarters, and writes
``equivalence.safetensors`` and ``equivalence.json``. With ``--folds K`` it also writes K models to a folder
of their own, model k trained without the questions of fold k, so that entropies on these questions can be
measured with an equivalence that has not seen them.

    python scripts/train_equivalence.py --data DATA [--folds 5 --folds-out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from confroute.uncertainty.features import FEATURES, Question, pair_features
from confroute.uncertainty.learned import FORMAT, WEIGHTS, as_matrix, shared_lexicon
from confroute.uncertainty.lexicon import Lexicon
from confroute.uncertainty.rules import exact_verdict
from confroute.uncertainty.views import View
from scripts.equivalence_data import bucket, derived, fold_of, human, is_test, snli, swaps
from scripts.equivalence_pairs import Example

VERSION = "1"
DEPTH = 6
TREES = 200
SEED = 7


def featurise(examples: Sequence[Example], lexicon: Lexicon) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the features [n, d] of all pairs, and which of them no rule decides [n]."""
    views: dict[str, View] = {}
    questions: dict[str, Question] = {}
    rows, open_pairs = [], []
    for e in examples:
        question = questions.setdefault(e.question, Question(e.question, lexicon))
        a, b = (views.setdefault(text, View(text, lexicon)) for text in (e.a, e.b))
        rows.append(pair_features(question, a, b))
        open_pairs.append(exact_verdict(question, a, b) is None)
    return as_matrix(rows), np.array(open_pairs)


def balanced_weights(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Return weights under which both outcomes count the same within people's judgements, SNLI and swaps."""
    weights = np.array([e.weight for e in examples])
    family = np.array([e.source.split("-")[0] for e in examples])
    labels = np.array([e.label for e in examples])
    for name in set(family):
        total = weights[family == name].sum()
        for label in (0, 1):
            mask = (family == name) & (labels == label)
            if mask.any():
                weights[mask] *= total / 2 / weights[mask].sum()
    return weights


def fit(
    x: NDArray[np.float32], y: NDArray[np.int64], weights: NDArray[np.float64]
) -> HistGradientBoostingClassifier:
    """Fit the trees."""
    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=0.08,
        max_depth=DEPTH,
        max_leaf_nodes=40,
        min_samples_leaf=40,
        l2_regularization=5.0,
        max_features=0.3,
        early_stopping=False,
        random_state=SEED,
    )
    return model.fit(x, y, sample_weight=weights)


def export(model: HistGradientBoostingClassifier) -> tuple[dict[str, NDArray[np.generic]], float]:
    """Return the trees as arrays of complete trees, and the bias."""
    trees = [stage[0].nodes for stage in model._predictors]
    feature = np.zeros((len(trees), 2**DEPTH - 1), dtype=np.uint8)
    threshold = np.full((len(trees), 2**DEPTH - 1), np.inf, dtype=np.float32)
    leaf = np.zeros((len(trees), 2**DEPTH), dtype=np.float32)
    for t, nodes in enumerate(trees):
        stack = [(0, 0, 0)]  # node of the tree, place in the complete tree, depth
        while stack:
            node, place, depth = stack.pop()
            row = nodes[node]
            if row["is_leaf"]:
                first = (place + 1) * 2 ** (DEPTH - depth) - 2**DEPTH
                leaf[t, first : first + 2 ** (DEPTH - depth)] = row["value"]
                continue
            feature[t, place] = row["feature_idx"]
            threshold[t, place] = _float_at_most(row["num_threshold"])
            stack += [(row["left"], 2 * place + 1, depth + 1), (row["right"], 2 * place + 2, depth + 1)]
    return {"feature": feature, "threshold": threshold, "leaf": leaf}, float(
        np.ravel(model._baseline_prediction)[0]
    )


def _float_at_most(value: float) -> np.float32:
    """Return the largest float32 not above a float64: comparisons of float32 then come out the same."""
    near = np.float32(value)
    return near if float(near) <= value else np.nextafter(near, np.float32(-np.inf))


def calibrate(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    weights: NDArray[np.float64],
    groups: Sequence[str],
    natural: NDArray[np.bool_],
) -> tuple[float, float]:
    """Return slope and offset that turn the trees' log-odds into probabilities, from held-out groups.

    Only judged pairs are used, every family and outcome with the same weight.
    """
    numbers = np.array([bucket(g, 1 << 40) for g in groups])
    raw = np.zeros(len(y))
    for train, held in GroupKFold(3).split(x, y, numbers):
        raw[held] = fit(x[train], y[train], weights[train]).decision_function(x[held])
    scaler = LogisticRegression(C=1e6).fit(raw[natural, None], y[natural], sample_weight=weights[natural])
    return float(scaler.coef_[0, 0]), float(scaler.intercept_[0])


def train(
    examples: Sequence[Example],
    x: NDArray[np.float32],
    keep: NDArray[np.bool_],
    out: Path,
    calibration: tuple[float, float] | None,
) -> tuple[float, float]:
    """Fit on the kept examples and write the model; return its calibration."""
    kept = [e for e, k in zip(examples, keep, strict=True) if k]
    y = np.array([e.label for e in kept])
    weights = balanced_weights(kept)
    part = x[keep]
    if calibration is None:
        natural = np.array([e.source in ("human", "human-reverse", "snli", "swaps") for e in kept])
        calibration = calibrate(part, y, weights, [e.group for e in kept], natural)
    model = fit(part, y, weights)
    tensors, bias = export(model)
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, out / "equivalence.safetensors")
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "bias": bias,
        "calibration": {"slope": calibration[0], "offset": calibration[1]},
        "features": list(FEATURES),
        "training_pairs": len(kept),
    }
    (out / "equivalence.json").write_text(json.dumps(meta, indent=1) + "\n", "utf-8")
    return calibration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with equivalence/ and questions/")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the model")
    parser.add_argument("--folds", type=int, default=0, help="number of cross-fit models")
    parser.add_argument("--folds-out", type=Path, help="folder for the cross-fit models, fold0 and so on")
    arguments = parser.parse_args()
    if arguments.folds and arguments.folds_out is None:
        parser.error("--folds needs --folds-out, a folder outside the package")

    start = time.time()
    rng = random.Random(SEED)
    own = arguments.out / "lexicon.safetensors"
    lexicon = shared_lexicon(own if own.exists() else WEIGHTS / "lexicon.safetensors")
    examples = [
        *human(arguments.data),
        *snli(arguments.data),
        *swaps(arguments.data),
        *derived(arguments.data, rng, lexicon),
    ]
    x, open_pairs = featurise(examples, lexicon)
    seconds = time.time() - start
    print(f"{len(examples)} pairs, {open_pairs.mean():.0%} left to the model, read in {seconds:.0f} s")
    fitting = open_pairs & np.array([not is_test(e.group) for e in examples])
    calibration = train(examples, x, fitting, arguments.out, None)
    print(f"trained on {fitting.sum()} pairs, {time.time() - start:.0f} s; calibration {calibration}")
    for k in range(arguments.folds):
        unseen = np.array([fold_of(e.group, arguments.folds) != k for e in examples])
        train(examples, x, open_pairs & unseen, arguments.folds_out / f"fold{k}", calibration)


if __name__ == "__main__":
    main()
