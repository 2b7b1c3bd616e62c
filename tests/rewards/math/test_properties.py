"""Laws: a value equals itself however it is written, a changed value does not, and order of arguments is no matter."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sibling.batch import Status

LAWS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

numbers = st.fractions(min_value=-10_000, max_value=10_000, max_denominator=500)
whole = st.integers(-(10**20), 10**20)
symbols = st.sampled_from(["x", "y", "n", "a"])


def frac(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


expressions = st.recursive(
    st.one_of(st.integers(0, 12).map(str), symbols, st.sampled_from([r"\pi", r"\sqrt{2}", r"\sqrt{3}"])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: f"({p[0]}+{p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})({p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}-{p[1]})"),
        inner.map(lambda e: f"({e})^2"),
        inner.map(lambda e: f"\\frac{{{e}}}{{7}}"),
        inner.map(lambda e: f"\\sin({e})"),
    ),
    max_leaves=5,
)


PIECES = [
    r"\frac", r"\sqrt", r"{", r"}", r"(", r")", r"[", r"]", r"\{", r"\}", r"^", r"_", r"+", r"-", r"*", r"/",
    r"=", r"<", r">", r",", r";", r":", r"|", r"!", r"%", r"$", r"1", r"23", r".5", r"x", r"y", r"\pi", r"e",
    r"i", r"\text", r"\boxed", r"\left", r"\right", r"&", r"\\", r"\begin{pmatrix}", r"\end{pmatrix}", r"\in",
    r"\cup", r"\infty", r"\pm", r"\sin", r"\log", r"cm", r"or", r"and", r"not",
]  # fmt: skip


def box(text: str) -> str:
    return f"So $\\boxed{{{text}}}$."


def accepts(judging: Any, reference: str, answer: str) -> bool:
    return bool(judging(reference, box(answer)).status is Status.right)


@LAWS
@given(value=numbers)
def test_a_fraction_in_all_its_spellings(value: Fraction, judging: Any) -> None:
    spellings = [frac(value), f"{value.numerator}/{value.denominator}", frac(value).replace("frac", "dfrac")]
    if value.denominator == 1:
        spellings += [str(value.numerator), f"{value.numerator}.0", f"{value.numerator:,}"]
    if abs(value) > 1 and value.denominator > 1:
        whole_part, rest = divmod(abs(value), 1)
        spellings.append(f"{'-' if value < 0 else ''}{whole_part}{frac(rest)}")
    for reference in spellings:
        for answer in spellings:
            assert accepts(judging, reference, answer), (reference, answer)


@LAWS
@given(value=numbers, other=numbers)
def test_another_fraction_is_refused_both_ways(value: Fraction, other: Fraction, judging: Any) -> None:
    assume(value != other)
    assert not accepts(judging, frac(value), frac(other))
    assert not accepts(judging, frac(other), frac(value))


@LAWS
@given(value=whole)
def test_a_changed_integer_is_refused(value: int, judging: Any) -> None:
    assert accepts(judging, str(value), f"{value:,}")
    for other in (value + 1, value - 1, value * 10, -value, value + 10**19, int(str(abs(value))[::-1])):
        if other != value:
            assert not accepts(judging, str(value), str(other)), (value, other)


@LAWS
@given(expression=expressions)
def test_an_expression_equals_itself_and_not_a_neighbour(expression: str, judging: Any) -> None:
    assert accepts(judging, expression, expression)
    assert accepts(judging, expression, f"({expression})+0")
    assert accepts(judging, f"0+{expression}", expression)
    assert not accepts(judging, expression, f"({expression})+1")
    assert not accepts(judging, f"{expression}+x^3", expression)


@LAWS
@given(left=expressions, right=expressions)
def test_comparison_is_symmetric_and_sums_commute(left: str, right: str, judging: Any) -> None:
    assert accepts(judging, left, right) == accepts(judging, right, left)
    assert accepts(judging, f"({left})+({right})", f"({right})+({left})")
    assert accepts(judging, f"({left}-{right})({left}+{right})", f"({left})^2-({right})^2")


@LAWS
@given(items=st.lists(numbers, min_size=2, max_size=6, unique=True), data=st.data())
def test_sets_have_no_order_and_tuples_do(items: list[Fraction], data: Any, judging: Any) -> None:
    shuffled = data.draw(st.permutations(items))
    one, two = (", ".join(frac(v) for v in values) for values in (items, shuffled))
    assert accepts(judging, f"\\{{{one}\\}}", f"\\{{{two}\\}}")
    assert accepts(judging, f"({one})", f"({two})") == (list(shuffled) == items)
    less = ", ".join(frac(v) for v in items[1:])
    assert not accepts(judging, f"\\{{{one}\\}}", f"\\{{{less}\\}}")


@LAWS
@given(low=numbers, width=st.fractions(min_value=Fraction(1, 10), max_value=50, max_denominator=60), data=st.data())
def test_intervals_and_their_ends(low: Fraction, width: Fraction, data: Any, judging: Any) -> None:
    high = low + width
    opening, closing = data.draw(st.sampled_from("[(")), data.draw(st.sampled_from("])"))
    interval = f"{opening}{frac(low)}, {frac(high)}{closing}"
    first, second = ("<" if bracket in "()" else r"\le" for bracket in (opening, closing))
    chain = f"{frac(low)} {first} x {second} {frac(high)}"
    assert accepts(judging, interval, chain)
    assert accepts(judging, chain, interval)
    other = f"{'[' if opening == '(' else '('}{frac(low)}, {frac(high)}{closing}"
    assert not accepts(judging, interval, other)
    assert not accepts(judging, chain, other)


@LAWS
@given(value=numbers, wrong=numbers)
def test_offering_two_values_is_refused(value: Fraction, wrong: Fraction, judging: Any) -> None:
    assume(value != wrong)
    right_, other = frac(value), frac(wrong)
    for text in (
        f"\\boxed{{{right_}}} or \\boxed{{{other}}}",
        f"\\boxed{{{other}}} or \\boxed{{{right_}}}",
        f"\\boxed{{{right_}}} or ${other}$",
        f"\\boxed{{{right_}\\text{{ or }}{other}}}",
        f"It is not \\boxed{{{right_}}}.",
    ):
        assert judging(frac(value), text).status is Status.wrong, text


@LAWS
@given(text=st.text(max_size=200))
def test_any_text_gets_a_verdict(text: str, judging: Any) -> None:
    for completion in (text, box(text), f"The answer is {text}"):
        assert judging("42.5", completion).reason
        assert judging(text, completion).reason


@LAWS
@given(
    text=st.lists(
        st.sampled_from(PIECES),
        max_size=25,
    ).map(" ".join)
)
def test_any_heap_of_tokens_gets_a_verdict(text: str, judging: Any) -> None:
    assert judging("7/3", box(text)).reason
    assert judging(text, box(text)).reason


@pytest.mark.parametrize("digits", [100, 1000, 1900])
def test_numbers_of_many_digits_are_exact(digits: int, judging: Any) -> None:
    value = "7" * digits
    assert accepts(judging, value, value + ".0")
    assert not accepts(judging, value, value[:-1] + "8")
