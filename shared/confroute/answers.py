"""What of a reply is its answer: its thought is not, and of a worked answer the conclusion is.

Everything that reads replies asks here: clustering, agreement, refusals, grading, judges, self-check.
"""

from __future__ import annotations

import re

from confroute.conclusions import concluded, named_conclusion, works_towards_number

_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|seed:think|analysis)"
_ORDINARY = re.compile(r"<(?:reasoning|reflection|analysis)>", re.IGNORECASE)  # tags that answers have too
_FRAMED = (
    r"<\|(?:begin_of_thought|START_THINKING)\|>"
    r"|<\|channel\|>(?:analysis|commentary)[^<\n]{0,40}<\|message\|>"
)
_TAGS = rf"<{_NAMES}>|\[THINK\]|◁think▷"
_OPENS = re.compile(rf"{_TAGS}|{_FRAMED}", re.IGNORECASE)
_OPENS_LINE = re.compile(rf"(?:(?<=\n)|(?<=\n[ \t])|(?<=\n  ))(?:{_TAGS})|{_FRAMED}", re.IGNORECASE)
_ENDS = (
    rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>"
    r"|<\|channel\|>final<\|message\|>"
)
_CLOSES = re.compile(_ENDS, re.IGNORECASE)
_TAG = re.compile(rf"(?P<opens>{_TAGS}|{_FRAMED})|{_ENDS}", re.IGNORECASE)
_FRAME = re.compile(  # what some models write around their answer, once their thought has ended
    r"<\|(?:begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE|return|end)\|>|</?answer>",
    re.IGNORECASE,
)


def answer_begins(text: str) -> int | None:
    """Return where the answer of a reply begins.

    Args:
        text: A reply, with or without a thought in tags (``<think>…</think>`` and its relatives).

    Returns:
        An index of the text; None where the reply is a thought without an end, so that there is no answer.
    """
    span = _span(text)
    return None if span is None else span[0]


def without_thought(text: str) -> str:
    """Return a reply without its thought; empty where the thought has no end."""
    span = _span(text)
    if span is None:
        return ""
    if span == (0, len(text)):
        return text
    return _FRAME.sub("", text[slice(*span)]).strip()


def answer_of(text: str, question: str = "") -> str:
    """Return what of a reply is its answer.

    Args:
        text: A reply.
        question: What was asked; it tells whether a number or a letter is asked for.

    Returns:
        The conclusion, where the reply works towards one (see `confroute.conclusions`); otherwise the reply
        without its thought.
    """
    said = without_thought(text)
    return concluded(said, question) or said


def conclusion_of(text: str, question: str = "") -> str | None:
    """Return what a worked answer comes to; None where it has no conclusion: see `confroute.conclusions`."""
    return concluded(without_thought(text), question)


def is_unconcluded(text: str, question: str = "") -> bool:
    """Whether a reply that was cut off works towards a number, and was cut before it told it."""
    said = without_thought(text)
    return works_towards_number(said, question) and named_conclusion(said, question) is None


def _span(text: str) -> tuple[int, int] | None:
    """Return begin and end of the answer: the last part outside of thoughts that says anything."""
    if "<" not in text and "[" not in text and "◁" not in text:
        return 0, len(text)
    parts, at = [], 0
    closed = _unopened_close(text)
    if closed is not None:
        at = closed
    while (opened := _next_open(text, at)) is not None:
        is_ordinary = _ORDINARY.match(opened[0]) is not None
        ends = _end(text, opened.end())
        if is_ordinary and (ends is None or not text[ends:].strip()):
            break
        if ends is None:
            return None
        parts.append((at, opened.start()))
        at = ends
    parts.append((at, len(text)))
    said = [part for part in parts if _FRAME.sub("", text[slice(*part)]).strip()]
    return said[-1] if said else parts[-1]


def _next_open(text: str, at: int) -> re.Match[str] | None:
    """Return the next tag that opens a thought: one that a line, or what a thought left over, begins with.

    Tags within a fence of code are shown and not meant.
    """
    begin = at + len(text[at:]) - len(text[at:].lstrip())
    first = _OPENS.match(text, begin)
    if first is not None:
        return first
    fences, counted = 0, at
    for opened in _OPENS_LINE.finditer(text, at):
        fences += text.count("```", counted, opened.start())
        counted = opened.start()
        if fences % 2 == 0 or opened[0].startswith("<|"):
            return opened
    return None


def _end(text: str, at: int) -> int | None:
    """Return where the thought ends that is open at an index, with thoughts within it; None if nowhere."""
    depth, ends = 1, None
    for tag in _TAG.finditer(text, at):
        if depth == 0 and (tag["opens"] or text[ends : tag.start()].strip()):
            break  # a second closing tag right after the first is a slip
        depth = max(0, depth + (1 if tag["opens"] else -1))
        ends = ends if tag["opens"] else tag.end()
    return ends


def _unopened_close(text: str) -> int | None:
    """Return where a thought ends whose opening tag stood in the prompt; None if there is none such."""
    closes = _CLOSES.search(text)
    if closes is None or closes[0].startswith("<|channel"):
        return closes.end() if closes is not None and _OPENS.search(text, 0, closes.start()) is None else None
    if _OPENS.search(text, 0, closes.start()) is not None:
        return None
    alone_before = text[: closes.start()].endswith("\n")
    alone_after = closes.end() == len(text) or text[closes.end()].isspace()
    return (
        closes.end() if alone_before or (alone_after and closes.start() > 0) or closes.start() == 0 else None
    )
