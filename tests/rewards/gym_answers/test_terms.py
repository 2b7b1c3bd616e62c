"""Expressions as trees."""

import pytest

from sibling.rewards.gym_answers.readers import RefusedError
from sibling.rewards.gym_answers.terms import read


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


def test_operators_bind_as_in_mathematics():
    assert read("-x**2", ["x"]).kind == "neg"
    assert read("x**-2", ["x"]).parts[1].kind == "neg"
    power = read("x^2^3", ["x"])
    assert power.parts[0].kind == "name" and power.parts[1].kind == "**"
    assert [read("1 - 2 - 3", []).parts[i].kind for i in (0, 1)] == ["-", "number"]
    assert read("sin(x)*2", ["x"]).parts[0].name == "sin"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_answer"),
        ("y", "unevaluated"),
        ("Integral(x, x)", "unevaluated"),
        ("__import__('os')", "unreadable"),
        ("x or 1", "unreadable"),
        ("x; 1", "unreadable"),
        ("x.real", "unreadable"),
        ("lambda: 1", "unreadable"),
        ("(x", "unreadable"),
        ("x)", "unreadable"),
        ("x +", "unreadable"),
        ("2x", "unreadable"),
        ("(" * 1000, "unreadable"),
        ("-" * 1000 + "x", "unreadable"),
        ("x**" * 600 + "x", "unreadable"),
        ("1" * 61, "unreadable"),
        ("x+" * 2000, "too_long"),
        ("x\0", "unreadable"),
    ],
    ids=short,
)
def test_what_is_no_expression(text, code):
    with pytest.raises(RefusedError) as refused:
        read(text, ["x"])
    assert refused.value.code == code
