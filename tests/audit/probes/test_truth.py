"""The probes are true: equivalents evaluate to the reference, corruptions to something else.

The evaluator here is another one than the reader of the probes: it turns the text into a Python expression and walks
its tree with exact fractions. A multiple of pi is evaluated with a rational in its place, which is enough because the
values compared are linear in pi.
"""

from __future__ import annotations

import ast
import random
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.audit.kinds import Probe, Seed
from sibling.audit.probes import PROBES
from sibling.tasks.task import Task

EQUIVALENT = [p for p in PROBES if p.group == "equivalence" and "math" in p.kinds and not p.policy]
CORRUPT = [p for p in PROBES if p.group == "corruption" and "math" in p.kinds]
MARK = "@@"


def seed_of(reference: str, prompt: str = r"What is $x$?") -> Seed:
    task = Task("1", ({"role": "user", "content": prompt},), reference)
    wrap = MARK.__add__
    return Seed(task, reference, wrap, wrap(reference), (), "math", random.Random(0))


def value(text: str) -> Fraction:
    """The exact value of a number as people and models write them; ValueError if this evaluator cannot tell."""
    plain = text.strip("$ ").replace("−", "-").replace("π", r"\pi").replace(r"\,", "").replace("{,}", "")
    plain = re.sub(r"^[a-z]\s*=\s*", "", plain)
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", plain)
    plain = plain.translate({ord("０") + k: str(k) for k in range(10)})
    plain = re.sub(r"(\d+) (\d+)/(\d+)", r"(\1+\2/\3)", plain)
    plain = re.sub(r"(?<=\d)\s*\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"+\1/\2", plain)
    plain = re.sub(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}", r"((\1)/(\2))", plain)
    plain = plain.replace(r"\times", "*").replace(r"\cdot", "*").replace("^", "**").replace("{", "(").replace("}", ")")
    plain = re.sub(r"(?<=[\d)])\s*\\pi", "*(355/113)", plain).replace(r"\pi", "(355/113)")
    plain = re.sub(r"(?<![\d.])0+(?=\d)", "", plain)
    return _walk(ast.parse(plain.strip(), mode="eval").body, plain.strip())


def _walk(node: ast.AST, source: str) -> Fraction:
    match node:
        case ast.Constant():
            return Fraction(ast.get_source_segment(source, node) or "")
        case ast.UnaryOp(op=ast.USub()):
            return -_walk(node.operand, source)
        case ast.UnaryOp(op=ast.UAdd()):
            return _walk(node.operand, source)
        case ast.BinOp(op=ast.Add()):
            return _walk(node.left, source) + _walk(node.right, source)
        case ast.BinOp(op=ast.Sub()):
            return _walk(node.left, source) - _walk(node.right, source)
        case ast.BinOp(op=ast.Mult()):
            return _walk(node.left, source) * _walk(node.right, source)
        case ast.BinOp(op=ast.Div()):
            return _walk(node.left, source) / _walk(node.right, source)
        case ast.BinOp(op=ast.Pow()):
            return _walk(node.left, source) ** int(_walk(node.right, source))
    raise ValueError(f"cannot evaluate {ast.dump(node)}")


def answers(probe: Probe, seed: Seed) -> list[str]:
    return [variant.text.removeprefix(MARK) for variant in probe.make(seed)]


integers = st.integers(-(10**20), 10**20)
fractions = st.fractions(min_value=-1000, max_value=1000, max_denominator=400)
decimals = st.decimals(min_value=-10000, max_value=10000, places=4, allow_nan=False)


@st.composite
def references(draw: st.DrawFn) -> str:
    """A number, written in one of the ways references are."""
    shape = draw(st.integers(0, 5))
    if shape == 0:
        return str(draw(integers))
    if shape == 1:
        return f"{draw(decimals):f}"
    found = draw(fractions)
    if shape == 2 or found.denominator == 1:
        return str(found)
    sign = "-" if found < 0 else ""
    if shape == 3:
        return rf"{sign}\frac{{{abs(found.numerator)}}}{{{found.denominator}}}"
    if shape == 4:
        return rf"\frac{{{abs(found.numerator)}\pi}}{{{found.denominator}}}"
    return f"x = {found}"


@given(references())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_an_equivalent_number_has_the_same_value(reference: str) -> None:
    seed = seed_of(reference)
    made = 0
    for probe in EQUIVALENT:
        for answer in answers(probe, seed):
            assert value(answer) == value(reference), (probe.name, reference, answer)
            made += 1
    assert made


@given(references())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_corrupted_number_has_another_value(reference: str) -> None:
    seed = seed_of(reference)
    made = 0
    for probe in CORRUPT:
        for answer in answers(probe, seed):
            assert value(answer) != value(reference), (probe.name, reference, answer)
            made += 1
    assert made or value(reference) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 3/4", Fraction(7, 4)),
        (r"1\frac{3}{4}", Fraction(7, 4)),
        ("042", 42),
        (r"1.2 \times 10^{-4}", Fraction(3, 25000)),
        ("-1,234.5", Fraction(-2469, 2)),
        ("x = 5", 5),
        ("4.2E+1", 42),
        (r"-\dfrac{1}{2}", Fraction(-1, 2)),
    ],
)
def test_the_evaluator_of_these_tests_by_hand(text: str, expected: Fraction) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("reference", "probe", "none_of"),
    [
        ("1/1", "inverted_fraction", ["1"]),  # 1 inverted is 1
        ("0", "sign", ["0", "-0"]),
        ("0", "times_ten", ["0"]),
        ("11", "digits_swapped", ["11"]),
        ("50%", "times_hundred", ["5000%"]),  # a matter of percent, not of value
        (r"\{1, 1.0\}", "element_dropped", [r"\{1\}"]),  # 1.0 is there already
        ("(2,2)", "tuple_swapped", ["(2, 2)"]),
        ("[3,3)", "interval_ends", ["[3, 3]", "(3, 3)"]),
    ],
)
def test_where_a_corruption_might_change_nothing_it_is_not_made(reference: str, probe: str, none_of: list[str]) -> None:
    found = next(p for p in PROBES if p.name == probe)
    made = answers(found, seed_of(reference))
    assert not set(made) & set(none_of)


@pytest.mark.parametrize(
    ("reference", "probe", "expected"),
    [
        (r"\{1,2,3\}", "set_order", r"\{3, 2, 1\}"),
        (r"\{1,2\}", "set_repeat", r"\{1, 1, 2\}"),
        ("[0,1)", "interval_as_inequality", r"0 \le x < 1"),
        ("1<x<3", "interval_as_inequality", "(1, 3)"),
        (r"x\ge 3", "inequality_as_interval", r"[3, \infty)"),
        (r"x\ge 3", "inequality_turned", r"3 \le x"),
        (r"2\sqrt{3}", "root_spellings", r"\sqrt{12}"),
        (r"\frac{\sqrt{2}}{2}", "root_spellings", r"\frac{1}{\sqrt{2}}"),
        (r"\sqrt{12}", "root_spellings", r"2\sqrt{3}"),
        ("x^2+2x", "factored", "x(x+2)"),
        ("x^2-3x+1", "term_order", "1-3x+x^{2}"),
        ("-2(x+1)^2(x-3)", "expanded", "-2x^{3}+2x^{2}+10x+6"),  # -2 (x^2+2x+1)(x-3)
        (r"5\text{ cm}", "unit_spelling", "5 cm"),
        (r"\text{Tuesday}", "text_command", "Tuesday"),
        (r"30^\circ", "degree_sign", "30°"),
        ("50%", "percent_as_number", "0.5"),
    ],
)
def test_equivalents_by_hand(reference: str, probe: str, expected: str) -> None:
    found = next(p for p in PROBES if p.name == probe)
    assert expected in answers(found, seed_of(reference))


@pytest.mark.parametrize(
    ("reference", "probe", "expected"),
    [
        ("10000000000000001", "big_integer", "10000000000000000"),
        ("0.0000001", "small_number_doubled", "0.0000002"),
        ("(1,2)", "tuple_as_set", r"\{1, 2\}"),
        (r"\{1,2\}", "set_as_tuple", "(1, 2)"),
        ("[0,1]", "interval_ends", "(0, 1]"),
        (r"x\ge 3", "strictness", "x > 3"),
        ("3:4", "ratio_swapped", "4:3"),
        ("3.14159", "rounded", "3.14"),
        (r"2\pi", "pi_dropped", "2"),
        ("5 cm", "wrong_unit", "5 m"),
        (
            r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
            "matrix_transposed",
            r"\begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}",
        ),
        ("x^2+2x", "polynomial_constant", "x^{2}+2x+1"),
    ],
)
def test_corruptions_by_hand(reference: str, probe: str, expected: str) -> None:
    found = next(p for p in PROBES if p.name == probe)
    assert expected in answers(found, seed_of(reference))


@given(st.integers(2, 60), st.fractions(min_value=-20, max_value=20, max_denominator=30))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_root_spellings_have_the_same_sign_and_square(radicand: int, factor: Fraction) -> None:
    if factor == 0 or int(radicand**0.5 + 0.5) ** 2 == radicand:
        return
    reference = rf"\frac{{{abs(factor.numerator)}\sqrt{{{radicand}}}}}{{{factor.denominator}}}"
    reference = ("-" if factor < 0 else "") + reference
    probe = next(p for p in PROBES if p.name == "root_spellings")
    made = answers(probe, seed_of(reference))
    assert made
    for answer in made:
        assert _square(answer) == factor**2 * radicand
        assert answer.startswith("-") == (factor < 0)
    spoiled = next(p for p in PROBES if p.name == "root_changed")
    for answer in answers(spoiled, seed_of(reference)):
        assert r"\sqrt" not in answer or _square(answer) != factor**2 * radicand


def _square(text: str) -> Fraction:
    r"""The square of a text with one \sqrt in it, which is rational."""
    inside = re.search(r"\\sqrt\{((?:[^{}]|\{[^{}]*\})*)\}", text)
    assert inside is not None
    root = value(inside[1])
    outer = text[: inside.start()] + "@" + text[inside.end() :]
    if re.search(r"\}\{[^}]*@", outer):  # below the line
        whole = re.sub(r"(\d+)@", r"\1", outer).replace("{@}", "{1}")
        return value(whole) ** 2 / root
    whole = re.sub(r"([\d)])@", r"\1", outer).replace("@", "1")
    return value(whole) ** 2 * root


def _at(text: str, x: Fraction) -> Fraction:
    """The value of a polynomial in x at a point."""
    plain = text.replace(r"\cdot", "*").replace("{", "").replace("}", "").replace(" ", "")
    plain = re.sub(r"(?<=[\dx)])(?=[x(])", "*", plain).replace("^", "**")
    plain = plain.replace("x", f"({x.numerator}/{x.denominator})")
    return _walk(ast.parse(plain, mode="eval").body, plain)


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=5), st.integers(-4, 4), st.integers(1, 3))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_polynomials_rewritten_and_spoiled(coefficients: list[int], root: int, power: int) -> None:
    plain = "+".join(f"{c}x^{k}" for k, c in enumerate(coefficients) if c and k > 1).replace("+-", "-")
    product = f"3(x+{root})^{power}(x-2)".replace("+-", "-")
    points = [Fraction(3, 7), Fraction(-5, 2), Fraction(11)]
    for reference in [product, *([plain] if plain else [])]:
        seed = seed_of(reference)
        for probe in PROBES:
            if "math" not in probe.kinds or probe.policy or probe.group not in ("equivalence", "corruption"):
                continue
            for answer in answers(probe, seed):
                same_value = [_at(answer, x) == _at(reference, x) for x in points]
                assert all(same_value) if probe.expect == "keep" else not all(same_value), (
                    probe.name,
                    reference,
                    answer,
                )
