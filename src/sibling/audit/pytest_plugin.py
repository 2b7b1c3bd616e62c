"""The pytest fixture `audit_reward`: a reward of yours is audited in your own test suite.

    def test_the_reward_holds(audit_reward):
        audit_reward(my_reward)

Nothing of the package is imported until the fixture is used, so that having the plugin costs other tests nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def audit_reward(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A function `audit_reward(reward, tasks=None, **options)` that fails the test if the audit fails.

    `reward` is a function at the top level of a file, 'file.py:name' or 'module:name' (relative to the test's
    folder), a verifier's type name, or a section of a recipe. `tasks` are (prompt, reference) pairs, `Task`s or a
    path to JSON lines; None: built-in ones. `options` are those of `sibling.audit.options.Options`, a quick audit
    unless they say more, and `signature`. The report is returned, or is the message of the failure.
    """
    folder = Path(request.path).parent

    def run(reward: Any, tasks: Any = None, *, signature: str = "auto", **options: Any) -> Any:
        from dataclasses import replace

        from sibling.audit.options import Options
        from sibling.audit.run import audit
        from sibling.audit.text import to_text

        chosen = replace(Options.quick(), **_suppressions(options))
        report = audit(_target(reward, folder, signature), _tasks(tasks, folder), options=chosen)
        if report.verdict != "pass":
            pytest.fail(to_text(report, show_sensitive=chosen.show_sensitive), pytrace=False)
        return report

    return run


def _suppressions(options: dict[str, Any]) -> dict[str, Any]:
    """`suppress` may be given as texts, PROBE:YYYY-MM-DD:REASON."""
    from sibling.audit.options import Suppression

    given = options.get("suppress")
    if given is None:
        return options
    return {**options, "suppress": tuple(Suppression.parse(s) if isinstance(s, str) else s for s in given)}


def _target(reward: Any, folder: Path, signature: str) -> Any:
    from sibling.audit.target import Target

    if isinstance(reward, Target):
        return reward
    if isinstance(reward, str):
        if ":" in reward:
            return Target.of_callable(reward, folder, signature=signature)
        from sibling.config import parse_reward

        return Target.of_config(parse_reward(reward), folder)
    if callable(reward) and not hasattr(reward, "model_dump"):
        return Target.of_callable(_named(reward), folder, signature=signature)
    return Target.of_config(reward, folder)


def _named(reward: Callable[..., Any]) -> str:
    """'file.py:name' of a function, which a child process can find again."""
    name = getattr(reward, "__qualname__", "")
    source = inspect.getsourcefile(reward) if name else None
    if source is None or "<" in name or "." in name:
        pytest.fail(
            f"{reward!r} cannot be found again by a child process: it is not a function at the top level of a file. "
            "Move it there, or name it as 'file.py:name'.",
            pytrace=False,
        )
    return f"{source}:{name}"


def _tasks(tasks: Any, folder: Path) -> Any:
    from sibling.audit.triples import read_triples
    from sibling.tasks.task import Task

    if tasks is None:
        return None
    if isinstance(tasks, str | Path):
        return read_triples(folder / tasks)
    rows: Iterable[Any] = tasks
    return [
        row if isinstance(row, Task) else Task(str(number), ({"role": "user", "content": row[0]},), row[1])
        for number, row in enumerate(rows, start=1)
    ]
