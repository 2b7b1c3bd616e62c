"""Strict JSON: what is refused, and when two values are the same."""

import contextlib
import json
import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.rewards.json_text import MOST_DEPTH, NotJsonError, parse, same

leaves = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_answer"),
        (" \n\t", "no_answer"),
        ("{} {}", "unreadable"),
        ("{}.", "unreadable"),
        ("{'a': 1}", "unreadable"),
        ('{"a": 1,}', "unreadable"),
        ("01", "unreadable"),
        ("+1", "unreadable"),
        (".5", "unreadable"),
        ("// no\n1", "unreadable"),
        ("\ufeff1", "unreadable"),
        ('"\x00"', "unreadable"),
        ('"open', "unreadable"),
        ("True", "unreadable"),
        ("NaN", "not_finite"),
        ("[-Infinity]", "not_finite"),
        ('{"a": 1, "b": {"c": 2, "c": 2}}', "duplicate_key"),
        ('{"a": 1, "\\u0061": 2}', "duplicate_key"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "too_deep"),
        ('{"a":' * 20_000, "too_deep"),
        ("9" * 401, "number_too_big"),
        ("0." + "0" * 400 + "1", "number_too_big"),
        ("1e999999999", "number_too_big"),
        ("1e-402", "number_too_big"),
        ("0e99999999999999999999999", "number_too_big"),
        ("[" + " " * 1_000_000 + "]", "too_long"),
    ],
)
def test_refused(text, code):
    with pytest.raises(NotJsonError) as caught:
        parse(text)
    assert caught.value.code == code


def test_brackets_in_strings_are_not_depth():
    text = json.dumps(['[{"\\' * 200])
    assert parse(text) == ['[{"\\' * 200]
    assert parse("[" * MOST_DEPTH + "]" * MOST_DEPTH)


def test_numbers_are_exact():
    assert parse("0.1") == Decimal("0.1")
    assert parse("[1.0, 1e2, -0.0]") == [1, 100, 0] and all(type(n) is int for n in parse("[1.0, 1e2, -0.0]"))
    assert not same(parse("0.1"), parse("0.1000000000000000000000001"))
    assert not same(parse(str(10**20)), parse(str(10**20 + 1)))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1", "1.0", True),
        ("1", "true", False),
        ("0", "false", False),
        ("0", "null", False),
        ('"1"', "1", False),
        ("[]", "{}", False),
        ('""', "null", False),
        ('{"a":1,"b":[true]}', '{"b": [true], "a": 1e0}', True),
        ('{"a":1}', '{"a":1,"b":null}', False),
        ("[1,2]", "[2,1]", False),
        ('"\\u00e9"', '"é"', True),
        ('"e\\u0301"', '"é"', False),
        ("-0.0", "0", True),
    ],
)
def test_same(one, other, equal):
    assert same(parse(one), parse(other)) is equal
    assert same(parse(other), parse(one)) is equal


@given(values)
@settings(max_examples=150, deadline=None)
def test_what_is_dumped_is_itself(value):
    plain, wide = parse(json.dumps(value)), parse(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))
    assert same(plain, wide)


@given(values, st.data())
@settings(max_examples=150, deadline=None)
def test_another_leaf_is_another_value(value, data):
    assert not same(parse(json.dumps(value)), parse(json.dumps(changed(value, data))))


def changed(value, data):
    """`value` with one leaf, or one member more, that was not there."""
    if isinstance(value, list) and value:
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], changed(value[place], data), *value[place + 1 :]]
    if isinstance(value, dict) and value:
        name = data.draw(st.sampled_from(sorted(value)))
        return {**value, name: changed(value[name], data)}
    if isinstance(value, list | dict):
        return "was empty"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return [value]


@pytest.mark.parametrize(
    "text", ['"' * 999_999, '\\"' * 499_999, '["' + '\\"' * 400_000, "[" + '"a",' * 240_000 + "1]"]
)
def test_time_is_linear(text):
    start = time.perf_counter()
    with contextlib.suppress(NotJsonError):
        parse(text)
    assert time.perf_counter() - start < 5
