"""Runs in a child process: high-precision values of two parsed trees at random points, then sympy for what has none.

The objects of sympy are built here, node by node; nothing is parsed from text. Expressions are equal if they agree to
at least 40 digits at every point where both are real (at 3 points or more), positive and negative. Where our evaluator
has no values (roundings, powers of negative numbers ...) the difference has to simplify to 0 in the time there is.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import mpmath
import sympy

from sibling.rewards.math.numeric import Arithmetic, Evaluator, UnknownError
from sibling.rewards.math.tree import Node, from_json, symbols_of

_LEAST_DIGITS, _MOST_DIGITS, _SPARE = 60, 3_000, 20
_POINTS, _ENOUGH = 12, 3
_SHARE = 0.4  # of the time, in which sympy has to be done


def answer(request: dict[str, Any]) -> tuple[Any, float]:
    """What is said of the request, and the seconds it took.

    Trees `wanted` and `given`: "equal", "different" or "too_hard". `texts`: whether math-verify takes them for equal.
    """
    begun = time.monotonic()
    said = _opinion(*request["texts"]) if "texts" in request else _decided(request)
    return said, time.monotonic() - begun


def _decided(request: dict[str, Any]) -> str:
    wanted, given = from_json(request["wanted"]), from_json(request["given"])
    found = _by_points(wanted, given, request["base"], json.dumps([request["wanted"], request["given"]]))
    if found is not None:
        return found
    try:
        with _limited(_SHARE * request["seconds"]):
            return "equal" if _is_zero(wanted, given, request["base"]) else "different"
    except (_LateError, RecursionError, MemoryError):
        return "too_hard"
    except (NotImplementedError, TypeError, ValueError, ArithmeticError, AttributeError, UnknownError):
        return "different"  # sympy has no such thing, or it is undefined


def _by_points(wanted: Node, given: Node, base: str, seed: str) -> str | None:
    names = sorted(symbols_of(wanted) | symbols_of(given))
    digits = _LEAST_DIGITS + max(_digits(wanted), _digits(given))
    if digits > _MOST_DIGITS:
        return "too_hard"
    real = not any(p.kind == "const" and p.name == "i" for node in (wanted, given) for p in node.walk())
    numbers = random.Random(hashlib.sha256(seed.encode()).digest())
    agreed = 0
    with mpmath.workdps(digits):
        on = _arithmetic()
        for turn in range(_POINTS if names else 1):
            point = {n: on.number(_coordinate(numbers, turn)) for n in names}
            pair = _values(on, wanted, given, point, base)
            if pair is None or (real and not all(_is_real(v, pair[2], digits) for v in pair[:2])):
                continue
            if abs(pair[0] - pair[1]) > mpmath.mpf(10) ** (_SPARE - digits) * pair[2]:
                return "different"
            agreed += 1
    return "equal" if agreed >= (_ENOUGH if names else 1) else None


def _coordinate(numbers: random.Random, turn: int) -> Fraction:
    """All positive first, then of either sign."""
    size = Fraction(numbers.randrange(1_000, 40_000), 9_973)
    return -size if turn >= _POINTS // 3 and numbers.random() < 0.5 else size


def _values(on: Arithmetic, wanted: Node, given: Node, point: dict[str, Any], base: str) -> tuple[Any, Any, Any] | None:
    one, two = Evaluator(on, point, base), Evaluator(on, point, base)
    try:
        return one.value(wanted), two.value(given), mpmath.mpf(max(one.size, two.size, 1e-300))
    except UnknownError:
        return None


def _is_real(value: Any, size: Any, digits: int) -> bool:
    return bool(abs(value.imag) <= mpmath.mpf(10) ** (_SPARE - digits) * size)


def _digits(node: Node) -> int:
    """Decimal digits of the longest number in `node`, twice over."""
    return (
        max((max(p.value.numerator.bit_length(), p.value.denominator.bit_length()) for p in node.walk()), default=0)
        * 2
        // 3
    )


def _arithmetic() -> Arithmetic:
    functions = {"exp": "exp", "ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
    functions |= {name: name for name in ("sin", "cos", "sinh", "cosh", "gamma")}
    made = {name: getattr(mpmath, theirs) for name, theirs in functions.items()}
    return Arithmetic(lambda v: mpmath.mpc(mpmath.mpf(v.numerator) / v.denominator), mpmath.pi + 0, mpmath.e + 0, made)


# ------------------------------------------------------------------------------------------- sympy


class _LateError(Exception):
    pass


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `_LateError` inside after `seconds` of processor time; the parent's own bound stands behind this one."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGVTALRM, _ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _ring(number: int, frame: Any) -> None:
    raise _LateError


def _is_zero(wanted: Node, given: Node, base: str) -> bool:
    build = _Builder(base)
    difference = build.of(wanted) - build.of(given)
    if difference.has(sympy.nan, sympy.zoo, sympy.oo):
        return False
    return bool(sympy.simplify(difference) == 0 or sympy.gammasimp(sympy.expand_func(difference)) == 0)


_MADE: dict[str, Callable[..., Any]] = {
    "sqrt": sympy.sqrt,
    "cbrt": sympy.cbrt,
    "abs": sympy.Abs,
    "ln": sympy.log,
    "exp": sympy.exp,
    "factorial": sympy.factorial,
    "binom": sympy.binomial,
    "floor": sympy.floor,
    "ceil": sympy.ceiling,
    "root": sympy.root,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "arccot": sympy.acot,
    **{name: getattr(sympy, name) for name in ["sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh"]},
}


class _Builder:
    def __init__(self, base: str) -> None:
        self._base = base

    def of(self, node: Node) -> Any:
        kind = node.kind
        if kind == "num":
            return sympy.Rational(node.value.numerator, node.value.denominator)
        if kind == "sym":
            return sympy.Symbol(node.name, real=True)
        if kind == "const":
            return {"pi": sympy.pi, "e": sympy.E, "i": sympy.I}[node.name]
        parts = [self.of(part) for part in node.args]
        if kind == "add":
            return sympy.Add(*parts)
        if kind == "mul":
            return sympy.Mul(*parts)
        if kind == "neg":
            return -parts[0]
        if kind in ("div", "ratio"):
            return parts[0] / parts[1]
        if kind == "pow":
            return self._power(node, parts)
        if kind != "call":
            raise UnknownError(kind)
        return self._call(node, parts)

    def _power(self, node: Node, parts: list[Any]) -> Any:
        base, exponent = parts
        if exponent.is_number and base.is_number and abs(sympy.N(exponent, 15)) > 10_000:
            raise UnknownError("a power that is too high")
        return base**exponent

    def _call(self, node: Node, parts: list[Any]) -> Any:
        name = node.name
        if name in ("factorial", "binom") and any(p.is_number and abs(sympy.N(p, 15)) > 2_000 for p in parts):
            raise UnknownError(name)
        if name == "log":
            base = parts[1] if len(parts) > 1 else sympy.Integer(10) if self._base == "10" else sympy.E
            return sympy.log(parts[0]) / sympy.log(base)
        if name not in _MADE:
            raise UnknownError(name)
        return _MADE[name](*parts)


def _opinion(wanted: str, given: str) -> bool:
    import math_verify

    parsed = [math_verify.parse(f"${text}$", parsing_timeout=None, raise_on_error=False) for text in (wanted, given)]
    return all(parsed) and bool(math_verify.verify(*parsed, timeout_seconds=None, raise_on_error=False))
