"""Packing, the packed attention, and the check that a model runs in it. Values packed and alone: tests/invariants."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaModel

from sibling.errors import ModelError
from sibling.models import native, packed
from sibling.models.packed import GroupLayout, GroupSpan, check_architecture, head_logits, hidden_states, pack
from sibling.models.precision import compute
from sibling.models.tiny import ARCHITECTURES, build_tiny


def arrays(*lists):
    return [np.array(x, dtype=np.int64) for x in lists]


# ---------------------------------------------------------------------------------------------------- packing


def test_pack_by_hand():
    first, second = arrays([5, 6, 7], [8])
    packs = pack([first, second], [arrays([1, 2], [3]), arrays([4, 4, 4])])
    assert packs.ids.tolist() == [[5, 6, 7, 1, 2, 3, 8, 4, 4, 4]]
    # A completion starts where its prompt ends, whatever lies between them in the row.
    assert packs.positions.tolist() == [[0, 1, 2, 3, 4, 3, 0, 1, 2, 3]]
    assert packs.layout.spans == (GroupSpan(0, 3, (2, 1)), GroupSpan(6, 1, (3,)))
    assert packs.ids.dtype == packs.positions.dtype == torch.int64


def test_prompts_alone():
    packs = pack(arrays([5, 6], [7]), [(), ()])
    assert packs.ids.tolist() == [[5, 6, 7]] and packs.positions.tolist() == [[0, 1, 0]]
    assert packs.layout.spans == (GroupSpan(0, 2, ()), GroupSpan(2, 1, ()))


# -------------------------------------------------------------------------------------------- the attention itself


def dense(spans, q, k, v, scale, window):
    """Attention by an explicit [S, S] mask and loops over heads, in float64."""
    where = [
        (g, i, j)
        for g, span in enumerate(spans)
        for i, n in enumerate((span.prompt, *span.completions))
        for j in (range(n) if i == 0 else range(span.prompt, span.prompt + n))
    ]  # group, part (0: the prompt), position
    seen = torch.tensor(
        [
            [g == h and part in (0, own) and p <= q_ and (window is None or q_ - p < window) for h, part, p in where]
            for g, own, q_ in where
        ]
    )
    share = q.shape[1] // k.shape[1]
    heads = []
    for head in range(q.shape[1]):
        scores = (q[:, head].double() @ k[:, head // share].double().T) * scale
        heads.append(scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v[:, head // share].double())
    return torch.stack(heads, 1)


@pytest.mark.parametrize("window", [None, 1, 2, 5, 100])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attention_is_that_of_an_explicit_mask(window, kv_heads):
    spans = [GroupSpan(0, 3, (2, 5, 1)), GroupSpan(11, 6, (4,)), GroupSpan(21, 1, (3, 3)), GroupSpan(28, 4, ())]
    random = torch.Generator().manual_seed(0)
    q = torch.randn(32, 4, 8, generator=random)
    k, v = (torch.randn(32, kv_heads, 8, generator=random) for _ in range(2))
    out = GroupLayout(spans).attend(0, q, k, v, 0.3, window)
    assert torch.allclose(out.double(), dense(spans, q, k, v, 0.3, window), atol=1e-6)


SPANS = [GroupSpan(0, 3, (2, 5, 1)), GroupSpan(11, 40, (4, 33)), GroupSpan(88, 1, (3, 3)), GroupSpan(95, 4, ())]


@pytest.mark.parametrize("window", [None, 2, 20])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_gradients_are_those_of_an_explicit_mask(kv_heads, window):
    random = torch.Generator().manual_seed(1)
    qkv = [torch.randn(99, n, 8, generator=random) for n in (4, kv_heads, kv_heads)]
    weight = torch.randn(99, 4, 8, generator=random)
    ours, exact = ([x.to(dtype, copy=True).requires_grad_() for x in qkv] for dtype in (torch.float32, torch.float64))
    (GroupLayout(SPANS).attend(0, *ours, 0.3, window) * weight).sum().backward()
    (dense(SPANS, *exact, 0.3, window) * weight).sum().backward()
    for mine, other in zip(ours, exact, strict=True):
        assert float((mine.grad - other.grad).abs().max() / other.grad.abs().max()) < 2e-6


@pytest.mark.parametrize("window", [None, 3])
def test_scores_of_hundreds_of_nats_stay_numbers(window):
    """Prompt and completion may differ by so much that one of them has no mass at all."""
    random = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(99, n, 8, generator=random, requires_grad=True) for n in (4, 2, 2))
    out = GroupLayout(SPANS).attend(0, q, k, v, 100.0, window)
    assert torch.allclose(out.double(), dense(SPANS, q, k, v, 100.0, window), atol=1e-3)
    out.sum().backward()
    assert all(bool(torch.isfinite(x.grad).all()) for x in (q, k, v))


def test_the_layout_as_the_kernels_read_it():
    layout = GroupLayout(SPANS)
    assert layout.groups.tolist() == [[0, 3, 0, 3], [11, 40, 3, 2], [88, 1, 5, 2], [95, 4, 7, 0]]
    assert layout.lengths.tolist() == [2, 5, 1, 4, 33, 3, 3]
    assert layout.groups.dtype is layout.lengths.dtype is torch.int32


needs_kernels = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)
both_ways = pytest.mark.parametrize("way", [pytest.param("native", marks=needs_kernels), "torch"])


@both_ways
def test_prefill_keeps_keys_and_values_by_layer(way, monkeypatch):
    monkeypatch.setenv("SIBLING_KERNELS", way)
    model, _ = build_tiny("llama", 0)
    packed.use_packed_attention(model)
    packs = pack(arrays([5, 6, 7], [8, 9]), [(), ()])
    packs.layout.keep = True
    with torch.no_grad():
        hidden_states(model, packs.ids, packs.positions, packs.layout)
    assert [k.shape for k in packs.layout.keys] == [(5, 2, 16)] * 2 == [v.shape for v in packs.layout.values]
    again = pack(arrays([5, 6, 7], [8, 9]), [(), ()])
    hidden_states(model, again.ids, again.positions, again.layout)
    assert again.layout.keys == again.layout.values == []  # the learner keeps none


def test_without_a_layout_the_packed_attention_refuses():
    model, _ = build_tiny("llama", 0)
    packed.use_packed_attention(model)
    with pytest.raises(ModelError, match="did not pass the packed layout"):
        model(input_ids=torch.tensor([[1, 2, 3]]), use_cache=False)


def test_attention_stays_float32_under_bfloat16():
    """What the sampler and the learner share most is not rounded: q, k and v come in bfloat16, products are exact."""
    spans = [GroupSpan(0, 30, (10, 20))]
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 60, 16, generator=random).bfloat16() for _ in range(3))
    module = nn.Module()
    with compute("bfloat16"):
        out, _ = packed._attention(module, q, k, v, None, sibling_layout=GroupLayout(spans))
    exact = dense(spans, *(x[0].transpose(0, 1) for x in (q, k, v)), 16**-0.5, None)
    assert out.dtype == torch.float32
    assert torch.allclose(out[0].double(), exact, atol=1e-5)


# -------------------------------------------------------------------------------------------- the vocabulary head


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_head_has_its_bias_and_its_soft_cap(dtype):
    model, _ = build_tiny("llama", 0)
    model.lm_head = nn.Linear(64, 259)
    hidden = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    wanted = hidden @ model.lm_head.weight.T + model.lm_head.bias
    with compute(dtype):
        plain = head_logits(model, hidden)
        model.config.final_logit_softcapping = 0.5
        capped = head_logits(model, hidden)
    bound = 1e-5 if dtype == "float32" else 0.02
    assert plain.dtype == capped.dtype == torch.float32
    assert torch.allclose(plain, wanted, atol=bound)
    assert torch.allclose(capped, 0.5 * torch.tanh(wanted / 0.5), atol=bound)


def test_a_head_that_is_more_than_a_weight_is_run_as_it_is():
    model, _ = build_tiny("llama", 0)
    plain = model.lm_head

    class Twice(nn.Module):
        weight = plain.weight

        def forward(self, hidden):
            return 2 * plain(hidden)

    model.lm_head = Twice()
    hidden = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(head_logits(model, hidden), 2 * plain(hidden))


# ------------------------------------------------------------------------------------------ checking a model


@both_ways
@pytest.mark.parametrize(("architecture", "window"), [*((a, None) for a in ARCHITECTURES), ("mistral", 3)])
def test_known_architectures_pass_and_are_left_as_they_were(architecture, window, way, monkeypatch):
    monkeypatch.setenv("SIBLING_KERNELS", way)
    model, _ = build_tiny(architecture, 0, sliding_window=window)
    before = model.config._attn_implementation
    assert check_architecture(model) < 1e-5
    assert model.config._attn_implementation == before
    model(input_ids=torch.tensor([[1, 2, 3]]), use_cache=False)  # still runs on its own


def gemma2(**options):
    from transformers import AutoModelForCausalLM, Gemma2Config

    config = Gemma2Config(
        vocab_size=259, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, sliding_window=4, query_pre_attn_scalar=2, initializer_range=0.3,
        **options,
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()


def test_sliding_layers_a_capped_head_and_a_scale_of_its_own_are_known():
    assert check_architecture(gemma2(attn_logit_softcapping=None, final_logit_softcapping=2.0)) < 1e-5


def test_attention_with_capped_scores_is_refused():
    model = gemma2(attn_logit_softcapping=0.1, final_logit_softcapping=None)
    with pytest.raises(ModelError, match=r"Gemma2ForCausalLM does not run in packed groups.*differ by .* nats"):
        check_architecture(model)
    assert model.config._attn_implementation == "eager"


def test_scaled_logits_are_refused():
    from transformers import AutoModelForCausalLM, GraniteConfig

    config = GraniteConfig(
        vocab_size=259, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, logits_scaling=0.5, initializer_range=0.3,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with pytest.raises(ModelError, match="differ by"):
        check_architecture(model)


@both_ways
def test_weights_that_are_no_numbers_are_refused(way, monkeypatch):
    monkeypatch.setenv("SIBLING_KERNELS", way)
    model, _ = build_tiny("llama", 0)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    with pytest.raises(ModelError, match="differ by nan"):
        check_architecture(model)


class Strict(LlamaModel):
    """A decoder that takes no further keywords."""

    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, inputs_embeds=None,
        use_cache=None,
    ):  # fmt: skip
        return super().forward(input_ids=input_ids, position_ids=position_ids, use_cache=use_cache)


def test_a_decoder_that_refuses_the_layout_is_refused():
    model, _ = build_tiny("llama", 0)
    model.model.__class__ = Strict
    with pytest.raises(ModelError, match=r"does not run in packed groups.*TypeError"):
        check_architecture(model)
    assert model.config._attn_implementation != packed.ATTENTION


def test_a_model_without_the_attention_interface_is_refused():
    from transformers import AutoModelForCausalLM, BloomConfig

    config = BloomConfig(vocab_size=259, hidden_size=32, n_layer=1, n_head=2)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with pytest.raises(ModelError, match="does not run in packed groups"):
        check_architecture(model)
