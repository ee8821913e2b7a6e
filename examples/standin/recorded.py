"""The recording, as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from confroute.errors import ModelError
from confroute.prices import register_price, token_prices

FILE = Path(__file__).parent / "answers.json"
PRICED_AS = "gpt-5-mini"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One reply, and the tokens that it took.

    Attributes:
        answer: Its text.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the reply.
        search: What it looked for, where the reply is a call of the tool ``search_documents``.
    """

    answer: str
    input_tokens: int
    output_tokens: int
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """What a model was recorded to say.

    Attributes:
        recorded_with: The model's name.
        answers: By question, with the passages that the LangChain example finds.
        agent: By question, the steps of an agent with a tool.
    """

    recorded_with: str
    answers: dict[str, Recorded]
    agent: dict[str, list[Recorded]]


@lru_cache(maxsize=1)
def recording() -> Recording:
    """Read the recording."""
    loaded = json.loads(FILE.read_text(encoding="utf-8"))
    return Recording(
        loaded["recorded_with"],
        {question: Recorded(**row) for question, row in loaded["answers"].items()},
        {question: [Recorded(**row) for row in rows] for question, rows in loaded["agent"].items()},
    )


def name() -> str:
    """Return the name of the stand-in, and see to it that its calls have a price."""
    told = f"{recording().recorded_with} (recorded)"
    listed = token_prices(PRICED_AS, "openai")
    if listed is not None:
        register_price(told, usd_per_million_input=listed[0] * 1e6, usd_per_million_output=listed[1] * 1e6)
    return told


def note() -> str:
    """Return what a user must know of the stand-in."""
    return (
        f"No cloud is asked: answers recorded from {recording().recorded_with}, a larger open model, stand "
        "in for one, to the questions that ship with the example. Money is at the list price of "
        f"{PRICED_AS}, to show the idea. Name a real cloud with --cloud, for instance --cloud openai:gpt-5."
    )


def recall(prompt: str) -> Recorded:
    """Return the answer to the question that a prompt is or holds.

    Raises:
        ModelError: If none is recorded.
    """
    held = [question for question in recording().answers if question in prompt]
    if not held:
        raise _unknown()
    return recording().answers[max(held, key=len)]


def recall_step(question: str, step: int) -> Recorded:
    """Return an agent's reply in its tool loop on a question, counted from 0.

    Raises:
        ModelError: If none is recorded.
    """
    steps = recording().agent.get(question, [])
    if step >= len(steps):
        raise _unknown()
    return steps[step]


def _unknown() -> ModelError:
    return ModelError("no answer to this question is recorded: name a real cloud with --cloud")
