"""Functions of normal forms: trigonometry with its exact values, logarithms, factorials, binomial coefficients."""

from __future__ import annotations

import math
from fractions import Fraction

from sibling.rewards.math.forms import ONE, Algebra, Form, factors
from sibling.rewards.math.powers import Powers
from sibling.rewards.math.tree import TooHardError, UnreadableError

_F = Fraction
_MOST_FACTORIAL = 1_200


class Functions:
    """Functions over `algebra`. `base`: what `log` without a subscript means, 10 or "e"."""

    def __init__(self, algebra: Algebra, powers: Powers, base: str) -> None:
        self._algebra, self._powers, self._base = algebra, powers, base

    def of(self, name: str, args: list[Form]) -> Form:
        """The value of a function, by its name."""
        if name in ("factorial", "binom"):
            return self._count(name, args)
        if name == "exp":
            return self._powers.power(self._algebra.atom("c:e"), args[0])
        if name == "abs":
            return self._powers.absolute(args[0])
        if name in ("ln", "log"):
            return self._log(name, args)
        return self._trig(name, args[0])

    def _count(self, name: str, args: list[Form]) -> Form:
        values = [arg.rational for arg in args]
        if any(v is None for v in values):
            return self._powers.opaque(name, *args)
        n = values[0]
        if n is None or n.denominator != 1 or n < 0:
            raise UnreadableError(f"a {name} of {n}", "undefined")
        if name == "factorial":
            if n > _MOST_FACTORIAL:
                raise TooHardError("a factorial of more than 3,600 digits")
            return self._algebra.rational(math.factorial(int(n)))
        k = values[1]
        if k is None or k.denominator != 1 or k < 0:
            raise UnreadableError("a binomial coefficient that is not whole", "undefined")
        least = min(k, n - k)
        if least > 0 and least * math.log2(int(n) + 1) > 11_000:
            raise TooHardError("a binomial coefficient of more than 3,600 digits")
        return self._algebra.rational(math.comb(int(n), int(k)))

    def _log(self, name: str, args: list[Form]) -> Form:
        algebra = self._algebra
        top = self._ln(args[0])
        if len(args) == 2:
            return algebra.multiply(top, algebra.invert(self._ln(args[1])))
        if name == "ln" or self._base == "e":
            return top
        return algebra.multiply(top, algebra.invert(self._ln(algebra.rational(10))))

    def _ln(self, form: Form) -> Form:
        """ln of a product is the sum of the logarithms."""
        algebra = self._algebra
        if len(form.top) != 1 or len(form.bottom) != 1:
            return self._powers.opaque("ln", form) if form.top else _undefined("the logarithm of zero")
        (key, value), *_ = form.top.items()
        (below, scale), *_ = form.bottom.items()
        value /= scale
        if value < 0 or below != ONE or any(a[0] not in "sp" and a not in ("c:e", "c:pi") for a, _ in key):
            return self._powers.opaque("ln", form)
        exponents = dict(key)
        for p, n in [*factors(value.numerator).items(), *((p, -n) for p, n in factors(value.denominator).items())]:
            exponents[f"p:{p}"] = exponents.get(f"p:{p}", _F(0)) + n
        terms = [(algebra.rational(1) if a == "c:e" else algebra.atom("L:" + a), n) for a, n in exponents.items()]
        return algebra.add([algebra.multiply(algebra.rational(n), term) for term, n in terms])

    def _trig(self, name: str, inner: Form) -> Form:
        algebra = self._algebra
        if name == "sin":
            return self._powers.sine(inner)
        if name == "cos":
            return self._powers.cosine(inner)
        if name in ("tan", "sec"):
            below = algebra.invert(self._powers.cosine(inner))
            return algebra.multiply(self._powers.sine(inner), below) if name == "tan" else below
        if name in ("cot", "csc"):
            below = algebra.invert(self._powers.sine(inner))
            return algebra.multiply(self._powers.cosine(inner), below) if name == "cot" else below
        return self._powers.opaque(name, inner)


def _undefined(why: str) -> Form:
    raise UnreadableError(why, "undefined")
