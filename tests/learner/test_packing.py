"""Minibatches, micro-batches under a token budget, and where scored tokens lie in a packed row."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_batches import ragged_batch, tokens_of

from sibling.batch import Batch
from sibling.learner.packing import micro_batches, minibatches, pack_rows


def batch_of(prompts, completions):
    """Prompt lengths, and completion lengths by group; every token is a number of its own."""
    flat = [n for group in completions for n in group]
    starts = 100 * np.arange(1, len(flat) + 1)
    return Batch(
        prompts=tuple(np.arange(n) for n in prompts),
        group=np.repeat(np.arange(len(prompts)), [len(g) for g in completions]),
        completions=tuple(np.arange(s, s + n) for s, n in zip(starts, flat, strict=True)),
        sampler_logprobs=tuple(np.zeros(n, np.float32) for n in flat),
        mask=tuple(np.ones(n, bool) for n in flat),
        advantage=np.zeros(len(flat)),
        live=np.ones(len(flat), bool),
    )


def test_micro_batches_by_hand():
    # Group 0: prompt 4, completions 3 and 2. Group 1: prompt 5, completions 1, 4.
    batch = batch_of([4, 5], [[3, 2], [1, 4]])
    rows = np.arange(4)
    assert micro_batches(batch, rows, 19) == [[0, 1, 2, 3]]  # 4+3+2 + 5+1+4
    assert micro_batches(batch, rows, 18) == [[0, 1], [2, 3]]  # two are needed: of 9 and 10 tokens, not of 15 and 9
    assert micro_batches(batch, rows, 9) == [[0, 1], [2], [3]]  # 4+3+2; 5+1; 5+4: the prompt again for each part
    assert micro_batches(batch, rows, 1) == [[0], [1], [2], [3]]
    assert micro_batches(batch, np.array([1, 3]), 100) == [[1, 3]]
    assert micro_batches(batch, np.array([], dtype=np.int64), 9) == []


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), groups=st.integers(1, 4), siblings=st.integers(1, 5), budget=st.integers(1, 120))
def test_micro_batches_hold_every_row_once_within_the_budget(seed, groups, siblings, budget):
    batch = ragged_batch(seed=seed, groups=groups, siblings=siblings)
    rows = np.flatnonzero(np.random.default_rng(seed).random(batch.size) < 0.8)
    parts = micro_batches(batch, rows, budget)
    assert [r for part in parts for r in part] == rows.tolist()
    assert all(tokens_of(batch, part) <= budget or len(part) == 1 for part in parts)
    assert len(parts) == filled(batch, rows, budget)
    several = [tokens_of(batch, part) for part in parts if len(part) > 1]
    if len(parts) > 1 and several:  # of nearly equal cost: with a lower bound on the largest there would be more parts
        assert filled(batch, rows, max(several) - 1) > len(parts)


def filled(batch, rows, budget):
    """Parts when each is filled before the next begins."""
    parts = []
    for row in rows.tolist():
        if parts and tokens_of(batch, [*parts[-1], row]) <= budget:
            parts[-1].append(row)
        else:
            parts.append([row])
    return len(parts)


def test_minibatches_never_split_a_group():
    batch = batch_of([1] * 5, [[1, 1], [1], [1, 1, 1], [1], [1, 1]])
    assert [p.tolist() for p in minibatches(batch, 2)] == [[0, 1, 2, 3, 4, 5], [6, 7, 8]]
    assert [p.tolist() for p in minibatches(batch, 1)] == [list(range(9))]
    assert [p.tolist() for p in minibatches(batch, 9)] == [[0, 1], [2], [3, 4, 5], [6], [7, 8]]


def test_minibatches_of_an_empty_batch():
    assert minibatches(batch_of([], []), 3) == []


def test_pack_rows_by_hand():
    batch = batch_of([2, 3], [[2, 1], [3, 2]])
    packed = pack_rows(batch, [0, 1, 3])
    # prompt 0 | 100 101 | 200 | prompt 1 | 400 401: each token is predicted by the one before it in its own sequence.
    assert packed.packed.ids.tolist() == [[0, 1, 100, 101, 200, 0, 1, 2, 400, 401]]
    assert packed.before.tolist() == [1, 2, 1, 7, 8]
    assert packed.tokens.tolist() == [100, 101, 200, 400, 401]
    assert packed.shape == (3, 2)
    assert packed.padded(packed.tokens).tolist() == [[100, 101], [200, 0], [400, 401]]


def test_padding_is_zero_and_has_no_gradient():
    packed = pack_rows(batch_of([2], [[2, 1]]), [0, 1])
    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    wide = packed.padded(values)
    assert wide.tolist() == [[1.0, 2.0], [3.0, 0.0]]
    (wide * torch.tensor([[1.0, 10.0], [100.0, 1000.0]])).sum().backward()
    assert values.grad.tolist() == [1.0, 10.0, 100.0]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), groups=st.integers(1, 3), siblings=st.integers(1, 4))
def test_every_scored_token_comes_back_to_its_place(seed, groups, siblings):
    batch = ragged_batch(seed=seed, groups=groups, siblings=siblings)
    packed = pack_rows(batch, range(batch.size))
    wide = packed.padded(packed.tokens)
    for row, completion in zip(wide.tolist(), batch.completions, strict=True):
        assert row == [*completion.tolist(), *[0] * (wide.shape[1] - len(completion))]
    ids, positions = packed.packed.ids[0], packed.packed.positions[0]
    for i, group in enumerate(batch.group.tolist()):
        first = sum(len(c) for c in batch.completions[:i])
        before = packed.before[first : first + len(batch.completions[i])]
        assert ids[before[0]] == batch.prompts[group][-1]
        assert ids[before[1:]].tolist() == batch.completions[i][:-1].tolist()
        assert positions[before].tolist() == list(range(len(batch.prompts[group]) - 1, positions[before[-1]] + 1))
