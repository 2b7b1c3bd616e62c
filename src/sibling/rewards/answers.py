"""Answers compared with the reference: the final number of a text, and the exact text.

Covered: integers and decimals with a point, thousands separators (comma, thin and no-break spaces), signs
(also U+2212 and its kin), exponents, punctuation and units around the number. Numbers are compared as exact
fractions, so 0.1 is 0.1 and 42 is 42.0.
Not covered: decimal commas, fractions (`1/2` reads as 2), roots, words, percentages as hundredths, sets.
"""

from __future__ import annotations

import re
from fractions import Fraction

from sibling.batch import Completion, Verdict
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.tasks.task import Task

_MOST_CHARACTERS = 400  # of one number; longer ones are noise, and exact arithmetic on them is slow
_MINUS = "-\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d"
_GROUP = "[,\u2009\u202f\u00a0]"
_NUMBER = re.compile(
    rf"(?:(?<![\w.)\]])[{_MINUS}+])?"  # a sign, unless it stands right after an operand, as in 5-3
    r"(?:"
    rf"(?:[0-9]{{1,3}}(?:{_GROUP}[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
    r"|(?<![\w.])\.[0-9]+"
    r")(?:[eE][+-]?[0-9]{1,3}(?![\w]))?"
)
_BEFORE = " \t\r\n$€£*_`\"'([{="
_AFTER = " \t\r\n$€£%.,;:!?*_`\"')]}"


def final_number(text: str) -> Fraction | None:
    """The last number in `text`, exact; None if there is none.

    >>> final_number("So 12 apples and 30 pears make 1,042.50.")
    Fraction(2085, 2)
    """
    written = None
    for match in _NUMBER.finditer(text):
        written = match.group()
    return None if written is None else _value(written)


def whole_number(text: str) -> Fraction | None:
    """The number `text` consists of, punctuation and currency signs around it aside; None if it is anything else.

    The part after the last `####` counts, as in GSM8K's answers.
    """
    stated = text.rpartition("####")[2].lstrip(_BEFORE).rstrip(_AFTER)
    match = _NUMBER.fullmatch(stated)
    return None if match is None else _value(match.group())


def _value(written: str) -> Fraction | None:
    if len(written) > _MOST_CHARACTERS:
        return None
    plain = re.sub(_GROUP, "", written)
    return Fraction("-" + plain[1:] if plain[0] in _MINUS else plain)


class FinalNumber:
    """Right if |last number - reference| <= tolerance. No number: wrong. No reference: abstain."""

    uses_reference = True

    def __init__(self, tolerance: float = 0.0) -> None:
        self._tolerance = Fraction(str(tolerance))  # 0.1 as written, not its nearest binary fraction

    def problem_with(self, task: Task) -> str | None:
        """Why this task cannot be graded; None if it can. One without a reference is abstained from, which is told."""
        if task.reference is None or whole_number(task.reference) is not None:
            return None
        return f"the reference {task.reference[:40]!r} is not a number"

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        if task.reference is None:
            return abstain("the task has no reference", code="no_reference")
        wanted = whole_number(task.reference)
        if wanted is None:
            return error(f"the reference {task.reference[:40]!r} is not a number", code="bad_reference")
        seen = final_number(completion.text)
        if seen is None:
            return wrong("no number", code="no_answer")
        if abs(seen - wanted) <= self._tolerance:
            return right("the number is the reference")
        return wrong("another number", code="other_value")


def normal(text: str, *, ignore_case: bool = False, strip: bool = True) -> str:
    """`text` as `exact_match` compares it: `strip` drops white space around it and one final full stop."""
    if strip:
        text = text.strip().removesuffix(".").rstrip()
    return text.casefold() if ignore_case else text


class ExactMatch:
    """Right if completion and reference are the same text after `normal`. No reference: abstain."""

    uses_reference = True

    def __init__(self, *, ignore_case: bool = False, strip: bool = True) -> None:
        self._ignore_case, self._strip = ignore_case, strip

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        if task.reference is None:
            return abstain("the task has no reference", code="no_reference")
        wanted = normal(task.reference, ignore_case=self._ignore_case, strip=self._strip)
        if not wanted:  # or an empty completion would be paid for
            return abstain("the reference is empty", code="no_reference")
        seen = normal(completion.text, ignore_case=self._ignore_case, strip=self._strip)
        return right("the same text") if seen == wanted else wrong("another text", code="other_value")
