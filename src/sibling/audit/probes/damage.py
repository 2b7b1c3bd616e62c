"""Other values that are near the right one and surely not equal to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from sibling.audit.probes.build import decimal, written
from sibling.audit.probes.reading import number
from sibling.audit.probes.spellings import bracketed, inequality_as_interval, put_matrix, put_polynomial
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
)

_EXACT_IN_FLOAT = 2**53  # integers above it are not all distinct as floating-point numbers


def moved(step: int) -> Callable[[Number], Iterator[str]]:
    """42 as 43, 3/4 as 7/4."""

    def make(n: Number) -> Iterator[str]:
        if abs(n.value) < _EXACT_IN_FLOAT:
            yield written(n.value + step, n)

    return make


def big_integer(n: Number) -> Iterator[str]:
    """A neighbour that is the same floating-point number or nearly so."""
    if n.style == "integer" and not n.pi and abs(n.value) >= _EXACT_IN_FLOAT:
        yield from (str(n.value.numerator + 1), str(n.value.numerator - 1))


def small_number(n: Number) -> Iterator[str]:
    """1e-7 as 2e-7."""
    if not n.pi and 0 < abs(n.value) < Fraction(1, 10**4):
        dotted = decimal(2 * n.value, 40)
        if dotted is not None:
            yield dotted


def scaled(factor: Fraction) -> Callable[[Number], Iterator[str]]:
    """0.5 as 5, as 50."""

    def make(n: Number) -> Iterator[str]:
        if n.value:
            yield written(n.value * factor, n)

    return make


def negated(n: Number) -> Iterator[str]:
    """42 as -42."""
    if n.value:
        yield written(-n.value, n)


def inverted(n: Number) -> Iterator[str]:
    """3/4 as 4/3, 5 as 1/5."""
    if n.value and not n.pi and n.style in ("fraction", "mixed", "decimal") and abs(n.value) != 1:
        yield written(1 / n.value, Number(n.value, "fraction"))


def digits_swapped(n: Number) -> Iterator[str]:
    """42 as 24."""
    if n.style not in ("integer", "decimal") or n.pi:
        return
    text = decimal(n.value, 60) or ""
    for at in range(len(text) - 1):
        if text[at].isdigit() and text[at + 1].isdigit() and text[at] != text[at + 1]:
            yield text[:at] + text[at + 1] + text[at] + text[at + 2 :]
            return


def digit_before(n: Number) -> Iterator[str]:
    """42 as 142."""
    if n.style in ("integer", "decimal") and not n.pi:
        text = decimal(abs(n.value), 60) or ""
        yield ("-" if n.value < 0 else "") + "1" + text


def digit_after(n: Number) -> Iterator[str]:
    """42 as 427."""
    if n.style == "integer" and not n.pi:
        yield f"{n.value.numerator}7"


def digit_dropped(n: Number) -> Iterator[str]:
    """42 as 4."""
    text = str(n.value.numerator)
    if n.style == "integer" and not n.pi and len(text.lstrip("-")) >= 2 and abs(n.value) < _EXACT_IN_FLOAT:
        yield text[:-1]


def decimal_part_dropped(n: Number) -> Iterator[str]:
    """2.5 as 2."""
    if n.style == "decimal" and not n.pi and n.value.denominator > 1 and abs(n.value) >= 1:
        yield str(int(n.value))


def rounded(n: Number) -> Iterator[str]:
    """1/3 as 0.33, 3.14159 as 3.14; only where the difference is above one part in 10,000."""
    near = Fraction(round(n.value * 100), 100)
    places = decimal(n.value, 2)
    if not n.pi and places is None and near and abs(near - n.value) > abs(n.value) / 10_000:
        yield decimal(near) or ""


def pi_dropped(n: Number) -> Iterator[str]:
    r"""2\pi as 2."""
    if n.pi:
        yield written(n.value, Number(n.value, n.style))


def pi_rounded(n: Number) -> Iterator[str]:
    r"""2\pi as 6.28."""
    if n.pi:
        yield decimal(n.value * Fraction(314, 100), 12) or written(
            n.value * Fraction(314, 100), Number(n.value, "fraction")
        )


def root_changed(root: Root) -> Iterator[str]:
    r"""2\sqrt{3} as 2\sqrt{4}... without the root, with another factor or radicand."""
    factor, inner = written(root.factor, Number(root.factor, "fraction")), root.radicand
    yield written(root.factor * inner, Number(root.factor, "fraction"))  # without the root
    yield rf"{'' if factor == '1' else f'({factor})'}\sqrt{{{inner + 1}}}"
    yield rf"({written(root.factor + 1, Number(root.factor, 'fraction'))})\sqrt{{{inner}}}"


def wrong_unit(reading: Reading) -> Iterator[str]:
    """5 cm as 5 m."""
    for unit, other in UNITS.items():
        tail = reading.tail.strip()
        for form, put in (
            (unit, other),
            (rf"\text{{{unit}}}", rf"\text{{{other}}}"),
            (rf"\mathrm{{{unit}}}", rf"\mathrm{{{other}}}"),
        ):
            if tail.replace("{ ", "{") == form and isinstance(reading.value, Number) and reading.value.value:
                yield reading.lead + written(reading.value.value, reading.value) + " " + put


# ------------------------------------------------------------------------------------------- structures


def _put(kind: str, items: tuple[str, ...]) -> str:
    opening, closing = {"set": (r"\{", r"\}"), "tuple": ("(", ")"), "list": ("", "")}[kind]
    return opening + ", ".join(items) + closing


def _distinct(items: tuple[str, ...]) -> list[object]:
    """What each item is, so that 1 and 1.0 count once."""
    values = [number(item) for item in items]
    return [
        item.strip() if value is None else (value.value, value.pi) for item, value in zip(items, values, strict=True)
    ]


def element_dropped(group: Group) -> Iterator[str]:
    """The last element left out, if no other element has its value."""
    values = _distinct(group.items)
    if len(group.items) >= 2 and (group.kind == "tuple" or values[-1] not in values[:-1]):
        yield _put(group.kind, group.items[:-1])


def element_added(group: Group) -> Iterator[str]:
    """One more element, which is not there yet."""
    if all(number(item) for item in group.items):
        yield _put(group.kind, (*group.items, "10007"))


def element_changed(group: Group) -> Iterator[str]:
    """One element replaced by a number that is not among them."""
    if all(number(item) for item in group.items):
        yield _put(group.kind, ("10007", *group.items[1:]))


def tuple_swapped(group: Group) -> Iterator[str]:
    """(1, 2) as (2, 1)."""
    values = _distinct(group.items)
    if group.kind == "tuple" and values != values[::-1]:
        yield _put("tuple", group.items[::-1])


def tuple_as_set(group: Group) -> Iterator[str]:
    r"""(1, 2) as \{1, 2\}."""
    if group.kind == "tuple":
        yield _put("set", group.items)


def set_as_tuple(group: Group) -> Iterator[str]:
    r"""\{1, 2\} as (1, 2)."""
    if group.kind == "set" and len(group.items) >= 2:
        yield _put("tuple", group.items)


def _interval(low: str | None, high: str | None, low_closed: bool, high_closed: bool) -> str:
    return next(bracketed(Interval(low, high, low_closed, high_closed)))


def _wide(interval: Interval) -> bool:
    """The interval holds more than one point, as far as its ends can be read: no change of ends goes unseen."""
    low, high = number(interval.low or ""), number(interval.high or "")
    return low is None or high is None or (low.pi == high.pi and low.value < high.value)


def interval_opened(interval: Interval) -> Iterator[str]:
    """[0, 1) as (0, 1) and [0, 1]: one end at a time."""
    if not _wide(interval):
        return
    if interval.low is not None:
        yield _interval(interval.low, interval.high, not interval.low_closed, interval.high_closed)
    if interval.high is not None:
        yield _interval(interval.low, interval.high, interval.low_closed, not interval.high_closed)


def interval_moved(interval: Interval) -> Iterator[str]:
    """[0, 1) as [0, 10007)."""
    if _wide(interval) and interval.high is not None and interval.high != "10007":
        yield _interval(interval.low, "10007", interval.low_closed, interval.high_closed)
    elif _wide(interval) and interval.low is not None:
        yield _interval("-10007", interval.high, interval.low_closed, interval.high_closed)


_LATEX_SIGN = {"<": "<", ">": ">", "<=": r"\le", ">=": r"\ge"}


def strictness(found: Inequality) -> Iterator[str]:
    """x >= 3 as x > 3."""
    other = found.sign.removesuffix("=") if "=" in found.sign else found.sign + "="
    yield f"{found.letter} {_LATEX_SIGN[other]} {found.bound}"
    yield from inequality_as_interval(Inequality(found.letter, other, found.bound))


def direction(found: Inequality) -> Iterator[str]:
    """x >= 3 as x <= 3."""
    other = found.sign.replace("<", "@").replace(">", "<").replace("@", ">")
    yield f"{found.letter} {_LATEX_SIGN[other]} {found.bound}"


def bound_moved(found: Inequality) -> Iterator[str]:
    """x >= 3 as x >= 4."""
    bound = number(found.bound)
    if bound is not None:
        yield f"{found.letter} {_LATEX_SIGN[found.sign]} {written(bound.value + 1, bound)}"


def ratio_swapped(ratio: Ratio) -> Iterator[str]:
    """3:4 as 4:3."""
    if ratio.left != ratio.right:
        yield f"{ratio.right}:{ratio.left}"


def matrix_entry(matrix: Matrix) -> Iterator[str]:
    """One entry more by one."""
    first, *rest = matrix.rows
    yield put_matrix(((first[0] + 1, *first[1:]), *rest), matrix.environment)


def matrix_transposed(matrix: Matrix) -> Iterator[str]:
    """Rows as columns, if that changes it."""
    turned = tuple(zip(*matrix.rows, strict=True))
    if turned != matrix.rows:
        yield put_matrix(turned, matrix.environment)


def polynomial_constant(p: Polynomial) -> Iterator[str]:
    """One more than the polynomial."""
    terms = dict(p.terms)
    terms[0] = terms.get(0, 0) + 1
    yield put_polynomial(tuple(sorted(((k, c) for k, c in terms.items() if c), reverse=True)), p.letter)


def polynomial_sign(p: Polynomial) -> Iterator[str]:
    """The sign of the last term turned."""
    *head, (power, coefficient) = p.terms
    yield put_polynomial((*head, (power, -coefficient)), p.letter)


def polynomial_power(p: Polynomial) -> Iterator[str]:
    """The highest power one higher."""
    (power, coefficient), *rest = p.terms
    yield put_polynomial(((power + 1, coefficient), *rest), p.letter)
