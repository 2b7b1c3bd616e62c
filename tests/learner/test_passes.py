"""Forward passes over rows, and ragged columns as padded tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_batches import alone, learner, plain_model, ragged_batch

from sibling.config import GrpoObjective, Kl
from sibling.errors import NonFiniteError
from sibling.learner.passes import advantage_of, flat, require_finite, stack, unpadded

BATCH = ragged_batch(seed=61)
CPU = torch.device("cpu")


def passes():
    return learner(GrpoObjective(kl=Kl(beta=0.1))).passes


@pytest.mark.parametrize("budget", [1, 30, 10_000])
def test_scored_rows_keep_their_own_tokens_whatever_the_split(budget):
    ours = passes()
    ours.state.config = ours.state.config.model_copy(update={"micro_batch_tokens": budget})
    rows = np.array([0, 2, 3, 7])
    logprobs, entropies = ours.scored(BATCH, ours.micro(BATCH, rows), with_entropy=True)
    wanted = alone(plain_model(), BATCH)
    assert set(logprobs) == set(entropies) == {0, 2, 3, 7}
    for r in rows.tolist():
        assert len(logprobs[r]) == len(entropies[r]) == len(BATCH.completions[r])
        assert logprobs[r].tolist() == pytest.approx(wanted[r].tolist(), rel=1e-5)
        assert not logprobs[r].requires_grad
    assert ours.scored(BATCH, ours.micro(BATCH, rows))[1] == {}


def test_the_reference_is_scored_without_gradient():
    ours = passes()
    seen = ours.reference(ours.pack(BATCH, [0, 1]))
    assert not seen.requires_grad and torch.equal(seen, ours.policy(ours.pack(BATCH, [0, 1])).logprobs.detach())


def test_padding_and_taking_it_off_again():
    rows = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    assert stack(rows).tolist() == [[1.0, 2.0], [3.0, 0.0]]
    assert stack(rows, 3).tolist() == [[1.0, 2.0, 0.0], [3.0, 0.0, 0.0]]
    lengths = [len(BATCH.completions[r]) for r in (4, 1)]
    back = unpadded(BATCH, [4, 1], torch.arange(2.0 * max(lengths)).view(2, -1))
    assert [len(back[4]), len(back[1])] == lengths and back[1][0] == max(lengths)
    assert flat([np.array([1, 2]), np.array([3])], torch.float32, CPU).tolist() == [1.0, 2.0, 3.0]


def test_advantages_of_rows_or_of_tokens():
    rows = [3, 1]
    assert advantage_of(BATCH, rows, 9, CPU).tolist() == pytest.approx(BATCH.advantage[rows].tolist())
    token = tuple(np.arange(len(c)) + 1.0 for c in BATCH.completions)
    seen = advantage_of(replace(BATCH, token_advantage=token), rows, 9, CPU)
    assert seen.shape == (2, 9) and seen.dtype == torch.float32
    for row, r in zip(seen.tolist(), rows, strict=True):
        assert row == [*token[r].tolist(), *[0.0] * (9 - len(token[r]))]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_by_name(value):
    require_finite(torch.ones(3), "The thing")
    with pytest.raises(NonFiniteError, match=r"The thing is not finite.*not touched"):
        require_finite(torch.tensor([1.0, value]), "The thing")
