"""How a unit of measure is read from text.

Products, quotients and powers of known units: `m/s`, `kg*m^2/s^2`, `N·m`, `W m^-2 K^-1`, `miles per hour`,
`square feet`, `m²`. A quotient divides by the one factor that follows it, so that J/kg·K is (J/kg)·K.
Bounds: 13 factors, powers up to 9, three levels of parentheses.
"""

from __future__ import annotations

import re

from sibling.rewards.units import Unit, known

_MOST_FACTORS = 12
_MOST_POWER = 9
_LETTER = r"[^\W\d_⁰¹²³⁴⁵⁶⁷⁸⁹]"
_ALSO_WORDS = frozenset({"in", "won", "stone", "turn", "gray", "bar", "cup", "us", "u"})  # no unit before prose
_ALSO_WORDS_BESIDE = _ALSO_WORDS | {"m", "A", "h", "d", "t", "s"}
_POWERS = {"⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9", "⁻": "-"}
_NAME = re.compile(rf"\^?°\s?(?:[CFR](?!{_LETTER})|(?:celsius|fahrenheit)\b)?|US\$|[$€£¥₹₩¢%‰′″℃℉]|{_LETTER}{{1,24}}")
_SECOND = re.compile(rf"\s({_LETTER}{{1,16}})")
_PROSE = re.compile(rf"\s({_LETTER}{{2,}})")
_SHAPE = re.compile(rf"(square|sq\.?|cubic|cu\.?)\s(?={_LETTER})", re.IGNORECASE)
_EXPONENT = re.compile(
    r"\s?\^\s?\(?([-−+]?\d{1,3})\)?(?!\d)|(⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹])|([1-9]|[-−][1-4])(?!\w|[.,]\d)|\s(squared|cubed)\b",
    re.IGNORECASE,
)
_OPERATOR = re.compile(rf"\s?[*·⋅•×]\s?|\s?/\s?|\sper\s|-(?={_LETTER})|\s", re.IGNORECASE)


def read_unit(text: str, at: int = 0) -> tuple[Unit, int] | None:
    """The longest unit that begins at `text[at]`, and where it ends; None if none does.

    >>> unit, end = read_unit("km/h, say")
    >>> unit.factor, unit.dimensions, end
    (Fraction(5, 18), (('m', 1), ('s', -1)), 4)
    """
    return _product(text, at, 0)


def _product(text: str, at: int, depth: int) -> tuple[Unit, int] | None:
    first = _factor(text, at, depth)
    if first is None:
        return None
    unit, at = first
    for _ in range(_MOST_FACTORS):
        operator = _OPERATOR.match(text, at)
        if operator is None:
            break
        sign = operator.group().strip().lower()
        following = _factor(text, operator.end(), depth, beside=not sign)
        if following is None:
            break
        unit, at = unit * following[0] ** (-1 if sign in ("/", "per") else 1), following[1]
    return unit, at


def _factor(text: str, at: int, depth: int, *, beside: bool = False) -> tuple[Unit, int] | None:
    """One factor with its power. `beside`: it stands beside another with a space alone, where prose may go on."""
    if text[at : at + 1] == "(" and depth < 3 and not beside:
        inside = _product(text, at + 1, depth + 1)
        if inside is None or text[inside[1] : inside[1] + 1] != ")":
            return None
        return _powered(text, inside[0], inside[1] + 1)
    shape = _SHAPE.match(text, at)
    if shape is not None:
        one = _name(text, shape.end(), beside=False)
        return None if one is None else (one[0] ** (2 if shape[1].lower().startswith("s") else 3), one[1])
    one = _name(text, at, beside=beside)
    return None if one is None else _powered(text, *one)


def _powered(text: str, unit: Unit, at: int) -> tuple[Unit, int] | None:
    exponent = _EXPONENT.match(text, at)
    if exponent is None:
        return unit, at
    if exponent[4]:
        return unit ** (2 if exponent[4].lower() == "squared" else 3), exponent.end()
    written = "".join(_POWERS.get(c, c) for c in exponent[1] or exponent[2] or exponent[3]).replace("−", "-")
    power = int(written)
    return (unit**power, exponent.end()) if 0 < abs(power) <= _MOST_POWER else None


def _name(text: str, at: int, *, beside: bool) -> tuple[Unit, int] | None:
    found = _NAME.match(text, at)
    if found is None:
        return None
    name = found.group().removeprefix("^")
    second = _SECOND.match(text, found.end())
    if second is not None and (unit := known(f"{name} {second[1]}")) is not None:
        return unit, second.end()
    unit = known(name.replace("° ", "°").replace("\u03bc", "µ").replace("\u2126", "Ω"))
    if unit is None or (beside and name == "in"):
        return None
    prose = _PROSE.match(text, found.end()) if name in (_ALSO_WORDS_BESIDE if beside else _ALSO_WORDS) else None
    if prose is not None and prose[1].lower() != "per" and known(prose[1]) is None:
        return None  # `5 in total`, `3 bar stools`
    return unit, found.end()
