"""Units and nouns after a number: 5 cm, 5 m, 60 km/h, 3 square feet, 42 apples."""

from __future__ import annotations

from sibling.rewards.math.cursor import Cursor
from sibling.rewards.math.tree import Node, UnreadableError, number
from sibling.rewards.math.units import DEGREE, is_single_letter, unit_named
from sibling.rewards.math.vocabulary import CURRENCIES, FUNCTIONS, STOPS, UNDONE, UNSAYING

_NO_UNITS = FUNCTIONS | UNDONE | {"pi", "infinity", "e", "i", "choose"}
_ORDINALS = frozenset({"st", "nd", "rd", "th"})
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def unit_at(cursor: Cursor, left: Node, *, beside: bool = True, letters: bool = True) -> Node | None:
    """The unit that begins here, after `left`; None if what begins here is something else.

    `beside` false: after a division sign, where a single letter needs no space before it. `letters`: a single letter
    in plain text may be a unit.
    """
    text, kind = cursor.peek(), cursor.kind()
    if text in CURRENCIES or text == "%":
        cursor.at += 1
        return Node("unit", name=text)
    if kind not in ("word", "letters") or text == "per" or (kind == "letters" and text in _NO_UNITS):
        return None
    spaced = cursor.spaced() or not beside
    if kind == "letters" and len(text) == 1 and not (letters and spaced and is_amount(left)):
        return None
    if text.lower() in _POWERS and cursor.kind(1) in ("word", "letters"):
        cursor.at += 1
        inner = unit_at(cursor, left)
        return inner and Node("pow", (inner, number(_POWERS[text.lower()])))
    name = unit_named(text)
    if name is not None and (len(text) > 1 or is_single_letter(name)):
        cursor.at += 1
        if name == DEGREE and cursor.peek().lower() in ("celsius", "fahrenheit", "c", "f"):
            name = "°" + cursor.peek()[0].upper()
            cursor.at += 1
        return Node("unit", name=name)
    return _noun(cursor) if (kind == "word" or len(text) > 3 or text in _ORDINALS) and is_amount(left) else None


def _noun(cursor: Cursor) -> Node:
    """Words after a number, taken together for a unit of their own."""
    words = []
    while cursor.kind() in ("word", "letters") and cursor.peek().lower() not in STOPS | {"per"}:
        words.append(cursor.peek().lower())
        cursor.at += 1
    if any(word in UNDONE or word in UNSAYING for word in words):
        raise UnreadableError("words beside the value: " + " ".join(words)[:60])
    return Node("unit", name=" ".join(word.removesuffix("s") for word in words))


def is_amount(node: Node) -> bool:
    """Whether a unit may follow: a number, a fraction, or a quantity with a unit already."""
    if node.kind in ("num", "unit", "neg", "div"):
        return True
    return is_quantity(node) or (node.kind == "mul" and not any(part.kind == "sym" for part in node.walk()))


def is_quantity(node: Node) -> bool:
    """Whether it ends in a unit."""
    last = node.args[-1] if node.args else node
    last = last.args[0] if last.kind == "pow" else last
    return node.kind in ("mul", "add") and (last.kind == "unit" or (last.kind == "mul" and is_quantity(last)))
