"""The page: every number on it comes from the results file, every rule from the docstring of its claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claims.claim import Claim, Judgement, Table
from claims.figure import svg
from claims.intervals import Verdict
from claims.registry import CLAIMS
from claims.store import runs_of

HEAD = """# Claims, measured again

What papers say of GRPO and its relatives, measured on toy tasks with policies of some ten thousand weights (memory
and time: with the whole pipeline and a larger random model). Every claim has a design, an expectation and a rule that
were written down before its runs (what was added later says so); the rules decide, and what did not come out as
expected stays on the page. A toy shows whether the mechanism that a paper names does what the paper says when nothing
else is in the way. It does not show how large the effect is in a language model.

Intervals are Student's t at 95 % over {seeds} seeds, paired by seed where two arms are compared; they cover seeds, not
tasks or settings, and are not corrected for their number. A statement is *reproduced* if the interval lies wholly on
the claimed side of the bound in its rule, *not reproduced* if wholly on the other side, and else *unclear*. Tasks and
settings were chosen, and most expectations formed, in pilot runs with other seeds than those measured here.

This page is written by `make claims` (`python benchmarks/claims/run.py`) from `benchmarks/claims/results.json`; do
not edit it by hand.
"""


def render(results: Mapping[str, Any]) -> str:
    """The page in Markdown."""
    judged = {key: _judgement(results, claim) for key, claim in CLAIMS.items()}
    parts = [HEAD.format(seeds=results["seeds"]), _summary(judged)]
    for number, (key, claim) in enumerate(CLAIMS.items(), start=1):
        parts.append(_section(number, claim, judged[key], results["claims"].get(key)))
    parts.append(_environment(results))
    return "\n".join(parts)


def figures(results: Mapping[str, Any]) -> dict[str, str]:
    """File name -> SVG of every figure the page shows."""
    judged = [_judgement(results, claim) for claim in CLAIMS.values()]
    return {f"{stem}.svg": svg(chart) for j in judged if j is not None for stem, chart in j.charts.items()}


def _judgement(results: Mapping[str, Any], claim: Claim) -> Judgement | None:
    runs = runs_of(results, claim)
    return None if runs is None else claim.judge(runs)


def _summary(judged: Mapping[str, Judgement | None]) -> str:
    rows = []
    for number, (key, judgement) in enumerate(judged.items(), start=1):
        if judgement is None:
            rows.append([str(number), CLAIMS[key].title, "not measured"])
            continue
        rows += [[str(number), text, f"**{result}**"] for text, _, result in judgement.statements]
    found = [result for j in judged.values() if j is not None for _, _, result in j.statements]
    counts = ", ".join(f"{found.count(v)} {v.value}" for v in Verdict)
    return f"## Summary\n\n{len(found)} statements: {counts}.\n\n" + table(Table(["", "statement", "verdict"], rows))


def _section(number: int, claim: Claim, judgement: Judgement | None, measured: Mapping[str, Any] | None) -> str:
    text = claim.paragraphs()
    out = [f"## {number}. {claim.title}\n", f"**Claim.** {text['Claim']}\n", f"**Source.** {text['Source']}\n"]
    out += [f"**Design.** {text['Design']}\n", f"**Expected.** {text['Expected']}\n", f"**Rule.** {text['Rule']}\n"]
    if judgement is None or measured is None:
        return "\n".join([*out, "Not measured yet.\n"])
    out.append(f"**Setting.** {_settings(measured['settings'])}.\n")
    rows = [[statement, quantity, f"**{result}**"] for statement, quantity, result in judgement.statements]
    out.append(table(Table(["statement", "measured", "verdict"], rows)))
    out += [table(t) for t in judgement.tables]
    out += [f"![{chart.title}](images/{stem}.svg)\n" for stem, chart in judgement.charts.items()]
    if claim.remark:
        out.append(f"**Remarks.** {' '.join(claim.remark.split())}\n")
    out.append(f"**Cost.** {_minutes(measured['cpu_seconds'])} of processor time for all runs of this claim.\n")
    return "\n".join(out)


def table(content: Table) -> str:
    """A Markdown table, with an empty line after it."""
    lines = [content.head, ["---"] * len(content.head), *content.rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _settings(settings: Mapping[str, Any]) -> str:
    def shown(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    return "; ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in settings.items())


def _environment(results: Mapping[str, Any]) -> str:
    total = sum(c["cpu_seconds"] for c in results["claims"].values())
    out = ["## Where this was measured\n"]
    environment = results["environment"]
    if environment:
        memory = f"{environment['memory'] / 2**30:.0f} GiB" if environment["memory"] else "unknown"
        packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
        cores = environment["processor"]["usable_cores"]
        out.append(
            f"{environment['processor']['model']} ({environment['machine']}), {cores} cores, {memory} of memory; "
            f"Python {environment['python']['version']}, {packages}; one thread a run. "
            f"All runs together: {_minutes(total)} of processor time.\n"
        )
    return "\n".join(out)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
