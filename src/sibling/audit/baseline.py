"""A baseline: what is known of a reward, kept in a file, so that a check fails only on what got worse.

Worse is a violation whose probe and kind are not in the baseline, or a rate of which the lower bound lies above the
upper bound that was stored (intervals of 95 %): not a small move of a point estimate.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from sibling.audit.report import Report
from sibling.audit.statistics import Rate
from sibling.audit.wording import percent
from sibling.errors import RequestError

_FORMAT = "sibling-audit-baseline/1"
_RATES = ("false_negative_macro", "false_positive_macro")


def baseline_of(report: Report) -> dict[str, Any]:
    """The body of a baseline file: violations by probe and kind, and the rates' intervals."""
    return {
        "format": _FORMAT,
        "reward": report.name,
        "code_digest": report.code,
        "violations": sorted({(v.probe, v.what) for v in report.violations}),
        "rates": {name: list(_interval(getattr(report, name))) for name in _RATES},
        "groups": {f"{row.group}, {row.side}": list(row.rate.interval) for row in report.groups},
    }


def _interval(rate: Rate | None) -> tuple[float, float]:
    return rate.interval if rate is not None else (0.0, 1.0)


def write_baselines(path: Path, reports: list[Report]) -> None:
    """One entry a reward. Raises `RequestError` if the file cannot be written."""
    body = {report.name: baseline_of(report) for report in reports}
    try:
        path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as failure:
        raise RequestError("The baseline cannot be written", seen=f"{path}: {failure.strerror}") from failure


def read_baselines(path: Path) -> dict[str, Any]:
    """Reward -> its baseline. Raises `RequestError` if the file is not one."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        fine = all(entry["format"] == _FORMAT for entry in body.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
        raise RequestError(
            "The baseline cannot be read", seen=f"{path}: {failure}", do="Write one with --write-baseline"
        ) from failure
    if not fine:
        raise RequestError("The baseline is of another kind", seen=str(path), wanted=_FORMAT)
    found: dict[str, Any] = body
    return found


def compared(report: Report, stored: dict[str, Any]) -> Report:
    """The report with what the baseline knows marked, and its verdict by what is new or worse."""
    known = {tuple(pair) for pair in stored["violations"]}
    violations = tuple(dataclasses.replace(v, known=(v.probe, v.what) in known) for v in report.violations)
    worse = [line for name in _RATES if (line := _worse(name, getattr(report, name), stored["rates"].get(name)))]
    for row in report.groups:
        name = f"{row.group}, {row.side}"
        if line := _worse(name, row.rate, stored["groups"].get(name)):
            worse.append(line)
    new = any(not v.known and not v.suppressed for v in violations)
    verdict = "fail" if report.stopped or new or worse else "pass"
    return dataclasses.replace(report, violations=violations, worse=tuple(worse), verdict=verdict, baseline=True)


def _worse(name: str, rate: Rate | None, stored: list[float] | None) -> str:
    if rate is None or rate.share is None or stored is None or rate.interval[0] <= stored[1]:
        return ""
    words = name.replace("_macro", "").replace("_", " ")
    return f"{words}: at least {percent(rate.interval[0])}, where the baseline allows {percent(stored[1])}"
