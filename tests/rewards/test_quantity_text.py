"""LaTeX and Markdown made plain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sibling.rewards.quantity_text import plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"$5\,\mathrm{m}/\text{s}^{2}$", "5 m/s^2"),
        (r"\frac{1}{2}\ \frac{\text{m}}{\text{s}}", "(1)/(2) (m)/(s)"),
        (r"20^{\circ}\mathrm{C}", "20°C"),
        (r"180^\circ", "180°"),
        (r"50\% of \$5", "50% of $5"),
        ("$5 and $6", "$5 and $6"),
        ("$3$ m", "3 m"),
        (r"1{,}000\times 10^{-3}", "1,000× 10^-3"),
        ("**5 m**", "5 m"),
        ("*5 m*, `6`", "5 m, 6"),
        ("m**2", "m^2"),
        ("kg*m", "kg*m"),
        ("3 * 4", "3 * 4"),
        ("a  \t b\n c", "a b\nc"),
        (r"\frac{1", "1"),
        (r"\unknown{5}", " 5"),
        ("\\", "\\"),
    ],
)
def test_plain(text, plain):
    assert plain_text(text)[0] == plain


@given(st.text(alphabet="\\{}$*^_5m frac,", max_size=30))
def test_places_are_in_the_text_and_in_order(text):
    plain, places = plain_text(text)
    assert len(plain) == len(places) and all(0 <= i < len(text) for i in places)
