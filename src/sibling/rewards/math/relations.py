"""Relations: what `x = 5` says of x, which values plus-minus signs stand for, the two sides of an equation as one."""

from __future__ import annotations

from fractions import Fraction

from sibling.rewards.math.atoms import Reader
from sibling.rewards.math.forms import ONE, Form
from sibling.rewards.math.tree import Node, TooHardError, UnreadableError, negative, symbols_of

_MOST_SIGNS = 4

Assignment = tuple[Node, tuple[Node, ...]]
"""A name and the values it is said to have."""


def assignments(node: Node) -> list[Assignment]:
    """(name, values) of each part of x = 5, 5 = x, f(x) = 2x, x = 2 or x = 3, x = 2, 3; empty if it is none."""
    if node.kind == "tuple" and node.name == "" and node.args:
        first = assignments(node.args[0]) if node.args[0].kind == "rel" else []
        found = list(first)
        for part in node.args[1:]:
            if part.kind == "rel":
                more = assignments(part)
                if not more:
                    return []
                found += more
            elif first:
                found.append((first[0][0], (part,)))
        return found if first else []
    if node.kind == "rel" and node.name == "in" and node.args[1].name == "{}" and _is_name(node.args[0]):
        return [(node.args[0], (value,)) for value in node.args[1].args]
    if node.kind != "rel" or any(op not in ("=", "~") for op in node.name.split()):
        return []
    sides = node.args
    if not _is_name(sides[0]) and len(sides) == 2 and _is_name(sides[1]):
        sides = (sides[1], sides[0])
    exact = (*node.name.split(), "~").index("~")
    values = sides[1 : max(exact, 1) + 1]
    if not _is_name(sides[0]) or any(symbols_of(v) & _own(sides[0]) for v in values):
        return []
    if sides[0].kind == "tuple" and len(values) == 1 and len(values[0].args) == len(sides[0].args):
        return [(name, (value,)) for name, value in zip(sides[0].args, values[0].args, strict=True)]
    return [(sides[0], values)]


def _own(name: Node) -> set[str]:
    return symbols_of(name.args[0]) if name.kind == "mul" else symbols_of(name)


def _is_name(node: Node) -> bool:
    if node.kind == "sym" or (node.kind == "choice" and not node.args):
        return True
    if node.kind == "tuple":
        return bool(node.args) and all(part.kind == "sym" for part in node.args)
    if node.kind != "mul" or len(node.args) != 2 or node.args[1].kind not in ("sym", "num"):
        return False
    named = node.args[0].args[0] if node.args[0].kind == "pow" else node.args[0]  # f, or its inverse
    return named.name[:1] in tuple("fghFGHPpqrA") and named.kind == "sym"


def values_of(node: Node) -> tuple[Node, ...]:
    """The values that stand in a list or behind plus-minus signs and an assignment."""
    if node.kind == "tuple" and node.name in ("", "{}"):
        return tuple(v for part in node.args for v in values_of(part))
    stated = assignments(node)
    if stated and len(stated) == 1:
        return tuple(v for value in stated[0][1] for v in values_of(value))
    signs = sum(part.kind == "pm" for part in node.walk())
    if signs > _MOST_SIGNS:
        raise TooHardError("too many plus-minus signs")
    if not signs:
        return (node,)
    return tuple(_resolved(node, choice) for choice in (True, False))


def _resolved(node: Node, upper: bool) -> Node:
    """With the upper or the lower of the signs throughout."""
    args = tuple(_resolved(part, upper) for part in node.args)
    if node.kind != "pm":
        return Node(node.kind, args, node.name, node.value)
    last = args[-1] if upper == (node.name == "pm") else negative(args[-1])
    return Node("add", (args[0], last)) if len(args) == 2 else last


def has_signs(node: Node) -> bool:
    """Whether there is a plus-minus sign in it."""
    return any(part.kind == "pm" for part in node.walk())


def is_relations(node: Node) -> bool:
    """Whether it is a list in which a relation stands."""
    return node.kind == "tuple" and node.name == "" and any(part.kind == "rel" for part in node.args)


def is_tautology(node: Node) -> bool:
    """Whether all sides of a relation are the same."""
    return node.kind == "rel" and len(set(node.args)) == 1


def zero_form(node: Node) -> tuple[str, Form] | None:
    """(op, left - right) of a relation with two sides, < and <= turned into > and >=."""
    if node.kind != "rel" or len(node.args) != 2 or node.name not in ("=", "<", ">", "<=", ">=", "!="):
        return None
    left, right = node.args if node.name[0] not in "<" else node.args[::-1]
    reader = Reader()
    try:
        form = reader.form(Node("add", (left, Node("neg", (right,)))))
    except UnreadableError:
        return None
    whole = Form(form.top, {ONE: Fraction(1)})
    return node.name.replace("<", ">"), whole
