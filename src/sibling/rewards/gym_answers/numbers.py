"""Answers that are numbers: compared exactly, or within the rounding that the prompt asks for."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from sibling.rewards.gym_answers.readers import (
    Item,
    RefusedError,
    arithmetic,
    fraction,
    integer,
    literal,
    need,
    number,
)

_HEX = re.compile(r"(-?)0x([0-9a-f]{1,300})", re.IGNORECASE | re.ASCII)
_LATEX_FRACTION = re.compile(r"\\d?frac\s*\{\s*(\d{1,60})\s*\}\s*\{\s*(\d{1,60})\s*\}", re.ASCII)
_FRACTION = re.compile(r"(\d{1,60})\s*/\s*(\d{1,60})", re.ASCII)
_PARTS = re.compile(r"\s*[x×*·]\s*", re.ASCII)
_CLOCK = re.compile(r"(\d{1,6}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?", re.ASCII)
_DAYS = re.compile(r"(-?\d{1,9})(?: days?)?", re.ASCII)
_DAYS_CLOCK = re.compile(r"(-?\d{1,9}) days?, (\d{1,6}:\d{2}(?::\d{2})?)", re.ASCII)
_POINT = re.compile(r"\(?([^(),]{1,60}),([^(),]{1,60})\)?", re.ASCII)
_COMPLEX = re.compile(r"[-+.0-9]{0,120}[ij]?")


def value(answer: str, item: Item) -> float:
    """The number, exactly, however it is written: +01,000.00 is 1000."""
    need(number(answer) == number(item.reference), "another number")
    return 1.0


def whole(answer: str, item: Item) -> float:
    """The whole number, exactly."""
    need(integer(answer) == integer(item.reference), "another number")
    return 1.0


def last_place(answer: str, item: Item) -> float:
    """The number within one unit of the last place that the stored answer writes."""
    _, _, places = item.reference.strip().partition(".")
    need(abs(number(answer) - number(item.reference)) <= Fraction(1, 10 ** len(places)), "another number")
    return 1.0


def candidate(answer: str, item: Item) -> float:
    """The number asked for, among candidates that are written with three decimals."""
    need(abs(number(answer) - number(item.reference)) <= Fraction(1, 2000), "another number")
    return 1.0


def three_figures(answer: str, item: Item) -> float:
    """The same number when both are rounded to three significant figures."""
    need(_rounded(number(answer)) == _rounded(number(item.reference)), "another number")
    return 1.0


def hexadecimal(answer: str, item: Item) -> float:
    """The same whole number, in base 16 or 10."""
    need(_hex(answer) == _hex(item.reference), "another number")
    return 1.0


def lowest_terms(answer: str, item: Item) -> float:
    """The fraction in lowest terms, plain or in LaTeX."""
    text = answer.strip("$ \n\t")
    match = _LATEX_FRACTION.fullmatch(text) or _FRACTION.fullmatch(text)
    if match is None:
        raise RefusedError("it is not one fraction")
    wanted = (item.metadata["simplified_numerator"], item.metadata["simplified_denominator"])
    need((int(match.group(1)), int(match.group(2))) == wanted, "another fraction, or not in lowest terms")
    return 1.0


def probability(answer: str, item: Item) -> float:
    """The probability to three significant figures, as a decimal or a fraction."""
    wanted = Fraction(item.metadata["rational"]["numerator"], item.metadata["rational"]["denominator"])
    need(_rounded(fraction(answer)) == _rounded(wanted), "another probability")
    return 1.0


def prime_factors(answer: str, item: Item) -> float:
    """The prime factors, each as often as it divides, in any order."""
    factors = sorted(integer(part) for part in _PARTS.split(answer))
    need(factors == sorted(item.metadata["factors"]), "not the prime factors")
    return 1.0


def solutions(answer: str, item: Item) -> float:
    """All real solutions to four decimals (the last may be rounded either way), in any order, and no others."""
    stated = sorted(number(part) for part in answer.split(","))
    wanted = sorted(number(part) for part in item.reference.split(","))
    need(len(stated) == len(wanted), "not as many solutions")
    close = all(abs(one - other) <= Fraction(1, 10_000) for one, other in zip(stated, wanted, strict=True))
    need(close, "other solutions")
    return 1.0


def complex_number(answer: str, item: Item) -> float:
    """The complex number, to a hundredth of a millionth."""
    real, imaginary = (Fraction(str(part)) for part in item.metadata["result"])
    stated = _complex(answer)
    off = max(abs(stated[0] - real), abs(stated[1] - imaginary))
    need(off * 10**8 <= max(Fraction(1), abs(real), abs(imaginary)), "another number")
    return 1.0


def sorted_numbers(answer: str, item: Item) -> float:
    """The list of all numbers in order."""
    stated, wanted = literal(answer), literal(item.reference)
    need(isinstance(stated, list) and all(isinstance(x, str) for x in stated), "not a list of numbers", "unreadable")
    need([number(x) for x in stated] == [number(x) for x in wanted], "not the sorted list")
    return 1.0


def duration(answer: str, item: Item) -> float:
    """The same time: days, hours and minutes, with seconds where they are written."""
    kind = item.metadata["task_type"]
    need(_seconds(answer, kind) == _seconds(item.reference, kind), "another time")
    return 1.0


def geometry(answer: str, item: Item) -> float:
    """An angle to two decimals, a radius or the coordinates of a point to three."""
    kind = item.metadata["task_type"]
    if kind == "orthocenter":
        wanted = [Fraction(str(part)) for part in item.metadata["ortho"]]
        match = _POINT.fullmatch(answer)
        if match is None:
            raise RefusedError("it is not one point")
        _all_near([fraction(part.strip()) for part in match.groups()], wanted, Fraction(501, 1_000_000))
        return 1.0
    degrees = kind == "angle_measure"
    stated = number(answer.removesuffix("°") if degrees else answer)
    name = "angle_ABC_degrees" if degrees else "incircle_radius_approx"
    wanted = [Fraction(str(item.metadata[name]))]
    _all_near([stated], wanted, Fraction(501, 100_000) if degrees else Fraction(501, 1_000_000))
    return 1.0


def reaches(target: int | None = None) -> Any:
    """A check of an expression that uses each number given once and has the value `target` (or the one given)."""

    def check(answer: str, item: Item) -> float:
        result, leaves = arithmetic(answer)
        need(sorted(leaves) == sorted(item.metadata["numbers"]), "it does not use each number once", "numbers")
        need(result == (item.metadata["target"] if target is None else target), "it gives another value")
        return 1.0

    check.__doc__ = "An arithmetic expression that uses each number once and gives the target, exactly."
    return check


def _all_near(stated: list[Fraction], wanted: list[Fraction], most: Fraction) -> None:
    near = all(abs(one - other) <= most for one, other in zip(stated, wanted, strict=True))
    need(near, "another value")


def _rounded(given: Fraction) -> tuple[int, int]:
    """(three digits, power of ten); halves go to the even digit."""
    if not given:
        return 0, 0
    power = 0
    size = abs(given)
    power = len(str(int(size))) - 1 if size >= 1 else -(len(str(int(1 / size))) - 1)
    while size >= Fraction(10) ** (power + 1):
        power += 1
    while size < Fraction(10) ** power:
        power -= 1
    digits = round(given / Fraction(10) ** (power - 2))
    return (digits // 10, power + 1) if abs(digits) == 1000 else (digits, power)


def _hex(text: str) -> int:
    match = _HEX.fullmatch(text.strip())
    if match is None:
        return integer(text)
    return int(match.group(2), 16) * (-1 if match.group(1) else 1)


def _complex(text: str) -> tuple[Fraction, Fraction]:
    plain = "".join(text.lower().replace("−", "-").split())
    while plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1]
    match = _COMPLEX.fullmatch(plain)
    if match is None or not plain:
        raise RefusedError("it is not one complex number")
    if not plain.endswith(("i", "j")):
        return number(plain), Fraction(0)
    body = plain[:-1]
    at = max(body.rfind("+"), body.rfind("-"), 0)
    real, imaginary = body[:at], body[at:]
    size = imaginary + "1" if imaginary in ("", "+", "-") else imaginary
    return (number(real) if real else Fraction(0)), number(size)


def _seconds(text: str, kind: str) -> Fraction:
    """A time as seconds (a count of days for `date`)."""
    if kind == "date":
        match = _DAYS.fullmatch(text.strip())
        if match is None:
            raise RefusedError("it is not a number of days")
        return Fraction(int(match.group(1)))
    days = 0
    if not kind.startswith("time"):
        with_days = _DAYS_CLOCK.fullmatch(text.strip())
        if with_days is None:
            raise RefusedError("it is not a time as `D days, HH:MM`")
        days, text = int(with_days.group(1)), with_days.group(2)
    clock = _CLOCK.fullmatch(text.strip())
    if clock is None:
        raise RefusedError("it is not a time as `HH:MM`")
    hours, minutes, seconds, rest = clock.groups()
    part = Fraction(int(rest), 10 ** len(rest)) if rest else Fraction(0)
    return days * 86_400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0) + part
