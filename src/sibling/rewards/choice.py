"""Multiple choice: exactly one option is asserted, and it is the reference.

Where an assertion is looked for; the first of these that is found decides, and all of its kind have to agree:
1. a box, `#### C`, "the answer is C", "Answer: C", "C is correct", "I choose C"; also with the option's text for C,
2. a line that is a letter in some dress (`C`, `(C)`, `C.`, `**C**`, `C) Paris`), or that is an option's text.
Refused as hedging: two different options, "A or B", "A, B, C or D", "C?", a letter with another option's text.
Refused as negated: "not C", "C is wrong", also beside "the answer is C". "A" before a word is the article, no option.
HTML comments are not read. Bounds: the last 4,000 characters of the answer are read.
Not covered: self-correction (two answers are hedging), a letter in the middle of prose that nothing marks as the
answer, options called by number words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.config import ChoiceReward
from sibling.errors import RequestError
from sibling.rewards.choice_text import Reader, Reading, normal_text, undressed
from sibling.rewards.marks import box_begin, boxes, statements
from sibling.rewards.parts import visible
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.rewards.window import Window, window
from sibling.tasks.task import Task

_MOST = 4_000
_MOST_PIECE = 400  # characters read after a mark
_CHOSEN = re.compile(
    r"(?<!\w)(?:answer|choose|chose|pick|picked|select|selected|go(?:ing)? with|went with|guess|think|opt for"
    r"|it['’]s|it is|it must be|it has to be|so|thus|hence|therefore)[,:]?\s{1,2}"
    r"(?=[\W_]{0,3}\w(?!\w)|option\s|choice\s)|(?:选择?|選)\s?(?=[\W_]{0,3}[A-Za-z](?!\w))",
    re.IGNORECASE,
)

_DOUBTED = re.compile(
    r"\b(?:maybe|perhaps|possibly|if|whether|suppose|could|might|either)\s(?:option\s|choice\s)?\W{0,3}$", re.I
)


class Choice:
    """Right if exactly one option is asserted and it is the reference: a letter, or an option's text.

    The column `options`, if there, holds the texts: a list in the order of the letters, or letter -> text.
    Raises `RequestError` if `letters` are not different letters or digits.
    """

    uses_reference = True

    def __init__(self, config: ChoiceReward) -> None:
        letters = config.letters.upper()
        if len(set(letters)) != len(letters) or not (letters.isalnum() and letters.isascii()):
            raise RequestError(
                "The reward choice needs different letters", seen=repr(config.letters), wanted="letters such as ABCD"
            )
        self._letters, self._part = letters, config.part

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        if task.reference is None:
            return abstain("the task has no reference", code="no_reference")
        reader = self._reader(task)
        if isinstance(reader, str):
            return error(reader, code="bad_options")
        wanted = reader.read(window(task.reference, "all", _MOST_PIECE).text)
        if wanted.kind != "letter":
            return error(f"the reference {task.reference[:40]!r} names no option", code="bad_reference")
        seen = window(visible(completion.text), self._part, _MOST)
        if not seen.text.strip():
            return wrong("there is no answer", code="no_answer", span=seen.span(0, 0))
        found = asserted(seen.text, reader)
        span = seen.span(found.start, found.end)
        if found.kind == "letter":
            if found.letter == wanted.letter:
                return right(f"chose {found.letter}", code="equal", span=span)
            return wrong(f"chose {found.letter}", code="different", span=span)
        return _refusal(found, seen)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        if task.reference is None:
            return "it has no reference"
        reader = self._reader(task)
        if isinstance(reader, str):
            return reader
        if reader.read(window(task.reference, "all", _MOST_PIECE).text).kind != "letter":
            return f"its reference {task.reference[:40]!r} names no single option among {self._letters}"
        return None

    def _reader(self, task: Task) -> Reader | str:
        """How the task's options are read, or what is wrong with the column."""
        options = task.columns.get("options")
        if options is None:
            return _reader_of(self._letters, ())
        pairs = _pairs(options, self._letters)
        if isinstance(pairs, str):
            return pairs
        normal = [normal_text(text) for _, text in pairs]
        if len(set(normal)) != len(normal) or "" in normal:
            return "its column `options` holds an empty text, or the same text twice"
        for (letter, text), form in zip(pairs, normal, strict=True):
            if form.upper() in self._letters and len(form) == 1 and form.upper() != letter:
                return f"option {letter} has the text {text!r}, which is the letter of another option"
        return _reader_of("".join(letter for letter, _ in pairs), tuple(pairs))


def asserted(text: str, reader: Reader) -> Reading:
    """The one option that `text` asserts, with its place; or that it hedges, denies it, or names none."""
    for kind in (_announced, _lines):
        readings = list(kind(text, reader))
        letters = {r.letter for r in readings if r.kind == "letter"}
        if len(letters) > 1 or any(r.kind == "hedged" for r in readings):
            return Reading("hedged")
        if letters:
            found = [r for r in readings if r.kind == "letter"][-1]
            first = min(r.start for r in readings if r.kind == "letter")
            plain = undressed(text)[0]
            if found.letter in reader.denied(plain):
                return Reading("negated", found.letter)
            after = undressed(text[first:])[0]
            closing = reader.read([line for line in text.splitlines() if line.strip()][-1][:_MOST_PIECE])
            offered = reader.offered(after) | ({closing.letter} if closing.kind == "letter" else set())
            return Reading("hedged") if offered - letters - reader.denied(after) else found
    return Reading("negated" if reader.denied(undressed(text)[0]) else "none")


def _announced(text: str, reader: Reader) -> Iterator[Reading]:
    """What follows each mark of an answer."""
    for start, end in boxes(text):
        inside = reader.read(text[start:end])
        before = text[max(0, start - _MOST_PIECE) : box_begin(text, start)]
        if inside.kind == "letter" and reader.beside(before, text[end + 1 : end + _MOST_PIECE], inside.letter):
            inside = Reading("hedged")
        yield _moved(inside, start)
    judged = (
        m.start() for m in reader.judged.finditer(text) if not _DOUBTED.search(text[max(0, m.start() - 24) : m.start()])
    )
    for start in sorted({*statements(text), *(m.end() for m in _CHOSEN.finditer(text)), *judged}):
        yield _moved(reader.read(text[start : start + _MOST_PIECE]), start)


def _lines(text: str, reader: Reader) -> Iterator[Reading]:
    at = 0
    for line in text.splitlines(keepends=True):
        yield _moved(reader.read(line[:_MOST_PIECE]), at)
        at += len(line)


def _moved(reading: Reading, by: int) -> Reading:
    return Reading(reading.kind, reading.letter, reading.start + by, reading.end + by)


def _refusal(found: Reading, seen: Window) -> Verdict:
    span = seen.span(0, len(seen.text))
    if found.kind == "hedged":
        return wrong("several options, or a question", code="hedged", span=span)
    if found.kind == "negated":
        return wrong("the option is denied", code="negated", span=span)
    return wrong("no option is asserted", code="unreadable", span=span)


def _pairs(options: Any, letters: str) -> list[tuple[str, str]] | str:
    """(letter, text) of each option, or what is wrong with the column."""
    if isinstance(options, Mapping):
        pairs = [(str(letter).upper(), text) for letter, text in options.items()]
    elif isinstance(options, list | tuple):
        if len(options) > len(letters):
            return f"its column `options` holds {len(options)} texts, and there are {len(letters)} letters"
        pairs = list(zip(letters, options, strict=False))
    else:
        return "its column `options` is neither a list nor an object"
    if len(pairs) < 2 or any(letter not in letters or len(letter) != 1 for letter, _ in pairs):
        return f"its column `options` has to name two or more of the letters {letters}"
    if not all(isinstance(text, str | int | float) for _, text in pairs):
        return "its column `options` holds something that is no text"
    return [(letter, str(text)) for letter, text in pairs]


@lru_cache(maxsize=512)
def _reader_of(letters: str, pairs: tuple[tuple[str, str], ...]) -> Reader:
    return Reader(letters, {normal_text(text): letter for letter, text in pairs})
