"""Programs that do the same as the reference, and programs that surely do not, made from its syntax tree.

Nothing is run. A rewrite is made only where it is safe by form alone: names are replaced only in functions without
inner scopes, statements are swapped only where both set plain names to constants. A broken program is broken for every
input (it returns another type, raises, prints a line more), so that no test that looks at its results can pass it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from copy import deepcopy

from sibling.audit.kinds import Seed

_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp,
          ast.GeneratorExp, ast.Global, ast.Nonlocal)  # fmt: skip
_SEES_NAMES = {"locals", "vars", "eval", "exec", "dir", "globals"}


def source_of(seed: Seed) -> str:
    """The reference without a code fence."""
    found = re.fullmatch(r"\s*```(?:python)?\n(.*?)\n?```\s*", seed.answer, re.DOTALL)
    return found[1] if found else seed.answer


def whole(seed: Seed) -> Iterator[str]:
    """The reference, if it is a program by itself rather than the body of one."""
    if _tree(source_of(seed)) is not None:
        yield source_of(seed)


def _tree(source: str) -> ast.Module | None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if tree.body else None


def entry_of(seed: Seed) -> str:
    """The function that is tested: the column `entry_point`, the one an assert calls, or the last one defined."""
    named = seed.task.columns.get("entry_point")
    if isinstance(named, str) and named.isidentifier():
        return named
    tree = _tree(source_of(seed))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] if tree else []
    tested = " ".join(str(text) for key in ("asserts", "tests") for text in _several(seed.task.columns.get(key)))
    called = [name for name in defined if re.search(rf"\b{name}\s*\(", tested)]
    return (called or defined or [""])[-1]


def _several(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value] if value else []


def prints(seed: Seed) -> bool:
    """The program is tested by what it prints, not by what a function returns."""
    return "io" in seed.task.columns


def commented(seed: Seed) -> Iterator[str]:
    """Comments before and after."""
    for source in whole(seed):
        yield f"# a note at the top\n\n{source}\n\n\n# a note at the end\n"


def reformatted(seed: Seed) -> Iterator[str]:
    """Written out from the syntax tree, which drops comments and the author's layout."""
    tree = _tree(source_of(seed))
    if tree is not None:
        yield ast.unparse(tree)


def renamed(seed: Seed) -> Iterator[str]:
    """Local names of each top-level function replaced; its parameters, which callers may name, are not."""
    tree = _tree(source_of(seed))
    if tree is None:
        return
    changed = False
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and (names := _local_names(node)):
            _Rename({name: f"{name}_renamed" for name in names}).visit(node)
            changed = True
    if changed:
        yield ast.unparse(ast.fix_missing_locations(tree))


def _local_names(function: ast.FunctionDef) -> set[str]:
    inside = [node for statement in function.body for node in ast.walk(statement)]
    if any(isinstance(node, _INNER) for node in inside):
        return set()
    loaded = {node.id for node in inside if isinstance(node, ast.Name)}
    if loaded & _SEES_NAMES:
        return set()
    arguments = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
    return {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} - arguments


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:  # the name ast asks for
        return ast.copy_location(ast.Name(self._names.get(node.id, node.id), node.ctx), node)


def reordered(seed: Seed) -> Iterator[str]:
    """Two neighbours that set different names to constants, or two plain functions, swapped."""
    tree = _tree(source_of(seed))
    if tree is None:
        return
    swapped = False
    for node in ast.walk(tree):
        found = getattr(node, "body", None)
        body: list[ast.stmt] = found if isinstance(found, list) else []
        for at in range(len(body) - 1):
            one, two = body[at], body[at + 1]
            if not swapped and (_names_set(one) and _names_set(two) and _names_set(one) != _names_set(two)):
                body[at], body[at + 1] = two, one
                swapped = True
    if swapped:
        yield ast.unparse(tree)


def _names_set(statement: ast.stmt) -> str | None:
    """The name a statement sets, if it is one and nothing else happens: a constant, or a function without extras."""
    if isinstance(statement, ast.FunctionDef):
        extras = [*statement.decorator_list, *statement.args.defaults, *[d for d in statement.args.kw_defaults if d]]
        annotations = [a.annotation for a in ast.walk(statement.args) if isinstance(a, ast.arg) and a.annotation]
        return None if extras or annotations or statement.returns else statement.name
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target, value = statement.targets[0], statement.value
    simple = isinstance(value, ast.Constant) or (isinstance(value, ast.List | ast.Tuple) and not value.elts)
    return target.id if simple and isinstance(target, ast.Name) else None


# ------------------------------------------------------------------------------------------- broken programs


def broken(seed: Seed) -> Iterator[tuple[str, str]]:
    """(program, what was done to it), each wrong on every input."""
    source, entry = source_of(seed), entry_of(seed)
    tree = _tree(source)
    if tree is None:
        return
    if prints(seed):
        yield f"{source}\nprint('one line too many')\n", "prints a line more"
        yield f"print('one line too many')\n{source}\n", "prints a line before the others"
        yield f"raise RuntimeError('broken')\n{source}", "raises at the start"
        return
    if not entry or not any(isinstance(node, ast.FunctionDef) and node.name == entry for node in tree.body):
        return
    for suffix, note in (
        (f"{entry} = lambda *_, **__: None", "returns None"),
        (f"_kept = {entry}\ndef {entry}(*a, **k):\n    return ['sibling', _kept(*a, **k)]", "returns another type"),
        (f"def {entry}(*a, **k):\n    raise RuntimeError('broken')", "raises"),
        (f"def {entry}(*a, **k):\n    return {entry}(*a, **k)", "calls itself without end"),
        (f"del {entry}", "is not defined"),
    ):
        if note != "returns None" or _returns_something(tree, entry):
            yield f"{source}\n{suffix}\n", f"the function {note}"
    yield _unclosed(source), "does not parse"


def _unclosed(source: str) -> str:
    return source + "\ndef (:\n"


def _returns_something(tree: ast.Module, entry: str) -> bool:
    """Every return of the function gives a value that is no plain None: a stub cannot then be right by chance."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry:
            found = [n for n in ast.walk(node) if isinstance(n, ast.Return)]
            return bool(found) and all(
                n.value is not None and not (isinstance(n.value, ast.Constant) and n.value.value is None) for n in found
            )
    return False


_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
}  # fmt: skip


def mutants(seed: Seed, most: int = 12) -> Iterator[tuple[str, str]]:
    """(program, what was done to it): one operator or constant changed. Some do the same as before."""
    tree = _tree(source_of(seed))
    if tree is None:
        return
    made = 0
    for at, node in enumerate(ast.walk(tree)):
        change = _change(node)
        if change is None or made >= most:
            continue
        copy = deepcopy(tree)
        target = list(ast.walk(copy))[at]
        change(target)
        made += 1
        yield (
            ast.unparse(ast.fix_missing_locations(copy)),
            f"{type(node).__name__} changed, line {getattr(node, 'lineno', 0)}",
        )


def _change(node: ast.AST) -> Callable[[ast.AST], None] | None:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        return _set_compare
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _COMPUTED:
        return _set_operator
    if isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return _set_constant
    return None


def _set_compare(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops[0] = _COMPARED[type(node.ops[0])]()


def _set_operator(node: ast.AST) -> None:
    assert isinstance(node, ast.BinOp | ast.AugAssign)
    node.op = _COMPUTED[type(node.op)]()


def _set_constant(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant) and isinstance(node.value, int)
    node.value = node.value + 1
