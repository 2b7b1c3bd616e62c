"""A decoding step in one call on the matrix unit: the numbers of torch's products and single kernels."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GemmaConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from sibling.models import native
from sibling.models.decoder import decoder_of
from sibling.models.laid_out import can_lay_out
from sibling.models.precision import compute
from sibling.rollout import paged
from sibling.rollout.paged import PagedDecoding, pages_of

pytestmark = pytest.mark.skipif(not native.available(), reason=native.state().reason)
needs_unit = pytest.mark.skipif(not native.matrix_unit(), reason="no matrix unit for bfloat16 here")

SIZES = {
    "vocab_size": 97,
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 256,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "llama, every bias": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
    "qwen2": Qwen2Config(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=40),
    "gemma": GemmaConfig(**SIZES),
}


def model_of(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return model


@torch.no_grad()
def course(model, prompts, siblings, steps):
    """Logits of every step; some rows leave on the way, so that blocks of rows are not whole."""
    random = np.random.default_rng(1)
    ids = [random.integers(0, 97, n) for n in prompts]
    rows = sum(siblings)
    with compute("bfloat16"):
        decoding = PagedDecoding(
            model,
            decoder_of(model),
            pages=sum(map(pages_of, prompts)) + rows * pages_of(steps),
            rows=rows,
            max_tokens=steps,
            positions=max(prompts) + steps,
        )
        seen = [decoding.admit(ids, siblings)]
        for step in range(steps):
            seen.append(decoding.step(torch.from_numpy(random.integers(0, 97, len(seen[-1])))))
            if step % 3 == 2 and len(seen[-1]) > 3:
                kept = sorted(random.choice(len(seen[-1]), len(seen[-1]) * 2 // 3, replace=False).tolist())
                decoding.keep(kept)
                seen[-1] = seen[-1][kept]
    return seen


@needs_unit
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("prompts", "siblings"), [([5], [1]), ([37, 12], [20, 17]), ([61, 3, 33], [8, 40, 16])])
def test_one_call_gives_the_numbers_of_the_single_operations(monkeypatch, name, prompts, siblings):
    model = model_of(CONFIGS[name])
    with compute("bfloat16"):
        assert can_lay_out(decoder_of(model))
    fast = course(model, prompts, siblings, 40)
    monkeypatch.setattr(paged, "can_lay_out", lambda decoder: False)
    slow = course(model, prompts, siblings, 40)
    for a, b in zip(fast, slow, strict=True):
        # Sums in another order now and then round to the other bfloat16; nothing more may differ.
        assert (a - b).abs().max() <= 0.02 * b.abs().max()
        assert (a - b).abs().mean() <= 0.002 * b.abs().max()


@needs_unit
def test_the_layout_is_a_permutation_in_the_order_of_the_unit():
    weight = torch.arange(64 * 96).remainder(251).bfloat16().view(64, 96)
    panels = native.lay_out(weight).view(2, 3, 2, 16, 16, 2)  # panel, 32 inputs, tile, pair of inputs, output, which
    for panel, deep, tile, pair, output, which in [(0, 0, 0, 0, 0, 0), (1, 2, 1, 15, 3, 1), (1, 0, 0, 7, 15, 0)]:
        expected = weight[32 * panel + 16 * tile + output, 32 * deep + 2 * pair + which]
        assert panels[panel, deep, tile, pair, output, which] == expected
    paired = native.lay_out(weight, pair=32).view(2, 3, 2, 16, 16, 2)
    assert paired[1, 2, 1, 15, 3, 1] == weight[32 + 16 + 3, 64 + 31]
    assert paired[1, 2, 0, 15, 3, 1] == weight[16 + 3, 64 + 31]


@needs_unit
def test_the_weights_are_those_of_the_moment():
    model = model_of(CONFIGS["llama"])
    before = course(model, [9], [4], 3)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.add_(0.1)
    after = course(model, [9], [4], 3)
    assert not torch.equal(before[1], after[1])


def test_what_cannot_be_laid_out_is_told():
    assert not can_lay_out(decoder_of(model_of(Qwen3Config(**SIZES))))  # norms of single heads
    odd = LlamaConfig(**(SIZES | {"intermediate_size": 100}))
    assert not can_lay_out(decoder_of(model_of(odd)))
