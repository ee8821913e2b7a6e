"""How fast each head decides, beside RouteLLM's own classes on the same embeddings.

    python -m benchmarks.router_speed DATA --encoder FOLDER_OR_NAME [--cache FOLDER] [--out FILE]

DATA holds ``questions/*.jsonl``. RouteLLM is measured where ``routellm`` can be imported (0.2.0, with torch,
datasets and openai); no key and no net are needed, since it is handed the embeddings.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import embed, read_jsonl, table
from confroute.encoders import SentenceEncoder
from confroute.heads import HEADS, Head, make_head

FloatArray = NDArray[np.float64]
Embeddings = NDArray[np.float32]

TRAINING = {"nq_open": 3610, "popqa": 3610, "mawps": 1418, "triviaqa": 3610}  # the paper's mix
TEST = ("triviaqa", 3610, 3610 + 1024)
BATCH = 128
STRONG, WEAK = "gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"


@dataclass(frozen=True)
class Speed:
    """Seconds of each timed call, on the clock and of processor, and the decisions in one call."""

    seconds: FloatArray
    processor: FloatArray
    decisions: int

    @property
    def per_decision(self) -> float:
        """Median processor seconds of one decision: what other programs on the machine do not change."""
        return float(np.median(self.processor)) / self.decisions

    def cells(self) -> list[str]:
        """Return p50 and p99 of a call in ms, decisions a second, processor ms and the number of calls."""
        p50, p99 = (1e3 * float(np.quantile(self.seconds, q)) for q in (0.5, 0.99))
        rate = 1e3 * self.decisions / p50
        spent = 1e3 * self.per_decision
        return [f"{p50:.3f}", f"{p99:.3f}", f"{rate:,.0f}", f"{spent:.4f}", str(len(self.seconds))]


def timed(call: Callable[[int], Any], n: int, decisions: int = 1, warm_up: int = 3) -> Speed:
    """Time ``call(i)`` for i below n, after a few calls that are not counted."""
    for i in range(warm_up):
        call(i)
    seconds, processor = np.empty(n), np.empty(n)
    for i in range(n):
        start, started = time.perf_counter(), time.process_time()
        call(i)
        seconds[i], processor[i] = time.perf_counter() - start, time.process_time() - started
    return Speed(seconds, processor, decisions)


class HandedEmbeddings:
    """Stands for RouteLLM's OpenAI client: the prompt is the number of a row that is handed back."""

    def __init__(self, rows: Embeddings) -> None:
        self._rows = rows.tolist()
        self.embeddings = self

    def create(self, input: list[str], model: str) -> SimpleNamespace:
        """Answer as ``client.embeddings.create`` does."""
        return SimpleNamespace(data=[SimpleNamespace(embedding=self._rows[int(input[0])])])


def routellm_similarity(
    train: Embeddings, wins: FloatArray, questions: Sequence[str], test: Embeddings
) -> Callable[[int], float]:
    """Return RouteLLM's similarity-weighted decision of test row i."""
    from datasets import Dataset  # type: ignore[import-not-found]  # an optional peer, not a dependency
    from routellm.routers import routers  # type: ignore[import-not-found]  # the same

    battles = [
        {
            "model_a": WEAK,
            "model_b": STRONG,
            "prompt": json.dumps([question.strip().ljust(16, "?")]),  # shorter prompts are dropped there
            "winner_model_a": int(win == 0),
            "winner_model_b": int(win == 1),
            "winner_tie": int(win == 0.5),
        }
        for question, win in zip(questions, wins, strict=True)
    ]
    held = {"battles": Dataset.from_list(battles), "rows": Dataset.from_dict({"embeddings": train.tolist()})}
    routers.load_dataset = lambda name, split: held[name]
    routers.OPENAI_CLIENT = HandedEmbeddings(test)
    router = routers.SWRankingRouter(["battles"], ["rows"], strong_model=STRONG, weak_model=WEAK, num_tiers=2)
    return lambda i: float(router.calculate_strong_win_rate(str(i % len(test))))


def routellm_factors(test: Embeddings) -> Callable[[int], float]:
    """Return RouteLLM's matrix-factorisation decision of test row i; its weights do not change its speed."""
    from routellm.routers import routers
    from routellm.routers.matrix_factorization import model  # type: ignore[import-not-found]  # the same

    model.OPENAI_CLIENT = HandedEmbeddings(test)
    dimension = test.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        fresh = model.MFModel(dim=128, num_models=64, text_dim=dimension, num_classes=1, use_proj=True)
        fresh.save_pretrained(folder)
        router = routers.MatrixFactorizationRouter(folder, text_dim=dimension)
    return lambda i: float(router.calculate_strong_win_rate(str(i % len(test))))


def head_speeds(head: Head, test: Embeddings) -> tuple[Speed, Speed]:
    """Return the speeds of single decisions and of batches."""
    single = timed(lambda i: head.score(test[i % len(test)][None]), 300)
    batches = [test[start : start + BATCH] for start in range(0, len(test), BATCH)]
    return single, timed(lambda i: head.score(batches[i % len(batches)]), 40, BATCH)


INTRO = """# Speed of a decision

Written by `benchmarks/router_speed.py`. {rows} training rows and {tests} test questions: real ones
(Natural Questions, PopQA, MAWPS and TriviaQA), embedded by {encoder}. Labels are drawn at random: they do
not change the time. RouteLLM 0.2.0's own classes get the same rows and the same embeddings, handed over
in place of its OpenAI client. {machine}, {threads} thread(s), numpy {numpy}, load average {load:.1f} at
the end: other programs ran beside, so ratios and shares are of processor time, which they change little.
"""

LIMITS = """
A single similarity-weighted or nearest-neighbour decision reads every training embedding once
({megabytes:.0f} MB): it is bound by memory, and a batch of 128 reads them once for all. RouteLLM has no
batches: it decides one by one, and refits a logistic regression on every row for each similarity-weighted
decision.
"""


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--encoder", required=True, help="A sentence-transformers model: a hub name or a folder.")
@click.option("--encoder-name", help="What the report calls it.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keeps embeddings.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path))
def main(data: Path, encoder: str, encoder_name: str | None, cache: Path | None, out: Path | None) -> None:
    import torch

    threads = int(os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())))
    torch.set_num_threads(threads)
    questions = {
        name: [row["question"] for row in read_jsonl(data / f"questions/{name}.jsonl")] for name in TRAINING
    }
    train_texts = [text for name, n in TRAINING.items() for text in questions[name][:n]]
    test_texts = questions[TEST[0]][TEST[1] : TEST[2]]
    encode = SentenceEncoder(encoder, name=encoder_name, batch_size=BATCH)
    train, test = embed(encode, train_texts, cache), embed(encode, test_texts, cache)
    wins = np.random.default_rng(0).choice([0.0, 0.5, 1.0], len(train))

    batches = [test_texts[start : start + BATCH] for start in range(0, len(test_texts), BATCH)]
    embedding = timed(lambda i: encode.encode(batches[i]), len(batches), BATCH, warm_up=1)
    single_embedding = timed(lambda i: encode.encode([test_texts[i]]), 100)
    rows = [
        ["embedding alone", "1", *single_embedding.cells(), ""],
        ["embedding alone", str(BATCH), *embedding.cells(), ""],
    ]
    speeds: dict[str, tuple[Speed, Speed]] = {}
    for name in HEADS:
        head = make_head(name).fit(train, wins)
        speeds[name] = head_speeds(head, test)
        for size, speed, whole in zip(
            ("1", str(BATCH)), speeds[name], (single_embedding, embedding), strict=True
        ):
            share = speed.per_decision / whole.per_decision
            rows.append([name, size, *speed.cells(), f"{share:.2%}"])

    ratios = []
    if importlib.util.find_spec("routellm") is not None:
        os.environ.setdefault("OPENAI_API_KEY", "none")
        similarity = routellm_similarity(train, wins, train_texts, test)
        peers = {
            "similarity-weighted": timed(similarity, 100),
            "matrix-factorization": timed(routellm_factors(test), 300),
        }
        for name, speed in peers.items():
            rows.append([f"RouteLLM {name}", "1", *speed.cells(), ""])
            single, batch = speeds[name]
            ratios.append(
                f"- {name}: {speed.per_decision / batch.per_decision:,.0f} times as fast as RouteLLM in "
                f"batches of {BATCH}, {speed.per_decision / single.per_decision:,.1f} times one by one"
            )
        ours = make_head("similarity-weighted").fit(train, wins).score(test[:50])
        theirs = np.array([similarity(i) for i in range(50)])
        ratios.append(
            f"- largest difference between both similarity-weighted scores on 50 questions: "
            f"{np.abs(ours - theirs).max():.1e}"
        )
    else:
        ratios.append("- RouteLLM is not installed: not measured")

    header = [
        "router",
        "batch",
        "p50 ms",
        "p99 ms",
        "decisions/s",
        "CPU ms a decision",
        "calls timed",
        "of embedding",
    ]
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    text = INTRO.format(
        rows=f"{len(train):,}",
        tests=f"{len(test):,}",
        encoder=encode.name,
        machine=machine,
        threads=threads,
        numpy=np.__version__,
        load=os.getloadavg()[0],
    )
    text += (
        f"\n{table(header, rows)}\n\n"
        + "\n".join(ratios)
        + "\n"
        + LIMITS.format(megabytes=train.nbytes / 1e6)
    )
    if out is not None:
        out.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
