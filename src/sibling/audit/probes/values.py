"""What a reference says once it is read: the kinds of values the probes of mathematics know.

Values are exact: rationals, never floating point. Parts that are kept as they are written (items of a set, ends of an
interval) are text, so that a rewrite changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Style = Literal["integer", "decimal", "fraction", "mixed", "scientific"]


@dataclass(frozen=True)
class Number:
    """A rational, or a rational multiple of pi."""

    value: Fraction
    style: Style = "integer"
    pi: bool = False


@dataclass(frozen=True)
class Root:
    """factor * sqrt(radicand), the radicand an integer that is no square."""

    factor: Fraction
    radicand: int


@dataclass(frozen=True)
class Group:
    """Several items: a set in braces, a tuple in round brackets, a list in none."""

    kind: Literal["set", "tuple", "list"]
    items: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """Ends as they are written; `None` is infinite."""

    low: str | None
    high: str | None
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True)
class Inequality:
    """letter > bound or the like; `sign` is one of < > <= >=."""

    letter: str
    sign: str
    bound: str


@dataclass(frozen=True)
class Ratio:
    """left : right."""

    left: int
    right: int


@dataclass(frozen=True)
class Matrix:
    """Rows of integers, in the LaTeX environment `environment`."""

    environment: str
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Polynomial:
    """Integer coefficients by power of one letter; at least two terms, or one that is not a constant."""

    letter: str
    terms: tuple[tuple[int, int], ...]  # (power, coefficient), powers falling, no zero coefficient


Value = Number | Root | Group | Interval | Inequality | Ratio | Matrix | Polynomial


@dataclass(frozen=True)
class Reading:
    """A reference as it was read: what stands before the value (`x=`, a currency sign) and after it (a unit)."""

    value: Value
    lead: str = ""
    tail: str = ""

    def put(self, written: str) -> str:
        """`written` in the place of the value."""
        return self.lead + written + self.tail


UNITS = {
    "cm": "m", "m": "cm", "km": "m", "mm": "cm", "meters": "kilometers", "g": "kg", "kg": "g", "grams": "kilograms",
    "hours": "minutes", "minutes": "hours", "seconds": "hours", "h": "s", "s": "h", "L": "mL", "mL": "L",
    "miles": "feet", "feet": "miles", "inches": "feet", "N": "kN", "J": "kJ", "W": "kW",
}  # fmt: skip
"""Units, each with another one of the same dimension that never means the same amount."""
