"""Completion formats that rewards are known to ask for: which of them does this one accept?

A format puts an answer into a completion. The first of those a reward accepts is the one probes are made in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A way to write a completion around an answer."""

    name: str
    wrap: Callable[[str], str]


def template(text: str, name: str = "") -> Format:
    """The format of a text with `{answer}` in it."""
    before, _, after = text.partition("{answer}")
    return Format(name or text, lambda answer: before + answer + after)


_THOUGHT = "<think>\nThe question is read step by step, and the result is checked once more.\n</think>\n"
_BARE = template("{answer}", "bare")
_SENTENCE = template("The answer is {answer}.", "a sentence")
_HASH = template("Step by step, this is the result.\n#### {answer}", "####")
_TAGS = template("<answer>{answer}</answer>", "answer tags")
_THOUGHT_TAGS = template(_THOUGHT + "<answer>{answer}</answer>", "thought, answer tags")
_LINE = template("Answer: {answer}", "a last line `Answer:`")
_FINAL = template("Final Answer: The final answer is ${answer}$. I hope it is correct.", "Final Answer: $..$")
_FENCES = {"code": "python", "json": "json", "sql": "sql"}


def _boxed(inner: Format, name: str) -> Format:
    return Format(name, lambda answer: inner.wrap("\\boxed{" + answer + "}"))


def _fenced(inner: Format, language: str, name: str) -> Format:
    return Format(name, lambda answer: inner.wrap(f"```{language}\n{answer}\n```"))


_BOXED = _boxed(template("The final answer is ${answer}$."), "boxed")
_BARE_BOX = _boxed(_BARE, "a bare box")
_THOUGHT_BOX = _boxed(template(_THOUGHT + "The final answer is ${answer}$."), "thought, boxed")
_TAGGED_BOX = _boxed(_THOUGHT_TAGS, "thought, a box in answer tags")
_THOUGHT_BARE = template(_THOUGHT + "{answer}", "thought, bare")

_WORDS = (_BARE, _SENTENCE, _TAGS, _THOUGHT_TAGS, _THOUGHT_BARE, _LINE, _BOXED, _HASH, _THOUGHT_BOX, _TAGGED_BOX)
_MATH = (
    _BOXED, _SENTENCE, _HASH, _TAGS, _THOUGHT_BOX, _THOUGHT_TAGS, _TAGGED_BOX, _LINE, _BARE_BOX, _BARE, _FINAL,
    _THOUGHT_BARE,
)  # fmt: skip
_CHOICE = (_SENTENCE, _BOXED, _TAGS, _LINE, _THOUGHT_TAGS, _THOUGHT_BOX, _TAGGED_BOX, _BARE, _HASH, _THOUGHT_BARE)


def formats_of(kind: str) -> tuple[Format, ...]:
    """The formats to try for references of this kind, the most usual first."""
    if kind in _FENCES:
        fence = _fenced(_BARE, _FENCES[kind], f"a code fence ({_FENCES[kind]})")
        plain = _fenced(_BARE, "", "a code fence")
        tagged = _fenced(_THOUGHT_TAGS, _FENCES[kind], "thought, a code fence in answer tags")
        after = _fenced(_THOUGHT_BARE, _FENCES[kind], "thought, a code fence")
        return fence, plain, _BARE, _TAGS, _THOUGHT_TAGS, tagged, after, _THOUGHT_BARE
    return {"math": _MATH, "choice": _CHOICE}.get(kind, _WORDS)


def around(completion: str, answer: str) -> Format | None:
    """The format of a completion that says `answer`: whatever stands around its last occurrence."""
    before, found, after = completion.rpartition(answer)
    if not answer or not found:
        return None
    return Format("as in the accepted completions", lambda other: before + other + after)
