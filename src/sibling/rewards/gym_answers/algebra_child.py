"""The process in which `rewards.gym_answers.algebra` computes with expressions.

Polynomials are multiplied out exactly. An antiderivative is checked by differentiating it: exactly, if it and the
integrand are polynomials; else its derivative is computed without rounding worth the name (60 digits, by dual numbers)
at up to sixteen points where the integrand is real, and compared there to 30 digits.
Not covered: a difference below 30 digits, such as a term with the coefficient exp(-1000).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from sibling.rewards.gym_answers.readers import RefusedError, need
from sibling.rewards.gym_answers.terms import Tree, read

mpmath: Any = importlib.import_module("mpmath")  # imported so because it has no annotations
mpmath.mp.dps = 60

Polynomial = dict[tuple[int, ...], Fraction]

_MOST_TERMS = 5_000
_MOST_DEGREE = 500
_DIGITS = 30
_NEAR = [Fraction(n, 97) for n in (13, -17, 29, -37, 43, -53, 61, -71, 89, -101, 131, -151, 173, -191, 229, -263)]
_FAR = [Fraction(n, 97) for n in (419, -449, 701, -733, 1049, -1087, 2003, -2081, 5021, -5101)]
_LEAST_POINTS = 3


def answer(request: Mapping[str, Any]) -> dict[str, str]:
    """`{"code", "reason"}`: why the answer is not accepted, or an empty code.

    "kind" is polynomial ("reference", "variables") or antiderivative ("integrand", "variable"); both have "answer".
    """
    try:
        if request["kind"] == "polynomial":
            _expanded(request["answer"], request["reference"], request["variables"])
        else:
            _antiderivative(request["answer"], request["integrand"], request["variable"])
    except RefusedError as refused:
        return {"code": refused.code, "reason": refused.reason}
    return {"code": "", "reason": ""}


# ---------------------------------------------------------------------------------------- polynomials


def _expanded(text: str, reference: str, names: list[str]) -> None:
    """Refuse `text` unless it is the reference, multiplied out and collected."""
    stated = _sum_of_terms(read(text, names), names)
    need(stated == polynomial(read(reference, names), names), "another polynomial", "different")


def _sum_of_terms(tree: Tree, names: list[str]) -> Polynomial:
    """The polynomial of a sum of terms that differ in their powers."""
    terms: list[Tree] = []
    waiting = [(tree, 1)]
    while waiting:
        part, sign = waiting.pop()
        if part.kind in ("+", "-"):
            waiting += [(part.parts[0], sign), (part.parts[1], sign if part.kind == "+" else -sign)]
        elif part.kind == "neg" and part.parts[0].kind in ("+", "-"):
            raise RefusedError("a bracket is not multiplied out", "unevaluated")
        else:
            terms.append(part if sign > 0 else Tree("neg", (part,)))
    total: Polynomial = {}
    for term in terms:
        _check_term(term)
        for powers, coefficient in polynomial(term, names).items():
            need(powers not in total, "terms of the same powers are not collected", "unevaluated")
            total[powers] = coefficient
    return total


def _check_term(tree: Tree) -> None:
    """Refuse a term with a sum in it, a power to work out, or factors to multiply."""
    numbers, names = 0, list[str]()
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if part.kind in ("*", "neg"):
            waiting += part.parts
        elif part.kind == "/":
            need(part.parts[1].kind == "number", "a quotient is left to do", "unevaluated")
            waiting.append(part.parts[0])
        elif part.kind == "**":
            plain = part.parts[0].kind == "name" and part.parts[1].kind == "number"
            need(plain, "a power is left to do", "unevaluated")
            names.append(part.parts[0].name)
        elif part.kind == "name":
            names.append(part.name)
        else:
            need(part.kind == "number", "a bracket is not multiplied out", "unevaluated")
            numbers += 1
    need(numbers <= 1 and len(set(names)) == len(names), "a product is left to do", "unevaluated")


def polynomial(tree: Tree, names: list[str]) -> Polynomial:
    """The tree multiplied out. Raises `RefusedError` if it is no polynomial with rational coefficients."""
    if tree.kind == "number":
        return {(0,) * len(names): tree.value} if tree.value else {}
    if tree.kind == "name":
        need(tree.name in names, "not a polynomial", "unreadable")
        return {tuple(int(name == tree.name) for name in names): Fraction(1)}
    if tree.kind == "neg":
        return {powers: -c for powers, c in polynomial(tree.parts[0], names).items()}
    need(tree.kind in ("+", "-", "*", "/", "**"), "not a polynomial", "unreadable")
    one, other = (polynomial(part, names) for part in tree.parts)
    if tree.kind == "+":
        return _added(one, other, 1)
    if tree.kind == "-":
        return _added(one, other, -1)
    if tree.kind == "*":
        return _multiplied(one, other)
    constant = _constant(other, names)
    if tree.kind == "/":
        need(constant, "it divides by 0", "unreadable")
        return {powers: c / constant for powers, c in one.items()}
    need(constant.denominator == 1 and 0 <= constant <= _MOST_DEGREE, "not a polynomial", "unreadable")
    power: Polynomial = {(0,) * len(names): Fraction(1)}
    for _ in range(int(constant)):
        power = _multiplied(power, one)
    return power


def _constant(terms: Polynomial, names: list[str]) -> Fraction:
    need(set(terms) <= {(0,) * len(names)}, "not a polynomial", "unreadable")
    return terms.get((0,) * len(names), Fraction(0))


def _added(one: Polynomial, other: Polynomial, sign: int) -> Polynomial:
    total = dict(one)
    for powers, c in other.items():
        total[powers] = total.get(powers, Fraction(0)) + sign * c
    return {powers: c for powers, c in total.items() if c}


def _multiplied(one: Polynomial, other: Polynomial) -> Polynomial:
    need(len(one) * len(other) <= 100 * _MOST_TERMS, "it has too many terms", "too_hard")
    total: Polynomial = {}
    for left, a in one.items():
        for right, b in other.items():
            powers = tuple(i + j for i, j in zip(left, right, strict=True))
            total[powers] = total.get(powers, Fraction(0)) + a * b
    total = {powers: c for powers, c in total.items() if c}
    need(len(total) <= _MOST_TERMS, "it has too many terms", "too_hard")
    need(all(max(powers, default=0) <= _MOST_DEGREE for powers in total), "its degree is too high", "too_hard")
    return total


# ------------------------------------------------------------------------------------- antiderivatives


def _antiderivative(text: str, integrand: str, variable: str) -> None:
    """Refuse `text` unless its derivative is the integrand. C (and c) may be the constant of integration."""
    constants = [name for name in ("C", "c") if name != variable]
    tree = read(text, [variable, "E", "pi", *constants])
    wanted = read(integrand, [variable, "E", "pi"])
    try:
        one, other = (polynomial(part, [variable, *constants]) for part in (tree, wanted))
    except RefusedError:
        _compare_at_points(tree, wanted, variable)
        return
    derivative: Polynomial = {}
    for (power, *rest), c in one.items():
        need(power == 0 or not any(rest), "the constant of integration is a factor", "different")
        if power:
            derivative[(power - 1, *rest)] = c * power
    need(derivative == other, "its derivative is not the integrand", "different")


def _compare_at_points(tree: Tree, wanted: Tree, variable: str) -> None:
    """Compare where the integrand is real, at small numbers first; where it is nowhere, at complex values too."""
    found = [(x, value) for point in _NEAR + _FAR for x, value in _value_at(point, wanted, variable)]
    real = [(x, value) for x, value in found if mpmath.im(value) == 0][: len(_NEAR)]
    compared = real if len(real) >= _LEAST_POINTS else found
    need(len(compared) >= _LEAST_POINTS, "the integrand has a value in too few places", "bad_reference")
    names = [name for name in ("C", "c") if name != variable]
    for x, value in compared:
        for constant in (mpmath.mpf(0), mpmath.mpf(2)):
            values = {variable: (x, 1), **dict.fromkeys(names, (constant, 0))}
            need(_agrees(tree, values, value), "its derivative is not the integrand", "different")


def _value_at(point: Fraction, tree: Tree, variable: str) -> list[tuple[Any, Any]]:
    """[(x, value)], or nothing where there is none."""
    x = mpmath.mpf(point.numerator) / point.denominator
    try:
        value = _dual(tree, {variable: (x, 1)})[0]
    except (ZeroDivisionError, ValueError, OverflowError):
        return []
    return [(x, value)] if mpmath.isfinite(value) else []


def _agrees(tree: Tree, values: Mapping[str, Any], wanted: Any) -> bool:
    try:
        derivative = _dual(tree, values)[1]
    except (ZeroDivisionError, ValueError, OverflowError):
        return False
    size = max(1, abs(wanted))
    return bool(mpmath.isfinite(derivative) and abs(derivative - wanted) <= size * mpmath.mpf(10) ** -_DIGITS)


def _dual(tree: Tree, values: Mapping[str, Any]) -> tuple[Any, Any]:
    """(value, derivative) of the tree, where `values` gives both for each name."""
    if tree.kind == "number":
        return mpmath.mpf(tree.value.numerator) / tree.value.denominator, mpmath.mpf(0)
    if tree.kind == "name":
        constants = {"E": mpmath.e, "pi": mpmath.pi}
        return (+constants[tree.name], mpmath.mpf(0)) if tree.name in constants else values[tree.name]
    if tree.kind == "function":
        value, slope = _dual(tree.parts[0], values)
        compute, derive = _FUNCTIONS[tree.name]
        return compute(value), (derive(value) * slope if slope else mpmath.mpf(0))
    parts = [_dual(part, values) for part in tree.parts]
    if tree.kind == "neg":
        return -parts[0][0], -parts[0][1]
    (u, du), (v, dv) = parts
    if tree.kind == "+":
        return u + v, du + dv
    if tree.kind == "-":
        return u - v, du - dv
    if tree.kind == "*":
        return u * v, du * v + u * dv
    if tree.kind == "/":
        return u / v, (du * v - u * dv) / (v * v)
    value = mpmath.power(u, v)
    slope = v * mpmath.power(u, v - 1) * du if du else mpmath.mpf(0)
    return value, slope + (value * mpmath.log(u) * dv if dv else 0)


def _sign(x: Any) -> Any:
    need(mpmath.im(x) == 0, "an absolute value of what is not real", "unreadable")
    return mpmath.sign(x)


_Function = Callable[[Any], Any]
_FUNCTIONS: dict[str, tuple[_Function, _Function]] = {
    "exp": (mpmath.exp, mpmath.exp),
    "log": (mpmath.log, lambda x: 1 / x),
    "ln": (mpmath.log, lambda x: 1 / x),
    "sqrt": (mpmath.sqrt, lambda x: 1 / (2 * mpmath.sqrt(x))),
    "sin": (mpmath.sin, mpmath.cos),
    "cos": (mpmath.cos, lambda x: -mpmath.sin(x)),
    "tan": (mpmath.tan, lambda x: 1 + mpmath.tan(x) ** 2),
    "sec": (mpmath.sec, lambda x: mpmath.sec(x) * mpmath.tan(x)),
    "csc": (mpmath.csc, lambda x: -mpmath.csc(x) * mpmath.cot(x)),
    "cot": (mpmath.cot, lambda x: -(mpmath.csc(x) ** 2)),
    "asin": (mpmath.asin, lambda x: 1 / mpmath.sqrt(1 - x * x)),
    "acos": (mpmath.acos, lambda x: -1 / mpmath.sqrt(1 - x * x)),
    "atan": (mpmath.atan, lambda x: 1 / (1 + x * x)),
    "sinh": (mpmath.sinh, mpmath.cosh),
    "cosh": (mpmath.cosh, mpmath.sinh),
    "tanh": (mpmath.tanh, lambda x: 1 - mpmath.tanh(x) ** 2),
    "asinh": (mpmath.asinh, lambda x: 1 / mpmath.sqrt(1 + x * x)),
    "acosh": (mpmath.acosh, lambda x: 1 / (mpmath.sqrt(x - 1) * mpmath.sqrt(x + 1))),
    "atanh": (mpmath.atanh, lambda x: 1 / (1 - x * x)),
    "abs": (abs, _sign),
    "Abs": (abs, _sign),
    "erf": (mpmath.erf, lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)),
}
