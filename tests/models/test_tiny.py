import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sibling.errors import ModelError
from sibling.models import chat, tiny

CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma": "GemmaForCausalLM",
    "mistral": "MistralForCausalLM",
}
TOKENIZER = tiny.build_tokenizer()


def weights(model):
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_shape_size_and_type(architecture):
    model, tokenizer = tiny.build_tiny(architecture, 0)
    assert type(model).__name__ == CLASSES[architecture]
    assert sum(p.numel() for p in model.parameters()) == tiny.PARAMETERS[architecture] < 1_000_000
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    assert model.config.max_position_embeddings == tiny.CONTEXT
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer) == 259
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 2


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_same_seed_same_weights_whatever_the_global_state(architecture):
    torch.manual_seed(1)
    first = weights(tiny.build_tiny(architecture, 7)[0])
    torch.manual_seed(2)
    second = weights(tiny.build_tiny(architecture, 7)[0])
    other = weights(tiny.build_tiny(architecture, 8)[0])
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    tiny.build_tiny("llama", 0)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_no_bias_or_norm_weight_is_neutral(architecture):
    model, _ = tiny.build_tiny(architecture, 0)
    flat = [p for p in model.parameters() if p.ndim == 1]
    assert flat
    assert all(p.std() > 0.01 for p in flat)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_the_distribution_is_neither_flat_nor_peaked(architecture):
    model, _ = tiny.build_tiny(architecture, 0)
    with torch.no_grad():
        logp = model(torch.arange(3, 60)[None]).logits.log_softmax(-1)
    entropy = -(logp.exp() * logp).sum(-1).mean().item()
    assert 2.0 < entropy < 5.45  # ln 259 = 5.557 is uniform


def test_both_kinds_of_head_occur():
    tied = {a: tiny.build_tiny(a, 0)[0] for a in tiny.ARCHITECTURES}
    kinds = {m.get_output_embeddings().weight is m.get_input_embeddings().weight for m in tied.values()}
    assert kinds == {True, False}


def test_a_sliding_window_changes_what_late_tokens_see():
    ids = torch.arange(3, 43)[None]
    full, _ = tiny.build_tiny("mistral", 0)
    window, _ = tiny.build_tiny("mistral", 0, sliding_window=8)
    with torch.no_grad():
        a, b = full(ids).logits, window(ids).logits
    assert torch.allclose(a[:, :8], b[:, :8], atol=1e-5)
    assert not torch.allclose(a[:, -1], b[:, -1], atol=1e-3)


def test_refusals():
    with pytest.raises(ModelError, match="llama, qwen2, qwen3, gemma, mistral"):
        tiny.build_tiny("gpt5", 0)
    with pytest.raises(ModelError, match="sliding window"):
        tiny.build_tiny("llama", 0, sliding_window=8)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=50))
def test_any_text_survives_the_tokenizer(text):
    ids = chat.encode(TOKENIZER, text)
    assert TOKENIZER.decode(ids) == text
    if "<|" not in text:
        assert len(ids) == len(text.encode())  # one token a byte


def test_special_tokens():
    assert chat.encode(TOKENIZER, "<|im_start|>a<|im_end|>").tolist()[0::2] == [1, 2]
    assert (TOKENIZER.pad_token_id, TOKENIZER.bos_token_id, TOKENIZER.eos_token_id) == (0, 1, 2)
