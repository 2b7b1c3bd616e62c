"""Numbers with units, found in plain text, and what each is worth.

Numbers: integers, decimals with a point, thousands separators, fractions, mixed numbers, powers of ten, multiples of
pi, `million` and its kin. A unit stands after the number, a currency before it or after it; the parts of one measure
(`5 ft 3 in`, `2 hours and 30 minutes`) are one quantity.
Everything is exact. Bounds: numbers of 200 digits, powers of ten up to 400.
Not covered: decimal commas, roots, powers of other numbers than ten, numbers in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from sibling.rewards.unit_text import read_unit
from sibling.rewards.units import Unit, known

_MOST_DIGITS = 200
_MOST_EXPONENT = 400

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−–", "0123456789---")
_SUPER = "[⁰¹²³⁴⁵⁶⁷⁸⁹]"
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_NUMBER = re.compile(
    r"(?P<sign>(?<![^\s(=:<>≠≈≤≥→~\"'\[])[-−–+]\s?)?(?P<money>US\$|[$€£¥₹₩]|\b(?:USD|EUR|GBP|CHF)(?=\s?\d))?\s?"
    r"(?:\((?=\d{0,20}π\)\s?/))?(?<![^\W_])(?<!\d\.)(?<!\^)(?<!\^-)(?P<inner>[-−](?=\d))?"
    r"(?:(?P<whole>\d{1,200})\s(?P<part>\d{1,9}/\d{1,9})(?![\d.])"
    r"|\(?(?P<over>\d{1,200})\)?\s?/\s?\(?(?P<under>\d{1,200})\)?(?![\d]|\.\d)"
    rf"|(?P<count>\d{{0,20}})\s?(?P<vulgar>[{''.join(_VULGAR)}])"
    r"|(?P<decimal>(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    r"|(?=π(?![^\W\d_])))"
)
_PI = re.compile(r"\s?[*·⋅]?\s?π(?:\)?\s?/\s?\(?(\d{1,20})\)?)?(?![^\W\d_])")
_SCALE = re.compile(
    r"[eE](?P<e>[+−-]?\d+)(?![^\W_])"
    rf"|\s?[×x*·⋅]\s?10(?:\s?\^\s?\(?(?P<ten>[+−–-]?\d+)\)?|(?P<raised>⁻?{_SUPER}+))"
)
_TEN = re.compile(rf"\s?\^\s?\(?(?P<ten>[+−–-]?\d+)\)?|(?P<raised>⁻?{_SUPER}+)")
_MAGNITUDES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_MAGNITUDE = re.compile(rf"[\s-](?P<word>{'|'.join(_MAGNITUDES)})(?![^\W_])", re.IGNORECASE)
_WORD = re.compile(r"[ -]?([^\W\d_]+)")
_PER = re.compile(r"\s?/\s?|\sper\s")
_GOES_ON = re.compile(r"[^\W_]|\s?\^|[.,/]\d")
_TOGETHER = re.compile(r"\s?,?\s?(?:and\s)?")


@dataclass(frozen=True)
class Measure:
    """`value` x pi^`pi` in `unit`, at `text[start:end]`; None: a bare number, with the word that follows it."""

    value: Fraction
    pi: int
    unit: Unit | None
    start: int
    end: int
    word: str = ""
    sound: bool = True  # false: too large a number, or one that goes on in a way that is not read


def quantities(text: str) -> list[Measure]:
    """Every quantity of plain `text`, in order.

    >>> [(str(q.value), q.unit and q.unit.dimensions) for q in quantities("2 of 36 km/h")]
    [('2', None), ('36', (('m', 1), ('s', -1)))]
    """
    found: list[Measure] = []
    for one in _each(text):
        merged = _together(found[-1], one, text) if found else None
        if merged is None:
            found.append(one)
        else:
            found[-1] = merged
    return found


def _each(text: str) -> Iterator[Measure]:
    at = 0
    while (number := _NUMBER.search(text, at)) is not None:
        value, pi, end, sound = _worth(text, number)
        unit, word, after = _unit_after(text, end) if number["money"] is None else (known(number["money"]), "", end)
        if (after == end and _GOES_ON.match(text, end)) or text[after : after + 1] == "^":
            sound = False
        start = number.end("sign") if number["sign"] and not _signed(text, number) else number.start()
        start += len(text[start:end]) - len(text[start:end].lstrip())
        yield Measure(value, pi, unit, start, after, word, sound)
        at = max(after, number.end(), at + 1)


def _unit_after(text: str, end: int) -> tuple[Unit | None, str, int]:
    """The unit, or the word that stands in its place, and where the quantity ends."""
    read = read_unit(text, end + (text[end : end + 1] in (" ", "-")))
    if read is not None:
        return read[0], "", read[1]
    over = _PER.match(text, end)
    read = None if over is None else read_unit(text, over.end())
    if read is not None:
        return read[0] ** -1, "", read[1]
    following = _WORD.match(text, end)
    return None, following[1] if following else "", end


def _worth(text: str, number: re.Match[str]) -> tuple[Fraction, int, int, bool]:
    """Value, power of pi, where it ends, and whether it is within bounds."""
    end, pi, exponent = number.end(), 0, 0
    value, sound = _plain_number(number)
    scale = _SCALE.match(text, end) or (_TEN.match(text, end) if number["decimal"] == "10" else None)
    if scale is not None:
        digits = next(g for g in scale.groups() if g).translate(_RAISED)
        end = scale.end()
        if len(digits) > 5 or abs(int(digits)) > _MOST_EXPONENT:
            return Fraction(0), 0, end, False
        exponent = int(digits) - (1 if scale.re is _TEN else 0)
    if (turn := _PI.match(text, end)) is not None:
        pi, end = 1, turn.end()
        under = int(turn[1] or 1)
        value, sound = value / (under or 1), sound and under > 0
    if (word := _MAGNITUDE.match(text, end)) is not None:
        exponent, end = exponent + _MAGNITUDES[word["word"].lower()], word.end()
    negative = _negative(text, number)
    return value * Fraction(10) ** exponent * (-1 if negative else 1), pi, end, sound


def _negative(text: str, number: re.Match[str]) -> bool:
    return bool(number["inner"]) or (_signed(text, number) and number["sign"][0] != "+")


def _signed(text: str, number: re.Match[str]) -> bool:
    """Whether the number has a sign; in `5 - 6` it stands between two quantities, not before one."""
    sign = number["sign"]
    return bool(sign) and not (sign[-1].isspace() and text[: number.start("sign")].rstrip()[-1:].isalnum())


def _plain_number(number: re.Match[str]) -> tuple[Fraction, bool]:
    if number["part"]:
        over, under = map(int, number["part"].split("/"))
        return (int(number["whole"]) + Fraction(over, under), True) if under else (Fraction(0), False)
    if number["over"]:
        under = int(number["under"])
        return (Fraction(int(number["over"]), under), True) if under else (Fraction(0), False)
    if number["vulgar"]:
        return int(number["count"] or 0) + Fraction(_VULGAR[number["vulgar"]]), True
    written = number["decimal"]
    if written is None:
        return Fraction(1), True  # pi alone
    if len(written) > _MOST_DIGITS:
        return Fraction(0), False
    return Fraction(written.replace(",", "").replace(" ", "")), True


def _together(one: Measure, other: Measure, text: str) -> Measure | None:
    """One quantity made of two that stand together, the second in a smaller unit; None if they are two."""
    if one.unit is None or other.unit is None or one.unit.dimensions != other.unit.dimensions:
        return None
    small = other.value * other.unit.factor
    fits = one.unit.pi == other.unit.pi and one.pi == other.pi == 0 and not one.unit.offset and other.value >= 0
    if not (fits and small < one.unit.factor and other.unit.factor < one.unit.factor and one.unit.dimensions):
        return None
    if _TOGETHER.fullmatch(text[one.end : other.start]) is None:
        return None
    sign = -1 if one.value < 0 else 1
    return replace(
        one, value=one.value + sign * small / one.unit.factor, end=other.end, sound=one.sound and other.sound
    )
