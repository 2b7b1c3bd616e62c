"""Golden cases that cannot be used: what is wrong is named, and nothing is computed from it."""

from __future__ import annotations

import math

import pytest
from golden_file import every, only, row, setting

from sibling.errors import RequestError
from sibling.maths import golden_batch
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.golden import check_cases
from sibling.maths.objectives import OBJECTIVES


def drop(field):
    return lambda case: case.pop(field)


def first(**values):
    return lambda case: case["sequences"][0].update(values)


def entry(field, value):
    return lambda case: case["sequences"][0][field].__setitem__(0, value)


BAD = {
    "no sequences": ("obj-001", drop("sequences"), "KeyError"),
    "no title": ("obj-001", drop("title"), "KeyError"),
    "no expectation": ("obj-001", lambda c: c["expected"].pop("grad"), "KeyError"),
    "kind": ("obj-001", lambda c: c.update(kind="policy_los"), r"'policy_los'.*policy_loss \(nearest\)"),
    "strange kind": ("obj-001", lambda c: c.update(kind="?"), "one of policy_loss, kl_estimators"),
    "estimator": ("obj-001", setting("advantage", estimator="grppo"), r"estimator.*'grppo'.*grpo \(nearest\)"),
    "surrogate": ("obj-001", setting("objective", variant="cliip"), r"surrogate.*'cliip'.*clip \(nearest\)"),
    "aggregation": ("obj-001", setting("aggregation", mode="token_men"), r"aggregation.*token_mean \(nearest\)"),
    "KL": ("obj-002", setting("kl", estimator="k3_iss"), r"KL estimator.*k3_is \(nearest\)"),
    "nothing near": ("obj-001", setting("objective", variant="?"), "one of clip, gspo"),
    "correction": ("obj-065", setting("sampler_correction", action="truncat"), "truncate, mask, filter"),
    "scale": ("obj-001", setting("advantage", scale="std"), "group, batch, none"),
    "empty": ("obj-001", lambda c: c.update(sequences=[], micro_batches=[]), "every sequence once"),
    "twice": ("obj-001", lambda c: c["micro_batches"][0].append(0), "every sequence once"),
    "left out": ("obj-001", lambda c: c["micro_batches"][0].pop(), "every sequence once"),
    "out of range": ("obj-001", lambda c: c.update(micro_batches=[[*range(7), 8]]), "every sequence once"),
    "ragged log-probs": ("obj-001", lambda c: c["sequences"][0]["logp_new"].pop(), "logp_new of sequence 0"),
    "ragged old": ("obj-001", lambda c: c["sequences"][2]["logp_old"].append(0.0), "logp_old of sequence 2"),
    "ragged mask": ("obj-001", lambda c: c["sequences"][0]["mask"].append(1), "another length than its mask"),
    "ragged rewards": ("obj-018", first(reward=[1.0]), "cannot be"),
    "ragged values": ("obj-064", lambda c: c["sequences"][0]["values"].pop(), "values of sequence 0"),
    "ragged entropy": ("obj-073", lambda c: c["sequences"][0]["entropy"].pop(), "entropy of sequence 0"),
    "infinite log-prob": ("obj-001", entry("logp_new", math.inf), r"logp_new of sequence 0 is not finite.*\[inf\]"),
    "missing log-prob": ("obj-001", entry("logp_old", None), "logp_old of sequence 0 is not finite"),
    "infinite sampler": ("obj-065", entry("logp_sampler", -math.inf), "logp_sampler of sequence 0 is not finite"),
    "infinite reward": ("obj-001", first(reward=math.inf), "infinite"),
    "infinite value": ("obj-064", entry("values", math.nan), "values of sequence 0"),
    "no reference": ("obj-002", first(logp_ref=None), "logp_ref"),
    "no critic": ("obj-064", every(values=None), "gae lacks"),
    "no critic for one": ("obj-064", first(values=None), "gae lacks"),
    "no sampler": ("obj-065", every(logp_sampler=None), "logp_sampler"),
    "constant": ("obj-015", setting("aggregation", constant=0), "not positive"),
    "no constant": ("obj-015", setting("aggregation", constant=None), "needs a constant"),
    "short weights": ("obj-018", setting("advantage", reward_weights=[1.0]), "cannot be"),
    "k beyond the group": ("obj-059", setting("advantage", k=99), "k = 99"),
    "rewards for pass@k": ("obj-059", first(reward=0.5), "0 or 1"),
    "a mask for token advantages": ("obj-064", lambda c: c.update(off_policy_mask={"delta": 0.1}), "cannot be"),
    "steps beyond the end": ("obj-063", first(step_ends=[0, 99]), "cannot be"),
    "epsilon not finite": ("obj-002", setting("advantage", eps=math.nan), "cannot be"),
    "beta not finite": ("obj-002", setting("kl", beta=math.nan), "cannot be"),
    "text for a number": ("obj-002", setting("objective", eps_low="a"), "cannot be read"),
    "a strange row": ("obj-079", row("k", 99), "not defined"),
    "no row": ("obj-074", lambda c: c["rows"][0].pop("k3"), "KeyError"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_case_that_cannot_be_used_is_refused(name):
    case_id, change, words = BAD[name]
    with pytest.raises(RequestError, match=words) as refusal:
        check_cases(only(case_id, change), "float64")
    assert "golden case obj-" in str(refusal.value) and refusal.value.exit_code == 2


def test_the_names_of_the_file_are_rows_here():
    assert set(golden_batch.ESTIMATOR_NAMES.values()) == set(ESTIMATORS)
    for variant in golden_batch.VARIANTS.values():
        assert set(variant.numbers) <= set(OBJECTIVES[variant.row].numbers)
