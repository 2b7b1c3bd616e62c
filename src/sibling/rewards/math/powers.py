"""Powers, roots and absolute values of normal forms.

A root of a rational number becomes a product of roots of primes, a power of e, of a symbol or of a positive number with
a sum in the exponent becomes a product. A root of an even power of a symbol is that of its absolute value. What has no
such form becomes an atom of its own, named by the form it is made of.
"""

from __future__ import annotations

import math
from fractions import Fraction

from sibling.rewards.math.forms import ONE, Algebra, Form, factors
from sibling.rewards.math.tree import TooHardError, UnreadableError

_F = Fraction
_SINES = {_F(0): 0, _F(1, 6): 1, _F(1, 4): 2, _F(1, 3): 3, _F(1, 2): 4}  # 4 sin(q pi)^2


class Powers:
    """Powers and what needs them, over `algebra`."""

    def __init__(self, algebra: Algebra) -> None:
        self._algebra = algebra

    def product(self, parts: list[Form]) -> Form:
        """The product of forms."""
        result = parts[0]
        for part in parts[1:]:
            result = self._algebra.multiply(result, part)
        return result

    def power(self, base: Form, exponent: Form) -> Form:
        """base ^ exponent."""
        algebra, value = self._algebra, exponent.rational
        if value is not None and value.denominator == 1:
            if abs(value) > 10**6 and base.rational not in (0, 1, -1):
                raise TooHardError("a power that is too high")
            if not base.top and value <= 0:
                raise UnreadableError("zero to a power that is not positive", "undefined")
            return algebra.power(base, int(value)) if abs(value) <= 10**6 else base
        if value is not None:
            return self.root(base, value)
        if len(exponent.bottom) > 1 or exponent.bottom.get(ONE) is None:
            return self.opaque("pow", base, exponent)
        return self._exponential(base, exponent)

    def _exponential(self, base: Form, exponent: Form) -> Form:
        """base^(sum of terms) as a product; the base is e, a symbol, or a positive rational number."""
        pieces: list[tuple[str, Fraction]]
        value = base.rational
        if value is not None and value > 0:
            pieces = [(f"p:{p}", _F(n)) for p, n in factors(value.numerator).items()]
            pieces += [(f"p:{p}", _F(-n)) for p, n in factors(value.denominator).items()]
        elif len(base.top) == 1 and base.bottom == {ONE: 1} and next(iter(base.top.values())) == 1:
            pieces = list(next(iter(base.top)))
            if any(atom[0] not in "sc" for atom, _ in pieces):
                return self.opaque("pow", base, exponent)
        else:
            return self.opaque("pow", base, exponent)
        result = self._algebra.rational(1)
        scale = exponent.bottom[ONE]
        for atom, times in pieces:
            for key, amount in exponent.top.items():
                result = self._algebra.multiply(result, self._term(atom, times * amount / scale, key))
        return result

    def _term(self, atom: str, amount: Fraction, key: tuple[tuple[str, Fraction], ...]) -> Form:
        """atom^(amount * key)."""
        algebra = self._algebra
        if key == ONE:
            return Form(algebra.settle(_F(1), {atom: amount}), {ONE: _F(1)})
        if atom == "c:e" and len(key) == 1 and key[0][0].startswith("L:") and key[0][1] == 1:
            inside = key[0][0][2:]
            return Form(algebra.settle(_F(1), {inside: amount}), {ONE: _F(1)})
        if atom == "c:e" and dict(key) == {"i": 1, "c:pi": 1}:
            turn = algebra.multiply(algebra.rational(amount), algebra.atom("c:pi"))
            return algebra.add([self.cosine(turn), algebra.multiply(algebra.atom("i"), self.sine(turn))])
        return algebra.atom("E:" + atom + "^" + ",".join(f"{a}^{e}" for a, e in key), amount)

    def root(self, base: Form, value: Fraction) -> Form:
        """base ^ value, for a value that is not whole."""
        algebra, rational = self._algebra, base.rational
        if rational is not None:
            return self._rational_root(rational, value)
        if len(base.bottom) > 1 or next(iter(base.bottom)) != ONE:
            inverse = algebra.invert(Form(base.bottom, {ONE: _F(1)}))
            if len(inverse.bottom) == 1 and ONE in inverse.bottom:
                return self.root(algebra.multiply(Form(base.top, {ONE: _F(1)}), inverse), value)
            top, bottom = Form(base.top, {ONE: _F(1)}), Form(base.bottom, {ONE: _F(1)})
            return algebra.multiply(self.root(top, value), algebra.invert(self.root(bottom, value)))
        if len(base.top) == 1:
            (key, amount), *_ = base.top.items()
            if amount > 0 or value.denominator % 2:
                parts = [self._rational_root(amount, value), *(self._atom_root(a, e, value) for a, e in key)]
                return self.product(parts)
        return self._opaque_root(base, value)

    def _opaque_root(self, base: Form, value: Fraction) -> Form:
        """A root of a sum: its positive content comes out, the rest is an atom."""
        algebra = self._algebra
        scale = base.bottom[ONE]
        content = abs(next(iter(base.top.values()))) / scale
        if len(base.top) > 1:
            amounts = [abs(v) / scale for v in base.top.values()]
            content = _F(math.gcd(*(a.numerator for a in amounts)), math.lcm(*(a.denominator for a in amounts)))
        inner = {key: amount / scale / content for key, amount in base.top.items()}
        name = "r:" + Form(inner, {ONE: _F(1)}).key
        algebra.bases[name] = inner
        whole = value.numerator // value.denominator
        lone = Form({((name, value - whole),): _F(1)}, {ONE: _F(1)})
        result = algebra.multiply(self._rational_root(content, value), lone)
        return algebra.multiply(result, algebra.power(Form(inner, {ONE: _F(1)}), whole))

    def _rational_root(self, base: Fraction, value: Fraction) -> Form:
        algebra = self._algebra
        if not base:
            if value < 0:
                raise UnreadableError("a division by zero", "undefined")
            return algebra.rational(0)
        sign = algebra.rational(1)
        if base < 0:
            if value.denominator == 2:
                sign = algebra.power(algebra.atom("i"), value.numerator)
            elif value.denominator % 2:
                sign = algebra.rational(-1 if value.numerator % 2 else 1)
            else:
                raise UnreadableError("an even root of a negative number", "undefined")
            base = -base
        if abs(value) * max(base.numerator.bit_length(), base.denominator.bit_length()) > 10_000:
            raise TooHardError("a power that is too high")
        exponents = {f"p:{p}": n * value for p, n in factors(base.numerator).items()}
        for p, n in factors(base.denominator).items():
            exponents[f"p:{p}"] = -n * value
        return algebra.multiply(sign, Form(algebra.settle(_F(1), exponents), {ONE: _F(1)}))

    def _atom_root(self, atom: str, exponent: Fraction, value: Fraction) -> Form:
        algebra, product = self._algebra, exponent * value
        if atom[0] == "s" and exponent.denominator == 1 and exponent.numerator % 2 == 0:
            if product.denominator == 1 and product.numerator % 2 == 0:
                return algebra.atom(atom, product)
            return self._absolute_power(algebra.atom(atom), product)
        if atom[0] in "scupEP":
            return Form(algebra.settle(_F(1), {atom: product}), {ONE: _F(1)})
        return self._opaque_root(algebra.atom(atom, exponent), value)

    def _absolute_power(self, form: Form, exponent: Fraction) -> Form:
        inner = self.absolute(form)
        (key, _), *_ = inner.top.items()
        return Form(self._algebra.settle(_F(1), {key[0][0]: exponent}), {ONE: _F(1)})

    def absolute(self, form: Form) -> Form:
        """|form|; of a number its value, of a product the product."""
        algebra, value = self._algebra, form.rational
        if value is not None:
            return algebra.rational(abs(value))
        if "i" in form.atoms and not any(a[0] in "s" for a in form.atoms):
            return self._modulus(form)
        content = next(iter(form.top.values()))
        if all(a[0] in "pc" for a in form.atoms):
            sign = _sign(form)
            if sign:
                return algebra.multiply(algebra.rational(sign), form)
        flip = algebra.rational(-1 if form.top[max(form.top)] < 0 else 1)
        inner = algebra.multiply(flip, form)
        if len(inner.top) == 1 and abs(content) != 1:
            inner = algebra.multiply(inner, algebra.rational(1 / abs(content)))
            return algebra.multiply(algebra.rational(abs(content)), self.absolute(inner))
        if len(inner.bottom) > 1:
            return self.opaque("abs", form)
        name = "a:" + inner.key
        algebra.bases[name] = dict(inner.top)
        return algebra.atom(name)

    def _modulus(self, form: Form) -> Form:
        mirrored = {k: -v if any(a == "i" for a, _ in k) else v for k, v in form.top.items()}
        if len(form.bottom) > 1:
            return self.opaque("abs", form)
        return self.root(self._algebra.multiply(form, Form(mirrored, form.bottom)), _F(1, 2))

    def opaque(self, name: str, *args: Form) -> Form:
        """A function of forms as an atom."""
        return self._algebra.atom(f"f:{name}" + "".join(arg.key for arg in args))

    def sine(self, inner: Form) -> Form:
        """The sine; exact for multiples of pi/6 and pi/4, else an atom."""
        algebra, turn = self._algebra, _turn(inner)
        if turn is not None:
            turn %= 2
            sign, turn = (-1, turn - 1) if turn >= 1 else (1, turn)
            turn = min(turn, 1 - turn)
            if turn in _SINES:
                size = self._rational_root(_F(_SINES[turn]), _F(1, 2))
                return algebra.multiply(algebra.rational(_F(sign, 2)), size)
        if not inner.top:
            return algebra.rational(0)
        flip = -1 if inner.top[max(inner.top)] < 0 else 1
        inner = algebra.multiply(algebra.rational(flip), inner)
        return algebra.multiply(algebra.rational(flip), algebra.atom("S:" + inner.key))

    def cosine(self, inner: Form) -> Form:
        """The cosine, likewise."""
        algebra, turn = self._algebra, _turn(inner)
        if turn is not None:
            value = self.sine(algebra.add([inner, algebra.multiply(algebra.rational(_F(1, 2)), algebra.atom("c:pi"))]))
            if not any(a[0] == "S" for a in value.atoms):
                return value
        if not inner.top:
            return algebra.rational(1)
        flip = algebra.rational(-1 if inner.top[max(inner.top)] < 0 else 1)
        return algebra.atom("C:" + algebra.multiply(flip, inner).key)


def _turn(form: Form) -> Fraction | None:
    """q, if the form is q pi."""
    if not form.top:
        return _F(0)
    if len(form.top) == 1 and form.bottom == {ONE: 1} and (("c:pi", _F(1)),) in form.top:
        return form.top[("c:pi", _F(1)),]
    return None


def _sign(form: Form) -> int:
    """The sign of a number, from its value to double precision; 0 if that is too close to call."""
    try:
        return _float_sign(form)
    except OverflowError:
        return 0


def _float_sign(form: Form) -> int:
    total, size = 0.0, 0.0
    for poly, first in ((form.top, True), (form.bottom, False)):
        value = 0.0
        for key, amount in poly.items():
            part = float(amount)
            for atom, exponent in key:
                known = {"c:pi": math.pi, "c:e": math.e}
                part *= (known.get(atom) or float(atom[2:])) ** float(exponent)
            value += part
            size = max(size, abs(part))
        if abs(value) < 1e-9 * max(size, 1e-300):
            return 0
        total = value if first else total * value
    return 1 if total > 0 else -1
