"""A small reader of mathematical references, of the audit's own: what is read here is what its probes rewrite exactly.

It is kept apart from the verifiers on purpose, so that a fault of theirs is not repeated here. It reads integers,
decimals, fractions, mixed numbers, scientific notation, multiples of pi, square roots, percent and degree signs,
common units, sets, tuples, lists, intervals, inequalities, ratios, matrices of numbers and polynomials in one letter.
Whatever else a reference says, `read` gives None, and the probes of values are not applicable.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from sibling.audit.probes.values import (
    UNITS,
    Group,
    Inequality,
    Interval,
    Matrix,
    Number,
    Polynomial,
    Ratio,
    Reading,
    Root,
    Value,
)

LONGEST = 400  # characters of a reference that is read; longer ones are not numbers a person would type

_REWRITTEN = (
    (r"\left", ""), (r"\right", ""), (r"\!", ""), (r"\,", ""), (r"\;", ""), ("{,}", ","), (r"\dfrac", r"\frac"),
    (r"\tfrac", r"\frac"), ("\u2212", "-"), ("\u03c0", r"\pi"), (r"\%", "%"), (r"^{\circ}", "\u00b0"),
    (r"^\circ", "\u00b0"), (r"\infty", "\u221e"), (r"\leq", r"\le"), (r"\geq", r"\ge"), (r"\le", "<="), (r"\ge", ">="),
    ("\u2264", "<="), ("\u2265", ">="), (r"\lbrace", r"\{"), (r"\rbrace", r"\}"),
)  # fmt: skip
_INTEGER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,90})")
_DECIMAL = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{0,60})\.\d{1,60}")
_SCIENTIFIC = re.compile(
    r"([+-]?\d{1,30}(?:\.\d{1,30})?)\s*(?:[eE]|(?:\\times|\\cdot|\*|\u00d7)\s*10\^)\{?([+-]?\d{1,2})\}?"
)
_SLASH = re.compile(r"([+-]?\d{1,40})\s*/\s*(\d{1,40})")
_FRAC = re.compile(r"([+-]?)\\frac\s*(?:\{\s*([+-]?\d{1,40})\s*\}\s*\{\s*(\d{1,40})\s*\}|(\d)(\d))")
_MIXED = re.compile(r"(\d{1,30})\s*\\frac\{(\d{1,30})\}\{(\d{1,30})\}|(\d{1,30}) (\d{1,30})/(\d{1,30})")
_PI_OVER = re.compile(r"(-?)\\frac\{(\d{0,30})\s*\\pi\}\{(\d{1,30})\}")
_PI = re.compile(r"(.*?)\s*\*?\s*\\pi(?:\s*/\s*(\d{1,30}))?")
_ROOT = re.compile(r"(.*?)\s*\\sqrt\s*(?:\{(\d{1,12})\}|(\d))")
_ROOT_OVER = re.compile(r"(-?)\\frac\{(\d{0,12})\\sqrt\{?(\d{1,12}?)\}?\}\{(\d{1,12})\}")
_UNIT = re.compile(r"(.*?)(\s*(?:\\ )?\s*(?:\\text|\\mathrm)\{\s*([A-Za-z]+)\s*\}|\s+([A-Za-z]+)|\s*%|\s*\u00b0)")
_LETTER = re.compile(r"([A-Za-z])\s*(<=|>=|<|>)\s*(.+)")
_TERM = re.compile(r"([+-]?)\s*(\d{0,12})\s*\*?\s*(?:([a-z])(?:\s*(?:\^|\*\*)\s*\{?(\d{1,2})\}?)?)?")
_FACTOR = re.compile(r"\(([^()]{1,60})\)(?:\^\{?([1-6])\}?)?")
_PRODUCT = re.compile(rf"(-?\d{{0,6}})([a-z](?:\^\{{?[1-6]\}}?)?)?((?:{_FACTOR.pattern}){{1,4}})")
_MATRIX = re.compile(r"\\begin\{([pb]matrix)\}(.*)\\end\{\1\}", re.DOTALL)


@lru_cache(maxsize=4096)  # every probe reads the same references
def read(text: str) -> Reading | None:
    """`text` read as a reference; None if it is nothing this reader knows.

    >>> read("x = 3/4")
    Reading(value=Number(value=Fraction(3, 4), style='fraction', pi=False), lead='x = ', tail='')
    """
    plain = text.strip()
    if not plain or len(plain) > LONGEST:
        return None
    if plain.startswith("$") and plain.endswith("$") and len(plain) > 2:
        plain = plain[1:-1]
    if matrix := _matrix(plain):
        return Reading(matrix)
    for old, new in _REWRITTEN:
        plain = plain.replace(old, new)
    plain = plain.strip().removesuffix(".").strip()
    lead = ""
    if match := re.match(r"(?:[A-Za-z]\s*=(?!=)\s*|\\?\$)", plain):
        lead, plain = match.group(), plain[match.end() :]
    return _tailed(plain, lead)


def _tailed(plain: str, lead: str) -> Reading | None:
    value = _value(plain)
    if value is not None:
        return Reading(value, lead)
    match = _UNIT.fullmatch(plain)
    if match is None or (match[2].strip() not in "%\u00b0" and (match[3] or match[4]) not in UNITS):
        return None
    counted = number(match[1])
    return None if counted is None else Reading(counted, lead, match[2])


def _value(plain: str) -> Value | None:
    return (
        number(plain)
        or _root(plain)
        or _ratio(plain)
        or _inequality(plain)
        or _brackets(plain)
        or _expanded(plain)
        or _listed(plain)
    )


def number(plain: str) -> Number | None:
    """A rational or a rational multiple of pi, in any of the usual spellings."""
    plain = plain.strip()
    if _INTEGER.fullmatch(plain):
        return Number(Fraction(plain.replace(",", "")))
    if _DECIMAL.fullmatch(plain):
        return Number(Fraction(plain.replace(",", "")), "decimal")
    if match := _SCIENTIFIC.fullmatch(plain):
        return Number(Fraction(match[1]) * Fraction(10) ** int(match[2]), "scientific")
    if match := _MIXED.fullmatch(plain):
        whole, top, bottom = (int(part) for part in match.groups() if part is not None)
        return Number(whole + Fraction(top, bottom), "mixed") if 0 < top < bottom else None
    return _fraction(plain) or _with_pi(plain)


def _fraction(plain: str) -> Number | None:
    if match := _SLASH.fullmatch(plain):
        sign, top, bottom = "", match[1], match[2]
    elif match := _FRAC.fullmatch(plain):
        sign, top, bottom = match[1], match[2] or match[4], match[3] or match[5]
    else:
        return None
    if int(bottom) == 0:
        return None
    value = Fraction(int(top), int(bottom))
    return Number(-value if sign == "-" else value, "fraction")


def _with_pi(plain: str) -> Number | None:
    if plain.count(r"\pi") != 1:
        return None
    if match := _PI_OVER.fullmatch(plain):
        factor, bottom = Number(Fraction(match[1] + (match[2] or "1"))), match[3]
    elif match := _PI.fullmatch(plain):
        written = {"": "1", "+": "1", "-": "-1"}.get(match[1].strip(), match[1])
        counted = number(written)
        if counted is None or counted.style == "mixed":
            return None
        factor, bottom = counted, match[2] or "1"
    else:
        return None
    value = factor.value / int(bottom) if int(bottom) else Fraction(0)
    return Number(value, "fraction" if value.denominator > 1 else "integer", pi=True) if value else None


def _root(plain: str) -> Root | None:
    if match := _ROOT_OVER.fullmatch(plain):
        factor, radicand, bottom = Fraction(match[1] + (match[2] or "1")), int(match[3]), int(match[4])
    elif match := _ROOT.fullmatch(plain):
        counted = number({"": "1", "+": "1", "-": "-1"}.get(match[1], match[1]))
        if counted is None or counted.pi:
            return None
        factor, radicand, bottom = counted.value, int(match[2] or match[3]), 1
    else:
        return None
    if bottom == 0 or factor == 0 or _square(radicand):
        return None
    return Root(factor / bottom, radicand)


def _square(n: int) -> bool:
    root = int(n**0.5)
    return any(k * k == n for k in (root - 1, root, root + 1))


def _ratio(plain: str) -> Ratio | None:
    match = re.fullmatch(r"(\d{1,4})\s*:\s*(\d{1,4})", plain)
    return Ratio(int(match[1]), int(match[2])) if match else None


def _inequality(plain: str) -> Inequality | Interval | None:
    if match := _LETTER.fullmatch(plain):
        return Inequality(match[1], match[2], match[3].strip()) if number(match[3]) else None
    match = re.fullmatch(r"(.+?)\s*(<=|<)\s*[A-Za-z]\s*(<=|<)\s*(.+)", plain)
    if match is None or not number(match[1]) or not number(match[4]):
        return None
    return Interval(match[1].strip(), match[4].strip(), match[2] == "<=", match[3] == "<=")


def _brackets(plain: str) -> Group | Interval | None:
    if plain.startswith(r"\{") and plain.endswith(r"\}"):
        items = split(plain[2:-2])
        return Group("set", items) if items else None
    if len(plain) < 3 or plain[0] not in "([" or plain[-1] not in ")]":
        return None
    items = split(plain[1:-1])
    ends = [None if "\u221e" in item else item for item in items]
    if len(ends) == 2 and all(end is None or number(end) for end in ends):
        if plain[0] + plain[-1] in ("[)", "(]") or None in ends:
            return Interval(ends[0], ends[1], plain[0] == "[", plain[-1] == "]")
        low, high = number(items[0]), number(items[1])
        if plain[0] == "[" and low and high and low.pi == high.pi and low.value < high.value:
            return Interval(ends[0], ends[1], True, True)
    return Group("tuple", items) if plain[0] + plain[-1] == "()" and len(items) >= 2 else None


def _listed(plain: str) -> Group | None:
    items = split(plain)
    return Group("list", items) if len(items) >= 2 and all(number(item) for item in items) else None


def split(inside: str) -> tuple[str, ...]:
    """`inside` cut at the commas that stand in no bracket; () if an item is empty or the brackets do not match."""
    items, depth, start = [], 0, 0
    for at, character in enumerate(inside):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return ()
        if character == "," and depth == 0:
            items.append(inside[start:at].strip())
            start = at + 1
    items.append(inside[start:].strip())
    return tuple(items) if depth == 0 and all(items) else ()


def _matrix(plain: str) -> Matrix | None:
    match = _MATRIX.fullmatch(plain)
    if match is None:
        return None
    rows = [[cell.strip() for cell in row.split("&")] for row in match[2].split(r"\\") if row.strip()]
    if not rows or len({len(row) for row in rows}) != 1 or not all(_INTEGER.fullmatch(c) for row in rows for c in row):
        return None
    return Matrix(match[1], tuple(tuple(int(cell.replace(",", "")) for cell in row) for row in rows))


def _expanded(plain: str) -> Polynomial | None:
    """A polynomial, or a product of polynomials in brackets such as 2(x+1)^2(x-3), multiplied out."""
    match = _PRODUCT.fullmatch(plain)
    if match is None:
        return polynomial(plain)
    terms = {0: int({"": "1", "-": "-1"}.get(match[1], match[1]))}
    factors = [polynomial(match[2])] if match[2] else []
    for inside, power in _FACTOR.findall(match[3]):
        factors += [polynomial(inside)] * int(power or 1)
    for factor in factors:
        if factor is None:
            return None
        terms = _times(terms, dict(factor.terms))
    terms = {power: coefficient for power, coefficient in terms.items() if coefficient}
    letters = {factor.letter for factor in factors if factor}
    return (
        Polynomial(letters.pop(), tuple(sorted(terms.items(), reverse=True))) if len(letters) == 1 and terms else None
    )


def _times(one: dict[int, int], two: dict[int, int]) -> dict[int, int]:
    product: dict[int, int] = {}
    for power, coefficient in one.items():
        for other, factor in two.items():
            product[power + other] = product.get(power + other, 0) + coefficient * factor
    return product


def polynomial(plain: str) -> Polynomial | None:
    """Terms such as 3x^2 - x + 1, in any order; None if a power comes twice or nothing but a constant is there."""
    terms: dict[int, int] = {}
    letters = set()
    rest = plain.strip()
    while rest:
        match = _TERM.match(rest)
        if match is None or not (match[2] or match[3]) or (terms and not match[1]):
            return None
        power = int(match[4] or 1) if match[3] else 0
        letters.add(match[3])
        if power in terms:
            return None
        terms[power] = int((match[1] + (match[2] or "1")).replace(" ", ""))
        rest = rest[match.end() :].lstrip()
    letters.discard(None)
    if len(letters) != 1 or 0 in terms.values() or set(terms) == {0}:
        return None
    return Polynomial(letters.pop(), tuple(sorted(terms.items(), reverse=True)))
