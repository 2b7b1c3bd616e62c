"""Sets of real numbers."""

import pytest

from sibling.rewards.math.regions import region_of, same_region
from sibling.rewards.math.statements import read


def same(one: str, two: str) -> bool:
    left, right = region_of(read(one)), region_of(read(two))
    assert left is not None
    assert right is not None
    return same_region(left, right, lambda a, b: a == b)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("(0,1)", "0<x<1"),
        ("[0,1)", "1>x\\ge 0"),
        (r"(-\infty,3]", r"x\le 3"),
        (r"[1,2]\cup[2,3]", "[1,3]"),
        (r"(1,2)\cup[2,3]", "(1,3]"),
        (r"(1,3)\cap(2,4)", "(2,3)"),
        (r"\mathbb{R}\setminus\{0\}", r"x\ne 0"),
        (r"(-\infty,0)\cup(0,\infty)", r"x\ne 0"),
        (r"[0,1]\setminus\{1\}", "[0,1)"),
        (r"\{x : x>2\}", r"(2,\infty)"),
        (r"\emptyset", r"(0,1)\cap(2,3)"),
        (r"\{2,1\}", r"\{1,2\}"),
        (r"[1,2]\cap[2,3]", r"\{2\}"),
    ],
)
def test_the_same(one: str, two: str) -> None:
    assert same(one, two)
    assert same(two, one)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("(0,1)", "[0,1]"),
        (r"(1,2)\cup(2,3)", "(1,3)"),
        ("x<3", "y<3"),
        ("x<3", "x>3"),
        (r"\mathbb{R}", r"x\ne 0"),
        (r"\emptyset", r"\{0\}"),
    ],
)
def test_different(one: str, two: str) -> None:
    assert not same(one, two)


@pytest.mark.parametrize("text", ["(2,1)", "(a,b)", "x+y<3", "7", r"\text{even}"])
def test_no_region(text: str) -> None:
    assert region_of(read(text)) is None
