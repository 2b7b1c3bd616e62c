"""The first events of a run: what was asked, and which model, template, data and rewards it is bound to.

On resume the same facts are gathered again: a model, template or data set that changed meanwhile is refused;
a reward may have been mended between two sittings, and the record then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sibling.canonical import file_digest
from sibling.config import holding
from sibling.errors import RequestError, RunError, TaskError
from sibling.models import native
from sibling.models.precision import ComputeDtype
from sibling.monitors.finding import Finding
from sibling.monitors.first_minutes import one_prompt, references, unusual
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.parts import Parts
from sibling.record.environment import environment_manifest
from sibling.record.manifest import code_manifest
from sibling.record.reader import Log

_SHOWN = 3  # prompts named in an error

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
    if "kernels" in recorded and recorded["kernels"] != body["kernels"]:
        raise RequestError(
            "The run began with other kernels, and would not go on bit for bit",
            seen=f"{body['kernels']} ({native.state().reason})",
            wanted=f"{recorded.get('kernels')}, as the record says",
            do="See `sibling doctor`: put the C compiler back, or set or unset SIBLING_KERNELS; or start a new run",
        )
    changed = [k for k, v in body.items() if k.endswith("digest") and recorded.get(k) != v]
    if changed:
        files = _changed_files(recorded, body) or [f"{k} {body[k]}" for k in changed]
        raise RequestError(
            f"{_BOUND[type_]} not what the run began with",
            seen=", ".join(files),
            wanted=", ".join(f"{k} {recorded.get(k)}" for k in changed) + ", as the record says",
            do="Put the old files back and resume, or start a new run with `sibling train`; nothing was changed",
        )


_BOUND = {
    "model.loaded": "The model is",
    "template.bound": "The tokenizer or its chat template is",
    "data.loaded": "The data are",
}


def _changed_files(recorded: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    """Names of the files that differ, where the facts list files: a model's, or those of a data source."""
    old, new = (facts.get("files") or facts.get("source", {}).get("files") or {} for facts in (recorded, body))
    names = sorted({*old, *new})
    words = {n: "is new" if n not in old else "is missing" if n not in new else "differs" for n in names}
    return [f"{n} {words[n]}" for n in names if old.get(n) != new.get(n)]


def first_findings(parts: Parts) -> list[Finding]:
    """What can be told before the first step.

    Raises `TaskError` for prompts that a reward cannot grade, `RunError` for a finding of severity error.
    """
    ungradable = _ungradable(parts)
    policy, check = parts.recipe.reward_policy.refused_references, parts.reference_check
    # A function of the user's may want more than the bare answer (tags, a style), so it only warns, unless it fails
    # whatever it is given: then it is broken, and a run could learn nothing from it.
    own = {r.name or r.type for r in parts.recipe.rewards if r.type == "callable"}
    lenient = {name for name in own & set(check) if check[name]["error"] < check[name]["n"]}
    found = [
        *ungradable,
        *_weakly_graded(parts),
        *references({n: c for n, c in check.items() if n not in lenient}, policy),
        *references({n: c for n, c in check.items() if n in lenient}, "warn"),
        *one_prompt(parts.recipe.sampling.prompts_per_step),
        *unusual((r.name, r.reason, r.do) for r in holding(parts.recipe) if r.severity == "warn"),
    ]
    for finding in found:
        if finding.severity == "error":
            reason = parts.reference_failure() if finding.code == "reference_failed" else None
            raise RunError(finding.sentence, seen=reason, do=finding.advice)
    return found


def _ungradable(parts: Parts) -> list[Finding]:
    """Prompts whose reference or columns a reward cannot read: refused, or a warning under the policy `warn`."""
    faults = parts.ungradable()
    if not faults:
        return []
    shown = _in_short(faults)
    what = f"{_prompts(faults)} cannot be graded by the reward {_rewards(faults)}"
    do = "Mend or drop these rows; or set reward_policy.refused_references to warn, and they get no score"
    if parts.recipe.reward_policy.refused_references == "stop":
        raise TaskError(what, seen=shown, do=do)
    return [Finding("ungradable", "warning", None, f"{what}: {shown}.", f"{do}.")]


def _weakly_graded(parts: Parts) -> list[Finding]:
    """A warning of prompts whose tests or data prove little."""
    said = parts.weakly_graded()
    if not said:
        return []
    sentence = f"{_prompts(said)} can be graded only weakly by the reward {_rewards(said)}: {_in_short(said)}."
    return [Finding("weakly_graded", "warning", None, sentence, "Add tests or data to these rows where you can.")]


Said = Sequence[tuple[str, str, str]]  # (reward, place of the prompt, what is said of it)


def _in_short(said: Said) -> str:
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    by_place = sorted(said, key=lambda s: (len(s[1]), s[1]))  # so that line 9 comes before line 10
    return "; ".join(f"{place}: {why}" for _, place, why in by_place[:_SHOWN]) + more


def _prompts(said: Said) -> str:
    return f"{len(said)} {'prompt' if len(said) == 1 else 'prompts'}"


def _rewards(said: Said) -> str:
    return ", ".join(dict.fromkeys(name for name, _, _ in said))
