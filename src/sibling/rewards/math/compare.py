"""What equals what, by the kind of answer. Scalars go to `scalar`, sets of numbers to `regions`.

Lists without brackets and sets compare without order and repetition (option `ordered`), tuples and vectors in order. A
pair in round brackets is an open interval only if the other side can be nothing but an interval. `x = 5` states the
value 5 of x: it equals 5 and `5 = x`, but not `y = 5`, and never `5 = 5`. Equations are the same up to a constant
factor. A letter of a multiple choice may carry its value. `10_2` keeps its base: it equals itself and the digits 10
without a subscript, not 2. A time such as 12:30 is not reduced; a ratio is. One value where several are wanted, or
several where one is wanted, is refused.
"""

from __future__ import annotations

import itertools
import math

from sibling.rewards.math.regions import is_plain_region, region_of, same_region
from sibling.rewards.math.relations import (
    Assignment,
    assignments,
    has_signs,
    is_relations,
    is_tautology,
    values_of,
    zero_form,
)
from sibling.rewards.math.scalar import Scalars
from sibling.rewards.math.tree import Node, TooHardError, symbols_of

_MOST_ITEMS = 60  # of a collection whose items need more than exact rationals


class Comparer:
    """Compares whole answers."""

    def __init__(self, scalars: Scalars, ordered: bool | None) -> None:
        self._scalars, self._ordered = scalars, ordered

    def same(self, wanted: Node, given: Node) -> bool:
        """Whether `given` means what `wanted` means.

        Raises `TooHardError` if the bounds do not allow to say, `LateError` if time did not.
        """
        wanted, given = _as_matrix(wanted), _as_matrix(given)
        if "choice" in (wanted.kind, given.kind):
            return self._choice(wanted, given)
        if {"text", "named"} & {wanted.kind, given.kind} and not _are_sets(wanted, given):
            return wanted == given or _spelled(wanted) == _spelled(given) != ""
        if has_signs(wanted) or has_signs(given):
            return wanted == given or self._unordered(values_of(wanted), values_of(given))
        if "rel" in (wanted.kind, given.kind) or is_relations(wanted) or is_relations(given):
            return self._relations(wanted, given)
        if is_plain_region(wanted) or is_plain_region(given) or _are_sets(wanted, given):
            found = self._regions(wanted, given)
            if found is not None:
                return found
        if {"tuple", "matrix"} & {wanted.kind, given.kind}:
            return self._collections(wanted, given)
        if "base" in (wanted.kind, given.kind):
            return wanted == given or (_digits(wanted) == _digits(given) != "" and "num" in (wanted.kind, given.kind))
        if "ratio" in (wanted.kind, given.kind):
            return self._ratio(wanted, given)
        return self._scalar(wanted, given)

    def is_hard(self, node: Node) -> bool:
        """Whether `node` alone is beyond the bounds: no exact form, and no value to double precision either."""
        return any(self._scalars.is_hard(part) for part in members(node))

    def _scalar(self, wanted: Node, given: Node) -> bool:
        if any(part.kind == "const" and part.name == "inf" for node in (wanted, given) for part in node.walk()):
            return wanted == given
        return self._scalars.same(wanted, given)

    def _choice(self, wanted: Node, given: Node) -> bool:
        if wanted.kind == given.kind:
            values = [*wanted.args, *given.args]
            if wanted.name != given.name:
                return False
            return len(values) < 2 or "text" in {v.kind for v in values} or self.same(values[0], values[1])
        choice, other = (wanted, given) if wanted.kind == "choice" else (given, wanted)
        if other.kind in ("sym", "text"):
            return other.name.upper() == choice.name and other.kind == "text"
        return bool(choice.args) and self.same(choice.args[0], other)

    def _regions(self, wanted: Node, given: Node) -> bool | None:
        left, right = region_of(wanted), region_of(given)
        if left is None or right is None:
            undecided = "rel" in (wanted.kind, given.kind) or wanted.kind == given.kind == "tuple"
            return None if undecided else wanted == given
        return same_region(left, right, self._scalar)

    # ---- collections

    def _collections(self, wanted: Node, given: Node) -> bool:
        left, right = _shape(wanted), _shape(given)
        if left == right == "matrix":
            rows = zip(wanted.args, given.args, strict=False)
            return len(wanted.args) == len(given.args) and all(self._in_order(a.args, b.args) for a, b in rows)
        if "scalar" in (left, right):
            many = given if left == "scalar" else wanted
            if not many.args or not (many.name == "" or (many.name == "{}" and len(many.args) == 1)):
                return False
            return all(self.same(*((wanted, v) if many is given else (v, given))) for v in many.args)
        one, two = _members(wanted), _members(given)
        if {left, right} <= {"list", "set"}:
            if self._ordered and left == right == "list":
                return self._in_order(one, two)
            return self._unordered(one, two)
        if "set" in (left, right) or "matrix" in (left, right):
            return False
        if "square" in (left, right) and left != right and len(one) == 2 and "list" not in (left, right):
            return False
        if "half" in (left, right) and left != right:
            return False
        return (wanted.name == given.name or "half" not in (left, right)) and self._in_order(one, two)

    def _in_order(self, one: tuple[Node, ...], two: tuple[Node, ...]) -> bool:
        return len(one) == len(two) and all(self.same(a, b) for a, b in zip(one, two, strict=True))

    def _unordered(self, one: tuple[Node, ...], two: tuple[Node, ...]) -> bool:
        exact = [{part.value for part in items} for items in (one, two) if all(part.kind == "num" for part in items)]
        if len(exact) == 2:
            return exact[0] == exact[1]
        if len(one) > _MOST_ITEMS or len(two) > _MOST_ITEMS:
            raise TooHardError("a collection of too many expressions")
        left = set(range(len(two)))
        for item in one:
            matches = {k for k, other in enumerate(two) if self.same(item, other)}
            if not matches:
                return False
            left -= matches
        return not left

    def _ratio(self, wanted: Node, given: Node) -> bool:
        if wanted.kind != given.kind:
            ratio = wanted if wanted.kind == "ratio" else given
            if len(ratio.args) != 2 or (_is_time(ratio) and not _is_reduced(ratio)):
                return False
            return self._scalar(wanted, given)
        if wanted.name != given.name and wanted.name and given.name:
            return False
        if self._in_order(wanted.args, given.args):
            return True
        if len(wanted.args) != len(given.args) or any(_is_time(n) and not _is_reduced(n) for n in (wanted, given)):
            return False
        first, other = wanted.args[0], given.args[0]
        crossed = (
            (Node("mul", (a, other)), Node("mul", (b, first))) for a, b in zip(wanted.args, given.args, strict=True)
        )
        return all(self._scalar(a, b) for a, b in crossed)

    # ---- relations

    def _relations(self, wanted: Node, given: Node) -> bool:
        if wanted == given:
            return not is_tautology(wanted)
        if is_plain_region(wanted) or is_plain_region(given):
            found = self._regions(wanted, given)
            if found is not None:
                return found
        one, two = assignments(wanted), assignments(given)
        if one and two:
            return self._assigned(one, two) or self._equations(wanted, given)
        if one or two:
            stated, other = (one, given) if one else (two, wanted)
            if one and not any(symbols_of(v) for _, values in one for v in values) and other.kind == "rel":
                return False  # 2x = 10 does not state the value of x
            if other.kind == "rel":
                return self._equations(wanted, given)
            return self._valued(stated, other, given_states=not one)
        if wanted.kind == given.kind == "rel":
            return self._equations(wanted, given)
        return given.kind == "rel" and self._worked_out(wanted, given)

    def _assigned(self, one: list[Assignment], two: list[Assignment]) -> bool:
        names = {name for name, _ in one}, {name for name, _ in two}
        if names[0] != names[1]:
            return False
        for name in names[0]:
            left, right = (tuple(v for n, vs in side if n == name for v in vs) for side in (one, two))
            if not self._unordered(left, right):
                return False
        return True

    def _valued(self, stated: list[Assignment], other: Node, *, given_states: bool) -> bool:
        """x = 5 against 5; x = 2, x = -2 against {2, -2}; x = 1, y = 2 against (1, 2)."""
        names = [name for name, _ in stated]
        if len(set(names)) == 1:
            values = tuple(v for _, vs in stated for v in vs)
            if len(stated) == 1:
                return all(self.same(*((other, v) if given_states else (v, other))) for v in values)
            node = Node("tuple", values, name="{}")  # solutions, not a point
        else:
            if len(set(names)) < len(names) or any(len(vs) != 1 for _, vs in stated):
                return False
            ordered = sorted(stated, key=lambda pair: pair[0].name)
            node = Node("tuple", tuple(vs[0] for _, vs in ordered), name="()")
            if other.kind == "tuple" and other.name not in ("", "()"):
                return False
        return self.same(other, node) if given_states else self.same(node, other)

    def _worked_out(self, wanted: Node, given: Node) -> bool:
        """3 + 4 = 7 against 7: every side is the value, and the first is not the value itself."""
        if any(op not in ("=", "~") for op in given.name.split()) or given.args[0].kind in ("num", "tuple", "sym"):
            return False
        exact = given.args[: (*given.name.split(), "~").index("~") + 1]
        return all(self.same(wanted, side) for side in exact)

    def _equations(self, wanted: Node, given: Node) -> bool:
        """The same relation between the same sides, up to a constant factor."""
        left, right = zero_form(wanted), zero_form(given)
        if left is None or right is None or left[0] != right[0]:
            return False
        (op, one), (_, two) = left, right
        if not one.top or not two.top or not (one.atoms and two.atoms):
            return False
        key = max(one.top)
        if key not in two.top:
            return False
        factor = two.top[key] / one.top[key]
        scaled = {k: v * factor for k, v in one.top.items()}
        return scaled == dict(two.top) and (op in ("=", "!=") or factor > 0)


def _are_sets(wanted: Node, given: Node) -> bool:
    return all(
        node.kind in ("union", "inter", "minus", "builder")
        or (node.kind == "named" and node.name in ("empty", "reals"))
        or (node.kind == "rel" and is_plain_region(node))
        or (
            node.kind == "tuple"
            and (len(node.args) == 2 or node.name == "{}")
            and node.name in ("()", "[]", "(]", "[)", "{}")
        )
        for node in (wanted, given)
    ) and ("named" in (wanted.kind, given.kind) or is_plain_region(wanted) or is_plain_region(given))


def _spelled(node: Node) -> str:
    """Letters side by side, as a text: `no` is no product."""
    if node.kind == "mul" and all(part.kind in ("sym", "const") for part in node.args):
        return "".join(part.name for part in node.args).casefold()
    return node.name if node.kind == "text" else ""


def _as_matrix(node: Node) -> Node:
    """[[1, 2], [3, 4]] as a matrix."""
    rows = node.args if node.kind == "tuple" and node.name == "[]" else ()
    square = len(rows) > 0 and all(row.kind == "tuple" and row.name == "[]" for row in rows)
    return Node("matrix", rows) if square and len({len(row.args) for row in rows}) == 1 else node


def _shape(node: Node) -> str:
    if node.kind == "matrix":
        return "vector" if len(node.args) == 1 or len(node.args[0].args) == 1 else "matrix"
    if node.kind != "tuple":
        return "scalar"
    return {"": "list", "{}": "set", "()": "tuple", "[]": "square", "langlerangle": "vector"}.get(node.name, "half")


def _members(node: Node) -> tuple[Node, ...]:
    return tuple(itertools.chain.from_iterable(row.args for row in node.args)) if node.kind == "matrix" else node.args


def members(node: Node) -> tuple[Node, ...]:
    """The expressions in an answer of any kind."""
    if node.kind in ("tuple", "matrix", "rel", "union", "inter", "minus", "builder"):
        return tuple(itertools.chain.from_iterable(members(part) for part in node.args))
    return () if node.kind in ("text", "named", "choice", "base") else (node,)


def _digits(node: Node) -> str:
    if node.kind == "base":
        return node.name
    return str(node.value) if node.kind == "num" and node.value.denominator == 1 else ""


def _is_time(node: Node) -> bool:
    """h:mm, with two digits after the colon."""
    if node.kind != "ratio" or len(node.args) < 2 or any(part.kind != "num" for part in node.args):
        return False
    return bool(node.name) or all(len(part.literal) == 2 and part.value < 60 for part in node.args[1:])


def _is_reduced(node: Node) -> bool:
    values = [part.value for part in node.args]
    return not node.name and all(v.denominator == 1 for v in values) and math.gcd(*(int(v) for v in values)) == 1
