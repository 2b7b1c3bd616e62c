"""Kinds about how an answer begins and ends, and about the whole of it: options, repetition, acrostics."""

from __future__ import annotations

import re

from sibling.rewards.instructions.answer import Answer, words_of
from sibling.rewards.instructions.kind import Kind, Parameter, Values

_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」"}
_AROUND = " \t\r\n.!*_`\"'“”‘’"


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()


def _one_of(answer: Answer, values: Values) -> str:
    said = _flat(answer.text.strip(_AROUND))
    if any(said == _flat(option.strip(_AROUND)) for option in values["options"]):
        return ""
    return "the answer is not one of the options, and nothing else"


def _starts_with(answer: Answer, values: Values) -> str:
    begins = _flat(answer.text).startswith(_flat(values["phrase"]))
    return "" if begins else f"it does not begin with {values['phrase'][:40]!r}"


def _ends_with(answer: Answer, values: Values) -> str:
    said, phrase = _flat(answer.text), _flat(values["phrase"])
    ends = said.endswith(phrase) or said.rstrip("\"'”’*_`").endswith(phrase)
    return "" if ends else f"it does not end with {values['phrase'][:40]!r}"


def _quoted(answer: Answer, values: Values) -> str:
    del values
    text = answer.text.strip()
    wrapped = len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and bool(words_of(text))
    return "" if wrapped else "it does not stand in double quotation marks"


def _postscript(answer: Answer, values: Values) -> str:
    letters = [c for c in values["marker"] if c.isalnum()]
    marker = re.compile(r"[\s*_]{0,6}" + r"\.?\s?".join(map(re.escape, letters)) + r"(?!\w)(.*)", re.IGNORECASE)
    lines = answer.lines
    for at, line in enumerate(lines):
        found = marker.match(line)
        if found:
            said = at > 0 and words_of(found[1] + "\n" + "\n".join(lines[at + 1 :]))
            return "" if said else "the postscript is empty, or nothing stands before it"
    return f"no line begins with {values['marker'][:20]!r}"


def _two_responses(answer: Answer, values: Values) -> str:
    parts = [words_of(part) for part in answer.text.split(values["divider"])]
    if len(parts) != 2 or not all(parts):
        return f"{sum(map(bool, parts))} responses between {values['divider'][:20]!r}, wanted 2"
    same = [w.casefold() for w in parts[0]] == [w.casefold() for w in parts[1]]
    return "both responses are the same" if same else ""


def _repeat_prompt(answer: Answer, values: Values) -> str:
    asked = _flat(values["prompt"] if values["prompt"] is not None else answer.prompt)
    if not asked:
        return "there is no prompt to repeat"
    said = _flat(answer.text.lstrip("\"'“‘*_> \n"))
    if not said.startswith(asked):
        return "it does not begin with the prompt"
    return "" if words_of(said[len(asked) :]) else "nothing follows the prompt"


def _acrostic(answer: Answer, values: Values) -> str:
    firsts = "".join(words_of(line)[0][0] for line in answer.lines if words_of(line))
    same = firsts.casefold() == values["word"].casefold()
    return "" if same else f"the lines begin with {firsts[:20]!r}, wanted {values['word'][:20]!r}"


def _question_end(answer: Answer, values: Values) -> str:
    del values
    ends = answer.text.rstrip(" \t\r\n\"'”’)*_`").endswith(("?", "？", "؟"))
    return "" if ends else "it does not end with a question mark"


_PHRASE = Parameter("phrase", "text", "the words, in any case")

KINDS = (
    Kind(
        "one_of",
        "the whole answer is one of the options",
        _one_of,
        (Parameter("options", "texts", "the texts that may be answered"),),
        short=True,
    ),
    Kind("starts_with", "the answer begins with a phrase", _starts_with, (_PHRASE,)),
    Kind("ends_with", "the answer ends with a phrase and nothing after it", _ends_with, (_PHRASE,)),
    Kind("quoted", "the whole answer stands in double quotation marks", _quoted),
    Kind(
        "postscript",
        "a last part begins with a marker",
        _postscript,
        (Parameter("marker", "text", "such as P.S. or P.P.S", "P.S."),),
    ),
    Kind(
        "two_responses",
        "two different responses with a line between them",
        _two_responses,
        (Parameter("divider", "text", "what stands between them", "******"),),
    ),
    Kind(
        "repeat_prompt",
        "the answer begins with the prompt, word for word, and goes on",
        _repeat_prompt,
        (Parameter("prompt", "text", "the text to repeat; without it, the last user message", optional=True),),
    ),
    Kind(
        "acrostic",
        "the first letters of the lines spell a word",
        _acrostic,
        (Parameter("word", "word", "the word"),),
    ),
    Kind("question_end", "the answer ends with a question mark", _question_end),
)
