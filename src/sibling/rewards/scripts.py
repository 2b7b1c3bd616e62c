"""Words of a text by their writing system, with what is no prose left out.

Left out: code (fenced and inline), formulas, tags, addresses, numbers, names with digits or underscores, LaTeX
commands, single letters of Latin, Greek and Cyrillic (variables), and short acronyms in capitals.
A word is a run of letters of one script. Scripts without spaces between words count two characters as a word, rounded
up. Every pattern here is linear in the text, or bounded by a small constant for each character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_RANGES = {
    "latin": "A-Za-zªºÀ-ÖØ-öø-ɏ\u1e00-\u1effﬀ-ﬆ",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f",
    "armenian": "\u0531-\u0587",
    "hebrew": "\u05d0-\u05f4",
    "arabic": "\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": "\u0900-\u0963\u0971-\u097f",
    "bengali": "\u0980-\u09e3",
    "gurmukhi": "\u0a01-\u0a5e\u0a70-\u0a75",
    "gujarati": "\u0a81-\u0ae3",
    "oriya": "\u0b01-\u0b63",
    "tamil": "\u0b82-\u0bd7",
    "telugu": "\u0c00-\u0c63",
    "kannada": "\u0c80-\u0ce3",
    "malayalam": "\u0d00-\u0d63",
    "sinhala": "\u0d80-\u0ddf",
    "thai": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "lao": "\u0e81-\u0ecd",
    "myanmar": "\u1000-\u103f\u1050-\u108f",
    "georgian": "\u10a0-\u10ff",
    "ethiopic": "\u1200-\u135a",
    "khmer": "\u1780-\u17d3",
    "hangul": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "kana": "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    "han": "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
}
UNSPACED = frozenset({"thai", "lao", "myanmar", "khmer", "kana", "han"})
_WITH_VARIABLES = frozenset({"latin", "greek", "cyrillic"})
_MOST_ACRONYM = 6

_WORD = re.compile(
    "|".join(
        rf"(?P<{name}>[{letters}][{letters}\u0300-\u036f]*(?:['’ʼ-][{letters}][{letters}\u0300-\u036f]*){{0,8}})"
        if name not in UNSPACED
        else rf"(?P<{name}>[{letters}]+)"
        for name, letters in _RANGES.items()
    )
)
_NO_PROSE = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)"  # fenced code, closed or not
    r"|`[^`\n]{1,300}`"
    r"|\$\$[^$]{0,2000}\$\$|\$(?=\S)[^$\n]{1,300}(?<=\S)\$(?!\d)|\\\(.{0,600}?\\\)|\\\[.{0,2000}?\\\]"
    r"|\\begin\{(\w{1,20}\*?)\}.{0,2000}?\\end\{\1\}|\\[A-Za-z]{1,30}"
    r"|https?://\S+|(?<!\w)www\.\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,100}"
    r"|</?[A-Za-z][^<>\n]{0,100}>"
    r"|(?<!\w)[^\W\d_]{0,40}[\d_]\w*",
    re.DOTALL,
)
_SEGMENT_END = re.compile(r"[.!?。！？…;；\n]+")


@dataclass(frozen=True)
class Word:
    """One word, or a run of characters of a script without spaces."""

    text: str
    script: str

    @property
    def weight(self) -> int:
        """How many words it counts for."""
        return (len(self.text) + 1) // 2 if self.script in UNSPACED else 1


def prose(text: str) -> str:
    """`text` with what is no prose replaced by a space.

    >>> prose("Let `x` be $y^2$, see https://example.org now")
    'Let   be  , see   now'
    """
    return _NO_PROSE.sub(" ", text)


def segments(text: str) -> Iterator[list[Word]]:
    """The words of each sentence or line of prose; empty ones are left out."""
    for piece in _SEGMENT_END.split(text):
        words = [word for word in _words(piece) if _counts(word)]
        if words:
            yield words


def _words(text: str) -> Iterator[Word]:
    for found in _WORD.finditer(text):
        assert found.lastgroup is not None
        yield Word(found.group(), found.lastgroup)


def _counts(word: Word) -> bool:
    if word.script not in _WITH_VARIABLES:
        return True
    return len(word.text) > 1 and not (len(word.text) <= _MOST_ACRONYM and word.text.isupper())
