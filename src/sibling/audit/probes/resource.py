r"""Answers that ask for unbounded work or memory: they are wrong, and the reply has to come in time all the same.

The engine holds each call to a bound on time and memory; a call that is late counts as a time-out, not as a refusal.
Covered: towers of powers, factorials, binomials, large expansions, sums and products, deep nesting, long digits, many
boxes, large sets, long sums, extreme exponents, an integral without closed form, text on which backtracking regular
expressions take exponential time, and a megabyte of text in several shapes.
"""

from __future__ import annotations

from collections.abc import Iterator

from sibling.audit.kinds import Seed, Variant
from sibling.audit.probes.build import Maker, group_of, mentions_right, texts, wrongs

_add = group_of("resource")
MEGABYTE = 1 << 20


def _stress(*answers: str, note: str) -> Maker:
    def make(seed: Seed) -> Iterator[Variant]:
        for answer in answers:
            if not mentions_right(seed, answer):
                yield Variant(seed.wrap(answer), note)

    return make


def _many_boxes(seed: Seed) -> Iterator[Variant]:
    wrong = wrongs(seed, 1)
    if wrong:
        yield Variant(" ".join([seed.wrap(wrong[0])] * 3000), "3,000 wrong answers")


def _megabyte(seed: Seed) -> Iterator[Variant]:
    words = "lorem ipsum dolor sit amet "
    shapes = (words * (MEGABYTE // len(words)), "{" * MEGABYTE, " " * MEGABYTE, "$" * MEGABYTE)
    yield from texts(seed, shapes, "a megabyte of text")
    boxes = r"\boxed{"
    yield from texts(
        seed,
        [boxes * 20_000, "<think>" * 50_000, "<answer>" * 50_000, "####" * 50_000],
        "the opening mark again and again",
    )


BACKTRACKING = (
    "a" * 40_000 + "!",
    " " * 40_000 + "x",
    "\n" * 40_000 + "x",
    "," * 40_000,
    "1," * 20_000 + "x",
    "1 " * 20_000 + "x",
    "-" * 40_000,
    "(" * 20_000 + "a" + ")" * 19_999,
    "<think>" * 5_000 + "a" + "</think>" * 4_999,
    r"\frac{" * 10_000 + "1",
    "**" * 20_000 + "a",
    "=" * 40_000,
    "\\" * 40_001,
    '"' * 40_001,
    "0" * 40_000 + "x",
    "a@" * 20_000,
)
"""Long runs of one or two characters with a last one that does not fit: nested repetition tries all cuts."""

PROBES = (
    _add("power_tower", "low", _stress("10^{10^{10}}", "9^{9^{9^9}}", "9**9**9**9", note="a tower of powers")),
    _add("factorial", "low", _stress("(10^7)!", "10000000!", "((10^5)!)!", note="a factorial")),
    _add("binomial", "low", _stress(r"\binom{10^8}{5\cdot10^7}", note="a binomial coefficient")),
    _add("expansion", "low", _stress("(x+y+z+w)^{200}", "(a+b+c+d+e)^{500}", note="an expansion")),
    _add(
        "large_sum", "low", _stress(r"\sum_{k=1}^{10^8}1/k^2", r"\sum_{k=1}^{100000000} k", note="a sum of many terms")
    ),
    _add("large_product", "low", _stress(r"\prod_{k=1}^{10^7}k", note="a product of many factors")),
    _add(
        "hard_integral",
        "low",
        _stress(
            r"\int_0^1 \frac{\sin(x^x)}{e^{x^2}+\ln(1+x^5)}dx", r"\int x^x\,dx", note="an integral without closed form"
        ),
    ),
    _add(
        "extreme_exponent",
        "low",
        _stress("1e999999999", "1e-999999999", "2^{2^{40}}", "10^{-10^{10}}", note="an extreme exponent"),
    ),
    _add(
        "deep_parentheses",
        "low",
        _stress("(" * 3000 + "10007" + ")" * 3000, "[" * 3000 + "]" * 3000, "-" * 3000 + "10007", note="deep nesting"),
    ),
    _add(
        "deep_braces",
        "low",
        _stress("{" * 20_000 + "10007" + "}" * 20_000, r"\sqrt{" * 5000 + "10007" + "}" * 5000, note="deep nesting"),
    ),
    _add("deep_fractions", "low", _stress(r"\frac{1}{" * 2000 + "10007" + "}" * 2000, note="deep nesting")),
    _add(
        "many_digits",
        "low",
        _stress("7" * 100_000, "0." + "7" * 100_000, "7" * 50_000 + "/" + "9" * 50_000, note="100,000 digits"),
    ),
    _add("many_answers", "low", _many_boxes),
    _add("large_set", "low", _stress(r"\{" + ",".join(map(str, range(5000))) + r"\}", note="a set of 5,000 elements")),
    _add(
        "long_sum",
        "low",
        _stress(
            "+".join(f"x_{{{k}}}" for k in range(3000)),
            "+".join(f"{k}/{k + 7}" for k in range(1, 3000)),
            note="a sum of 3,000 terms",
        ),
    ),
    _add("backtracking", "low", _stress(*BACKTRACKING, note="text for a backtracking pattern")),
    _add("megabyte", "low", _megabyte),
)
