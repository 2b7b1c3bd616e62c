"""Words that say nothing: how answers begin, announce, praise or stall, in many languages; and words for numbers.

An answer made of these alone states nothing that a judge could compare, and some judges accept it all the same
("master keys", 2507.08794). Covered, by the lists of `lexicon`: Arabic, Chinese, Czech, Danish, Dutch, English,
Finnish, French, German, Greek, Hebrew, Hindi, Hungarian, Indonesian, Italian, Japanese, Korean, Norwegian, Polish,
Portuguese, Romanian, Russian, Spanish, Swedish, Thai, Turkish, Ukrainian, Vietnamese. Not covered: other languages (but
a label that ends in a colon is known in any of them), letters set apart, text that says much without answering.
"""

from __future__ import annotations

import re
import unicodedata

from sibling.rewards.judge.lexicon import FILLERS, NUMBERS, PHRASES, STEMS

# Letters of other scripts that look Latin: a word that mixes scripts is read as Latin.
_LOOKS_LATIN = dict(zip("аеорсухівјѕһԁԛԝкмнтґαεορυχικντ", "aeopcyxibjshdqwkmhtraeopuxiknt", strict=True))
_WORD = re.compile(r"[^\W_]+")
# Vowel signs and tone marks of Indic scripts and Thai are no letters to `re`, but they part no words.
_WORD_AND_MARKS = re.compile(r"[^\W_]+(?:[\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u0e00-\u0e7f][^\W_]*)*")
_UNSPACED_SCRIPT = re.compile("[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_SYMBOL = re.compile("[∞∅√⊤⊥ℵ∀∃]|(?<![α-ω])π(?![α-ω])")


def fold(text: str) -> str:
    """`text` for comparing: NFKC, no case, no accents on Latin and Greek letters, no invisible characters.

    >>> fold("Solución\\u200b")
    'solucion'
    """
    if text.isascii():
        return text.casefold()
    kept: list[str] = []
    base = ""
    for c in unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold()):
        category = unicodedata.category(c)
        if category == "Cf" or (category == "Mn" and ("a" <= base <= "z" or "α" <= base <= "ω")):
            continue
        if category != "Mn":
            base = c
        kept.append(c)
    return _WORD.sub(_as_latin, unicodedata.normalize("NFC", "".join(kept)))


def words_of(folded: str) -> list[str]:
    """Runs of letters and digits; the marks of Indic scripts and Thai stay within their word."""
    return _WORD_AND_MARKS.findall(folded)


def without_fillers(words: list[str]) -> list[str]:
    """What is left of `words` (folded) when the fillers are taken out."""
    rest = [_PHRASES.sub("", word) if _UNSPACED_SCRIPT.search(word) else word for word in words]
    return [word for word in rest if word and word not in _FILLERS]


def states_symbol(folded: str) -> bool:
    """Whether `folded` holds a sign of mathematics that can be an answer by itself."""
    return _SYMBOL.search(folded) is not None


def states_number(folded: str) -> bool:
    """Whether `folded` holds a numeral of any script or a word for a number in one of the languages known here."""
    if any(c.isnumeric() for c in folded) or states_symbol(folded):
        return True
    return any(word in _NUMBERS or _STEMS.search(word) for word in words_of(folded))


def _as_latin(match: re.Match[str]) -> str:
    word = match.group()
    mixed = not word.isascii() and any("a" <= c <= "z" for c in word)
    return "".join(_LOOKS_LATIN.get(c, c) for c in word) if mixed else word


def _any_of(listed: str) -> re.Pattern[str]:
    return re.compile("|".join(sorted({re.escape(fold(w)) for w in listed.split()}, key=len, reverse=True)))


_FILLERS = frozenset(words_of(fold(FILLERS)))
_PHRASES = _any_of(PHRASES)
_NUMBERS = frozenset(words_of(fold(NUMBERS)))
_STEMS = _any_of(STEMS)
