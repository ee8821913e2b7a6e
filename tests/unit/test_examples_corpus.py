"""The corpus of the examples is whole, and its gold answers stand where they are said to."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from confroute.labelling.correct import is_right
from examples.options import CORPUS

QUESTIONS = CORPUS.parent / "questions.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in QUESTIONS.open(encoding="utf-8")]
COUNTS = {"stated": 52, "joined": 20, "general": 18, "unknown": 10}


def text_of(name: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", (CORPUS / name).read_text(encoding="utf-8")).split()).lower()


def test_counts_are_those_of_the_readme() -> None:
    assert Counter(row["kind"] for row in ROWS) == COUNTS
    told = (CORPUS.parent / "README.md").read_text(encoding="utf-8")
    for kind, n in COUNTS.items():
        assert f"| {kind} | {n} |" in told
    assert f"{len(list(CORPUS.iterdir()))} short documents" in told


def test_ids_and_questions_are_unique() -> None:
    assert len({row["id"] for row in ROWS}) == len({row["question"] for row in ROWS}) == len(ROWS)


def test_sources_exist_and_most_documents_are_asked_about() -> None:
    asked = {source for row in ROWS for source in row["sources"]}
    assert asked <= {path.name for path in CORPUS.iterdir()}
    unasked = {path.name for path in CORPUS.iterdir()} - asked
    assert unasked == {"recall.md", "suppliers.md"}  # there to be mistaken for others


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "stated"], ids=lambda row: row["id"])
def test_a_stated_answer_stands_in_its_source(row: dict[str, Any]) -> None:
    (source,) = row["sources"]
    if source.endswith(".pdf"):
        pypdf = pytest.importorskip("pypdf", reason="needs the dependency group 'examples'")
        pages = pypdf.PdfReader(CORPUS / source).pages
        text = " ".join(" ".join(page.extract_text() for page in pages).split()).lower()
    else:
        text = text_of(source)
    assert any(answer.lower() in text for answer in row["answers"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_rule_knows_right_from_wrong(row: dict[str, Any]) -> None:
    for answer in row["answers"]:
        assert is_right(f"It is {answer}.", row["answers"])
    assert not is_right("It is the mayor, on the ninety-ninth of Neverember.", row["answers"])
