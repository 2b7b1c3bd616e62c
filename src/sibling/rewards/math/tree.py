"""The parsed answer: one frozen kind of node, and the two ways in which reading an answer fails.

Scalars: num sym const unit add mul div pow neg call pm ratio base.
Structures: tuple (its brackets are the name; "" for a bare list) matrix rel union inter minus named text choice
builder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


class UnreadableError(Exception):
    """The text is not an answer we can read; `code` is the reason as one word."""

    def __init__(self, why: str, code: str = "unreadable") -> None:
        super().__init__(why)
        self.code = code


class TooHardError(UnreadableError):
    """Working the value out would take more than the bounds allow."""

    def __init__(self, why: str) -> None:
        super().__init__(why, "too_hard")


@dataclass(frozen=True)
class Node:
    """A part of an answer. `literal` is how a number was written; it does not count when nodes are compared."""

    kind: str
    args: tuple[Node, ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)
    literal: str = field(default="", compare=False)

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.args)


def height_of(node: Node) -> int:
    """Levels of nodes, counted without recursion."""
    level, height = [node], 0
    while level:
        level, height = [part for above in level for part in above.args], height + 1
    return height


def number(value: Fraction | int, literal: str = "") -> Node:
    """A rational number."""
    return Node("num", value=Fraction(value), literal=literal)


def negative(node: Node) -> Node:
    """-node; of a number the number."""
    return number(-node.value, node.literal) if node.kind == "num" else Node("neg", (node,))


def joined(kind: str, left: Node, right: Node) -> Node:
    """A sum or product with one more part."""
    args = left.args if left.kind == kind else (left,)
    return Node(kind, (*args, right))


def symbols_of(node: Node) -> set[str]:
    """The names of the symbols in `node`."""
    return {part.name for part in node.walk() if part.kind == "sym"}


def to_json(node: Node) -> list[Any]:
    """`node` as JSON, for the child process."""
    value = [format(node.value.numerator, "x"), format(node.value.denominator, "x")]
    return [node.kind, node.name, value, [to_json(part) for part in node.args]]


def from_json(data: list[Any]) -> Node:
    """The inverse of `to_json`."""
    kind, name, (top, bottom), args = data
    return Node(kind, tuple(from_json(part) for part in args), name, Fraction(int(top, 16), int(bottom, 16)))
