"""What the probes share: the format of a seed, its prompt, wrong answers of its kind, and how variants are made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice
from typing import Literal

from sibling.audit.kinds import Expect, Probe, Seed, Variant
from sibling.audit.probes.reading import read
from sibling.audit.probes.values import Group, Number, Ratio, Reading, Value

Format = Literal["bare", "boxed", "hash", "tags", "fence", "other"]
"""How the answer is marked: not at all, a LaTeX box, `####`, tags (or a thought before it), a fence, or words."""

Maker = Callable[[Seed], Iterable[Variant]]

MATH = frozenset({"math"})
TEXT = frozenset({"text"})
CHOICE = frozenset({"choice"})
JSON = frozenset({"json"})
SQL = frozenset({"sql"})
CODE = frozenset({"code"})
VALUES = frozenset({"math", "choice", "text"})
"""Answers that are a value or a few words, rather than a document or a program."""

_LONG = 2000  # characters from which a fixed text is noise, and right for no reference
_MARK = "SIBLINGMARK"
_SIGNS: tuple[tuple[str, Format], ...] = (
    ("<think>", "tags"), ("<answer>", "tags"), ("boxed", "boxed"), ("####", "hash"), ("```", "fence"),
)  # fmt: skip
_SURELY_WRONG = {"code": "pass\n", "json": "no document", "sql": "SELECT 'amber' AS wrong"}
_WORDS = ("amber", "basalt", "cobalt", "dolomite", "ebony", "feldspar", "garnet", "hickory", "indigo", "jasper")


def group_of(name: str) -> Callable[..., Probe]:
    """A maker of the probes of one group: `add(name, expect, make, kinds=, policy=, sensitive=)`."""

    def add(
        probe: str,
        expect: Expect,
        make: Maker,
        *,
        kinds: frozenset[str] = frozenset(),
        policy: bool = False,
        sensitive: bool = False,
    ) -> Probe:
        return Probe(probe, name, expect, kinds, make, policy, sensitive)

    return add


def format_of(seed: Seed) -> Format:
    """How this reward's completions mark the answer."""
    marked = seed.wrap(_MARK)
    if marked.strip() == _MARK:
        return "bare"
    for sign, found in _SIGNS:
        if sign in marked:
            return found
    return "other"


def core(seed: Seed, answer: str) -> str:
    """The answer with its mark and without the words around it: the box alone; else the whole completion."""
    if format_of(seed) == "boxed":
        return rf"\boxed{{{answer}}}"
    return seed.wrap(answer).rstrip(".")


def latex(seed: Seed) -> bool:
    """Answers of this seed may be written in LaTeX: its format, its reference or its prompt is."""
    return "\\" in seed.wrap(_MARK) or "\\" in (seed.task.reference or "") or "\\" in prompt_of(seed)


def prompt_of(seed: Seed) -> str:
    """What the user asks: the last message."""
    return str(seed.task.messages[-1].get("content", "")) if seed.task.messages else ""


def wrapped(seed: Seed, answers: Iterable[str], note: str = "") -> Iterator[Variant]:
    """Each answer in the reward's format, once; what writes the reference as it stands is left out."""
    seen = {seed.answer}
    for answer in answers:
        if answer not in seen:
            seen.add(answer)
            yield Variant(seed.wrap(answer), note or f"{short(seed.answer)} written as {short(answer)}")


def texts(seed: Seed, completions: Iterable[str], note: str = "") -> Iterator[Variant]:
    """Whole completions, once each; the right one as it stands is left out."""
    seen = {seed.right}
    for text in completions:
        if text not in seen:
            seen.add(text)
            yield Variant(text, note)


def fixed(*completions: str, note: str = "") -> Maker:
    """The same completions for every seed, except those that say the right answer."""
    return lambda seed: texts(seed, (text for text in completions if not mentions_right(seed, text)), note)


def inside(*answers: str, note: str = "") -> Maker:
    """The same answers for every seed, in the reward's format, except the right one."""
    return lambda seed: wrapped(seed, (text for text in answers if not mentions_right(seed, text)), note)


def short(text: str) -> str:
    """`text` for a note."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def says_right(seed: Seed, text: str) -> bool:
    """`text` is the reference, or may pass for another spelling of it: such text is evidence of nothing."""
    said, wanted = folded(text), folded(seed.answer)
    if said in (wanted, folded(seed.right)) or (seed.kind == "json" and _is_json(text)):
        return True  # a document that is well formed may satisfy the schema
    one, two = read(text), read(seed.answer)
    return one is not None and two is not None and same(one, two)


def mentions_right(seed: Seed, text: str) -> bool:
    """`text` holds the reference as a word of its own, or may hold its value: a fixed text is then right by chance."""
    if len(text) > _LONG:
        return False
    if says_right(seed, text):
        return True
    words = re.sub(r"^\\text\{(.*)\}$", r"\1", seed.answer.strip("$ "))
    if len(words) < 40 and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text):
        return True
    return seed.kind == "math" and read(seed.answer) is None and bool(re.search(r"\d", text))


def differ(seed: Seed, other: str) -> bool:
    """`other`, the answer of another prompt, surely means something else than the reference."""
    if says_right(seed, other):
        return False
    if seed.kind != "math":
        return True
    one, two = read(seed.answer), read(other)
    if one is None or two is None:
        return False  # an expression may come to the same value
    kinds = {type(one.value), type(two.value)}
    alike = len(kinds) == 1 and (not isinstance(one.value, Group) or _sizes_differ(one.value, two.value))
    return alike or (Number in kinds and not kinds & {Group, Ratio})


def _sizes_differ(one: Group, two: Value) -> bool:
    return isinstance(two, Group) and len(set(one.items)) != len(set(two.items))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def folded(text: str) -> str:
    """`text` without case, white space and what punctuation stands around it."""
    return re.sub(r"\s+", " ", text.casefold()).strip(" .,:;!?\"'`*()$")


def same(one: Reading, two: Reading) -> bool:
    """The two may have the same value, units and percent signs aside."""
    if isinstance(one.value, Number) and isinstance(two.value, Number):
        close = {one.value.value, one.value.value * 100, one.value.value / 100}
        return one.value.pi == two.value.pi and two.value.value in close
    return one.value == two.value


def wrongs(seed: Seed, count: int) -> list[str]:
    """`count` answers that are wrong and look like the reference; fewer if there are not as many."""
    if seed.kind in _SURELY_WRONG:
        return [_SURELY_WRONG[seed.kind]][:count]
    if seed.kind == "choice":
        letters = [letter for letter in letters_of(seed) if letter != letter_of(seed)]
        return [seed.answer.replace(letter_of(seed), letter) if letter_of(seed) else letter for letter in letters][
            :count
        ]
    reading = read(seed.answer) if seed.kind == "math" else None
    if reading and isinstance(reading.value, Number):
        return [reading.put(near) for near in _near(reading.value, count)]
    if reading and isinstance(reading.value, Group) and reading.value.kind != "list":
        opening, closing = (r"\{", r"\}") if reading.value.kind == "set" else ("(", ")")
        made = [f"{opening}{10007 + k}, {10009 + k}{closing}" for k in range(count)]
        return [reading.put(answer) for answer in made]
    found = list(dict.fromkeys(o for o in seed.others if differ(seed, o) and len(o) < 500))[:count]
    words = (f"{word} {again}".strip() for again in ("", *range(2, 99)) for word in _WORDS)
    return [*found, *islice((word for word in words if not says_right(seed, word)), count - len(found))]


def _near(value: Number, count: int) -> list[str]:
    steps = [step for k in range(1, count + 1) for step in (k, -k)]
    if value.value.denominator == 1 and value.value >= 0:
        steps = [step for step in steps if value.value + step >= 0] + list(range(count + 1, 2 * count + 1))
    moved = [value.value + step for step in steps]
    taken = {value.value, Fraction(0), *_scaled(value)}
    return [written(near, value) for near in moved if near not in taken][:count]


def _scaled(value: Number) -> tuple[Fraction, ...]:
    return (value.value * 100, value.value / 100, -value.value)


def written(value: Fraction, like: Number) -> str:
    """`value` in the spelling of `like`, or as a fraction where that spelling cannot hold it."""
    pi = r"\pi" if like.pi else ""
    if value.denominator == 1:
        return f"{value.numerator}{pi}"
    if like.style == "decimal" and (dotted := decimal(value)) is not None:
        return dotted + pi
    if like.pi:
        return rf"\frac{{{value.numerator}\pi}}{{{value.denominator}}}"
    return f"{value.numerator}/{value.denominator}"


def decimal(value: Fraction, longest: int = 15) -> str | None:
    """`value` as a decimal that ends, with no more than `longest` places; None if it has none.

    >>> decimal(Fraction(-3, 8))
    '-0.375'
    """
    for places in range(longest + 1):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            dotted = f"{digits[:-places]}.{digits[-places:]}" if places else digits
            return f"-{dotted}" if value < 0 else dotted
    return None


def letters_of(seed: Seed) -> str:
    """The letters that may be chosen: as many as the task has options, else A to D and up to the reference's."""
    options = seed.task.columns.get("options")
    if isinstance(options, list | tuple) and 2 <= len(options) <= 26:
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(options)]
    least = max(4, ord(letter_of(seed) or "A") - ord("A") + 1)
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:least]


def letter_of(seed: Seed) -> str:
    """The letter of the right option; empty if the reference does not show one."""
    found = re.fullmatch(r"\W*(?:\\text(?:bf)?\{)?\W*([A-Z])\W*", seed.answer.strip())
    return found[1] if found else ""
