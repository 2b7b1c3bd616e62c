"""What micro-batches of a step add up to, by hand."""

import math

import pytest
import torch

from sibling.learner.around import Around
from sibling.learner.sums import Sums, step_statistics
from sibling.maths.loss import LossParts

MASK = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])


def parts(**values):
    counts = {"clip_low": 0, "clip_high": 0, "clip_dual": 0, "clip_sequences": 0}
    zero = {name: torch.tensor(counts.get(name, 0.0)) for name in LossParts.__dataclass_fields__}
    return LossParts(**{**zero, **{n: torch.tensor(v) for n, v in values.items()}})


def filled(micro_batches=1, shell=None, selected=None, **values):
    sums = Sums()
    gap = torch.tensor([[0.5, -0.25, 9.0], [math.nan, 9.0, 9.0], [9.0, 9.0, 9.0]])
    entropy = torch.tensor([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0], [9.0, 9.0, 9.0]])
    for _ in range(micro_batches):
        sums.add_first(gap, MASK, entropy)
        sums.add_last(parts(**values), MASK, shell or Around(None, None, None), selected)
    return sums


def test_means_are_over_active_tokens_and_unknown_gaps_are_left_out():
    out = step_statistics(filled(2, ratio_sum=3.3, clip_low=1, clip_high=2), 1, sequence_level=False)
    assert out["entropy"] == 2.0
    assert out["sampler_gap_mean"] == pytest.approx(0.375) and out["sampler_gap_max"] == 0.5
    assert out["ratio_mean"] == pytest.approx(1.1)
    assert out["clip_low_share"] == pytest.approx(1 / 3) and out["clip_high_share"] == pytest.approx(2 / 3)
    absent = {"clip_dual_share", "clip_sequence_share", "sampler_weight_mean", "selected_share"}
    assert not absent & set(out)


def test_losses_add_up_and_are_means_over_updates():
    out = step_statistics(filled(4, loss=0.5, policy=0.25), 2, sequence_level=False)
    assert out["loss"] == 1.0 and out["policy_loss"] == 0.5


def test_sequences_without_a_token_are_no_sequences():
    keep = torch.tensor([True, False, False])
    weight = torch.tensor([[0.0, 1.0, 9.0], [2.0, 9.0, 9.0], [9.0, 9.0, 9.0]])
    sums = filled(shell=Around(None, weight, keep), selected=torch.ones_like(MASK), clip_sequences=1, clip_dual=1)
    out = step_statistics(sums, 1, sequence_level=True)
    assert out["clip_sequence_share"] == 0.5 and out["off_policy_dropped_share"] == 0.5
    assert out["sampler_weight_mean"] == 1.0 and out["sampler_dropped_share"] == pytest.approx(1 / 3)
    assert out["selected_share"] == 1.0 and out["clip_dual_share"] == pytest.approx(1 / 3)


def test_the_critic_counts_apart():
    sums = Sums()
    for _ in range(2):
        sums.add_values(torch.tensor(0.25), torch.tensor([[True, False], [True, True]]), tokens=4)
    sums.add_value_update(2.0)
    sums.add_value_update(3.0)
    assert sums.values["updates"] == 2.0 and sums.values["norm"] == 3.0  # the norm is that of the last update
    assert sums.values["loss"] == 0.5 and sums.values["clipped"] == 6.0 and sums.values["tokens"] == 8.0
