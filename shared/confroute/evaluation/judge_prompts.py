"""What a judge is asked, and how its reply is read."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from confroute.answers import without_thought
from confroute.decision import Message
from confroute.errors import ConfigurationError

LETTERS = string.ascii_uppercase

_BRACKETS = re.compile(r"\[\[([^\[\]]*)\]\]")
_BARE = re.compile(
    r"^\W*(?:(?:the\s+)?(?:best\s+)?(?:answer|solution)s?(?:\s+is|\s+are)?\W+)?([A-Z](?:\W+(?:and\W+)?[A-Z])*)\W*$",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])")


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """One way of asking a judge.

    Attributes:
        name: Its name.
        kind: ``choice`` among all answers to a question, or a ``grade`` for each answer alone.
        system: System prompt; ``{letters}`` stands for the letters of the answers. Empty for none.
        template: The user turn; ``{question}``, ``{answers}`` and ``{reference}``.
        template_reference: The user turn where a reference answer is known; None for `template`.
        answer: One answer within ``{answers}``; ``{letter}`` and ``{text}``.
        max_tokens: Longest reply.
        lowest: Lowest grade.
        highest: Highest grade.
        each_named_wins: For a choice, whether each of several answers named wins fully, as in the paper,
            rather than all sharing one win.
        source: Where it comes from.
    """

    name: str
    kind: Literal["choice", "grade"]
    system: str
    template: str
    template_reference: str | None = None
    answer: str = "[Answer {letter}]\n{text}\n[End of answer {letter}]"
    max_tokens: int = 1024
    lowest: float = 1.0
    highest: float = 10.0
    each_named_wins: bool = False
    source: str = ""

    def messages(self, question: str, answers: Sequence[str], reference: str | None) -> tuple[Message, ...]:
        """Return the turns that ask about these answers, in this order.

        Raises:
            ConfigurationError: If there are more answers than letters.
        """
        if len(answers) > len(LETTERS):
            raise ConfigurationError(f"{len(answers)} answers: expected {len(LETTERS)} at most")
        shown = "\n\n".join(
            _fill(self.answer, letter=letter, text=without_thought(text))
            for letter, text in zip(LETTERS, answers, strict=False)
        )
        template = self.template
        if reference is not None and self.template_reference is not None:
            template = self.template_reference
        turn = _fill(template, question=question, answers=shown, reference=reference or "")
        system = _fill(self.system, letters=", ".join(LETTERS[: len(answers)]))
        user = Message("user", turn)
        return (Message("system", system), user) if system else (user,)

    def read_choice(self, reply: str, n: int) -> tuple[int, ...] | None:
        """Return the positions that a reply names as best, all `n` for a tie; None where it names none."""
        reply = without_thought(reply)
        marked = _BRACKETS.findall(reply)
        if marked:
            verdict = marked[-1].strip()
        else:
            bare = _BARE.match(reply.strip())
            if bare is None:
                return None
            verdict = bare[1]
        if verdict.casefold() in ("tie", "all") or (verdict.casefold() == "both" and n == 2):
            return tuple(range(n))
        letters = [letter.upper() for letter in _LETTER.findall(verdict)]
        named = sorted({LETTERS.index(letter) for letter in letters if letter in LETTERS})
        return tuple(named) if named and named[-1] < n else None

    def read_grade(self, reply: str) -> float | None:
        """Return the grade that a reply ends with; None where it holds none within the scale."""
        for text in reversed(_BRACKETS.findall(without_thought(reply))):
            try:
                grade = float(text)
            except ValueError:
                continue
            return grade if self.lowest <= grade <= self.highest else None
        return None


def _fill(template: str, **fields: str) -> str:
    """Put texts into a template in one pass, so that braces within a text stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: fields.get(found[1], found[0]), template)


CHOICE = JudgePrompt(
    name="choice",
    kind="choice",
    system=(
        "You compare answers to a question. Judge correctness first, then helpfulness and clarity. Neither "
        "the order of the answers nor their length says anything about their quality. Reason briefly, then "
        "end with the best answer's letter in double brackets, such as [[A]]. If several are equally good "
        "and better than the rest, name them all, such as [[A, B]]; if all are equally good or bad, write "
        "[[tie]]. The letters are {letters}."
    ),
    template="[Question]\n{question}\n\n{answers}",
    template_reference="[Question]\n{question}\n\n[Right answer]\n{reference}\n\n{answers}",
    source="confroute",
)

PAPER = JudgePrompt(
    name="paper",
    kind="choice",
    system=(
        "You evaluate solutions to mathematical problems. You are given a problem, its right answer and "
        "several solutions. Choose the solution that reaches the right answer by the most precise reasoning. "
        "Give no explanation: reply with the letter of the best solution alone, or with several letters, "
        "separated by commas, where several are equally good. The letters are {letters}."
    ),
    template="Problem:\n{question}\n\n{answers}",
    template_reference="Problem:\n{question}\n\nRight answer:\n{reference}\n\n{answers}",
    answer="Solution {letter}:\n{text}",
    max_tokens=32,
    each_named_wins=True,
    source="the setting of the paper's Table 2 and appendix A.4, in words of our own",
)

_GRADE = (
    "After providing your explanation, you must rate the response on a scale of 1 to 10 by strictly "
    'following this format: "[[rating]]", for example: "Rating: [[5]]".'
)
_FROM_MT_BENCH = "MT-Bench's single-answer grading (Zheng et al. 2023; lm-sys/FastChat, Apache-2.0)"

MT_BENCH = JudgePrompt(
    name="mt-bench",
    kind="grade",
    system="You are a helpful assistant.",
    template=(
        "[Instruction]\nPlease act as an impartial judge and evaluate the quality of the response provided "
        "by an AI assistant to the user question displayed below. Your evaluation should consider factors "
        "such as the helpfulness, relevance, accuracy, depth, creativity, and level of detail of the "
        "response. Begin your evaluation by providing a short explanation. Be as objective as possible. "
        f"{_GRADE}\n\n[Question]\n{{question}}\n\n{{answers}}"
    ),
    template_reference=(
        "[Instruction]\nPlease act as an impartial judge and evaluate the quality of the response provided "
        "by an AI assistant to the user question displayed below. Your evaluation should consider "
        "correctness and helpfulness. You will be given a reference answer and the assistant's answer. Begin "
        "your evaluation by comparing the assistant's answer with the reference answer. Identify and correct "
        f"any mistakes. Be as objective as possible. {_GRADE}\n\n[Question]\n{{question}}\n\n"
        "[The Start of Reference Answer]\n{reference}\n[The End of Reference Answer]\n\n{answers}"
    ),
    answer="[The Start of Assistant's Answer]\n{text}\n[The End of Assistant's Answer]",
    max_tokens=2048,
    source=_FROM_MT_BENCH,
)

PRESETS = {prompt.name: prompt for prompt in (CHOICE, PAPER, MT_BENCH)}
