import math
from dataclasses import replace

import pytest
import torch

from sibling.maths import diagnostics as d
from sibling.maths.loss import minibatch_terms, policy_loss
from sibling.maths.objectives import OBJECTIVES
from sibling.maths.surrogates import clip_surrogate


def test_marks_are_where_the_gradient_is_gone():
    generator = torch.Generator().manual_seed(3)
    log_ratio = torch.randn(6, 50, generator=generator, dtype=torch.float64, requires_grad=True)
    advantage = torch.randn(6, 50, generator=generator, dtype=torch.float64)
    bounds = {"low": 0.2, "high": 0.28, "dual": 3.0}
    loss = clip_surrogate(log_ratio.exp(), advantage, **bounds)
    (gradient,) = torch.autograd.grad(loss.sum(), log_ratio)
    marks = d.clip_marks(log_ratio.exp(), advantage, **bounds)
    assert all(m.any() for m in (marks.low, marks.high, marks.dual))
    assert torch.equal(marks.low | marks.high | marks.dual, gradient == 0)
    assert not (marks.low & marks.dual).any()


def test_each_mark_by_hand():
    ratio, advantage = torch.tensor([[0.7, 0.7, 1.4, 1.4, 9.0]]), torch.tensor([[-1.0, 1.0, 1.0, -1.0, -1.0]])
    marks = d.clip_marks(ratio, advantage, low=0.2, high=0.28, dual=3.0)
    assert marks.low.tolist() == [[True, False, False, False, False]]
    assert marks.high.tolist() == [[False, False, True, False, False]]
    assert marks.dual.tolist() == [[False, False, False, False, True]]
    assert not d.clip_marks(ratio, advantage, low=0.2, high=0.28).dual.any()
    mask = torch.tensor([[False, True, True, True, False]])
    inside = marks.within(mask)
    assert not inside.low.any() and inside.high.any() and not inside.dual.any()
    assert not marks.within(~marks.high).high.any() and marks.within(~mask).low.any() and marks.within(~mask).dual.any()


def test_advantage_zero_is_never_clipped():
    marks = d.clip_marks(torch.tensor([[0.1, 9.0]]), torch.zeros(1, 2), low=0.2, high=0.28, dual=3.0)
    assert not (marks.low | marks.high | marks.dual).any()


def test_a_ratio_at_its_bound_is_not_clipped():
    ratio, advantage = torch.tensor([[0.5, 1.5, 3.0]]), torch.tensor([[-1.0, 1.0, -1.0]])
    marks = d.clip_marks(ratio, advantage, low=0.5, high=0.5, dual=3.0)
    assert not (marks.low | marks.high | marks.dual).any()


# Log-ratios -.5 .5 with A > 0, then with A < 0, then with A = 0
LOG_RATIO = [-0.5, 0.5, -0.5, 0.5, -0.5, 0.5]
ADVANTAGE = [1.0, 1.0, -1.0, -1.0, 0.0, 0.0]


def marked(marker, log_ratio=LOG_RATIO, **numbers):
    old = torch.full((1, len(log_ratio)), -1.0, dtype=torch.float64)
    own = minibatch_terms(
        OBJECTIVES["grpo"],
        logp_new=old + torch.tensor([log_ratio], dtype=torch.float64),
        logp_old=old,
        advantage=torch.tensor([ADVANTAGE[: len(log_ratio)]], dtype=torch.float64),
        mask=torch.ones(1, len(log_ratio), dtype=torch.bool),
    )
    marks = marker(own, **numbers)
    assert marks.dual.dtype == torch.bool and marks.dual.shape == own.mask.shape
    return [[i for i, m in enumerate(getattr(marks, side)[0].tolist()) if m] for side in ("low", "high", "dual")]


def test_markers_of_the_table_by_hand():
    clip = {"clip_low": 0.2, "clip_high": 0.28}
    assert marked(d.mark_clip, **clip) == [[2], [1], []]
    assert marked(d.mark_clip, **clip, dual_clip=1.6) == [[2], [1], [3]]
    assert marked(d.mark_clip, clip_low=0.5, clip_high=0.7) == [[], [], []]
    selection = {"share": 0.5, "score_low": 0.0, "score_high": 1.0}
    assert marked(d.mark_clip_cov, **clip, **selection) == [[2], [1], []]
    assert marked(d.mark_clip_cov, clip_low=0.5, clip_high=0.28, **selection) == [[], [1], []]
    assert marked(d.mark_log_clip, clip_low=0.4, clip_high=0.45) == [[2], [1], []]
    assert marked(d.mark_log_clip, clip_low=0.6, clip_high=0.45) == [[], [1], []]
    assert marked(d.mark_log_clip, clip_low=0.5, clip_high=0.5) == [[], [], []]
    assert marked(d.mark_log_clip, clip_low=0.4, clip_high=0.6) == [[2], [], []]
    assert marked(d.mark_bounds, ratio_min=0.7, ratio_max=1.5) == [[0, 2, 4], [1, 3, 5], []]
    assert marked(d.mark_bounds, ratio_max=1.5) == [[], [1, 3, 5], []]
    assert marked(d.mark_bounds, ratio_min=0.7) == [[0, 2, 4], [], []]
    assert marked(d.mark_bounds, ratio_min=math.exp(-0.5), ratio_max=math.exp(0.5)) == [[], [], []]
    assert marked(d.mark_nothing, anything=1.0) == [[], [], []]


@pytest.mark.parametrize("name", ["gmpo", "gspo", "rloo_clip", "cispo", "dppo_tv"])
def test_the_loss_counts_marks_of_active_tokens(name):
    mask = torch.tensor([[True, True, False], [True, False, False]])
    old = torch.full((2, 3), -2.0, dtype=torch.float64)
    gap = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=torch.float64)
    inputs = {
        "logp_new": old + gap,
        "logp_old": old,
        "advantage": torch.tensor([1.0, -1.0], dtype=torch.float64),
        "mask": mask,
        "weight": torch.ones(2, dtype=torch.float64),
    }
    numbers = {"cispo": {"ratio_min": 0.5, "ratio_max": 2.0}, "dppo_tv": {"delta_low": 0.05}}.get(name, {})
    parts = policy_loss(OBJECTIVES[name], **inputs, **numbers)
    assert (int(parts.clip_high), int(parts.clip_low), int(parts.clip_sequences)) == (2, 1, 2)
    only_high = replace(OBJECTIVES[name], marks=lambda terms, **_: d.ClipMarks(terms.mask, ~terms.mask, ~terms.mask))
    assert int(policy_loss(only_high, **inputs, **numbers).clip_low) == 3
