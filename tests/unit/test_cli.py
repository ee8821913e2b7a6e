import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confroute.cli import main
from confroute.decision import Sample
from confroute.models import load_model
from confroute.testing import ScriptedSampler


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> ScriptedSampler:
    model = ScriptedSampler(["Paris", "paris", "Rome"])
    monkeypatch.setattr("confroute.models.load_model", lambda spec: model)
    return model


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_help_lists_the_commands() -> None:
    told = run("--help").output
    assert "Which of two language models should answer this question?" in told
    for command in ("demo", "route"):
        assert f"\n  {command}" in told


def test_route_prints_the_decision(edge: ScriptedSampler) -> None:
    done = run("route", "Capital of France?")
    assert done.exit_code == 0
    first, *groups = done.output.splitlines()
    assert first == (
        "edge: 2 of 3 more answers agree, and 1 more would not change the verdict: uncertainty at most 0.49 "
        "< 0.50, the edge is sure"
    )
    assert groups == ["  3 × Paris | paris", "  1 × Rome"]


def test_route_as_json(edge: ScriptedSampler) -> None:
    done = run("route", "Capital of France?", "--samples", "3", "--threshold", "0", "--json")
    row = json.loads(done.output)
    assert (row["route"], row["method"]) == ("cloud", "confidence")
    assert row["evidence"]["answer"] == "Paris"
    assert len(row["evidence"]["others"]) == len(row["evidence"]["agreement"]) == row["n_samples"] - 1


def test_route_is_settled_by_a_likely_answer(edge: ScriptedSampler) -> None:
    edge.script = [Sample("Paris", logprob=-0.02, n_tokens=1)]
    done = run("route", "Capital of France?")
    assert done.output.startswith("edge: probability 0.98: uncertainty at most 0.02")
    assert len(edge.draws) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["route", "  "], "the question is empty"),
        (["route", "q", "--samples", "-1"], "n_samples is -1: expected 0 for the probability alone"),
        (["route", "q", "--probe", "long"], "'long' is not one of"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_bad_input_is_one_clear_line(edge: ScriptedSampler, arguments: list[str], told: str) -> None:
    done = run(*arguments)
    assert done.exit_code != 0
    assert told in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("smollm", "unknown model 'smollm': expected 'provider:model'"),
        ("nobody:x", "cannot load the model 'nobody:x'"),
        ("http://127.0.0.1:9/v1", "the server at 127.0.0.1:9 does not answer"),
        ("openai:gpt-5", "cannot load the model 'openai:gpt-5'"),
    ],
)
def test_models_that_cannot_be_had(spec: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = run("route", "q", "--edge", spec)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {told}")
    assert len(done.output.strip().splitlines()) == 1
    assert "Traceback" not in done.output


def test_an_edge_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    down = ScriptedSampler(["x"], error=ConnectionError("refused"))
    monkeypatch.setattr("confroute.models.load_model", lambda spec: down)
    done = run("route", "q", "--edge", "ollama:x")
    assert "the edge model 'ollama:x' did not answer: ConnectionError: refused" in done.output


def test_missing_extra_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = run("demo")
    assert done.exit_code == 1
    assert 'pip install "confroute[demo]"' in done.output


def test_no_provider_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confroute.models.entry_points", lambda group: [])
    with pytest.raises(ValueError, match=r"no package has registered the provider 'ollama'"):
        load_model("ollama:x")


def test_a_registered_provider_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "mine"

        def load(self) -> Any:
            return lambda spec: ScriptedSampler([spec])

    monkeypatch.setattr("confroute.models.entry_points", lambda group: [Point()])
    assert load_model(" mine:x ").name == "scripted"


def test_a_provider_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "langchain"

        def load(self) -> Any:
            raise ModuleNotFoundError("No module named 'langchain_core'", name="langchain_core")

    monkeypatch.setattr("confroute.models.entry_points", lambda group: [Point()])
    done = run("route", "q", "--edge", "ollama:x")
    assert done.exit_code == 1
    assert "needs the package 'langchain_core'" in done.output
    assert 'pip install "confroute[models]"' in done.output
