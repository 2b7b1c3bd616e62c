"""Numbers with units, found and worked out."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sibling.rewards.quantity_read import quantities


def worth(text):
    return [(q.value, q.pi, q.unit is not None, q.sound) for q in quantities(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5 m", 5),
        ("5m", 5),
        ("5-meter", 5),
        ("-5 m", -5),
        ("− 5 m", -5),
        ("x = -3.5 s", Fraction(-7, 2)),
        ("$-5", -5),
        ("-$5", -5),
        ("1,234.5 kg", Fraction(2469, 2)),
        ("1 234 kg", 1234),
        (".5 m", Fraction(1, 2)),
        ("3 1/2 cm", Fraction(7, 2)),
        ("(1)/(2) m", Fraction(1, 2)),
        ("-(1)/(2) m", Fraction(-1, 2)),
        ("½ m", Fraction(1, 2)),
        ("2½ m", Fraction(5, 2)),
        ("3e8 m/s", 3 * 10**8),
        ("3.0 × 10^8 m/s", 3 * 10**8),
        ("3 x 10^(-2) m", Fraction(3, 100)),
        ("10^-3 m", Fraction(1, 1000)),
        ("10⁸ m", 10**8),
        ("2·10⁻³ m", Fraction(2, 1000)),
        ("5.2 million dollars", 5_200_000),
        ("5 ft 3 in", Fraction(63, 12)),
        ("2 hours and 30 minutes", Fraction(5, 2)),
        ("1 h, 5 min 3 s", Fraction(3903, 3600)),
        ("-5 ft 6 in", Fraction(-11, 2)),
        ("6.02e23 /mol", 602 * 10**21),
        ("60 per minute", 60),
    ],
)
def test_one_quantity(text, value):
    assert worth(text) == [(value, 0, True, True)]


@pytest.mark.parametrize(
    ("text", "value"), [("π rad", 1), ("2π rad", 2), ("π/2 rad", Fraction(1, 2)), ("-(3π)/(4) rad", Fraction(-3, 4))]
)
def test_multiples_of_pi(text, value):
    assert worth(text) == [(value, 1, True, True)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5-6 m", [5, 6]),
        ("5 - 6 m", [5, 6]),
        ("5 m-6 m", [5, 6]),
        ("2 km 5000 m", [2, 5000]),  # not one measure
        ("5 m 3 s", [5, 3]),
        ("20 °C 5 K", [20, 5]),
        ("3,5 m", [3, 5]),
        ("H2O and x1", []),
        ("5 in total", [5]),
    ],
)
def test_several_or_none(text, values):
    assert [q.value for q in quantities(text)] == values


@pytest.mark.parametrize(
    "text",
    [
        "1e999999999 m",
        "9" * 201,
        "10^10^10",
        "2^10 m",
        "5.5.5",
        "1.000.000",
        "1/0 m",
        "3 1/0 m",
        "20k",
        "1/2/2024",
    ],
)
def test_unsound_numbers(text):
    assert not quantities(text)[0].sound


@given(
    st.fractions(min_value=-1000, max_value=1000, max_denominator=999), st.sampled_from(["m", "km/h", "°C", "kg·m²/s²"])
)
def test_any_fraction_is_read_as_written(value, unit):
    (found,) = quantities(f"{value.numerator}/{value.denominator} {unit}")
    assert found.value == value and found.sound


@given(st.text(alphabet="5 .,/-mπ×^10eE½()$ft", max_size=25))
def test_any_text_can_be_read(text):
    end = 0
    for found in quantities(text):
        assert end <= found.start < found.end <= len(text)
        end = found.end
