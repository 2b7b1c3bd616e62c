"""Format: each tag opens and closes exactly once, in order. Tags are found by plain search, in linear time.

What stands inside the tags is looked at for one thing: `non_empty` wants more than white space there, or an empty
thought and an empty answer would be paid for.
"""

from __future__ import annotations

from sibling.batch import Completion, Verdict
from sibling.errors import RequestError
from sibling.rewards.verdicts import right, wrong
from sibling.tasks.task import Task


class FormatTags:
    """Right if `<a>..</a><b>..</b>` in this order, once each; `strict`: nothing but white space outside them."""

    uses_reference = False

    def __init__(self, tags: tuple[str, ...], *, strict: bool, non_empty: bool = True) -> None:
        bad = [t for t in tags if not t or any(c in "<>/" or c.isspace() for c in t)]
        if bad or len(set(tags)) != len(tags):
            raise RequestError(
                "format_tags needs different tag names", seen=list(tags), wanted="names such as think and answer"
            )
        self._tags, self._strict, self._non_empty = tags, strict, non_empty

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        del task
        reason = fault(completion.text, self._tags, strict=self._strict, non_empty=self._non_empty)
        return right("well formed") if reason is None else wrong(reason, code="malformed")


def fault(text: str, tags: tuple[str, ...], *, strict: bool, non_empty: bool = False) -> str | None:
    """What is wrong with the tags of `text`; None if nothing is."""
    end, outside = 0, []
    for tag in tags:
        opening, closing = f"<{tag}>", f"</{tag}>"
        for mark in (opening, closing):
            if (n := text.count(mark)) != 1:
                return f"{mark} occurs {n} times"
        start, stop = text.index(opening), text.index(closing)
        if start < end:
            return f"{opening} is out of order"
        if stop < start:
            return f"{closing} comes before {opening}"
        if non_empty and not text[start + len(opening) : stop].strip():
            return f"nothing stands between {opening} and {closing}"
        outside.append(text[end:start])
        end = stop + len(closing)
    outside.append(text[end:])
    if strict and any(part.strip() for part in outside):
        return "text outside the tags"
    return None
