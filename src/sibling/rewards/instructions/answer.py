"""An answer taken apart: words, sentences, paragraphs, lines, list items. Each is worked out once, when asked for.

Words are runs of letters and digits, with apostrophes, hyphens and decimal points inside; a character of Han or kana
is a word of its own. Sentences end at `.`, `!`, `?` or their East Asian kin, at a line that ends a paragraph, and at
list items; a point in a number, after an initial or after a usual abbreviation ends nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_CHARACTER = "\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CHARACTER}]|[^\W_{_CHARACTER}]+(?:['’.,-][^\W_{_CHARACTER}]+)*")
_INNER_POINT = re.compile(r"[.,](?=[^\W\d_])")  # `end.Next` is two words, `3.5` is one
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]*_]*+(?=\s|$)|[。！？]+[」』”’）]*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:mr|mrs|ms|dr|prof|st|vs|e\.g|i\.e|cf|fig|no|vol|pp|approx|dept|est|inc|ltd|jr|sr|(?-i:[A-HJ-Z]))$",
    re.IGNORECASE,
)
_DOTTED = re.compile(r"\.[^\W\d_]$")  # p.m. or U.S., which end a sentence only before a capital
_ITEM = re.compile(r"[ \t]{0,8}(?:[-*+•]|\d{1,3}[.)])[ \t]+(?=\S)")
_BULLET = re.compile(r"[ \t]{0,8}[-*+•][ \t]+(\S.*)")
_FENCE = re.compile(r"[ \t]{0,8}(`{3,}|~{3,})[ \t]{0,8}([\w+#.-]{0,40})[ \t]*$")
_NUMBERED = re.compile(r"[ \t]{0,8}(\d{1,3})[.)][ \t]+(\S.*)")


@dataclass(frozen=True)
class Answer:
    """What a completion answers, and the prompt it answers."""

    text: str
    prompt: str = ""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every word, in order."""
        return words_of(self.text)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Every sentence that holds a word."""
        return tuple(s for block in self._blocks for s in _split(block) if words_of(s))

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines that are not blank."""
        return tuple(line for line in self.text.splitlines() if line.strip())

    def paragraphs(self, divider: str = "") -> tuple[str, ...]:
        """What stands between blank lines, or between lines that are `divider`; parts without a word are left out."""
        if not divider:
            parts = re.split(r"\n[ \t]*\n", self.text)
        else:
            stretches: list[list[str]] = [[]]
            for line in self.text.splitlines():
                if line.strip() == divider:
                    stretches.append([])
                else:
                    stretches[-1].append(line)
            parts = ["\n".join(stretch) for stretch in stretches]
        return tuple(part.strip() for part in parts if words_of(part))

    @cached_property
    def bullets(self) -> tuple[str, ...]:
        """The texts of bulleted lines."""
        return tuple(m[1].strip() for m in map(_BULLET.match, self.lines) if m and words_of(m[1]))

    @cached_property
    def numbered(self) -> tuple[tuple[int, str], ...]:
        """Number and text of each numbered line."""
        return tuple((int(m[1]), m[2].strip()) for m in map(_NUMBERED.match, self.lines) if m and words_of(m[2]))

    @cached_property
    def code_blocks(self) -> tuple[tuple[str, str], ...]:
        """Tag and inside of each fenced code block that is closed."""
        found, fence, tag, body = [], "", "", list[str]()
        for line in self.text.splitlines():
            opening = _FENCE.match(line)
            if not fence and opening is not None:
                fence, tag, body = opening[1], opening[2], []
            elif fence and line.strip() == fence:
                found.append((tag, "\n".join(body)))
                fence = ""
            elif fence:
                body.append(line)
        return tuple(found)

    @cached_property
    def _blocks(self) -> list[str]:
        """Stretches of lines that can share a sentence."""
        blocks: list[list[str]] = [[]]
        for line in self.text.splitlines():
            if not line.strip() or _ITEM.match(line):
                blocks.append([])
            blocks[-1].append(_ITEM.sub("", line, count=1) if _ITEM.match(line) else line)
        return ["\n".join(block) for block in blocks]


def words_of(text: str) -> tuple[str, ...]:
    """The words of any text.

    >>> words_of("Don't pay 3.5 euros, well-known Ann!")
    ("Don't", 'pay', '3.5', 'euros', 'well-known', 'Ann')
    """
    return tuple(part for word in _WORD.findall(text) for part in _INNER_POINT.split(word) if part)


def _split(block: str) -> list[str]:
    sentences, at = [], 0
    for end in _END.finditer(block):
        before = block[max(at, end.start() - 12) : end.start()]
        goes_on = block[end.end() : end.end() + 8].lstrip()[:1].islower() if _DOTTED.search(before) else False
        if end.group() == "." and (goes_on or _ABBREVIATION.search(before)):
            continue
        sentences.append(block[at : end.end()].strip())
        at = end.end()
    return [*sentences, block[at:].strip()]
