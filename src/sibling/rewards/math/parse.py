"""Expressions: a parser by binding powers. Its recursion is bounded by `MOST_DEPTH` brackets.

Not covered: set-builder notation beyond an interval, logic, modular equations, piecewise definitions.
"""

from __future__ import annotations

from sibling.rewards.math.cursor import Cursor
from sibling.rewards.math.operands import Operands
from sibling.rewards.math.quantities import is_quantity, unit_at
from sibling.rewards.math.tree import Node, TooHardError, joined, negative
from sibling.rewards.math.units import DEGREE, PERCENT
from sibling.rewards.math.vocabulary import CURRENCIES, FUNCTIONS, GREEK, STOPS, UNDONE

MOST_DEPTH = 40
_SUM, _PRODUCT, _PREFIX = 10, 20, 22
_BEGIN = frozenset(
    {r"\frac", r"\sqrt", r"\binom", r"\pi", r"\infty", r"\log", r"\lfloor", r"\lceil", r"\begin", r"\langle"}
)
_SIGNS = ("+", "-", r"\pm", r"\mp")


class Parser:
    """Reads one expression after another from the tokens. `letters_are_units`: `5 m` is five metres."""

    def __init__(self, cursor: Cursor, *, letters_are_units: bool = True) -> None:
        self.cursor = cursor
        self._operands = Operands(cursor, self.expression, self.postfix)
        self._depth, self._units = 0, letters_are_units

    def expression(self, least: int = 0) -> Node:
        """The expression that begins here, up to an operator that binds less than `least`."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise TooHardError(f"brackets nested deeper than {MOST_DEPTH}")
        left = self._prefix(least)
        while (after := self._infix(left, least)) is not None:
            left = after
        self._depth -= 1
        return left

    def _prefix(self, least: int) -> Node:
        text = self.cursor.peek()
        if text in _SIGNS and self.cursor.kind() in ("op", "command"):
            self.cursor.at += 1
            inner = self.expression(max(least, _PREFIX))
            if text == "+":
                return inner
            return negative(inner) if text == "-" else Node("pm", (inner,), name=text[1:])
        return self.postfix(self._operands.primary())

    def _infix(self, left: Node, least: int) -> Node | None:
        text, kind = self.cursor.peek(), self.cursor.kind()
        if text in _SIGNS and kind in ("op", "command"):
            if least > _SUM:
                return None
            self.cursor.at += 1
            right = self.expression(_SUM + 1)
            if text in ("+", "-"):
                return joined("add", left, right if text == "+" else negative(right))
            return Node("pm", (left, right), name=text[1:])
        if text in ("*", "/") and kind in ("op", "letters"):
            if least > _PRODUCT:
                return None
            self.cursor.at += 1
            unit = self._unit(left, beside=False) if text == "/" and is_quantity(left) and self.cursor.peek() else None
            right = unit or self.expression(_PRODUCT + 1)
            return joined("mul", left, right) if text == "*" else Node("div", (left, right))
        if least > _PRODUCT or not self._begins_operand(left):
            return None
        return self._beside(left)

    def _begins_operand(self, left: Node) -> bool:
        text, kind = self.cursor.peek(), self.cursor.kind()
        if kind == "word" or (kind == "letters" and len(text) > 1):
            return text.lower() not in STOPS
        if kind == "op":
            return (
                text in ("(", "[", r"\{", "{", "%") or text in CURRENCIES or (text == "|" and not self._operands.bars)
            )
        if kind == "command":
            return text[1:] in FUNCTIONS | GREEK | UNDONE or text in _BEGIN
        return kind == "letters" or (kind in ("num", "repeat") and (left.kind == "unit" or is_quantity(left)))

    def _beside(self, left: Node) -> Node:
        """Two things side by side: a product, a unit, or a sum of quantities (5 feet 3 inches)."""
        if self.cursor.kind() in ("num", "repeat"):
            return joined("add", left, self.expression(_PRODUCT))
        unit = self._unit(left)
        if unit is not None:
            return joined("mul", left, unit)
        if self.cursor.accept("per"):
            return Node("div", (left, self._unit(left, beside=False) or self.expression(_PRODUCT + 1)))
        return joined("mul", left, self.expression(_PRODUCT + 1))

    def _unit(self, left: Node, *, beside: bool = True) -> Node | None:
        unit = unit_at(self.cursor, left, beside=beside, letters=self._units)
        return None if unit is None else self.postfix(unit)

    def postfix(self, node: Node) -> Node:
        """`node` with the powers, factorials and percent signs behind it."""
        while True:
            if self.cursor.accept("^"):
                node = self._power(node)
            elif self.cursor.peek() == "!" and self.cursor.peek(1) != "=":
                self.cursor.at += 1
                node = Node("call", (node,), name="factorial")
            elif self.cursor.peek() == "%" and node.kind != "unit":
                self.cursor.at += 1
                node = joined("mul", node, Node("unit", name=PERCENT))
            else:
                return node

    def _power(self, node: Node) -> Node:
        braced = self.cursor.peek() == "{"
        if self.cursor.peek(int(braced)) == r"\circ":
            self.cursor.at += 1 + 2 * braced
            return joined("mul", node, Node("unit", name=self._degree_name()))
        if braced:
            exponent = self._operands.braced()
        elif self.cursor.accept("-"):
            exponent = negative(self.postfix(self._operands.primary()))
        else:
            exponent = self._operands.primary()
            if self.cursor.accept("^"):  # towers bind to the right
                exponent = self._power(exponent)
        return Node("pow", (node, exponent))

    def _degree_name(self) -> str:
        if self.cursor.peek() in ("C", "F"):
            self.cursor.at += 1
            return "°" + self.cursor.peek(-1)
        return DEGREE
