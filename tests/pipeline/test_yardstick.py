"""Shares of the roofline from a rollout's lengths, with made-up speeds, so that every number can be worked out."""

from dataclasses import replace

import numpy as np
import pytest
from small_runs import small_recipe

from sibling.batch import Batch, Completion, Fate, Finish, Prompt, Row
from sibling.models import roofline
from sibling.models.roofline import LinearShape, Product, Roofline
from sibling.models.tiny import build_tiny
from sibling.models.work import Shape, prefill_work, sampling_work, shape_of, update_work
from sibling.pipeline import yardstick
from sibling.pipeline.measure import step_stats
from sibling.pipeline.parts import build
from sibling.pipeline.yardstick import Yardstick, joined, learned_groups, measure_yardstick
from sibling.rollout.collect import Rollout

SHAPE = Shape(2, 8, 16, 4, 2, 3, 50, 100, 400, 1000)

MADE_UP = Yardstick(
    SHAPE, Roofline("cpu", 1, ()), prefill=0.002, decoding=0.0005, learning=0.001, passes=1, full=True
)  # speeds in GFLOP/s

PROMPTS, LENGTHS = (3, 5), ((1, 4), (2, 2))


def a_rollout(live=(True, True), expert=False):
    rows, completions = [], []
    for p, siblings in enumerate(LENGTHS):
        for s, n in enumerate(siblings):
            finish = Finish.expert if expert and s == 1 else Finish.eos
            completion = Completion(np.arange(n), np.zeros(n, np.float32), finish, "x")
            rows.append(Row(p, s, 0, completion, (), None, 0.0, Fate.trained))
            completions.append(completion)
    batch = Batch(
        prompts=tuple(np.arange(n) for n in PROMPTS),
        group=np.array([0, 0, 1, 1]),
        completions=tuple(c.token_ids for c in completions),
        sampler_logprobs=tuple(c.logprobs for c in completions),
        mask=tuple(np.ones(len(c.token_ids), bool) for c in completions),
        advantage=np.zeros(4),
        live=np.repeat(live, 2),
    )
    prompts = tuple(Prompt(f"p{i}", "", np.arange(n), None) for i, n in enumerate(PROMPTS))
    return Rollout(prompts, tuple(rows), batch, 1)


LEARNED = {"updates": 1.0, "trained_tokens": 9.0}


def test_the_shares_by_hand():
    shares = MADE_UP.shares(a_rollout(), LEARNED, {"sampling": 2.0, "learning": 4.0})
    first = prefill_work(SHAPE, PROMPTS)
    rest = sampling_work(SHAPE, PROMPTS, LENGTHS) - first
    assert shares["sampling_roofline_share"] == pytest.approx((first / 2e6 + rest / 5e5) / 2.0)
    work = update_work(SHAPE, list(zip(PROMPTS, LENGTHS, strict=True)))
    assert shares["learning_roofline_share"] == pytest.approx(work / 1e6 / 4.0)


def test_passes_and_adapters_change_the_work_of_learning():
    seconds = {"learning": 1.0}
    groups = list(zip(PROMPTS, LENGTHS, strict=True))
    twice = replace(MADE_UP, passes=2).shares(a_rollout(), LEARNED, seconds)
    assert twice["learning_roofline_share"] == pytest.approx(2 * update_work(SHAPE, groups) / 1e6)
    adapters = replace(MADE_UP, full=False).shares(a_rollout(), LEARNED, seconds)
    assert adapters["learning_roofline_share"] == pytest.approx(update_work(SHAPE, groups, full=False) / 1e6)


def test_dead_groups_count_only_where_they_were_computed():
    rollout = a_rollout(live=(True, False))
    assert learned_groups(rollout.batch, {"trained_tokens": 5.0}) == [(3, [1, 4])]
    assert learned_groups(rollout.batch, {"trained_tokens": 9.0}) == [(3, [1, 4]), (5, [2, 2])]
    assert learned_groups(rollout.batch.select([]), {}) == []


def test_an_experts_trace_was_not_drawn():
    shares = MADE_UP.shares(a_rollout(expert=True), {}, {"sampling": 1.0})
    first = prefill_work(SHAPE, PROMPTS)
    rest = sampling_work(SHAPE, PROMPTS, [[1], [2]]) - first
    assert shares == {"sampling_roofline_share": pytest.approx(first / 2e6 + rest / 5e5)}


def test_a_phase_that_did_not_happen_has_no_share():
    assert MADE_UP.shares(a_rollout(), {"updates": 0.0}, {"sampling": 0.0, "learning": 3.0}) == {}


def test_the_shares_are_statistics_that_depend_on_the_clock():
    rollout = a_rollout()
    rollout = replace(rollout, rows=())  # whose verdicts do not matter here
    stats = step_stats(1, rollout, LEARNED, {"learning": 4.0}, MADE_UP)
    assert stats.values["learning_roofline_share"] > 0
    assert "learning_roofline_share" not in stats.reproducible()
    assert not [n for n in step_stats(1, rollout, LEARNED, {"learning": 4.0}).values if "roofline" in n]


# --------------------------------------------------------------------------------------------- measuring


def test_a_tiny_model_is_not_measured(tmp_path):
    recipe = small_recipe(tmp_path)
    assert measure_yardstick(build_tiny("llama", 0)[0], recipe, "float32") is None
    parts = build(recipe, base=tmp_path)
    assert parts.yardstick is None and "roofline" not in parts.model_facts("policy")["wall"]


def test_layers_may_be_joined_and_the_faster_way_counts(tmp_path, monkeypatch):
    """Joined products at 4 GFLOP/s where single ones run at 1: only what cannot be joined differs."""
    monkeypatch.setattr(yardstick, "SMALLEST", 0)

    def made_up(shapes, rows, dtypes, *, head_rows, device):
        slow = {(64, 64), (64, 32), (64, 128), (128, 64), (64, 259)}
        products = [
            Product(dtypes[0], n, s.inputs, s.outputs, 1.0 if (s.inputs, s.outputs) in slow else 4.0, "plain")
            for s in shapes
            for n in (head_rows if s.head else rows)
        ]
        return Roofline(device, 1, tuple(products))

    monkeypatch.setattr(yardstick, "measure_roofline", made_up)
    found = measure_yardstick(build_tiny("llama", 0)[0], small_recipe(tmp_path), "float32")
    # A layer: q k v joined 64 x 128 and o 64 x 64 and down 128 x 64 at 1; gate and up joined 64 x 256 at 4.
    layer, quick = 8192 + 4096 + 8192, 16384
    assert found.prefill == pytest.approx((layer + quick) / (layer + quick / 4))
    head = 64 * 259 / 2  # its share of one of the two layers
    whole = pytest.approx((layer + quick + head) / (layer + quick / 4 + head))
    assert found.decoding == whole and found.learning == whole


def test_layers_of_another_kind_are_not_joined():
    assert joined(replace(SHAPE, layer_parameters=101), []) == []
    layer = 8 * (12 + 2 * 6) + 12 * 8 + 8 * 32 + 16 * 8
    head = LinearShape(8, 50, head=True)
    (found,) = joined(replace(SHAPE, layer_parameters=layer), [LinearShape(8, 8, 2), head])
    assert found == [LinearShape(8, 24, 2), LinearShape(12, 8, 2), LinearShape(8, 32, 2), LinearShape(16, 8, 2), head]


def test_measured_at_the_row_counts_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(yardstick, "SMALLEST", 0)
    monkeypatch.setattr(roofline, "BUFFER", 2**20)
    learner = {"compute_dtype": "float32", "micro_batch_tokens": 700, "passes": 3}
    parts = build(small_recipe(tmp_path, learner=learner), base=tmp_path)
    found = parts.yardstick
    assert found is not None
    assert {(p.outputs == 259, p.rows) for p in found.roofline.products} == {
        *((False, n) for n in (8, 700)),  # 2 prompts of 4 completions; a micro-batch
        *((True, n) for n in (8, 512)),  # the head: a row a completion; a chunk
    }
    assert {p.dtype for p in found.roofline.products} == {"float32"}
    assert {(p.inputs, p.outputs) for p in found.roofline.products} == {
        *((64, 64), (64, 32), (64, 128), (128, 64), (64, 259)),
        *((64, 128), (64, 256)),  # queries, keys and values joined; gate and up joined
    }
    assert (found.passes, found.full, found.shape) == (3, True, shape_of(parts.loaded.model))
    recorded = parts.model_facts("policy")["wall"]["roofline"]
    assert recorded["gflops"] == {"prefill": found.prefill, "decoding": found.decoding, "learning": found.learning}
    assert len(recorded["products"]) == len(found.roofline.products) and recorded["copy"] > 0
    assert "roofline" not in parts.model_facts("reference")["wall"]
