"""A real GGUF model; give its file, or several, in CONFROUTE_GGUF, separated by the path separator."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from confroute.cli import main
from confroute.decision import Message, RouteRequest, Sample
from confroute.errors import ConfigurationError
from confroute.labelling.gguf import GGUFModel

pytest.importorskip("llama_cpp", reason="needs llama-cpp-python")

FILES = [Path(path) for path in os.environ.get("CONFROUTE_GGUF", "").split(os.pathsep) if path]
QUESTIONS = [
    "Who wrote Pride and Prejudice?",
    "How many legs do three spiders have?",
    "What causes fog?\nA. heat\nB. humidity\nC. wind",
]

pytestmark = [pytest.mark.real, pytest.mark.skipif(not FILES, reason="CONFROUTE_GGUF names no model file")]


def ask(model: GGUFModel, question: str, seed: int, temperature: float = 1.0) -> Sample:
    system = Message("system", "Answer the question with the answer alone, as short as possible.")
    request = RouteRequest(messages=(system, Message("user", question)))
    (sample,) = model.sample(
        request, 1, temperature=temperature, max_tokens=24, top_p=0.9, top_k=50, seed=seed
    )
    return sample


def test_a_seed_gives_one_answer_whatever_was_asked_before() -> None:
    first = GGUFModel(FILES[0], threads=1, one_line=True)
    answers = {(q, seed): ask(first, q, seed) for q in QUESTIONS for seed in range(4)}
    assert len({sample.text for sample in answers.values()}) > len(QUESTIONS)
    second = GGUFModel(FILES[0], threads=1, one_line=True)
    for (question, seed), sample in reversed(answers.items()):
        assert ask(second, question, seed) == sample


def test_answers_carry_log_probs_tokens_and_one_line() -> None:
    model = GGUFModel(FILES[0], threads=1, one_line=True)
    greedy = ask(model, QUESTIONS[0], 0, temperature=0.0)
    assert ask(model, QUESTIONS[0], 99, temperature=0.0) == greedy
    sampled = [ask(model, QUESTIONS[0], seed) for seed in range(5)]
    for sample in (greedy, *sampled):
        assert sample.logprob is not None
        assert sample.logprob < 0
        assert sample.usage is not None
        assert sample.usage.output_tokens == sample.n_tokens
        assert sample.usage.usd is None
        assert "\n" not in sample.text
        assert "<|" not in sample.text
    assert greedy.mean_logprob is not None
    assert greedy.mean_logprob >= min(s.mean_logprob or 0.0 for s in sampled)


def test_a_prompt_that_does_not_fit_is_refused_and_the_next_is_answered() -> None:
    model = GGUFModel(FILES[0], threads=1, context=128)
    with pytest.raises(ConfigurationError, match="context=") as told:
        ask(model, "word " * 200, 1)
    assert "exceed" in str(told.value)
    assert not ask(model, QUESTIONS[0], 1).is_empty


@pytest.mark.skipif(len(FILES) < 2, reason="CONFROUTE_GGUF names one model file, not two")
def test_the_command_labels_with_two_models(tmp_path: Path) -> None:
    questions, store = tmp_path / "questions.jsonl", tmp_path / "run.sqlite"
    questions.write_text("\n".join(json.dumps({"question": question}) for question in QUESTIONS))
    models = [f"gguf:{path}#threads=1&stop=line" for path in FILES[:2]]
    command = ["label", str(questions), "--edge", models[0], "--cloud", models[1], "--store", str(store)]
    done = CliRunner().invoke(main, [*command, "-n", "3"])
    assert done.exit_code == 0, done.output
    assert "24 answers received" in done.output
    again = CliRunner().invoke(main, [*command, "-n", "3"])
    assert "0 answers received" in again.output
    db = sqlite3.connect(store)
    assert db.execute("SELECT count(*), count(logprob) FROM sample").fetchone() == (24, 24)
    assert db.execute("SELECT count(*) FROM label").fetchone() == (3,)
    db.close()
