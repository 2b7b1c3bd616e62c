"""Numbers with units: the quantity that is asserted agrees with the reference after exact conversion.

Where the quantity is looked for: boxes; else what follows "the answer is", "Answer:" or `####`; else the last quantity
of the text that is not in parentheses. 5 cm is not 5 m, 1 km is 1000 m, 36 km/h is 10 m/s; `units` lists what is known.
Within one assertion `=` leads on to what counts (`36 km/h = 10 m/s`). In a box nothing but words may stand around the
quantity, and a restatement in parentheses. HTML comments are not read. Refused: two different quantities ("5 or 6 m",
"5-6 m", "5 m; 6 s", two boxes), a bound ("at least 5 m"), "not 5 m", "5 m?", an error ("5 ± 1 m"), arithmetic left
("3 + 2 m").
A bare number is refused if the reference has a unit; with `unit_required: false` it is read in the reference's unit,
unless an unknown word stands where the unit would. If the reference is bare a unit is refused, and other words are
ignored. A noun in the reference ("12 apples") is a unit that is not converted.
The tolerance is relative to the reference, in its own unit. Bounds: the last 4,000 characters; see `quantity_read`.
Not covered: significant digits, currencies into each other, nouns of several words.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from sibling.batch import Completion, Verdict
from sibling.config import QuantityReward
from sibling.rewards.parts import visible
from sibling.rewards.quantity_assert import asserted, same, stem, with_noun, worth
from sibling.rewards.quantity_read import Measure, quantities
from sibling.rewards.quantity_text import plain_text
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.rewards.window import window
from sibling.tasks.task import Task

_MOST = 4_000
_MOST_REFERENCE = 400
_AROUND = " \t\r\n$.,;:"
_PROSE = frozenset({
    "all", "altogether", "and", "as", "at", "because", "but", "by", "during", "each", "every", "for", "from", "given",
    "i", "if", "in", "is", "it", "left", "more", "of", "on", "overall", "per", "since", "so", "that", "the", "then",
    "there", "this", "thus", "to", "total", "was", "we", "when", "where", "which", "while", "with",
})  # fmt: skip


class Quantity:
    """Right if the asserted quantity is the reference, converted exactly, within the relative tolerance."""

    uses_reference = True

    def __init__(self, config: QuantityReward) -> None:
        self._part, self._unit_required = config.part, config.unit_required
        self._tolerance = Fraction(str(config.relative_tolerance))

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        if task.reference is None:
            return abstain("the task has no reference", code="no_reference")
        wanted = _reference(task.reference)
        if isinstance(wanted, str):
            return error(wanted, code="bad_reference")
        noun = _noun(wanted)
        seen = window(visible(completion.text), self._part, _MOST)
        if not seen.text.strip():
            return wrong("there is no answer", code="no_answer", span=seen.span(0, 0))
        found = asserted(seen.text, noun)
        span = seen.span(found.start, found.end)
        if found.quantity is None:
            return wrong(_WORDS[found.kind], code=_CODES.get(found.kind, found.kind), span=span)
        fault = self._fault(found.quantity, wanted)
        if fault is None:
            return right("the quantity is the reference", code="equal", span=span)
        return wrong(fault[1], code=fault[0], span=span)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        if task.reference is None:
            return "it has no reference"
        wanted = _reference(task.reference)
        return wanted if isinstance(wanted, str) else None

    def _fault(self, seen: Measure, wanted: Measure) -> tuple[str, str] | None:
        """Code and words of what is wrong with the quantity; None if nothing is."""
        if seen.unit is None and wanted.unit is not None:
            if self._unit_required:
                return "no_unit", "a number without a unit"
            if seen.word and seen.word.casefold() not in _PROSE:
                return "unknown_unit", f"{seen.word[:20]!r} stands where the unit would, and is not known"
            seen = replace(seen, unit=wanted.unit)
        if worth(seen)[2] != worth(wanted)[2]:
            return "unit", "a unit of another kind"
        return None if same(seen, wanted, self._tolerance) else ("different", "another quantity")


_CODES = {"none": "no_answer"}
_WORDS = {
    "hedged": "several quantities, or a bound",
    "negated": "the quantity is denied",
    "unevaluated": "arithmetic is left to do",
    "unreadable": "the quantity cannot be read",
    "none": "no quantity",
}


def _noun(wanted: Measure) -> str:
    names = wanted.unit.dimensions if wanted.unit is not None else ()
    return names[0][0] if wanted.word and len(names) == 1 else ""


@lru_cache(maxsize=4096)
def _reference(text: str) -> Measure | str:
    """The quantity a reference states, or what is wrong with it. A noun as its unit is kept as its word too."""
    shown = f"its reference {text[:40]!r}"
    if len(text) > _MOST_REFERENCE:
        return f"{shown} is longer than {_MOST_REFERENCE} characters"
    seen = window(text, "all", _MOST_REFERENCE).text
    plain, _ = plain_text(seen.rpartition("####")[2].replace("\n", " "))
    found = quantities(plain)
    if len(found) != 1 or not found[0].sound:
        return f"{shown} is not one quantity"
    one = found[0]
    rest = plain[one.end :].strip(_AROUND)
    if plain[: one.start].strip(_AROUND) or (rest and (one.unit is not None or rest != one.word)):
        return f"{shown} holds more than a number and its unit: {(plain[: one.start].strip(_AROUND) or rest)[:40]!r}"
    return replace(with_noun(one, stem(one.word)), word=one.word) if rest else replace(one, word="")
