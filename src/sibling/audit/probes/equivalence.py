"""Rewrites that leave the answer right: its verdict must be kept.

Each rewrite is exact. What a verifier may rightly take another way (a unit left out, a percent sign, a fraction that
is not reduced, the order of a list without brackets) is marked as policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from sibling.audit.kinds import Probe, Seed, Variant
from sibling.audit.probes import documents, programs, queries, spellings
from sibling.audit.probes.build import (
    CHOICE,
    CODE,
    JSON,
    MATH,
    SQL,
    TEXT,
    group_of,
    latex,
    letter_of,
    prompt_of,
    texts,
    wrapped,
)
from sibling.audit.probes.reading import read
from sibling.audit.probes.values import Group, Inequality, Interval, Matrix, Number, Polynomial, Reading, Root

_add = group_of("equivalence")
V = TypeVar("V")
_SAME = "the same JSON value written in another way"


def _spelled(
    name: str,
    kind: type[V],
    spell: Callable[[V], Iterable[str]],
    *,
    needs_latex: bool = False,
    policy: bool = False,
) -> Probe:
    """A probe that writes a value of `kind` in other ways; LaTeX only where this seed's answers may hold it."""

    def make(seed: Seed) -> Iterator[Variant]:
        reading = read(seed.answer)
        if reading is None or not isinstance(reading.value, kind) or (needs_latex and not latex(seed)):
            return
        if reading.tail and name.startswith(("scientific", "fraction", "mixed")):
            return  # 5e1 cm, 25/2%: nobody writes so
        yield from wrapped(seed, [reading.put(form) for form in spell(reading.value)])

    return _add(name, "keep", make, kinds=MATH, policy=policy)


def _read(name: str, spell: Callable[[Seed, Reading], Iterable[str]], *, policy: bool = False) -> Probe:
    def make(seed: Seed) -> Iterator[Variant]:
        reading = read(seed.answer)
        if reading is not None:
            yield from wrapped(seed, spell(seed, reading))

    return _add(name, "keep", make, kinds=MATH, policy=policy)


def _equation(seed: Seed, reading: Reading) -> Iterator[str]:
    """`x = 42` for 42, and 42 for `x = 42`, in the letter of the prompt if it shows one."""
    if not isinstance(reading.value, Number | Root):
        return
    if "=" in reading.lead:
        yield reading.lead.partition("=")[0].strip() + "=" + seed.answer.partition("=")[2].strip().rstrip("$")
        yield seed.answer.partition("=")[2].strip().rstrip("$")
    elif not reading.lead and not reading.tail:
        found = re.search(r"(?<![A-Za-z\\])[xyznk](?![A-Za-z])", prompt_of(seed))
        letter = found.group() if found else "x"
        yield from (f"{letter} = {seed.answer.strip('$ ')}", f"{letter}={seed.answer.strip('$ ')}")


def _percent_sign(seed: Seed, reading: Reading) -> Iterator[str]:
    if reading.tail.strip() == "%":
        bare = _without_tail(seed.answer)
        yield from (f"{bare}%", f"{bare} %", *([rf"{bare}\%"] if latex(seed) else []))


def _percent_as_number(seed: Seed, reading: Reading) -> Iterator[str]:
    if reading.tail.strip() == "%" and isinstance(reading.value, Number):
        yield from spellings.as_decimal(Number(reading.value.value / 100, "fraction"))


def _percent_dropped(seed: Seed, reading: Reading) -> Iterator[str]:
    if reading.tail.strip() == "%":
        yield _without_tail(seed.answer)


def _degree_sign(seed: Seed, reading: Reading) -> Iterator[str]:
    if reading.tail.strip() == "\u00b0":
        bare = _without_tail(seed.answer)
        yield f"{bare}\u00b0"
        if latex(seed):
            yield from (rf"{bare}^\circ", rf"{bare}^{{\circ}}")


def _degree_dropped(seed: Seed, reading: Reading) -> Iterator[str]:
    if reading.tail.strip() == "\u00b0":
        yield _without_tail(seed.answer)


def _without_tail(answer: str) -> str:
    return re.sub(r"\s*(\\?%|\u00b0|\^\{?\\circ\}?)\s*\$?$", "", answer.strip()).lstrip("$")


def _unit(reading: Reading) -> str:
    found = re.search(r"[A-Za-z]+\}?$", reading.tail.strip())
    return found.group().rstrip("}") if found else ""


def _unit_spelling(seed: Seed, reading: Reading) -> Iterator[str]:
    if (unit := _unit(reading)) and not reading.lead:
        count = re.split(r"\s*(?:\\ )?\s*(?:\\(?:text|mathrm)\{|" + unit + ")", seed.answer.strip("$ "))[0].strip()
        yield f"{count} {unit}"
        if latex(seed):
            yield from (rf"{count}\text{{ {unit}}}", rf"{count}\ \mathrm{{{unit}}}", rf"{count}\,\text{{{unit}}}")


def _unit_dropped(seed: Seed, reading: Reading) -> Iterator[str]:
    if _unit(reading) and isinstance(reading.value, Number):
        yield from spellings.without_thousands(reading.value)
        yield from spellings.as_decimal(Number(reading.value.value, "fraction"))


def _set_order(seed: Seed, reading: Reading) -> Iterator[str]:
    if isinstance(reading.value, Group) and reading.value.kind == "set":
        items = reading.value.items
        yield from (rf"\{{{', '.join(order)}\}}" for order in (items[::-1], items[1:] + items[:1]) if order != items)


def _set_repeat(seed: Seed, reading: Reading) -> Iterator[str]:
    if isinstance(reading.value, Group) and reading.value.kind == "set":
        yield rf"\{{{', '.join((reading.value.items[0], *reading.value.items))}\}}"


def _list_order(seed: Seed, reading: Reading) -> Iterator[str]:
    if isinstance(reading.value, Group) and reading.value.kind == "list":
        yield reading.put(", ".join(reading.value.items[::-1]))


def _spacing(seed: Seed, reading: Reading) -> Iterator[str]:
    if isinstance(reading.value, Group) and reading.value.kind != "list":
        opening, closing = (r"\{", r"\}") if reading.value.kind == "set" else ("(", ")")
        yield from (reading.put(opening + gap.join(reading.value.items) + closing) for gap in (",", ", ", " , "))


def _left_right(seed: Seed, reading: Reading) -> Iterator[str]:
    plain = seed.answer.strip("$ ")
    if isinstance(reading.value, Group | Interval) and latex(seed) and r"\left" not in plain and not reading.lead:
        found = re.fullmatch(r"(\\\{|[(\[])(.*)(\\\}|[)\]])", plain)
        if found:
            yield rf"\left{found[1]}{found[2]}\right{found[3]}"


def _as_inequality(seed: Seed, reading: Reading) -> Iterator[str]:
    """An interval as an inequality in the letter of the prompt, and the other way round."""
    if not isinstance(reading.value, Interval):
        return
    if re.search(r"[<>\u2264\u2265]|\\[lg]eq?(?![a-z])", seed.answer):
        yield from spellings.bracketed(reading.value)
    else:
        found = re.search(r"(?<![A-Za-z\\])[xyzt](?![A-Za-z])", prompt_of(seed))
        yield from spellings.interval_as_inequality(reading.value, found.group() if found else "x")


def _text_command(seed: Seed) -> Iterator[Variant]:
    plain = seed.answer.strip("$ ")
    found = re.fullmatch(r"\\text\{([^{}\\]+)\}", plain)
    if found:
        yield from wrapped(seed, [found[1].strip()])
    elif latex(seed) and re.fullmatch(r"[A-Za-z][A-Za-z ]*", plain):
        yield from wrapped(seed, [rf"\text{{{plain}}}"])


def _letter(*forms: str, needs_latex: bool = False) -> Callable[[Seed], Iterator[Variant]]:
    def make(seed: Seed) -> Iterator[Variant]:
        letter, ended = letter_of(seed), seed.wrap("").endswith(".")
        if letter and (latex(seed) or not needs_latex):
            fitting = (form for form in forms if not (ended and form.endswith(".")))
            yield from wrapped(seed, [form.replace("?", letter) for form in fitting])

    return make


def _option_text(seed: Seed) -> Iterator[Variant]:
    options, letter = seed.task.columns.get("options"), letter_of(seed)
    if isinstance(options, list | tuple) and letter and ord(letter) - 65 < len(options):
        text = str(options[ord(letter) - 65])
        if text and [str(option) for option in options].count(text) == 1:
            yield from wrapped(seed, [f"{letter}) {text}", f"({letter}) {text}", f"{letter}. {text}"])


def _case(seed: Seed) -> Iterator[Variant]:
    """Words in another case; letters of mathematics are left as they are, where x and X differ."""
    found = re.fullmatch(r"(\\text\{)?([A-Za-z][A-Za-z \-]+)(\})?", seed.answer.strip())
    if found:
        words = found[2].lower(), found[2].upper(), found[2].capitalize()
        yield from wrapped(seed, [(found[1] or "") + word + (found[3] or "") for word in words])


def _made(make: Callable[[Seed], Iterable[str]], note: str) -> Callable[[Seed], Iterator[Variant]]:
    return lambda seed: wrapped(seed, make(seed), note)


_NUMBERS = (
    _spelled("fraction_as_decimal", Number, spellings.as_decimal),
    _spelled("fraction_with_slash", Number, spellings.as_slash),
    _spelled("fraction_in_latex", Number, spellings.as_frac, needs_latex=True),
    _spelled("sign_of_fraction", Number, spellings.sign_in_fraction, needs_latex=True),
    _spelled("mixed_number", Number, spellings.as_mixed),
    _spelled("mixed_number_in_latex", Number, spellings.as_mixed_latex, needs_latex=True),
    _spelled("thousands_comma", Number, spellings.thousands),
    _spelled("thousands_brace", Number, partial(spellings.thousands, mark="{,}"), needs_latex=True),
    _spelled("thousands_thin_space", Number, partial(spellings.thousands, mark=r"\,"), needs_latex=True),
    _spelled("thousands_dropped", Number, spellings.without_thousands),
    _spelled("leading_zero", Number, spellings.leading_zero),
    _spelled("plus_sign", Number, spellings.plus),
    _spelled("trailing_zero", Number, spellings.trailing_zeros),
    _spelled("leading_dot", Number, spellings.leading_dot),
    _spelled("scientific", Number, spellings.scientific),
    _spelled("scientific_in_latex", Number, spellings.scientific_latex, needs_latex=True),
    _spelled("unicode_minus", Number, spellings.unicode_minus),
    _spelled("negative_zero", Number, spellings.negative_zero),
    _spelled("full_width_digits", Number, spellings.full_width),
    _spelled("unreduced_fraction", Number, spellings.unreduced, policy=True),
    _spelled("pi_spellings", Number, spellings.pi_spellings, needs_latex=True),
    _read("equation_prefix", _equation),
    _read("percent_sign", _percent_sign),
    _read("percent_as_number", _percent_as_number, policy=True),
    _read("percent_dropped", _percent_dropped, policy=True),
    _read("degree_sign", _degree_sign),
    _read("degree_dropped", _degree_dropped, policy=True),
    _read("unit_spelling", _unit_spelling),
    _read("unit_dropped", _unit_dropped, policy=True),
)
_STRUCTURES = (
    _read("set_order", _set_order),
    _read("set_repeat", _set_repeat),
    _read("list_order", _list_order, policy=True),
    _read("list_spacing", _spacing),
    _read("left_right", _left_right),
    _spelled("root_spellings", Root, spellings.root_spellings, needs_latex=True),
    _read("interval_as_inequality", _as_inequality),
    _spelled("inequality_as_interval", Inequality, spellings.inequality_as_interval, needs_latex=True),
    _spelled("inequality_turned", Inequality, spellings.inequality_turned, needs_latex=True),
    _spelled("matrix_brackets", Matrix, spellings.matrix_brackets),
    _spelled("term_order", Polynomial, spellings.term_order),
    _spelled("expanded", Polynomial, spellings.expanded),
    _spelled("factored", Polynomial, spellings.factored),
    _spelled("explicit_product", Polynomial, spellings.explicit_product, needs_latex=True),
)
_OTHERS = (
    _add("text_command", "keep", _text_command, kinds=MATH | TEXT | CHOICE),
    _add("letter_case", "keep", _case, kinds=TEXT | MATH, policy=True),
    _add("choice_brackets", "keep", _letter("(?)", "?)", "?."), kinds=CHOICE),
    _add("choice_in_latex", "keep", _letter(r"\text{?}", r"\textbf{(?)}", needs_latex=True), kinds=CHOICE),
    _add("choice_words", "keep", _letter("Option ?", "option (?)"), kinds=CHOICE),
    _add(
        "choice_lower_case",
        "keep",
        lambda s: wrapped(s, [letter_of(s).lower()] * bool(letter_of(s))),
        kinds=CHOICE,
        policy=True,
    ),
    _add("choice_with_text", "keep", _option_text, kinds=CHOICE),
    _add("json_key_order", "keep", documents.parsed(documents.key_order, _SAME), kinds=JSON),
    _add("json_white_space", "keep", documents.parsed(documents.white_space, _SAME), kinds=JSON),
    _add("json_escapes", "keep", documents.parsed(documents.escapes, _SAME), kinds=JSON),
    _add("sql_alias", "keep", _made(queries.aliased, "the same rows through an alias"), kinds=SQL),
    _add("sql_spacing", "keep", _made(queries.spaced, "the same query, spaced in another way"), kinds=SQL),
    _add("sql_row_order", "keep", _made(queries.reordered, "the same rows in another order"), kinds=SQL),
    _add("code_locals_renamed", "keep", _made(programs.renamed, "local names replaced"), kinds=CODE),
    _add("code_comments", "keep", _made(programs.commented, "comments and blank lines added"), kinds=CODE),
    _add("code_reformatted", "keep", _made(programs.reformatted, "written out again from its syntax tree"), kinds=CODE),
    _add("code_reordered", "keep", _made(programs.reordered, "independent statements in another order"), kinds=CODE),
    _add(
        "code_fenced",
        "keep",
        lambda s: texts(s, [f"```python\n{p}\n```" for p in programs.whole(s)]),
        kinds=CODE,
        policy=True,
    ),
)
PROBES: tuple[Probe, ...] = _NUMBERS + _STRUCTURES + _OTHERS
