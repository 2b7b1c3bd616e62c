"""The last part of an answer, made plain for reading, with the way back to the characters it came from.

Only the last `most` characters are kept, so that reading is bounded however long the completion is. Zero-width
characters go, and a character with a plain form of the same length (full-width letters and digits, ideographic and
no-break spaces) becomes it; what is left can be read with simple patterns. Places in the plain text are mapped back.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sibling.config import Part
from sibling.rewards.parts import part_of

_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\ufeff")
_KEPT = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ªºµ")  # raised: their plain form would mean something else


@dataclass(frozen=True)
class Window:
    """`text[i]` is character `places[i]` of the completion."""

    text: str
    places: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the completion behind `text[start:end]`."""
        if start >= end:
            at = self.places[start] if start < len(self.places) else (self.places[-1] + 1 if self.places else 0)
            return at, at
        return self.places[start], self.places[end - 1] + 1


def window(text: str, part: Part, most: int) -> Window:
    """The last `most` characters of that part of `text`.

    >>> window("<think>x</think>\\uff23\\u200b!", "answer", 100)
    Window(text='C!', places=(16, 18))
    """
    start, end = part_of(text, part)
    start = max(start, end - most)
    seen = text[start:end]
    if seen.isascii():
        return Window(seen, range(start, end))
    kept = [(plain(c), start + i) for i, c in enumerate(seen) if c not in _INVISIBLE]
    return Window("".join(c for c, _ in kept), tuple(i for _, i in kept))


def plain(character: str) -> str:
    """Its plain form, if that is one character too."""
    if character.isascii() or character in _KEPT:
        return character
    form = unicodedata.normalize("NFKC", character)
    return form if len(form) == 1 else character
