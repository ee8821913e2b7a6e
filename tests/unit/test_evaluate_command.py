"""``confroute evaluate`` on a table, a benchmark, live models and a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from confroute.commands.evaluate import evaluate as command
from confroute.decision import Message, RouteDecision, RouteRequest, RouterInfo, Sample, Usage
from confroute.evaluation.benchmarks import CLOUD, EDGE
from confroute.heads import KNNHead
from confroute.routers.self_check import CHECK_QUESTION
from confroute.routers.trained import TrainedRouter
from confroute.testing import ScriptedSampler

for _module in ("matplotlib", "jinja2", "sklearn"):
    pytest.importorskip(_module)

DOUBT = -2.0


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def table(path: Path, n: int = 80, **columns: Any) -> Path:
    rng = np.random.default_rng(0)
    rows = [
        {
            "question": f"question number {i}",
            "edge_quality": int(rng.random() < 0.4),
            "cloud_quality": int(rng.random() < 0.8),
            "score": round(float(rng.random()), 3),
            **{name: column[i] for name, column in columns.items()},
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_table_of_scores_from_any_router(tmp_path: Path) -> None:
    rival = list(np.linspace(0, 1, 80))
    path = table(tmp_path / "t.jsonl", edge_cost=[0.001] * 80, cloud_cost=[0.01] * 80, score_rival=rival)
    done = run("--table", path, "--out", tmp_path / "out", "--resamples", 100, "--threshold", 0.4)
    assert done.exit_code == 0, done.output
    assert "t.jsonl, n = 80" in done.output
    assert "rival: apgr" in done.output
    assert (tmp_path / "out/report.html").exists()
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["at_threshold"]["threshold"] == 0.4


def test_drafts_are_paid_for_on_every_question(tmp_path: Path) -> None:
    dear, cheap = [0.01] * 80, [0.001] * 80
    path = table(tmp_path / "t.jsonl", edge_cost=cheap, cloud_cost=dear, decision_cost=[0.002] * 80)
    arguments = ["--table", path, "--out", tmp_path / "out", "--resamples", 100, "--threshold", 0]
    plain = json.loads(run(*arguments, "--json").stdout)
    drafted = json.loads(run(*arguments, "--drafts", "--json").stdout)
    assert plain["at_threshold"]["cost"]["estimate"] == pytest.approx(0.012)
    assert drafted["at_threshold"]["cost"]["estimate"] == pytest.approx(0.013)


class LetterEncoder:
    """Counts letters; stands in for the sentence encoder."""

    name = "letters"

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = [[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts]
        return np.array(counts, dtype=np.float32)


def test_a_saved_router_on_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confroute.routers.trained.SentenceEncoder", LetterEncoder)
    router = TrainedRouter(head=KNNHead(n_neighbors=1), encoder=LetterEncoder(), threshold=0.5)
    router.fit(["aaa", "zzz"], ["edge", "cloud"]).save(tmp_path / "router")
    folder = tmp_path / "gsm8k"
    folder.mkdir()
    (folder / "contaminated_prompts.jsonl").write_text('{"eval_prompt": "none"}\n')
    rows = [f"aa{'a' * i},True,True" for i in range(20)] + [f"zz{'z' * i},False,True" for i in range(20)]
    (folder / "gsm8k_responses.csv").write_text("\n".join([f"prompt,{EDGE},{CLOUD}", *rows]))
    done = run(
        "--router", tmp_path / "router", "--benchmark", "gsm8k", "--data", tmp_path,
        "--out", tmp_path / "out", "--resamples", 100,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["router"] == "knn, trained"
    assert found["at_threshold"]["kept"]["estimate"] == 1  # every z goes to the cloud, no a does
    assert found["at_threshold"]["share"]["estimate"] == 0.5


class Checked(ScriptedSampler):
    """An edge that stands by its answer to even numbers, where it is asked whether that is right."""

    def sample(
        self, request: RouteRequest, n: int, *, append: Sequence[Message] = (), **settings: Any
    ) -> list[Sample]:
        samples = super().sample(request, n, append=append, **settings)
        if append and append[-1].text == CHECK_QUESTION:
            return [
                replace(one, text="no" if one.logprob == DOUBT else "yes", logprob=-0.1) for one in samples
            ]
        return samples


def live_models(monkeypatch: pytest.MonkeyPatch) -> dict[str, ScriptedSampler]:
    """An edge that knows even numbers and doubts odd ones, a cloud that knows both, a judge."""

    def number(request: RouteRequest) -> int:
        return int(request.messages[-1].text.split()[1].rstrip("?"))

    def edge(request: RouteRequest, i: int) -> Sample:
        n = number(request)
        text = str(n) if n % 2 == 0 else f"{n + 1 + i}"
        return Sample(
            text, logprob=-0.1 if n % 2 == 0 else DOUBT, n_tokens=1, usage=usage(1e-6), model="small"
        )

    def cloud(request: RouteRequest, i: int) -> Sample:
        return Sample(str(number(request)), usage=usage(1e-4), model="big")

    def grade(request: RouteRequest, i: int) -> str:
        return "Rating: [[5]]"

    models = {
        "x:edge": Checked(edge, name="small"),
        "x:cloud": ScriptedSampler(cloud, name="big"),
        "x:judge": ScriptedSampler(grade, name="judge"),
    }
    monkeypatch.setattr("confroute.evaluation.asking.load_model", models.__getitem__)
    return models


def usage(usd: float) -> Usage:
    return Usage(input_tokens=10, output_tokens=1, usd=usd)


def questions(path: Path, n: int = 40, *, gold: bool = True) -> Path:
    rows = [{"question": f"number {i}?"} | ({"answers": [str(i)]} if gold else {}) for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("router", ["self-check", "entropy", "confidence"])
def test_two_live_models_and_nothing_is_asked_twice(
    router: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = live_models(monkeypatch)
    arguments = [
        "--questions", questions(tmp_path / "q.jsonl"), "--edge", "x:edge", "--cloud", "x:cloud",
        "--router", router, "--cache", tmp_path / "c.sqlite", "--out", tmp_path / "out", "--resamples", 100,
    ]  # fmt: skip
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["data"]["edge_quality"]["estimate"] == 0.5
    assert found["data"]["cloud_quality"]["estimate"] == 1
    assert found["at_threshold"]["kept"]["estimate"] == 1
    assert found["at_threshold"]["share"]["estimate"] == 0.5
    # An answer and its check of each question; or five brief answers, and the edge's reply to every second.
    spent = (2 if router == "self-check" else 5.5) * 1e-6 + 0.5 * 1e-4
    assert found["at_threshold"]["cost"]["estimate"] == pytest.approx(spent)
    assert found["at_threshold"]["seconds"]["estimate"] > 0
    assert "the edge's own confidence" in [one["name"] for one in found["routers"]]
    asked = [len(model.draws) for model in models.values()]
    assert run(*arguments).exit_code == 0
    assert [len(model.draws) for model in models.values()] == asked


def test_without_gold_answers_a_judge_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live_models(monkeypatch)
    path = questions(tmp_path / "q.jsonl", gold=False)
    arguments = ["--questions", path, "--edge", "x:edge", "--cloud", "x:cloud", "--router", "self-check"]
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.exit_code != 0
    told = done.output + str(done.exception)
    assert "40 of 40 questions have no 'answers'" in told
    judged = run(*arguments, "--judge", "x:judge", "--out", tmp_path / "out", "--resamples", 100)
    assert judged.exit_code == 0, judged.output
    assert "judge: 60 grades, 0 unread" in judged.output  # equal answers are graded once
    assert "nothing to route" in judged.output  # a judge that gives everything a five


def log(path: Path, scores: Any) -> Path:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    with path.open("w") as file:
        for i, score in enumerate(scores):
            row = RouteDecision(
                route="cloud" if score >= 0.5 else "edge",
                score=score,
                threshold=0.5,
                method="trained",
                reason="r",
                router=RouterInfo(name="trained-knn", version="1"),
            ).to_dict()
            file.write(json.dumps({"time": (start + timedelta(minutes=i)).isoformat(), **row}) + "\n")
    return path


def test_watching_tells_drift_by_its_exit_code(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reference = table(tmp_path / "t.jsonl", 300)
    calm = run("--watch", log(tmp_path / "calm.jsonl", rng.random(300)), "--reference", reference)
    assert calm.exit_code == 0, calm.output
    assert "no drift found" in calm.output
    moved = run("--watch", log(tmp_path / "moved.jsonl", rng.random(300) ** 0.3), "--reference", reference)
    assert moved.exit_code == 4, moved.output
    assert "set the threshold to" in moved.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--resamples", "100"], "give one of --table, --benchmark, --questions or --watch"),
        (["--benchmark", "mmlu", "--router", "entropy"], "must ask a live edge model"),
        (["--questions", "Q", "--edge", "x:edge"], "--edge and --cloud"),
        (["--watch", "Q"], "give --reference"),
        (["--table", "T", "--limit", "3"], "a part of a benchmark misleads"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], told: str, tmp_path: Path) -> None:
    files = {"Q": questions(tmp_path / "q.jsonl"), "T": table(tmp_path / "t.jsonl")}
    data = tmp_path / "gsm8k"
    data.mkdir()
    if "--benchmark" in arguments:
        (tmp_path / "responses").mkdir()
        (tmp_path / "contaminated_prompts.jsonl").write_text('{"eval_prompt": "none"}\n')
        (tmp_path / "responses/mmlu_x.csv").write_text(f"prompt,{EDGE},{CLOUD}\nq,True,True\n")
        arguments = [*arguments, "--data", str(tmp_path)]
    done = run(*[files.get(word, word) for word in arguments])
    assert done.exit_code != 0
    assert told in done.output
