"""Where measurements are kept: one small file a run while measuring, one results file for the page.

A run is taken over from an earlier call only if its settings are the same to the last number, and the code too: the
package, the harness and the claim's own file.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from claims.claim import Claim, Runs, Values
from sibling.canonical import digest, file_digest
from sibling.record.environment import environment_manifest
from sibling.record.manifest import code_manifest

SCHEMA = 1
FIRST_SEED = 1000  # seeds below it were used in pilot runs, to choose tasks and settings
DIGITS = 6  # significant digits kept of every number


def measured_seeds(count: int) -> range:
    """The seeds of the results."""
    return range(FIRST_SEED, FIRST_SEED + count)


def unit_path(folder: Path, claim: Claim, arm: str, seed: int) -> Path:
    """The file of one run."""
    return folder / claim.key / f"{arm}-{seed}.json"


@cache
def code_digest(module: str) -> str:
    """Of the package, the harness and a claim's module, as they were when first asked for."""
    files = {Path(__file__).with_name("harness.py"), Path(str(sys.modules[module].__file__))}
    return digest([code_manifest()["code_digest"], *sorted(file_digest(f) for f in files)])


def load_unit(folder: Path, claim: Claim, arm: str, seed: int) -> Values | None:
    """What was measured, or None if it was not, or with other settings or other code."""
    try:
        unit = json.loads(unit_path(folder, claim, arm, seed).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = unit.get("settings") == plain(claim.settings) and unit.get("code") == code_digest(claim.measure.__module__)
    return unit if same else None


def save_unit(folder: Path, claim: Claim, arm: str, seed: int, values: Values, cpu_seconds: float) -> None:
    """Written aside and renamed: a run that was stopped leaves nothing half-written."""
    path = unit_path(folder, claim, arm, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    unit = {
        "settings": plain(claim.settings),
        "code": code_digest(claim.measure.__module__),
        "cpu_seconds": round(cpu_seconds, 2),
        "values": rounded(values),
    }
    aside = path.with_suffix(f".{os.getpid()}.part")
    aside.write_text(json.dumps(unit), encoding="utf-8")
    aside.replace(path)


def collect(folder: Path, claims: Sequence[Claim], seeds: int, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The results file: every claim whose runs are all there; others as in `earlier`, if that has as many seeds."""
    out = dict(earlier["claims"]) if earlier.get("seeds") == seeds else {}
    for claim in claims:
        units = {arm: [load_unit(folder, claim, arm, s) for s in measured_seeds(seeds)] for arm in claim.arms}
        if all(u is not None for of_arm in units.values() for u in of_arm):
            out[claim.key] = {
                "settings": plain(claim.settings),
                "cpu_seconds": round(sum(u["cpu_seconds"] for of_arm in units.values() for u in of_arm if u), 1),
                "arms": {arm: [u["values"] for u in of_arm if u] for arm, of_arm in units.items()},
            }
    order = [c.key for c in claims] + sorted(set(out) - {c.key for c in claims})
    return {
        "schema": SCHEMA,
        "seeds": seeds,
        "environment": _environment(),
        "claims": {key: out[key] for key in order if key in out},
    }


def runs_of(results: Mapping[str, Any], claim: Claim) -> Runs | None:
    """The runs a claim is judged by; None where one of them was not measured."""
    measured = results["claims"]
    if any(key not in measured for key in (claim.key, *claim.also)) or set(measured[claim.key]["arms"]) != set(
        claim.arms
    ):
        return None
    runs = dict(measured[claim.key]["arms"])
    for key in claim.also:
        runs |= {f"{key}/{arm}": values for arm, values in measured[key]["arms"].items()}
    return runs


def rounded(value: Any) -> Any:
    """Numbers to `DIGITS` significant digits, so that the file is small and its differences readable."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value))


def _environment() -> dict[str, Any]:
    full = environment_manifest()
    packages = {name: full["packages"][name] for name in ("sibling", "torch", "transformers", "numpy")}
    kept = {name: full[name] for name in ("python", "processor", "memory")}
    return {**kept, "machine": full["system"]["machine"], "packages": packages, "threads_a_run": 1}


def load_results(path: Path) -> dict[str, Any]:
    """The results file; without one, results without any claim. Raises `ValueError` for another schema."""
    if not path.exists():
        return {"schema": SCHEMA, "seeds": 0, "environment": {}, "claims": {}}
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if results.get("schema") != SCHEMA:
        raise ValueError(f"{path.name} has schema {results.get('schema')}; this page is made from schema {SCHEMA}")
    return results


def save_results(path: Path, results: Mapping[str, Any]) -> None:
    """One line an array, so that two versions can be compared by eye."""
    text = json.dumps(results, indent=1)
    path.write_text(_rows_on_a_line(text) + "\n", encoding="utf-8")


def _rows_on_a_line(text: str) -> str:
    """Arrays of numbers on one line each; the rest stays indented."""
    return re.sub(r"\[\s+([-\d.eE,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
