"""What is put around the policy term of a micro-batch: weights and masks of the recipe's sections."""

import math

import torch

from sibling.config import DapoObjective
from sibling.learner.around import around

NEW = torch.tensor([[-1.0, -1.0], [-2.0, -2.0], [-2.0, -2.0]])
OLD = torch.tensor([[-1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]])
NAN = math.nan
SAMPLER = torch.tensor([[-1.0 - math.log(3), -1.0], [NAN, NAN], [-2.0, -2.0]])
MASK = torch.tensor([[True, True], [True, False], [True, True]])
ADVANTAGE = torch.tensor([1.0, -1.0, -1.0])


def made(entropy_keep=None, **changes):
    return around(
        DapoObjective(**changes),
        logp_new=NEW,
        logp_old=OLD,
        logp_sampler=SAMPLER,
        mask=MASK,
        advantage=ADVANTAGE,
        entropy_keep=entropy_keep,
    )


def test_nothing_is_put_around_by_default():
    shell = made()
    assert shell.factor is None and shell.sampler_weight is None and shell.keep is None


def test_sampler_weights_by_hand():
    """exp(old - sampler): 3, held to 2; 1; unknown, so 1; e, held to 2."""
    weight = made(sampler_correction={"max": 2.0}).sampler_weight
    assert torch.allclose(weight[MASK], torch.tensor([2.0, 1.0, 1.0, 2.0, 2.0]))
    dropped = made(sampler_correction={"action": "mask", "max": 2.0}).sampler_weight
    assert torch.allclose(dropped[MASK], torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0]))


def test_a_sequence_that_drifted_is_dropped():
    """Row 1 drifted 1 nat a token from pi_old, as its sampler is silent; row 2 none from its sampler; row 0 is good."""
    shell = made(off_policy_mask={"delta": 0.5})
    assert shell.keep.tolist() == [True, False, True]
    assert shell.factor.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


def test_masks_multiply():
    keep = torch.tensor([[True, False], [True, True], [False, True]])
    assert made(keep).factor.tolist() == [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    both = made(keep, off_policy_mask={"delta": 0.5})
    assert both.factor.tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]


def test_nothing_carries_a_gradient():
    new = NEW.clone().requires_grad_()
    shell = around(
        DapoObjective(off_policy_mask={"delta": 0.5}, sampler_correction={"max": 2.0}),
        logp_new=new,
        logp_old=OLD,
        logp_sampler=SAMPLER,
        mask=MASK,
        advantage=ADVANTAGE,
        entropy_keep=None,
    )
    assert not shell.factor.requires_grad and not shell.sampler_weight.requires_grad
