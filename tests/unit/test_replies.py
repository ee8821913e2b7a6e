"""Reading what providers say about their replies."""

from __future__ import annotations

from typing import Any

import pytest

from confroute.decision import ToolCall
from confroute.replies import answer_logprob, is_cut_thought, tool_call

UNKNOWN = (None, None)


def told(*tokens: str | None, logprob: Any = -1.0) -> list[dict[str, Any]]:
    return [{"token": token, "logprob": logprob} for token in tokens]


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        (told("Pa", "ris"), "Paris", (-2.0, 2)),
        ({"content": told("Pa", "ris")}, "Paris", (-2.0, 2)),
        ({"tokens": ["Pa", "ris"], "token_logprobs": [-1, -2.0]}, "Paris", (-3.0, 2)),
        (told("Pa", "ris", "<|im_end|>"), "Paris", (-3.0, 3)),
        (told("<think>", "hm", "</think>", "\n\n", "Pa", "ris"), "<think>hm</think>\n\nParis", (-2.0, 2)),
        (told("<think>", "hm", "</think>", "Pa", "ris"), "<think>hm</think>Paris", (-2.0, 2)),
        (told("\n", "<think>", "é", "</think>", "Paris"), "<think>é</think>Paris", (-1.0, 1)),
        (
            told("<think>", "hm", "</think>", "Pa", "ris"),
            "Paris",
            (-2.0, 2),
        ),  # a thought told beside the text
        (told("hm", "</think>", "\n", "Paris", "<|im_end|>"), "Paris", (-2.0, 2)),
        (told("So", "Paris", "?", "\n", "Paris", "<|im_end|>"), "Paris", (-2.0, 2)),  # one without tags
        (told("let", " me", "Paris"), "Paris", (-1.0, 1)),
        (told("let", " me", "Par"), "Paris", (-3.0, 3)),  # another text than the tokens spell
        (told('{"a":', " 1}"), '{"a": 1}', (-2.0, 2)),
        (told('{"a":', " 1}", "<|im_end|>"), '{"a":1}', (-3.0, 3)),  # a client has read and written it
        (
            told("```", "json", '{"a":'),
            '{"a": 1}',
            UNKNOWN,
        ),  # what was meant before a grammar forced the text
        (told("<think>", "hm"), "<think>hm", UNKNOWN),
        (told("Paris", logprob=None), "Paris", UNKNOWN),
        (told("Paris", logprob=float("nan")), "Paris", UNKNOWN),
        ([{"token": "a"}], "a", UNKNOWN),
        (told(None, None), "Paris", (-2.0, 2)),
        (told(None, None), "<think>hm</think>Paris", UNKNOWN),
        (
            told("<think>", "oh", "no", "</think>", "Paris", "it", "is"),
            "<think>oh no</think>Paris it is",
            UNKNOWN,
        ),
        (None, "Paris", UNKNOWN),
        ({"content": None}, "", UNKNOWN),
        ([], "Paris", UNKNOWN),
        ("nonsense", "Paris", UNKNOWN),
    ],
)
def test_log_probabilities_cover_the_answer(tokens: Any, text: str, expected: Any) -> None:
    assert answer_logprob(tokens, text) == expected


def test_tokens_of_single_bytes_spell_the_text() -> None:
    smile = "<think>🙂</think>🙂".encode()
    tokens = [{"token": "�", "bytes": [byte], "logprob": -0.5} for byte in smile]
    assert answer_logprob(tokens, smile.decode()) == (-2.0, 4)


def test_calls_that_are_no_json_are_kept_as_written() -> None:
    assert tool_call("add", '{"a": 1}') == ToolCall("add", {"a": 1})
    assert tool_call("add", {"a": 1}) == ToolCall("add", {"a": 1})
    assert tool_call("now", "") == tool_call("now", None) == ToolCall("now")
    assert tool_call("add", '{"a": 1').unread == '{"a": 1'
    assert tool_call("add", "[1]").unread == "[1]"


@pytest.mark.parametrize(
    ("text", "thought", "ended", "expected"),
    [
        ("<think>hm", False, "stop", True),
        ("<think>hm</think>", False, "length", True),
        ("<think>hm</think>yes", False, "length", False),
        ("yes", True, "length", False),
        ("", True, "stop", True),
        ("", False, "length", True),
        ("", False, "MAX_TOKENS", True),
        ("", False, "stop", False),
    ],
)
def test_an_answer_that_was_cut_in_its_thought(text: str, thought: bool, ended: str, expected: bool) -> None:
    assert is_cut_thought(text, thought=thought, ended=ended) is expected
