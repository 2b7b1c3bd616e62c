"""Tokens and grammar: how an answer is read."""

from fractions import Fraction

import pytest

from sibling.rewards.math.characters import plain
from sibling.rewards.math.numeric import constant
from sibling.rewards.math.statements import read
from sibling.rewards.math.tokens import tokens_of
from sibling.rewards.math.tree import Node, TooHardError, UnreadableError, from_json, height_of, to_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234,567", 1234567),
        ("1{,}234", 1234),
        (r"1\,234", 1234),
        ("1 234", 1234),
        (".5", Fraction(1, 2)),
        ("1e-7", Fraction(1, 10**7)),
        (r"0.\overline{142857}", Fraction(1, 7)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        ("0.(3)", Fraction(1, 3)),
        ("0.333...", Fraction(1, 3)),
        (r"2\frac{3}{4}", Fraction(11, 4)),
        (r"2\frac34", Fraction(11, 4)),
        ("2 3/4", Fraction(11, 4)),
        ("-2 3/4", Fraction(-11, 4)),
        ("−5", -5),
        ("４２", 42),
        ("forty two", 42),
        ("twenty-five", 25),
    ],
)
def test_numbers(text: str, value: Fraction) -> None:
    assert read(text) == Node("num", value=Fraction(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4),
        ("2^3^2", 512),
        ("2+3*4", 14),
        ("8/4/2", 1),
        ("2^{-1}", 0.5),
        (r"\frac12", 0.5),
        (r"\frac1{4}", 0.25),
        ("3!", 6),
        ("-3!", -6),
        (r"\sqrt[3]{27}", 3),
        ("sqrt(16)", 4),
        ("√9", 3),
        (r"|-3|+1", 4),
        (r"\log_2 8", 3),
        (r"2\cdot|{-3}|", 6),
        ("(1+2)(3+4)", 21),
        ("2(3)", 6),
        ("50%", 0.5),
        (r"\lfloor", None),
    ],
)
def test_precedence(text: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(UnreadableError):
            read(text)
    else:
        assert constant(read(text)) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "1 +",
        "(1",
        "1)",
        "{",
        "}",
        "1 2",
        "x =",
        r"\frac{1}",
        r"\begin{pmatrix}1&2\\3\end{pmatrix}",
        "3.4.5",
        "^2",
    ],
)
def test_unreadable(text: str) -> None:
    with pytest.raises(UnreadableError):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        r"\int_0^1 x\,dx",
        r"\sum_{k=1}^3 k",
        r"\prod k",
        r"\lim_{x\to0} x",
        r"\frac{d}{dx} x^2",
        r"\frac{d^2y}{dx^2}",
        r"\frac{\partial f}{\partial x}",
        r"\gcd(4,6)",
        r"\max(1,2)",
        "7 mod 3 + mod(2)",
        "∑ k",
        r"\lceil 2.1 \rceil",
        r"1+\int x",
        r"(\sum k, 2)",
    ],
)
def test_operators_left_undone(text: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(text)
    assert caught.value.code == "unevaluated"


@pytest.mark.parametrize(
    "text", ["(" * 60 + "1" + ")" * 60, "9" * 3000, "1" * 6000, "1e99999", "x" + "'" * 100 + "+1" * 2000]
)
def test_bounds(text: str) -> None:
    with pytest.raises(TooHardError):
        read(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1, 2", "tuple"),
        (r"\{1, 2\}", "tuple"),
        ("x = 5", "rel"),
        ("1 < x \\le 3", "rel"),
        (r"(1,2) \cup [3,4]", "union"),
        ("x<1 or x>2", "union"),
        ("3:4", "ratio"),
        ("10_2", "base"),
        ("(C)", "choice"),
        (r"\textbf{(C)}\ 12", "choice"),
        (r"\text{even}", "text"),
        ("no solution", "named"),
        (r"\begin{bmatrix}1\\2\end{bmatrix}", "matrix"),
        (r"\pm 2", "pm"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert read(text).kind == kind


def test_a_comma_in_brackets_is_no_thousands_separator() -> None:
    assert [t.text for t in tokens_of("(1,234)")] == ["(", "1", ",", "234", ")"]
    assert [t.text for t in tokens_of("(1,234, 5)")] == ["(", "1234", ",", "5", ")"]


def test_unicode_is_written_as_latex() -> None:
    assert plain("x² ≤ ½") == r"x^{2} \le  \frac{1}{2}"


def test_trees_survive_json() -> None:
    for text in (r"\frac{x^2+1}{\sqrt{7}}", r"\sin(2\pi x)!", "-1.5"):
        assert from_json(to_json(read(text))) == read(text)
    assert height_of(read("1+x^2")) == 3
