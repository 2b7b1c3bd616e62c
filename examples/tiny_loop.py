"""GRPO from first line to last on a toy model: a quarter of a minute on a laptop CPU, no download.

The task: write five letters in reverse order, then stop. The policy is a one-layer transformer with random weights,
so it starts at chance and learns from rewards alone. The loop follows Algorithm 1 of DeepSeekMath (2402.03300) with
one outer iteration, beta 0 (no reference policy) and two updates a rollout:

    for each step:
        draw prompts, and G completions (siblings) of each from pi_old      sample
        score every completion with a rule                                  reward
        compare each with its siblings                                      group_advantages
        weigh the tokens, once for the whole batch                          sequence_weights
        for each pass, for each micro-batch: loss, backward                 policy_loss
        one optimizer step a pass

`python examples/tiny_loop.py` prints the reward every 10 steps and exits with status 1 if it did not learn.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sibling.maths.advantages import group_advantages
from sibling.maths.aggregation import sequence_weights
from sibling.maths.groups import dead_groups
from sibling.maths.objectives import OBJECTIVES, policy_loss

LETTERS, WORD = 10, 5  # alphabet size, letters in a prompt
EOS, BOS, VOCAB = LETTERS, LETTERS + 1, LETTERS + 2
MAX_TOKENS = WORD + 1  # longest completion: the letters and EOS

PROMPTS, GROUP = 32, 8  # P prompts a step, G siblings a prompt
STEPS, PASSES, MICRO_BATCHES = 150, 2, 2
LEARNING_RATE, SEED = 1e-3, 0
CHANCE_AT_MOST, LEARNED_AT_LEAST = 0.3, 0.9

GRPO = OBJECTIVES["grpo"]


class Policy(nn.Module):
    """Embedding, one causal transformer layer, vocabulary head."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCAB, width)
        self.position = nn.Embedding(WORD + 1 + MAX_TOKENS, width)
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(width, VOCAB)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [N, L] -> log-probs of the next token [N, L, V]."""
        length = tokens.shape[1]
        ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
        hidden = self.embed(tokens) + self.position(torch.arange(length))
        logprobs: Tensor = self.head(self.layer(hidden, src_mask=ahead)).log_softmax(dim=-1)
        return logprobs


@dataclass(frozen=True)
class Rollout:
    """G siblings of each of P prompts: N = P G rows, ordered by group."""

    prompt: Tensor  # [N, WORD + 1], ends with BOS
    completion: Tensor  # [N, T]
    mask: Tensor  # [N, T], true up to and including EOS
    logp_old: Tensor  # [N, T], log-probs of the drawn tokens under the policy that drew them
    group: np.ndarray  # [N]


def completion_logprobs(policy: Policy, prompt: Tensor, completion: Tensor) -> Tensor:
    """[N, T] log-probs of the completion's own tokens: position j predicts token j + 1."""
    logprobs: Tensor = policy(torch.cat([prompt, completion[:, :-1]], dim=1))[:, prompt.shape[1] - 1 :]
    return logprobs.gather(-1, completion[..., None])[..., 0]


@torch.no_grad()
def sample(policy: Policy, generator: torch.Generator) -> Rollout:
    """Draw P words, and G completions of each at temperature 1."""
    words = torch.randint(LETTERS, (PROMPTS, WORD), generator=generator)
    prompt = torch.cat([words, torch.full((PROMPTS, 1), BOS)], dim=1).repeat_interleave(GROUP, dim=0)
    tokens = prompt
    for _ in range(MAX_TOKENS):
        probability = policy(tokens)[:, -1].exp()
        tokens = torch.cat([tokens, torch.multinomial(probability, 1, generator=generator)], dim=1)
    completion = tokens[:, prompt.shape[1] :]
    ended = (completion == EOS).int()
    return Rollout(
        prompt=prompt,
        completion=completion,
        mask=(ended.cumsum(dim=1) - ended) == 0,  # no EOS before this token
        logp_old=completion_logprobs(policy, prompt, completion),
        group=np.arange(PROMPTS * GROUP) // GROUP,
    )


def reward(rollout: Rollout) -> np.ndarray:
    """[N] share of the answer's places (letters and EOS) that are right; 1 only for the whole answer."""
    letters = rollout.prompt[:, :WORD].flip(1)
    answer = torch.cat([letters, torch.full((len(letters), 1), EOS)], dim=1)
    return ((rollout.completion == answer) & rollout.mask).double().mean(dim=1).numpy()


def update(policy: Policy, optimizer: torch.optim.Optimizer, rollout: Rollout, rewards: np.ndarray) -> float:
    """One rollout, PASSES optimizer steps. Returns the share of tokens clipped in the last pass."""
    advantage = group_advantages(rewards, rollout.group, scale="group", ddof=1, eps=1e-4)
    tokens = rollout.mask.sum(dim=1).numpy()
    weight = sequence_weights(tokens, rollout.group, mode=GRPO.aggregation)
    clipped = 0
    for _ in range(PASSES):
        optimizer.zero_grad()
        clipped = 0
        for rows in torch.arange(len(tokens)).chunk(MICRO_BATCHES):
            parts = policy_loss(
                GRPO,
                logp_new=completion_logprobs(policy, rollout.prompt[rows], rollout.completion[rows]),
                logp_old=rollout.logp_old[rows],
                advantage=torch.from_numpy(advantage)[rows],
                mask=rollout.mask[rows],
                weight=torch.from_numpy(weight)[rows],
            )
            torch.autograd.backward(parts.loss)  # weights are global, so gradients of micro-batches add up
            clipped += int(parts.clip_low + parts.clip_high)
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    return clipped / int(tokens.sum())


def main() -> int:
    """Train; 0 if the reward went from chance to above LEARNED_AT_LEAST."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    policy = Policy()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    history: list[float] = []
    start = time.perf_counter()
    for step in range(1, STEPS + 1):
        rollout = sample(policy, generator)
        rewards = reward(rollout)
        clipped = update(policy, optimizer, rollout, rewards)
        history.append(float(rewards.mean()))
        if step % 10 == 0 or step == 1:
            live = PROMPTS - int(dead_groups(rewards, rollout.group).sum())
            print(f"step {step:4d}  reward {history[-1]:.3f}  live groups {live}/{PROMPTS}  clipped {clipped:.3f}")
    last = float(np.mean(history[-10:]))
    learned = history[0] < CHANCE_AT_MOST and last > LEARNED_AT_LEAST
    print(f"reward {history[0]:.3f} -> {last:.3f} in {time.perf_counter() - start:.0f} s:", end=" ")
    print("learned" if learned else f"not learned (wanted above {LEARNED_AT_LEAST})")
    return 0 if learned else 1


if __name__ == "__main__":
    sys.exit(main())
