"""What a text can mean: its readings, with commas between digits as separators or not, with letters as units or not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sibling.rewards.math.extract import find
from sibling.rewards.math.statements import read
from sibling.rewards.math.tree import Node, UnreadableError

_MOST_REMEMBERED = 300  # characters: what is remembered stays small whatever the texts are


@dataclass(frozen=True)
class Readings:
    """The trees of a text, one a way of reading (`nothing` where one fails); `code` and `why` if all of them fail."""

    nodes: tuple[Node, ...] = ()
    code: str = ""
    why: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it is read as words."""
        return bool(self.nodes) and self.nodes[0].kind == "text"


_WAYS = ((True, True), (False, True), (True, False))


def readings_of(text: str) -> Readings:
    """What `text` can mean."""
    return _remembered(text) if len(text) <= _MOST_REMEMBERED else _read(text)


@lru_cache(maxsize=4096)
def _remembered(text: str) -> Readings:
    return _read(text)


def _read(text: str) -> Readings:
    nodes, failure = [], None
    for commas, letters in _WAYS:
        try:
            nodes.append(read(text, commas=commas, letters_are_units=letters))
        except UnreadableError as caught:
            failure = failure or caught
            nodes.append(Node("nothing"))
    if all(node.kind == "nothing" for node in nodes):
        assert failure is not None
        return Readings(code=failure.code, why=str(failure))
    return Readings(tuple(nodes))


_NOISE = re.compile(r"\s+|\\[,;:! ]|\\left|\\right|\\displaystyle|[${}]")
_FRACTION, _TIMES = re.compile(r"\\[dt]frac"), re.compile(r"\\times|\\cdot")
_BOXED = re.compile(r"\\boxed\s*\{")


def bare(text: str) -> str:
    """`text` without spacing, with one spelling of fractions and products: equal ones are the same answer."""
    return _TIMES.sub("*", _FRACTION.sub(r"\\frac", _NOISE.sub("", text)))


def reference_text(reference: str) -> str:
    """The answer in a reference: what follows `####`, the last box, or all of it.

    >>> reference_text("6 + 12 = 18 #### 18")
    '18'
    """
    if "####" in reference:
        return reference.rpartition("####")[2].strip()
    if _BOXED.search(reference):
        found = find(reference, (0, len(reference)), where="boxed", correction=True)
        if found.candidates:
            return reference[slice(*found.candidates[-1][0])].strip()
    return reference.strip()
