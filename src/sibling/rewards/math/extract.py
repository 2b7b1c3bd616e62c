"""Where the answer stands in a completion: which characters, and whether the text around them takes it back.

In this order: boxes (`\\boxed`, `\\fbox`); with `where: any` also `####`, phrases such as `Answer:` and `the answer
is`, and at last the whole text or its last value. Looked at: the last `MOST_CHARACTERS`. Linear in their number; braces
are matched with a stack of our own.
Refused: a box that is never closed (no_answer); an answer the text denies, `not \\boxed{42}` (negated); a bound where
a value is wanted, `at least 42` (hedged). Several answers are all returned: they have to agree, unless words of
self-correction (wait, actually, correction ...) stand between them and the option allows it.
Not covered: denial far from the answer, or in words that are not listed here; languages other than English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sibling.rewards.math import phrases
from sibling.rewards.math.tokens import braces

MOST_CHARACTERS = 20_000
_MOST_WHOLE = 2_000
_MOST_MARKS = 20  # the last ones; more of them cannot agree any better
Span = tuple[int, int]


@dataclass(frozen=True)
class Found:
    """Candidates, each with ways to read it, best first; `code` and `reason` if there are none.

    `rivals`: what the text offers beside them (`or 41`); they count if they are values.
    """

    candidates: tuple[tuple[Span, ...], ...] = ()
    rivals: tuple[Span, ...] = ()
    code: str = ""
    reason: str = ""
    boxed: bool = False


def find(text: str, span: Span, *, where: Literal["boxed", "any"], correction: bool) -> Found:
    """The candidates in `text[span[0]:span[1]]`."""
    start = max(span[0], span[1] - MOST_CHARACTERS)
    window = text[start : span[1]]
    found = _boxes(window, correction)
    if found is None:
        if where == "boxed":
            return Found(code="no_answer", reason="no box")
        found = _marked(window, correction) or _prose(window)
    moved = tuple(tuple((a + start, b + start) for a, b in ways) for ways in found.candidates)
    return Found(moved, tuple((a + start, b + start) for a, b in found.rivals), found.code, found.reason, found.boxed)


def _boxes(text: str, correction: bool) -> Found | None:
    """The boxes, outermost only; None if there are none."""
    closes = braces(text)
    boxes: list[tuple[Span, Span]] = []  # the whole command, and what stands in it
    inside = open_ = 0
    for match in phrases.BOX.finditer(text):
        if match.start() < inside:
            continue
        if match[1]:
            end = closes.get(match.end() - 1)
            if end is None:
                open_ += 1
                continue
            boxes.append(((match.start(), end + 1), (match.end(), end)))
            inside = end + 1
        elif (bare := phrases.UNBRACED.match(text, match.end())) is not None:
            boxes.append(((match.start(), bare.end()), bare.span()))
            inside = bare.end()
    if not boxes:
        return Found(code="no_answer", reason="a box that is never closed") if open_ else None
    if open_ and text.rfind("\\boxed{") > boxes[-1][0][0]:
        return Found(code="no_answer", reason="the last box is never closed")
    return _settled(text, boxes, correction, boxed=True)


def _settled(text: str, places: list[tuple[Span, Span]], correction: bool, *, boxed: bool) -> Found:
    """Without what the text denies or replaces."""
    kept: list[tuple[Span, Span]] = []
    denied = ""
    end = 0
    for whole, inner in places:
        if correction and kept and phrases.CORRECTION.search(text, end, whole[0]):
            kept = []
        end = whole[1]
        if phrases.DENIED_BEFORE.search(_before(text, whole[0])) or phrases.DENIED_AFTER.search(_after(text, end)):
            denied = text[slice(*inner)]
        else:
            kept.append((whole, inner))
    if not kept:
        return Found(code="negated", reason=f"the text says it is not {denied[:60]}")
    candidates = tuple((inner,) for _, inner in kept)
    return Found(candidates, tuple(r for whole, _ in kept[-8:] for r in rivals(text, whole)), boxed=boxed)


def _before(text: str, at: int) -> str:
    """The 60 characters before a place; space right before it, such as a blanked comment, does not push words away."""
    stop = len(text[max(0, at - _MOST_WHOLE) : at].rstrip()) + max(0, at - _MOST_WHOLE)
    return text[max(0, stop - 60) : stop] + " " * (stop < at)


def _after(text: str, at: int) -> str:
    """The 60 characters after a place, likewise."""
    rest = text[at : at + _MOST_WHOLE].lstrip()
    return " " * text[at : at + 1].isspace() + rest[:60]


def rivals(text: str, span: Span) -> list[Span]:
    """What is offered beside an answer with the word `or`."""
    found = []
    before = max(0, span[0] - 90)
    if (match := phrases.RIVAL_BEFORE.search(text[before : span[0]])) is not None:
        found.append((before + match.start(1), before + match.end(1)))
    if (match := phrases.RIVAL_AFTER.search(text[span[1] : span[1] + 90])) is not None:
        shown = match[1].rstrip(".)*")
        found.append((span[1] + match.start(1), span[1] + match.start(1) + len(shown)))
    return [(a, b) for a, b in found if "\\boxed" not in text[a:b] and "\\fbox" not in text[a:b]]


def _marked(text: str, correction: bool) -> Found | None:
    """What follows `####`, `Answer:` and the like; None if there is no such mark."""
    marks = [m for m in phrases.MARK.finditer(text) if m[0] != "####" or "####" in text]
    hashes = [m for m in marks if m[0] == "####"]
    marks = hashes or marks
    if not marks:
        return None
    places: list[tuple[Span, Span]] = []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in list(zip(marks, ends, strict=True))[-_MOST_MARKS:]:
        inner = _segment(text[: min(end, mark.end() + _MOST_WHOLE)], mark.end())
        if inner[0] < inner[1]:
            places.append((inner, inner))
    if not places:
        return Found(code="no_answer", reason="nothing follows the words that announce an answer")
    found = _settled(text, places, correction, boxed=False)
    if found.code:
        return found
    ways = []
    for (inner,) in found.candidates:
        if phrases.DENIED_WITHIN.match(text[slice(*inner)]):
            return Found(code="negated", reason=f"the text says {text[slice(*inner)][:60]}")
        ways.append(_ways(text, inner))
    return Found(tuple(ways), found.rivals)


def _segment(text: str, start: int) -> Span:
    """From `start` to the end of the formula, sentence or line."""
    while start < len(text) and text[start] in " \t\r\n*_:=":
        start += 1
    match = phrases.MATH.match(text, start)
    if match is not None:
        rest = text[match.end() : match.end() + 40]
        if re.match(r"[\s.*]*(?:\n|$)|[.!?]\s|[,;]?\s+(?!and\b|or\b)[a-z]{4,}", rest) or not rest.strip(" .*"):
            return _inner(match)
    if text.startswith("\\begin{", start):
        closing = text.find("\\end{", start)
        after = text.find("}", closing) + 1 if closing >= 0 else 0
        if after:
            return start, after
    stop = phrases.STOP.search(text, start)
    return _stripped(text, start, stop.start() if stop else len(text))


def _inner(match: re.Match[str]) -> Span:
    group = next(k for k in (1, 2, 3, 4) if match[k] is not None)
    return match.span(group)


def _stripped(text: str, start: int, end: int) -> Span:
    while start < end and text[start] in " \t\r\n*_`":
        start += 1
    while end > start and (
        text[end - 1] in " \t\r\n*_`;," or (text[end - 1] == "." and text[end - 2 : end - 1] != ".")
    ):
        end -= 1
    return start, end


def _ways(text: str, span: Span) -> tuple[Span, ...]:
    """Ways to read a phrase: all of it, up to a clause, its only formula, its only number."""
    ways = [span]
    clause = phrases.CLAUSE.search(text, *span)
    if clause is not None and clause.start() > span[0]:
        span = _stripped(text, span[0], clause.start())
        ways.append(span)
    formulas = list(phrases.MATH.finditer(text, *span))
    if len(formulas) == 1:
        ways.append(_inner(formulas[0]))
    numbers = list(phrases.NUMBER.finditer(text, *span)) if not formulas else []
    if (
        len(numbers) == 1
        and not phrases.BOUND.search(text[span[0] : numbers[0].start()])
        and not phrases.OFFERED.search(text[slice(*span)])
    ):
        ways.append(numbers[0].span())
    return tuple(ways)


def _prose(text: str) -> Found:
    """The whole text if it is short, what follows the last `is`, or the last value."""
    whole = _stripped(text, 0, len(text))
    if whole[0] >= whole[1]:
        return Found(code="no_answer", reason="an empty answer")
    ways = [whole] if whole[1] - whole[0] <= _MOST_WHOLE else []
    last = _last_value(text)
    if last is not None:
        before, after = _before(text, last[0]), _after(text, last[1])
        if phrases.DENIED_BEFORE.search(before) or phrases.DENIED_AFTER.search(after):
            return Found((tuple(ways),), code="", reason="") if not ways else Found((tuple(ways),))
        if not phrases.BOUND.search(before):
            ways.append(last)
    tail = max(text.rfind("\n", 0, whole[1]), text.rfind(". ", 0, whole[1])) + 1
    weak = list(phrases.WEAK.finditer(text, max(tail, whole[1] - 400), whole[1]))
    if weak and not phrases.OFFERED.search(text[tail : whole[1]]):
        ways.append(_stripped(text, weak[-1].end(), whole[1]))
    if not ways:
        return Found(code="no_answer", reason="no value in the text")
    return Found((tuple(ways),), tuple(rivals(text, last)) if last is not None else ())


def _last_value(text: str) -> Span | None:
    formula = max(phrases.MATH.finditer(text), key=re.Match.start, default=None)
    number = max(phrases.NUMBER.finditer(text), key=re.Match.start, default=None)
    if formula is not None and (number is None or number.start() < formula.end()):
        return _inner(formula)
    if number is None:
        return None
    start, end = number.span()
    while text[start] in " \t\n":
        start += 1
    return start, start + len(text[start:end].rstrip())
