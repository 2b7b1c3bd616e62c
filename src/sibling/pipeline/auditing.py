"""The audit of a recipe's rewards before the first step, and what becomes of its findings.

Each reward is audited in its quick form on the run's own first prompts. What was found goes into the record, and a
person is told the worst of it; under `audit.on_failure: stop` a reward that fails ends the run before it began.
Not audited: rewards that exist only during a run or need torch, those that cost money or minutes a call (a judge,
Lean), and lengths, which are meant to be paid for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sibling.audit.options import Options
from sibling.audit.report import Report, record_entry
from sibling.audit.run import audit
from sibling.audit.target import Target
from sibling.config import EnsembleReward, RewardConfig
from sibling.errors import RequestError, RunError
from sibling.monitors.finding import Finding
from sibling.pipeline.parts import Parts

_LEFT_OUT = ("learned", "reward_model", "overlong", "judge", "lean")
_SHOWN = 3  # probes named in a finding

Tell = Callable[[str], None]
"""(name of the reward that is being audited) -> None."""


def audit_rewards(parts: Parts, base: Path, tell: Tell) -> list[Report]:
    """The reports of the rewards that can be audited; none when `audit.triples` is 0.

    Raises `RunError` if one fails and the recipe says to stop then.
    """
    wanted = parts.recipe.audit
    if not wanted.triples:
        return []
    tasks = parts.first_tasks(wanted.triples)
    options = replace(Options.quick(), triples=wanted.triples)
    reports = []
    for config in parts.recipe.rewards:
        if not _auditable(config):
            continue
        name = config.name or config.type
        tell(name)
        try:
            report = audit(Target.of_config(config, base), tasks, options=options)
        except RequestError:  # no prompt has an answer to make probes from: there is nothing to audit with
            continue
        reports.append(replace(report, name=name))
    failed = [r for r in reports if r.verdict == "fail"]
    if failed and wanted.on_failure == "stop":
        raise RunError(
            f"The reward {failed[0].name} failed its audit",
            seen=_in_words(failed[0]),
            do="See `sibling audit RECIPE`; mend the reward, or set audit.on_failure to warn",
        )
    return reports


def audited(report: Report) -> dict[str, Any]:
    """Body of reward.audited."""
    entry = record_entry(report)
    wall = {name: entry.pop(name) for name in ("p99_ms", "calls")}  # how far it came in its seconds depends on them
    return {**entry, "wall": wall}


def audit_findings(reports: list[Report]) -> list[Finding]:
    """A warning for each reward that failed."""
    return [
        Finding(
            "reward_brittle",
            "warning",
            None,
            f"The reward {r.name!r} failed its audit: {_in_words(r)}.",
            "Run `sibling audit` on this recipe for the examples, and watch for completions that use them.",
        )
        for r in reports
        if r.verdict == "fail"
    ]


def _auditable(config: RewardConfig) -> bool:
    if isinstance(config, EnsembleReward):
        return config.judge is None and all(_auditable(c) for c in (config.rule, config.appeal) if c is not None)
    return config.type not in _LEFT_OUT


def _in_words(report: Report) -> str:
    """What failed, in short: why the audit stopped, or the probes with the most violations."""
    if report.stopped:
        return report.stopped
    counted = sorted((v for v in report.violations if not v.suppressed), key=lambda v: -v.failed)
    named = ", ".join(f"{v.probe} ({v.failed} of {v.n})" for v in counted[:_SHOWN])
    return named + (f" and {len(counted) - _SHOWN} more" if len(counted) > _SHOWN else "")
