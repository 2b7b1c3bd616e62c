"""The events of a run: the envelope, the types, and what each body must hold.

Rule 1: everything that says what an event looks like lives here; nothing here reads, writes or remembers.
Rule 2: an event is frozen. Its raw bytes are the truth; the fields are a view of them.
Rule 3: a body has every field of its type (null where a value is unknown and null is allowed); further
        fields are allowed, survive reading, and are covered by the hash chain like all others.
Rule 4: hashes are SHA-256, fixed by `SCHEMA_VERSION`; no algorithm is ever read from a record.
Rule 5: what depends on the clock is the envelope's `t` or sits in the body's `wall`, so that two runs can be
        compared without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sibling.record.kinds import (
    Check,
    anything,
    digest,
    flag,
    list_of,
    map_of,
    number,
    one_of,
    optional,
    record,
    text,
    whole,
)

SCHEMA_VERSION = 1
ACTOR = "trainer"
GENESIS = "sha256:" + "0" * 64
"""`prev` of the first line."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl.

    `seq` counts lines from 0 over the whole file; `seg` counts segments (one more at each resume); `t` is UTC
    in ISO 8601; `prev` is the digest of the line before; `raw` are the line's bytes without the newline.
    """

    v: int
    run: str
    seg: int
    seq: int
    t: str
    type: str
    prev: str
    actor: str
    body: Mapping[str, Any]
    raw: bytes

    @property
    def step(self) -> int | None:
        """The step the event speaks of, or None."""
        step = self.body.get("step")
        return step if isinstance(step, int) and not isinstance(step, bool) else None


def _time(value: Any) -> str | None:
    good = isinstance(value, str) and _TIME.fullmatch(value)
    return None if good else "is not a UTC time such as 2026-01-31T09:30:00.000Z"


def _version(value: Any) -> str | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value == SCHEMA_VERSION
    return None if good else f"is not {SCHEMA_VERSION}, the schema version this program reads"


ENVELOPE: Check = record(
    v=_version,
    run=text,
    seg=whole,
    seq=whole,
    t=_time,
    type=text,
    prev=digest,
    actor=text,
    body=map_of(anything),
)

_counts = record(generated=whole, trained=whole, rejected=map_of(whole))
_files = map_of(digest)
_map = map_of(anything)
_git = optional(record(commit=text, dirty=flag))
_verdicts = record(n=whole, right=whole, wrong=whole, abstain=whole, error=whole, mean=optional(number))
_reward = record(name=text, type=text, weight=number, code_digest=optional(digest), options=_map)

BODIES: Mapping[str, Check] = MappingProxyType(
    {
        "run.opened": record(
            recipe_digest=digest,
            resolved_sha256=digest,
            recipe_sha256=digest,
            name=text,
            seed=whole,
            steps=whole,
            environment=_map,
            code_digest=digest,
            code=record(version=text, git=_git),
            reward_names=list_of(text),
            objective=record(type=text),
        ),
        "model.loaded": record(
            role=one_of("policy", "reference"),
            source=_map,
            files=_files,
            digest=digest,
            parameters=whole,
            compute_dtype=text,
            licence=optional(text),
            architecture=text,
        ),
        "template.bound": record(tokenizer_digest=digest, template_digest=digest, golden_render_digest=digest),
        "data.loaded": record(
            source=_map, digest=digest, held_out_ids_digest=digest, held_out=whole, problems=list_of(anything)
        ),
        "reward.bound": record(rewards=list_of(_reward), reference_check=map_of(_map)),
        "reward.audited": record(
            reward=text,
            type=text,
            verdict=one_of("pass", "fail"),
            profile=text,
            triples=whole,
            brittle=list_of(_map),
            wall=_map,
        ),
        "diagnosis.noted": record(
            code=text, severity=one_of("notice", "warning", "error"), step=optional(whole), sentence=text, advice=text
        ),
        "eval.completed": record(
            label=text, step=whole, policy_digest=digest, file=text, file_sha256=digest, summary=_map, wall=_map
        ),
        "rollout.batch": record(
            step=whole,
            policy_step=whole,
            policy_digest=digest,
            prompts=list_of(text),
            samples_file=text,
            samples_sha256=digest,
            counts=_counts,
            rewards=map_of(_verdicts),
            sampling=_map,
            kl_beta=number,  # of a KL penalty in the reward; 0 without one
            wall=_map,
        ),
        "update.applied": record(
            step=whole,
            stats=map_of(number),
            policy_digest_before=digest,
            policy_digest_after=digest,
            optimizer_updates=whole,
            wall=_map,
        ),
        "reward.fitted": record(step=whole, fits=list_of(_map), reward_model_digest=digest),
        "reference.updated": record(step=whole, policy_digest=digest, reference_digest=digest),
        "checkpoint.saved": record(
            step=whole, path=text, files=_files, digest=digest, policy_digest=digest, held_out_accuracy=optional(number)
        ),
        "checkpoint.deleted": record(step=whole, path=text, reason=text),
        "model.exported": record(step=whole, path=text, files=_files, digest=digest, policy_digest=digest),
        "run.interrupted": record(step=whole, cause=one_of("SIGINT", "SIGTERM", "error"), message=optional(text)),
        "run.resumed": record(
            from_step=whole,
            checkpoint_digest=optional(digest),  # null: no checkpoint yet, begun again from step 0
            previous_segment=record(size=whole, head=digest),
            discarded=record(events=whole, steps=whole),
            torn_bytes=whole,
        ),
        "run.closed": record(steps=whole, status=one_of("finished", "failed"), counts=_counts, summary=_map, wall=_map),
    }
)
"""Event type -> check of its body."""

STEP_SCOPED = frozenset(
    {
        "diagnosis.noted",
        "eval.completed",
        "rollout.batch",
        "update.applied",
        "reference.updated",
        "reward.fitted",
        "checkpoint.saved",
        "checkpoint.deleted",
        "model.exported",
    }
)
"""Types whose events a resume from an earlier step supersedes. run.* events stay: they tell the run's own story."""


def body_fault(type: str, body: Any) -> str | None:
    """What is wrong with `body` as the body of an event of this type, or None."""
    check = BODIES.get(type)
    if check is None:
        return f"the event type {type[:60]!r} is not known to this program"
    return check(body)
