"""Rewrites that make the answer wrong: the verdict of the right answer must be lost.

Each is checked to change the value (by exact arithmetic where there is a value). What is still right for some reader
(a rounded pi, a JSON value whose fields may be optional, a mutated program that happens to do the same) is policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

from sibling.audit.kinds import Probe, Seed, Variant
from sibling.audit.probes import damage, documents, programs, queries
from sibling.audit.probes.build import (
    CHOICE,
    CODE,
    JSON,
    MATH,
    SQL,
    TEXT,
    differ,
    folded,
    group_of,
    letter_of,
    prompt_of,
    short,
    wrapped,
    wrongs,
)
from sibling.audit.probes.reading import read
from sibling.audit.probes.values import Group, Inequality, Interval, Matrix, Number, Polynomial, Ratio, Root

_add = group_of("corruption")
V = TypeVar("V")
_CHANGED = "a changed JSON value"


def _damaged(name: str, kind: type[V], spoil: Callable[[V], Iterable[str]], *, policy: bool = False) -> Probe:
    def make(seed: Seed) -> Iterator[Variant]:
        reading = read(seed.answer)
        if reading is None or not isinstance(reading.value, kind):
            return
        bad = [reading.put(form) for form in spoil(reading.value)]
        changed = [text for text in bad if (other := read(text)) is None or other.value != reading.value]
        yield from wrapped(seed, changed, f"{short(seed.answer)} spoiled")

    return _add(name, "flip", make, kinds=MATH | TEXT, policy=policy)


def _hundred(factor: Fraction) -> Callable[[Seed], Iterator[Variant]]:
    """100 times as much is wrong, unless the reference or the prompt speaks of percent."""

    def make(seed: Seed) -> Iterator[Variant]:
        reading = read(seed.answer)
        if reading is None or not isinstance(reading.value, Number) or "%" in reading.tail:
            return
        if not re.search(r"%|percent", prompt_of(seed), re.IGNORECASE):
            yield from wrapped(seed, [reading.put(form) for form in damage.scaled(factor)(reading.value)])

    return make


def _wrong_unit(seed: Seed) -> Iterator[Variant]:
    reading = read(seed.answer)
    if reading is not None and reading.tail:
        yield from wrapped(seed, damage.wrong_unit(reading), f"{short(seed.answer)} in another unit")


def _other_letter(seed: Seed) -> Iterator[Variant]:
    if letter_of(seed):
        yield from wrapped(seed, wrongs(seed, 25), "another option")


def _other_text(seed: Seed) -> Iterator[Variant]:
    yield from wrapped(seed, wrongs(seed, 3), "another answer of the same kind")


def _other_word(seed: Seed) -> Iterator[Variant]:
    """Another word in place of the right one inside a LaTeX text command."""
    found = re.fullmatch(r"(\\text\{\s*)([A-Za-z][A-Za-z ]*)(\})", seed.answer.strip("$ "))
    if found:
        words = [word for word in ("amber", "basalt", found[2] + "s") if word != found[2].strip()]
        yield from wrapped(seed, [found[1] + word + found[3] for word in words])


def _letter_changed(seed: Seed) -> Iterator[Variant]:
    """One letter of the right text replaced."""
    found = re.search("[a-z]{3}", folded(seed.answer))
    if found and "\\" not in seed.answer:
        at = seed.answer.lower().find(found.group())
        if at >= 0:
            letter = "q" if seed.answer[at + 1].lower() != "q" else "z"
            yield from wrapped(seed, [seed.answer[: at + 1] + letter + seed.answer[at + 2 :]])


def _word_dropped(seed: Seed) -> Iterator[Variant]:
    words = seed.answer.split()
    if len(words) >= 2:
        yield from wrapped(
            seed, [part for part in (" ".join(words[:-1]), " ".join(words[1:])) if folded(part) != folded(seed.answer)]
        )


# ------------------------------------------------------------------------------------------- programs and queries


def _programs(make: Callable[[Seed], Iterable[tuple[str, str]]]) -> Callable[[Seed], Iterator[Variant]]:
    def variants(seed: Seed) -> Iterator[Variant]:
        for source, note in make(seed):
            yield from wrapped(seed, [source], note)

    return variants


def _query(make: Callable[[Seed], Iterable[str]], note: str) -> Callable[[Seed], Iterator[Variant]]:
    return lambda seed: wrapped(seed, make(seed), note)


def _others(seed: Seed) -> Iterator[Variant]:
    """References of other prompts, which are wrong here unless they say the same."""
    far = [other for other in seed.others if differ(seed, other)]
    yield from wrapped(seed, far[:2], "the right answer of another prompt")


_NUMBERS = (
    _damaged("plus_one", Number, damage.moved(1)),
    _damaged("minus_one", Number, damage.moved(-1)),
    _damaged("big_integer", Number, damage.big_integer),
    _damaged("small_number_doubled", Number, damage.small_number),
    _damaged("times_ten", Number, damage.scaled(Fraction(10))),
    _add("times_hundred", "flip", _hundred(Fraction(100)), kinds=MATH),
    _add("over_hundred", "flip", _hundred(Fraction(1, 100)), kinds=MATH),
    _damaged("sign", Number, damage.negated),
    _damaged("inverted_fraction", Number, damage.inverted),
    _damaged("digits_swapped", Number, damage.digits_swapped),
    _damaged("digit_before", Number, damage.digit_before),
    _damaged("digit_after", Number, damage.digit_after),
    _damaged("digit_dropped", Number, damage.digit_dropped),
    _damaged("decimals_dropped", Number, damage.decimal_part_dropped),
    _damaged("rounded", Number, damage.rounded),
    _damaged("pi_dropped", Number, damage.pi_dropped),
    _damaged("pi_rounded", Number, damage.pi_rounded, policy=True),
    _damaged("root_changed", Root, damage.root_changed),
    _add("wrong_unit", "flip", _wrong_unit, kinds=MATH),
)
_STRUCTURES = (
    _damaged("element_dropped", Group, damage.element_dropped),
    _damaged("element_added", Group, damage.element_added),
    _damaged("element_changed", Group, damage.element_changed),
    _damaged("tuple_swapped", Group, damage.tuple_swapped),
    _damaged("tuple_as_set", Group, damage.tuple_as_set),
    _damaged("set_as_tuple", Group, damage.set_as_tuple),
    _damaged("interval_ends", Interval, damage.interval_opened),
    _damaged("interval_moved", Interval, damage.interval_moved),
    _damaged("strictness", Inequality, damage.strictness),
    _damaged("direction", Inequality, damage.direction),
    _damaged("bound_moved", Inequality, damage.bound_moved),
    _damaged("ratio_swapped", Ratio, damage.ratio_swapped),
    _damaged("matrix_entry", Matrix, damage.matrix_entry),
    _damaged("matrix_transposed", Matrix, damage.matrix_transposed),
    _damaged("polynomial_constant", Polynomial, damage.polynomial_constant),
    _damaged("polynomial_sign", Polynomial, damage.polynomial_sign),
    _damaged("polynomial_power", Polynomial, damage.polynomial_power),
)
_DOCUMENTS = (
    _add("json_required_dropped", "flip", documents.parsed(documents.required_dropped, _CHANGED), kinds=JSON),
    _add("json_wrong_type", "flip", documents.parsed(documents.wrong_type, _CHANGED), kinds=JSON),
    _add("json_field_dropped", "flip", documents.parsed(documents.field_dropped, _CHANGED), kinds=JSON, policy=True),
    _add("json_value_changed", "flip", documents.parsed(documents.value_changed, _CHANGED), kinds=JSON, policy=True),
    _add("not_json", "flip", documents.parsed(documents.not_json, _CHANGED), kinds=JSON),
    _add("json_duplicate_key", "flip", documents.parsed(documents.duplicate_key, _CHANGED), kinds=JSON),
    _add("sql_row_less", "flip", _query(queries.one_row_less, "one row less"), kinds=SQL),
    _add("sql_row_more", "flip", _query(queries.one_row_more, "one row more"), kinds=SQL),
    _add("sql_column_more", "flip", _query(queries.one_column_more, "one column more"), kinds=SQL),
    _add("sql_no_rows", "flip", _query(queries.no_rows, "no rows"), kinds=SQL),
    _add("sql_constants", "flip", _query(queries.constants, "the rows of one database written down"), kinds=SQL),
    _add("code_broken", "flip", _programs(programs.broken), kinds=CODE),
    _add("code_mutant", "flip", _programs(programs.mutants), kinds=CODE, policy=True),
)
PROBES: tuple[Probe, ...] = (
    *_NUMBERS,
    *_STRUCTURES,
    *_DOCUMENTS,
    _add("other_option", "flip", _other_letter, kinds=CHOICE),
    _add("other_text", "flip", _other_text, kinds=TEXT),
    _add("other_word", "flip", _other_word, kinds=MATH | TEXT),
    _add("letter_changed", "flip", _letter_changed, kinds=TEXT),
    _add("word_dropped", "flip", _word_dropped, kinds=TEXT, policy=True),
    _add("another_prompts_answer", "flip", _others, kinds=MATH | TEXT),
)
