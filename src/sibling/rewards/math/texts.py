"""Answers in words: texts, number words, names of sets.

Texts are the same if their words are, without case, articles and punctuation.
"""

from __future__ import annotations

from sibling.rewards.math.tokens import Token
from sibling.rewards.math.tree import Node, number
from sibling.rewards.math.vocabulary import FUNCTIONS, GREEK

LETTERS = frozenset("ABCDEFGHIJ")  # of choices
_NAMED = {
    "empty": "empty",
    "empty set": "empty",
    "no solution": "empty",
    "no solutions": "empty",
    "no real solution": "empty",
    "no real solutions": "empty",
    "there is no solution": "empty",
    "there are no solutions": "empty",
    "no such number exists": "empty",
    "all real numbers": "reals",
    "all reals": "reals",
    "real numbers": "reals",
    "reals": "reals",
    "undefined": "undefined",
    "does not exist": "undefined",
    "dne": "undefined",
    "not defined": "undefined",
    "infinitely many": "infinitely many",
    "infinitely many solutions": "infinitely many",
}
_INFINITE = frozenset({"infinity", "positive infinity", "plus infinity", "negative infinity", "minus infinity"})
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_NUMBERS = {word: n for n, word in enumerate(_ONES.split())} | {
    word: 10 * n
    for n, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2)
}
_NUMBERS |= {f"{t} {o}": _NUMBERS[t] + _NUMBERS[o] for t in list(_NUMBERS)[20:] for o in _ONES.split()[1:10]}
_NUMBERS |= {"hundred": 100, "one hundred": 100, "a hundred": 100}
_ARTICLES = frozenset({"a", "an", "the"})
_SHORT_WORDS = frozenset(
    {"all", "and", "at", "big", "blue", "both", "by", "cat", "day", "do", "dog", "down", "east"}
    | {"even", "fri", "go", "he", "if", "in", "is", "it", "left", "mon", "new", "no", "none"}
    | {"not", "odd", "of", "old", "on", "one", "o", "red", "right", "sat", "she", "six", "so"}
    | {"sun", "ten", "thu", "to", "tue", "two", "up", "we", "wed", "west", "yes"}
)


def words_of(tokens: list[Token]) -> str:
    """The words of a text, without case, articles and punctuation."""
    words = (t.text.casefold() for t in tokens if t.kind in ("word", "letters", "num"))
    return " ".join(word for word in words if word not in _ARTICLES)


def worded(tokens: list[Token]) -> Node | None:
    """A text, if there is nothing but words; None if it has to be read as mathematics."""
    if any(t.kind not in ("word", "letters") and t.text not in (",", "'", "-", ":", ";", "?", "!") for t in tokens):
        return None
    said = " ".join(t.text.casefold() for t in tokens if t.kind in ("word", "letters"))
    if said in _NUMBERS:
        return number(_NUMBERS[said])
    if said in _INFINITE:
        infinity = Node("const", name="inf")
        return Node("neg", (infinity,)) if "negative" in said or "minus" in said else infinity
    if said in _NAMED:
        return Node("named", name=_NAMED[said])
    if any(t.kind == "letters" and (t.text in FUNCTIONS | GREEK or t.text in ("pi", "infinity", "oo")) for t in tokens):
        return None
    if any(
        len(t.text) > 1 and (t.kind == "word" or len(t.text) > 3 or t.text.casefold() in _SHORT_WORDS) for t in tokens
    ):
        joints = sum(t.text.casefold() in ("and", "or") for t in tokens)
        content = [t for t in tokens if t.text.casefold() not in _ARTICLES | {"and", "or", "option", "choice"}]
        if all(len(t.text) == 1 and t.text in LETTERS for t in content) and (joints or len(content) == 1):
            return None
        return Node("text", name=words_of(tokens))
    return None


def is_mostly_words(tokens: list[Token]) -> bool:
    """Whether what cannot be read as mathematics is a text: it has words, and no commands."""
    words = sum(t.kind == "word" or (t.kind == "letters" and len(t.text) > 3) for t in tokens)
    return words > 0 and not any(t.kind == "command" and t.text not in ("\\{", "\\}") for t in tokens)
