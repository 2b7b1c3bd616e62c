"""Whether two expressions have the same value: exact forms, a numeric test that can only refuse, then algebra.

Units: a unit that both state has to convert exactly (5 cm is 0.05 m); one that only one of them states is left out
under `units: if_stated`, and the numbers are compared as written. Percent and degree signs likewise, by their options.
`log` without a base may mean base 10 or e, in both expressions alike.
Numeric test: at fixed points with coordinates of either sign, to double precision; a difference above 1e-7 of the
largest number met on the way refuses. Agreement proves nothing and goes to the child process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from sibling.config.rewards import MathReward
from sibling.rewards.math.atoms import Reader
from sibling.rewards.math.forms import Algebra, Form, is_decided
from sibling.rewards.math.numeric import DOUBLE, Evaluator, UnknownError, constant
from sibling.rewards.math.tree import Node, TooHardError, UnreadableError, symbols_of
from sibling.rewards.math.units import DEGREE, PERCENT

Decision = Literal["equal", "different", "too_hard", "timeout"]
Decide = Callable[[Node, Node, str], Decision]
"""What the child process says of two expressions and the base of `log`."""

_SLACK = 1e-7
_POINTS = (0.7316, 1.8471, 2.9343, 0.3129, 1.2087, 4.1713, 0.5577, 3.3391)
_MOST_SYMBOLS = 12


class LateError(Exception):
    """The algebra did not finish in its time."""


@dataclass
class Scalars:
    """Compares expressions by the options of `config`; `decide` is asked only when nothing else can tell."""

    config: MathReward
    decide: Decide

    def same(self, wanted: Node, given: Node) -> bool:
        """Whether they have the same value.

        Raises `TooHardError` if the bounds do not allow to say, `LateError` if time did not.
        """
        if wanted == given:
            return True
        marks, others = _marks(wanted), _marks(given)
        if not self._may_differ(marks, others):
            return False
        bases = ("10", "e") if _has_log(wanted) or _has_log(given) else ("10",)
        for stated in self._readings(wanted, given, marks, others):
            left, right = (without_units(wanted), without_units(given)) if stated else (wanted, given)
            for base in bases:
                if self._equal(left, right, base):
                    return True
        return False

    def is_hard(self, node: Node) -> bool:
        """Whether neither an exact form nor a value of `node` is within the bounds."""
        try:
            Reader().form(node)
        except TooHardError:
            return (
                at_point(node, node, {n: _POINTS[k % 8] for k, n in enumerate(sorted(symbols_of(node)))}, "10") is None
            )
        except UnreadableError:
            return False
        return False

    def _may_differ(self, marks: set[str], others: set[str]) -> bool:
        dropped = marks ^ others
        if "unit" in dropped and self.config.units == "required" and "unit" in marks:
            return False
        if PERCENT in dropped and self.config.percent == "exact":
            return not self._needs_dropping(dropped)
        return True

    def _needs_dropping(self, dropped: set[str]) -> bool:
        return "unit" in dropped  # percent and degrees have a value of their own: 50 % is 0.5

    def _readings(self, wanted: Node, given: Node, marks: set[str], others: set[str]) -> list[bool]:
        """Whether to compare with units worked in, and as stated."""
        dropped = marks ^ others
        droppable = all(
            (mark == "unit")
            or (mark == PERCENT and self.config.percent == "sign_optional")
            or (mark == DEGREE and self.config.degrees == "sign_optional")
            for mark in dropped
        )
        if marks - others and others - marks:
            return [False]  # 50 % is not 50 mm
        if _mixes_units(wanted) or _mixes_units(given):
            return [False]
        if self.config.units == "ignored" and "unit" in marks | others:
            return [True]
        return [False, True] if dropped and droppable else [False]

    def _equal(self, wanted: Node, given: Node, base: str) -> bool:
        try:
            forms = _forms(wanted, given, base)
        except TooHardError:
            forms = None
        except UnreadableError:
            return False
        if forms is not None:
            algebra, left, right = forms
            try:
                if algebra.equal(left, right) or self._up_to_a_constant(wanted, left, given, right, base):
                    return True
            except TooHardError:
                forms = None
            if forms is not None and self._near(left, right, wanted, given):
                return True
            if forms is not None and is_decided(left, right):
                return False
        return self._undecided(wanted, given, base, hard=forms is None)

    def _near(self, left: Form, right: Form, wanted: Node, given: Node) -> bool:
        """Within the relative tolerance, if there is one."""
        tolerance = Fraction(str(self.config.relative_tolerance))
        if not tolerance or symbols_of(wanted) or symbols_of(given):
            return False
        a, b = left.rational, right.rational
        if a is None or b is None:
            values = constant(wanted), constant(given)
            if values[0] is None or values[1] is None:
                return False
            a, b = Fraction(values[0]), Fraction(values[1])
        return abs(a - b) <= tolerance * abs(a)

    def _up_to_a_constant(self, wanted: Node, left: Form, given: Node, right: Form, base: str) -> bool:
        """x^2 + C is x^2 + K + 1: a constant of integration stands for any constant."""
        names = _constants_of(left), _constants_of(right)
        if not names[0] or not names[1] or symbols_of(wanted) - {names[0]} != symbols_of(given) - {names[1]}:
            return False
        bare = replaced(wanted, {names[0]: Fraction(0)}), replaced(given, {names[1]: Fraction(0)})
        difference = Node("add", (bare[0], Node("neg", (bare[1],))))
        somewhere = dict.fromkeys(symbols_of(difference), Fraction(13, 9))
        return self._equal(difference, replaced(difference, somewhere), base)

    def _undecided(self, wanted: Node, given: Node, base: str, *, hard: bool) -> bool:
        names = sorted(symbols_of(wanted) | symbols_of(given))
        if len(names) > _MOST_SYMBOLS:
            raise TooHardError("too many symbols")
        unknown = True
        for shift in range(4):
            signs = (1, -1, (-1) ** shift)
            point = {n: signs[(k + shift) % 3] * (_POINTS[(k + shift) % 8] + 0.1 * shift) for k, n in enumerate(names)}
            values = at_point(wanted, given, point, base)
            if values is None:
                continue
            unknown = False
            left, right, size = values
            if abs(left - right) > _SLACK * size:
                return False
        if hard and unknown:
            raise TooHardError("a value too large to work out")
        decision = self.decide(wanted, given, base)
        if decision == "too_hard":
            raise TooHardError("algebra beyond the bounds")
        if decision == "timeout":
            raise LateError
        return decision == "equal"


def at_point(wanted: Node, given: Node, point: dict[str, float], base: str) -> tuple[complex, complex, float] | None:
    """Both values and their scale; None where one has none, or is not real though neither expression has an i."""
    one, two = (Evaluator(DOUBLE, point, base) for _ in range(2))
    try:
        left, right = complex(one.value(wanted)), complex(two.value(given))
    except UnknownError:
        return None
    size = max(one.size, two.size, 1e-300)
    if not (_has_i(wanted) or _has_i(given)) and max(abs(left.imag), abs(right.imag)) > 1e-9 * size:
        return None
    return left, right, size


def _forms(wanted: Node, given: Node, base: str) -> tuple[Algebra, Form, Form]:
    reader = Reader(base=base)
    return reader.algebra, reader.form(wanted), reader.form(given)


def _marks(node: Node) -> set[str]:
    """What is stated beside numbers: a unit, a percent sign, a degree sign."""
    names = {part.name for part in node.walk() if part.kind == "unit"}
    marks = {name for name in names if name in (PERCENT, DEGREE)}
    return marks | {"unit"} if names - marks else marks


def _mixes_units(node: Node) -> bool:
    """Whether units differ within a sum: 5 feet 3 inches is not 8 of anything."""
    sums = (part for part in node.walk() if part.kind in ("add", "pm"))
    return any(len({unit.name for unit in part.walk() if unit.kind == "unit"}) > 1 for part in sums)


def without_units(node: Node) -> Node:
    """The number as stated: every unit replaced by 1."""
    if node.kind == "unit":
        return Node("num", value=Fraction(1))
    return (
        Node(node.kind, tuple(without_units(part) for part in node.args), node.name, node.value) if node.args else node
    )


def replaced(node: Node, values: Mapping[str, Fraction]) -> Node:
    """With symbols replaced by numbers."""
    if node.kind == "sym" and node.name in values:
        return Node("num", value=values[node.name])
    return Node(node.kind, tuple(replaced(part, values) for part in node.args), node.name, node.value, node.literal)


def _has_log(node: Node) -> bool:
    return any(part.kind == "call" and part.name == "log" and len(part.args) == 1 for part in node.walk())


def _has_i(node: Node) -> bool:
    return any(part.kind == "const" and part.name == "i" for part in node.walk())


def _constants_of(form: Form) -> str:
    """The name of a constant of integration that is added once; "" if there is none."""
    for name in ("C", "c", "K", "k"):
        if (("s:" + name, Fraction(1)),) in form.top and len(form.bottom) == 1 and len(form.top) > 1:
            lone = form.top[("s:" + name, Fraction(1)),] == 1 == next(iter(form.bottom.values()))
            if lone and sum(a == "s:" + name for key in form.top for a, _ in key) == 1 and () in form.bottom:
                return name
    return ""
