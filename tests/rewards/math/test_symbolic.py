"""Algebra: what only values at points or sympy can decide, in the child process and out of it."""

from collections.abc import Iterator

import pytest

from sibling.rewards.math.statements import read
from sibling.rewards.math.symbolic import Symbolic
from sibling.rewards.math.symbolic_child import answer
from sibling.rewards.math.tree import to_json

EQUAL = [
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
    (r"\sin 2x", r"2\sin x\cos x"),
    (r"\arctan 1", r"\frac{\pi}{4}"),
    (r"\cos\frac{\pi}{5}", r"\frac{1+\sqrt5}{4}"),
    ("(n+1)!", "(n+1)n!"),
    (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
    (r"\sinh x", r"\frac{e^x-e^{-x}}{2}"),
    (r"\sqrt[3]{2+\sqrt5}", r"\frac{1+\sqrt5}{2}"),
]
DIFFERENT = [
    (r"\sqrt{3-2\sqrt2}", r"1-\sqrt2"),
    ("|x|", "x"),
    (r"e^{\pi\sqrt{163}}", "262537412640768744"),
    (r"\sin 2x", r"2\sin x"),
    ("(n+1)!", "n!+1"),
    (r"\pi", "3." + "1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348"),
]


def said(one: str, two: str) -> object:
    request = {"wanted": to_json(read(one)), "given": to_json(read(two)), "base": "10", "seconds": 5.0}
    return answer(request)[0]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_equal(one: str, two: str) -> None:
    assert said(one, two) == "equal"
    assert said(two, one) == "equal"


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_different(one: str, two: str) -> None:
    assert said(one, two) == "different"


@pytest.fixture(scope="module")
def symbolic() -> Iterator[Symbolic]:
    made = Symbolic(5.0, opinion=False)
    yield made
    made.close()


def test_the_child_says_the_same(symbolic: Symbolic) -> None:
    for pairs, expected in ((EQUAL[:2], "equal"), (DIFFERENT[:2], "different")):
        for one, two in pairs:
            symbolic.begin()
            assert symbolic.decide(read(one), read(two), "10") == expected


def test_all_the_algebra_of_one_answer_has_one_bound(symbolic: Symbolic) -> None:
    one, two = read(r"\sin 2x"), read(r"2\sin x\cos x")
    symbolic.begin()
    symbolic._spent.seconds = 100.0
    assert symbolic.decide(one, two, "10") == "timeout"
    symbolic.begin()
    assert symbolic.decide(one, two, "10") == "equal"
