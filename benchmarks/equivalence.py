"""Measure answer equivalence: people's judgements, SNLI, one-word swaps, and entropy on recorded samples.

Prints the tables of ``benchmarks/results/equivalence.md`` and draws the reliability plot, all on the test
part that ``scripts/train_equivalence.py`` leaves out. Intervals are 95 % bootstrap intervals over questions,
premises or word pairs.

    python benchmarks/equivalence.py --data DATA --encoder FOLDER [--folds FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from confroute.uncertainty.clustering import cluster_many
from confroute.uncertainty.embedding import EmbeddingEquivalence
from confroute.uncertainty.entropy import entropy_of
from confroute.uncertainty.equivalence import Equivalence, Pair
from confroute.uncertainty.exact import ExactEquivalence
from confroute.uncertainty.learned import WEIGHTS, LearnedEquivalence
from scripts.equivalence_data import fold_of, human, is_test, read, snli, swaps
from scripts.equivalence_pairs import Example

ROOT = Path(__file__).parents[1]
RESAMPLES = 200
SEED = 3

Scores = NDArray[np.float64]
Judge = tuple[
    str, Callable[[Sequence[Pair]], Scores], bool
]  # name, score, whether its threshold is fixed at 0.5


def token_overlap(pairs: Sequence[Pair]) -> Scores:
    """Return the share of the shorter answer's words that the longer one has; best alternative of ``A/B``."""
    return np.array([max(_overlap(x, y) for x in a.split("/") for y in b.split("/")) for _, a, b in pairs])


def _words(text: str) -> set[str]:
    cleaned = "".join(c if c.isalnum() else " " for c in text.casefold())
    return set(cleaned.split()) - {"a", "an", "the"}


def _overlap(a: str, b: str) -> float:
    x, y = _words(a), _words(b)
    return len(x & y) / (min(len(x), len(y)) or 1)


def overlap_features(pairs: Sequence[Pair]) -> Scores:
    """Return plain token-overlap features, shape [n, 7]: the floor's."""
    rows = []
    for q, a, b in pairs:
        x, y, asked = _words(a), _words(b), _words(q)
        best = max((_words(part) for part in b.split("/")), key=lambda part: len(part & x) / (len(part) or 1))
        rows.append([
            len(x & y) / (len(y) or 1), len(x & y) / (len(x) or 1), len(x & best) / (len(best) or 1),
            len((x & best) - asked) / (len(best - asked) or 1), len(x), len(y), len(best),
        ])  # fmt: skip
    return np.array(rows, dtype=np.float64).reshape(len(rows), 7)


def floor(train: Sequence[Example]) -> Callable[[Sequence[Pair]], Scores]:
    """Return gradient boosting over plain token-overlap features, fitted on the training part."""
    model = HistGradientBoostingClassifier(max_iter=100, random_state=SEED, class_weight="balanced")
    model.fit(overlap_features(as_pairs(train)), [e.label for e in train])

    def score(pairs: Sequence[Pair]) -> Scores:
        probabilities: Scores = model.predict_proba(overlap_features(pairs))[:, 1]
        return probabilities

    return score


def as_pairs(examples: Sequence[Example]) -> list[Pair]:
    """Return the triples that an equivalence scores."""
    return [(e.question, e.a, e.b) for e in examples]


def best_threshold(scores: Scores, labels: NDArray[np.int64]) -> float:
    """Return the threshold with the best balanced accuracy."""
    grid = np.unique(np.quantile(scores, np.linspace(0, 1, 201)))
    return float(max(grid, key=lambda t: balanced_accuracy_score(labels, scores >= t)))


def intervals(
    measure: Callable[[NDArray[np.intp]], Sequence[float]], groups: Sequence[str], size: int
) -> list[tuple[float, float, float]]:
    """Return each measure with its 95 % interval from resampling whole groups."""
    rng = np.random.default_rng(SEED)
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    blocks = [np.array(rows, dtype=np.intp) for rows in members.values()]
    drawn = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(blocks), size=len(blocks))
        drawn.append(measure(np.concatenate([blocks[i] for i in chosen])))
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    point = measure(np.arange(size, dtype=np.intp))
    return list(zip(point, low.tolist(), high.tolist(), strict=True))


def show(values: Sequence[tuple[float, float, float]]) -> str:
    """Return table cells."""
    return " | ".join(f"{point:.3f} [{low:.3f}, {high:.3f}]" for point, low, high in values)


def judged(
    name: str, judges: Sequence[Judge], train: Sequence[Example], test: Sequence[Example]
) -> list[str]:
    """Return the table of one set of judged pairs."""
    labels = np.array([e.label for e in test])
    groups = [e.group for e in test]
    lines = [
        f"### {name}: n = {len(test)} test pairs, {len(set(groups))} groups, {labels.mean():.0%} equivalent",
        "",
        "| judge | AUROC | balanced accuracy | F1 | threshold |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for judge, score, fixed in judges:
        scores = score(as_pairs(test))
        threshold = 0.5
        if not fixed:
            sample = random.Random(SEED).sample(list(train), min(len(train), 3000))
            threshold = best_threshold(score(as_pairs(sample)), np.array([e.label for e in sample]))

        def measure(rows: NDArray[np.intp], s: Scores = scores, t: float = threshold) -> list[float]:
            y, p = labels[rows], s[rows]
            hits = float(((p >= t) & (y == 1)).sum())
            recall, specificity = hits / (y == 1).sum(), float(((p < t) & (y == 0)).sum() / (y == 0).sum())
            return [
                roc_auc_score(y, p),
                (recall + specificity) / 2,
                2 * hits / float((p >= t).sum() + (y == 1).sum()),
            ]

        lines.append(f"| {judge} | {show(intervals(measure, groups, len(test)))} | {threshold:.2f} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


class CrossFit:
    """Asks for each pair the model that has not seen its question.

    Args:
        folder: Folder with ``fold0``, ``fold1`` and so on.
    """

    symmetric = False
    threshold = 0.5

    def __init__(self, folder: Path) -> None:
        self.models = [LearnedEquivalence.load(path) for path in sorted(folder.glob("fold*"))]
        self.name = f"crossfit-{'-'.join(model.version for model in self.models)}"

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Return P(a entails b); shape [n]."""
        folds = np.array([fold_of(q, len(self.models)) for q, _, _ in pairs], dtype=np.intp)
        scores = np.zeros(len(pairs))
        for k, model in enumerate(self.models):
            rows = np.flatnonzero(folds == k)
            scores[rows] = model.score([pairs[i] for i in rows.tolist()])
        return scores


def _draft(clusters: Sequence[int]) -> int:
    """Return the index of the first member of the largest cluster."""
    return list(clusters).index(int(np.bincount(clusters).argmax()))


def entropies(data: Path, judges: Sequence[tuple[str, Equivalence]], *, unseen_only: bool) -> list[str]:
    """Return the table of AUROCs of the entropy on recorded samples.

    For the errors of the majority of a question's samples, and for those of the answer that would be handed out:
    the first member of the largest cluster.
    """
    rows = list(read(data / "samples/llama-13b_triviaqa_20x500.jsonl"))
    if unseen_only:
        trained = {r["question"].strip().casefold() for r in read(data / "questions/triviaqa.jsonl")}
        rows = [r for r in rows if r["question"].strip().casefold() not in trained or is_test(r["question"])]
    majority_wrong = np.array([r["n_correct"] * 2 < len(r["samples"]) for r in rows])
    groups = [r["question"] for r in rows]
    lines = [
        f"### Entropy for wrong answers: n = {len(rows)} questions of 20 samples",
        "",
        (
            f"For {majority_wrong.mean():.0%} of the questions the majority of the samples is wrong. Handed out "
            "is one answer: the first of the largest cluster."
        ),
        "",
        (
            "| judge | AUROC, errors of the majority | difference to exact "
            "| AUROC, errors of what is handed out | handed out and wrong | clusters a question |"
        ),
        "|---|---|---|---|---|---|",
    ]
    base: Scores | None = None
    for name, judge in judges:
        clusters = cluster_many([(r["question"], r["samples"]) for r in rows], equivalence=judge)
        entropy = np.array([float(entropy_of(r["samples"], c)) for r, c in zip(rows, clusters, strict=True)])
        base = entropy if base is None else base
        wrong = np.array(
            [not r["sample_correct_alias"][_draft(c)] for r, c in zip(rows, clusters, strict=True)]
        )

        def measure(
            at: NDArray[np.intp], h: Scores = entropy, first: Scores = base, wrong: NDArray[np.bool_] = wrong
        ) -> list[float]:
            own = float(roc_auc_score(majority_wrong[at], h[at]))
            change = own - float(roc_auc_score(majority_wrong[at], first[at]))
            return [own, change, float(roc_auc_score(wrong[at], h[at]))]

        mean = np.mean([max(c) + 1 for c in clusters])
        shown = show(intervals(measure, groups, len(rows)))
        lines.append(f"| {name} | {shown} | {wrong.mean():.0%} | {mean:.2f} |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def reliability(
    model: LearnedEquivalence, sets: Sequence[tuple[str, Sequence[Example]]], path: Path
) -> list[str]:
    """Draw the reliability plot, both outcomes weighted alike, and return the calibration errors."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 5))
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    lines = [
        "### Calibration on the test parts, both outcomes weighted alike",
        "",
        "| set | n | expected calibration error |",
        "|---|---|---|",
    ]
    for name, examples in sets:
        scores, labels = model.score(as_pairs(examples)), np.array([e.label for e in examples])
        weights = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
        bins = np.minimum((scores * 10).astype(int), 9)
        points = []
        for k in range(10):
            inside = bins == k
            if inside.sum() >= 10:
                share = weights[inside].sum()
                points.append(
                    (
                        np.average(scores[inside], weights=weights[inside]),
                        weights[inside][labels[inside] == 1].sum() / share,
                        share,
                    )
                )
        error = sum(share * abs(x - y) for x, y, share in points)
        lines.append(f"| {name} | {len(examples)} | {error:.3f} |")
        axis.plot(
            [x for x, _, _ in points],
            [y for _, y, _ in points],
            marker="o",
            label=f"{name} (n={len(examples)}, error {error:.3f})",
        )
    axis.set(
        xlabel="score", ylabel="share that is equivalent", title="Reliability of the learned equivalence"
    )
    axis.legend(loc="upper left", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return [*lines, ""]


def speed(examples: Sequence[Example]) -> list[str]:
    """Return the time a pair in one batch, with answers new and read before."""
    model = LearnedEquivalence()
    pairs = as_pairs(examples)
    by_question: dict[str, list[str]] = {}
    for q, a, _ in pairs:
        by_question.setdefault(q, []).append(a)
    crossed = [(q, a, b) for q, found in by_question.items() for a in found for b in found if a != b]
    times = []
    for _ in range(2):
        start = time.process_time()
        model.score(crossed)
        times.append((time.process_time() - start) / len(crossed) * 1e6)
    texts = len({text for _, a, b in crossed for text in (a, b)})
    length = np.mean([len(a) for _, a, _ in crossed])
    text = (
        f"{len(crossed)} pairs of {texts} answers (mean {length:.0f} characters), one batch, processor time: "
        f"{times[0]:.0f} µs a pair with every answer new, {times[1]:.0f} µs once the answers have been read."
    )
    return ["### Speed", "", text, ""]


class MiniLM:
    """The sentence encoder, from a folder.

    Args:
        folder: Folder of the sentence-transformers model.
    """

    name = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), device="cpu")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector a text; float32 array of shape [n, d]."""
        return np.asarray(self._model.encode(list(texts), batch_size=64, show_progress_bar=False))


def update_card(lines: Sequence[str]) -> None:
    """Write the figures into the model card that ships."""
    card = WEIGHTS / "MODEL_CARD.md"
    head, _, rest = card.read_text("utf-8").partition("<!-- figures -->")
    _, _, tail = rest.partition("<!-- /figures -->")
    body = "\n".join(lines)
    card.write_text(f"{head}<!-- figures -->\n{body}\n<!-- /figures -->{tail}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with equivalence/, questions/ and samples/"
    )
    parser.add_argument(
        "--encoder", type=Path, help="folder of the MiniLM sentence encoder; left out without it"
    )
    parser.add_argument("--model", type=Path, help="folder of the model; the one that ships by default")
    parser.add_argument(
        "--folds", type=Path, help="folder of cross-fit models, for the entropies of all questions"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/equivalence.md")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs/images/equivalence_reliability.png")
    arguments = parser.parse_args()

    learned = LearnedEquivalence.load(arguments.model) if arguments.model else LearnedEquivalence()
    embedding = EmbeddingEquivalence(MiniLM(arguments.encoder)) if arguments.encoder else None
    text = (
        f"Model `{learned.name}`. "
        "Test part: a quarter of the NQ questions, SNLI premises and swapped word pairs, none of which "
        "the model has seen. In brackets: 95 % bootstrap intervals over questions, premises or word "
        "pairs. Thresholds of token overlap and MiniLM are the best for balanced accuracy on the "
        "training part; the others are fixed at 0.5. Errors on the swaps' test part were read while the "
        "lexicon was built (they led to all of WordNet and its *see also* links), so the swaps' figure is "
        "a development figure, not a blind one."
    )
    heading = ["# Answer equivalence", "", "Written by `benchmarks/equivalence.py`.", ""]
    lines = [text, ""]
    tests = []
    for name, rows in (
        ("People's judgements (NQ, EVOUNA)", human(arguments.data)),
        ("SNLI validation, premise to hypothesis", snli(arguments.data)),
        ("One-word swaps (Breaking NLI, half)", swaps(arguments.data)),
    ):
        train, test = [e for e in rows if not is_test(e.group)], [e for e in rows if is_test(e.group)]
        tests.append((name.split(" (")[0].split(",")[0], test))
        judges: list[Judge] = [
            ("exact match", ExactEquivalence().score, True),
            ("token overlap", token_overlap, False),
            ("gradient boosting on token overlap", floor(train), True),
            ("learned", learned.score, True),
        ]
        if embedding is not None:
            judges.insert(3, ("MiniLM cosine", embedding.score, False))
        lines += judged(name, judges, train, test)
    unseen = CrossFit(arguments.folds) if arguments.folds else learned
    equivalences: list[tuple[str, Equivalence]] = [
        ("exact", ExactEquivalence()),
        ("learned, cross-fit" if arguments.folds else "learned", unseen),
    ]
    if embedding is not None:
        equivalences.insert(1, ("MiniLM cosine ≥ 0.9", embedding))
    lines += entropies(arguments.data, equivalences, unseen_only=not arguments.folds)
    lines += reliability(learned, tests, arguments.plot)
    lines += speed(tests[0][1][:1000])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join([*heading, *lines]), "utf-8")
    if arguments.model is None:
        update_card(lines)
    print(json.dumps({"written": str(arguments.out), "plot": str(arguments.plot)}))


if __name__ == "__main__":
    main()
