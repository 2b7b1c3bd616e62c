"""Checks of the policy's history and of steps that were done twice. They use the log alone.

Rule 1: policy_digest_after of step k is policy_digest_before of step k + 1, and the policy of every batch whose
        policy_step is k (POLICY). The policy of step 0 is the one that an event names first.
Rule 2: a step without an optimizer update leaves the policy as it was (POLICY).
Rule 3: an evaluation, a checkpoint, the exported model and a new reference of step k carry the policy after step k
        (POLICY). A refreshed reference of a full fine-tune is that policy.
Rule 4: a step that a resume did again gives the same events, wall-clock values apart (REPLAY).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from sibling.record.audit import Audit, line_of, shown
from sibling.record.events import Event

_REPLAYED = (
    "rollout.batch",
    "update.applied",
    "reference.updated",
    "reward.fitted",
    "checkpoint.saved",
    "eval.completed",
)


def check_policy(audit: Audit) -> None:
    """Rules 1 to 3."""
    after: dict[int, str] = {}
    for event in audit.log.effective():
        match event.type:
            case "rollout.batch":
                if event.body["policy_step"] == 0:
                    after.setdefault(0, event.body["policy_digest"])
                _expect(audit, event, "policy_digest", after.get(event.body["policy_step"]))
            case "update.applied":
                _expect(audit, event, "policy_digest_before", after.get(event.body["step"] - 1))
                if event.body["optimizer_updates"] == 0:
                    _expect(audit, event, "policy_digest_after", event.body["policy_digest_before"])
                after[event.body["step"]] = event.body["policy_digest_after"]
            case "eval.completed" | "checkpoint.saved" | "model.exported" | "reference.updated":
                if event.body["step"] == 0:
                    after.setdefault(0, event.body["policy_digest"])
                _expect(audit, event, "policy_digest", after.get(event.body["step"]))
        if event.type == "reference.updated" and _is_a_copy(audit):
            _expect(audit, event, "reference_digest", after.get(event.body["step"]))


def _is_a_copy(audit: Audit) -> bool:
    reference = audit.setting("objective", "kl", "reference", "type")
    return bool(reference == "refresh" and audit.setting("learner", "finetune", "type") == "full")


def _expect(audit: Audit, event: Event, field: str, wanted: str | None) -> None:
    seen = event.body[field]
    if wanted is None:
        audit.findings.add("POLICY", line_of(event), f"{event.type} speaks of a policy that no earlier event made")
    elif seen != wanted:
        audit.findings.add("POLICY", line_of(event), f"{field} of {event.type} is {seen}, wanted {wanted}")


def check_replay(audit: Audit) -> None:
    """Rule 4."""
    kept = {_key(e): e for e in audit.log.effective() if e.type in _REPLAYED}
    compared = 0
    bound = audit.log.of("reward.bound")
    mended = [after.seq for before, after in itertools.pairwise(bound) if before.body != after.body]
    for event in audit.log.superseded():
        again = kept.get(_key(event))
        if event.type not in _REPLAYED or again is None:
            continue
        if any(event.seq < seq < again.seq for seq in mended):
            continue  # a reward was mended between the two: they are meant to differ, and the record says so
        compared += 1
        differing = sorted(k for k in _lasting(event) | _lasting(again) if event.body.get(k) != again.body.get(k))
        if differing:
            audit.findings.add(
                "REPLAY",
                line_of(again),
                f"{event.type} of step {event.step} differs from {line_of(event)} in {shown(', '.join(differing))}; "
                "a resume is bit-equal on the same machine with the same threads and packages",
            )
    audit.facts["events_replayed"] = compared


def _key(event: Event) -> tuple[str, int | None, Any]:
    return event.type, event.step, event.body.get("label")


def _lasting(event: Event) -> set[str]:
    body: Mapping[str, Any] = event.body
    return set(body) - {"wall"}
