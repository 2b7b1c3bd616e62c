"""What may be changed in a module: every place, and what stands there instead.

Arithmetic, comparison and boolean operators, signs, constants, conditions, twin functions (min for max, sum for
mean), calls that are dropped (detach, clamp, masks) and statements that are dropped. Left alone: text, annotations,
error messages, assertions that only narrow a type, `del` of arguments that are not used, the `strict` of a zip (columns
are checked before), and the sign of the axis -1 in a call (a second way to write the same axis).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.MatMult: ast.Mult,
}
_COMPARE = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_TWINS = [("min", "max"), ("minimum", "maximum"), ("fmin", "fmax"), ("any", "all"), ("zeros", "ones")]
_TWINS += [("zeros_like", "ones_like"), ("token_sum", "token_mean"), ("mark_clip", "mark_nothing")]
_TWIN = {a: b for pair in _TWINS for a, b in (pair, pair[::-1])} | {"sum": "mean", "mean": "sum", "sigmoid": "exp"}
_RECEIVER = {"detach", "clamp", "abs", "square", "exp", "log", "flatten", "double", "isnan"}  # x.f() becomes x
_ARGUMENT = {"blank", "exact_std", "sqrt", "clip", "nan_to_num", "log1p", "expm1", "exp", "clamp"}
_ARGUMENT |= {"finite_exp", "below_overflow", "lgamma", "sorted", "reversed"}  # f(x) becomes x
_ERRORS = {"RequestError", "RunError"}


@dataclass(frozen=True)
class Site:
    """One mutation of a module."""

    function: str  # qualified name; empty for tables, defaults and other code that runs at import
    line: int
    before: str
    after: str


class Mutator(ast.NodeTransformer):
    """Counts the mutations of a tree, and makes the one whose number is `wanted`."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted, self.sites = wanted, list[Site]()
        self._classes: list[str] = []
        self._function = ""

    def visit(self, node: ast.AST) -> Any:
        """The node, or what stands there instead."""
        if isinstance(node, ast.Raise | ast.Assert | ast.Delete | ast.Import | ast.ImportFrom | ast.JoinedStr):
            return node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ERRORS:
            return node
        if isinstance(node, ast.keyword) and (node.arg == "strict" or _last_axis(node.value)):
            return node
        chosen: ast.AST | None = None
        for new in _alternatives(node):
            if len(self.sites) == self.wanted:
                chosen = ast.copy_location(new, node)
            self.sites.append(Site(self._function, getattr(node, "lineno", 0), _text(node), _text(new)))
        visited = super().visit(node)
        return visited if chosen is None else chosen

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """The axis -1 stays."""
        node.func = self.visit(node.func)
        node.args = [a if _last_axis(a) else self.visit(a) for a in node.args]
        node.keywords = [self.visit(k) for k in node.keywords]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Methods are named after their class."""
        self._classes.append(node.name)
        node.body = [self.visit(child) for child in node.body]
        self._classes.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Defaults run at import; the body belongs to the outermost function."""
        for defaults in (node.args.defaults, node.args.kw_defaults):
            defaults[:] = [d and self.visit(d) for d in defaults]  # type: ignore[misc]  # one list may hold None
        outer = self._function
        self._function = outer or ".".join([*self._classes, node.name])
        node.body = [self.visit(child) for child in node.body]
        self._function = outer
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Without the annotation."""
        node.value = None if node.value is None else self.visit(node.value)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Docstrings are text."""
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _BINARY:
            yield _with(node, op=_BINARY[type(node.op)]())
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for other in _COMPARE[type(op)]:
                    yield _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])
        case ast.BoolOp():
            yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.If() | ast.IfExp() | ast.While():
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.comprehension(ifs=[test]):
            yield _with(node, ifs=[ast.UnaryOp(ast.Not(), test)])
        case ast.Continue():
            yield ast.Break()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Call():
            yield from _calls(node)


def _last_axis(node: ast.AST) -> bool:
    return ast.unparse(node) == "-1"


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    module = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in ("torch", "np", "math")
    if name in _TWIN and isinstance(node.func, ast.Attribute):
        yield _with(node, func=_with(node.func, attr=_TWIN[name]))
    elif name in _TWIN:
        yield _with(node, func=ast.Name(_TWIN[name], ast.Load()))
    if isinstance(node.func, ast.Attribute) and not module and name in _RECEIVER:
        yield node.func.value
    elif (module or isinstance(node.func, ast.Name)) and name in _ARGUMENT and node.args:
        yield node.args[0]
    if name == "where" and len(node.args) == 3:
        yield _with(node, args=[node.args[0], node.args[2], node.args[1]])


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for field, value in fields.items():
        setattr(new, field, value)
    return new


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"if {ast.unparse(ast.fix_missing_locations(node.test))}"
    if isinstance(node, ast.comprehension):
        return ast.unparse(ast.fix_missing_locations(node)).strip()
    return " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())[:120]


def sites(source: str) -> list[Site]:
    """Every mutation of a module's source, in a fixed order."""
    mutator = Mutator()
    mutator.visit(ast.parse(source))
    return mutator.sites


def mutated(source: str, number: int) -> ast.Module:
    """The module with mutation `number`."""
    tree = ast.parse(source)
    Mutator(number).visit(tree)
    return ast.fix_missing_locations(tree)
