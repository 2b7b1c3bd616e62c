"""The value of an expression at a point, to double precision here and to any precision in the child process.

One evaluator for both: `Arithmetic` names the functions it needs (those of `cmath`, or of mpmath). Symbols are real;
a root of odd order of a negative number is the real one.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sibling.rewards.math.tree import Node
from sibling.rewards.math.units import DEGREE, PERCENT


class UnknownError(Exception):
    """There is no value at this point, or it is beyond the range of the arithmetic."""


@dataclass(frozen=True)
class Arithmetic:
    """Numbers and functions: `number` makes one of a fraction, `functions` take and give complex numbers."""

    number: Callable[[Fraction], Any]
    pi: Any
    e: Any
    functions: Mapping[str, Callable[[Any], Any]]
    largest: float = 1e200


def _float(value: Fraction) -> complex:
    return complex(float(value))


def _gamma(value: complex) -> complex:
    if value.imag:
        raise ValueError("only of real numbers here")
    return complex(math.gamma(value.real))


DOUBLE = Arithmetic(
    _float,
    math.pi,
    math.e,
    {
        "exp": cmath.exp,
        "ln": cmath.log,
        "sin": cmath.sin,
        "cos": cmath.cos,
        "arcsin": cmath.asin,
        "arccos": cmath.acos,
        "arctan": cmath.atan,
        "sinh": cmath.sinh,
        "cosh": cmath.cosh,
        "gamma": _gamma,
    },
)


class Evaluator:
    """Values of trees. `size` is the largest absolute value met: the scale of rounding errors."""

    def __init__(self, arithmetic: Arithmetic, point: Mapping[str, Any], base: str = "10") -> None:
        self._on, self._point, self._base = arithmetic, point, base
        self.size = 0.0

    def value(self, node: Node) -> Any:
        """The value. Raises `UnknownError` where there is none."""
        try:
            found = self._value(node)
        except (ZeroDivisionError, OverflowError, ValueError) as failure:
            raise UnknownError(str(failure)) from None
        size = float(abs(found))
        if not size < self._on.largest:
            raise UnknownError("beyond the range")
        self.size = max(self.size, size)
        return found

    def _value(self, node: Node) -> Any:
        kind, on = node.kind, self._on
        if kind == "num":
            return on.number(node.value)
        if kind == "sym":
            return self._point[node.name]
        if kind == "const":
            return self._constant(node.name)
        if kind == "unit" and node.name in (PERCENT, DEGREE):
            return on.number(Fraction(1, 100)) if node.name == PERCENT else on.pi / on.number(Fraction(180))
        if kind not in ("add", "neg", "mul", "div", "pow", "call", "ratio"):
            raise UnknownError(f"a {kind} has no value")
        if kind == "pow":
            return self._power(node.args[0], node.args[1])
        parts = [self.value(part) for part in node.args]
        if kind == "call":
            return self._call(node.name, parts)
        if kind == "neg":
            return -parts[0]
        result = parts[0]
        for part in parts[1:]:
            result = result + part if kind == "add" else result * part if kind == "mul" else result / part
        return result

    def _constant(self, name: str) -> Any:
        if name == "i":
            return on_i(self._on)
        if name == "inf":
            raise UnknownError("infinity")
        return self._on.pi if name == "pi" else self._on.e

    def _power(self, base: Node, exponent: Node) -> Any:
        raised, power = self.value(base), self.value(exponent)
        if exponent.kind == "num" and exponent.value.denominator == 1 and abs(exponent.value) < 1000:
            return raised ** int(exponent.value)
        if exponent.kind == "div" and all(p.kind == "num" for p in exponent.args) and exponent.args[1].value:
            ratio = exponent.args[0].value / exponent.args[1].value
            if ratio.denominator % 2:
                return self._root(raised, ratio)
        return self._raise(raised, power)

    def _raise(self, base: Any, power: Any) -> Any:
        if base == 0:
            if power.real > 0:
                return base
            raise UnknownError("zero to a power that is not positive")
        functions = self._on.functions
        return functions["exp"](power * functions["ln"](base))

    def _root(self, base: Any, ratio: Fraction) -> Any:
        """base ^ ratio, where the root is of odd order: real for a real base."""
        if abs(base.imag) > 1e-12 * abs(base) or base.real >= 0:
            return self._raise(base, self._on.number(ratio))
        return self._raise(-base, self._on.number(ratio)) * (-1 if ratio.numerator % 2 else 1)

    def _call(self, name: str, parts: list[Any]) -> Any:
        functions, first = self._on.functions, parts[0]
        half = self._on.number(Fraction(1, 2))
        if name in functions:
            return functions[name](first)
        if name == "sqrt":
            return self._raise(first, half)
        if name in ("cbrt", "root"):
            return self._any_root(first, parts[1].real if name == "root" else 3)
        if name == "abs":
            return self._on.number(Fraction(0)) + abs(first)
        if name == "log":
            base = functions["ln"](parts[1]) if len(parts) > 1 else self._common()
            return functions["ln"](first) / base
        if name in ("factorial", "binom"):
            return self._count(name, parts)
        return _derived(name, functions, first)

    def _any_root(self, value: Any, order: Any) -> Any:
        whole = int(order)
        if whole != order or not whole:
            raise UnknownError("an order that is not whole")
        return (
            self._root(value, Fraction(1, whole))
            if whole % 2
            else self._raise(value, self._on.number(Fraction(1, whole)))
        )

    def _common(self) -> Any:
        return self._on.functions["ln"](self._on.number(Fraction(10))) if self._base == "10" else 1

    def _count(self, name: str, parts: list[Any]) -> Any:
        """n! and binomial coefficients by the gamma function, up to 170!, which is the range of double precision."""
        if any(not -170 < part.real <= 170 for part in parts):
            raise UnknownError(f"a {name} of a large number")
        gamma = self._on.functions["gamma"]
        if name == "factorial":
            return gamma(parts[0] + 1)
        n, k = parts
        return gamma(n + 1) / gamma(k + 1) / gamma(n - k + 1)


def on_i(arithmetic: Arithmetic) -> Any:
    """The imaginary unit."""
    return arithmetic.number(Fraction(1)) * 1j


def _derived(name: str, functions: Mapping[str, Callable[[Any], Any]], x: Any) -> Any:
    sin, cos = functions["sin"], functions["cos"]
    forms: dict[str, Callable[[], Any]] = {
        "tan": lambda: sin(x) / cos(x),
        "cot": lambda: cos(x) / sin(x),
        "sec": lambda: 1 / cos(x),
        "csc": lambda: 1 / sin(x),
        "tanh": lambda: functions["sinh"](x) / functions["cosh"](x),
        "arccot": lambda: functions["arctan"](1 / x),
        "arcsinh": lambda: functions["ln"](x + functions["exp"](functions["ln"](x * x + 1) / 2)),
        "arccosh": lambda: functions["ln"](x + functions["exp"](functions["ln"](x * x - 1) / 2)),
        "arctanh": lambda: functions["ln"]((1 + x) / (1 - x)) / 2,
    }
    if name not in forms:
        raise UnknownError(f"{name} has no value")
    return forms[name]()


def constant(node: Node) -> float | None:
    """The value of a real constant to double precision; None if it has none."""
    try:
        found = Evaluator(DOUBLE, {}).value(node)
    except (UnknownError, KeyError):
        return None
    found = complex(found)
    return found.real if abs(found.imag) <= 1e-12 * max(1.0, abs(found)) else None
