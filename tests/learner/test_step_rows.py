"""Two updates of rows beyond GRPO against a naive loop: one row at a time, autograd, AdamW, formulas written out."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_batches import for_row, learner, objective_of, plain_model, ragged_batch

from sibling.config import Learner, Optimizer

OPTIMIZER = Optimizer(learning_rate=0.01, epsilon=1e-3, max_grad_norm=1e9)
CONFIG = Learner(passes=2, micro_batch_tokens=40, optimizer=OPTIMIZER)


def data(objective):
    """Four groups; row 2 has left the loss and row 7 has lost two tokens."""
    batch = ragged_batch(seed=51, groups=4, siblings=3)
    mask = [m.copy() for m in batch.mask]
    mask[2][:] = False
    mask[7][:2] = False
    advantage, live = batch.advantage.copy(), batch.live.copy()
    advantage[2], live[2] = 0.0, False
    return for_row(replace(batch, mask=tuple(mask), advantage=advantage, live=live), objective)


def padded(columns, width=9):
    out = torch.zeros(len(columns), width)
    for i, values in enumerate(columns):
        out[i, : len(values)] = torch.from_numpy(np.asarray(values, np.float32))
    return out


def hidden_and_tokens(trunk, batch):
    """[T, width] final hidden states before each token of a completion, by one pass over each row alone."""
    for g, completion in zip(batch.group, batch.completions, strict=True):
        ids = torch.from_numpy(np.concatenate([batch.prompts[g], completion]))[None]
        hidden = trunk(input_ids=ids, use_cache=False).last_hidden_state[0]
        yield hidden[len(batch.prompts[g]) - 1 : -1], torch.from_numpy(completion)


def logprobs(model, batch):
    rows = []
    for hidden, tokens in hidden_and_tokens(model.get_decoder(), batch):
        everything = model.lm_head(hidden).log_softmax(-1)
        rows.append(torch.nn.functional.pad(everything[range(len(tokens)), tokens], (0, 9 - len(tokens))))
    return torch.stack(rows)


def values(trunk, head, batch):
    rows = [head(hidden)[:, 0] for hidden, _ in hidden_and_tokens(trunk, batch)]
    return torch.stack([torch.nn.functional.pad(v, (0, 9 - len(v))) for v in rows])


def gspo(o, new, old, batch, mask):
    length = mask.sum(1).clamp(min=1)
    s = (((new - old) * mask).sum(1) / length).exp()
    a = torch.from_numpy(batch.advantage).float()
    term = -torch.minimum(s * a, s.clamp(1 - o.clip_low, 1 + o.clip_high) * a)
    return (term * (mask.sum(1) > 0)).sum() / batch.size


def kl_cov(o, new, old, batch, mask):
    a = torch.from_numpy(batch.advantage).float()[:, None].expand(mask.shape)
    active, ratio = mask > 0, (new - old).exp()
    x, y = a[active], new.detach()[active]
    score = (x - x.mean()) * (y - y.mean())
    penalty = torch.zeros(len(score))
    penalty[score.sort(descending=True).indices[: max(1, int(o.share * len(score)))]] = o.coefficient
    return (-ratio[active] * x + penalty * (new - old)[active].abs()).sum() / mask.sum()


def ppo(o, new, old, batch, mask):
    a, ratio = padded(batch.token_advantage), (new - old).exp()
    term = -torch.minimum(ratio * a, ratio.clamp(1 - o.clip_low, 1 + o.clip_high) * a)
    return (term * mask).sum() / mask.sum()


def cispo(o, new, old, batch, mask):
    a = torch.from_numpy(batch.advantage).float()[:, None]
    weight = (new - old).exp().clamp(max=o.ratio_max).detach()
    return (-weight * a * new * mask).sum() / mask.sum()


def adamw(modules, rate):
    o = OPTIMIZER
    parameters = [p for m in modules for p in m.parameters()]
    return torch.optim.AdamW(parameters, lr=rate, betas=o.betas, eps=o.epsilon, weight_decay=0.0, fused=False)


def assert_close(seen, wanted, start):
    """Largest difference of a weight, over the largest change of one."""
    moved = max(float((wanted[n] - start[n]).abs().max()) for n in wanted)
    assert moved > 1e-3
    assert max(float((seen[n] - wanted[n]).abs().max()) for n in wanted) <= 1e-3 * moved


def weights(module):
    return {n: p.detach().clone() for n, p in module.named_parameters()}


@pytest.mark.parametrize(
    ("row", "loss", "changes"),
    [
        ("gspo", gspo, {"clip_low": 0.02, "clip_high": 0.03}),
        ("kl_cov", kl_cov, {"share": 0.3, "coefficient": 2.0}),
        ("ppo", ppo, {}),
        ("cispo", cispo, {"ratio_max": 1.01}),
    ],
)
def test_two_updates_are_those_of_the_naive_loop(row, loss, changes):
    objective = objective_of(row, **changes)
    batch, model = data(objective), plain_model().train()
    start, mask = weights(model), padded([m.astype(float) for m in batch.mask])
    optimizer = adamw([model], OPTIMIZER.learning_rate)
    with torch.no_grad():
        old = logprobs(model, batch)
    for _ in range(2):
        optimizer.zero_grad()
        loss(objective, logprobs(model, batch), old, batch, mask).backward()
        optimizer.step()
    step = learner(objective, CONFIG)
    stats = step(batch)
    assert stats["updates"] == 2 and stats["ratio_mean"] != 1.0
    assert_close(weights(step.state.model), weights(model), start)


def test_two_updates_of_the_critic_are_those_of_the_naive_loop():
    objective = objective_of("ppo", advantage={"type": "gae", "critic": {"learning_rate": 0.02, "value_clip": 0.15}})
    batch = data(objective)
    trunk, head = copy.deepcopy(plain_model().get_decoder()), torch.nn.Linear(64, 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    start, mask = weights(trunk), padded([m.astype(float) for m in batch.mask])
    optimizer = adamw([trunk, head], 0.02)
    old, target = padded(batch.values), padded(batch.returns)
    for _ in range(2):
        v = values(trunk, head, batch)
        clipped = old + (v - old).clamp(-0.15, 0.15)
        loss = (0.5 * torch.maximum((v - target) ** 2, (clipped - target) ** 2) * mask).sum() / mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    step = learner(objective, CONFIG)
    stats = step(batch)
    assert stats["value_loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    held = (clipped - target) ** 2 > (v - target) ** 2
    assert stats["value_clip_share"] == pytest.approx(share := float((held * mask).sum() / mask.sum()))
    assert share > 0
    assert_close(weights(step.state.critic.model.trunk), weights(trunk), start)


def test_the_warm_up_trains_the_critic_alone():
    objective = objective_of("ppo", advantage={"type": "gae", "critic": {"learning_rate": 0.02, "warmup_steps": 2}})
    batch, step = data(objective), learner(objective, CONFIG)
    policy, critic = step.state.digest(), step.state.critic.digest()
    for number in (1, 2):
        stats = step(batch, number)
        assert stats["updates"] == 0 and stats["trained_tokens"] == 0 and stats["critic_grad_norm"] > 0
        assert step.state.digest() == policy and step.state.critic.digest() != critic
        critic = step.state.critic.digest()
    assert step(batch, 3)["updates"] == 2 and step.state.digest() != policy
