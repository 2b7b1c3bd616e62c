"""`sibling audit`: one reward or all of a recipe, audited and reported; the exit code is for CI.

0: every audit passed; 1: one failed (a violation that is neither suppressed nor in the baseline, a rate beyond the
baseline, or a reward that cannot be audited); a wrong request is raised as `RequestError` (exit code 2).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sibling.audit.baseline import compared, read_baselines, write_baselines
from sibling.audit.options import Options, Suppression
from sibling.audit.page import to_html
from sibling.audit.probing import Progress
from sibling.audit.report import Report, to_json
from sibling.audit.run import audit
from sibling.audit.target import Target
from sibling.audit.text import to_markdown, to_text
from sibling.audit.triples import read_triples
from sibling.config import TaskConfig, load_recipe, parse_reward
from sibling.errors import RequestError
from sibling.tasks.load import open_source
from sibling.tasks.task import Task

_LONG_AUDIT_TASKS = 400  # prompts taken from a recipe's source


@dataclass(frozen=True)
class Asked:
    """A reward to audit, and the tasks that belong to it (None: the built-in ones)."""

    target: Target
    tasks: list[Task] | None


def audit_command(
    reward: str,
    *,
    options: Sequence[str] = (),
    tasks: Path | None = None,
    signature: str = "auto",
    as_json: bool = False,
    html: Path | None = None,
    markdown: Path | None = None,
    baseline: Path | None = None,
    write_baseline: Path | None = None,
    suppress: Sequence[str] = (),
    probes: Sequence[str] = (),
    policy: Sequence[str] = (),
    budget: int | None = None,
    seconds: float | None = None,
    accept: float | None = None,
    template: str | None = None,
    quick: bool = False,
    show_sensitive: bool = False,
) -> int:
    """Audit `reward`, print what was found, and return the exit code.

    `reward` is a verifier's type name (with `options` KEY=VALUE), `module:name`, `file.py:name`, or a recipe (.yaml:
    all of its rewards, on its tasks). `suppress` are PROBE:YYYY-MM-DD:REASON; `probes` and `policy` names or groups;
    `budget` calls; `seconds` a bound on one call; `accept` the score from which a completion counts as accepted;
    `template` the completion format, with {answer} in it. Raises `RequestError` for what is wrong with these.
    """
    chosen = _options(
        Options.quick() if quick else Options(), budget, seconds, accept, template, suppress, probes, policy,
        show_sensitive,
    )  # fmt: skip
    known = read_baselines(baseline) if baseline else {}
    reports = []
    for asked in _asked(reward, options, tasks, signature):
        with _progress(asked.target.name) as progress:
            report = audit(asked.target, asked.tasks, options=chosen, progress=progress)
        if report.name in known:
            report = compared(report, known[report.name])
        reports.append(report)
        if not as_json:
            sys.stdout.write(_printable(to_text(report, show_sensitive=show_sensitive)))
    _write(reports, as_json, html, markdown, write_baseline, show_sensitive)
    return max(report.exit_code for report in reports)


def _options(
    base: Options,
    budget: int | None,
    seconds: float | None,
    accept: float | None,
    template: str | None,
    suppress: Sequence[str],
    probes: Sequence[str],
    policy: Sequence[str],
    show_sensitive: bool,
) -> Options:
    if template is not None and "{answer}" not in template:
        raise RequestError("The template has no place for the answer", seen=repr(template), wanted="{answer} in it")
    if (budget is not None and budget < 1) or (seconds is not None and seconds <= 0):
        raise RequestError("A bound is not positive", seen=f"budget {budget}, seconds {seconds}")
    _check_names((*probes, *policy))
    return replace(
        base,
        calls=base.calls if budget is None else budget,
        seconds=base.seconds if seconds is None else seconds,
        accept=accept,
        template=template,
        suppress=tuple(map(Suppression.parse, suppress)),
        probes=tuple(probes),
        policy=tuple(policy),
        show_sensitive=show_sensitive,
    )


def _check_names(names: Sequence[str]) -> None:
    from sibling.audit.probes import PROBES
    from sibling.audit.run import check_names

    known = {n for p in PROBES for n in (p.name, p.group)} | check_names()
    if unknown := [name for name in names if name not in known]:
        raise RequestError("There is no such probe or group", seen=unknown[0], wanted=", ".join(sorted(known)))


def _asked(reward: str, options: Sequence[str], tasks: Path | None, signature: str) -> list[Asked]:
    given = read_triples(tasks) if tasks else None
    if reward.endswith((".yaml", ".yml")):
        return _of_recipe(Path(reward), options, given)
    if ":" in reward:
        return [Asked(Target.of_callable(reward, Path.cwd(), signature=signature), given)]
    return [Asked(Target.of_config(parse_reward(reward, options), Path.cwd()), given)]


def _of_recipe(path: Path, overrides: Sequence[str], given: list[Task] | None) -> list[Asked]:
    recipe = load_recipe(path, overrides)
    base = path.parent
    tasks = given if given is not None else recipe_tasks(recipe.task, base, recipe.seed)
    rewards = [r for r in recipe.rewards if r.type != "learned"]
    if not rewards:
        raise RequestError("No reward of the recipe can be audited", seen=str(path))
    return [Asked(Target.of_config(config, base), tasks) for config in rewards]


def recipe_tasks(config: TaskConfig, base: Path, seed: int) -> list[Task]:
    """Training prompts of a recipe's source, each once."""
    source = open_source(config, base=base)
    drawn = (
        source.train(seed, step, index, 16) for step in range(1, 1 + _LONG_AUDIT_TASKS // 16) for index in range(16)
    )
    return list({task.digest: task for task in drawn}.values())


def _write(
    reports: list[Report],
    as_json: bool,
    html: Path | None,
    markdown: Path | None,
    baseline: Path | None,
    show_sensitive: bool,
) -> None:
    if as_json:
        bodies = [to_json(report, show_sensitive=show_sensitive) for report in reports]
        sys.stdout.write(json.dumps(bodies[0] if len(bodies) == 1 else bodies, indent=1) + "\n")
    for path, render in ((html, to_html), (markdown, to_markdown)):
        if path is None:
            continue
        for report in reports:
            named = path if len(reports) == 1 else path.with_stem(f"{path.stem}-{report.name}")
            try:
                named.write_text(render(report, show_sensitive=show_sensitive), encoding="utf-8")
            except OSError as failure:
                raise RequestError("The report cannot be written", seen=f"{named}: {failure.strerror}") from failure
    if baseline is not None:
        write_baselines(baseline, reports)


def _printable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A line on standard error while it is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(f"auditing {escape(name)}") as status:

        def tell(what: str, done: int, total: int) -> None:
            counted = f": {done:,} of {total:,}" if total > 1 else ""
            status.update(f"auditing {escape(name)}, {escape(what.replace('_', ' '))}{counted}")

        yield tell
