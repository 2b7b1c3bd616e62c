"""Polynomials and antiderivatives, computed in a real child process."""

import pytest

from sibling.rewards.gym_answers import algebra, algebra_child
from sibling.rewards.gym_answers.readers import Item, RefusedError

pytest.importorskip("mpmath")

PRODUCT = Item("6*x**2 + x*y - y**2", {"variables": ["x", "y"]})


def short(value):
    """The name of a case: some are long."""
    return ascii(value)[:40]


@pytest.mark.parametrize("answer", ["6*x**2 + x*y - y**2", "-y^2 + y*x + 6*x**2", "6/1*x**2 + x*y - y**2"])
def test_a_polynomial_in_any_order(answer):
    assert algebra.polynomial(answer, PRODUCT) == 1.0


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("6*x**2 + x*y + y**2", "different"),
        ("(3*x - y)*(2*x + y)", "unevaluated"),  # the question itself
        ("(6*x**2 + x*y - y**2)**1", "unevaluated"),
        ("2*3*x**2 + x*y - y**2", "unevaluated"),
        ("3*x**2 + 3*x**2 + x*y - y**2", "unevaluated"),
        ("6*x*x + x*y - y**2", "unevaluated"),
        ("-(y**2 - 6*x**2 - x*y)", "unevaluated"),
        ("6*x**2 + x*y - y**2 or 0", "unreadable"),
        ("(x + 1)**500", "unevaluated"),
        ("x**10000000000", "unreadable"),
        ("0", "different"),
        ("x" * 3000, "too_long"),
    ],
    ids=short,
)
def test_what_is_not_that_polynomial(answer, code):
    with pytest.raises(RefusedError) as refused:
        algebra.polynomial(answer, PRODUCT)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("integrand", "answer"),
    [
        ("63*X**8 - 12*X**5", "7*X**9 - 2*X**6 + C"),
        ("63*X**8 - 12*X**5", "X**6*(7*X**3 - 2)"),
        ("x/3 + 1/2", "x**2/6 + x/2 + C"),
        ("2*x*exp(x**2)", "exp(x**2) + C"),
        ("2*x*exp(x**2)", "E**(x**2)"),
        ("sin(x)*cos(x)", "sin(x)**2/2"),
        ("sin(x)*cos(x)", "-cos(2*x)/4 + C"),
        ("1/x", "log(x) + C"),
        ("1/x", "log(abs(x)) + C"),
        ("sqrt(-2*x - 9)", "-(-2*x - 9)**(3/2)/3 + C"),
        ("atan(x)", "x*atan(x) - log(x**2 + 1)/2 + C"),
        ("3*x**3*cos(3*x)", "x**3*sin(3*x) + x**2*cos(3*x) - 2*x*sin(3*x)/3 - 2*cos(3*x)/9 + C"),
    ],
)
def test_an_antiderivative_in_any_form(integrand, answer):
    notes = {"integrand": integrand, "variable": "X" if "X" in integrand else "x"}
    assert algebra.antiderivative(answer, Item("", notes)) == 1.0


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Integral(2*x*exp(x**2), x) + C", "unevaluated"),
        ("integrate(x)", "unevaluated"),
        ("2*x*exp(x**2)", "different"),
        ("exp(x**2) + x", "different"),
        ("exp(x**2) + 10**-20*x", "different"),
        ("C*exp(x**2)", "different"),
        ("C", "different"),
        ("0", "different"),
        ("log(x - x)", "different"),
        ("exp(x**2) or 1", "unreadable"),
        ("y", "unevaluated"),
        ("exp(exp(exp(exp(exp(exp(exp(x**9)*999)*999)*999)*999)*999)*999)", "too_hard"),
        ("9**9**9**9**9**9**9*x", "too_hard"),
    ],
)
def test_what_is_no_antiderivative(answer, code, monkeypatch):
    monkeypatch.setattr(algebra, "SECONDS", 1.0)
    with pytest.raises(RefusedError) as refused:
        algebra.antiderivative(answer, Item("", {"integrand": "2*x*exp(x**2)", "variable": "x"}))
    assert refused.value.code in ({code, "different"} if code == "too_hard" else {code})


def test_a_polynomial_needs_an_exact_derivative():
    ask = {"kind": "antiderivative", "integrand": "2*x", "variable": "x"}
    assert algebra_child.answer({**ask, "answer": "x**2 + C"})["code"] == ""
    for answer in ("x**2 + C*x", "x**2 + x/10000000000000000000000000000000000000000", "x**3"):
        assert algebra_child.answer({**ask, "answer": answer})["code"] == "different"


def test_a_question_that_cannot_be_read_is_no_fault_of_the_answer():
    with pytest.raises(LookupError):
        algebra.antiderivative("1 + sqrt(x)", Item("", {"integrand": "sqrt(-1 - x**2)/0", "variable": "x"}))
