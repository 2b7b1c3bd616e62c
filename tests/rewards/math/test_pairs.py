"""The labelled pairs: every one as its label says."""

import json
from pathlib import Path
from typing import Any

import pytest

from sibling.batch import Status

HERE = Path(__file__).parent


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


ALL = [row for name in ("pairs.jsonl", "own_pairs.jsonl", "text_pairs.jsonl") for row in rows(name)]
SETTLED = [row for row in ALL if not row["contested"]]


@pytest.mark.parametrize("row", SETTLED, ids=[row["id"] for row in SETTLED])
def test_pair(row: dict[str, Any], judging: Any) -> None:
    verdict = judging(row["reference"], row["completion"], **row.get("options", {}))
    if row["want"] == "accept":
        assert verdict.status is Status.right, verdict
    else:
        assert verdict.status in (Status.wrong, Status.error), verdict
    if verdict.span is not None:
        start, end = verdict.span
        assert 0 <= start <= end <= len(row["completion"])


CONTESTED = {"frac_dec_rep": {"relative_tolerance": 1e-6}}  # the policy under which the label holds


@pytest.mark.parametrize("row", [r for r in rows("pairs.jsonl") if r["contested"]], ids=lambda row: row["id"])
def test_contested_pair_under_its_policy(row: dict[str, Any], judging: Any) -> None:
    verdict = judging(row["reference"], row["completion"], **CONTESTED.get(row["id"], {}))
    assert (verdict.status is Status.right) == (row["want"] == "accept"), verdict


def test_there_are_pairs_of_both_kinds_and_many_classes() -> None:
    assert len(SETTLED) > 700
    assert sum(row["want"] == "refuse" for row in SETTLED) > 250
    assert len({row["class"] for row in SETTLED}) > 250


def plain_references() -> list[str]:
    found = []
    for row in SETTLED:
        reference = row["reference"]
        if row["want"] == "accept" and "0=0" not in reference and reference not in found:
            found.append(reference)
    return found


@pytest.mark.parametrize("reference", plain_references())
def test_a_reference_states_itself(reference: str, judging: Any) -> None:
    """Boxed and bare: what is checked before training."""
    if "####" in reference or "boxed" in reference:
        pytest.skip("more than an answer")
    assert judging(reference, f"\\boxed{{{reference}}}").status is Status.right
    assert judging(reference, reference).status is Status.right
