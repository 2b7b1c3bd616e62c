"""Kinds about how long an answer and its parts are: words, sentences, paragraphs, lines."""

from __future__ import annotations

from sibling.rewards.instructions.answer import Answer, words_of
from sibling.rewards.instructions.kind import Kind, Parameter, Values, count, counted, relation


def _words(answer: Answer, values: Values) -> str:
    return counted(len(answer.words), values, "words")


def _word_range(answer: Answer, values: Values) -> str:
    number = len(answer.words)
    if values["least"] <= number <= values["most"]:
        return ""
    return f"{number} words, wanted {values['least']} to {values['most']}"


def _sentences(answer: Answer, values: Values) -> str:
    return counted(len(answer.sentences), values, "sentences")


def _paragraphs(answer: Answer, values: Values) -> str:
    return counted(len(answer.paragraphs(values["divider"] or "")), values, "paragraphs")


def _lines(answer: Answer, values: Values) -> str:
    return counted(len(answer.lines), values, "lines")


def _sentence_words(answer: Answer, values: Values) -> str:
    return _each(answer.sentences, "sentence", values["most"])


def _line_words(answer: Answer, values: Values) -> str:
    return _each(answer.lines, "line", values["most"])


def _each(parts: tuple[str, ...], name: str, most: int) -> str:
    for number, part in enumerate(parts, start=1):
        if len(words_of(part)) > most:
            return f"{name} {number} has {len(words_of(part))} words, wanted at most {most}"
    return "" if parts else f"there is no {name}"


def _paragraph_first_word(answer: Answer, values: Values) -> str:
    parts = answer.paragraphs(values["divider"] or "")
    if values["count"] is not None and len(parts) != values["count"]:
        return f"{len(parts)} paragraphs, wanted exactly {values['count']}"
    if not 1 <= values["paragraph"] <= len(parts):
        return f"there is no paragraph {values['paragraph']}"
    first = words_of(parts[values["paragraph"] - 1])[0]
    same = first.casefold() == values["word"].casefold()
    return "" if same else f"paragraph {values['paragraph']} begins with {first[:40]!r}"


def _distinct_sentences(answer: Answer, values: Values) -> str:
    del values
    seen: set[tuple[str, ...]] = set()
    for number, sentence in enumerate(answer.sentences, start=1):
        form = tuple(word.casefold() for word in words_of(sentence))
        if form in seen:
            return f"sentence {number} repeats one before it"
        seen.add(form)
    return "" if seen else "there is no sentence"


def _distinct_openings(answer: Answer, values: Values) -> str:
    del values
    firsts = [words_of(sentence)[0].casefold() for sentence in answer.sentences]
    if len(set(firsts)) < len(firsts):
        return "two sentences begin with the same word"
    return "" if firsts else "there is no sentence"


_DIVIDER = Parameter("divider", "text", "the line between two paragraphs; without it, a blank line", optional=True)
_MOST = Parameter("most", "count", "words at most")

KINDS = (
    Kind("word_count", "so many words", _words, (count("words"), relation())),
    Kind(
        "word_range",
        "so many words, both ends included",
        _word_range,
        (Parameter("least", "count", "words at least"), _MOST),
    ),
    Kind("sentence_count", "so many sentences", _sentences, (count("sentences"), relation())),
    Kind("paragraph_count", "so many paragraphs", _paragraphs, (count("paragraphs"), relation("exactly"), _DIVIDER)),
    Kind("line_count", "so many lines that are not blank", _lines, (count("lines"), relation("exactly"))),
    Kind("sentence_words", "no sentence has more words than that", _sentence_words, (_MOST,)),
    Kind("line_words", "no line has more words than that", _line_words, (_MOST,)),
    Kind(
        "paragraph_first_word",
        "a paragraph begins with a word",
        _paragraph_first_word,
        (
            Parameter("paragraph", "count", "which paragraph, from 1"),
            Parameter("word", "text", "its first word"),
            Parameter("count", "count", "how many paragraphs there are", optional=True),
            _DIVIDER,
        ),
    ),
    Kind("distinct_sentences", "no sentence occurs twice", _distinct_sentences),
    Kind("distinct_openings", "no two sentences begin with the same word", _distinct_openings),
)
