"""From the tree to the normal form.

`stated` true leaves units, percent and degree signs out (the number as it is written); else 5 cm is 1/20 of a metre,
50 % is 1/2 and 30 degrees are pi/6.
"""

from __future__ import annotations

from fractions import Fraction

from sibling.rewards.math.forms import ONE, Algebra, Form
from sibling.rewards.math.functions import Functions
from sibling.rewards.math.powers import Powers
from sibling.rewards.math.tree import Node, UnreadableError
from sibling.rewards.math.units import DEGREE, PERCENT, factor_of

_F = Fraction
_MOST_ORDER = 1_000  # of a root


class Reader:
    """Normal forms of trees. `base`: what `log` without a subscript means, 10 or "e"."""

    def __init__(self, *, stated: bool = False, base: str = "10", algebra: Algebra | None = None) -> None:
        self.algebra = algebra or Algebra()
        self._powers = Powers(self.algebra)
        self._functions = Functions(self.algebra, self._powers, base)
        self._stated = stated

    def form(self, node: Node) -> Form:
        """The normal form. Raises `UnreadableError` (undefined, unreadable) and `TooHardError`."""
        kind, algebra = node.kind, self.algebra
        if kind == "num":
            return algebra.rational(node.value)
        if kind == "sym":
            return algebra.atom("s:" + node.name)
        if kind == "const":
            if node.name == "inf":
                raise UnreadableError("infinity within an expression", "undefined")
            return algebra.atom("i" if node.name == "i" else "c:" + node.name)
        if kind == "unit":
            return self._unit(node.name)
        if kind == "add":
            return algebra.add([self.form(part) for part in node.args])
        if kind == "neg":
            return algebra.multiply(algebra.rational(-1), self.form(node.args[0]))
        if kind == "mul":
            return self._powers.product([self.form(part) for part in node.args])
        if kind in ("div", "ratio") and len(node.args) == 2:
            return algebra.multiply(self.form(node.args[0]), algebra.invert(self.form(node.args[1])))
        if kind == "pow":
            return self._powers.power(self.form(node.args[0]), self.form(node.args[1]))
        if kind == "call":
            return self._call(node)
        raise UnreadableError(f"a {kind} within an expression")

    def _unit(self, name: str) -> Form:
        algebra = self.algebra
        if self._stated:
            return algebra.rational(1)
        if name == PERCENT:
            return algebra.rational(_F(1, 100))
        if name == DEGREE:
            return algebra.multiply(algebra.rational(_F(1, 180)), algebra.atom("c:pi"))
        factor, dimension = factor_of(name)
        return Form({tuple(("u:" + unit, _F(power)) for unit, power in dimension): factor}, {ONE: _F(1)})

    def _call(self, node: Node) -> Form:
        name = node.name
        args = [self.form(part) for part in node.args]
        if name in ("sqrt", "cbrt", "root"):
            order = {"sqrt": _F(2), "cbrt": _F(3)}.get(name) or args[1].rational
            if not order or order.denominator != 1 or abs(order) > _MOST_ORDER:
                raise UnreadableError("a root of an order that is not a whole number")
            return self._powers.power(args[0], self.algebra.rational(1 / order))
        return self._functions.of(name, args)
