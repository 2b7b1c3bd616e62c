"""Exact normal forms: what is the same, what is different, and the bounds."""

from fractions import Fraction

import pytest

from sibling.rewards.math.atoms import Reader
from sibling.rewards.math.forms import MOST_BITS, factors, is_decided, power_of
from sibling.rewards.math.statements import read
from sibling.rewards.math.tree import TooHardError, UnreadableError


def same(one: str, two: str) -> bool:
    reader = Reader()
    return reader.algebra.equal(reader.form(read(one)), reader.form(read(two)))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (r"\sqrt{8}", r"2\sqrt{2}"),
        (r"\frac{1}{\sqrt2}", r"\frac{\sqrt2}{2}"),
        (r"\frac{1}{1+\sqrt2}", r"\sqrt2-1"),
        (r"\sqrt[3]{16}", r"2\sqrt[3]{2}"),
        (r"\sqrt[6]{4}", r"\sqrt[3]{2}"),
        (r"(1+i)^4", "-4"),
        (r"e^{i\pi/2}", "i"),
        (r"\sin^2 x", r"1-\cos^2 x"),
        (r"\sin\frac{5\pi}{6}", r"\frac12"),
        (r"\cos\frac{7\pi}{4}", r"\frac{\sqrt2}{2}"),
        (r"\tan\frac{\pi}{3}", r"\sqrt3"),
        (r"\ln 12", r"2\ln 2+\ln 3"),
        (r"\log_4 8", r"\frac32"),
        (r"4^{x+1}", r"4\cdot 2^{2x}"),
        (r"|{-3}|", "3"),
        (r"|1-\sqrt2|", r"\sqrt2-1"),
        (r"|2x|", r"2|x|"),
        (r"|x|^2", "x^2"),
        (r"\sqrt{x^2}", "|x|"),
        (r"\sqrt{x+1}^2", "x+1"),
        (r"\frac{1}{\sqrt{x+1}}", r"\frac{\sqrt{x+1}}{x+1}"),
        (r"\binom{6}{3}", "20"),
        ("0!", "1"),
    ],
)
def test_the_same(one: str, two: str) -> None:
    assert same(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [(r"\sqrt2", r"\sqrt3"), ("x", "|x|"), (r"\sqrt{x^2}", "x"), ("x^2", "x^3"), (r"\sin x", r"\cos x"), ("i", "-i")],
)
def test_different(one: str, two: str) -> None:
    assert not same(one, two)


def test_decided_only_where_atoms_are_independent() -> None:
    reader = Reader()
    root, pi, e, sine = (reader.form(read(t)) for t in (r"\sqrt2", r"\pi", "e", r"\sin 1"))
    assert is_decided(root, pi)
    assert not is_decided(pi, e)
    assert not is_decided(root, sine)


@pytest.mark.parametrize("text", ["1/0", "0^{-1}", r"\frac{1}{x-x}", r"\ln 0", r"(-1)!"])
def test_undefined(text: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        Reader().form(read(text))
    assert caught.value.code == "undefined"


@pytest.mark.parametrize("text", ["2^{100000}", "2000!", r"\binom{10^6}{5000}", "(x+y+z)^{64}", "(x+1)^{1000}"])
def test_bounds(text: str) -> None:
    with pytest.raises(TooHardError):
        Reader().form(read(text))


def test_a_power_is_measured_before_it_is_computed() -> None:
    assert power_of(Fraction(2), 100) == 2**100
    assert power_of(Fraction(-1), 10**9) == 1
    with pytest.raises(TooHardError):
        power_of(Fraction(2), MOST_BITS + 1)


def test_factors() -> None:
    assert factors(360) == {2: 3, 3: 2, 5: 1}
    assert factors(10_007**2) == {10_007: 2}
    assert factors(1) == {}


def test_units_are_converted_or_left_out() -> None:
    assert Reader(stated=True).form(read(r"5\text{ cm}")).rational == 5
    assert same(r"5\text{ cm}", r"0.05\text{ m}")
    assert same(r"50\%", "0.5")
    assert same(r"180^\circ", r"\pi")
