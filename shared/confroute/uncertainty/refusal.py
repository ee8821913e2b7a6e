"""Answers that decline to answer: "I don't know", "The documents do not say", "I can't help with that"."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from confroute.answers import without_thought
from confroute.conclusions import question_proper
from confroute.uncertainty.normalize import choice_letter, fold, parse_options
from confroute.uncertainty.phrases import LANGUAGES, Phrases

_READ_CHARS = 600
_DOUBT = re.compile(  # words of declining, in whatever sentence: they make half a refusal
    r"\b(?:i (?:do not|don't|dont|cannot|can't|can not|am not|'m not|am unable|could not|couldn't|have no)\b"
    r"(?!.{0,20}\b(?:agree|think so)\b)|i'm (?:not sure|not aware|sorry|unable|afraid)|i am (?:sorry|afraid)"
    r"|not sure|unsure|no idea"
    r"|unknown|unclear|not known|cannot (?:be determined|answer|say|tell|determine)|can't (?:answer|say|tell)"
    r"|not (?:available|provided|specified|enough information|able to|possible to (?:say|tell"
    r"|determine|know|answer))"
    r"|no (?:information|answer|data|clue)|as an ai|unable to|insufficient information|don't know|do not know"
    r"|hard to say|it depends on|there is no (?:way|information|definitive)|no one knows|nobody knows"
    r"|idk|n/a|dunno)"
)
_SCRIPTS = (  # of these languages the first that a text is written in; of Latin letters all the others
    (("ko",), re.compile(r"[가-힣]")),
    (("ja",), re.compile(r"[ぁ-ヿ]")),
    (("zh", "ja"), re.compile(r"[一-鿿]")),
    (("ru",), re.compile(r"[а-я]")),
    (("ar",), re.compile(r"[ء-ي]")),
    (("en", "de", "fr", "es", "pt", "it"), re.compile(r"[a-z]")),
)
_SAME_LETTER = str.maketrans(
    dict.fromkeys("’‘ʼ′`´", "'")
    | dict.fromkeys("“”„«»「」『』《》", '"')
    | dict.fromkeys("أإآ", "ا")
    | {"ё": "е"}
)
_VOWEL_SIGNS = re.compile(r"[ً-ْٰـ]")
_MARKUP = re.compile(r"[*_#>]{1,3}|\[\d{1,3}\]|^[-•] ", re.MULTILINE)
_SENTENCE_END = re.compile(
    r"(?<![ .]\w)(?<! dr)(?<! mr)(?<! st)(?<! mrs)(?<! vs)[.!?]{1,8}(?:\s|\Z)|[。؟]|[!?](?=[ぁ-鿿])"
)
_ENDED = re.compile(r"[.!?。؟…][\s\"')\]”»」]*\Z")
_QUOTED = re.compile(r"\"[^\"]{0,200}\"|\([^()]{0,200}\)")
_QUOTES = "\"'“”„‟‘’‚«»‹›「」『』《》〈〉"
_QUESTION = re.compile(r"[^.?!:。؟]{1,300}[?؟]")
_TURNS_TO = r"[:–—]| - "
_FEW_WORDS = 3
_EDGES = " ,.;:!?。、…\"'()[]"
_SMALL_WORD = 3  # letters of a word that a title need not begin with a capital
_ASKS_TITLE = re.compile(
    r"\b(?:songs?|films?|movies?|albums?|books?|novels?|titles?|tracks?|singles?|bands?|poems?|plays?|lyrics"
    r"|sings?|sang|sung|titel\w?|lied\w{0,2}|roman\w?|buch|buches|gedicht\w?|chansons?|titres?|livres?|romans?"
    r"|canci[oó]n\w{0,2}|pel[ií]cula\w?|libros?|t[ií]tul[oi]s?|novela|can[cç](?:ão|ao|ões)|filmes?|livros?"
    r"|canzon[ei]|libr[oi]|titol[oi]|romanz[oi]|песн\w{1,3}|фильм\w{0,3}|книг\w{1,2}|роман\w{0,2})\b"
    r"|歌|电影|電影|书|小说|曲|映画|本の|노래|영화|책|소설|اغني|أغني|فيلم|كتاب|رواي",
    re.IGNORECASE,
)
_ASKS_MEANING = re.compile(
    r"\b(?:mean(?:s|ing)?|translat\w{1,5}|definition|synonym\w?|antonym\w?|opposite|(?:word|term|name) for"
    r"|how do you say|bedeute\w{1,3}|bedeutung|[uü]bersetz\w{1,4}|hei[sß]{1,2}t|signifi\w{1,5}|tradui\w{1,4}"
    r"|tradu[czç]\w{1,5}|traduzi\w{1,3}|significa\w{0,3}|означа\w{1,3}|перев\w{2,6})\b"
    r"|意思|翻译|翻譯|意味|訳|뜻|번역|معنى|ترجم",
    re.IGNORECASE,
)


class _Reader(NamedTuple):
    """The compiled phrases of a language."""

    cue: re.Pattern[str]
    openings: re.Pattern[str]
    declines: re.Pattern[str]
    anywhere: re.Pattern[str]
    labels: re.Pattern[str]
    beside: re.Pattern[str]
    turns: re.Pattern[str]
    hedges: re.Pattern[str]
    asks: re.Pattern[str]
    sources: re.Pattern[str]
    about_sources: re.Pattern[str]


class _Reading(NamedTuple):
    """What a clause says: whether it declines, and the rest that follows its words of declining."""

    declines: bool
    of_sources: bool = False
    label: bool = False
    rest: str = ""


_BESIDE = _Reading(False)


def is_refusal(text: str, question: str = "") -> bool:
    """Whether an answer only declines to answer, and says nothing else.

    Known in English, German, French, Spanish, Portuguese, Italian, Russian, Arabic, Chinese, Japanese and
    Korean. The reply's thought is not read. A title ("Unknown Pleasures", or anything in quotes) is none.

    Args:
        text: The reply.
        question: What was asked. It tells a title from a refusal where a title is asked for, a meaning
            ("unknown" for *unbekannt*) where a meaning is, an option where there are options, and what the
            sources do not say from an answer about them ("Do the documents mention a fee?").
    """
    return _degree(without_thought(text), question) == 1.0


def refusal_of(text: str) -> float:
    """Return 1 where an answer only declines to answer, 0.5 where it also says something else, 0 else.

    It only declines if each of its sentences does: "I don't know who wrote it", not "IDK Paris". A request
    for more, an offer or an apology may stand beside.

    Args:
        text: The answer as it was written: capitals and quotes tell titles.
    """
    return _degree(text, "")


def _degree(text: str, question: str) -> float:
    read = text[: 2 * _READ_CHARS]
    plain = _plain(read)
    mentions = _DOUBT.search(plain, 0, _READ_CHARS) is not None
    short = len(plain) <= _READ_CHARS and len(text) <= 2 * _READ_CHARS
    languages = next((names for names, script in _SCRIPTS if script.search(plain)), ())
    for name in languages:
        reader = _reader(name)
        if reader.cue.search(plain, 0, _READ_CHARS) is None:
            continue
        first, declined = _read(read, reader, question) if short else (None, False)
        if declined:
            return 1.0
        mentions = mentions or (name != "en" and first is not None and first.declines)
    return 0.5 if mentions else 0.0


def _read(text: str, reader: _Reader, question: str) -> tuple[_Reading | None, bool]:
    """Return what the first sentence says, and whether the whole text declines."""
    sentences = [
        sentence
        for line in _MARKUP.sub(" ", text).splitlines()
        for part in _SENTENCE_END.split(line)
        if (sentence := _plain(part).strip(_EDGES))
    ]
    if not sentences:
        return None, False
    first = _read_sentence(sentences[0], reader)
    readings = [first, *(_read_sentence(sentence, reader) for sentence in sentences[1:])]
    understood = [reading for reading in readings if reading is not None]
    if len(understood) < len(readings) or not any(reading.declines for reading in understood):
        return first, False
    declining = next(reading for reading in understood if reading.declines)
    return first, not _answers(text.strip(), question, declining, len(sentences), reader)


def _read_sentence(sentence: str, reader: _Reader) -> _Reading | None:
    """Return what a sentence says; None where it says anything else than to decline."""
    if reader.labels.fullmatch(sentence):
        return _Reading(True, label=True)
    found = _BESIDE
    for clause in reader.turns.split(sentence):
        reading = _read_clause(clause.strip(_EDGES), reader)
        if reading is None:
            return None
        found = found if found.declines else reading
    return found


def _read_clause(clause: str, reader: _Reader) -> _Reading | None:
    opened = reader.openings.match(clause)
    said = clause[opened.end() :].strip(_EDGES) if opened else clause
    for candidate in dict.fromkeys((said, clause)):
        if not candidate:
            return _BESIDE
        if reader.labels.fullmatch(candidate):
            return _Reading(True, label=True)
        declines = reader.declines.match(candidate)
        if declines is not None:
            rest = candidate[declines.end() :]
            if reader.hedges.search(_QUOTED.sub('"', rest)) or _names(rest, reader):
                return None
            of_sources = reader.sources.search(declines[0]) is not None
            return _Reading(True, of_sources, rest=rest.strip(_EDGES))
        anywhere = reader.anywhere.search(candidate)
        if anywhere is not None and reader.hedges.search(_QUOTED.sub('"', candidate)) is None:
            return _Reading(True, of_sources=True, rest=candidate[: anywhere.start()].strip(_EDGES))
        if reader.beside.match(candidate):
            return _BESIDE
    return None


def _names(rest: str, reader: _Reader) -> bool:
    """Whether words of declining are followed by a comma and an answer: "I don't know, Paris"."""
    if not rest.startswith((",", "،", "、")):
        return False
    named = rest[1:].strip(_EDGES)
    apology = reader.openings.match(named)
    if apology is not None and apology.end() == len(named):
        return False
    few = len(named.split()) <= _FEW_WORDS
    return bool(named) and few and reader.asks.match(named) is None and reader.declines.match(named) is None


def _answers(text: str, question: str, reading: _Reading, sentences: int, reader: _Reader) -> bool:
    """Whether the words of a refusal are an answer: a title, a meaning, an option, a fact about sources."""
    ended = _ENDED.search(text) is not None
    if question and choice_letter(text, parse_options(question)) is not None:
        return True
    question = question_proper(question)
    asked = _plain(question)
    if reading.of_sources and reader.about_sources.match(_last_question(asked)):
        return True
    if sentences > 1 or ended:
        return False
    if text[:1] in _QUOTES and text[-1:] in _QUOTES and len(text) > 1:
        return True
    if _is_titled(text) and (not reading.label or _ASKS_TITLE.search(question)):
        return True
    if reading.label and " " not in text and text[:1].isupper() and _ASKS_TITLE.search(question):
        return True
    if _ASKS_MEANING.search(question) and (_is_one_word(text, reader) or _speaks_of_doubt(asked)):
        return True
    if not reading.rest:
        return False
    if reader.asks.fullmatch(reading.rest):
        return reading.rest not in asked.split()
    words = {word for word in reading.rest.split() if len(word) > _SMALL_WORD}
    return _ASKS_TITLE.search(question) is not None and not any(word.strip(_EDGES) in asked for word in words)


def _last_question(asked: str) -> str:
    """Return the last question of a folded text; the text where it has none."""
    found = _QUESTION.findall(asked)
    return str(found[-1]).strip() if found else asked


def _is_one_word(text: str, reader: _Reader) -> bool:
    """Whether a refusal is a word such as *unknown*, and no clause such as *idk*."""
    return len(text.split()) == 1 and reader.declines.match(_plain(text)) is None


def _speaks_of_doubt(asked: str) -> bool:
    """Whether a question quotes words of declining."""
    phrases = [_plain(quoted).strip(_EDGES) for quoted in re.findall(r"[\"']([^\"']{2,60})[\"']", asked)]
    return any(
        reader.labels.fullmatch(phrase) or reader.declines.match(phrase)
        for phrase in phrases
        for reader in map(_reader, LANGUAGES)
    )


def _is_titled(text: str) -> bool:
    """Whether a text of several words is written like an English title."""
    words = [word for word in re.findall(r"[^\W\d_][\w'’]*", text) if word not in ("I", "I'm", "I’m")]
    capitals = [word for word in words if word[0].isupper()]
    if text.isupper() or len(capitals) < 2:
        return False
    return all(word[0].isupper() or len(word) <= _SMALL_WORD for word in words) and words[-1][0].isupper()


def _plain(text: str) -> str:
    """Return folded text with one form of quotes, apostrophes and Arabic letters."""
    return _VOWEL_SIGNS.sub("", fold(text).translate(_SAME_LETTER))


@lru_cache(maxsize=len(LANGUAGES))
def _reader(name: str) -> _Reader:
    phrases: Phrases = LANGUAGES[name]
    left, right = (r"(?<!\w)", r"(?!\w)") if phrases.spaced else ("", "")
    openings = rf"(?:(?:{phrases.openings}){right}[,،.:;!、。]{{0,1}} ?){{1,4}}"
    return _Reader(
        cue=re.compile(phrases.cue),
        openings=re.compile(openings),
        declines=re.compile(rf"(?:{phrases.declines}){right}"),
        anywhere=re.compile(rf"{left}(?:{phrases.anywhere})"),
        labels=re.compile(rf"(?:{phrases.labels})"),
        beside=re.compile(rf"(?:{phrases.beside})"),
        turns=re.compile(phrases.turns),
        hedges=re.compile(rf"{left}(?:{phrases.hedges}){right}|{_TURNS_TO}"),
        asks=re.compile(rf"(?:{phrases.asks}){right}"),
        sources=re.compile(phrases.sources),
        about_sources=re.compile(phrases.about_sources),
    )
