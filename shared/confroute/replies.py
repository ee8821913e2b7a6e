"""Reading what providers say about their replies, in the layouts that they share across frameworks."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confroute.answers import answer_begins, without_thought
from confroute.decision import ToolCall

_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "incomplete"})
"""How providers say that a reply reached its longest length."""


class LogProb(NamedTuple):
    """The log-probability of an answer.

    Attributes:
        total: Sum over its tokens, in nats; None where unknown.
        n_tokens: Number of tokens that are summed over; None where unknown.
    """

    total: float | None
    n_tokens: int | None


_UNKNOWN = LogProb(None, None)


def answer_logprob(told: Any, text: str) -> LogProb:
    """Sum the log-probabilities of an answer's tokens.

    Args:
        told: Tokens in OpenAI's layout for chats (``{"content": [...]}``) or completions (``{"tokens": [...],
            "token_logprobs": [...]}``), or in Ollama's (a list).
        text: The reply. The tokens of its thought are left out, be it in the text or told beside it, and so
            are those of white space before its answer.

    Returns:
        The sum and the number of tokens. Both are unknown where the layout is another, a token's
        log-probability is none, or the reply is a thought without an end. So they are where the tokens do not
        spell the reply and it holds a thought, so that nobody can say where its answer begins, or is JSON,
        which a server may have forced on the model after telling what it would have said.
    """
    tokens = _tokens(told)
    values = [token.get("logprob") for token in tokens]
    begin = answer_begins(text)
    if not values or begin is None or not all(_is_finite(value) for value in values):
        return _UNKNOWN
    spelled, answer = _spelled(tokens), text[begin:].strip()
    first = _first_token(spelled, answer)
    if first is None and (begin > 0 or (spelled and _is_other_json(_joined(spelled), answer))):
        return _UNKNOWN
    logprobs = [float(value) for value in values[first or 0 :] if value is not None]
    return LogProb(sum(logprobs), len(logprobs)) if logprobs else _UNKNOWN


def _tokens(told: Any) -> list[Mapping[str, Any]]:
    if isinstance(told, Mapping):
        if isinstance(told.get("token_logprobs"), Sequence) and isinstance(told.get("tokens"), Sequence):
            pairs = zip(told["tokens"], told["token_logprobs"], strict=False)
            return [{"token": token, "logprob": logprob} for token, logprob in pairs]
        told = told.get("content")
    is_list = isinstance(told, list) and all(isinstance(token, Mapping) for token in told)
    return told if is_list else []


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _spelled(tokens: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Return what each token spells; nothing where one does not tell."""
    spelled = []
    for token in tokens:
        if isinstance(token.get("bytes"), list):
            spelled.append(bytes(token["bytes"]))
        elif isinstance(token.get("token"), str):
            spelled.append(token["token"].encode())
        else:
            return []
    return spelled


def _first_token(spelled: Sequence[bytes], answer: str) -> int | None:
    """Return the first token of the answer, white space before it apart; None where they do not spell it.

    A thought before it has tags, or is told beside the text and the answer is the end of what they spell.
    """
    whole = _joined(spelled)
    begin = answer_begins(whole)
    if begin is None or not whole[begin:].lstrip().startswith(answer):
        ends = [text for text in (whole.rstrip(), _joined(spelled[:-1]).rstrip()) if text.endswith(answer)]
        if not ends or not answer:
            return None
        begin = len(ends[0]) - len(answer)
    begin += len(whole[begin:]) - len(whole[begin:].lstrip())
    target = len(whole[:begin].encode(errors="surrogateescape"))
    reached = itertools.accumulate(map(len, spelled))
    return next((i for i, end in enumerate(reached) if end > target), len(spelled))


def _is_other_json(whole: str, answer: str) -> bool:
    """Whether an answer is JSON and its tokens do not begin with the same value, be it written otherwise."""
    if not answer.startswith(("{", "[")):
        return False
    try:
        return bool(json.JSONDecoder().raw_decode(whole.lstrip())[0] != json.loads(answer))
    except (ValueError, RecursionError):
        return True


def _joined(spelled: Sequence[bytes]) -> str:
    return b"".join(spelled).decode(errors="surrogateescape")


def is_cut_off(ended: str) -> bool:
    """Whether a reply reached its longest length, by why it ended as the provider says."""
    return ended.lower() in _CUT


def is_cut_thought(text: str, *, thought: bool, ended: str) -> bool:
    """Whether a reply was cut before its answer began, so that a longer one might have it.

    Args:
        text: The reply; one that calls a tool has its answer and is none of these.
        thought: Whether a thought was told beside the text.
        ended: Why it ended, as the provider says.
    """
    if without_thought(text).strip():
        return False
    return bool(text.strip()) or thought or is_cut_off(ended)


def tool_call(name: str, arguments: Any) -> ToolCall:
    """Read a tool call, whose arguments are an object or JSON; what is neither is kept as it is written."""
    if isinstance(arguments, Mapping):
        return ToolCall(name, arguments)
    if arguments is None or arguments == "":
        return ToolCall(name)
    try:
        read = json.loads(arguments)
    except (TypeError, ValueError):
        read = None
    return ToolCall(name, read) if isinstance(read, dict) else ToolCall(name, unread=str(arguments))
