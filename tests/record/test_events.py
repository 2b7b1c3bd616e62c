from __future__ import annotations

from typing import Any

import pytest
from run_directory import envelopes, policy, resumed_run

from sibling.record.events import BODIES, ENVELOPE, STEP_SCOPED, body_fault


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """One real body of each type that a resumed run holds."""
    return {i["type"]: i["body"] for i in envelopes(resumed_run(tmp_path_factory.mktemp("events") / "run"))}


def test_every_required_field_is_required(bodies: dict[str, dict[str, Any]]) -> None:
    absent = {"diagnosis.noted", "checkpoint.deleted", "run.interrupted"}
    absent |= {"reference.updated", "reward.fitted", "reward.audited"}
    assert set(BODIES) - set(bodies) == absent
    for type, body in bodies.items():
        assert body_fault(type, body) is None
        for field in body:
            if type == "run.opened" and field == "objective":
                continue
            lacking = {k: v for k, v in body.items() if k != field}
            assert body_fault(type, lacking) == f"lacks {field!r}", (type, field)
            assert body_fault(type, {**body, field: object()}) is not None or field == "stats"


@pytest.mark.parametrize(
    ("type", "body"),
    [
        (
            "reward.audited",
            {
                **{"reward": "math", "type": "math", "verdict": "pass", "profile": "sound", "triples": 50},
                **{"brittle": [{"probe": "or_wrong"}], "wall": {"calls": 900}},
            },
        ),
        ("reference.updated", {"step": 2, "policy_digest": policy(2), "reference_digest": policy(1)}),
        ("reward.fitted", {"step": 2, "fits": [{"examples": 8}], "reward_model_digest": policy(1)}),
    ],
)
def test_the_events_that_not_every_run_has(type: str, body: dict[str, Any]) -> None:
    assert body_fault(type, body) is None
    for field in body:
        assert body_fault(type, {k: v for k, v in body.items() if k != field}) == f"lacks {field!r}"
        assert body_fault(type, {**body, field: object()}) is not None


@pytest.mark.parametrize("value", [None, "0.1", float("nan"), True])
def test_the_kl_coefficient_of_a_batch_is_a_number(bodies: dict[str, dict[str, Any]], value: object) -> None:
    assert body_fault("rollout.batch", {**bodies["rollout.batch"], "kl_beta": 0.1}) is None
    assert str(body_fault("rollout.batch", {**bodies["rollout.batch"], "kl_beta": value})).startswith("kl_beta")


def test_bodies_that_are_no_object_and_types_that_are_not_known() -> None:
    assert body_fault("run.opened", []) == "is a list of 0, wanted an object"
    assert "not known" in str(body_fault("run.forgotten", {}))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("v", 2, "schema version"),
        ("v", True, "schema version"),
        ("seq", -1, "whole number"),
        ("t", "2026-01-31 09:30", "UTC time"),
        ("t", "2026-01-31T09:30:00+01:00", "UTC time"),
        ("prev", "sha256:00", "digest"),
        ("prev", "md5:" + "0" * 64, "digest"),
        ("body", None, "object"),
        ("run", 7, "string"),
    ],
)
def test_the_envelope(field: str, value: object, words: str, tmp_path: Any) -> None:
    good = envelopes(resumed_run(tmp_path / "run"))[0]
    assert ENVELOPE(good) is None and ENVELOPE({**good, "more": 1}) is None
    assert words in str(ENVELOPE({**good, field: value}))
    assert ENVELOPE({k: v for k, v in good.items() if k != field}) == f"lacks {field!r}"


def test_step_scoped_types_have_a_step_and_run_events_are_none_of_them() -> None:
    for type in STEP_SCOPED:
        assert "lacks 'step'" in str(body_fault(type, _all_but_step(type)))
        assert not type.startswith("run.")


def _all_but_step(type: str) -> dict[str, Any]:
    """A body that satisfies the check up to the field `step`."""
    texts = dict.fromkeys(("code", "sentence", "advice", "label"), "x")
    return {**texts, "severity": "notice"}
