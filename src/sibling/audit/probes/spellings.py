"""Other spellings of a value, each exactly equal to it; nothing where a spelling does not apply."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, isqrt

from sibling.audit.probes.build import decimal
from sibling.audit.probes.values import Inequality, Interval, Matrix, Number, Polynomial, Root


def as_decimal(n: Number) -> Iterator[str]:
    """3/4 as 0.75, where the decimal ends."""
    dotted = decimal(n.value, 6)
    if n.style in ("fraction", "mixed") and not n.pi and dotted is not None:
        yield dotted


def as_slash(n: Number) -> Iterator[str]:
    """0.75 as 3/4."""
    if n.style in ("decimal", "fraction", "mixed") and not n.pi and 1 < n.value.denominator <= 10**6:
        yield f"{n.value.numerator}/{n.value.denominator}"


def as_frac(n: Number) -> Iterator[str]:
    r"""0.75 and 3/4 as \frac{3}{4}, \dfrac{3}{4}, \tfrac{3}{4}."""
    if n.pi or not 1 < n.value.denominator <= 10**6:
        return
    sign, top = ("-" if n.value < 0 else ""), abs(n.value.numerator)
    for command in ("frac", "dfrac", "tfrac"):
        yield rf"{sign}\{command}{{{top}}}{{{n.value.denominator}}}"


def sign_in_fraction(n: Number) -> Iterator[str]:
    """The sign of a fraction before it, above or below."""
    if n.value < 0 and n.value.denominator > 1 and not n.pi and n.style == "fraction":
        top, bottom = -n.value.numerator, n.value.denominator
        yield from (rf"\frac{{-{top}}}{{{bottom}}}", rf"\frac{{{top}}}{{-{bottom}}}")


def as_mixed(n: Number) -> Iterator[str]:
    """7/4 as 1 3/4."""
    whole, part = divmod(n.value, 1)
    if n.style in ("fraction", "mixed") and not n.pi and whole >= 1 and part:
        yield f"{whole} {part.numerator}/{part.denominator}"


def as_mixed_latex(n: Number) -> Iterator[str]:
    r"""7/4 as 1\frac{3}{4}."""
    whole, part = divmod(n.value, 1)
    if n.style in ("fraction", "mixed") and not n.pi and whole >= 1 and part:
        yield rf"{whole}\frac{{{part.numerator}}}{{{part.denominator}}}"


def thousands(n: Number, mark: str = ",") -> Iterator[str]:
    """1234567 as 1,234,567 (or with another mark)."""
    if n.style in ("integer", "decimal") and not n.pi and abs(n.value) >= 1000:
        whole, dot, places = (decimal(n.value, 60) or "0").partition(".")
        yield f"{int(whole):,}".replace(",", mark) + dot + places


def without_thousands(n: Number) -> Iterator[str]:
    """1,234 as 1234."""
    if n.style == "integer" and not n.pi:
        yield str(n.value.numerator)


def leading_zero(n: Number) -> Iterator[str]:
    """42 as 042."""
    if n.style == "integer" and not n.pi and n.value > 0:
        yield f"0{n.value.numerator}"


def plus(n: Number) -> Iterator[str]:
    """42 as +42."""
    if n.style in ("integer", "decimal") and not n.pi and n.value > 0:
        yield f"+{decimal(n.value, 60)}"


def trailing_zeros(n: Number) -> Iterator[str]:
    """42 as 42.0, 0.5 as 0.50."""
    dotted = decimal(n.value, 60)
    if n.style in ("integer", "decimal") and not n.pi and dotted is not None:
        yield dotted + ("0" if "." in dotted else ".0")


def leading_dot(n: Number) -> Iterator[str]:
    """0.5 as .5."""
    dotted = decimal(n.value, 60)
    if n.style == "decimal" and not n.pi and dotted is not None and dotted.startswith("0."):
        yield dotted[1:]


def _mantissa(n: Number) -> tuple[str, int] | None:
    """Digits and power of ten; None for what nobody writes so: fractions, 0, and values from 1 to 10."""
    power, reduced = 0, abs(n.value)
    if n.pi or not reduced or n.style in ("fraction", "mixed"):
        return None
    while reduced >= 10:
        reduced, power = reduced / 10, power + 1
    while reduced < 1:
        reduced, power = reduced * 10, power - 1
    dotted = decimal(reduced, 60)
    return None if dotted is None or not power else (("-" if n.value < 0 else "") + dotted, power)


def scientific(n: Number) -> Iterator[str]:
    """1200 as 1.2e3."""
    if found := _mantissa(n):
        yield f"{found[0]}e{found[1]}"
        yield f"{found[0]}E{found[1]:+d}"


def scientific_latex(n: Number) -> Iterator[str]:
    r"""1200 as 1.2\times 10^{3}."""
    if found := _mantissa(n):
        for sign in (r"\times", r"\cdot"):
            yield rf"{found[0]} {sign} 10^{{{found[1]}}}"


def unicode_minus(n: Number) -> Iterator[str]:
    """-5 with the minus sign U+2212."""
    dotted = decimal(n.value, 60)
    if n.value < 0 and not n.pi and dotted is not None and n.style in ("integer", "decimal"):
        yield dotted.replace("-", "\u2212")


def negative_zero(n: Number) -> Iterator[str]:
    """0 as -0."""
    if n.value == 0:
        yield "-0"


def full_width(n: Number) -> Iterator[str]:
    """42 in full-width digits, which NFKC maps to plain ones."""
    if n.style == "integer" and not n.pi and n.value >= 0:
        yield "".join(chr(ord("\uff10") + int(digit)) for digit in str(n.value.numerator))


def unreduced(n: Number) -> Iterator[str]:
    """3/4 as 6/8."""
    if n.style == "fraction" and not n.pi and n.value.denominator > 1:
        yield f"{2 * n.value.numerator}/{2 * n.value.denominator}"


def pi_spellings(n: Number) -> Iterator[str]:
    r"""3\pi/4 with the letter, as a product and as one fraction."""
    if not n.pi:
        return
    top, bottom = n.value.numerator, n.value.denominator
    factor = {1: "", -1: "-"}.get(top, str(top))
    over = "" if bottom == 1 else f"/{bottom}"
    yield f"{factor}\u03c0{over}"
    yield rf"{factor}\pi{over}"
    sign = "-" if top < 0 else ""
    if bottom > 1:
        yield rf"{sign}\frac{{{abs(top)}}}{{{bottom}}}\pi"
        yield rf"{sign}\frac{{{abs(top)}\pi}}{{{bottom}}}"
    dotted = decimal(n.value, 4)
    if dotted is not None and abs(top) != bottom:
        yield rf"{dotted}\pi"


def root_spellings(root: Root) -> Iterator[str]:
    r"""2\sqrt{3} as \sqrt{12}, \sqrt{12} as 2\sqrt{3}, \sqrt{2}/2 as 1/\sqrt{2}."""
    sign = "-" if root.factor < 0 else ""
    square = root.factor**2 * root.radicand
    if square.denominator == 1:
        yield rf"{sign}\sqrt{{{square.numerator}}}"
    else:
        yield rf"{sign}\sqrt{{\frac{{{square.numerator}}}{{{square.denominator}}}}}"
    outside = max((k for k in range(1, min(isqrt(root.radicand), 1000) + 1) if root.radicand % (k * k) == 0), default=1)
    factor, inner = abs(root.factor) * outside, root.radicand // outside**2
    top = rf"{'' if factor.numerator == 1 else factor.numerator}\sqrt{{{inner}}}"
    yield f"{sign}{top}" if factor.denominator == 1 else rf"{sign}\frac{{{top}}}{{{factor.denominator}}}"
    over = factor * inner  # factor * sqrt(inner) = over / sqrt(inner)
    if factor.denominator > 1:
        below = "" if over.denominator == 1 else str(over.denominator)
        yield rf"{sign}\frac{{{over.numerator}}}{{{below}\sqrt{{{inner}}}}}"


def interval_as_inequality(interval: Interval, letter: str) -> Iterator[str]:
    """[0, 1) as 0 <= x < 1."""
    low = r"\le" if interval.low_closed else "<"
    high = r"\le" if interval.high_closed else "<"
    if interval.low is not None and interval.high is not None:
        yield f"{interval.low} {low} {letter} {high} {interval.high}"
    elif interval.low is not None:
        sign = r"\ge" if interval.low_closed else ">"
        yield f"{letter} {sign} {interval.low}"
    elif interval.high is not None:
        yield f"{letter} {high} {interval.high}"


def bracketed(interval: Interval) -> Iterator[str]:
    """The interval in brackets: 1 < x < 3 as (1, 3)."""
    left = r"-\infty" if interval.low is None else interval.low
    right = r"\infty" if interval.high is None else interval.high
    yield f"{'[' if interval.low_closed else '('}{left}, {right}{']' if interval.high_closed else ')'}"


def inequality_as_interval(found: Inequality) -> Iterator[str]:
    r"""x >= 3 as [3, \infty)."""
    closed = "=" in found.sign
    if found.sign.startswith(">"):
        yield rf"{'[' if closed else '('}{found.bound}, \infty)"
    else:
        yield rf"(-\infty, {found.bound}{']' if closed else ')'}"


def inequality_turned(found: Inequality) -> Iterator[str]:
    """x >= 3 as 3 <= x."""
    turned = {">=": r"\le", "<=": r"\ge", ">": "<", "<": ">"}[found.sign]
    yield f"{found.bound} {turned} {found.letter}"


def matrix_brackets(matrix: Matrix) -> Iterator[str]:
    """The same matrix in the other kind of brackets."""
    yield put_matrix(matrix.rows, "bmatrix" if matrix.environment == "pmatrix" else "pmatrix")


def put_matrix(rows: tuple[tuple[int, ...], ...], environment: str) -> str:
    """A matrix in LaTeX."""
    inside = r" \\ ".join(" & ".join(str(cell) for cell in row) for row in rows)
    return rf"\begin{{{environment}}} {inside} \end{{{environment}}}"


def put_polynomial(terms: tuple[tuple[int, int], ...], letter: str, times: str = "") -> str:
    """(power, coefficient) pairs as text, in their order."""
    parts = []
    for power, coefficient in terms:
        factor = "" if abs(coefficient) == 1 and power else str(abs(coefficient))
        letters = "" if power == 0 else letter if power == 1 else f"{letter}^{{{power}}}"
        parts.append(("-" if coefficient < 0 else "+") + factor + (times if factor and letters else "") + letters)
    return "".join(parts).removeprefix("+")


def expanded(p: Polynomial) -> Iterator[str]:
    """(x+1)^2 as x^2+2x+1."""
    yield put_polynomial(p.terms, p.letter)


def term_order(p: Polynomial) -> Iterator[str]:
    """The terms from the constant up."""
    yield put_polynomial(p.terms[::-1], p.letter)


def factored(p: Polynomial) -> Iterator[str]:
    """x^2+x as x(x+1): the common power and the common factor taken out."""
    power, common = p.terms[-1][0], gcd(*(coefficient for _, coefficient in p.terms))
    if (power == 0 and common == 1) or len(p.terms) < 2:
        return
    rest = tuple((at - power, coefficient // common) for at, coefficient in p.terms)
    outside = ("" if common == 1 else str(common)) + (
        "" if power == 0 else p.letter if power == 1 else f"{p.letter}^{{{power}}}"
    )
    yield f"{outside}({put_polynomial(rest, p.letter)})"


def explicit_product(p: Polynomial) -> Iterator[str]:
    r"""2x as 2 \cdot x."""
    if any(power and abs(coefficient) > 1 for power, coefficient in p.terms):
        yield put_polynomial(p.terms, p.letter, r" \cdot ")
