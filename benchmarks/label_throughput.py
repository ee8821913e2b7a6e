#!/usr/bin/env python3
"""What does the labelling run's care cost? Answers per second against a bare client loop.

Usage: label_throughput.py [--out benchmarks/results/label_throughput.md]

A local HTTP server in a process of its own answers every request after a fixed delay. The same client, a
`http.client` connection per thread, is driven once by a bare loop of threads and once by
`confroute.labelling.label`, which notes every request and commits every answer. Same concurrency, same
requests; the two take turns, and the figure is the median over the turns of the ratio of their rates.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import table
from confroute.decision import RouteRequest, Sample, Usage
from confroute.labelling import Question, SamplingSettings, label
from confroute.uncertainty import ExactEquivalence

SAMPLING = SamplingSettings(n=10)
ANSWERS_PER_QUESTION = len(SAMPLING.draws())
MODELS = ("small", "large")
INTRODUCTION = """\
Median answers per second and median ratio over the turns, in brackets its 95 % bootstrap interval. The same
client and requests on both sides; ours also notes each request, commits each answer to SQLite and labels at
the end. A delay of 0 leaves no waiting to hide work in: there client, server and SQLite compete for the
processors."""


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    body = json.dumps({"text": "Jane Austen", "logprob": -1.5, "n_tokens": 3, "in": 40, "out": 3}).encode()
    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            await asyncio.sleep(delay)
            writer.write(reply)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def serve(delay: float, told: Connection) -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda r, w: handle(r, w, delay), "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class HTTPModel:
    """The client that both sides drive."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self._local = threading.local()

    def sample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Ask the server for one answer."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        turns = [{"role": m.role, "content": m.text} for m in request.messages]
        body = json.dumps({"model": self.name, "messages": turns, **settings})
        self._local.connection.request("POST", "/", body, {"Content-Type": "application/json"})
        found = json.loads(self._local.connection.getresponse().read())
        usage = Usage(input_tokens=found["in"], output_tokens=found["out"])
        return [Sample(found["text"], logprob=found["logprob"], n_tokens=found["n_tokens"], usage=usage)]

    async def asample(self, request: RouteRequest, n: int, **settings: Any) -> list[Sample]:
        """Ask the server for one answer."""
        return await asyncio.to_thread(self.sample, request, n, **settings)


def bare(questions: Sequence[Question], models: Sequence[HTTPModel], concurrency: int) -> None:
    """Ask for everything from a plain loop of threads, and keep it in a list."""
    settings: dict[str, Any] = {
        "temperature": 1.0,
        "max_tokens": 32,
        "logprobs": True,
        "top_p": 0.9,
        "top_k": 50,
    }
    kept: list[Sample] = []

    def work(model: HTTPModel, todo: Any, lock: threading.Lock) -> None:
        while True:
            with lock:
                question, seed = next(todo, (None, 0))
            if question is None:
                return
            kept.extend(model.sample(SAMPLING.request(question.question), 1, seed=seed, **settings))

    threads = []
    for model in models:
        todo = ((question, seed) for question in questions for seed in range(ANSWERS_PER_QUESTION))
        lock = threading.Lock()
        threads += [threading.Thread(target=work, args=(model, todo, lock)) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == len(questions) * len(models) * ANSWERS_PER_QUESTION


def ours(questions: Sequence[Question], models: Sequence[HTTPModel], concurrency: int) -> None:
    """The same through the labelling run, labels included."""
    with tempfile.TemporaryDirectory() as folder:
        label(
            questions,
            edge=models[0],
            cloud=models[1],
            store=Path(folder) / "run.sqlite",
            sampling=SAMPLING,
            equivalence=ExactEquivalence(),
            concurrency=concurrency,
        )


def compare(delay: float, concurrency: int, n_questions: int, turns: int) -> list[str]:
    parent, child = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(delay, child), daemon=True)
    server.start()
    port = parent.recv()
    questions = [Question(id=str(i), question=f"Who wrote book number {i}?") for i in range(n_questions)]
    n = n_questions * len(MODELS) * ANSWERS_PER_QUESTION
    rates: dict[str, list[float]] = {"bare": [], "ours": []}
    for turn in range(turns + 1):
        for name, drive in (("bare", bare), ("ours", ours)):
            models = [HTTPModel(model, port) for model in MODELS]
            began = time.perf_counter()
            drive(questions, models, concurrency)
            if turn:  # the first turn warms up
                rates[name].append(n / (time.perf_counter() - began))
    server.terminate()
    ratios = [ours / bare for ours, bare in zip(rates["ours"], rates["bare"], strict=True)]
    resampled = np.median(np.random.default_rng(0).choice(ratios, (2000, turns)), axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    middle = [f"{statistics.median(rates[name]):.0f}" for name in ("bare", "ours")]
    ratio = f"{statistics.median(ratios):.1%} [{low:.1%}, {high:.1%}]"
    return [f"{delay * 1000:g} ms", f"2 × {concurrency}", str(n), str(turns), *middle, ratio]


def main() -> None:
    parser = argparse.ArgumentParser(description="Labelling against a bare client loop, answers per second.")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--turns", type=int, default=7)
    args = parser.parse_args()
    head = ["server's delay", "in flight", "answers", "turns", "bare loop /s", "confroute label /s", "ratio"]
    rows = []
    for delay, concurrency, n_questions in (
        (0.1, 16, 60),
        (0.05, 8, 60),
        (0.02, 4, 60),
        (0.005, 8, 60),
        (0.0, 8, 60),
    ):
        rows.append(compare(delay, concurrency, n_questions, args.turns))
        print(" | ".join(rows[-1]), flush=True)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    text = [
        "# Labelling against a bare client loop",
        "",
        INTRODUCTION,
        "",
        table(head, rows),
        "",
        f"{os.cpu_count()} processors, load average {load} at the end of `benchmarks/label_throughput.py`.",
        "",
    ]
    if args.out:
        args.out.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
