"""Writes what became of the mutants: benchmarks/mutation.json and docs/mutation.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mutation.operators import Site, sites

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "mutation.json"
PAGE = ROOT / "docs" / "mutation.md"
EQUIVALENT = Path(__file__).parent / "equivalent.json"

Outcome = tuple[tuple[str, int, Site], str]


def write(outcomes: Sequence[Outcome], before: Mapping[str, Any], seconds: float) -> None:
    """Both files. What `before` says of mutants that were not run again stays."""
    run = {(module, number) for (module, number, _), _ in outcomes}
    new = [{"module": m, "number": n, **asdict(s)} for (m, n, s), said in outcomes if not said]
    old = [s for s in before.get("survivors", ()) if (s["module"], s["number"]) not in run]
    survivors = sorted([*old, *new], key=lambda s: (s["module"], s["number"]))
    counts = {m: dict(c) for m, c in before.get("modules", {}).items()}
    for module in {m for m, _ in run}:
        source = (ROOT / "src" / "sibling" / "maths" / f"{module}.py").read_text()
        counts[module] = {"mutants": len(sites(source)), "survived": sum(s["module"] == module for s in survivors)}
    counts = {m: counts[m] for m in sorted(counts)}
    results = {"seconds": round(before.get("seconds", 0) + seconds), "modules": counts, "survivors": survivors}
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
    explained = [s for s in survivors if _key(s) in known]
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
        f" {alive - len(explained)}.",
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


def _key(survivor: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return survivor["module"], survivor["function"], survivor["before"], survivor["after"]


def _row(survivor: Mapping[str, Any], known: Mapping[tuple[str, str, str, str], str]) -> str:
    before, after = (f"`{survivor[k]}`".replace("|", "\\|") for k in ("before", "after"))
    function = survivor["function"] or "(at import)"
    return f"| {survivor['module']} | {function} | {before} | {after} | {known.get(_key(survivor), 'not noticed')} |"
