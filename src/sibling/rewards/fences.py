"""Fenced blocks of code in a completion, found line by line in one pass.

A block begins at a line of three or more backticks or tildes, with one word behind them at most, and ends at a line
that has as many and nothing else, or where the text ends (CommonMark 0.31, section 4.5).
"""

from __future__ import annotations

import re
from collections.abc import Collection

_OPENING = re.compile(r"[ \t]{0,3}(`{3,16}|~{3,16})[ \t]*([\w+#.-]{0,30})[ \t]*\r?\n?")


def blocks(text: str, tags: Collection[str] | None = None) -> list[tuple[int, int]]:
    """(from, up to) of the inside of each block; of those whose word is among `tags` (in small letters), if given.

    >>> text = "so\\n```sql\\nSELECT 1\\n```\\n"
    >>> [text[start:end] for start, end in blocks(text, ("", "sql"))]
    ['SELECT 1\\n']
    """
    found, place = [], 0
    fence = tag = ""
    begun = 0
    for line in text.splitlines(keepends=True):
        after = place + len(line)
        bare = line.strip()
        if not fence:
            opening = _OPENING.fullmatch(line)
            if opening is not None:
                fence, tag, begun = opening.group(1), opening.group(2).lower(), after
        elif len(bare) >= len(fence) and bare == fence[0] * len(bare):
            found.append((tag, begun, place))
            fence = ""
        place = after
    if fence:
        found.append((tag, begun, place))
    return [(start, end) for tag, start, end in found if tags is None or tag in tags]


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """`text[start:end]` without white space around it."""
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return start, max(start, end - len(inside) + len(inside.rstrip()))
