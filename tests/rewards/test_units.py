"""The table of units, against definitions worked out by hand."""

from fractions import Fraction

import pytest

from sibling.rewards.units import ONE, UNITS, known


@pytest.mark.parametrize(
    ("one", "factor", "other"),
    [
        ("km", 1000, "m"),
        ("in", Fraction(254, 10_000), "m"),
        ("mi", 5280, "ft"),
        ("ft", 12, "in"),
        ("yd", 3, "ft"),
        ("lb", 16, "oz"),
        ("stone", 14, "lb"),
        ("acre", 43_560 * Fraction(3048, 10_000) ** 2, "centiare"),
        ("gal", 4, "quart"),
        ("gallon", Fraction("3.785411784"), "L"),
        ("cup", 16, "tablespoons"),
        ("kWh", 3_600_000, "J"),
        ("psi", Fraction("6894.757293168361336722673445"), "Pa"),  # rounded, hence compared below 1e-24
        ("atm", 760, "Torr"),
        ("kcal", 4184, "J"),
        ("Cal", 1, "kcal"),
        ("h", 60, "min"),
        ("day", 24, "hours"),
        ("°", 60, "arcmin"),
        ("MiB", 1024, "KiB"),
        ("B", 8, "bit"),
        ("MW", 10**9, "mW"),
        ("GHz", 10**9, "Hz"),
        ("knot", Fraction(1852, 1000), "km_per_h"),
        ("dollar", 100, "cents"),
        ("%", Fraction(1, 100), None),
    ],
)
def test_factors(one, factor, other):
    derived = {"centiare": UNITS["m"] ** 2, "km_per_h": UNITS["km"] * UNITS["h"] ** -1, None: ONE}
    left, right = UNITS[one], derived[other] if other in derived else UNITS[other]
    assert left.dimensions == right.dimensions
    assert abs(left.factor / right.factor - factor) <= factor * Fraction(1, 10**24)


def test_names_are_known_as_they_are_written():
    assert known("mW") != known("MW") and known("kilometers") == known("KILOMETRES") == known("km")
    assert known("Kg") == known("kg") and known("μm") is None  # the reader makes the Greek letter the micro sign
    assert known("as") is None and known("has") is None and known("parsnip") is None


def test_temperatures_have_offsets():
    celsius, fahrenheit = UNITS["°C"], UNITS["°F"]
    assert 100 * celsius.factor + celsius.offset == 212 * fahrenheit.factor + fahrenheit.offset == Fraction("373.15")
    assert not (celsius * UNITS["m"]).offset and not (celsius**-1).offset


def test_products_cancel():
    assert (UNITS["m"] * UNITS["m"] ** -1).dimensions == ()
    assert (UNITS["N"]).dimensions == (UNITS["kg"] * UNITS["m"] * UNITS["s"] ** -2).dimensions
    assert UNITS["rad"].pi == -1 and (UNITS["rad"] ** 2).pi == -2
