import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sibling.errors import RequestError
from sibling.maths import golden
from sibling.maths.golden import check_cases, compare_numbers
from sibling.maths.objectives import OBJECTIVES

FILE = Path(__file__).parents[1] / "golden" / "objectives.json"
# Cases whose every part is built; those of rows still to come are listed as not built.
BUILT = {f"obj-{n:03}" for n in (*range(1, 20), *range(21, 32), 74, 78, 79, 80, 82)}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def only(document, case_id, change=lambda case: None):
    """A document with one case, changed."""
    case = copy.deepcopy(next(c for c in document["cases"] if c["id"] == case_id))
    change(case)
    return {"schema_version": 1, "cases": [case]}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_built_case_passes_and_the_others_name_what_is_missing(document, dtype):
    results = check_cases(document, dtype)
    assert len(results) == 82
    assert [(r.id, r.detail) for r in results if r.status == "miss"] == []
    assert {r.id for r in results if r.status == "pass"} == BUILT
    assert all(r.detail for r in results if r.status == "not built")


# Each line asks for another objective than the one the expected numbers belong to.
WRONG = {
    "std divides by G": ("obj-004", lambda c: c["advantage"].update(ddof=0)),
    "std divides by G - 1": ("obj-003", lambda c: c["advantage"].update(ddof=1)),
    "another epsilon": ("obj-004", lambda c: c["advantage"].update(eps=1e-4)),
    "no std": ("obj-001", lambda c: c["advantage"].update(scale="none")),
    "group std for batch std": ("obj-014", lambda c: c["advantage"].update(scale="group")),
    "micro-batch means": ("obj-007", lambda c: c["aggregation"].update(mode="micro_token_mean")),
    "one micro-batch for many": ("obj-011", lambda c: c.update(micro_batches=[list(range(12))])),
    "batch tokens for group tokens": ("obj-010", lambda c: c["aggregation"].update(mode="token_mean")),
    "masked sequences not counted": ("obj-023", lambda c: c["aggregation"].update(seq_denominator="active")),
    "truncated kept": ("obj-009", lambda c: c.update(mask_truncated=False)),
    "no soft punishment": ("obj-009", lambda c: c["advantage"].pop("overlong")),
    "clip bounds swapped": ("obj-007", lambda c: c["objective"].update(eps_low=0.28, eps_high=0.2)),
    "no dual clip": ("obj-026", lambda c: c["objective"].update(dual_clip=None)),
    "k2 for k3": ("obj-002", lambda c: c["kl"].update(estimator="k2")),
    "k3 gradient for straight-through": ("obj-031", lambda c: c["kl"].update(estimator="k3")),
    "k3 without its ratio": ("obj-030", lambda c: c["kl"].update(estimator="k3")),
    "half the beta": ("obj-002", lambda c: c["kl"].update(beta=0.02)),
    "missing reward as 0": ("obj-017", lambda c: [s.update(reward=s["reward"] or 0.0) for s in c["sequences"]]),
    "reward weights ignored": ("obj-018", lambda c: c["advantage"].update(reward_weights=None)),
    "log-ratio clamped": ("obj-005", lambda c: c["objective"].update(log_ratio_clamp=0.05)),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_wrong_variant_misses(document, name, dtype):
    case_id, change = WRONG[name]
    assert [r.status for r in check_cases(only(document, case_id), dtype)] == ["pass"]
    [result] = check_cases(only(document, case_id, change), dtype)
    assert result.status == "miss"
    assert "wanted" in result.detail


def test_a_wrong_surrogate_in_the_table_misses(document, monkeypatch):
    def clip_on_the_wrong_side(terms, *, clip_low, clip_high, dual_clip):
        clipped = terms.ratio.clamp(1 - clip_low, 1 + clip_high)
        return -(terms.ratio * terms.advantage).maximum(clipped * terms.advantage)

    wrong = replace(OBJECTIVES["grpo"], surrogate=clip_on_the_wrong_side)
    monkeypatch.setattr(golden, "OBJECTIVES", {**OBJECTIVES, "grpo": wrong})
    assert check_cases(only(document, "obj-007"), "float64")[0].status == "miss"


def test_local_means_give_the_wrong_value_the_file_documents(document):
    case = next(c for c in document["cases"] if c["id"] == "obj-007")
    [result] = check_cases(only(document, "obj-007", WRONG["micro-batch means"][1]), "float64")
    documented = case["expected"]["diagnostic"]["mean_of_micro_batch_means"]
    loss = next(part for part in result.detail.split("; ") if part.startswith("loss:"))
    assert float(loss.split()[1].rstrip(",")) == pytest.approx(documented, rel=1e-12)


def test_an_advantage_that_is_nearly_zero_misses(document):
    # Every completion of this case is masked, so only rewards and advantages are in play. 1e-17 is inside every
    # tolerance of a reward, and its advantage of 1e-13 is inside every tolerance too, but is not exactly 0.
    def equal_rewards(case, first=0.0):
        for sequence in case["sequences"]:
            sequence["reward"] = 0.0
        case["sequences"][0]["reward"] = first
        expected = case["expected"]
        expected["reward_total"] = [0.0] * len(case["sequences"])
        expected["advantages_sequence"] = [0.0] * len(case["sequences"])

    assert check_cases(only(document, "obj-022", equal_rewards), "float64")[0].status == "pass"
    [result] = check_cases(only(document, "obj-022", lambda case: equal_rewards(case, 1e-17)), "float64")
    assert result.status == "miss" and "wanted exactly 0" in result.detail


def test_parts_that_are_not_built_are_named(document):
    details = {r.id: r.detail for r in check_cases(document, "float64") if r.status == "not built"}
    assert details["obj-041"] == "surrogate gspo"
    assert details["obj-033"] == "advantage estimator rloo"
    assert details["obj-072"] == "off-policy sequence mask"
    assert details["obj-075"] == "kind gae"


def test_float64_only_cases_are_left_out_in_float32(document):
    one = only(document, "obj-001", lambda c: c.update(float64_only=True))
    assert check_cases(one, "float32") == []
    assert len(check_cases(one, "float64")) == 1


@pytest.mark.parametrize(
    ("seen", "wanted", "dtype", "equal"),
    [
        (1.0, 1.0 + 5e-11, "float64", True),
        (1.0, 1.0 + 5e-10, "float64", False),
        (1000.0, 1000.0 + 5e-8, "float64", True),
        ([1e-8, 1.0], [2e-8, 1.0], "float32", True),
        ([1.0, 1.0], [1.0, 1.0 + 3e-5], "float32", False),
        (float("nan"), 0.0, "float64", False),
        (None, None, "float64", True),
        (None, 0.0, "float64", False),
        (0.0, None, "float64", False),
        ([1.0], [1.0, 2.0], "float64", False),
    ],
)
def test_comparison(seen, wanted, dtype, equal):
    assert (compare_numbers("x", seen, wanted, dtype) is None) == equal


def test_a_document_that_cannot_be_read_is_refused(document):
    with pytest.raises(RequestError, match="schema_version"):
        check_cases({"cases": []}, "float64")
    with pytest.raises(RequestError, match="obj-001"):
        check_cases(only(document, "obj-001", lambda c: c.pop("sequences")), "float64")
