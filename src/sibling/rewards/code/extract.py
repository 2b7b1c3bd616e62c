"""Where the program stands in a completion: the last block of Python, or the whole answer where there is no block.

Looked at is the answer (`rewards.parts`), of it the last 400,000 characters; a program has at most 100,000. Among
several blocks of Python the last one that defines what the tests are of is taken, else the last one. Blocks without a
tag count where none is tagged as Python; a block of another language counts where it is the only one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sibling.batch import Verdict
from sibling.rewards.parts import part_of
from sibling.rewards.verdicts import Span, wrong

MOST_CHARACTERS = 100_000
_WINDOW = 400_000
_PYTHON = frozenset({"python", "py", "python3", "py3", "python-exec", "{.python}"})
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)")


@dataclass(frozen=True)
class Program:
    """The source, its characters in the completion, and whether it stood there without a fence."""

    code: str
    span: Span
    bare: bool = False


@dataclass(frozen=True)
class _Block:
    tag: str
    start: int
    end: int


def program_in(text: str, names: Collection[str] = ()) -> Program | Verdict:
    """The program that a completion states, or the verdict that refuses it. `names`: what the tests are of.

    >>> program_in("Here:\\n```python\\nx = 1\\n```\\nDone.").code
    'x = 1\\n'
    """
    start, end = part_of(text, "answer")
    seen_from = max(start, end - _WINDOW)
    part = text[seen_from:end]
    block = _chosen(part, list(_blocks(part)), names)
    bare = block is None
    first, last = (0, len(part)) if block is None else (block.start, block.end)
    span = (seen_from + first, seen_from + last)
    if not part[first:last].strip():
        return wrong("there is no program", code="no_code", span=span)
    if last - first > MOST_CHARACTERS or (bare and seen_from > start):
        return wrong(f"the program is longer than {MOST_CHARACTERS:,} characters", code="too_long", span=span)
    return Program(part[first:last], span, bare)


def _chosen(part: str, blocks: list[_Block], names: Collection[str]) -> _Block | None:
    tagged = [block for block in blocks if block.tag in _PYTHON]
    plain = [block for block in blocks if not block.tag]
    found = tagged or plain or (blocks if len(blocks) == 1 else [])
    if names:
        defines = re.compile(
            rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+(?:{'|'.join(map(re.escape, names))})\b", re.M
        )
        fitting = [block for block in found if defines.search(part, block.start, block.end)]
        found = fitting or found
    return found[-1] if found else None


def _blocks(part: str) -> Iterator[_Block]:
    """Fenced blocks, from the line after the opening fence to the closing one, or to the end."""
    at, fence, tag, start = 0, "", "", 0
    while at < len(part):
        line_end = part.find("\n", at) + 1 or len(part)
        match = _FENCE.match(part, at, line_end)
        if match and not fence:
            fence, tag, start = match[1], match[2].lower(), line_end
        elif match and match[1].startswith(fence) and not part[match.end() : line_end].strip() and not match[2]:
            yield _Block(tag, start, at)
            fence = ""
        at = line_end
    if fence:
        yield _Block(tag, start, len(part))
