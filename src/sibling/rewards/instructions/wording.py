"""Kinds about the words of an answer: keywords, letters, language, case, punctuation."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from sibling.rewards.detector import language_code
from sibling.rewards.instructions.answer import Answer
from sibling.rewards.instructions.kind import Kind, Parameter, Values, count, counted, relation
from sibling.rewards.language import share_of

_LANGUAGE_SHARE = 0.9
_SHOWN = 40


@lru_cache(maxsize=1024)
def _keyword(text: str) -> re.Pattern[str]:
    """Finds a word or phrase as a whole, in any case, whatever white space stands between its words."""
    inside = r"\s+".join(map(re.escape, text.split()))
    before = r"(?<!\w)" if text.strip()[0].isalnum() and text.strip()[0] < "\u3000" else ""
    after = r"(?!\w)" if text.strip()[-1].isalnum() and text.strip()[-1] < "\u3000" else ""
    return re.compile(before + inside + after, re.IGNORECASE)


def _present(answer: Answer, values: Values) -> str:
    missing = [k for k in values["keywords"] if not _keyword(k).search(answer.text)]
    return f"{missing[0][:_SHOWN]!r} is missing" if missing else ""


def _absent(answer: Answer, values: Values) -> str:
    there = [k for k in values["keywords"] if _keyword(k).search(answer.text)]
    return f"{there[0][:_SHOWN]!r} is there" if there else ""


def _keyword_count(answer: Answer, values: Values) -> str:
    number = sum(1 for _ in _keyword(values["keyword"]).finditer(answer.text))
    return counted(number, values, f"times {values['keyword'][:_SHOWN]!r}")


def _letter_count(answer: Answer, values: Values) -> str:
    letter = values["letter"].casefold()
    return counted(answer.text.casefold().count(letter), values, f"times the letter {letter!r}")


def _no_letter(answer: Answer, values: Values) -> str:
    number = answer.text.casefold().count(values["letter"].casefold())
    return f"the letter {values['letter']!r} occurs {number} times" if number else ""


def _language(answer: Answer, values: Values) -> str:
    found = share_of(answer.text, language_code(values["language"]) or "")
    if found.words and found.share >= _LANGUAGE_SHARE:
        return ""
    return f"{found.share:.0%} of {found.words} words are in {values['language']}"


def _upper(answer: Answer, values: Values) -> str:
    del values
    return _cased(answer.text, str.islower, str.isupper, "lower-case")


def _lower(answer: Answer, values: Values) -> str:
    del values
    return _cased(answer.text, str.isupper, str.islower, "upper-case")


def _cased(text: str, wrong: Callable[[str], bool], right: Callable[[str], bool], words: str) -> str:
    if any(map(wrong, text)):
        return f"there are {words} letters"
    return "" if any(map(right, text)) else "there are no letters with a case"


def _upper_words(answer: Answer, values: Values) -> str:
    number = sum(1 for word in answer.words if word.isupper() and len(word) > 1)
    return counted(number, values, "words in capitals")


def _no_commas(answer: Answer, values: Values) -> str:
    del values
    number = sum(answer.text.count(comma) for comma in ",，、،")
    return f"there are {number} commas" if number else ""


def _no_digits(answer: Answer, values: Values) -> str:
    del values
    return "there is a digit" if any(map(str.isdigit, answer.text)) else ""


def _has_number(answer: Answer, values: Values) -> str:
    del values
    return "" if any(word[0].isdigit() for word in answer.words) else "there is no number"


def _palindrome(answer: Answer, values: Values) -> str:
    least = max(3, values["letters"])
    found = any(
        len(word) >= least and len(set(word)) > 1 and word.isalpha() and word == word[::-1]
        for word in map(str.casefold, answer.words)
    )
    return "" if found else f"no word of {least} letters or more reads the same backwards"


def _distinct_words(answer: Answer, values: Values) -> str:
    seen: set[str] = set()
    for word in map(str.casefold, answer.words):
        if word in seen:
            return f"{word[:_SHOWN]!r} occurs twice"
        if len(word) >= values["letters"]:
            seen.add(word)
    return "" if seen else f"there is no word of {values['letters']} letters"


_KEYWORDS = Parameter("keywords", "texts", "the words or phrases")
_LETTER = Parameter("letter", "letter", "the character, in either case")

KINDS = (
    Kind("keywords_present", "each of the words or phrases occurs", _present, (_KEYWORDS,)),
    Kind("keywords_absent", "none of the words or phrases occurs", _absent, (_KEYWORDS,)),
    Kind(
        "keyword_count",
        "a word or phrase occurs that often",
        _keyword_count,
        (Parameter("keyword", "text", "the word or phrase"), count("times it occurs"), relation()),
    ),
    Kind("letter_count", "a letter occurs that often", _letter_count, (_LETTER, count("times it occurs"), relation())),
    Kind("no_letter", "a letter does not occur", _no_letter, (_LETTER,)),
    Kind(
        "language", "nine of ten words are in the language", _language, (Parameter("language", "language", "its code"),)
    ),
    Kind("all_upper", "every letter is a capital", _upper),
    Kind("all_lower", "no letter is a capital", _lower),
    Kind(
        "upper_word_count",
        "so many words of two letters or more are in capitals",
        _upper_words,
        (count("words in capitals"), relation()),
    ),
    Kind("no_commas", "there is no comma", _no_commas),
    Kind("no_digits", "there is no digit", _no_digits),
    Kind("has_number", "there is a number in digits", _has_number),
    Kind(
        "palindrome",
        "a word reads the same backwards",
        _palindrome,
        (Parameter("letters", "count", "least length of that word", 3),),
    ),
    Kind(
        "distinct_words",
        "no word of so many letters occurs twice",
        _distinct_words,
        (Parameter("letters", "count", "least length of the words that count", 4),),
    ),
)
