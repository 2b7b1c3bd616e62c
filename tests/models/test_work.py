"""Operations and bytes: by hand, by laws, and against the operations that torch counts in a real model."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from sibling.models import tiny
from sibling.models.work import (
    HEAD_CHUNK,
    PROGRAM,
    Cache,
    Holding,
    Shape,
    activation_bytes,
    largest_micro_batch,
    memory_estimate,
    prefill_work,
    sampling_work,
    shape_of,
    update_work,
)

SMALL = Shape(
    layers=2,
    hidden=8,
    intermediate=16,
    heads=4,
    kv_heads=2,
    head_size=3,
    vocabulary=50,
    layer_parameters=100,
    head_parameters=400,
    parameters=1000,
)
PAIR = 2 * 2 * 4 * 3 * 2  # a token and a key it sees: q k and p v, 2 operations each, 4 heads of 3, 2 layers

SMOLLM = Shape(30, 576, 1536, 9, 3, 64, 49_152, 3_538_944, 28_311_552, 134_515_008)

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=5)


# ------------------------------------------------------------------------------------------- the shape


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_the_shape_of_every_architecture(architecture: str) -> None:
    model, _ = tiny.build_tiny(architecture, 0)
    found = shape_of(model)
    attention = 64 * 64 * 2 + 64 * 32 * 2  # q and o, k and v: 4 heads of 16 and 2 for keys
    assert found == Shape(
        layers=2,
        hidden=64,
        intermediate=128,
        heads=4,
        kv_heads=2,
        head_size=16,
        vocabulary=259,
        layer_parameters=attention + 3 * 64 * 128,
        head_parameters=64 * 259,
        parameters=tiny.PARAMETERS[architecture],
    )


# ------------------------------------------------------------------------------------------ operations


def test_a_prompt_is_multiplied_once_and_sees_itself() -> None:
    # 3 tokens through 2 layers of 100 weights; they see 1 + 2 + 3 keys.
    assert prefill_work(SMALL, [3]) == 2 * 3 * 2 * 100 + 6 * PAIR
    assert prefill_work(SMALL, [3, 3]) == 2 * prefill_work(SMALL, [3])


def test_sampling_by_hand() -> None:
    # A prompt of 3; siblings of 1 and 4 tokens. The first tokens come from one row of logits at the prompt's end;
    # the second sibling's tokens 1, 2, 3 go through the layers (seeing 4, 5, 6 keys), and give a row of logits each.
    wanted = prefill_work(SMALL, [3]) + 2 * 3 * 2 * 100 + (4 + 5 + 6) * PAIR + 2 * (1 + 3) * 400
    assert sampling_work(SMALL, [3], [[1, 4]]) == wanted


def test_an_update_by_hand() -> None:
    # The same group: 3 + 0 + 3 tokens, 1 + 3 positions scored, 6 + 15 keys seen; forward once, backward twice that.
    forward = 2 * 6 * 2 * 100 + 21 * PAIR + 2 * 4 * 400
    assert update_work(SMALL, [(3, [1, 4])]) == 3 * forward
    # Adapters: no gradient of the weights, so the backward pass of a product costs what its forward pass did.
    assert update_work(SMALL, [(3, [1, 4])], full=False) == 2 * (forward - 21 * PAIR) + 3 * 21 * PAIR


def test_a_group_without_rows_costs_nothing_in_an_update() -> None:
    assert update_work(SMALL, []) == update_work(SMALL, [(100, [])]) == 0
    assert update_work(SMALL, [(7, [2]), (9, [])]) == update_work(SMALL, [(7, [2])])


def test_the_step_that_the_benchmark_times() -> None:
    """4 prompts of 61 tokens, 8 completions of 64: about 0.27 GFLOP a sampled token, 1.9 TFLOP for the update."""
    assert sampling_work(SMOLLM, [61] * 4, [[64] * 8] * 4) / (4 * 8 * 64) == pytest.approx(0.29e9, rel=0.05)
    assert update_work(SMOLLM, [(61, [64] * 8)] * 4) == pytest.approx(1.85e12, rel=0.03)


@given(st.integers(1, 60), lengths, st.integers(1, 60), lengths)
def test_groups_add_up_and_siblings_share_their_prompt(p: int, a: list[int], q: int, b: list[int]) -> None:
    assert sampling_work(SMALL, [p, q], [a, b]) == sampling_work(SMALL, [p], [a]) + sampling_work(SMALL, [q], [b])
    assert update_work(SMALL, [(p, a), (q, b)]) == update_work(SMALL, [(p, a)]) + update_work(SMALL, [(q, b)])
    alone = sum(sampling_work(SMALL, [p], [[n]]) for n in a)
    repeated = (len(a) - 1) * (prefill_work(SMALL, [p]) + 2 * 400)  # prompts, and rows of logits at their ends
    assert sampling_work(SMALL, [p], [a]) == alone - repeated


@pytest.mark.parametrize("architecture", ["llama", "gemma"])
def test_an_update_is_what_torch_counts_less_the_keys_that_are_masked(architecture: str) -> None:
    """A prompt of one token and a completion of 12: the model runs 12 tokens, and scores every one."""
    model, _ = tiny.build_tiny(architecture, 0)
    model.set_attn_implementation("eager")
    shape, n = shape_of(model), 12
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=torch.arange(n)[None], use_cache=False).logits
        logits.log_softmax(-1).sum().backward()
    # Eager attention multiplies n x n queries and keys, forward and backward; half of them are masked away.
    hidden = n * n - n * (n + 1) // 2
    counted = counter.get_total_flops() - _rotary(counter)
    assert update_work(shape, [(1, [n])]) == counted - 3 * 4 * hidden * shape.heads * shape.head_size * shape.layers


def test_sampling_is_what_torch_counts_with_a_cache() -> None:
    model, _ = tiny.build_tiny("llama", 0)
    model.set_attn_implementation("eager")
    shape, prompt, drawn = shape_of(model), 7, 5
    counted = 0
    with torch.no_grad():
        ids, cache = torch.arange(prompt)[None], None
        for _ in range(drawn):
            with FlopCounterMode(display=False) as counter:
                out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            counted += counter.get_total_flops() - _rotary(counter)
            ids, cache = out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values
    hidden = prompt * prompt - prompt * (prompt + 1) // 2
    wanted = counted - 4 * hidden * shape.heads * shape.head_size * shape.layers
    assert sampling_work(shape, [prompt], [[drawn]]) == wanted


def _rotary(counter: FlopCounterMode) -> int:
    """Operations of the rotary angles, which some versions of transformers make with a product."""
    return sum(sum(ops.values()) for name, ops in counter.get_flop_counts().items() if name.endswith("rotary_emb"))


# ---------------------------------------------------------------------------------------------- memory

HELD = Holding(trainable=1000, compute_dtype="bfloat16", cache=Cache(rows=6, tokens=10, prompts=2, prompt_tokens=5))


def test_memory_by_hand() -> None:
    estimate = memory_estimate(SMALL, HELD, micro_batch_tokens=20, scored_tokens=15)
    # A token of a layer: 8 x 8 of the residual stream; 2 bytes each of 2 x 8 norms, 3 x (8 + 4) attention, 2 x 16.
    activations = 20 * 2 * (64 + 2 * (16 + 36 + 32))
    assert dict(estimate.parts) == {
        "program": PROGRAM,
        "weights": 4000,
        "gradients": 4000,
        "optimizer": 8000,
        "bfloat16 weights": 2 * (2 * 100 + 400),
        "other models": 0,
        "activations": activations,
        "head": 2 * 4 * HEAD_CHUNK * 50 + 2 * 4 * 15 * 8,
        "cache": (60 + 10) * 2 * 2 * 2 * 3 * 4,  # tokens, layers, keys and values, 2 heads of 3, 4 bytes
    }
    assert estimate.total == sum(estimate.parts.values())


def test_float32_keeps_more_and_checkpointing_less() -> None:
    single = Holding(trainable=1000, compute_dtype="float32")
    assert activation_bytes(SMALL, single, 1) == 2 * (64 + 4 * 84)
    assert activation_bytes(SMALL, Holding(1000, "bfloat16", gradient_checkpointing=True), 1) == 2 * 32 + 64 + 2 * 84
    parts = memory_estimate(SMALL, single, micro_batch_tokens=1).parts
    assert parts["bfloat16 weights"] == parts["cache"] == 0


def test_adapters_and_other_models() -> None:
    parts = memory_estimate(SMALL, Holding(10, "float32", beside=777), micro_batch_tokens=1).parts
    assert (parts["weights"], parts["gradients"], parts["optimizer"], parts["other models"]) == (4000, 40, 80, 777)


@given(st.integers(0, 10**7), st.booleans(), st.sampled_from(["float32", "bfloat16"]))
def test_the_largest_budget_fits_and_one_token_more_does_not(more: int, checkpointing: bool, dtype: str) -> None:
    held = Holding(1000, dtype, checkpointing)
    free = memory_estimate(SMALL, held, micro_batch_tokens=0).total + more
    most = largest_micro_batch(SMALL, held, free)
    assert memory_estimate(SMALL, held, micro_batch_tokens=most).total <= free
    assert memory_estimate(SMALL, held, micro_batch_tokens=most + 1).total > free


def test_where_not_even_the_weights_fit_there_is_no_budget() -> None:
    assert largest_micro_batch(SMOLLM, Holding(134_515_008, "bfloat16"), 10**9) == 0
