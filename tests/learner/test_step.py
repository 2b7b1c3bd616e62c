"""One step against a naive one: a plain loop over padded batches, autograd, torch's AdamW, formulas written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_batches import (
    learner,
    plain_model,
    ragged_batch,
    relative_gap,
    watched_gradients,
)

from sibling.batch import Batch
from sibling.config import (
    DapoObjective,
    DrGrpoObjective,
    GroupAdvantage,
    GrpoObjective,
    Kl,
    Learner,
    LoraFinetune,
    Optimizer,
    Sampling,
)
from sibling.errors import NonFiniteError, RunError
from sibling.learner.step import aggregation_of

SAMPLING = Sampling(max_tokens=9, temperature=0.8)
# An epsilon far above rounding, so that AdamW does not blow up the last bits of a gradient near 0.
OPTIMIZER = Optimizer(learning_rate=0.03, epsilon=1e-3, weight_decay=0.1, betas=(0.9, 0.99), schedule="linear")
TOTAL = 10


# ------------------------------------------------------------------------------------- the naive implementation


class Naive:
    """GRPO, Dr. GRPO and DAPO as their papers write them, on one padded batch; nothing of the package but the data."""

    def __init__(self, objective, config, sampling=SAMPLING):
        self.objective, self.config, self.sampling = objective, config, sampling
        self.model, self.reference = plain_model().train(), plain_model()
        matrices = [p for p in self.model.parameters() if p.ndim >= 2]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        o = config.optimizer
        self.adamw = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": o.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            betas=o.betas,
            eps=o.epsilon,
            fused=False,
        )
        self.updates = 0

    def logprobs(self, model, batch):
        """[N, T] log-probs and entropies, by one forward pass over right-padded rows."""
        width = max(len(batch.prompts[g]) for g in batch.group) + max(len(c) for c in batch.completions)
        ids, real = torch.zeros(batch.size, width, dtype=torch.long), torch.zeros(batch.size, width, dtype=torch.long)
        for i, c in enumerate(batch.completions):
            row = np.concatenate([batch.prompts[batch.group[i]], c])
            ids[i, : len(row)], real[i, : len(row)] = torch.from_numpy(row), 1
        logits = model(input_ids=ids, attention_mask=real, use_cache=False).logits / self.sampling.temperature
        everything = logits.log_softmax(-1)
        longest = max(len(c) for c in batch.completions)
        logp, entropy = torch.zeros(batch.size, longest), torch.zeros(batch.size, longest)
        for i, c in enumerate(batch.completions):
            start = len(batch.prompts[batch.group[i]])
            steps = everything[i, start - 1 : start - 1 + len(c)]
            logp[i, : len(c)] = steps[range(len(c)), c]
            entropy[i, : len(c)] = -(steps.exp() * steps).sum(-1).detach()
        return logp, entropy

    def loss(self, batch, new, old, ref):
        o, n = self.objective, batch.size
        mask = torch.zeros(new.shape)
        for i, m in enumerate(batch.mask):
            mask[i, : len(m)] = torch.from_numpy(m)
        advantage = torch.from_numpy(batch.advantage).float()[:, None]
        ratio = (new - old).exp()
        clipped = ratio.clamp(1 - o.clip_low, 1 + o.clip_high)
        policy = -torch.minimum(ratio * advantage, clipped * advantage)
        k3 = (ref - new).exp() - (ref - new) - 1
        token, kl_sum = policy + o.kl.beta * k3, float((k3 * mask).sum().detach())
        per_row, length = (token * mask).sum(1), mask.sum(1)
        if o.type == "grpo":
            total = (per_row / length.clamp(min=1)).sum() / n
        elif o.type == "dr_grpo":
            total = per_row.sum() / (n * self.sampling.max_tokens)
        else:
            total = per_row.sum() / length.sum()
        low = (ratio < 1 - o.clip_low) & (advantage < 0) & (mask > 0)
        high = (ratio > 1 + o.clip_high) & (advantage > 0) & (mask > 0)
        facts = {"ratio": (ratio * mask).sum().detach(), "low": low.sum(), "high": high.sum(), "tokens": mask.sum()}
        return total, {**{k: float(v) for k, v in facts.items()}, "kl": kl_sum, "loss": float(total.detach())}

    def step(self, batch):
        groups = np.array_split(np.unique(batch.group), self.config.minibatches)
        parts = [batch.select(np.flatnonzero(np.isin(batch.group, part))) for part in groups]
        with torch.no_grad():
            old = [self.logprobs(self.model, p)[0] for p in parts]
            ref = [self.logprobs(self.reference, p)[0] for p in parts]
        stats = []
        for _ in range(self.config.passes):
            facts = []
            for part, before, reference in zip(parts, old, ref, strict=True):
                new, entropy = self.logprobs(self.model, part)
                loss, fact = self.loss(part, new, before, reference)
                self.adamw.zero_grad()
                loss.backward()
                facts.append({**fact, "entropy": self.mean(entropy, part), **self.update()})
            stats.append(facts)
        return stats, [gap for row in self.gaps(parts, old) for gap in row]

    def update(self):
        o = self.config.optimizer
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), o.max_grad_norm)
        rate = o.learning_rate * (1 - self.updates / TOTAL)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        self.updates += 1
        return {"grad_norm": float(norm), "learning_rate": rate}

    def mean(self, entropy, batch):
        return [
            float(e) for row, m in zip(entropy, batch.mask, strict=True) for e in row[: len(m)][torch.from_numpy(m)]
        ]

    def gaps(self, parts, old):
        for part, logp in zip(parts, old, strict=True):
            for i, (s, m) in enumerate(zip(part.sampler_logprobs, part.mask, strict=True)):
                yield [abs(float(logp[i, t]) - float(s[t])) for t in range(len(s)) if m[t]]

    def statistics(self, batch):
        """The learner's share of the step statistics, from `step`."""
        passes, gaps = self.step(batch)
        last = {k: sum(f[k] for f in passes[-1]) for k in ("loss", "ratio", "low", "high", "kl", "tokens")}
        entropies = [e for f in passes[0] for e in f["entropy"]]
        out = {
            "updates": float(self.updates),
            "trained_tokens": float(len(entropies)),
            "loss": last["loss"] / len(passes[-1]),
            "ratio_mean": last["ratio"] / last["tokens"],
            "clip_low_share": last["low"] / last["tokens"],
            "clip_high_share": last["high"] / last["tokens"],
            "entropy": float(np.mean(entropies)),
            "sampler_gap_mean": float(np.mean(gaps)),
            "sampler_gap_max": max(gaps),
            "grad_norm": passes[-1][-1]["grad_norm"],
            "learning_rate": passes[-1][-1]["learning_rate"],
        }
        return {**out, "kl": last["kl"] / last["tokens"]} if self.objective.kl.beta else out


def data(seed=51):
    """Four groups; row 2 is truncated (its mask is empty) and row 7 has lost two tokens of its mask."""
    batch = ragged_batch(seed=seed, groups=4, siblings=3)
    mask = [m.copy() for m in batch.mask]
    mask[2][:] = False
    mask[7][:2] = False
    advantage, live = batch.advantage.copy(), batch.live.copy()
    advantage[2], live[2] = 0.0, False
    return replace(batch, mask=tuple(mask), advantage=advantage, live=live)


def assert_same_weights(ours, theirs, start):
    """Largest difference of a weight, over the largest change of one."""
    moved = max(float((p.detach() - start[n]).abs().max()) for n, p in theirs.named_parameters())
    seen = dict(ours.named_parameters())
    gap = max(float((seen[n] - p).detach().abs().max()) for n, p in theirs.named_parameters())
    assert moved > 1e-3
    assert gap <= 1e-3 * moved


OBJECTIVES = [
    GrpoObjective(),
    GrpoObjective(kl=Kl(beta=0.2)),
    DrGrpoObjective(),
    DrGrpoObjective(kl=Kl(beta=0.2)),
    DapoObjective(),
    DapoObjective(kl=Kl(beta=0.2)),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{o.type}-beta{o.kl.beta}")
@pytest.mark.parametrize(("passes", "minibatches"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_a_step_is_that_of_the_naive_implementation(objective, passes, minibatches):
    config = Learner(passes=passes, minibatches=minibatches, micro_batch_tokens=40, optimizer=OPTIMIZER)
    naive, batch = Naive(objective, config), data()
    step = learner(objective, config, sampling=SAMPLING, total_updates=TOTAL)
    start = {n: p.detach().clone() for n, p in naive.model.named_parameters()}
    wanted, stats = naive.statistics(batch), step(batch)
    assert_same_weights(step.state.model, naive.model, start)
    for name, value in wanted.items():
        assert stats[name] == pytest.approx(value, rel=2e-3, abs=2e-5), name
    if passes > 1 or minibatches > 1:
        assert stats["clip_low_share"] + stats["clip_high_share"] > 0  # the clips were really in play
    if not objective.kl.beta:
        assert "kl" not in stats and stats["policy_loss"] == stats["loss"]


def test_several_steps_are_those_of_the_naive_implementation():
    """Moments, bias corrections and the schedule go on from step to step."""
    config = Learner(optimizer=OPTIMIZER)
    naive, step = (f(DapoObjective(), config) for f in (Naive, lambda o, c: learner(o, c, sampling=SAMPLING)))
    start = {n: p.detach().clone() for n, p in naive.model.named_parameters()}
    for seed in (51, 52, 53):
        naive.step(data(seed))
        step(data(seed))
    assert_same_weights(step.state.model, naive.model, start)


def test_must_fail_the_comparison_sees_another_clip():
    config = Learner(passes=2, optimizer=OPTIMIZER)
    naive, batch = Naive(GrpoObjective(clip_low=0.1, clip_high=0.1), config), data()
    step = learner(GrpoObjective(), config, sampling=SAMPLING)
    start = {n: p.detach().clone() for n, p in naive.model.named_parameters()}
    naive.step(batch)
    step(batch)
    with pytest.raises(AssertionError):
        assert_same_weights(step.state.model, naive.model, start)


# ------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"dual_clip": 1.01}, True),
        ({"log_ratio_clamp": 0.01}, True),
        ({"kl": Kl(beta=0.2, estimator="k2")}, True),
        ({"clip_high": 5.0}, True),
        ({"advantage": GroupAdvantage(scale="none")}, False),  # part of the advantages, which come with the batch
    ],
    ids=str,
)
def test_every_number_of_the_objective_reaches_the_loss(change, moves):
    config = Learner(passes=2, optimizer=OPTIMIZER)
    digests = set()
    for objective in (GrpoObjective(kl=Kl(beta=0.2)), GrpoObjective(**{"kl": Kl(beta=0.2), **change})):
        step = learner(objective, config)
        step(data())
        digests.add(step.state.digest())
    assert len(digests) == 1 + moves


def test_aggregations_of_the_objectives():
    sampling = Sampling(max_tokens=77)
    assert aggregation_of(GrpoObjective(), sampling) == ("seq_mean_token_mean", None, True)
    assert aggregation_of(GrpoObjective(count_masked_sequences=False), sampling)[2] is False
    assert aggregation_of(DrGrpoObjective(), sampling) == ("token_sum_norm", 77, True)
    assert aggregation_of(DrGrpoObjective(constant=5, count_masked_sequences=False), sampling)[1:] == (5, False)
    assert aggregation_of(DapoObjective(), sampling) == ("token_mean", None, True)
    assert aggregation_of(DapoObjective(aggregation="group_token_mean"), sampling)[0] == "group_token_mean"


def unclipped(objective, batch, **options):
    step = learner(objective, Learner(optimizer=Optimizer(max_grad_norm=1e9), **options))
    with watched_gradients(step) as seen:
        step(batch)
    return seen


def test_masked_sequences_count_in_n_or_do_not():
    """Row 2 of 12 is masked: leaving it out of N makes the gradient 12/11 of what it was."""
    (counted,), (left_out,) = (unclipped(GrpoObjective(count_masked_sequences=c), data()) for c in (True, False))
    assert relative_gap(left_out, {n: g * 12 / 11 for n, g in counted.items()}) < 1e-6


def test_a_masked_token_has_no_say():
    """Neither its sampler log-prob nor its advantage: a truncated row may hold anything."""
    batch = data()
    strange = list(batch.sampler_logprobs)
    strange[2] = np.full_like(strange[2], np.nan)
    step, other = learner(DapoObjective()), learner(DapoObjective())
    assert step(batch) == other(replace(batch, sampler_logprobs=tuple(strange)))
    assert step.state.digest() == other.state.digest()


def test_minibatches_have_denominators_of_their_own():
    """The first of two updates is that of the first half of the groups alone."""
    batch = data()
    first = unclipped(DapoObjective(), batch, minibatches=2)[0]
    alone = unclipped(DapoObjective(), batch.select(np.flatnonzero(batch.group < 2)))[0]
    assert relative_gap(first, alone) == 0


def test_lora_learns_and_full_fine_tune_learns():
    """The loss of the batch just trained on is lower at the new weights, at a small rate."""
    for finetune in ({}, {"finetune": LoraFinetune(rank=4)}):
        step = learner(
            GrpoObjective(clip_low=9.0, clip_high=9.0),
            Learner(optimizer=Optimizer(learning_rate=1e-3), passes=2, **finetune),
        )
        batch = ragged_batch(seed=3)
        first = learner(GrpoObjective(), Learner(**finetune))(batch)["loss"]
        assert step(batch)["loss"] < first - 1e-3


# --------------------------------------------------------------------------------------------- identity ratio


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "options",
    [{}, {"passes": 2}, {"minibatches": 2}, {"finetune": LoraFinetune(rank=4)}],
    ids=["plain", "passes", "minibatches", "lora"],
)
def test_fresh_data_has_a_ratio_of_exactly_one(dtype, options):
    config = Learner(**{"micro_batch_tokens": 30, "optimizer": OPTIMIZER, **options})
    step = learner(GrpoObjective(), config, compute_dtype=dtype)
    for seed in (1, 2):
        assert step(ragged_batch(seed=seed))["ratio_identity_gap"] == 0.0


def test_a_single_update_has_ratio_one_and_clips_nothing():
    stats = learner(GrpoObjective(), Learner(optimizer=OPTIMIZER))(data())
    assert stats["ratio_mean"] == 1.0 and stats["clip_low_share"] == stats["clip_high_share"] == 0.0


def test_a_second_pass_moves_the_ratio():
    stats = learner(GrpoObjective(), Learner(optimizer=OPTIMIZER, passes=2))(data())
    assert abs(stats["ratio_mean"] - 1.0) > 1e-4 and stats["ratio_identity_gap"] == 0.0


# ------------------------------------------------------------------------------------------ NaN and infinity


def refused(step, batch, words):
    before, updates = step.state.digest(), step.state.updates
    with pytest.raises(NonFiniteError, match=words):
        step(batch)
    assert step.state.digest() == before and step.state.updates == updates


def test_an_advantage_beyond_float32_is_refused():
    batch = data()
    batch.advantage[4] = 1e300  # finite in float64, infinite in the loss
    refused(learner(DapoObjective()), batch, r"loss of a micro-batch is not finite.*inf.*not touched")


def test_an_advantage_that_is_no_number_never_becomes_a_batch():
    batch = data()
    advantage = batch.advantage.copy()
    advantage[4] = np.nan
    with pytest.raises(RunError, match="advantage is not finite"):
        replace(batch, advantage=advantage)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["lm_head.weight", "model.layers.1.mlp.down_proj.weight", "model.norm.weight"])
def test_a_weight_that_is_no_number_is_refused(value, place):
    model = plain_model()
    with torch.no_grad():
        dict(model.named_parameters())[place].view(-1)[0] = value
    refused(learner(GrpoObjective(), model=model), data(), "loss of a micro-batch is not finite")


def test_a_gradient_that_overflows_is_refused():
    """Losses stay finite, the sum of squares of the gradient does not."""
    batch = data()
    refused(learner(DapoObjective()), replace(batch, advantage=batch.advantage * 1e36), r"gradient of update 1.*norm")


def test_a_loss_refused_late_leaves_nothing_behind():
    """The micro-batches before the bad one have left gradients; the next good batch does not feel them."""
    bad = data()
    bad.advantage[-1] = 1e300
    config = Learner(micro_batch_tokens=20)
    step, fresh = learner(DapoObjective(), config), learner(DapoObjective(), config)
    refused(step, bad, "loss of a micro-batch")
    assert step(data()) == fresh(data())
    assert step.state.digest() == fresh.state.digest()


def test_later_updates_are_refused_too():
    """The first minibatch is sound and is applied; the second is not, and the weights stay those of the first."""
    batch = data()
    batch.advantage[-1] = 1e300
    step = learner(DapoObjective(), Learner(minibatches=2))
    with pytest.raises(NonFiniteError):
        step(batch)
    first = learner(DapoObjective())
    first(batch.select(np.flatnonzero(batch.group < 2)))
    assert step.state.updates == 1 and step.state.digest() == first.state.digest()


def test_an_empty_batch_is_no_update():
    empty = Batch((), np.array([], np.int64), (), (), (), np.array([]), np.array([], bool))
    step = learner(GrpoObjective(kl=Kl(beta=0.1)))
    before = step.state.digest()
    assert step(empty) == {"updates": 0.0, "trained_tokens": 0.0, "kl_beta": 0.1}
    assert step.state.updates == 0 and step.state.digest() == before
