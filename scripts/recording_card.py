#!/usr/bin/env python3
"""Write the model card of the recorded pair, and of its larger model as an edge beside GPT-4.

Usage: recording_card.py RECORDING.parquet JUDGED.jsonl CARD.md

JUDGED is EVOUNA's Natural Questions file with people's verdicts on GPT-4's answers (``question``,
``judge_gpt4``). No model is asked.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from confroute.evaluation import auroc
from confroute.labelling import Store, relabel
from confroute.labelling.card import Finding, card, findings, share, table
from confroute.labelling.export import import_run
from confroute.uncertainty import ExactEquivalence


def beside_gpt4(found: list[Finding], judged: Path, edge: str) -> list[str]:
    """Return the section on the recording's cloud model as an edge, with GPT-4 as its cloud."""
    with judged.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    verdicts = {row["question"]: bool(row["judge_gpt4"]) for row in rows if not row["improper"]}
    pairs = [
        (finding.sides["cloud"], verdicts[finding.question])
        for finding in found
        if finding.source == "nq" and finding.question in verdicts
    ]
    n = len(pairs)
    wrong = [side.right is False for side, _ in pairs]
    doubts = {
        "semantic entropy": [side.entropy.entropy for side, _ in pairs],
        "exact-string entropy": [side.exact.entropy for side, _ in pairs],
        "greedy log-prob": [side.doubt or 0.0 for side, _ in pairs],
    }
    return [
        f"## {edge} as an edge to GPT-4 on Natural Questions",
        "",
        f"n = {n}. GPT-4's answers were judged by people (EVOUNA, Apache-2.0), the edge's by the rule above.",
        "",
        *table(
            ("", "share"),
            [
                ("edge right", share(n - sum(wrong), n)),
                ("GPT-4 right", share(sum(cloud for _, cloud in pairs), n)),
                (
                    "GPT-4 right where the edge is wrong",
                    share(
                        sum(cloud for (_, cloud), bad in zip(pairs, wrong, strict=True) if bad), sum(wrong)
                    ),
                ),
            ],
        ),
        "",
        *table(
            ("signal", "AUROC, edge's own errors", "AUROC, edge wrong and GPT-4 right"),
            [
                (
                    name,
                    str(auroc(scores, wrong)),
                    str(auroc(scores, [bad and c for (_, c), bad in zip(pairs, wrong, strict=True)])),
                )
                for name, scores in doubts.items()
            ],
        ),
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the model card of the recorded pair.")
    parser.add_argument("recording", type=Path, help="an export of 'confroute label'")
    parser.add_argument("judged", type=Path, help="nq_human_judged.jsonl")
    parser.add_argument("card", type=Path, help="Markdown file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sqlite"
        with Store(path) as store:
            import_run(store, args.recording)
        # The equivalence that ships has seen people's verdicts on these NQ questions, so it is not used.
        relabel(path, equivalence=ExactEquivalence())
        with Store(path, read_only=True) as store:
            lines = beside_gpt4(findings(store), args.judged, store.settings()["cloud"])
            args.card.write_text(card(store) + "\n" + "\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
