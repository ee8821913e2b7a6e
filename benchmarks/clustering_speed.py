#!/usr/bin/env python3
"""Clustering by meaning with an NLI model: ours, the sequential algorithm, uqlm's and lm-polygraph's.

Usage: clustering_speed.py [--questions 100] [--size base|large] [--peers FOLDER] [--out FILE.md]

Each question has ten distinct answers in three meanings. All contenders ask the same DeBERTa of real size,
randomly initialised, which is what takes the time; what it says is replaced by fixed verdicts, so that all
of them see the same scores. One thread, and processor time, so that other work on the machine counts little.
FOLDER is where ``pip install --no-deps --target FOLDER uqlm==0.6.7 lm-polygraph==0.7.0`` has put the peers:
their clustering code is run as it is, without their other dependencies.
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import table
from confroute.uncertainty import NLIEquivalence, cluster_many
from confroute.uncertainty.equivalence import FloatArray, Pair

N_ANSWERS, N_MEANINGS = 10, 3
SIZES = {"base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096)}
SUBJECTS = ["river", "treaty", "novel", "comet", "engine", "painter", "harbour", "vaccine", "castle"]
FILLERS = ["", "I think", "it was", "probably", "as far as I know", "the answer is", "surely", "perhaps"]
PEERS = {"uqlm": "0.6.7", "lm-polygraph": "0.7.0"}


@dataclass(frozen=True)
class Question:
    """A question, its answers, and the meaning of each in order of first appearance."""

    text: str
    answers: list[str]
    meanings: list[int]


@dataclass
class Counter:
    """Rows and padded tokens that went through the model."""

    pairs: int = 0
    tokens: int = 0

    def __call__(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Count one forward pass."""
        self.pairs += kwargs["input_ids"].shape[0]
        self.tokens += kwargs["input_ids"].numel()


def make_questions(n: int) -> list[Question]:
    chance = random.Random(1)
    questions = []
    for number in range(n):
        subject = chance.choice(SUBJECTS)
        text = f"Which name did the {subject} number {number} have before it was renamed?"
        meanings = [i % N_MEANINGS for i in range(N_ANSWERS)]
        chance.shuffle(meanings)
        meanings = [sorted(set(meanings), key=meanings.index).index(m) for m in meanings]
        answers = []
        for i, meaning in enumerate(meanings):
            filler, mark = FILLERS[i % len(FILLERS)], "!" * (i // len(FILLERS))
            answers.append(f"{filler} the {subject} of name {number}-{meaning}{mark}".strip())
        questions.append(Question(text, answers, meanings))
    return questions


def make_model(folder: Path, size: str, questions: Sequence[Question]) -> None:
    """Save a randomly initialised DeBERTa with a tokenizer of the questions' own words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import DebertaConfig, DebertaForSequenceClassification, PreTrainedTokenizerFast

    hidden, layers, heads, intermediate = SIZES[size]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    texts = [text for question in questions for text in (question.text, *question.answers)]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2000, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    make_tokenizer: Any = PreTrainedTokenizerFast  # its constructor has no types
    make_tokenizer(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    labels = ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"]
    config = DebertaConfig(
        vocab_size=50265,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        max_position_embeddings=512,
        type_vocab_size=0,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_biased_input=False,
        pad_token_id=0,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    DebertaForSequenceClassification(config).save_pretrained(folder)


class Verdicts:
    """The fixed scores: two texts entail each other where they end in one meaning."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.meaning = {a: (q.text, m) for q in questions for a, m in zip(q.answers, q.meanings, strict=True)}

    def same(self, a: str, b: str) -> bool:
        """Whether two answers, each perhaps after its question, mean the same."""
        return self.meaning[a.split("\n")[-1]] == self.meaning[b.split("\n")[-1]]


class FixedNLI(NLIEquivalence):
    """Our NLI equivalence, with the model's work done and its words replaced."""

    def __init__(self, folder: Path, verdicts: Verdicts) -> None:
        super().__init__(folder)
        self.verdicts = verdicts
        self.loaded = self._loaded

    def score(self, pairs: Sequence[Pair]) -> FloatArray:
        """Run the model, return the verdicts."""
        super().score(pairs)
        return np.array([self.verdicts.same(a, b) for _, a, b in pairs], dtype=np.float64)


Run = Callable[[Sequence[Question]], list[list[int]]]


def fewest_pairs(questions: Sequence[Question]) -> int:
    """Count the pairs without which the clusters cannot be known.

    That an answer joins a cluster takes both directions, that it does not one; an answer is held against the
    clusters that are there when it comes, up to the one that it joins.
    """
    n = 0
    for question in questions:
        for i, meaning in enumerate(question.meanings):
            n += meaning + 2 if meaning in question.meanings[:i] else meaning
    return n


def ours(folder: Path, verdicts: Verdicts) -> tuple[Any, Run]:
    judge = FixedNLI(folder, verdicts)
    return judge.loaded[1], lambda questions: cluster_many(
        [(q.text, q.answers) for q in questions], equivalence=judge
    )


def sequential(folder: Path, verdicts: Verdicts) -> tuple[Any, Run]:
    """The algorithm as published: answer by answer, representative by representative, a pair at a time."""
    judge = FixedNLI(folder, verdicts)

    def entails(question: str, a: str, b: str) -> bool:
        return bool(judge.score([(question, a, b)])[0] >= judge.threshold)

    def one(question: Question) -> list[int]:
        representatives: list[str] = []
        labels: list[int] = []
        for answer in question.answers:
            for number, other in enumerate(representatives):
                if entails(question.text, answer, other) and entails(question.text, other, answer):
                    labels.append(number)
                    break
            else:
                labels.append(len(representatives))
                representatives.append(answer)
        return labels

    return judge.loaded[1], lambda questions: [one(question) for question in questions]


def uqlm(folder: Path, verdicts: Verdicts) -> tuple[Any, Run]:
    nli = importlib.import_module("uqlm.nli.nli")
    clusterer = importlib.import_module("uqlm.nli.cluster")

    class Fixed(nli.NLI):  # type: ignore[misc, name-defined]  # a class of a module that is loaded by name
        def predict_batch(self, pairs: list[tuple[str, str]]) -> Any:
            super().predict_batch(pairs)
            return np.array([[0.0, 0.0, 1.0] if verdicts.same(*pair) else [1.0, 0.0, 0.0] for pair in pairs])

    judge = Fixed(device="cpu", nli_model_name=str(folder))

    def run(questions: Sequence[Question]) -> list[list[int]]:
        found = []
        for question in questions:
            _, indices, _, _ = clusterer.SemanticClusterer(nli=judge).cluster_responses(
                question.answers, prompt=question.text
            )
            of = {i: number for number, members in enumerate(indices) for i in members}
            found.append([of[i] for i in range(len(question.answers))])
        return found

    return judge.model, run


def lm_polygraph(folder: Path, verdicts: Verdicts) -> tuple[Any, Run]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    matrix = importlib.import_module("lm_polygraph.stat_calculators.semantic_matrix")
    classes = importlib.import_module("lm_polygraph.stat_calculators.semantic_classes")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    batches: list[list[tuple[str, str]]] = []

    def encode(batch: list[tuple[str, str]], **settings: Any) -> Any:
        batches.append(batch)
        return tokenizer([a for a, _ in batch], [b for _, b in batch], **settings)

    def classify(**encoded: Any) -> Any:
        model(**encoded)
        same = [verdicts.same(a, b) for a, b in batches.pop()]
        logits = [[0.0, 0.0, 9.0] if entailed else [9.0, 0.0, 0.0] for entailed in same]
        return types.SimpleNamespace(logits=torch.tensor(logits))

    classify.config = model.config  # type: ignore[attr-defined]  # the peer reads it off the model
    judge = types.SimpleNamespace(
        batch_size=10,
        device="cpu",
        deberta=classify,
        deberta_tokenizer=encode,
    )

    def run(questions: Sequence[Question]) -> list[list[int]]:
        texts = {"sample_texts": [q.answers for q in questions]}
        deps = {**texts, **matrix.SemanticMatrixCalculator(judge)(texts, [""] * len(questions), None)}
        found = classes.SemanticClassesCalculator()(deps, [""] * len(questions), None)
        of = found["semantic_classes_entail"]["sample_to_class"]
        return [[of[k][i] for i in range(N_ANSWERS)] for k in range(len(questions))]

    return model, run


def open_peers(folder: Path) -> None:
    """Make the peers' modules importable one by one, past package files that import everything."""
    for package in (
        "uqlm",
        "uqlm.nli",
        "uqlm.utils",
        "lm_polygraph",
        "lm_polygraph.utils",
        "lm_polygraph.stat_calculators",
    ):
        module = types.ModuleType(package)
        module.__path__ = [str(folder.joinpath(*package.split(".")))]
        sys.modules[package] = module
    names = types.ModuleType("lm_polygraph.utils.model")
    names.Model = names.WhiteboxModel = object  # type: ignore[attr-defined]  # only named in annotations there
    sys.modules["lm_polygraph.utils.model"] = names


def main() -> None:
    parser = argparse.ArgumentParser(description="Clustering speed with one NLI model of real size.")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    contenders: dict[str, Callable[..., tuple[Any, Run]]] = {"confroute": ours, "sequential": sequential}
    if args.peers:
        open_peers(args.peers)
        contenders |= {f"uqlm {PEERS['uqlm']}": uqlm, f"lm-polygraph {PEERS['lm-polygraph']}": lm_polygraph}
    questions = make_questions(args.questions)
    verdicts = Verdicts(questions)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    counts: dict[str, Counter] = {}
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder), args.size, questions)
        ready = {name: make(Path(folder), verdicts) for name, make in contenders.items()}
        for _ in range(args.turns):
            for name, (model, run) in ready.items():
                counts[name] = Counter()
                hook = model.register_forward_pre_hook(counts[name], with_kwargs=True)
                began = time.process_time()
                found = run(questions)
                seconds[name].append(time.process_time() - began)
                hook.remove()
                if found != [q.meanings for q in questions]:
                    raise SystemExit(f"{name} found other clusters than the verdicts say")
                print(f"{name}: {counts[name].pairs} pairs, {seconds[name][-1]:.1f} s", flush=True)
    own = seconds["confroute"]
    ratios = {name: [b / a for a, b in zip(own, values, strict=True)] for name, values in seconds.items()}
    rows = [
        [
            name,
            str(counts[name].pairs),
            str(counts[name].tokens),
            f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})",
            f"{statistics.median(ratios[name]):.2f} ({min(ratios[name]):.2f} to {max(ratios[name]):.2f})",
        ]
        for name, values in seconds.items()
    ]
    head = ["contender", "pairs evaluated", "padded tokens", "processor seconds", "times ours"]
    told = (
        f"{args.questions} questions of {N_ANSWERS} distinct answers in {N_MEANINGS} meanings; "
        f"DeBERTa-{args.size}, randomly initialised, one thread; median (range) of {args.turns} turns. "
        f"All contenders found the same clusters. The fewest pairs from which they can be known are "
        f"{fewest_pairs(questions)}: what is left to gain is the time that a pair takes."
    )
    text = [
        "# Clustering speed",
        "",
        told,
        "",
        table(head, rows),
        "",
    ]
    if args.out:
        args.out.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
