"""A violation made small: lines, then words, are taken out of the completion for as long as the fault stays.

Greedy and bounded. What may be taken out depends on the fault, because a smaller text must not become innocent:
a text on which the reward fails may lose anything; a wrong one that is paid may lose what does not make it right; a
right one that is refused may lose only what was added to the accepted form.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

_LONGEST = 200_000  # characters beyond which nothing is tried
_MOST_WORDS = 4_000  # of a right completion that is refused, compared word by word with the accepted one
_TOKENS = re.compile(r"\s+|\w+|[^\w\s]")
_WORDS = re.compile(r"\S+|\s+")
_MARKUP = re.compile(r"[<>`$*\\{}#\d]")  # half a tag or a digit less would be another text
_NUMBERS = re.compile(r"[-+]?\d+(?:\.\d+)?(?:/\d+)?")

Fails = Callable[[Sequence[str]], Sequence[bool]]
Piece = tuple[str, bool]  # text, and whether it may be taken out


def shrink(text: str, fails: Fails, calls: int) -> str:
    """The smallest text found for which `fails` still holds, with at most `calls` texts tried.

    `fails` takes several texts and says for each whether the fault is still there.
    """
    if len(text) > _LONGEST:
        return text
    budget = [calls]
    for split in (lambda t: t.splitlines(keepends=True), _TOKENS.findall):
        text = _joined(_reduce([(piece, True) for piece in split(text)], fails, budget))
    return text


def shrink_added(text: str, right: str, fails: Fails, calls: int) -> str:
    """The same, where only whole words that were added to `right` may go; `text` if something was replaced."""
    ours, theirs = _WORDS.findall(text), _WORDS.findall(right)
    if max(len(ours), len(theirs)) > _MOST_WORDS:
        return text
    pieces: list[Piece] = []
    for kind, _, _, start, end in difflib.SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        if kind not in ("equal", "insert"):
            return text
        pieces += [(word, False) for word in ours[start:end]] if kind == "equal" else _added(ours[start:end])
    return _joined(_reduce(pieces, fails, [calls]))


def _added(words: Sequence[str]) -> list[Piece]:
    """Added words, each with the white space after it, so that no two others are run together."""
    pieces: list[Piece] = []
    for word in words:
        if word.isspace() and pieces and not pieces[-1][0][-1:].isspace():
            pieces[-1] = (pieces[-1][0] + word, pieces[-1][1])
        else:
            pieces.append((word, not word.isspace() and not _MARKUP.search(word)))
    return pieces


def may_be_right(text: str, answer: str) -> bool:
    """`text` says the answer somewhere, or a number that equals it: it may no longer be wrong.

    >>> may_be_right("not 0.5, surely", "1/2"), may_be_right("2/1", "1/2")
    (True, False)
    """
    wanted = "".join(answer.casefold().split())
    if not wanted or wanted in "".join(text.casefold().split()):
        return True
    value = _number(answer.strip())
    return value is not None and any(_number(found) == value for found in _NUMBERS.findall(text))


def _number(text: str) -> Fraction | None:
    try:
        return Fraction(text) if len(text) < 50 else None
    except (ValueError, ZeroDivisionError):
        return None


def _joined(pieces: Sequence[Piece]) -> str:
    return "".join(text for text, _ in pieces)


def _reduce(pieces: list[Piece], fails: Fails, budget: list[int]) -> list[Piece]:
    """Delta debugging (Zeller and Hildebrandt, IEEE TSE 28:183, 2002) by complements; texts of a round go together."""
    parts = 2
    while budget[0] > 0:
        loose = [i for i, (_, free) in enumerate(pieces) if free]
        if len(loose) < 1 or len(pieces) < 2:
            break
        size = -(-len(loose) // parts)
        cuts = [set(loose[at : at + size]) for at in range(0, len(loose), size)]
        rest = [[p for i, p in enumerate(pieces) if i not in cut] for cut in cuts][: budget[0]]
        budget[0] -= len(rest)
        kept = [r for r, still in zip(rest, fails([_joined(r) for r in rest]), strict=True) if still]
        if kept:
            pieces, parts = min(kept, key=len), max(2, parts - 1)
        elif size == 1:
            break
        else:
            parts = min(len(loose), parts * 2)
    return pieces
