"""The maths can be read in one sitting a module, and a variant is a row of the table, never a branch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import sibling
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.objectives import OBJECTIVES

PACKAGE = Path(sibling.__file__).parent
NAMES = set(OBJECTIVES) | (set(ESTIMATORS) - {"group", "process", "best", "beta"})  # those four are words of their own
TABLES = {  # what rows are put together from, what goes with what, and names in other libraries
    *("config/objectives.py", "config/facts.py", "config/rules_estimators.py", "config/rules_terms.py"),
    *(
        "maths/golden_batch.py",
        "report/trl.py",
        "report/trl_objective.py",
        "report/verl.py",
        "report/verl_objective.py",
    ),
}


def branches(tree: ast.AST) -> Iterator[ast.AST]:
    """Constants that something is compared with or matched against."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from (c for part in (node.left, *node.comparators) for c in ast.walk(part))
        elif isinstance(node, ast.MatchValue):
            yield node.value


def named(source: str) -> set[str]:
    found = branches(ast.parse(source))
    return {n.value for n in found if isinstance(n, ast.Constant) and isinstance(n.value, str)} & NAMES


def test_no_module_of_the_maths_is_longer_than_300_lines() -> None:
    lengths = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in (PACKAGE / "maths").glob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


def test_no_branch_on_the_name_of_a_variant_outside_the_tables() -> None:
    modules = {p.relative_to(PACKAGE).as_posix(): p for p in PACKAGE.rglob("*.py")}
    found = {name: named(p.read_text(encoding="utf-8")) for name, p in modules.items() if name not in TABLES}
    assert {name: names for name, names in found.items() if names} == {}


def test_such_a_branch_would_be_found() -> None:
    assert named('if objective.type == "gspo": pass') == {"gspo"}
    assert named('x = 1 if name in ("grpo", "other") else 2') == {"grpo"}
    assert named('match name:\n    case "ppo":\n        pass') == {"ppo"}
    assert named('row = TABLE["ppo"]') == set()
