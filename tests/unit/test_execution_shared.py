"""What the faces of all frameworks share around a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from confroute.decision import RouteDecision, Usage
from confroute.errors import ConfigurationError
from confroute.execution.failures import EmptyAnswerError
from confroute.execution.limits import longest_reply, prompt_size, sampling_fields
from confroute.execution.streams import aopened, nothing, opened
from confroute.execution.thread import is_pinned, sticky_decision
from confroute.execution.turn import checked_router
from confroute.prices import is_on_this_machine, with_price
from confroute.testing import ScriptedRouter

EDGE = RouteDecision(route="edge", method="forced", reason="said so").to_dict()
CLOUD = {**EDGE, "route": "cloud"}


@pytest.mark.parametrize(
    ("turns", "route"),
    [
        ([], None),
        ([("user", None), ("assistant", EDGE)], "edge"),  # its answer is to be put into another form
        ([("user", None), ("assistant", EDGE), ("tool", None), ("assistant", None)], "edge"),  # handed over
        (
            [("user", None), ("assistant", EDGE), ("tool", None), ("system", None)],
            None,
        ),  # asked for something else
        ([("user", None), ("assistant", EDGE), ("user", None)], None),
        ([("user", None)], None),
        ([("user", None), ("assistant", EDGE), ("tool", None)], "edge"),
        (
            [("user", None), ("assistant", EDGE), ("tool", None), ("assistant", CLOUD), ("tool", None)],
            "cloud",
        ),
        ([("user", None), ("assistant", CLOUD), ("user", None), ("assistant", None), ("tool", None)], None),
        ([("assistant", None), ("tool", None)], None),
    ],
)
def test_a_turn_goes_on_with_its_latest_decision(turns: Any, route: str | None) -> None:
    found = sticky_decision(turns)
    assert (found and found.route) == route


def test_one_private_answer_pins_a_thread() -> None:
    assert is_pinned([None, {**EDGE, "private": True}, EDGE])
    assert not is_pinned([None, EDGE])


def test_a_stream_is_opened_up_to_its_first_token() -> None:
    opening, rest = opened(["", "", "a", "b"], bool)
    assert (opening, list(rest)) == (["", "", "a"], ["b"])
    with pytest.raises(EmptyAnswerError):
        opened(["", ""], bool)


async def test_an_async_stream_is_opened_up_to_its_first_token() -> None:
    async def chunks(*said: str) -> AsyncIterator[str]:
        for chunk in said:
            yield chunk

    opening, rest = await aopened(chunks("", "a", "b"), bool)
    assert (opening, [chunk async for chunk in rest]) == (["", "a"], ["b"])
    with pytest.raises(EmptyAnswerError):
        await aopened(chunks(""), bool)
    assert [chunk async for chunk in nothing()] == []


def test_the_most_tokens_are_one_a_byte() -> None:
    assert prompt_size(["é"]).most == 2 + 8
    assert prompt_size(["a", "b"], images=1, extras=[{"a": 1}]).most == 2 + 16 + 2_000 + 8


def test_about_how_many_tokens_depends_on_the_script() -> None:
    assert prompt_size(["a" * 400]).about == 100
    assert prompt_size(["中" * 400]).about == 400
    assert prompt_size(["a" * 400], extras=[{"tool": "b" * 4_000}]).about == pytest.approx(1_100, abs=10)


def test_the_longest_reply_is_found_under_any_name() -> None:
    assert longest_reply(SimpleNamespace(max_tokens=None, max_new_tokens=7)) == 7
    assert longest_reply(SimpleNamespace(max_tokens=-1)) is None


def test_only_fields_that_a_model_has_are_set() -> None:
    settings: dict[str, Any] = {"temperature": 1.0, "max_tokens": 9, "logprobs": True, "top_k": 3}
    assert sampling_fields(["temperature", "num_predict"], **settings) == {
        "temperature": 1.0,
        "num_predict": 9,
    }
    assert sampling_fields(["logprobs", "top_p"], **settings) == {"logprobs": True}
    assert sampling_fields(["max_tokens"], temperature=1.0) == {}


def test_what_runs_on_this_machine() -> None:
    assert is_on_this_machine(["http://localhost:11434", "127.0.0.1:8000"])
    assert not is_on_this_machine(["http://localhost", "https://example.org/v1"])
    assert not is_on_this_machine([])
    assert with_price(Usage(input_tokens=1, output_tokens=1), "gpt-4o", "openai", local=True).usd == 0.0


def test_a_router_that_is_none_is_refused() -> None:
    router = ScriptedRouter("edge")
    assert checked_router(router) is router
    with pytest.raises(ConfigurationError, match="router is a str: expected an object with decide"):
        checked_router("entropy")
    with pytest.raises(ConfigurationError, match="router is the class ScriptedRouter: expected an object"):
        checked_router(ScriptedRouter)
