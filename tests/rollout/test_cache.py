"""Decoding against cached keys and values, compared with a loop over rows in float64."""

import pytest
import torch

from sibling.models.packed import GroupLayout, GroupSpan
from sibling.rollout.cache import DecodeLayout

LAYERS, KV, HEADS, SIZE, SCALE = 2, 2, 6, 8, 0.25
PROMPTS, SIBLINGS = (5, 2, 1), (3, 1, 2)


class Loop:
    """The same by hand: every row keeps its own list of keys and values, prompt and suffix in one."""

    def __init__(self, prefill, siblings):
        rows = [s for s, n in zip(prefill.spans, siblings, strict=True) for _ in range(n)]
        self.keys = [[k[s.start : s.start + s.prompt] for s in rows] for k in prefill.keys]
        self.values = [[v[s.start : s.start + s.prompt] for s in rows] for v in prefill.values]

    def attend(self, layer, q, k, v, window):
        out = []
        for i in range(len(q)):
            self.keys[layer][i] = torch.cat([self.keys[layer][i], k[i : i + 1]])
            self.values[layer][i] = torch.cat([self.values[layer][i], v[i : i + 1]])
            keys, values = (x[layer][i].double()[-(window or 10**6) :] for x in (self.keys, self.values))
            keys, values = (x.repeat_interleave(HEADS // KV, 1) for x in (keys, values))
            weights = (torch.einsum("hd,lhd->hl", q[i].double(), keys) * SCALE).softmax(-1)
            out.append(torch.einsum("hl,lhd->hd", weights, values))
        return torch.stack(out)

    def keep(self, rows):
        self.keys, self.values = ([[layer[r] for r in rows] for layer in x] for x in (self.keys, self.values))

    def join(self, other):
        self.keys = [a + b for a, b in zip(self.keys, other.keys, strict=True)]
        self.values = [a + b for a, b in zip(self.values, other.values, strict=True)]


def prefilled(random, prompts=PROMPTS):
    starts = [sum(prompts[:i]) for i in range(len(prompts))]
    layout = GroupLayout([GroupSpan(s, n, ()) for s, n in zip(starts, prompts, strict=True)])
    layout.keys = [torch.randn(sum(prompts), KV, SIZE, generator=random) for _ in range(LAYERS)]
    layout.values = [torch.randn(sum(prompts), KV, SIZE, generator=random) for _ in range(LAYERS)]
    return layout


@pytest.mark.parametrize("window", [None, 1, 3, 6])
@pytest.mark.parametrize(
    "kept",
    [
        {},
        {1: [0, 2, 3, 4, 5]},  # one sibling leaves
        {1: [1, 4, 5], 3: [0, 2]},  # a whole group leaves, then more
        {0: [3], 2: [0]},  # all but one at once
        {2: [2, 4]},  # the first prompt keeps its last sibling only
    ],
    ids=str,
)
def test_attention_is_that_of_a_loop_over_rows_through_every_compaction(window, kept):
    random = torch.Generator().manual_seed(0)
    prefill = prefilled(random)
    cache, loop = DecodeLayout(prefill, SIBLINGS, max_tokens=6), Loop(prefill, SIBLINGS)
    length = [n for n, s in zip(PROMPTS, SIBLINGS, strict=True) for _ in range(s)]
    for drawn in range(6):
        if drawn in kept:
            cache.keep(torch.tensor(kept[drawn]))
            loop.keep(kept[drawn])
            length = [length[r] for r in kept[drawn]]
        assert cache.positions().tolist() == [n + drawn for n in length]
        for layer in range(LAYERS):
            q = torch.randn(len(length), HEADS, SIZE, generator=random)
            k, v = (torch.randn(len(length), KV, SIZE, generator=random) for _ in range(2))
            seen = cache.attend(layer, q, k, v, SCALE, window)
            assert torch.allclose(seen.double(), loop.attend(layer, q, k, v, window), atol=1e-6)
        cache.drawn += 1


@pytest.mark.parametrize("window", [None, 1, 4])
@pytest.mark.parametrize("prompts", [(2,), (9, 1)], ids=["shorter", "longer"])
def test_rows_that_join_later_are_rows_like_the_others(window, prompts):
    """Admitted after three tokens of the first rows, one of which has left: every row keeps its own place."""
    random = torch.Generator().manual_seed(0)
    prefill = prefilled(random)
    cache, loop = DecodeLayout(prefill, SIBLINGS, max_tokens=8), Loop(prefill, SIBLINGS)
    place = [n for n, s in zip(PROMPTS, SIBLINGS, strict=True) for _ in range(s)]
    for step in range(8):
        if step == 3:
            fresh, siblings = prefilled(random, prompts), [2] * len(prompts)
            cache.keep(torch.tensor([0, 2, 3, 4, 5]))
            loop.keep([0, 2, 3, 4, 5])
            cache.join(DecodeLayout(fresh, siblings, max_tokens=8))
            loop.join(Loop(fresh, siblings))
            place = [place[r] for r in (0, 2, 3, 4, 5)] + [n for n in prompts for _ in range(2)]
        if step == 6:  # the first ones leave, and their prompts with them
            cache.keep(torch.tensor([5, 6]))
            loop.keep([5, 6])
            place = place[5:7]
        assert cache.positions().tolist() == place
        for layer in range(LAYERS):
            q = torch.randn(len(place), HEADS, SIZE, generator=random)
            k, v = (torch.randn(len(place), KV, SIZE, generator=random) for _ in range(2))
            seen = cache.attend(layer, q, k, v, SCALE, window)
            assert torch.allclose(seen.double(), loop.attend(layer, q, k, v, window), atol=1e-6)
        cache.drawn += 1
        place = [n + 1 for n in place]
    assert len(cache.length) == 1


def test_prompts_nobody_needs_leave_the_buffers():
    prefill = prefilled(torch.Generator().manual_seed(0))
    cache = DecodeLayout(prefill, SIBLINGS, max_tokens=4)
    cache.keep(torch.tensor([0, 5]))
    assert [k.shape for k in cache.prompt_keys + cache.prompt_values] == [(2, KV, 5, SIZE)] * 4
    assert [k.shape for k in cache.keys + cache.values] == [(2, KV, 4, SIZE)] * 4
    assert cache.length.tolist() == [5, 1] and cache.prompt_of_row.tolist() == [0, 1]
