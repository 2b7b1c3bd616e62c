"""Writes what became of the mutants: benchmarks/mutation.json and docs/mutation.md."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mutation.operators import Site, sites

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "mutation.json"
PAGE = ROOT / "docs" / "mutation.md"
EQUIVALENT = Path(__file__).parent / "equivalent.json"

Outcome = tuple[tuple[str, int, Site], str]
Survivor = Mapping[str, Any]


def write(outcomes: Sequence[Outcome], kept: Sequence[Survivor], modules: Collection[str], seconds: float) -> None:
    """Both files. `kept` are survivors of modules that were not run again."""
    new = [{"module": m, **asdict(s)} for (m, _, s), said in outcomes if not said]
    survivors = sorted([*kept, *new], key=lambda s: (s["module"], s["line"], s["before"], s["after"]))
    counts = {}
    for module in sorted(modules):
        source = (ROOT / "src" / "sibling" / "maths" / f"{module}.py").read_text()
        counts[module] = {"mutants": len(sites(source)), "survived": sum(s["module"] == module for s in survivors)}
    results = {"modules": {m: c for m, c in counts.items() if c["mutants"]}, "survivors": survivors}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results))
    print(f"{len(outcomes)} mutants, {len(new)} survived, {seconds:.0f} s")


def reasons() -> dict[tuple[str, str, str, str], str]:
    """Why a survivor changes nothing that can be seen: (module, function, before, after) -> reason."""
    if not EQUIVALENT.exists():
        return {}
    rows = json.loads(EQUIVALENT.read_text())
    return {(r["module"], r["function"], r["before"], r["after"]): r["reason"] for r in rows}


def page(results: Mapping[str, Any]) -> str:
    """The page of the documentation."""
    counts, survivors, known = results["modules"], results["survivors"], reasons()
    total, alive = sum(c["mutants"] for c in counts.values()), len(survivors)
    explained = [s for s in survivors if key(s) in known]
    lines = [
        "# Mutation of the maths",
        "",
        "One thing at a time is changed in `src/sibling/maths`, and the tests of `tests/maths` are asked whether they",
        "notice: operators, signs, constants, conditions, twin functions (min for max, sum for mean), and calls or",
        "statements left out (a detach, a clamp, a mask, a check). `make mutation` runs it and writes this page;",
        "`benchmarks/mutation/operators.py` says what may change. Text, types and error messages are left alone.",
        "",
        f"Of {total} mutants {total - alive} are killed: {100 * (total - alive) / max(total, 1):.1f} %. Of the {alive}"
        f" that survive, {len(explained)} compute the same as the code (below, with the reason), which leaves"
        f" {alive - len(explained)}: {100 * (total - alive) / max(total - len(explained), 1):.1f} % of those that"
        " compute something else are killed.",
        "",
        "| module | mutants | killed | survived |",
        "|---|---|---|---|",
        *(f"| {m} | {c['mutants']} | {c['mutants'] - c['survived']} | {c['survived']} |" for m, c in counts.items()),
        "",
        "## Survivors",
        "",
        "| module | function | code | instead | why |",
        "|---|---|---|---|---|",
        *(_row(s, known) for s in survivors),
        "",
    ]
    return "\n".join(lines)


def key(survivor: Survivor) -> tuple[str, str, str, str]:
    """What a mutant is known by, whatever its line."""
    return survivor["module"], survivor["function"], survivor["before"], survivor["after"]


def _row(survivor: Survivor, known: Mapping[tuple[str, str, str, str], str]) -> str:
    before, after = (f"`{survivor[k]}`".replace("|", "\\|") for k in ("before", "after"))
    function = survivor["function"] or "(at import)"
    return f"| {survivor['module']} | {function} | {before} | {after} | {known.get(key(survivor), 'not noticed')} |"
