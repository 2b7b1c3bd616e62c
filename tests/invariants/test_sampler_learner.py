"""Invariant sampler-learner: the embedded engine's sampling log-probs equal the learner's for the same weights.
Bound: float32, 1e-5 relative; bfloat16 is reported, with a generous bound, and is what the step's statistics say."""

import numpy as np
import pytest
import torch
from small_batches import CASES, VOCABULARY, learner, packed_model, plain_model, ragged_prompts, tokenizer

from sibling.batch import Batch
from sibling.config import DapoObjective, Learner, LoraFinetune, Sampling
from sibling.learner.logprobs import score
from sibling.learner.packing import pack_rows
from sibling.models import native
from sibling.models.precision import compute
from sibling.rollout.engine import GroupRequest, SamplingParams
from sibling.rollout.torch_engine import TorchEngine
from sibling.seeds import uniforms

BOUND = 1e-5
needs_kernels = pytest.mark.skipif(native.state().library is None, reason=native.state().reason)
EOS = tuple(range(2, 42))  # forty ids end a completion, so that rows end at different lengths
SHAPED = {"temperature": 0.8, "top_k": 60, "top_p": 0.9, "min_p": 0.02}


def rollout(model, *, compute_dtype="float32", batch_rows=128, **distribution):
    """Siblings of ragged prompts by the engine, as a batch with random advantages."""
    prompts = ragged_prompts(7, 4)
    engine = TorchEngine(model, tokenizer(), EOS, compute_dtype=compute_dtype, batch_rows=batch_rows)
    requests = [GroupRequest(f"p{i}", p, 4) for i, p in enumerate(prompts)]
    groups = engine.generate(
        requests, SamplingParams(16, **distribution), lambda key, s, count: uniforms(3, 1, key, s, count)
    )
    rows = [c for siblings in groups for c in siblings]
    return Batch(
        prompts=tuple(prompts),
        group=np.repeat(np.arange(4), 4),
        completions=tuple(c.token_ids for c in rows),
        sampler_logprobs=tuple(c.logprobs for c in rows),
        mask=tuple(np.ones(len(c.token_ids), bool) for c in rows),
        advantage=np.random.default_rng(0).normal(size=16),
        live=np.ones(16, bool),
    )


def gaps(model, batch, *, compute_dtype="float32", **distribution):
    """|learner - sampler| of every token in nats, and the learner's log-probs."""
    with torch.no_grad(), compute(compute_dtype):
        values = score(model, pack_rows(batch, range(batch.size)), Sampling(**distribution)).logprobs
    ours = np.concatenate([values[i, : len(c)].numpy() for i, c in enumerate(batch.completions)])
    return np.abs(ours - np.concatenate(batch.sampler_logprobs)), ours


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("architecture", "window"), CASES)
@pytest.mark.parametrize("distribution", [{}, SHAPED], ids=["whole", "shaped"])
def test_the_sampler_reports_what_the_learner_computes(architecture, window, distribution, record_property):
    model = packed_model(architecture, window)
    batch = rollout(model, **distribution)
    gap, logprobs = gaps(model, batch, **distribution)
    assert len({len(c) for c in batch.completions}) > 1  # ragged, so rows were retired and buffers compacted
    record_property("float32_sampler_learner_gap_nats", float(gap.max()))
    assert (gap <= BOUND * np.maximum(1.0, np.abs(logprobs))).all()


def test_must_fail_another_temperature_is_noticed():
    model = packed_model()
    batch = rollout(model, temperature=1.0)
    gap, _ = gaps(model, batch, temperature=1.05)
    assert gap.max() > 1000 * BOUND


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("architecture", "window"), CASES)
@pytest.mark.parametrize("rows", [1, 3, 7])
def test_groups_admitted_while_others_are_under_way_report_the_same(rows, architecture, window):
    model = packed_model(architecture, window)
    batch = rollout(model, batch_rows=rows)
    gap, logprobs = gaps(model, batch)
    assert (gap <= BOUND * np.maximum(1.0, np.abs(logprobs))).all()


@needs_kernels
@pytest.mark.parametrize(("sampler", "scorer"), [("native", "torch"), ("torch", "native")])
def test_what_is_sampled_one_way_is_scored_the_other(sampler, scorer, monkeypatch):
    """A run may go on where there is no compiler, and LoRA's learner runs through its modules anyway."""
    model = packed_model("qwen3")
    monkeypatch.setenv("SIBLING_KERNELS", sampler)
    batch = rollout(model)
    monkeypatch.setenv("SIBLING_KERNELS", scorer)
    gap, logprobs = gaps(model, batch)
    assert (gap <= BOUND * np.maximum(1.0, np.abs(logprobs))).all()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "lm_head"), ("embed_tokens", "up_proj")])
def test_lora_samples_from_the_merged_weights_what_the_adapters_compute(targets):
    """The sampler's merged model and the learner's base plus adapters are one policy, after updates too."""
    config = Learner(finetune=LoraFinetune(rank=4, target_modules=targets))
    step = learner(DapoObjective(), config, model=plain_model("llama"))
    for _ in range(2):
        step(rollout(step.state.sampling_model))
    batch = rollout(step.state.sampling_model)
    gap, logprobs = gaps(step.state.model, batch)
    assert (gap <= BOUND * np.maximum(1.0, np.abs(logprobs))).all()
    before, _ = gaps(packed_model("llama"), batch)
    assert before.max() > 1e-4  # the updates moved the policy, so the comparison was not of two bases


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gap_is_measured_every_step(dtype, record_property):
    model = plain_model("qwen2")
    step = learner(DapoObjective(), model=model, sampling=Sampling(), compute_dtype=dtype)
    batch = rollout(model, compute_dtype=dtype)
    wanted, _ = gaps(model, batch, compute_dtype=dtype)
    stats = step(batch)
    assert stats["sampler_gap_mean"] == pytest.approx(wanted.mean(), rel=1e-3, abs=1e-8)
    assert stats["sampler_gap_max"] == pytest.approx(wanted.max(), rel=1e-3, abs=1e-8)
    record_property(f"{dtype}_sampler_learner_gap_mean_nats", stats["sampler_gap_mean"])
    assert stats["sampler_gap_mean"] < (1e-5 if dtype == "float32" else 0.05)


def test_a_sampler_that_lies_is_measured():
    model = plain_model()
    batch = rollout(packed_model())
    off = tuple(s + np.float32(0.25) for s in batch.sampler_logprobs)
    lying = Batch(**{**vars(batch), "sampler_logprobs": off})
    stats = learner(DapoObjective(), model=model, sampling=Sampling())(lying)
    assert stats["sampler_gap_mean"] == pytest.approx(0.25, rel=1e-3)
    assert stats["sampler_gap_max"] == pytest.approx(0.25, rel=1e-3)


def test_the_vocabulary_has_the_size_the_prompts_assume():
    assert packed_model().config.vocab_size == VOCABULARY
