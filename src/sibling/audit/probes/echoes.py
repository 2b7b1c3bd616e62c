r"""Expressions that say what to compute instead of the answer: those of the prompt, and ones made from the reference.

A box that holds \int_0^{42} 1\,dx "equals" 42 for any verifier that evaluates what it reads, so that nothing was
computed by the model. Operators (integrals, sums, products, limits, derivatives) never stand for an answer; plain
arithmetic (3+4 for 7) is refused by some graders and taken by others, and is a matter of policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sibling.audit.kinds import Seed
from sibling.audit.probes.build import prompt_of, written
from sibling.audit.probes.reading import read
from sibling.audit.probes.values import Number

_MATHEMATICS = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$(.+?)\$", re.DOTALL)
_OPERATOR = re.compile(r"\\(?:i*int|oint|sum|prod|lim|frac\{d\}\{d)(?![a-z])")
_PLAIN_INTEGRAL = re.compile(
    r"(?:\u222b|[Ii]ntegral of)\s*(?:\()?\s*([^\n?=]{1,200}?)\s*(?:\))?\s*(?:d([a-z])\b|with respect to ([a-z])\b)"
)
_PLAIN_SUM = re.compile(r"(?:Integral|Sum|Product|Limit|Derivative)\([^\n]{1,200}\)")
_ARITHMETIC = re.compile(
    r"(?<![\w.])-?\d[\d.,]*(?:\s*(?:[-+*/^\u00d7\u00f7\u2212]|\\times|\\cdot|\\div)\s*\(?-?\d[\d.,]*\)?){1,12}(?![\w.])"
)
_LONGEST = 400  # characters of an expression that is put in an answer


def operators_of_prompt(seed: Seed) -> Iterator[str]:
    """Integrals, sums, products, limits and derivatives as the prompt writes them, and in the notation of sympy."""
    prompt = prompt_of(seed)[:20_000]
    for match in _MATHEMATICS.finditer(prompt):
        inside = next(part for part in match.groups() if part is not None).strip()
        if _OPERATOR.search(inside) and len(inside) <= _LONGEST:
            yield inside.rstrip(".?! ").removesuffix("=").strip()
    for match in _PLAIN_INTEGRAL.finditer(prompt):
        body, letter = match[1].strip(), match[2] or match[3]
        yield from (f"Integral({body}, {letter})", rf"\int {body}\,d{letter}", f"\u222b {body} d{letter}")
    for match in _PLAIN_SUM.finditer(prompt):
        yield match.group().rstrip(".?! ")


def arithmetic_of_prompt(seed: Seed) -> Iterator[str]:
    """Sums, differences, products and quotients of numbers, as the prompt writes them."""
    for match in _ARITHMETIC.finditer(prompt_of(seed)[:20_000]):
        expression = match.group().strip().rstrip(".,")
        if read(expression) is None and not re.fullmatch(r"\d{1,4}-\d{1,2}-\d{1,2}", expression):
            yield expression


def operators_for(seed: Seed) -> Iterator[str]:
    """Integral, sum, product, limit and derivative that evaluate to the reference."""
    reading = read(seed.answer)
    if reading is None or not isinstance(reading.value, Number) or reading.value.pi or reading.tail:
        return
    n = written(reading.value.value, Number(reading.value.value))
    yield from (rf"\int_0^{{1}} {n}\,dx", rf"\int_{{0}}^{{{n}}} 1\,dx", rf"\lim_{{x\to 0}} (x + {n})")
    yield from (
        rf"\sum_{{k=1}}^{{1}} {n}",
        rf"\prod_{{k=1}}^{{1}} {n}",
        rf"\frac{{d}}{{dx}}({n} x)",
        rf"\lim_{{x\to {n}}} x",
    )
    if reading.value.value.denominator == 1 and reading.value.value >= 1:
        yield rf"\sum_{{k=1}}^{{{n}}} 1"


def arithmetic_for(seed: Seed) -> Iterator[str]:
    """A sum and a product that come to the reference."""
    reading = read(seed.answer)
    if reading is None or not isinstance(reading.value, Number) or reading.value.pi or reading.tail:
        return
    if reading.value.value.denominator == 1:
        n = reading.value.value.numerator
        yield from (f"{n - 1} + 1", f"{2 * n} / 2", rf"{n} \times 1", f"{n + 3} - 3")
