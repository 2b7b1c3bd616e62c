import math

import numpy as np
import pytest
import torch

from sibling.errors import RequestError
from sibling.maths.corrections import entropy_keep, off_policy_keep, sampler_weights

NAN = math.nan
MASK = torch.tensor([[True, True, False], [True, True, True]])
# rho of tokens 2, 1/4 (and 9, masked) | missing, 1.5, 0.5: products 1/2 and 3/4
OLD = torch.log(torch.tensor([[0.4, 0.1, 0.9], [0.3, 0.3, 0.2]], dtype=torch.float64))
SAMPLER = torch.log(torch.tensor([[0.2, 0.4, 0.1], [NAN, 0.2, 0.4]], dtype=torch.float64))
PRODUCTS = [0.5, 0.75]
GEOMETRIC = [0.5**0.5, 0.75 ** (1 / 3)]


def weights(level, action, low=None, high=None):
    got = sampler_weights(OLD, SAMPLER, MASK, level=level, action=action, min=low, max=high)
    return [row[mask].tolist() for row, mask in zip(got, MASK, strict=True)]


def approx(*rows):
    return [pytest.approx(row) for row in rows]


def test_token_weights_by_hand():
    assert weights("token", "truncate") == approx([2, 0.25], [1, 1.5, 0.5])
    assert weights("token", "truncate", high=1.2) == approx([1.2, 0.25], [1, 1.2, 0.5])
    assert weights("token", "truncate", 0.4, 1.2) == approx([1.2, 0.4], [1, 1.2, 0.5])
    assert weights("token", "mask", 0.4, 1.6) == approx([0, 0], [1, 1.5, 0.5])
    assert weights("token", "mask", low=0.4) == approx([2, 0], [1, 1.5, 0.5])
    assert weights("token", "filter", 0.4, 1.6) == weights("token", "mask", 0.4, 1.6)


def test_sequence_weights_by_hand():
    assert weights("sequence", "truncate", high=0.6) == approx([0.5] * 2, [0.6] * 3)
    assert weights("sequence", "truncate", low=0.6) == approx([0.6] * 2, [0.75] * 3)
    assert weights("sequence", "mask", 0.6, 0.8) == approx([0, 0], [0.75] * 3)
    assert weights("sequence", "mask", high=0.6) == approx([0.5] * 2, [0] * 3)
    assert weights("sequence", "filter", 0.6, 0.8) == approx([0, 0], [1, 1.5, 0.5])


def test_geometric_weights_by_hand():
    first, second = GEOMETRIC
    assert weights("geometric", "truncate") == approx([first] * 2, [second] * 3)
    assert weights("geometric", "mask", 0.8, 1.2) == approx([0, 0], [second] * 3)
    assert weights("geometric", "filter", 0.8, 1.2) == approx([0, 0], [1, 1.5, 0.5])
    assert weights("geometric", "filter", 0.6, 0.8) == approx([2, 0.25], [0, 0, 0])


@pytest.mark.parametrize("action", ["mask", "filter"])
def test_a_weight_at_a_bound_is_inside(action):
    ones = torch.zeros(1, 2)
    mask = torch.ones(1, 2, dtype=torch.bool)
    for bounds in ({"min": 1.0}, {"max": 1.0}, {"min": 1, "max": 1}):
        assert sampler_weights(ones, ones, mask, level="token", action=action, **bounds).tolist() == [[1.0, 1.0]]


def test_weights_carry_no_gradient_and_masked_positions_have_no_say():
    old, sampler = OLD.clone().requires_grad_(), SAMPLER.clone().requires_grad_()
    got = sampler_weights(old, sampler, MASK, level="sequence", action="truncate")
    assert not got.requires_grad
    dirty = [x.masked_fill(~MASK, math.inf) for x in (OLD, SAMPLER)]
    for level in ("token", "sequence", "geometric"):
        clean = sampler_weights(OLD, SAMPLER, MASK, level=level, action="truncate")
        assert torch.equal(sampler_weights(*dirty, MASK, level=level, action="truncate"), clean)
    assert sampler_weights(*dirty, MASK, level="token", action="truncate")[0, 2] == 1


def test_unknown_corrections_are_refused():
    for level, action in (("tokens", "truncate"), ("token", "clip")):
        with pytest.raises(RequestError, match="token, sequence, geometric; action truncate, mask, filter"):
            weights(level, action)


def test_off_policy_keep_by_hand():
    # Drifts of behaviour over new: (.4 + .2)/2 = .3 (the masked 9 has no say), .1, -.5, and no token.
    behaviour = torch.tensor([[0.4, 0.2, 9.0], [0.1, 0.1, 0.1], [-0.5, -0.5, -0.5], [5.0, 5.0, 5.0]])
    mask = torch.tensor([[True, True, False], [True] * 3, [True] * 3, [False] * 3])
    new = torch.zeros(4, 3, requires_grad=True)

    def keep(advantage, delta):
        return off_policy_keep(new, behaviour, mask, torch.tensor(advantage), delta=delta).tolist()

    assert keep([-1.0] * 4, 0.2) == [False, True, True, True]
    assert keep([-1.0] * 4, 0.05) == [False, False, True, True]
    assert keep([1.0, -1.0, -1.0, -1.0], 0.2) == keep([0.0, -1.0, -1.0, -1.0], 0.2) == [True] * 4
    assert keep([-1.0] * 4, 0.35) == [True] * 4
    assert keep([-1.0] * 4, 0) == [False, False, True, True]  # a drift of 0 stays
    assert not off_policy_keep(new, behaviour, mask, torch.ones(4), delta=0.1).requires_grad
    nan = behaviour.masked_fill(~mask, NAN)
    assert off_policy_keep(new, nan, mask, -torch.ones(4), delta=0.2).tolist() == [False, True, True, True]


def test_entropy_keep_by_hand():
    # Active 1 2 3 4 5: the quantile at .6 is 3.4, at .5 exactly 3, which stays.
    entropy = torch.tensor([[1.0, 9.0, 4.0], [3.0, 5.0, 2.0]], requires_grad=True)
    mask = torch.tensor([[True, False, True], [True, True, True]])

    def kept(share):
        return entropy.detach()[entropy_keep(entropy, mask, keep_top=share)].sort().values.tolist()

    assert kept(0.4) == [4, 5] and kept(0.5) == [3, 4, 5] and kept(0.75) == [2, 3, 4, 5]
    assert kept(1.0) == [1, 2, 3, 4, 5] and kept(1e-9) == kept(0) == [5]
    assert not entropy_keep(entropy, torch.zeros_like(mask), keep_top=0.2).any()
    nan = entropy.detach().masked_fill(~mask, NAN)
    assert torch.equal(entropy_keep(nan, mask, keep_top=0.4), entropy_keep(entropy, mask, keep_top=0.4))


@pytest.mark.parametrize("share", [0.05, 0.2, 1 / 3, 0.8])
def test_entropy_keep_against_numpy(share):
    entropy = np.random.default_rng(4).exponential(size=(7, 9))
    mask = np.random.default_rng(5).random((7, 9)) < 0.7
    wanted = mask & (entropy >= np.quantile(entropy[mask], 1 - share))
    got = entropy_keep(torch.tensor(entropy), torch.tensor(mask), keep_top=share)
    assert np.array_equal(got.numpy(), wanted)
