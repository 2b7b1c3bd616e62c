"""Units read from text."""

import time
from fractions import Fraction

import pytest

from sibling.rewards.unit_text import read_unit

NEWTON = {"kg": 1, "m": 1, "s": -2}


@pytest.mark.parametrize(
    ("text", "factor", "dimensions", "read"),
    [
        ("km/h", Fraction(5, 18), {"m": 1, "s": -1}, 4),
        ("kg*m^2/s^2", 1, {"kg": 1, "m": 2, "s": -2}, 10),
        ("kg·m²·s⁻²", 1, {"kg": 1, "m": 2, "s": -2}, 9),
        ("kg m/s^2", 1, NEWTON, 8),
        ("N m", 1, {"kg": 1, "m": 2, "s": -2}, 3),
        ("N-m", 1, {"kg": 1, "m": 2, "s": -2}, 3),
        ("J/(kg·K)", 1, {"K": -1, "m": 2, "s": -2}, 8),
        ("W m-2 K-1", 1, {"K": -1, "kg": 1, "s": -3}, 9),
        ("(m)/(s)", 1, {"m": 1, "s": -1}, 7),
        ("m/s/s", 1, {"m": 1, "s": -2}, 5),
        ("miles per hour", Fraction("0.44704"), {"m": 1, "s": -1}, 14),
        ("meters per second squared", 1, {"m": 1, "s": -2}, 25),
        ("square feet", Fraction("0.09290304"), {"m": 2}, 11),
        ("cu. cm", Fraction(1, 10**6), {"m": 3}, 6),
        ("m2", 1, {"m": 2}, 2),
        ("in", Fraction("0.0254"), {"m": 1}, 2),
        ("in^3", Fraction("0.0254") ** 3, {"m": 3}, 4),
        ("degrees Celsius", 1, {"K": 1}, 15),
        ("^° C", 1, {"K": 1}, 4),
        ("℃", 1, {"K": 1}, 1),
        ("fl oz.", Fraction("0.0000295735295625"), {"m": 3}, 5),
        ("m in length", 1, {"m": 1}, 1),  # not metre times inch
        ("hours a day", 3600, {"s": 1}, 5),
        ("μs", Fraction(1, 10**6), {"s": 1}, 2),
        ("h and 3", 3600, {"s": 1}, 1),
    ],
)
def test_read(text, factor, dimensions, read):
    unit, end = read_unit(text)
    assert (unit.factor, dict(unit.dimensions), end) == (factor, dimensions, read)


@pytest.mark.parametrize("text", ["", "in total", "parsnips", "as", "3", "m^0", "m^12", "(m", "cup holders", " m"])
def test_not_a_unit(text):
    assert read_unit(text) is None


@pytest.mark.parametrize("text", ["in " * 3000, "m*" * 5000, "(" * 5000, "m(s(kg(" * 900, "m^9" * 4000, "kg " * 4000])
def test_hostile_units_are_bounded(text):
    start = time.perf_counter()
    read_unit(text)
    assert time.perf_counter() - start < 2
