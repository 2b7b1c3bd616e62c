"""A whole answer: one expression, or a relation, a list, a set, a text, a choice.

Covered beside expressions: lists by commas, `and`, `or`; chains of relations; unions of intervals; ratios and times;
`\\mathbb{R}`, the empty set and their names in words; multiple choice (`(C)`, `C`, `\\textbf{(C)}\\ 12`); texts.
"""

from __future__ import annotations

from sibling.rewards.math.cursor import Cursor
from sibling.rewards.math.parse import Parser
from sibling.rewards.math.texts import LETTERS, is_mostly_words, worded, words_of
from sibling.rewards.math.tokens import Token, tokens_of
from sibling.rewards.math.tree import Node, TooHardError, UnreadableError, height_of
from sibling.rewards.math.vocabulary import FUNCTIONS, GREEK, STOPS, UNDONE, UNSAYING

MOST_HEIGHT = 80  # levels of a tree: all that works on trees below may recurse
RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    r"\le": "<=",
    r"\ge": ">=",
    r"\ne": "!=",
    r"\in": "in",
    r"\approx": "~",
    r"\equiv": "=",
    r"\to": "=",
    r"\rightarrow": "=",
}
_UNIONS = {
    r"\cup": "union",
    "U": "union",
    "union": "union",
    r"\cap": "inter",
    "intersection": "inter",
    r"\setminus": "minus",
}

_NO_LABEL = FUNCTIONS | UNDONE | GREEK | STOPS | UNSAYING | {"pi", "infinity"}


def read(text: str, *, commas: bool = True, letters_are_units: bool = True) -> Node:
    """The answer in `text`.

    Raises `UnreadableError`, whose code says whether it is empty, unevaluated or unreadable.
    """
    tokens = _trimmed(tokens_of(text, commas=commas))
    if not tokens:
        raise UnreadableError("an empty answer", "no_answer")
    said = worded(tokens)
    if said is not None:
        return said
    try:
        found = _items(Parser(Cursor(tokens), letters_are_units=letters_are_units))
        if height_of(found) > MOST_HEIGHT:
            raise TooHardError("nested too deeply")
        return found
    except RecursionError:
        raise TooHardError("nested too deeply") from None
    except UnreadableError as failure:
        if failure.code != "unreadable" or not is_mostly_words(tokens):
            raise
        return Node("text", name=words_of(tokens))


def _trimmed(tokens: list[Token]) -> list[Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].text in (",", ";", ":", "=", "\\\\", "*", "_") and tokens[start].kind != "word":
        start += 1
    while start < end and tokens[end - 1].text in (",", ";", ":", "\\\\", "*", "_", "?"):
        end -= 1
    return _without_remark(tokens[start:end])


def _without_remark(tokens: list[Token]) -> list[Token]:
    """42\\text{ (the sum of both)} is 42: words of a \\text in brackets at the end go."""
    if len(tokens) < 5 or tokens[-1].text != ")" or tokens[-2].kind != "word":
        return tokens
    opening = next((n for n in range(len(tokens) - 1, 0, -1) if tokens[n].text == "("), 0)
    inside = tokens[opening + 1 : -1]
    words = opening > 0 and len(inside) > 1 and all(t.kind == "word" for t in inside)
    return tokens[:opening] if words and not any(t.text.lower() in ("not", "or") for t in inside) else tokens


def _items(parser: Parser) -> Node:
    items, joints = [_item(parser)], set[str]()
    while parser.cursor.peek() in (",", ";", "and", "or", "\\\\"):
        while parser.cursor.peek() in (",", ";", "and", "or", "\\\\"):
            joints.add(parser.cursor.peek())
            parser.cursor.at += 1
        if parser.cursor.peek():
            items.append(_item(parser))
    if parser.cursor.peek():
        raise UnreadableError(f"{parser.cursor.peek()[:20]!r} after the value")
    if len(items) == 1:
        return items[0]
    if any(item.kind == "rel" and item.name not in ("=", "~") for item in items) and joints <= {"and"}:
        return Node("inter", tuple(items))
    if any(item.kind == "rel" and item.name not in ("=", "~") for item in items):
        return Node("union", tuple(items))
    return Node("tuple", tuple(items))


def _item(parser: Parser) -> Node:
    chosen = _choice(parser)
    if chosen is not None:
        return chosen
    label = _label(parser)
    sides, names = [label or _side(parser)], list[str]()
    while parser.cursor.peek() in RELATIONS:
        names.append(RELATIONS[parser.cursor.peek()])
        parser.cursor.at += 1
        if names[-1] == "=" and parser.cursor.peek() == "":
            raise UnreadableError("nothing stands after the equals sign")
        sides.append(_side(parser))
    return sides[0] if not names else Node("rel", tuple(sides), name=" ".join(names))


def _label(parser: Parser) -> Node | None:
    """Words before an equals sign are a name: `\\text{Area} = 42`. None, and nothing read, if there are none."""
    cursor, count = parser.cursor, 0
    while (kind := cursor.kind(count)) == "word" or (kind == "letters" and len(cursor.peek(count)) > 3):
        if cursor.peek(count).lower() in _NO_LABEL:
            return None
        count += 1
    if not count or cursor.peek(count) != "=":
        return None
    words = [cursor.peek(k).lower() for k in range(count)]
    cursor.at += count
    return Node("sym", name=" ".join(words))


def _remark(parser: Parser) -> Node:
    """The value beside a letter; a text if it is not mathematics."""
    start = parser.cursor.at
    try:
        value = _side(parser)
        if parser.cursor.peek() in ("", ",", ";", "and", "or"):
            return value
    except UnreadableError as failure:
        if failure.code != "unreadable":
            raise
    rest = parser.cursor.tokens[start:]
    if any(t.text in LETTERS for t in rest):
        raise UnreadableError("more than one letter")
    parser.cursor.at = len(parser.cursor.tokens)
    return Node("text", name=words_of(rest))


def _side(parser: Parser) -> Node:
    left = _operand(parser)
    while parser.cursor.peek() in _UNIONS and parser.cursor.peek():
        kind = _UNIONS[parser.cursor.peek()]
        parser.cursor.at += 1
        left = Node(kind, (left, _operand(parser)))
    return left


def _operand(parser: Parser) -> Node:
    named = _named(parser)
    if named is not None:
        return named
    value = parser.expression()
    if parser.cursor.peek() != ":" and not (value.kind == "num" and parser.cursor.peek() == "to"):
        return value
    parts = [value]
    while parser.cursor.accept(":", "to"):
        parts.append(parser.expression())
    half = parser.cursor.peek().lower()
    if half in ("am", "pm"):
        parser.cursor.at += 1
    return Node("ratio", tuple(parts), name=half if half in ("am", "pm") else "")


def _named(parser: Parser) -> Node | None:
    """The empty set, the real numbers, a set by its rule."""
    if parser.cursor.accept(r"\emptyset"):
        return Node("named", name="empty")
    if parser.cursor.peek() == r"\{" and parser.cursor.peek(1) == r"\}":
        parser.cursor.at += 2
        return Node("named", name="empty")
    if parser.cursor.accept(r"\mathbb"):
        braced = parser.cursor.accept("{")
        letter = parser.cursor.peek()
        parser.cursor.at += 1
        if braced:
            parser.cursor.expect("}")
        if letter not in tuple("RZNQC"):
            raise UnreadableError("a set that is not known")
        return Node("named", name="reals" if letter == "R" else letter)
    return _builder(parser) if parser.cursor.peek() == r"\{" and parser.cursor.peek(2) in ("|", ":", r"\in") else None


def _builder(parser: Parser) -> Node | None:
    """\\{x : x > 3\\} and \\{x \\in \\mathbb{R} | x > 3\\}: what stands after the bar."""
    start = parser.cursor.at
    parser.cursor.at += 2
    if parser.cursor.accept(r"\in") and _named(parser) != Node("named", name="reals"):
        parser.cursor.at = start
        return None
    if not parser.cursor.accept("|", ":"):
        parser.cursor.at = start
        return None
    items = [_item(parser)]
    while parser.cursor.accept(",", "and", "or"):
        joint = parser.cursor.peek(-1)
        items.append(_item(parser))
        items = [Node("union" if joint == "or" else "inter", tuple(items))]
    parser.cursor.expect(r"\}")
    return Node("builder", tuple(items))


def _choice(parser: Parser) -> Node | None:
    """(C), C, C) 12, \\textbf{(C)}\\ 12, option C."""
    start = parser.cursor.at
    if parser.cursor.peek().casefold() in ("option", "choice"):
        parser.cursor.at += 1
    opened = parser.cursor.accept("(")
    letter, kind = parser.cursor.peek(), parser.cursor.kind()
    if letter in LETTERS and kind in ("word", "letters"):
        parser.cursor.at += 1
        closed = parser.cursor.accept(")") if opened or parser.cursor.peek() == ")" else False
        if opened == closed or not opened:
            stop = parser.cursor.accept(".", ":") or closed
            following = parser.cursor.peek()
            if following in ("", ",", ";", "and", "or"):
                return Node("choice", name=letter)
            spaced = parser.cursor.tokens[parser.cursor.at].space or kind == "word"
            if stop and spaced and following not in RELATIONS and following not in ("+", "*", "/", "^", "_", "'"):
                return Node("choice", (_remark(parser),), name=letter)
    parser.cursor.at = start
    return None
