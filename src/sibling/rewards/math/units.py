"""Units of measure: each is a factor times powers of base units, exact where the unit is defined exactly.

Covered: SI with the usual prefixes, time, customary lengths, areas, volumes and weights, speed, energy, angles,
currencies (dollars and cents, euros, pounds, yen; never converted into each other), percent.
Not covered: offsets (degrees Celsius and Fahrenheit are two units that do not convert). A word after a number that is
no unit (`5 apples`) counts as a unit of its own.
"""

from __future__ import annotations

from fractions import Fraction

Dimension = tuple[tuple[str, int], ...]
"""Base units and their powers, sorted."""

_F = Fraction
_PREFIXED = {  # name: (factor, dimension); prefixes apply
    "m": (_F(1), {"m": 1}),
    "meter": (_F(1), {"m": 1}),
    "metre": (_F(1), {"m": 1}),
    "g": (_F(1, 1000), {"kg": 1}),
    "gram": (_F(1, 1000), {"kg": 1}),
    "s": (_F(1), {"s": 1}),
    "second": (_F(1), {"s": 1}),
    "L": (_F(1, 1000), {"m": 3}),
    "l": (_F(1, 1000), {"m": 3}),
    "liter": (_F(1, 1000), {"m": 3}),
    "litre": (_F(1, 1000), {"m": 3}),
    "A": (_F(1), {"A": 1}),
    "ampere": (_F(1), {"A": 1}),
    "mol": (_F(1), {"mol": 1}),
    "mole": (_F(1), {"mol": 1}),
    "N": (_F(1), {"kg": 1, "m": 1, "s": -2}),
    "newton": (_F(1), {"kg": 1, "m": 1, "s": -2}),
    "J": (_F(1), {"kg": 1, "m": 2, "s": -2}),
    "joule": (_F(1), {"kg": 1, "m": 2, "s": -2}),
    "W": (_F(1), {"kg": 1, "m": 2, "s": -3}),
    "watt": (_F(1), {"kg": 1, "m": 2, "s": -3}),
    "Pa": (_F(1), {"kg": 1, "m": -1, "s": -2}),
    "pascal": (_F(1), {"kg": 1, "m": -1, "s": -2}),
    "Hz": (_F(1), {"s": -1}),
    "hertz": (_F(1), {"s": -1}),
    "V": (_F(1), {"kg": 1, "m": 2, "s": -3, "A": -1}),
    "volt": (_F(1), {"kg": 1, "m": 2, "s": -3, "A": -1}),
    "cal": (_F(4184, 1000), {"kg": 1, "m": 2, "s": -2}),
    "calorie": (_F(4184, 1000), {"kg": 1, "m": 2, "s": -2}),
    "byte": (_F(1), {"byte": 1}),
    "bit": (_F(1), {"bit": 1}),
}
_SHORT = {"k": 3, "c": -2, "m": -3, "d": -1, "M": 6, "G": 9, "μ": -6, "u": -6, "n": -9, "h": 2}
_LONG = {"kilo": 3, "centi": -2, "milli": -3, "deci": -1, "mega": 6, "giga": 9, "micro": -6, "nano": -9, "hecto": 2}
_FOOT = _F(3048, 10000)
_POUND = _F(45359237, 100000000)
_PLAIN = {
    "K": (_F(1), {"K": 1}),
    "kelvin": (_F(1), {"K": 1}),
    "tonne": (_F(1000), {"kg": 1}),
    "minute": (_F(60), {"s": 1}),
    "min": (_F(60), {"s": 1}),
    "hour": (_F(3600), {"s": 1}),
    "hr": (_F(3600), {"s": 1}),
    "h": (_F(3600), {"s": 1}),
    "sec": (_F(1), {"s": 1}),
    "day": (_F(86400), {"s": 1}),
    "week": (_F(604800), {"s": 1}),
    "month": (_F(1), {"month": 1}),
    "year": (_F(12), {"month": 1}),
    "yr": (_F(12), {"month": 1}),
    "inch": (_FOOT / 12, {"m": 1}),
    "in": (_FOOT / 12, {"m": 1}),
    "foot": (_FOOT, {"m": 1}),
    "feet": (_FOOT, {"m": 1}),
    "ft": (_FOOT, {"m": 1}),
    "yard": (_FOOT * 3, {"m": 1}),
    "yd": (_FOOT * 3, {"m": 1}),
    "mile": (_FOOT * 5280, {"m": 1}),
    "mi": (_FOOT * 5280, {"m": 1}),
    "mph": (_FOOT * 5280 / 3600, {"m": 1, "s": -1}),
    "kph": (_F(1000, 3600), {"m": 1, "s": -1}),
    "acre": (_FOOT * _FOOT * 43560, {"m": 2}),
    "hectare": (_F(10000), {"m": 2}),
    "ha": (_F(10000), {"m": 2}),
    "gallon": (_F(3785411784, 10**12), {"m": 3}),
    "quart": (_F(3785411784, 4 * 10**12), {"m": 3}),
    "pint": (_F(3785411784, 8 * 10**12), {"m": 3}),
    "cup": (_F(3785411784, 16 * 10**12), {"m": 3}),
    "ounce": (_POUND / 16, {"kg": 1}),
    "oz": (_POUND / 16, {"kg": 1}),
    "lb": (_POUND, {"kg": 1}),
    "kWh": (_F(3600000), {"kg": 1, "m": 2, "s": -2}),
    "dollar": (_F(1), {"$": 1}),
    "USD": (_F(1), {"$": 1}),
    "buck": (_F(1), {"$": 1}),
    "$": (_F(1), {"$": 1}),
    "cent": (_F(1, 100), {"$": 1}),
    "penny": (_F(1, 100), {"$": 1}),
    "¢": (_F(1, 100), {"$": 1}),
    "euro": (_F(1), {"€": 1}),
    "EUR": (_F(1), {"€": 1}),
    "€": (_F(1), {"€": 1}),
    "£": (_F(1), {"£": 1}),
    "GBP": (_F(1), {"£": 1}),
    "¥": (_F(1), {"¥": 1}),
    "yen": (_F(1), {"¥": 1}),
    "₹": (_F(1), {"₹": 1}),
    "rupee": (_F(1), {"₹": 1}),
    "pound": (_POUND, {"kg": 1}),
    "°C": (_F(1), {"°C": 1}),
    "celsius": (_F(1), {"°C": 1}),
    "°F": (_F(1), {"°F": 1}),
    "fahrenheit": (_F(1), {"°F": 1}),
    "unit": (_F(1), {}),
    "radian": (_F(1), {}),
    "rad": (_F(1), {}),
    "dozen": (_F(12), {}),
}
_ONE_LETTER = frozenset("mgsLlANJWVKh")


def _table() -> dict[str, tuple[Fraction, Dimension]]:
    table: dict[str, tuple[Fraction, dict[str, int]]] = dict(_PLAIN)
    for name, (factor, dimension) in _PREFIXED.items():
        table.setdefault(name, (factor, dimension))
        prefixes = _SHORT if len(name) <= 3 and name not in ("bit",) else _LONG
        for prefix, power in prefixes.items():
            table.setdefault(prefix + name, (factor * Fraction(10) ** power, dimension))
    return {name: (factor, tuple(sorted(dimension.items()))) for name, (factor, dimension) in table.items()}


TABLE = _table()
PERCENT, DEGREE = "%", "°"  # marks that a policy may let drop


def unit_named(word: str) -> str | None:
    """The name in the table of `word`, which may be a plural or in capitals; None if it is no unit.

    >>> unit_named("Meters"), unit_named("apples")
    ('meter', None)
    """
    for form in (word, word.lower()):
        if form in TABLE:
            return form
        for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
            stem = form[: len(form) - len(ending)] + instead
            if form.endswith(ending) and len(stem) > 1 and stem in TABLE:
                return stem
    if word.lower() in ("percent", "percents", "pct"):
        return PERCENT
    return DEGREE if word.lower() in ("degree", "degrees", "deg") else None


def is_single_letter(name: str) -> bool:
    """Whether a unit is one letter, and so also a symbol: `5 m` is five metres or five times m."""
    return name in _ONE_LETTER


def factor_of(name: str) -> tuple[Fraction, Dimension]:
    """Factor and base units of a name of `unit_named`; a noun is a base unit of its own."""
    return TABLE[name] if name in TABLE else (Fraction(1), ((name, 1),))
