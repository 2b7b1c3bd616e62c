"""Which part of a completion a verifier looks at: all of it, or the answer after the thought.

The thought is what stands before the last `</think>`; the answer is what stands in the last `<answer>...</answer>`
after it, or else all that follows. A thought that never ends has no answer after it.
What stands in an HTML comment is seen by no reader of rendered text; `visible` blanks it.
"""

from __future__ import annotations

from sibling.config import Part


def part_of(text: str, part: Part) -> tuple[int, int]:
    """(from, up to): the characters of `text` to look at. Empty if a thought was begun and never ended.

    >>> text = "<think>7?</think> <answer>8</answer>"
    >>> start, end = part_of(text, "answer")
    >>> text[start:end]
    '8'
    """
    if part == "all":
        return 0, len(text)
    _, closing, rest = text.rpartition("</think>")
    if not closing and "<think>" in text:
        return len(text), len(text)
    start = len(text) - len(rest)
    opening = text.rfind("<answer>", start)
    if opening < 0:
        return start, len(text)
    inside = opening + len("<answer>")
    closing_at = text.find("</answer>", inside)
    return inside, closing_at if closing_at >= 0 else len(text)


def visible(text: str) -> str:
    """`text` with every HTML comment replaced by as many spaces, so that places stay the same. Linear in its length.

    A comment that is never closed hides all that follows, but one in a thought ends with the thought.

    >>> visible("<!-- 7 -->8<!-- 9")
    '          8      '
    """
    pieces, at = [], 0
    while (start := text.find("<!--", at)) >= 0:
        closing = text.find("-->", start + 2)  # `<!-->` is a whole comment
        end = closing + 3 if closing >= 0 else text.rfind("</think>", start)
        end = end if end >= 0 else len(text)
        pieces += [text[at:start], " " * (end - start)]
        at = end
    return "".join([*pieces, text[at:]]) if pieces else text
