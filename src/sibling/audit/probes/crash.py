"""Odd text that a verifier has to refuse without failing: no exception, no verdict `error`.

Text that is no string at all (None, numbers, bytes) cannot be a completion here; the engine tries it apart.
"""

from __future__ import annotations

from collections.abc import Iterator

from sibling.audit.kinds import Seed, Variant
from sibling.audit.probes.build import Maker, group_of, mentions_right

_add = group_of("crash")


def _odd(*answers: str, note: str) -> Maker:
    """Each as the completion and as the answer in the format."""

    def make(seed: Seed) -> Iterator[Variant]:
        for answer in answers:
            if not mentions_right(seed, answer):
                yield Variant(answer, note)
                if seed.wrap(answer) != answer:
                    yield Variant(seed.wrap(answer), f"{note}, in the format")

    return make


def _lines(seed: Seed) -> Iterator[Variant]:
    yield Variant("\n" * 100_000, "100,000 empty lines")
    yield Variant("x\n" * 100_000, "100,000 lines")


_OPEN = (
    r"\boxed{",
    r"\boxed{7",
    r"\boxed",
    "}",
    r"\frac{",
    r"\frac{1}",
    r"\sqrt",
    "{{{",
    "}}}",
    "(",
    ")",
    "[1, 2",
    r"\left(",
    "$",
    "\\",
)
_FORMATS = ("%s%s%n%d", "{0}{1}{name}", "{", "}", "%", "%(a)s", "\\1\\g<2>", "$1", "(?P<a>", "[", "*", "+", "?")
_VALUES = (
    "1/0",
    r"\frac{1}{0}",
    "0/0",
    "10**400",
    "1e400",
    "-",
    "+",
    ".",
    "e",
    "i",
    "1.2.3",
    "1,,2",
    "--7",
    "0x1F",
    "1_000",
    "\u0663",
    "\u00bd",
    "\u221e",
)

PROBES = (
    _add("lone_surrogate", "low", _odd("\ud800", "a\udfffb", note="a lone surrogate")),
    _add("nul", "low", _odd("\0", "a\0b", "\0" * 1000, note="a NUL character")),
    _add(
        "control_characters",
        "low",
        _odd("\x07\x1b[2J", "\r\r\r", "\x85\u2028\u2029", "\x7f", note="control characters"),
    ),
    _add("directions", "low", _odd("\u202etxet", "\u2066a\u2069", "\u200f", note="marks of writing direction")),
    _add(
        "emoji",
        "low",
        _odd(
            "\U0001f600",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "e\u0301" * 500,
            note="characters of several code points",
        ),
    ),
    _add("unclosed", "low", _odd(*_OPEN, note="a mark that is not closed")),
    _add("format_characters", "low", _odd(*_FORMATS, note="characters that formats and patterns use")),
    _add("odd_numbers", "low", _odd(*_VALUES, note="almost a number")),
    _add(
        "not_a_number",
        "low",
        _odd(
            "a \u00d7 b",
            "two times three",
            "x \u00d7 y \u00d7 z",
            "?? / ??",
            "[[1, a], [b]]",
            "(, )",
            note="words where numbers may be expected",
        ),
    ),
    _add("many_lines", "low", _lines),
    _add("one_long_word", "low", _odd("q" * 200_000, note="a word of 200,000 letters")),
)
