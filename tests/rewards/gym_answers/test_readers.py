"""Readers of short answers: exact, bounded, and nothing but the whole answer."""

from fractions import Fraction

import pytest

from sibling.rewards.gym_answers.readers import RefusedError, arithmetic, fraction, integer, json_value, literal, number


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("+01,000.00", 1000),
        ("-.5", Fraction(-1, 2)),
        ("5.", 5),
        ("1.5e-3", Fraction(3, 2000)),
        ("−7", -7),
        ("9" * 400, int("9" * 400)),
    ],
    ids=short,
)
def test_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "e5",
        "1e999999999",
        "1e401",
        "1,00",
        "1 2",
        "12 or 13",
        "nan",
        "inf",
        "1_000",
        "٣",
        "0x1",
        "9" * 401,
        "1\0",
    ],
    ids=short,
)
def test_what_is_no_number(text):
    with pytest.raises(RefusedError):
        number(text)


def test_fractions_and_whole_numbers():
    assert fraction("3/4") == fraction("0.75") == Fraction(3, 4)
    assert integer("12.0") == 12
    for read, text in ((fraction, "1/0"), (fraction, "1/2/3"), (integer, "1.5")):
        with pytest.raises(RefusedError):
            read(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[]", []),
        ("[1, -2.5, 'a b', \"c\", True]", ["1", "-2.5", "a b", "c", "True"]),
        ("[[1,2],[3,4],]", [["1", "2"], ["3", "4"]]),
        ("(1, [2])", ["1", ["2"]]),
        ("7", "7"),
    ],
)
def test_lists(text, value):
    assert literal(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[1",
        "[1)",
        "1]",
        "[1 2]",
        "[,]",
        "[1],[2]",
        "[" * 9 + "]" * 9,
        "[" * 15_000,
        "[f(x)]",
        "[1+1]",
        "[__import__('os')]",
    ],
    ids=short,
)
def test_what_is_no_list(text):
    with pytest.raises(RefusedError):
        literal(text)


@pytest.mark.parametrize(
    ("text", "value", "leaves"),
    [
        ("8*(5*1 - 2)", 24, [8, 5, 1, 2]),
        ("8/(3 - 8/3)", 24, [8, 3, 8, 3]),
        ("2 - 3 - 4", -5, [2, 3, 4]),
        ("2 / 4 / 2", Fraction(1, 4), [2, 4, 2]),
        ("-(3 - 5) × 2", 4, [3, 5, 2]),
        ("1/3 + 1/3 + 1/3", 1, [1, 3] * 3),
    ],
)
def test_arithmetic_is_exact(text, value, leaves):
    assert arithmetic(text) == (value, leaves)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "()",
        "1 +",
        "1 1",
        "(1",
        "1)",
        "1/0",
        "2**3",
        "2^3",
        "1.5",
        "x",
        "f(1)",
        "1 or 2",
        "(" * 200 + "1" + ")" * 200,
        "1+" * 100 + "1",
        "-" * 400 + "1",
        "1; 2",
        "9" * 13,
        "1" * 501,
    ],
    ids=short,
)
def test_what_is_no_arithmetic(text):
    with pytest.raises(RefusedError):
        arithmetic(text)


def test_json_is_strict():
    assert json_value('{"a": [1]}') == {"a": [1]}
    with pytest.raises(RefusedError) as refused:
        json_value('{"a": 1, "a": 2}')
    assert refused.value.code == "duplicate_key"
