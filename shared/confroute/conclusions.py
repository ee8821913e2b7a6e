"""What a worked answer comes to: two ways to 42 are one answer.

A wrong conclusion would make different answers agree, so whatever is doubtful is none: the answer is then
compared as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MOST_BOXES = 8  # the last ones: a reply that repeats itself may have thousands
_CONCLUSION_CHARS = 200  # longer, it is no conclusion but a text
_RESULT_CHARS = 40  # a longer text after an equals sign goes on to something else
_WORKED_CHARS = 40  # a shorter reply is compared as it stands

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]{0,200})\}")
_LATEX_SPACE = re.compile(r"\\[,;: ]|\\(?:quad|left|right)\b|\\\(|\\\)|\\\[|\\\]|\\?\$")
_HASHES = re.compile(r"^####[ \t]*([-−$]{0,2}\d[^\n]{0,40})\s*\Z", re.MULTILINE)

_SAYS_SO = re.compile(
    r"(?:^[^\w\n]{0,6}(?:\w{1,8},?[ ]){0,2}|(?<=[.!?,:;]\s)|\b(?:so|thus|therefore|hence|and|then),?\s+)"
    r"(?:(?:the|my|our|die|la|a)\s+)?(?:(?:final|correct|right|best|richtige|bonne)\s+)?"
    r"(?:answer|antwort|réponse|respuesta|resposta|risposta)(?: to [^.:\n]{1,80}?)?[*_ ]{0,3}"
    r"(?P<how>\s+(?:is|ist|lautet|est|es|é|è)\b(?: that\b)?\s*:?|\s*:)\s*"
    r"|(?:最终)?答案(?:是|为)\s*[::]?\s*",
    re.IGNORECASE | re.MULTILINE,
)
_ARTICLED = re.compile(r"\b(?:the|my|our|die|la|a)\s[^.]{0,20}\Z", re.IGNORECASE)
_NAMES = re.compile(r"[^a-zß-ÿ\s*_'\"]|\b(?:yes|no|true|false|none|ja|nein|oui|non|sí|si)\b")
_NO_ANSWER = re.compile(r"(?:not|no longer|neither|kein\w{0,2}|nicht|pas|n'est|never)\b", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[{}`]|\\boxed")  # of a template, or of code
_GROUNDS = re.compile(r"[,;]?\s+(?:since|because|as|which|weil|da|car|porque)\b.*", re.DOTALL)
_SENTENCE_END = re.compile(  # not after an initial or a short title: "J. S. Bach", "St. Petersburg"
    r"(?<=[^\s.][.!?])(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)(?<!\b[A-Z][a-z][a-z]\.)\s|[。\n]"
)

_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[.):][ \t]+\S")
_AFTER_OPTIONS = 2  # lines: "Answer:", "Reply with one letter."
_QUESTION_CHARS = 200  # a longer one carries passages: what is asked is its last question
_QUESTION = re.compile(r"[^.!?\n。]{1,400}[?？]")
_LINE_LETTER = re.compile(r"\A\W{0,4}([A-Z])\W{1,4}(?=\s|\Z)[^\n]{0,100}(?:\n\s*\n|\n?\Z)")
_CHOSEN = re.compile(
    r"\b(?i:answer|option|choice)(?i: is| would be|[ \t]*:)[ \t]*:?[ \t]*[*(\[\"']{0,4}([A-Z])\b"
    r"(?!['’]|\s+[a-z])"
    r"|^[*(\[]{0,3}([A-Z])[*)\].:]{0,4}$"
    r"|\b(?:(?i:option|choice|answer)\s+)?\(?\b([A-Z])\)? (?i:is (?:the )?(?:correct|right|best)\b)",
    re.MULTILINE,
)

_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|old|far|long|tall|fast|big|high|deep|wide|heavy|often)\b"
    r"|\bwhat (?:is|was|are) \W{0,2}\d|\b(?:calculate|compute|simplify|what percent(?:age)?)\b"
    r"|\b(?:what (?:is|was|will be|would be)|what's|find|determine|give|tell) (?:the|its|his|her|their|\w+'s)"
    r" (?:\w{1,12} ){0,2}(?:sum|product|total|number of|amount|percentage|average|mean|probability|profit"
    r"|cost|price|distance|area|perimeter|volume|ratio|remainder|speed|value)\b"
    r"|\d\s*[-+*/×÷^%]\s*\d|\bwie ?viele?\b|\bcombien\b|\bcuánt[oa]s?\b|\bquant[oi]s?\b|多少",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![\w.,])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s?[/:^]\s?\d+)*(?:\s?[x×*]\s?10\^?\{?[-−]?\d+\}?)?%?"
)
_NUMBER_WORD = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,6}teen|twenty|thirty|forty|fifty"
    r"|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half|twice)\b",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"^\W{0,4}(?:so|thus|therefore|hence|in total|altogether|in conclusion"
    r"|the (?:total|result|sum))\b",
    re.IGNORECASE,
)
_WORKS = re.compile(  # a calculation, or a sentence that concludes
    r"\d[^\n=]{0,40}=|\\\[|\\frac|\bstep \d|\b(?:so|thus|therefore|hence|in total|altogether)\b",
    re.IGNORECASE,
)


def concluded(said: str, question: str = "") -> str | None:
    r"""Return what a reply without its thought comes to.

    That is, in this order: what stands in ``\boxed{}``; a last line ``#### 42``; the letter that is chosen
    where the question has lettered options; what "the answer is"; and, where the question asks for a number,
    the one number that the last sentence concludes with. Where a reply names several, all are returned.

    Args:
        said: A reply without its thought.
        question: What was asked.

    Returns:
        A short text; None where there is no conclusion, or none that is beyond doubt.
    """
    told = named_conclusion(said, question)
    if told is not None or not works_towards_number(said, question):
        return told
    return None if _letters(question) else _number(said, question)


def works_towards_number(said: str, question: str) -> bool:
    """Whether the question asks for a number, and the reply calculates or concludes one."""
    is_long = len(said) >= _WORKED_CHARS and _ASKS_NUMBER.search(question_proper(question)) is not None
    return is_long and _WORKS.search(said) is not None


def named_conclusion(said: str, question: str) -> str | None:
    """Return the conclusion that a reply names as such; see `concluded`."""
    boxed = _all_of(_boxes(said))
    if boxed is not None:
        return boxed
    if hashes := _HASHES.search(said):
        return hashes[1].strip()
    letters = _letters(question)
    if letters:
        return _chosen(said, letters)
    return None if len(said) < _WORKED_CHARS else _all_of(_told(said))


def _all_of(conclusions: Iterable[str]) -> str | None:
    """Return all different conclusions as one text; None where there is none."""
    found = {" ".join(one.casefold().split()): one for one in conclusions}
    return "; ".join(found.values()) or None


def _boxes(said: str) -> Iterable[str]:
    for box in list(_BOXED.finditer(said))[-_MOST_BOXES:]:
        depth, begin = 1, box.end()
        for i in range(begin, min(len(said), begin + 2 * _CONCLUSION_CHARS)):
            depth += (said[i] == "{") - (said[i] == "}")
            if depth == 0:
                if told := _without_latex(said[begin:i]):
                    yield told
                break


def _without_latex(told: str) -> str:
    told = _LATEX_TEXT.sub(r"\1", told.replace("{,}", ",").replace("\\!", "").replace("\\%", "%"))
    return " ".join(_LATEX_SPACE.sub(" ", told).split())


def question_proper(question: str) -> str:
    """Return what is asked, without the passages that a long prompt carries."""
    if len(question) <= _QUESTION_CHARS:
        return question
    *_, last = ["", *_QUESTION.findall(question[-10 * _QUESTION_CHARS :])]
    return last or question[-_QUESTION_CHARS:]


def _letters(question: str) -> set[str]:
    """Return the letters of the options that a question ends with; nothing where it has none."""
    letters: list[str] = []
    others = 0
    for line in reversed(question.splitlines()):
        option = _OPTION.match(line)
        if option is not None:
            letters.append(option[1])
        elif line.strip():
            others += 1
            if letters or others > _AFTER_OPTIONS or "?" in line:
                break
    expected = [chr(ord("A") + i) for i in range(len(letters))]
    return set(letters) if len(letters) > 1 and letters[::-1] == expected else set()


def _chosen(said: str, letters: set[str]) -> str | None:
    """Return the letter that a longer reply to a choice question chooses; None if it is not one alone."""
    if len(said) < _WORKED_CHARS and "\n" not in said:
        return None
    found = {letter for groups in _CHOSEN.findall(said) for letter in groups if letter in letters}
    if not found and (first := _LINE_LETTER.match(said)):
        found = {first[1]} & letters
    return found.pop() if len(found) == 1 else None


def _told(said: str) -> Iterable[str]:
    """Give what follows each "the answer is", up to the end of its sentence, where that names something."""
    for match in _SAYS_SO.finditer(said):
        if match["how"] and ":" not in match["how"] and not _ARTICLED.search(match[0][: -len(match["how"])]):
            continue
        rest = said[match.end() : match.end() + 2 * _CONCLUSION_CHARS].lstrip()
        ends = _SENTENCE_END.search(rest)
        told = _GROUNDS.sub("", _without_latex(rest[: ends.start()] if ends else rest)).strip(" *_:.!")
        is_name = _NAMES.search(told) and not _NO_ANSWER.match(told) and not _PLACEHOLDER.search(told)
        if is_name and len(told) <= _CONCLUSION_CHARS:
            yield told


def _number(said: str, question: str) -> str | None:
    """Return the one number that the last sentence with a number concludes with."""
    sentences = [s for s in _SENTENCE_END.split(said) if s and _NUMBER.search(s)]
    if not sentences:
        return None
    sentence = sentences[-1].replace("\\%", "%")
    _, equals, result = sentence.rpartition("=")
    if equals and len(result) <= _RESULT_CHARS and _NUMBER.search(result):
        sentence = result
    elif not _CONCLUDES.match(sentence):
        return None
    given = {_bare(number) for number in _NUMBER.findall(question)}
    found = {_bare(number) for number in _NUMBER.findall(sentence)}
    new = found - given or found
    return new.pop() if len(new) == 1 and not _NUMBER_WORD.search(sentence) else None


def _bare(number: str) -> str:
    return number.replace(",", "").replace("−", "-").replace(" ", "")
