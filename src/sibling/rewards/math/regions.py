"""Sets of real numbers as unions of intervals: brackets, inequalities (of x or |x|) and chains, points, complements.

Ends are compared exactly (by `same`), ordered by their value to double precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sibling.rewards.math.numeric import constant
from sibling.rewards.math.tree import Node, UnreadableError, symbols_of

Same = Callable[[Node, Node], bool]
_MOST_PIECES = 200


@dataclass(frozen=True)
class End:
    """One end of an interval: its value, exactly and about, and whether it belongs to the interval."""

    node: Node
    about: float
    closed: bool


Piece = tuple[End, End]
LEAST = End(Node("const", name="-inf"), -math.inf, False)
MOST = End(Node("const", name="inf"), math.inf, False)


@dataclass(frozen=True)
class Region:
    """Pieces from left to right that do not touch, and the variable they are about, if one is named."""

    pieces: tuple[Piece, ...]
    variable: str = ""


def region_of(node: Node) -> Region | None:
    """The set of real numbers that `node` describes; None if it describes something else.

    Raises `UnreadableError` for an interval whose ends are the wrong way round.
    """
    kind, name = node.kind, node.name
    if kind == "named":
        return {"empty": Region(()), "reals": Region(((LEAST, MOST),))}.get(name)
    if kind == "tuple" and name == "{}":
        return _points(node)
    if kind == "tuple" and len(node.args) == 2 and name in ("()", "[]", "(]", "[)"):
        return _interval(node)
    if kind == "builder":
        return region_of(node.args[0])
    if kind in ("union", "inter", "minus"):
        return _combined(node)
    return _relation(node) if kind == "rel" else None


def is_plain_region(node: Node) -> bool:
    """Whether it can be nothing but a region: not a pair in round brackets, a list in square ones, or a set."""
    if node.kind == "tuple":
        infinite = any(part.kind == "const" and part.name == "inf" for a in node.args for part in a.walk())
        return node.name in ("(]", "[)") or (infinite and len(node.args) == 2 and node.name != "{}")
    if node.kind == "rel":
        return any(op not in ("=", "~") for op in node.name.split())
    return node.kind in ("union", "inter", "minus", "builder") or (node.kind == "named" and node.name == "reals")


def same_region(left: Region, right: Region, same: Same) -> bool:
    """Whether they are the same set, of the same variable if both name one."""
    if left.variable and right.variable and left.variable != right.variable:
        return False
    if len(left.pieces) != len(right.pieces):
        return False
    pairs = (
        (a, b) for one, other in zip(left.pieces, right.pieces, strict=True) for a, b in zip(one, other, strict=True)
    )
    return all(a.closed == b.closed and _same_end(a, b, same) for a, b in pairs)


def _same_end(a: End, b: End, same: Same) -> bool:
    if math.isinf(a.about) or math.isinf(b.about):
        return a.about == b.about
    return same(a.node, b.node)


def _end(node: Node, closed: bool) -> End | None:
    bare = node.args[0] if node.kind == "neg" else node
    if bare.kind == "const" and bare.name == "inf":
        return LEAST if node.kind == "neg" else MOST
    if symbols_of(node):
        return None
    about = constant(node)
    return None if about is None else End(node, about, closed)


def _interval(node: Node) -> Region | None:
    low, high = _end(node.args[0], node.name[0] == "["), _end(node.args[1], node.name[1] == "]")
    if low is None or high is None or low.about >= high.about:
        return None
    return Region(((low, high),))


def _points(node: Node) -> Region | None:
    ends = [_end(part, True) for part in node.args]
    found = [end for end in ends if end is not None]
    if len(found) < len(ends) or any(math.isinf(end.about) for end in found):
        return None
    return Region(_merged([(end, end) for end in found]))


_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "=", "~": "~"}


def _relation(node: Node) -> Region | None:
    """A bare symbol, or its absolute value, against constants, or a chain of such: 1 < x <= 3, |x| < 3."""
    ops = node.name.split()
    if ops == ["in"]:
        inside = region_of(node.args[1])
        first = node.args[0]
        return Region(inside.pieces, first.name) if inside is not None and first.kind == "sym" else None
    result: Region | None = None
    if "~" in ops or "in" in ops:
        return None
    for first, sign, second in zip(node.args, ops, node.args[1:], strict=False):
        turned = bool(symbols_of(second))
        left, op, right = (second, _MIRROR[sign], first) if turned else (first, sign, second)
        end = _end(right, op in ("<=", ">=", "="))
        size = left.kind == "call" and left.name == "abs"
        symbol = left.args[0] if size else left
        if symbol.kind != "sym" or end is None:
            return None
        pieces = _sized(op, end) if size else _half(op, end)
        if pieces is None:
            return None
        piece = Region(pieces, symbol.name)
        result = piece if result is None else intersection(result, piece)
    return result


def _half(op: str, end: End) -> tuple[Piece, ...]:
    if op in ("<", "<="):
        return ((LEAST, end),)
    if op in (">", ">="):
        return ((end, MOST),)
    return ((end, end),) if op == "=" else ((LEAST, end), (end, MOST))


def _sized(op: str, end: End) -> tuple[Piece, ...] | None:
    """Where the absolute value of the variable is below or above `end`, a positive number."""
    if op not in ("<", "<=", ">", ">=") or not 0 < end.about < math.inf:
        return None
    other = End(Node("neg", (end.node,)), -end.about, end.closed)
    return ((other, end),) if op[0] == "<" else ((LEAST, other), (end, MOST))


def _combined(node: Node) -> Region | None:
    parts = [region_of(part) for part in node.args]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    if sum(len(part.pieces) for part in found) > _MOST_PIECES:
        raise UnreadableError("too many intervals", "too_hard")
    result = found[0]
    for part in found[1:]:
        if result.variable and part.variable and result.variable != part.variable:
            return None
        variable = result.variable or part.variable
        if node.kind == "union":
            result = Region(_merged([*result.pieces, *part.pieces]), variable)
        else:
            other = part if node.kind == "inter" else Region(_complement(part.pieces))
            result = Region(intersection(result, other).pieces, variable)
    return result


def _merged(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Sorted, with those that overlap or touch joined."""
    done: list[Piece] = []
    for low, high in sorted(pieces, key=lambda p: (p[0].about, not p[0].closed, p[1].about)):
        if done and _reaches(done[-1][1], low):
            before, end = done[-1]
            done[-1] = (before, _later(end, high))
        else:
            done.append((low, high))
    return tuple(done)


def _close(a: float, b: float) -> bool:
    return a == b or (not math.isinf(a) and not math.isinf(b) and abs(a - b) <= 1e-12 * max(1.0, abs(a)))


def _reaches(end: End, start: End) -> bool:
    if _close(end.about, start.about):
        return end.closed or start.closed
    return end.about > start.about


def _later(a: End, b: End) -> End:
    if _close(a.about, b.about):
        return a if a.closed else b
    return a if a.about > b.about else b


def intersection(left: Region, right: Region) -> Region:
    """What lies in both."""
    pieces: list[Piece] = []
    for a_low, a_high in left.pieces:
        for b_low, b_high in right.pieces:
            low, high = _inner(a_low, b_low, lower=True), _inner(a_high, b_high, lower=False)
            point = _close(low.about, high.about) and low.closed and high.closed
            if point or (low.about < high.about and not _close(low.about, high.about)):
                pieces.append((low, high))
    return Region(_merged(pieces), left.variable or right.variable)


def _inner(a: End, b: End, *, lower: bool) -> End:
    if _close(a.about, b.about):
        return b if a.closed else a
    return a if (a.about > b.about) == lower else b


def _complement(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    found: list[Piece] = []
    start = LEAST
    for low, high in pieces:
        if not math.isinf(low.about):
            found.append((start, End(low.node, low.about, not low.closed)))
        start = End(high.node, high.about, not high.closed)
    if not math.isinf(start.about) or start is LEAST:
        found.append((start, MOST))
    return tuple(found)
