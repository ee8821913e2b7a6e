#!/usr/bin/env python3
"""Build the question file of the recorded pair from a folder of question sets.

Usage: recording_questions.py DATA questions.jsonl

Half of the questions come from the paper's four sources (Natural Questions, TriviaQA, PopQA, MAWPS), half are
lettered choice questions. Natural Questions are taken only where people have judged GPT-4's answer, so that
the small edge can be paired with a real cloud too. The whole is shuffled: any prefix is a fair sample.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

SEED = 20250216
N_PER_SOURCE = {"nq_open": 500, "triviaqa": 350, "popqa": 200, "mawps": 200, "choice": 1250}
DATASETS = {
    "nq_open": "nq",
    "triviaqa": "triviaqa",
    "popqa": "popqa",
    "mawps": "mawps",
}  # choice rows name their own


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def build(data: Path) -> list[dict[str, Any]]:
    judged = {row["question"] for row in read(data / "cascades" / "nq_human_judged.jsonl")}
    chance = random.Random(SEED)
    chosen: list[dict[str, Any]] = []
    for source, n in N_PER_SOURCE.items():
        rows = read(data / "questions" / f"{source}.jsonl")
        if source == "nq_open":
            rows = [row for row in rows if row["question"] in judged]
        chosen += [{"dataset": DATASETS.get(source), **row} for row in chance.sample(rows, n)]
    chance.shuffle(chosen)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the question file of the recorded pair.")
    parser.add_argument("data", type=Path, help="folder with questions/ and cascades/")
    parser.add_argument("out", type=Path, help="JSONL file to write")
    args = parser.parse_args()
    rows = build(args.data)
    with args.out.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
