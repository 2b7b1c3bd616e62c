"""Operands of expressions: numbers, brackets, letters, commands, functions and their arguments, matrices.

Signs of an operation left undone (an integral, a sum, a product, a limit, a derivative, a greatest common divisor ...)
raise `UnreadableError` with the code unevaluated: what they stand for was the task, not the answer.
"""

from __future__ import annotations

from collections.abc import Callable

from sibling.rewards.math.cursor import Cursor
from sibling.rewards.math.numerals import decimal, digit, numeral
from sibling.rewards.math.tokens import Token
from sibling.rewards.math.tree import Node, UnreadableError, joined, negative, number, symbols_of
from sibling.rewards.math.vocabulary import CURRENCIES, FUNCTIONS, GREEK, STOPS, UNDONE

_ENDS = {r"\{": r"\}", r"\langle": r"\rangle", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
_MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "array"})
_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log"}
_PREFIX = 22  # binds more than a product, less than a power


class Operands:
    """Reads operands at `cursor`. `expression` reads a whole expression and `postfix` what follows an operand."""

    def __init__(self, cursor: Cursor, expression: Callable[[int], Node], postfix: Callable[[Node], Node]) -> None:
        self._cursor, self._expression, self._postfix = cursor, expression, postfix
        self.bars = 0  # of absolute values that are open

    def primary(self) -> Node:
        """The operand that begins here."""
        if self._cursor.at >= len(self._cursor.tokens):
            raise UnreadableError("it ends where a value is expected")
        text, kind = self._cursor.peek(), self._cursor.kind()
        if kind in ("num", "repeat"):
            return numeral(self._cursor)
        if text in CURRENCIES:
            self._cursor.at += 1
            return joined("mul", self._expression(_PREFIX), Node("unit", name=text))
        if text in ("(", "[", r"\{", r"\langle"):
            return self._group(text)
        if kind == "command":
            return self._command(text)
        if text == "{":
            return self.braced()
        if text == "|":
            return self._bar()
        if kind in ("letters", "word"):
            return self._letters(text)
        raise UnreadableError(f"{text[:20]!r} where a value is expected")

    def braced(self) -> Node:
        """{ expression }, or the next single token, as TeX reads an argument."""
        if self._cursor.accept("{"):
            inner = self._expression(0)
            self._cursor.expect("}")
            return inner
        return digit(self._cursor) or self.primary()

    def _group(self, opening: str) -> Node:
        inner = self.enclosed(opening)
        if inner.kind == "tuple" and len(inner.args) == 1 and inner.name in ("()", "[]"):
            return inner.args[0]
        return inner

    def enclosed(self, opening: str) -> Node:
        """What stands in brackets: a tuple named by its two brackets, with one item for (a)."""
        self._cursor.at += 1
        items: list[Node] = []
        closings = (")", "]") if opening in ("(", "[") else (_ENDS[opening],)
        bars, self.bars = self.bars, 0
        while self._cursor.peek() not in closings:
            items.append(self._expression(0))
            if not self._cursor.accept(",", ";"):
                break
        self.bars = bars
        closing = self._cursor.peek()
        if closing not in closings:
            raise UnreadableError(f"a bracket does not close before {closing[:20] or 'the end'}")
        self._cursor.at += 1
        return Node("tuple", tuple(items), name=opening.strip("\\") + closing.strip("\\"))

    def _bar(self) -> Node:
        self._cursor.at += 1
        self.bars += 1
        inner = self._expression(0)
        self.bars -= 1
        self._cursor.expect("|")
        return Node("call", (inner,), name="abs")

    def _letters(self, text: str) -> Node:
        self._cursor.at += 1
        if text in FUNCTIONS:
            return self._call(text)
        if text in UNDONE and len(text) > 1 and self._cursor.kind() != "":
            raise UnreadableError(f"{text} is not worked out", "unevaluated")
        if text in ("pi", "infinity", "oo"):
            return Node("const", name="pi" if text == "pi" else "inf")
        if text in GREEK:
            return self._subscripted(text)
        if len(text) == 1:
            return Node("const", name=text) if text in ("e", "i") else self._subscripted(text)
        if self._cursor.kind(-1) == "letters" and len(text) <= 4 and text.isalpha():
            return self._spelled(text)
        raise UnreadableError(f"the word {text[:20]}")

    def _spelled(self, text: str) -> Node:
        """`xy` is x times y; what follows belongs to the last letter."""
        self._cursor.at -= 1
        at, space = self._cursor.at, self._cursor.spaced()
        letters = [Token("letters", letter, space and not n) for n, letter in enumerate(text)]
        self._cursor.tokens[at : at + 1] = letters
        return self.primary()

    def _subscripted(self, name: str) -> Node:
        while self._cursor.peek() in ("_", "'") and self._cursor.kind() == "op":
            self._cursor.at += 1
            name += "'" if self._cursor.tokens[self._cursor.at - 1].text == "'" else "_" + self._cursor.script()
        return Node("sym", name=name)

    def _command(self, text: str) -> Node:
        self._cursor.at += 1
        if text == r"\frac":
            return self._fraction()
        if text == r"\sqrt":
            return self._root()
        if text == r"\binom":
            return Node("call", (self.braced(), self.braced()), name="binom")
        if text in (r"\pi", r"\infty"):
            return Node("const", name="pi" if text == r"\pi" else "inf")
        if text == r"\dots":
            return Node("sym", name="...")
        if text in (r"\lfloor", r"\lceil"):
            inner = self._expression(0)
            self._cursor.expect(_ENDS[text])
            if not symbols_of(inner):
                raise UnreadableError("a rounding is not worked out", "unevaluated")
            return Node("call", (inner,), name="floor" if text == r"\lfloor" else "ceil")
        if text == r"\begin":
            return self._matrix()
        if text[1:] in FUNCTIONS:
            return self._call(text[1:])
        if text[1:] in UNDONE:
            raise UnreadableError(f"{text} is not worked out", "unevaluated")
        if text[1:] in GREEK:
            return self._subscripted(text[1:])
        raise UnreadableError(f"{text[:20]} is not known")

    def _fraction(self) -> Node:
        top, bottom = self.braced(), self.braced()
        if _begins_with_d(top) and _begins_with_d(bottom):
            raise UnreadableError("a derivative is not worked out", "unevaluated")
        return Node("div", (top, bottom))

    def _root(self) -> Node:
        order: Node | None = None
        if self._cursor.accept("["):
            order = self._expression(0)
            self._cursor.expect("]")
        if self._cursor.peek() != "{" and self._cursor.kind() == "num":
            self._cursor.at += 1
            inner = number(decimal(self._cursor.tokens[self._cursor.at - 1].text))
        else:
            inner = self.braced()
        return Node("call", (inner, order) if order else (inner,), name="root" if order else "sqrt")

    def _call(self, name: str) -> Node:
        """A function: \\log_2 8, \\sin^2 x, \\sin^{-1} x, sqrt(2)."""
        base: Node | None = None
        power: Node | None = None
        latex = self._cursor.peek(-1).startswith("\\")
        for _ in range(2):
            if self._cursor.accept("_"):
                base = self.braced() if latex or self._cursor.kind() != "num" else numeral(self._cursor)
            elif self._cursor.accept("^"):
                power = self.braced()
        base = number(10) if name == "lg" else base
        argument = self._argument()
        if power == number(-1) and "arc" + name in FUNCTIONS:
            return Node("call", (argument,), name="arc" + name)
        call = Node("call", (argument,) if base is None else (argument, base), name=_NAMES.get(name, name))
        return call if power is None else Node("pow", (call, power))

    def _argument(self) -> Node:
        """In brackets, or the product that follows up to the next function or sign."""
        if self._cursor.peek() in ("(", "[", "{", "|"):
            return self._postfix_power(self.primary())
        if self._cursor.accept("-"):
            return negative(self._argument())
        argument = self._postfix(self.primary())
        while self._continues_argument():
            argument = joined("mul", argument, self._postfix(self.primary()))
        return argument

    def _continues_argument(self) -> bool:
        text, kind = self._cursor.peek(), self._cursor.kind()
        if kind == "letters":
            return (len(text) == 1 or text == "pi" or text in GREEK) and text not in STOPS
        return kind == "command" and (text[1:] in GREEK or text in (r"\pi", r"\frac", r"\sqrt"))

    def _postfix_power(self, node: Node) -> Node:
        return self._postfix(node) if self._cursor.peek() == "^" else node

    def _matrix(self) -> Node:
        name = self._cursor.script()
        if name not in _MATRICES:
            raise UnreadableError(f"the environment {name[:20]}")
        if name == "array":
            self._cursor.script()
        rows: list[Node] = []
        row: list[Node] = []
        while not self._cursor.accept(r"\end"):
            if self._cursor.accept("\\\\"):
                rows, row = [*rows, Node("tuple", tuple(row))], []
            elif not self._cursor.accept("&"):
                row.append(self._expression(0))
                if self._cursor.peek() not in ("&", "\\\\", r"\end"):
                    raise UnreadableError(f"{self._cursor.peek()[:20] or 'the end'} in a matrix")
        self._cursor.script()
        rows = [*rows, Node("tuple", tuple(row))] if row else rows
        if not rows or len({len(r.args) for r in rows}) != 1:
            raise UnreadableError("the rows of a matrix differ in length")
        if name in ("vmatrix", "Vmatrix"):
            raise UnreadableError("a determinant is not worked out", "unevaluated")
        return Node("matrix", tuple(rows))


def _begins_with_d(node: Node) -> bool:
    while node.kind in ("mul", "pow"):
        node = node.args[0]
    return node == Node("sym", name="d")
