"""Exact normal forms: an expression as a ratio of polynomials in independent atoms, with rational coefficients.

Atoms: symbols, pi, e, i, roots of primes, base units, and functions of a normal form (sine, logarithm, ...). What is
known of them is built into multiplication: i^2 = -1, p^(1/2) p^(1/2) = p, sin^2 = 1 - cos^2, |u|^2 = u^2. Two
expressions with the same form are equal wherever both are defined over the real numbers (symbols are real, logarithms
of symbols have positive arguments). Different forms are different values only where the atoms are independent
(`is_decided`); else numbers and algebra have to decide.
Bounds, checked before anything is computed: `MOST_BITS` of a coefficient, `MOST_TERMS` of a polynomial, `MOST_WORK`
products of terms an expression. Beyond them: `TooHardError`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from sibling.rewards.math.tree import TooHardError, UnreadableError

MOST_BITS = 12_000
MOST_TERMS = 400
MOST_WORK = 20_000

Monomial = tuple[tuple[str, Fraction], ...]
"""Atoms and their exponents, sorted."""

Poly = dict[Monomial, Fraction]
ONE: Monomial = ()
_F = Fraction


@dataclass(frozen=True)
class Form:
    """top / bottom."""

    top: Mapping[Monomial, Fraction]
    bottom: Mapping[Monomial, Fraction]

    @property
    def rational(self) -> Fraction | None:
        """Its value if it is a rational number."""
        if any(key != ONE for key in self.top) or any(key != ONE for key in self.bottom):
            return None
        return self.top.get(ONE, _F(0)) / self.bottom[ONE]

    @property
    def atoms(self) -> set[str]:
        """The atoms in it."""
        return {atom for poly in (self.top, self.bottom) for key in poly for atom, _ in key}

    @property
    def key(self) -> str:
        """A name for it, the same for equal forms with the same denominator."""
        lead = self.bottom[max(self.bottom)]
        parts = (sorted((k, v / lead) for k, v in poly.items()) for poly in (self.top, self.bottom))
        top, bottom = ("+".join(_hex(v) + "*" + ",".join(f"{a}^{e}" for a, e in k) for k, v in part) for part in parts)
        return f"<{top}|{bottom}>" if len(self.bottom) > 1 or ONE not in self.bottom else f"<{top}>"


def _hex(value: Fraction) -> str:
    return f"{value.numerator:x}/{value.denominator:x}"


def bounded(value: Fraction) -> Fraction:
    """`value`, if its size is within `MOST_BITS`."""
    if value.numerator.bit_length() > MOST_BITS or value.denominator.bit_length() > MOST_BITS:
        raise TooHardError("a number of more than 3,600 digits")
    return value


def power_of(base: Fraction, exponent: int) -> Fraction:
    """base ** exponent, with its size looked at first."""
    size = max(abs(base.numerator), base.denominator)
    if size > 1 and abs(exponent) * math.log2(size) > MOST_BITS:
        raise TooHardError("a power of more than 3,600 digits")
    if exponent < 0 and not base:
        raise UnreadableError("a division by zero", "undefined")
    return base**exponent


class Algebra:
    """Sums, products and powers of forms, within one budget of work."""

    def __init__(self) -> None:
        self._work = 0
        self.bases: dict[str, Poly] = {}  # what a root or an absolute value is of

    def rational(self, value: Fraction | int) -> Form:
        """A rational number."""
        return Form({ONE: bounded(_F(value))} if value else {}, {ONE: _F(1)})

    def atom(self, name: str, exponent: Fraction | int = 1) -> Form:
        """An atom to a power."""
        return Form({((name, _F(exponent)),): _F(1)}, {ONE: _F(1)})

    def add(self, parts: list[Form]) -> Form:
        """Their sum."""
        total: Poly = {}
        bottom: Mapping[Monomial, Fraction] = {ONE: _F(1)}
        for part in parts:
            if part.bottom == bottom:
                right: Mapping[Monomial, Fraction] = part.top
            else:
                total = self.product(total, part.bottom)
                right = self.product(part.top, bottom)
                bottom = self.product(bottom, part.bottom)
            for key, value in right.items():
                total[key] = bounded(total.get(key, _F(0)) + value)
                if not total[key]:
                    del total[key]
            self._spend(len(right), len(total))
        return Form(total, bottom)

    def multiply(self, left: Form, right: Form) -> Form:
        """Their product."""
        return Form(self.product(left.top, right.top), self.product(left.bottom, right.bottom))

    def invert(self, form: Form) -> Form:
        """1 / form. Raises `UnreadableError` (undefined) for zero."""
        if not form.top:
            raise UnreadableError("a division by zero", "undefined")
        top, bottom = form.bottom, form.top
        if len(bottom) == 1:
            (key, value), *_ = bottom.items()
            inverse = self.settle(1 / value, {a: -e for a, e in key if _inverts(a)})
            bottom = {tuple((a, e) for a, e in key if not _inverts(a)): _F(1)}
            top = self.product(top, inverse)
        return Form(top, bottom)

    def power(self, form: Form, exponent: int) -> Form:
        """A whole power, by squaring."""
        if form.rational is not None:
            return self.rational(power_of(form.rational, exponent))
        if exponent < 0:
            return self.power(self.invert(form), -exponent)
        if len(form.top) > 1 or len(form.bottom) > 1:
            if exponent > 64:
                raise TooHardError(f"a sum to the power of {exponent}")
        elif exponent > 1000:
            raise TooHardError(f"a power of {exponent}")
        result = self.rational(1)
        while exponent:
            if exponent & 1:
                result = self.multiply(result, form)
            exponent >>= 1
            form = self.multiply(form, form) if exponent else form
        return result

    def equal(self, left: Form, right: Form) -> bool:
        """Whether they are the same, cleared of denominators."""
        if left == right:
            return True
        return self.product(left.top, right.bottom) == self.product(right.top, left.bottom)

    def product(self, left: Mapping[Monomial, Fraction], right: Mapping[Monomial, Fraction]) -> Poly:
        """The product of two polynomials."""
        if right == {ONE: 1}:
            return dict(left)
        if left == {ONE: 1}:
            return dict(right)
        self._spend(len(left) * len(right), max(len(left), len(right)))
        total: Poly = {}
        for key, value in left.items():
            for other, factor in right.items():
                if key and other:
                    exponents = dict(key)
                    for atom, exponent in other:
                        exponents[atom] = exponents.get(atom, _F(0)) + exponent
                    terms = self.settle(bounded(value * factor), exponents)
                else:
                    terms = {key or other: bounded(value * factor)}
                for term, amount in terms.items():
                    total[term] = bounded(total.get(term, _F(0)) + amount)
        self._spend(0, len(total))
        return {key: value for key, value in total.items() if value}

    def settle(self, value: Fraction, exponents: dict[str, Fraction]) -> Poly:
        """value * product of atoms, with what is known of the atoms put to use."""
        more: list[tuple[Poly, int]] = []
        kept: dict[str, Fraction] = {}
        for atom, exponent in exponents.items():
            kind, left = atom[0], exponent
            whole = exponent.numerator // exponent.denominator
            if kind == "p":
                value, left = bounded(value * power_of(_F(int(atom[2:])), whole)), exponent - whole
            elif kind == "i":
                value, left = (-value if whole % 4 > 1 else value), _F(whole % 2)
            elif kind == "r" and exponent >= 1:
                more.append((self.bases[atom], whole))
                left = exponent - whole
            elif kind in ("a", "S") and exponent >= 2:
                more.append((self._square_of(atom), whole // 2))
                left = exponent - 2 * (whole // 2)
            if left:
                kept[atom] = left
        result: Poly = {tuple(sorted(kept.items())): value}
        for poly, times in more:
            for _ in range(times):
                result = self.product(result, poly)
        return result

    def _square_of(self, atom: str) -> Poly:
        if atom[0] == "a":
            return self.product(self.bases[atom], self.bases[atom])
        return {ONE: _F(1), (("C" + atom[1:], _F(2)),): _F(-1)}  # sin^2 = 1 - cos^2

    def _spend(self, work: int, terms: int) -> None:
        self._work += work
        if self._work > MOST_WORK or terms > MOST_TERMS:
            raise TooHardError("an expression of too many terms")


def _inverts(atom: str) -> bool:
    return atom[0] in "spcuiEP"


def is_decided(left: Form, right: Form) -> bool:
    """Whether different forms are different values: symbols, roots of primes, i, and at most one of pi and e."""
    atoms = left.atoms | right.atoms
    if {"c:pi", "c:e"} <= atoms:
        return False
    return all(a[0] in "siu" or a in ("c:pi", "c:e") or (a[0] == "p" and int(a[2:]) < 10**8) for a in atoms)


def factors(value: int) -> dict[int, int]:
    """Prime factors up to 10,000 and what is left, for value > 0; a left-over perfect power is taken apart."""
    found: dict[int, int] = {}
    divisor = 2
    while divisor * divisor <= value and divisor <= 10_000:
        while value % divisor == 0:
            found[divisor] = found.get(divisor, 0) + 1
            value //= divisor
        divisor += 1 + (divisor > 2)
    if value > 1:
        root, degree = _perfect(value)
        found[root] = found.get(root, 0) + degree
    return found


def _perfect(value: int) -> tuple[int, int]:
    root = math.isqrt(value)
    if root * root == value:
        inner, degree = _perfect(root)
        return inner, 2 * degree
    if value.bit_length() < 1000:
        cube = round(value ** (1 / 3))
        for near in (cube - 1, cube, cube + 1):
            if near**3 == value:
                return near, 3
    return value, 1
