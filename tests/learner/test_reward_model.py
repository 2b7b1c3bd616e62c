"""The reward model: what it computes, that it learns, what it replays, and that a fit can be done again bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_batches import CASES, VOCABULARY, plain_model, ragged_prompts

from sibling.errors import NonFiniteError, RunError
from sibling.learner.reward_model import Example, RewardModel, replayed
from sibling.learner.trainable import weights_digest

MARK = 7


def examples(seed, count, longest=12):
    """Completions of random tokens; right are those that hold the token MARK somewhere."""
    random = np.random.default_rng([seed, 3])
    prompts = ragged_prompts(seed, 4)
    out = []
    for i in range(count):
        tokens = random.integers(8, VOCABULARY, int(random.integers(2, longest + 1)))
        if i % 2:
            tokens[random.integers(len(tokens))] = MARK
        out.append(Example(prompts[i // 2 % 4], tokens, float(i % 2)))  # the prompt says nothing of the label
    return out


def columns(rows):
    return [e.prompt for e in rows], [e.completion for e in rows]


def model(**options):
    return RewardModel(plain_model(), **{"learning_rate": 1e-3, **options})


def with_a_head(own, seed=0):
    """The model with random numbers on top in place of zeros."""
    weights = {name: tensor.clone() for name, tensor in own.weights().items()}
    weights["weight"] = torch.randn(weights["weight"].shape, generator=torch.Generator().manual_seed(seed))
    weights["bias"] = torch.tensor(0.25)
    own.load(weights, {})
    return own


def saved(own):
    return tuple({n: t.clone() for n, t in part.items()} for part in (own.weights(), own.optimizer_state()))


# ---------------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize(("architecture", "window"), CASES)
def test_a_score_is_read_at_the_last_token_of_each_completion(architecture, window):
    plain = plain_model(architecture, window)
    own = with_a_head(RewardModel(plain))
    rows = examples(0, 8)
    head, bias = own.weights()["weight"], own.weights()["bias"]
    wanted = []
    for row in rows:
        ids = torch.from_numpy(np.concatenate([row.prompt, row.completion]))[None]
        with torch.no_grad():
            last = plain.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
        wanted.append(float(torch.sigmoid(last @ head + bias)))
    scores = own.score(*columns(rows))
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, wanted, rtol=1e-4)
    order = sorted(range(8), key=lambda i: rows[i].prompt.tolist())  # prompts shared, as siblings come
    grouped = own.score(*columns([rows[i] for i in order]))
    np.testing.assert_allclose(grouped, [wanted[i] for i in order], rtol=1e-4)


def test_the_token_budget_changes_nothing_but_rounding():
    rows = examples(1, 9)
    one, all_at_once = (with_a_head(model(token_budget=n)) for n in (1, 10_000))
    np.testing.assert_allclose(one.score(*columns(rows)), all_at_once.score(*columns(rows)), rtol=1e-4)
    for own in (one, all_at_once):
        own.fit(rows, [], seed=0, step=1)
    moments, wanted = one.optimizer_state(), all_at_once.optimizer_state()
    for name in wanted:
        torch.testing.assert_close(moments[name], wanted[name], rtol=1e-3, atol=1e-6)


def test_an_unfitted_model_says_one_half_and_the_policy_is_left_alone():
    policy = plain_model()
    before = weights_digest(policy.state_dict())
    own = RewardModel(policy)
    rows = examples(2, 4)
    assert own.score(*columns(rows)).tolist() == [0.5] * 4
    own.fit(rows, [], seed=0, step=1)
    assert weights_digest(policy.state_dict()) == before
    assert all(p.grad is None for p in policy.parameters())
    assert policy.config._attn_implementation == "sdpa"
    assert own.score([], []).shape == (0,)


# ------------------------------------------------------------------------------------------------ fits


def test_it_learns_which_completions_hold_a_token():
    own = model(batch_size=8)
    assert not own.fitted
    stats = own.fit(examples(3, 800), [], passes=2, seed=0, step=1)
    assert own.fitted
    assert (stats.examples, stats.updates, stats.accuracy_before) == (800, 200, 0.5)
    assert stats.loss_before == pytest.approx(np.log(2))
    assert stats.loss < 0.1
    unseen = examples(4, 100)
    scores, labels = own.score(*columns(unseen)), np.array([e.label for e in unseen])
    assert ((scores > 0.5) == (labels > 0.5)).mean() >= 0.95
    again = own.fit(unseen, [], seed=0, step=2)
    assert again.accuracy_before >= 0.95, "judged before it is fitted to them"


def test_the_first_gradient_by_hand():
    """d loss / d bias = mean (p - y); p = 1/2 before the first update, so (0.01 + 0.02 + 0.06) / 3 = 0.03.

    AdamW's first moment is then (1 - 0.9) 0.03. Gradients as small as these are not clipped.
    """
    rows = [Example(np.array([1]), np.array([9, i]), label) for i, label in enumerate((0.49, 0.48, 0.44))]
    own = model()
    stats = own.fit(rows, [], seed=0, step=1)
    assert stats.updates == 1
    assert float(own.optimizer_state()["bias/exp_avg"]) == pytest.approx(0.003, rel=1e-5)
    assert own.weights()["bias"] == pytest.approx(-1e-3), "towards the labels, by the learning rate"


def test_losses_of_a_fit():
    rows = examples(5, 20)
    own = with_a_head(model())
    scores, labels = own.score(*columns(rows)), np.array([e.label for e in rows])
    by_hand = -np.mean(labels * np.log(scores) + (1 - labels) * np.log(1 - scores))
    stats = own.fit(rows, [], seed=0, step=1)
    assert stats.loss_before == pytest.approx(by_hand, rel=1e-5)
    assert stats.loss == pytest.approx(by_hand, rel=1e-5), "one batch: its loss is that before the update"
    assert stats.accuracy_before == np.mean((scores > 0.5) == (labels > 0.5))
    more = own.fit(rows, [], passes=3, seed=0, step=1)
    assert (more.updates, more.loss < more.loss_before) == (3, True)


def test_batches_cover_the_mix_once_a_pass():
    own = model(batch_size=8)
    assert own.fit(examples(6, 20), [], passes=2, seed=0, step=1).updates == 6  # ceil(20 / 8) = 3 a pass
    assert own.optimizer_state()["bias/step"] == 6


def test_without_a_new_example_nothing_is_done():
    own = model()
    before = own.digest()
    stats = own.fit([], examples(7, 4), seed=0, step=1)
    assert (stats.examples, stats.replayed, stats.updates, stats.loss) == (0, 0, 0, None)
    assert own.digest() == before


# ---------------------------------------------------------------------------------------------- replay


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 300), st.integers(1, 300), st.floats(0, 0.9), st.integers(0, 9), st.integers(0, 9))
def test_the_replay_share_is_that_of_the_mix(history, new, share, seed, step):
    chosen = replayed(history, new, share, seed, step)
    assert len(set(chosen.tolist())) == len(chosen) and np.all(np.diff(chosen) > 0)
    assert all(0 <= i < history for i in chosen)
    if len(chosen) < history:  # there was enough: as near to the share as whole examples allow
        wanted = share * new / (1 - share)
        assert abs(len(chosen) - wanted) <= 0.5 + 1e-9
    np.testing.assert_array_equal(chosen, replayed(history, new, share, seed, step))


def test_ten_percent_of_the_mix_is_history():
    assert len(replayed(1000, 90, 0.1, 0, 1)) == 10
    assert len(replayed(4, 90, 0.1, 0, 1)) == 4
    assert len(replayed(1000, 90, 0.0, 0, 1)) == 0
    own = model()
    stats = own.fit(examples(8, 18), examples(9, 40), replay_share=0.1, seed=0, step=1)
    assert (stats.examples, stats.replayed) == (18, 2)


def test_every_earlier_example_is_as_likely_as_any_other():
    counts = np.zeros(50)
    for step in range(400):
        counts[replayed(50, 90, 0.1, 3, step)] += 1
    # 10 of 50 are drawn 400 times: 80 each, with a standard deviation of 8.
    assert counts.sum() == 4000
    assert np.abs(counts - 80).max() < 4 * 8
    assert not np.array_equal(replayed(50, 90, 0.1, 3, 1), replayed(50, 90, 0.1, 4, 1)), "the seed counts"


def test_what_is_replayed_is_trained_on():
    new, old = examples(10, 12), examples(11, 30)
    chosen = [old[i] for i in replayed(30, 12, 0.25, 5, 2)]
    assert len(chosen) == 4
    one, other, without = model(), model(), model()
    one.fit(new, old, replay_share=0.25, seed=5, step=2)
    other.fit([*new, *chosen], [], seed=5, step=2)
    without.fit(new, [], seed=5, step=2)
    assert one.digest() == other.digest() != without.digest()


# ----------------------------------------------------------------------------------------------- state


def fit_again(own):
    return own.fit(examples(13, 24), examples(12, 24), replay_share=0.2, passes=2, seed=1, step=2)


def test_a_fit_after_a_round_trip_is_bit_equal():
    own = model(batch_size=8)
    own.fit(examples(12, 24), [], seed=1, step=1)
    weights, optimizer = saved(own)
    digest = own.digest()
    stats = fit_again(own)
    restored = RewardModel(plain_model("llama"), learning_rate=1e-3, batch_size=8)
    restored.load(weights, optimizer)
    assert restored.digest() == digest
    assert fit_again(restored) == stats
    assert restored.digest() == own.digest()
    forgetful = model(batch_size=8)
    forgetful.load(weights, {})
    fit_again(forgetful)
    assert forgetful.digest() != own.digest(), "the moments of the optimizer count"


def test_weights_of_another_model_are_refused():
    own = model()
    with pytest.raises(RunError, match="do not fit the reward model"):
        own.load(RewardModel(plain_model("qwen3")).weights(), {})
    with pytest.raises(RunError, match="belongs to other parameters"):
        own.load(own.weights(), {"strange/step": torch.zeros(())})


@pytest.mark.parametrize(
    ("prompt", "completion", "label"), [([1], [2], 1.5), ([1], [2], np.nan), ([], [2], 1.0), ([1], [], 1.0)]
)
def test_examples_that_cannot_be_used(prompt, completion, label):
    with pytest.raises(RunError, match="cannot be used"):
        Example(np.array(prompt, dtype=np.int64), np.array(completion, dtype=np.int64), label)


def test_numbers_that_are_not_finite_are_refused_and_change_nothing():
    own = model()
    rows = examples(14, 4)
    weights, _ = saved(own)
    own.load({**weights, "bias": torch.tensor(torch.inf)}, {})
    with pytest.raises(NonFiniteError, match="4 of 4 logits"):
        own.score(*columns(rows))
    with pytest.raises(NonFiniteError, match="4 of 4 logits"):
        own.fit(rows, [], seed=0, step=1)
    assert own.optimizer_state() == {}


def test_a_gradient_that_is_not_finite_is_refused_and_changes_nothing():
    own = model()
    weights, _ = saved(own)
    own.load({**weights, "trunk.norm.weight": torch.full_like(weights["trunk.norm.weight"], 1e38)}, {})
    before = own.digest()
    with pytest.raises(NonFiniteError, match="gradient norm inf"):
        own.fit(examples(14, 4), [], seed=0, step=1)  # the logits are 0, as the head is; its gradient overflows
    assert own.digest() == before
    assert not own.fitted


def test_gradient_checkpointing_changes_nothing_but_rounding():
    plain, checkpointed = (with_a_head(model(gradient_checkpointing=g)) for g in (False, True))
    assert any(m.gradient_checkpointing for m in checkpointed._model.modules() if hasattr(m, "gradient_checkpointing"))
    for own in (plain, checkpointed):
        own.fit(examples(16, 6), [], seed=0, step=1)
    moments, wanted = checkpointed.optimizer_state(), plain.optimizer_state()
    for name in wanted:
        torch.testing.assert_close(moments[name], wanted[name], rtol=1e-3, atol=1e-6)


def test_bfloat16_products_keep_the_scores_near():
    rows = examples(15, 6)
    exact, reduced = (with_a_head(model(compute_dtype=d)) for d in ("float32", "bfloat16"))
    scores = reduced.score(*columns(rows))
    np.testing.assert_allclose(scores, exact.score(*columns(rows)), atol=0.05)
    assert not np.array_equal(scores, exact.score(*columns(rows)))
    assert len(set(scores.tolist())) == 6
    assert reduced.fit(rows, [], seed=0, step=1).updates == 1
