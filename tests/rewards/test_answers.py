"""Final number and exact text, by cases worked by hand and by law."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Status
from sibling.rewards.answers import ExactMatch, FinalNumber, final_number, normal, whole_number
from sibling.rewards.grade import stating
from sibling.tasks.task import Task

law = settings(deadline=None, max_examples=150)
words = st.text(st.characters(categories=["Lu", "Ll", "Zs", "Po"], exclude_characters=".,"), max_size=20)


def task(reference):
    return Task("id", ({"role": "user", "content": "?"},), reference)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("The answer is 42.", 42),
        ("first 7, then 9", 9),
        ("41, 7, 93, 28", 28),
        ("**93**", 93),
        ("x = 3.50", Fraction(7, 2)),
        ("-5", -5),
        ("\u22125", -5),  # minus sign
        ("it is \u20135", -5),  # en dash
        ("+5", 5),
        ("12-5", 5),  # an operand stands right before the dash
        ("(1+2)-5", 5),
        ("12 - 5", 5),
        ("12 -5", -5),
        ("2--3", -3),
        ("1,234", 1234),
        ("1,234,567.25", Fraction(123456725, 100)),
        ("1\u202f234", 1234),
        ("12,34", 34),  # no group of three: two numbers
        ("1,2345", 2345),
        ("41,7", 7),
        ("$1,000.00!", 1000),
        ("50%", 50),
        ("5th", 5),
        (".5", Fraction(1, 2)),
        ("so it is .5", Fraction(1, 2)),
        ("wait...5", 5),
        ("Done.42", 42),
        ("1e3", 1000),
        ("2.5E-1 m", Fraction(1, 4)),
        ("3 eggs", 3),
        ("3eggs", 3),
        ("007", 7),
        ("<answer>12</answer>", 12),
        ("9" * 400, Fraction("9" * 400)),
        ("9" * 401, None),
        ("", None),
        ("none", None),
        ("- . ,", None),
    ],
)
def test_final_number(text, number):
    assert final_number(text) == number


@law
@given(st.integers(-(10**12), 10**12), words, words)
def test_final_number_finds_an_integer_in_any_text(number, before, after):
    assert final_number(f"{before} {number} {after}") == number
    assert final_number(f"{before} 17 {before} {number:,}.") == number


@law
@given(st.decimals(-(10**6), 10**6, places=3), words)
def test_final_number_finds_a_decimal_exactly(number, before):
    assert final_number(f"{before} {number}.") == Fraction(number)


@law
@given(st.text(max_size=60))
def test_final_number_never_fails(text):
    found = final_number(text)
    assert (found is not None) <= any(c in "0123456789" for c in text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        (" $1,234.50. ", Fraction(2469, 2)),
        (".5", Fraction(1, 2)),
        ("-3", -3),
        ("50%", 50),
        ("5 + 5 = 10\n#### 10", 10),
        ("1/2", None),
        ("12 apples", None),
        ("3 or 4", None),
        ("", None),
    ],
)
def test_whole_number(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ("reference", "text", "status"),
    [
        ("42", "I think it is 42.", Status.right),
        ("42", "42.0", Status.right),
        ("42", "42 or 43", Status.wrong),
        ("42", "no idea", Status.wrong),
        ("1234", "1,234", Status.right),
        ("one", "1", Status.error),
        (None, "1", Status.abstain),
    ],
)
def test_final_number_verdicts(reference, text, status):
    verdict = FinalNumber().judge(task(reference), stating(text))
    assert verdict.status is status
    assert verdict.score == {Status.right: 1.0, Status.wrong: 0.0}.get(status)


def test_tolerance_is_the_decimal_written():
    near = FinalNumber(0.1)
    assert near.judge(task("1"), stating("1.1")).status is Status.right  # |1.1 - 1| is 0.1 exactly
    assert near.judge(task("1"), stating("0.9")).status is Status.right
    assert near.judge(task("1"), stating("1.1000001")).status is Status.wrong
    assert FinalNumber().judge(task("0.3"), stating("0.30000000000000004")).status is Status.wrong


@pytest.mark.parametrize(
    ("text", "options", "status"),
    [
        ("dcba", {}, Status.right),
        (" dcba.\n", {}, Status.right),
        ("dcba .", {}, Status.right),
        ("dcba..", {}, Status.wrong),  # one full stop
        ("DCBA", {}, Status.wrong),
        ("DCBA", {"ignore_case": True}, Status.right),
        ("dcba ", {"strip": False}, Status.wrong),
        ("dcba", {"strip": False}, Status.right),
        ("it is dcba", {}, Status.wrong),
    ],
)
def test_exact_match(text, options, status):
    assert ExactMatch(**options).judge(task("dcba"), stating(text)).status is status


def test_exact_match_without_reference_abstains():
    assert ExactMatch().judge(task(None), stating("")).status is Status.abstain


@law
@given(st.text(max_size=20))
def test_every_reference_matches_itself(text):
    wanted = Status.right if normal(text) else Status.abstain  # an empty reference says nothing of an answer
    assert ExactMatch().judge(task(text), stating(text)).status is wanted
    assert normal(text, strip=False) == text
