"""Quantities: what agrees with the reference, what hedges, what is refused."""

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.batch import Status
from sibling.config.rewards import QuantityReward
from sibling.rewards.grade import stating
from sibling.rewards.quantity import Quantity
from sibling.rewards.units import UNITS
from sibling.tasks.task import Task

QUANTITY = Quantity(QuantityReward())
LENIENT = Quantity(QuantityReward(unit_required=False))
ABOUT = Quantity(QuantityReward(relative_tolerance=0.01))


def task(reference):
    return Task("id", ({"role": "user", "content": "?"},), reference)


RIGHT = [
    ("10 m/s", "10 m/s"),
    ("10 m/s", "36 km/h"),
    ("10 m/s", "36 km/h = 10 m/s"),
    ("10 m/s", "The answer is 10 m/s."),
    ("10 m/s", "Answer: 36 km/h"),
    ("10 m/s", "\\boxed{10 \\text{ m/s}}"),
    ("10 m/s", "\\boxed{10}\\text{ m/s}"),
    ("10 m/s", "$10\\,\\mathrm{m\\,s^{-1}}$"),
    ("10 m/s", "10 metres per second"),
    ("10 m/s", "The car goes 20 m in 2 s, so its speed is 10 m/s."),
    ("10 m/s", "#### 10 m/s"),
    ("10 m/s", "10 m/s, not 36 m/s"),
    ("10 m/s", "It's not 36 m/s. It is 10 m/s"),
    ("10 m/s", "10 m/s (36 km/h)"),
    ("10 m/s", "v = 20 m / 2 s = 10 m/s"),
    ("10 m/s", "**10 m/s**"),
    ("10 m/s", "The answer is 10 m/s, since 36/3.6 = 10."),
    ("10 m/s", "Answer: v = 10 m/s"),
    ("10 m/s", "10.0 m/s"),
    ("10 m/s", "1e1 m/s"),
    ("10 m/s", "approximately 10 m/s"),
    ("10 m/s", "ten? 10 m/s"),
    ("10 m/s", "10 m·s⁻¹"),
    ("10 m/s", "10 m/s (after 3 s)"),
    ("10 m/s", "\\frac{100}{10} m/s"),
    ("10 m/s", "Answer:\n10 m/s"),
    ("10 m/s", "<think>5 m/s</think>10 m/s"),
    ("10 m/s", "3 + 7 = 10 m/s"),
    ("10 m/s", "10 m/s = 36 km/h"),
    ("1 km", "1000 m"),
    ("1000 m", "1 km"),
    ("5 ft 3 in", "63 inches"),
    ("2.5 h", "2 hours and 30 minutes"),
    ("$5.20", "5.20 dollars"),
    ("$5.20", "520 cents"),
    ("20 °C", "293.15 K"),
    ("20 °C", "68 °F"),
    ("50%", "50 percent"),
    ("0.5", "50%"),
    ("180°", "π rad"),
    ("12 apples", "12 apples"),
    ("1 apple", "1 apples"),
    ("1/3 m", "1/3 m"),
    ("1 L", "1000 cm^3"),
    ("5 kWh", "18 MJ"),
    ("1 acre", "43560 sq ft"),
    ("42", "42"),
    ("42", "The answer is 42 because of dogs"),
    ("-5 m", "-5 m"),
    ("1,000 m", "1 km"),
    ("60 rpm", "1 rev/s"),
    ("3 L", "3 liters in total"),
    ("1.5 million dollars", "$1,500,000"),
    ("5 N", "5 kg m/s^2"),
    ("5 N", "5 kg·m/s²"),
    ("7 kg", "<!-- 8 kg -->7 kg"),
    ("7 kg", r"\boxed{|m_1| = 7 kg}"),
    ("7 kg", r"\boxed{m(2) = 7 kg}"),
    ("7 kg", r"\boxed{[7 kg]}"),
    ("7 kg", r"\boxed{\text{The mass is } 7 kg (7000 g).}"),
    ("7 kg", r"\boxed{7\text{ kg of flour (after 3 s)}}"),
    ("7 kg", "The answer is 7 kg; it took 40 minutes."),
]

WRONG = [
    ("5 m", "", "no_answer"),
    ("5 m", "5 cm", "different"),
    ("5 m", "5", "no_unit"),
    ("5 m", "5 or 6 m", "hedged"),
    ("5 m", "5-6 m", "hedged"),
    ("5 m", "5 m or 6 m", "hedged"),
    ("5 m", "6 m or 5 m", "hedged"),
    ("5 m", "not 5 m", "negated"),
    ("5 m", "at least 5 m", "hedged"),
    ("5 m", "5 ± 1 m", "hedged"),
    ("5 m", "5 m?", "hedged"),
    ("5 m", "3 + 2 m", "unevaluated"),
    ("5 m", "5 m, 6 m", "hedged"),
    ("5 m", "\\boxed{5 m} \\boxed{6 m}", "hedged"),
    ("5 m", "5 m. Or maybe 6 m.", "hedged"),
    ("5 m", "Answer: 5 m\nAnswer: 6 m", "hedged"),
    ("5 m", "between 5 m and 6 m", "hedged"),
    ("5 m", "5 s", "unit"),
    ("5 m", "5 m^2", "unit"),
    ("5 m", "-5 m", "different"),
    ("5 m", "5 m/s", "unit"),
    ("5 m", "five m", "no_answer"),
    ("5 m", "5 m is wrong", "negated"),
    ("5 m", "the answer is not 5 m", "negated"),
    ("5 m", "3,5 m", "hedged"),
    ("5 m", "5 parsnips", "no_unit"),
    ("5 m", "x", "no_answer"),
    ("5 m", "5 m (6 m)", "hedged"),
    ("5 m", "> 5 m", "hedged"),
    ("5 m", "5e400 m", "different"),
    ("5 m", "1e999999999 m", "unreadable"),
    ("5 m", "5 m 6 m", "hedged"),
    ("5 m", "5 mm", "different"),
    ("5 m", "from 4 to 5 m", "hedged"),
    ("5 m", "5 m^20", "no_unit"),
    ("5 m", r"\boxed{5 m} or 6 m", "hedged"),
    ("5 m", r"6 m or \boxed{5 m}", "hedged"),
    ("5 m", "5 m or 5 s", "hedged"),
    ("5 m", "5 s or 5 m", "hedged"),
    ("5 m", "Answer: 5 m\nAnswer: 5 s", "hedged"),
    ("5 m", "Answer: 5 m. Or perhaps 5 s.", "hedged"),
    ("5 m", r"at least \boxed{5 m}", "hedged"),
    ("5 m", r"\boxed{5} m / 6 m", "hedged"),
    ("5 m", r"\boxed{5 m}?", "hedged"),
    ("5 m", r"It is not \boxed{5 m}", "negated"),
    ("5 m", r"\boxed{5 m} is wrong", "negated"),
    ("5 m", r"\boxed{5} m is wrong", "negated"),
    ("5 m", "Answer: 5 m. Or 6 m.", "hedged"),
    ("5 m", "5 m could be right but maybe 6 m", "hedged"),
    ("5 m", "2^5 m", "unreadable"),
    ("5 m", "5.5.5 m", "unreadable"),
    ("5 m", "5/0 m", "unreadable"),
    ("5 m", "<think>5 m</think>", "no_answer"),
    ("5 m", "Answer: 5 m, but it could be 6 m", "hedged"),
    ("42", "42 m", "unit"),
    ("50%", "0.4", "no_unit"),
    ("50%", "50", "no_unit"),
    ("$5", "5 €", "unit"),
    ("12 apples", "12 oranges", "no_unit"),
    ("12 apples", "12", "no_unit"),
    ("20 °C", "20 K", "different"),
    ("180°", "3.14159 rad", "different"),
    ("1 acre", "43561 sq ft", "different"),
    ("5 J", "5 N", "unit"),
    ("10^16 m", "10000000000000001 m", "different"),
    ("5 cm", r"\boxed{\neq 5 cm}", "negated"),
    ("-5 cm", r"\boxed{\ne -5 cm}", "negated"),
    ("5 cm", r"\boxed{\not= 5 cm}", "negated"),
    ("5 cm", r"\boxed{\gg 5 cm}", "hedged"),
    ("7 kg", r"anything but \boxed{7 kg}", "negated"),
    ("7 kg", r"\boxed{12 km; 40 minutes; 7 kg; 2.5 m; 5 cm}", "hedged"),
    ("7 kg", r"\boxed{7 kg; 40 minutes}", "hedged"),
    ("7 kg", r"\boxed{7 kg | 8 kg}", "hedged"),
    ("7 kg", r"\boxed{7 kg \mid 40 minutes}", "hedged"),
    ("7 kg", r"\boxed{x | m = 7 kg}", "hedged"),
    ("7 kg", r"\boxed{7 kg \text{ and } 40 minutes}", "hedged"),
    ("7 kg", "The answer is 7 kg | 8 kg", "hedged"),
    ("7 kg", "12 km; 40 minutes; 7 kg", "hedged"),
    ("7 kg", "\\boxed{[7 kg for _ in [open('x')]][0]}", "hedged"),
    ("7 kg", "\\boxed{[7 kg for _ in [open('x')]]}", "unreadable"),
    ("7 kg", "\\boxed{print(7 kg)}", "unreadable"),
    ("7 kg", r"<!-- The final answer is $\boxed{7 kg}$. -->", "no_answer"),
    ("7 kg", r"<!-- The final answer is $\boxed{7 kg}$.", "no_answer"),
]


@pytest.mark.parametrize(("reference", "text"), RIGHT)
def test_right(reference, text):
    verdict = QUANTITY.judge(task(reference), stating(text))
    assert (verdict.status, verdict.code) == (Status.right, "equal")


@pytest.mark.parametrize(("reference", "text", "code"), WRONG)
def test_wrong(reference, text, code):
    verdict = QUANTITY.judge(task(reference), stating(text))
    assert (verdict.status, verdict.code) == (Status.wrong, code)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("v = 20 m / 2 s = 10 m/s.", "10 m/s"),
        (r"so \boxed{10}\,\text{m/s} it is", r"10}\,\text{m/s"),
        ("<think>5 m/s</think>**36 km/h**", "36 km/h"),
        ("The answer is 10\u200b m/s, not 5 m/s.", "10\u200b m/s"),
    ],
)
def test_spans(text, taken):
    verdict = QUANTITY.judge(task("10 m/s"), stating(text))
    assert verdict.status is Status.right and text[slice(*verdict.span)] == taken


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("5", "equal"),
        ("5 because of the rope", "equal"),
        ("The answer is 5.", "equal"),
        ("500 cm", "equal"),
        ("5 parsnips", "unknown_unit"),
        ("5 s", "unit"),
        ("6", "different"),
    ],
)
def test_bare_numbers_by_policy(text, code):
    assert LENIENT.judge(task("5 m"), stating(text)).code == code


@pytest.mark.parametrize(
    ("reference", "text", "code"),
    [
        ("180°", "3.14159 rad", "equal"),
        ("20 °C", "20.2 °C", "equal"),  # 1 % of 20, not of 293.15
        ("20 °C", "20.3 °C", "different"),
        ("20 °C", "68 °F", "equal"),
        ("100 m", "99 m", "equal"),
        ("100 m", "98.9 m", "different"),
        ("0 m", "0.001 m", "different"),
    ],
)
def test_tolerance_is_relative_to_the_reference(reference, text, code):
    assert ABOUT.judge(task(reference), stating(text)).code == code


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("5 m", None),
        ("#### 5 m.", None),
        ("$5$", None),
        ("5 apples", None),
        ("10^400 m", None),
        ("10^401 m", "not one quantity"),
        ("5 red apples", "more than a number"),
        ("v = 5 m", "more than a number"),
        ("5 m or 6 m", "not one quantity"),
        ("3,5 m", "not one quantity"),
        ("", "not one quantity"),
        ("five", "not one quantity"),
        ("5" + " " * 400, "longer"),
        (None, "no reference"),
    ],
)
def test_problem_with(reference, words):
    found = QUANTITY.problem_with(task(reference))
    assert found is None if words is None else words in found
    verdict = QUANTITY.judge(task(reference), stating("5 m"))
    if words is not None:
        assert verdict.code == ("no_reference" if reference is None else "bad_reference")


@pytest.mark.parametrize(
    "text",
    [
        "9" * 100_000_000, "5 m " * 2000, "(5 m)" * 1000, "5 m = " * 900, r"\boxed{" * 6000, "$" * 4000, "in " * 1300,
        "(" * 20_000, "{" * 20_000, "1/" * 2000, "π" * 4000, "*" * 4000, "5 m^" * 1000, "\x00" * 4000, "\ud8005 m",
        "10^{10^{10}}", "1e999999999 m", "the answer is " * 290, r"\frac{" * 600, "1 111" * 800, "5 kg*" * 800,
        "5 m(s(kg(" * 400, "__import__('os').system('touch tripwire')",
    ],
)  # fmt: skip
def test_hostile_answers_are_refused_quickly(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = time.perf_counter()
    assert QUANTITY.judge(task("7 m"), stating(text)).status is Status.wrong
    assert time.perf_counter() - start < 5 and not list(tmp_path.iterdir())


LENGTHS = ["m", "cm", "km", "in", "ft", "mi", "nm", "ly"]


@given(st.fractions(-100, 100, max_denominator=20), st.sampled_from(LENGTHS), st.sampled_from(LENGTHS))
@settings(deadline=None)
def test_conversion_is_exact_both_ways(value, one, other):
    converted = value * UNITS[one].factor / UNITS[other].factor
    if max(len(str(converted.numerator)), len(str(converted.denominator))) < 40:
        text = f"{converted.numerator}/{converted.denominator} {other}"
        assert QUANTITY.judge(task(f"{value} {one}"), stating(text)).status is Status.right
        off = converted + Fraction(1, 10**6)
        text = f"{off.numerator}/{off.denominator} {other}"
        assert QUANTITY.judge(task(f"{value} {one}"), stating(text)).status is Status.wrong


@given(
    st.lists(
        st.sampled_from(["5 m", "6", " or ", " = ", "not ", "answer is ", "(", ")", ".", "\n", r"\boxed{", "}", "?"])
    )
)
@settings(max_examples=300, deadline=None)
def test_any_text_has_a_verdict_and_two_are_never_right(parts):
    text = "".join(parts)
    assert QUANTITY.judge(task("5 m"), stating(text)).code
    assert QUANTITY.judge(task("5 m"), stating(f"{text}\nThe answer is 5 m or 6 m.")).status is Status.wrong
