"""What of a reply is its answer: its thought is not, and of a worked answer the conclusion is.

Everything that reads replies asks here: clustering, agreement, refusals, grading, judges, self-check.
"""

from __future__ import annotations

import re

_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|seed:think|analysis)"
_OPENS = re.compile(
    rf"<{_NAMES}>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING)\|>"
    r"|<\|channel\|>(?:analysis|commentary)[^<\n]{0,40}<\|message\|>",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_FRAME = re.compile(  # what some models write around their answer, once their thought has ended
    r"<\|(?:begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE|return|end)\|>|</?answer>",
    re.IGNORECASE,
)

_CONCLUSION_CHARS = 200  # longer, it is no conclusion but a text
_WORKED_CHARS = 40  # a shorter reply is compared as it stands
_NUMBER = re.compile(r"[-−]?(?<![\w.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?%?")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]{0,200})\}")
_LATEX_SPACE = re.compile(r"\\[,;: ]|\\(?:quad|left|right)\b|\\\(|\\\)|\\\[|\\\]|\\?\$")
_HASHES = re.compile(r"^####[ \t]*(\S[^\n]{0,200})$", re.MULTILINE)
_SAYS_SO = re.compile(
    r"\b(?:final |correct |right |best )?(?:answer|antwort|réponse|respuesta|resposta|risposta)\b"
    r"(?: to [^.:\n]{1,80}?)?[*_ ]{0,3}"
    r"(?:\s+(?:is|would be|ist|lautet|est|es|é|è)\b(?: that\b)?\s*:?|\s*:)\s*"
    r"|(?:最终)?答案(?:是|为)?\s*[::]?\s*",
    re.IGNORECASE,
)
_OF_AN_ANSWER = re.compile(  # what is said of an answer and is none: "make sure that the answer is accurate"
    r"(?:accurate|correct|right|wrong|incorrect|valid|clear|simple|found|given|based)\b", re.IGNORECASE
)
_SENTENCE_END = re.compile(  # not after an initial or a short title: "J. S. Bach", "St. Petersburg"
    r"(?<=[^\s.][.!?])(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)(?<!\b[A-Z][a-z][a-z]\.)\s|[。\n]"
)
_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[.):][ \t]+\S", re.MULTILINE)
_CHOSEN = re.compile(
    r"\b(?:answer|option|choice)(?: is| would be)?\s*:?\s*[*(\[\"']{0,4}([A-Z])\b(?!['’])"
    r"|^[*(\[]{0,3}([A-Z])[*)\].:]{1,4}(?=\s|$)"
    r"|\(([A-Z])\) is (?:the )?(?:correct|right|best)\b",
    re.MULTILINE | re.IGNORECASE,
)
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|old|far|long|tall|fast|big|high|deep|wide|heavy|often)\b"
    r"|\bwhat (?:is|was|are) \W{0,2}\d"
    r"|\b(?:calculate|compute|evaluate|solve|simplify|sum|product|total|number of|amount|percent(?:age)?"
    r"|average|probability|profit|cost|price|distance|area|perimeter|volume|ratio|remainder)\b"
    r"|\d\s*[-+*/×÷^%]\s*\d|\bwie ?viele?\b|\bcombien\b|\bcuánt[oa]s?\b|\bquant[oi]s?\b|多少",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"^\W{0,4}(?:so|thus|therefore|hence|finally|in total|altogether|in conclusion"
    r"|the (?:total|result|sum))\b",
    re.IGNORECASE,
)
_WORKINGS = re.compile(r"\d[^\n=]{0,40}=|\\\[|\\frac|\bstep \d", re.IGNORECASE)


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
        The conclusion, where the reply works towards one (see `conclusion_of`); otherwise the reply without
        its thought.
    """
    said = without_thought(text)
    return _conclusion(said, question) or said


def is_unconcluded(text: str, question: str = "") -> bool:
    """Whether a reply that was cut off works towards a number, and was cut before it told it."""
    said = without_thought(text)
    is_worked = len(said) >= _WORKED_CHARS and _ASKS_NUMBER.search(question) is not None
    return is_worked and _explicit(said, question) is None


def conclusion_of(text: str, question: str = "") -> str | None:
    r"""Return what a worked answer comes to.

    That is, in this order: the last ``\boxed{}``; a last line ``#### 42``; the letter that is chosen where
    the question has lettered options; what follows the last "the answer is"; and, where the question asks
    for a number and the reply calculates, the last number of its last sentence with one, of those that the
    question does not give.

    Args:
        text: A reply.
        question: What was asked.

    Returns:
        A short text; None where the reply has no such conclusion.
    """
    return _conclusion(without_thought(text), question)


def _span(text: str) -> tuple[int, int] | None:
    """Return begin and end of the answer: the last part outside of thoughts that says anything."""
    if "<" not in text and "[" not in text and "◁" not in text:
        return 0, len(text)
    parts, at = [], 0
    closed = _unopened_close(text)
    if closed is not None:
        at = closed
    while (opened := _next_open(text, at)) is not None:
        parts.append((at, opened.start()))
        closes = _CLOSES.search(text, opened.end())
        if closes is None:
            return None
        at = closes.end()
    parts.append((at, len(text)))
    said = [part for part in parts if _FRAME.sub("", text[slice(*part)]).strip()]
    return said[-1] if said else parts[-1]


def _next_open(text: str, at: int) -> re.Match[str] | None:
    """Return the next tag that opens a thought: one that a line, or what a thought left over, begins with."""
    for opened in _OPENS.finditer(text, at):
        line = text[max(at, text.rfind("\n", 0, opened.start()) + 1) : opened.start()]
        if not line.strip() or opened[0].startswith("<|"):
            return opened
    return None


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


def _conclusion(said: str, question: str) -> str | None:
    told = _explicit(said, question)
    if told is not None or len(said) < _WORKED_CHARS or not _ASKS_NUMBER.search(question):
        return told
    return None if {"A", "B"} <= set(_OPTION.findall(question)) else _number(said, question)


def _explicit(said: str, question: str) -> str | None:
    """Return the conclusion that a reply names as such."""
    boxed = _last_boxed(said)
    if boxed is not None:
        return boxed
    hashes = _HASHES.findall(said)
    if hashes:
        return str(hashes[-1]).strip()
    letters = set(_OPTION.findall(question))
    if {"A", "B"} <= letters:
        return _chosen(said, letters)
    return None if len(said) < _WORKED_CHARS else _told(said)


def _last_boxed(said: str) -> str | None:
    for box in reversed(list(_BOXED.finditer(said))):
        depth, begin = 1, box.end()
        for i in range(begin, min(len(said), begin + 2 * _CONCLUSION_CHARS)):
            depth += (said[i] == "{") - (said[i] == "}")
            if depth == 0:
                return _without_latex(said[begin:i]) or None
    return None


def _without_latex(told: str) -> str:
    told = _LATEX_TEXT.sub(r"\1", told.replace("{,}", ",").replace("\\!", "").replace("\\%", "%"))
    return " ".join(_LATEX_SPACE.sub(" ", told).split())


def _chosen(said: str, letters: set[str]) -> str | None:
    """Return the letter that a longer reply to a choice question ends up with; None if it names none."""
    if len(said) < _WORKED_CHARS and "\n" not in said:
        return None
    found = [next(filter(None, groups)).upper() for groups in _CHOSEN.findall(said)]
    found = [letter for letter in found if letter in letters]
    return found[-1] if found else None


def _told(said: str) -> str | None:
    """Return what follows the last "the answer is", up to the end of its sentence."""
    for match in reversed(list(_SAYS_SO.finditer(said))):
        rest = said[match.end() : match.end() + 2 * _CONCLUSION_CHARS].lstrip()
        ends = _SENTENCE_END.search(rest)
        told = _without_latex(rest[: ends.start()] if ends else rest).strip(" *_:.!")
        if (
            told
            and len(told) <= _CONCLUSION_CHARS
            and not _OF_AN_ANSWER.match(told)
            and "\\boxed" not in told
        ):
            return told
    return None


def _number(said: str, question: str) -> str | None:
    """Return the number that a calculation comes to; None where the reply does not calculate."""
    sentences = [s for s in _SENTENCE_END.split(said) if s and _NUMBER.search(s)]
    if not sentences or not (_CONCLUDES.match(sentences[-1]) or _WORKINGS.search(said)):
        return None
    given = {_bare(number) for number in _NUMBER.findall(question)}
    found = [_bare(number) for number in _NUMBER.findall(sentences[-1].replace("\\%", "%"))]
    new = [number for number in found if number not in given]
    return (new or found)[-1]


def _bare(number: str) -> str:
    return number.replace(",", "").replace("−", "-").lstrip()
