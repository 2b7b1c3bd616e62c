"""Which quantity a text asserts: marks of an answer, chains of equal quantities, hedges, denials and bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from sibling.rewards.marks import box_begin, boxes, statements
from sibling.rewards.quantity_read import Measure, quantities
from sibling.rewards.quantity_text import plain_text
from sibling.rewards.unit_text import read_unit
from sibling.rewards.units import ONE, Unit

_PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")
_CLOSE = Fraction(1, 100)  # how far a rounded restatement in parentheses may be off
_MOST_STATED = 400  # characters read after a mark

_EQUAL = re.compile(r"\s*(?:=|≈|→|or equivalently|i\.e\.|equals|which is|which equals)\s*", re.IGNORECASE)
_ARITHMETIC = re.compile(r"\s*[+−*·⋅×÷/x^-]\s*")
_LISTED = re.compile(r"\s*(?:,|,?\s*and|&)\s*", re.IGNORECASE)
_SEPARATED = re.compile(r"\s*[;|]\s*")
_STATES = re.compile(r"[=≈→:]\s*$")
_STRANGE = re.compile(r"[\[\]{}<>|;\\@#]|[^\W_]\(")  # beside a quantity in a box: code, or a list
_BESIDE = re.compile(
    r"\s*(?:–|—|±|\+/-|~|\.\.\.?|to|through|,?\s*(?:and/or|or|maybe|perhaps|possibly|versus|vs\.?))?\s*"
    r"(?:maybe|perhaps|also|even|possibly)?\s*",
    re.IGNORECASE,
)
_OPENED = re.compile(r"[\s,]*\(\s*(?:=|≈|or|i\.e\.|about|approximately|that is)?,?\s*", re.IGNORECASE)
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|\bnever|n['’]t|\bcannot|\brather than|\binstead of|\banything but|\banything except|\bother than)"
    r"\s(?:be\s|equal(?: to)?\s|exactly\s)?$|(?:≠\s?=?|!=|=/=)\s?$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[\s)]{1,3}(?:is|was)\s(?:not|wrong|incorrect|false|never)\b|[\s)]{1,3}(?:isn|wasn)['’]t\b", re.IGNORECASE
)
_BOUND_BEFORE = re.compile(
    r"(?:[<>≤≥]=?|\b(?:at least|at most|(?:more|less|greater|fewer|larger|smaller) than|up to|above|below|under|over"
    r"|between|maximum of|minimum of))\s?$",
    re.IGNORECASE,
)
_DOUBT_BEFORE = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|alternatively|(?:could|might|may)(?: (?:also|well))?(?: be)?),?\s"
    r"(?:also |even |maybe )?$",
    re.IGNORECASE,
)
_LOOSE_AFTER = re.compile(r"\s*(?:\?|±|\+/-|or (?:more|less|so|fewer|another)\b)", re.IGNORECASE)
_LEADS = re.compile(
    r"\W{0,6}(?:[^\W\d_]{1,12}(?:_\w{1,4})?\s?[=:≈]\s?|(?:about|approximately|roughly|around|exactly|only)\s)?\W{0,6}$"
)
_SENTENCE_END = re.compile(r"(?<=\w)[.!?]\s+(?=[A-Z])|\n")


@dataclass(frozen=True)
class Reading:
    """What a text asserts: a quantity, or why there is none; places are of the text that was read."""

    kind: Literal["quantity", "hedged", "negated", "unevaluated", "unreadable", "none"]
    quantity: Measure | None = None
    start: int = 0
    end: int = 0


def asserted(text: str, noun: str) -> Reading:
    """The one quantity that `text` asserts. `noun`: the stem of a noun that counts as a unit, or nothing."""
    marked = [_boxed(text, start, end, noun) for start, end in boxes(text)]
    marked = [reading for reading in marked if reading.kind != "none"]
    if not marked:
        marked = [_stated(text, start, noun) for start in statements(text)]
        marked = [reading for reading in marked if reading.kind not in ("none", "negated")]
    if not marked:
        return _read(text, 0, len(text), noun, last=True)
    for reading in marked:
        if reading.quantity is None or not same(reading.quantity, marked[0].quantity or reading.quantity):
            return reading if reading.quantity is None else Reading("hedged", None, reading.start, reading.end)
    last = marked[-1]
    return Reading("hedged", None, last.start, last.end) if last.quantity and _taken_back(text, last, noun) else last


def _taken_back(text: str, reading: Reading, noun: str) -> bool:
    """Whether something else is said after a marked answer: "or 6 m", or another statement that does not agree."""
    assert reading.quantity is not None
    for start in statements(text[reading.end :]):
        later = _stated(text, reading.end + start, noun)
        if later.kind == "hedged" or (later.quantity is not None and not same(later.quantity, reading.quantity)):
            return True
    plain, _ = plain_text(text[reading.end :])
    return any(
        _DOUBT_BEFORE.search(plain[max(0, one.start - 40) : one.start]) and not same(one, reading.quantity)
        for one in (with_noun(one, noun) for one in quantities(plain))
    )


def worth(one: Measure) -> tuple[Fraction, int, tuple[tuple[str, int], ...]]:
    """Value in base units, the power of pi beside it, and the dimensions."""
    unit = one.unit or ONE
    return one.value * unit.factor + unit.offset, one.pi + unit.pi, unit.dimensions


def same(one: Measure, other: Measure, tolerance: Fraction = Fraction(0)) -> bool:
    """Whether `one` is `other`, within `tolerance` x |other| in the unit of `other`."""
    (value, pi, dimensions), (wanted, wanted_pi, wanted_dimensions) = worth(one), worth(other)
    if dimensions != wanted_dimensions:
        return False
    if value == wanted and (pi == wanted_pi or value == 0):
        return True
    if not tolerance:
        return False
    unit = other.unit or ONE
    converted = (value * _PI**pi - unit.offset) / (unit.factor * _PI**unit.pi)
    reference = other.value * _PI**other.pi
    return abs(converted - reference) <= tolerance * abs(reference)


def stem(word: str) -> str:
    """A noun without its plural ending, roughly: apples and apple, boxes and box, cities and city."""
    word = word.casefold()
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    return word


def with_noun(one: Measure, noun: str) -> Measure:
    """`one` with the noun as its unit, if it is bare and the noun follows it."""
    if one.unit is None and noun and stem(one.word) == noun:
        return replace(one, unit=Unit(Fraction(1), ((noun, 1),)), word="")
    return one


def _boxed(text: str, start: int, end: int, noun: str) -> Reading:
    """What a box asserts, with a unit that may stand behind it, and with what is said of it on either side."""
    found = _read(text, start, end, noun, alone=True)
    one = found.quantity
    if one is None:
        return found
    plain, places = plain_text(text[end + 1 : end + 1 + _MOST_STATED])
    after = read_unit(plain, len(plain) - len(plain.lstrip())) if one.unit is None and not one.word else None
    stop = found.end
    if after is not None:
        one, stop = replace(one, unit=after[0]), end + 2 + places[after[1] - 1]
        plain = plain[after[1] :]
    before = plain_text(text[max(0, start - _MOST_STATED) : box_begin(text, start)])[0][-40:]
    if _DENIED_BEFORE.search(before) or _DENIED_AFTER.match(plain):
        return Reading("negated", None, found.start, stop)
    if (
        _BOUND_BEFORE.search(before)
        or _DOUBT_BEFORE.search(before)
        or _LOOSE_AFTER.match(plain)
        or _goes_on(plain, one)
    ):
        return Reading("hedged", None, found.start, stop)
    return Reading("quantity", one, found.start, stop)


def _goes_on(plain: str, one: Measure) -> bool:
    """Whether another quantity stands right behind a box: `\\boxed{5 m} / 6 m`."""
    behind = quantities(plain)
    ahead = replace(one, start=0, end=0)
    return bool(behind) and _link(plain, ahead, behind[0]) in ("beside", "arithmetic") and not same(behind[0], one)


def _stated(text: str, start: int, noun: str) -> Reading:
    while start < len(text) and text[start].isspace():
        start += 1
    end = min(len(text), start + _MOST_STATED)
    stop = _SENTENCE_END.search(text, start, end)
    return _read(text, start, stop.start() if stop else end, noun)


def _read(text: str, start: int, end: int, noun: str, *, last: bool = False, alone: bool = False) -> Reading:
    """What `text[start:end]` asserts: its last chain, or unless `last` the chain it begins with.

    `alone`: nothing but words may stand around the chain, and no other quantity outside parentheses.
    """
    plain, places = plain_text(text[start:end])
    every = [with_noun(one, noun) for one in quantities(plain)]
    kept = [one for one in every if not _denied(plain, one)]
    if not kept:
        return Reading("negated" if every else "none", None, start, end)
    chains = _chains(plain, kept)
    if last or not _LEADS.match(plain[: kept[0].start]):
        outside = [chain for chain in chains if not _in_parentheses(plain, kept[chain[0]].start)]
        chain = (outside or chains)[-1]
    else:
        chain = chains[0]
    kind, one = _value(plain, kept, chain)
    if alone and kind == "quantity":
        kind = _crowd(plain, kept, chains, chain) or kind
    return Reading(
        kind, one if kind == "quantity" else None, start + places[one.start], start + places[one.end - 1] + 1
    )


def _crowd(
    plain: str, found: Sequence[Measure], chains: Sequence[range], chain: range
) -> Literal["hedged", "unreadable", ""]:
    """What is wrong with the rest of a box: another quantity, or text that is no words, such as code; or nothing."""
    before, after = plain[: found[chain[0]].start], plain[found[chain[-1]].end :].strip(" \n.,;")
    stated = _STATES.search(before) is not None  # what stands before `=` is what the quantity is of
    for other in chains:
        place = found[other[0]]
        counts = not _in_parentheses(plain, place.start) and not (stated and other.start < chain.start)
        if other is not chain and counts and not same(place, found[chain[0]]):
            return "hedged"
    if ";" in before or before.count("|") % 2:
        return "hedged"
    rest = re.split(r"[=≈→:]", before)[-1]
    if (rest.strip(), after) == ("[", "]"):
        return ""
    return "unreadable" if _STRANGE.search(rest) or _STRANGE.search(after) else ""


def _chains(plain: str, found: Sequence[Measure]) -> list[range]:
    """Runs of quantities that are linked to one another."""
    chains, begin = [], 0
    for at in range(1, len(found)):
        if _link(plain, found[at - 1], found[at]) in ("", "opened"):
            chains.append(range(begin, at))
            begin = at
    return [*chains, range(begin, len(found))]


def _link(plain: str, one: Measure, other: Measure) -> str:
    """How `other` follows `one`: equal, arithmetic, beside, opened (in parentheses), or not at all."""
    gap = plain[one.end : other.start]
    if _EQUAL.fullmatch(gap):
        return "equal"
    if gap == "," or _BESIDE.fullmatch(gap) or _SEPARATED.fullmatch(gap):
        return "beside"
    if _ARITHMETIC.fullmatch(gap):
        return "arithmetic"
    if _OPENED.fullmatch(gap):
        return "opened"
    alike = (one.unit is None) == (other.unit is None) and worth(one)[2] == worth(other)[2]
    return "beside" if alike and _LISTED.fullmatch(gap) else ""


def _value(
    plain: str, found: Sequence[Measure], chain: range
) -> tuple[Literal["quantity", "hedged", "unevaluated", "unreadable"], Measure]:
    """The worth of a chain: what stands after its last `=`."""
    begin = chain.start
    for at in chain[1:]:
        if _link(plain, found[at - 1], found[at]) == "equal":
            begin = at
    one = found[begin]
    for at in range(begin + 1, chain.stop):
        link = _link(plain, found[at - 1], found[at])
        if link == "arithmetic" or not same(found[at], one):
            sign = plain[found[at - 1].end : found[at].start].strip()
            return ("unevaluated" if link == "arithmetic" and sign != "-" else "hedged"), one
    before = plain[max(0, one.start - 40) : one.start]
    if _BOUND_BEFORE.search(before) or _DOUBT_BEFORE.search(before) or _LOOSE_AFTER.match(plain, one.end):
        return "hedged", one
    if not one.sound:
        return "unreadable", one
    for at in range(chain.stop, len(found)):
        doubted = _DOUBT_BEFORE.search(plain[max(0, found[at].start - 40) : found[at].start])
        restated = at == chain.stop and _link(plain, found[at - 1], found[at]) == "opened"
        alike = worth(found[at])[2] == worth(one)[2]
        if (doubted and not same(found[at], one)) or (restated and alike and not same(found[at], one, _CLOSE)):
            return "hedged", one
    return "quantity", one


def _denied(plain: str, one: Measure) -> bool:
    before = plain[max(0, one.start - 40) : one.start]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(plain, one.end))


def _in_parentheses(plain: str, at: int) -> bool:
    return plain.count("(", 0, at) > plain.count(")", 0, at)
