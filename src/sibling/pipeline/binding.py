"""The first events of a run: what was asked, and which model, template, data and rewards it is bound to.

On resume the same facts are gathered again: a model, template or data set that changed meanwhile is refused;
a reward may have been mended between two sittings, and the record then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sibling.canonical import file_digest
from sibling.errors import RequestError, RunError
from sibling.models.precision import ComputeDtype
from sibling.monitors.finding import Finding
from sibling.monitors.first_minutes import one_prompt, references
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.parts import Parts
from sibling.record.environment import environment_manifest
from sibling.record.manifest import code_manifest
from sibling.record.reader import Log

Write = Callable[[str, dict[str, Any]], None]
"""Append an event of this type with this body."""


def open_run(parts: Parts, directory: RunDirectory, write: Write) -> None:
    """run.opened, then everything the run is bound to."""
    recipe, code = parts.recipe, code_manifest()
    body = {
        "recipe_digest": recipe.digest(),
        "resolved_sha256": file_digest(directory.resolved),
        "recipe_sha256": file_digest(directory.recipe),
        "name": recipe.name,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "environment": environment_manifest(),
        "reward_names": list(parts.grader.names),
        "objective": parts.objective_facts(),
    }
    write("run.opened", {**body, **code})
    bind(parts, None, write)


def bind(parts: Parts, log: Log | None, write: Write) -> None:
    """Write the bindings that `log` does not hold yet, and the rewards again if they were mended."""
    for type_, body in _bindings(parts):
        recorded = _recorded(log, type_, body)
        if recorded is None or (type_ == "reward.bound" and recorded != body):
            write(type_, body)


def require_same(parts: Parts, log: Log) -> None:
    """Raise `RequestError` when the model, the template or the data is not what `log` says. Writes nothing."""
    for type_, body in _bindings(parts):
        recorded = _recorded(log, type_, body)
        if recorded is not None and type_ != "reward.bound":
            _require_same(type_, recorded, body)


def recorded_dtype(log: Log) -> ComputeDtype | None:
    """The compute dtype the run began with: `auto` is measured once, or a resume could compute otherwise."""
    loaded = log.of("model.loaded")
    return loaded[0].body["compute_dtype"] if loaded else None


def _recorded(log: Log | None, type_: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    bodies = [e.body for e in log.of(type_) if e.body.get("role") == body.get("role")] if log else []
    return bodies[-1] if bodies else None


def _bindings(parts: Parts) -> list[tuple[str, dict[str, Any]]]:
    roles = ["policy"] + (["reference"] if parts.recipe.objective.kl.beta > 0 else [])
    rewards = {"rewards": parts.grader.describe(), "reference_check": parts.reference_check}
    return [
        *(("model.loaded", parts.model_facts(role)) for role in roles),
        ("template.bound", parts.template_facts()),
        ("data.loaded", parts.data_facts()),
        ("reward.bound", rewards),
    ]


def _require_same(type_: str, recorded: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    changed = {k: v for k, v in body.items() if k.endswith("digest") and recorded.get(k) != v}
    if changed:
        raise RequestError(
            f"What the run was started with has changed ({type_})",
            seen=", ".join(f"{k} {v}" for k, v in changed.items()),
            wanted=", ".join(f"{k} {recorded.get(k)}" for k in changed),
            do="Put the old files back, or start a new run with `sibling train`",
        )


def first_findings(parts: Parts) -> list[Finding]:
    """What can be told before the first step. Raises `RunError` for a finding of severity error."""
    policy = parts.recipe.reward_policy.refused_references
    # A function of the user's may want more than the bare answer (tags, a style), so it only warns.
    own = {r.name or r.type for r in parts.recipe.rewards if r.type == "callable"}
    found = [
        *references({n: c for n, c in parts.reference_check.items() if n not in own}, policy),
        *references({n: c for n, c in parts.reference_check.items() if n in own}, "warn"),
        *one_prompt(parts.recipe.sampling.prompts_per_step),
    ]
    for finding in found:
        if finding.severity == "error":
            raise RunError(finding.sentence, do=finding.advice)
    return found
