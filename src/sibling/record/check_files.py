"""Checks of files against the digests in the log, without looking into sample files.

Rule 1: recipe.yaml and resolved.json are those of run.opened; resolved.json gives the recorded recipe digest and
        holds the recorded objective and reward names (ARTIFACT).
Rule 2: checkpoints that were not deleted, evaluations and the exported model have their recorded bytes (ARTIFACT).
Rule 3: samples/ and checkpoints/ hold nothing that no event speaks of (UNLISTED). What a run that was cut short
        could have left for its next step is a notice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sibling.canonical import digest
from sibling.errors import SiblingError
from sibling.record.audit import Audit, children, inside, line_of
from sibling.record.files import is_leftover

_STEP_NAME = re.compile(r"step-(\d{1,12})(\.parquet)?")
_MAX_RESOLVED_BYTES = 16 << 20


def check_recipe(audit: Audit) -> None:
    """Rule 1."""
    opened = audit.log.opened()
    if opened is None:
        return
    body = opened.body
    audit.expect_file("recipe.yaml", body["recipe_sha256"])
    path = audit.expect_file("resolved.json", body["resolved_sha256"])
    if path is None:
        return
    if path.stat().st_size > _MAX_RESOLVED_BYTES or not isinstance(resolved := _parsed(path.read_bytes()), Mapping):
        audit.findings.add("ARTIFACT", "resolved.json", "the file is not a recipe in JSON")
        return
    audit.resolved = resolved
    if _recipe_digest(resolved) != body["recipe_digest"]:
        audit.findings.add("ARTIFACT", "resolved.json", "the recipe digest of run.opened is not that of this recipe")
    for fault in _recipe_faults(audit, body):
        audit.findings.add("ARTIFACT", line_of(opened), f"run.opened and resolved.json differ in {fault}")


def _recipe_digest(resolved: Mapping[str, Any]) -> str | None:
    try:
        return digest({k: v for k, v in resolved.items() if k != "run_dir"})
    except SiblingError:
        return None


def _recipe_faults(audit: Audit, body: Mapping[str, Any]) -> list[str]:
    faults = [k for k in ("seed", "steps", "name") if audit.setting(k) != body[k]]
    objective = audit.setting("objective")
    wanted = objective if isinstance(objective, Mapping) else {}
    faults += [
        f"objective.{k}"
        for k in ("type", "advantage", "kl")
        if k in wanted and k in body["objective"] and wanted[k] != body["objective"][k]
    ]
    rewards = audit.setting("rewards")
    listed = [r for r in rewards if isinstance(r, Mapping)] if isinstance(rewards, list) else []
    if [r.get("name") or r.get("type") for r in listed] != body["reward_names"]:
        faults.append("the names of the rewards")
    return faults


def check_checkpoints(audit: Audit) -> None:
    """Rule 2, checkpoints."""
    kept = audit.log.checkpoints()
    audit.facts["checkpoints"] = len(kept)
    for event in kept:
        audit.expect_tree(event.body["path"], event.body["files"], event.body["digest"])


def check_evaluations(audit: Audit) -> None:
    """Rule 2, evaluations."""
    evaluations = audit.log.evaluations()
    audit.facts["evaluations"] = len(evaluations)
    for event in evaluations.values():
        audit.expect_file(event.body["file"], event.body["file_sha256"])


def check_model(audit: Audit) -> None:
    """Rule 2, the exported model."""
    for event in audit.log.of("model.exported")[-1:]:
        audit.expect_tree(event.body["path"], event.body["files"], event.body["digest"])


def check_unlisted(audit: Audit) -> None:
    """Rule 3."""
    everything = (*audit.log.effective(), *audit.log.superseded())
    listed = {e.body["samples_file"] for e in everything if e.type == "rollout.batch"}
    listed |= {e.body["path"] for e in everything if e.type == "checkpoint.saved"}
    for folder in ("samples", "checkpoints"):
        path = inside(audit.directory, folder)
        if path is None:
            audit.findings.add("ARTIFACT", folder, "a symbolic link stands in place of the directory")
            continue
        for name in children(path):
            if f"{folder}/{name}" not in listed:
                _note_unlisted(audit, folder, name)


def _note_unlisted(audit: Audit, folder: str, name: str) -> None:
    if is_leftover(name) or _could_be_next(audit, name):
        audit.leftover(f"{folder}/{name}")
    else:
        audit.findings.add("UNLISTED", f"{folder}/{name}", "no event speaks of this file or directory")


def _could_be_next(audit: Audit, name: str) -> bool:
    """Whether a run killed between writing this file and recording it could have left it."""
    match = _STEP_NAME.fullmatch(name)
    last = audit.log.latest_step()
    return audit.log.closed() is None and match is not None and int(match[1]) in (last, last + 1)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
