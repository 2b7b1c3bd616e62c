import math
from dataclasses import replace

import pytest
import torch

from sibling.maths.loss import minibatch_terms
from sibling.maths.objectives import OBJECTIVES
from sibling.maths.selections import covariance_score, highest, within

# Active: A 3 -1 | 1 -3 (mean 0), log pi -1 -2 | -3 -2 (mean -2): scores 3 0 | -1 0
ADVANTAGE = [[3.0, -1.0, 50.0], [1.0, -3.0, 50.0]]
NEW = [[-1.0, -2.0, 9.0], [-3.0, -2.0, 9.0]]
MASK = torch.tensor([[True, True, False], [True, True, False]])


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def terms(advantage=ADVANTAGE, new=NEW, ratio=None, mask=MASK):
    new = tensor(new)
    old = new if ratio is None else new - tensor(ratio).log()
    return minibatch_terms(OBJECTIVES["kl_cov"], logp_new=new, logp_old=old, advantage=tensor(advantage), mask=mask)


def test_covariance_score_by_hand():
    new = tensor(NEW).requires_grad_()
    score = covariance_score(tensor(ADVANTAGE), new, MASK)
    assert score.tolist() == [[3, 0, 0], [-1, 0, 0]] and not score.requires_grad
    assert not covariance_score(tensor(ADVANTAGE), new, torch.zeros_like(MASK)).any()


def test_one_active_token_does_not_vary():
    alone = torch.tensor([[True, False, False], [False, False, False]])
    assert not covariance_score(tensor(ADVANTAGE), tensor(NEW), alone).any()


@pytest.mark.parametrize(("share", "count"), [(0.0, 1), (0.2, 1), (0.5, 2), (0.74, 2), (0.75, 3), (1.0, 4), (2.0, 4)])
def test_highest_takes_the_largest_scores(share, count):
    # Distinct scores in the order of the positions 0, 1, 4, 3: A (log pi + 2) = 3, .4 | -1, .2 about their means
    own = terms(new=[[-1.0, -2.4, 9.0], [-3.0, -2.05, 9.0]])
    score = covariance_score(own.advantage, own.logp_new, own.mask)[own.mask]
    picked = highest(own, torch.zeros(2, 3), share=share, coefficient=1.0)
    assert picked.shape == MASK.shape and not picked[~MASK].any() and int(picked.sum()) == count
    assert set(score[picked[MASK]].tolist()) == set(score.sort(descending=True).values[:count].tolist())


def test_no_active_token_is_no_choice():
    nowhere = terms(mask=torch.zeros_like(MASK))
    numbers = {"clip_low": 0.2, "clip_high": 0.2, "share": 0.5, "score_low": -9.0, "score_high": 9.0}
    assert not highest(nowhere, torch.zeros(2, 3), share=0.5, coefficient=1.0).any()
    assert not within(nowhere, torch.zeros(2, 3), **numbers).any()


UNIFORM = torch.tensor([[0.4, 0.1, 0.0], [0.3, 0.2, 0.0]], dtype=torch.float64)


def chosen(own, share=1.0, low=-9.0, high=9.0, uniform=UNIFORM, clip_low=0.2, clip_high=0.3):
    picked = within(own, uniform, clip_low=clip_low, clip_high=clip_high, share=share, score_low=low, score_high=high)
    assert picked.shape == MASK.shape
    return [tuple(place) for place in picked.nonzero().tolist()]


def test_within_takes_the_smallest_uniforms_of_the_eligible():
    assert chosen(terms()) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert chosen(terms(), share=0.5) == [(0, 1), (1, 1)]
    assert chosen(terms(), share=0.74) == [(0, 1), (1, 1)]  # floor of 2.96
    assert chosen(terms(), share=0.0) == [(0, 1)]  # at least one
    assert chosen(terms(), share=0.5, uniform=1 - UNIFORM) == [(0, 0), (1, 0)]


def test_scores_must_lie_strictly_between_their_bounds():
    assert chosen(terms(), low=0.0) == [(0, 0)]
    assert chosen(terms(), high=0.0) == [(1, 0)]
    assert chosen(terms(), low=-1.0, high=3.0) == [(0, 1), (1, 1)]
    assert chosen(terms(), low=3.0) == []


def test_clipped_tokens_are_not_eligible():
    # A 3 -1 | 1 -3: above 1.3 with A > 0, below .8 with A < 0 is clipped; the other sides are not.
    assert chosen(terms(ratio=[[1.31, 0.79, 1], [1.29, 0.81, 1]])) == [(1, 0), (1, 1)]
    assert chosen(terms(ratio=[[0.5, 2.0, 1], [0.5, 2.0, 1]])) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert chosen(terms(ratio=[[1.31, 0.79, 1], [1.29, 0.81, 1]]), clip_low=0.25, clip_high=0.35) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]


def test_the_clip_binds_by_the_sign_of_the_advantage_and_beyond_the_bound():
    everywhere = {"uniform": UNIFORM, "clip_low": 0.5, "clip_high": 0.5}
    small = terms([[0.5, -0.5, 9], [0.0, 0.0, 9]], ratio=[[2.0, 0.25, 1], [2.0, 0.25, 1]])
    assert chosen(small, **everywhere) == [(1, 0), (1, 1)]  # an advantage of 0 is never clipped
    at_the_bound = terms([[0.5, -0.5, 9], [0.5, -0.5, 9]], new=[[0.0, 0.0, 9]] * 2)
    at_the_bound = replace(at_the_bound, ratio=tensor([[1.5, 0.5, 1], [1.5, 0.5, 1]]))
    assert len(chosen(at_the_bound, **everywhere)) == 4


def test_choices_are_pure_and_see_only_active_tokens():
    own = terms()
    garbage = replace(own, advantage=own.advantage.masked_fill(~MASK, math.nan))
    for case in (own, garbage):
        assert chosen(case, share=0.5) == chosen(case, share=0.5)
    assert chosen(garbage) == chosen(own)
