"""How answers decline to answer, language by language."""

from __future__ import annotations

from confroute.uncertainty.phrases.arabic import ARABIC
from confroute.uncertainty.phrases.chinese import CHINESE
from confroute.uncertainty.phrases.english import ENGLISH
from confroute.uncertainty.phrases.french import FRENCH
from confroute.uncertainty.phrases.german import GERMAN
from confroute.uncertainty.phrases.italian import ITALIAN
from confroute.uncertainty.phrases.japanese import JAPANESE
from confroute.uncertainty.phrases.korean import KOREAN
from confroute.uncertainty.phrases.portuguese import PORTUGUESE
from confroute.uncertainty.phrases.russian import RUSSIAN
from confroute.uncertainty.phrases.spanish import SPANISH
from confroute.uncertainty.phrases.table import Phrases

LANGUAGES = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "pt": PORTUGUESE,
    "it": ITALIAN,
    "ru": RUSSIAN,
    "zh": CHINESE,
    "ja": JAPANESE,
    "ko": KOREAN,
    "ar": ARABIC,
}

__all__ = ["LANGUAGES", "Phrases"]
