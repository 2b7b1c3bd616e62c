"""A policy, a sampler and an update small enough to be run a hundred times, around the package's own maths.

The policy is a causal transformer of some ten thousand weights with random initial values. Sampling keeps keys and
values; an update is `maths.objectives.policy_loss` with `maths.aggregation.sequence_weights`, Adam and a clipped
gradient norm. Everything a claim varies is an argument. One float32 thread; the same seed gives the same numbers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sibling.maths.aggregation import sequence_weights
from sibling.maths.objectives import OBJECTIVES, LossParts, policy_loss

GRAD_CLIP = 1.0
Cache = list[tuple[Tensor, Tensor]]


class Block(nn.Module):
    """Pre-norm attention and MLP; with a cache, the tokens given follow those already in it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """[N, L, width] -> the same, and keys and values of all positions so far."""
        n, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)))), (k, v)


class Policy(nn.Module):
    """Token and position embeddings, blocks, vocabulary head; `prior` [V] is the first value of the head's bias."""

    def __init__(
        self,
        vocabulary: int,
        positions: int,
        *,
        width: int = 32,
        layers: int = 1,
        prior: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(vocabulary, width), nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)
        if prior is not None:
            self.head.bias.data.copy_(prior)

    def forward(self, tokens: Tensor, past: Cache | None = None) -> tuple[Tensor, Cache]:
        """Tokens [N, L] -> log-probs of the next token [N, L, V], and the cache."""
        start = 0 if past is None else past[0][0].shape[2]
        x = self.embed(tokens) + self.position.weight[start : start + tokens.shape[1]]
        cache: Cache = []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, None if past is None else past[i])
            cache.append(kept)
        return self.head(self.norm(x)).log_softmax(dim=-1), cache


@dataclass(frozen=True)
class Rollout:
    """G siblings of each of P prompts: N = P G rows, ordered by group."""

    prompt: Tensor  # [N, L]
    completion: Tensor  # [N, T]
    mask: Tensor  # [N, T], tokens up to and including the last one
    logp: Tensor  # [N, T] of the drawn tokens under the policy that drew them, in nats
    entropy: Tensor  # [N, T] of that policy at each token, in nats
    group: NDArray[np.int64]  # [N]
    ended: Tensor  # [N] whether an end was drawn, not only reached

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[N] tokens of each completion."""
        return np.asarray(self.mask.sum(dim=1).numpy(), dtype=np.int64)

    @property
    def mean_entropy(self) -> float:
        """Mean over tokens."""
        return float(self.entropy[self.mask].mean())


@torch.no_grad()
def sample(
    policy: Policy,
    prompts: Tensor,
    siblings: int,
    most: int | Tensor,
    generator: torch.Generator,
    *,
    end: int | None = None,
) -> Rollout:
    """G completions of each prompt [P, L] at temperature 1, to the token `end` or to `most` tokens (of all, or [P])."""
    prompt = prompts.repeat_interleave(siblings, dim=0)
    n = len(prompt)
    limit = torch.as_tensor(most).expand(len(prompts)).repeat_interleave(siblings)
    open_, tokens, logps, entropies, masks = torch.ones(n, dtype=torch.bool), [], [], [], []
    logprobs, cache = policy(prompt)
    for t in range(int(limit.max())):
        last = logprobs[:, -1]
        probs = last.exp()
        token = torch.multinomial(probs, 1, generator=generator)
        tokens.append(token)
        logps.append(last.gather(-1, token))
        entropies.append(-(probs * last).sum(dim=-1, keepdim=True))
        masks.append(open_)
        open_ = open_ & (limit > t + 1)
        if end is not None:
            open_ = open_ & (token[:, 0] != end)
        if not bool(open_.any()):
            break
        logprobs, cache = policy(token, cache)
    mask, completion = torch.stack(masks, dim=1), torch.cat(tokens, dim=1)
    ended = ((completion == (-1 if end is None else end)) & mask).any(dim=1)
    group = np.arange(n) // siblings
    return Rollout(prompt, completion, mask, torch.cat(logps, dim=1), torch.cat(entropies, dim=1), group, ended)


def completion_logprobs(policy: Policy, rollout: Rollout, rows: Tensor) -> Tensor:
    """[n, T] log-probs of the completions' own tokens, with gradient."""
    prompt, completion = rollout.prompt[rows], rollout.completion[rows]
    logprobs, _ = policy(torch.cat([prompt, completion[:, :-1]], dim=1))
    own: Tensor = logprobs[:, prompt.shape[1] - 1 :].gather(-1, completion[..., None])[..., 0]
    return own


@dataclass
class Learner:
    """A row of the table with its aggregation, and the optimizer. `numbers` override the row's (clip bounds, ...)."""

    policy: Policy
    row: str
    learning_rate: float
    aggregation: str | None = None  # None: the row's
    constant: float | None = None  # C of token_sum_norm
    passes: int = 1  # over one rollout
    minibatches: int = 1  # optimizer updates a pass
    numbers: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=self.learning_rate)

    def update(
        self,
        rollout: Rollout,
        advantage: NDArray[np.float64],
        generator: torch.Generator,
        extras: Callable[[Tensor, Tensor], dict[str, Any]] | None = None,
    ) -> list[LossParts]:
        """All passes over one rollout; minibatches are whole groups in a fresh order each pass.

        `extras(rows, logp_new)` gives further arguments of `policy_loss`, or other ones than logp_old = what was
        drawn. Returns the parts of every update.
        """
        groups, parts = int(rollout.group.max()) + 1, []
        siblings = len(rollout.group) // groups
        for _ in range(self.passes):
            order = torch.randperm(groups, generator=generator)
            for chosen in order.chunk(self.minibatches):
                rows = (chosen.sort().values[:, None] * siblings + torch.arange(siblings)).flatten()
                parts.append(self._step(rollout, advantage, rows, extras))
        return parts

    def _step(self, rollout: Rollout, advantage: NDArray[np.float64], rows: Tensor, extras: Any) -> LossParts:
        row = OBJECTIVES[self.row]
        counts, group = rollout.lengths[rows.numpy()], rollout.group[rows.numpy()]
        weight = sequence_weights(counts, group, mode=self.aggregation or row.aggregation, constant=self.constant)
        new = completion_logprobs(self.policy, rollout, rows)
        given: dict[str, Any] = {"logp_old": rollout.logp[rows], **self.numbers}
        if extras is not None:
            given |= extras(rows, new.detach())
        parts = policy_loss(
            row,
            logp_new=new,
            advantage=torch.from_numpy(advantage)[rows],
            mask=rollout.mask[rows],
            weight=torch.from_numpy(weight),
            **given,
        )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(parts.loss)
        nn.utils.clip_grad_norm_(self.policy.parameters(), GRAD_CLIP)
        self.optimizer.step()
        return parts


class ClipLook:
    """Reads, at every update, the old probabilities of tokens with A > 0 and of those the upper bound clips.

    An `extras` of `Learner.update`.
    """

    def __init__(self, rollout: Rollout, advantage: Tensor, high: float) -> None:
        self.rollout, self.advantage, self.high = rollout, advantage, high
        self.sums = [0.0, 0.0, 0.0, 0.0]  # probability and number of clipped tokens, of all with A > 0

    def __call__(self, rows: Tensor, new: Tensor) -> dict[str, Any]:
        """Changes no argument of the loss."""
        old = self.rollout.logp[rows]
        positive = (self.advantage[rows] > 0)[:, None] & self.rollout.mask[rows]
        clipped = positive & ((new - old).exp() > 1.0 + self.high)
        for i, tokens in ((0, clipped), (2, positive)):
            self.sums[i] += float(old.exp()[tokens].sum())
            self.sums[i + 1] += float(tokens.sum())
        return {}


def streams(seed: int) -> tuple[torch.Generator, torch.Generator, torch.Generator]:
    """Generators for prompts, completions and minibatches, equal in all arms; seeds the first weights too."""
    torch.manual_seed(seed)
    prompts, completions, minibatches = (torch.Generator().manual_seed(1000 * seed + i) for i in (1, 2, 3))
    return prompts, completions, minibatches


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs the body on one thread; two workers then have a core each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cpu_seconds() -> float:
    """Processor time of this process: what a run costs, whatever else the machine does."""
    return time.process_time()


def smooth(values: list[float], over: int) -> NDArray[np.float64]:
    """Running mean over the last `over` values (fewer at the start)."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    upto = np.arange(1, len(values) + 1)
    since = np.maximum(upto - over, 0)
    return np.asarray((total[upto] - total[since]) / (upto - since), dtype=np.float64)
