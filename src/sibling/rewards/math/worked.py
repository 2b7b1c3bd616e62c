"""Whether an answer is worked out: nothing is left to compute in it but what its exact value needs.

Worked out: 7, 3/4, 2 3/4, 1.2*10^-4, 2 sqrt 3, 1 + sqrt 2, 3 + 4i, x^2 + 1, pi/6. Not: 3 + 4, 123*456, 2^10, sqrt 16,
10!, log_2 8. Signs of operators never come this far: reading refuses them.
"""

from __future__ import annotations

from sibling.rewards.math.atoms import Reader
from sibling.rewards.math.tree import Node, UnreadableError

_ATOMS = frozenset({"num", "sym", "const", "unit", "text", "named", "choice", "base"})


def is_worked_out(node: Node) -> bool:
    """Whether nothing is left to compute."""
    return all(_is_plain(part) for part in node.walk())


def is_bare(node: Node) -> bool:
    """A value in its plainest form: a number, a fraction, a symbol, a text, or a collection of such."""
    return all(
        p.kind in _ATOMS or p.kind in ("tuple", "matrix", "neg", "ratio") or _is_fraction(p) for p in node.walk()
    )


def _is_fraction(node: Node) -> bool:
    return node.kind == "div" and all(part.kind == "num" for part in node.args)


def _is_number(node: Node) -> bool:
    """A number, or a sum, product or fraction that is left to do."""
    return node.kind in ("num",) or (node.kind == "neg" and _is_number(node.args[0])) or _is_fraction(node)


def _is_plain(node: Node) -> bool:
    kind, args = node.kind, node.args
    if kind == "add":
        return sum(_is_number(part) for part in args) < 2
    if kind == "mul":
        return sum(_is_number(part) for part in args) < 2 or _is_scaled_fraction(args)
    if kind == "div":
        return _is_fraction(node) or not all(_is_number(part) for part in args)
    if kind == "pow":
        return (
            not (_is_number(args[0]) and args[1].kind == "num") or args[0].value == 10 or args[1].value.denominator != 1
        )
    return not (kind == "call" and _is_rational(node))


def _is_scaled_fraction(args: tuple[Node, ...]) -> bool:
    return len(args) == 2 and _is_number(args[0]) and args[1].kind == "pow"


def _is_rational(node: Node) -> bool:
    try:
        return Reader().form(node).rational is not None
    except UnreadableError:
        return False
