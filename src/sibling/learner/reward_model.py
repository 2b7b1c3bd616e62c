"""The learned reward of iterative GRPO: a reward model trained further during the run (2402.03300 Algorithm 1).

A copy of the policy's decoder layers with one number on top, read at the last token of the completion:

    p(o | q) = sigmoid(w . h_T + b),    loss = -mean [ y log p + (1 - y) log(1 - p) ]

The labels y are a verifier's verdicts on the policy's own completions. After each outer iteration the model is
fitted further, on the new completions mixed with a share of those of earlier iterations (sec. 4.1.4: 10 %).

Choices where the paper is silent: the share is that of the mix, not of the history; history is drawn uniformly
without replacement; w and b start at 0, so that before the first fit p is exactly 1/2 for every completion.
Draws are a pure function of (seed, step): a fit can be done again bit for bit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sibling.config import Optimizer as OptimizerConfig
from sibling.errors import NonFiniteError, RunError
from sibling.learner import optimizer as adamw
from sibling.learner.trainable import make_trainable, put_weights, trained_parameters, weights_digest
from sibling.models.packed import hidden_states, pack, use_packed_attention
from sibling.models.precision import ComputeDtype, compute
from sibling.seeds import stream

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """One labelled completion: token ids of prompt [L] and completion [T], and the label in [0, 1]."""

    prompt: Ids
    completion: Ids
    label: float  # 1: right, 0: wrong

    def __post_init__(self) -> None:
        if not 0.0 <= self.label <= 1.0 or len(self.prompt) == 0 or len(self.completion) == 0:
            raise RunError(
                "An example for the reward model cannot be used",
                seen=f"label {self.label}, {len(self.prompt)} and {len(self.completion)} tokens",
                wanted="a label in [0, 1], at least one token of each",
            )


@dataclass(frozen=True)
class FitStats:
    """What a fit did. Losses are mean binary cross-entropies in nats; None where there was no new example."""

    examples: int  # new ones
    replayed: int  # of earlier iterations
    updates: int  # optimizer steps
    loss_before: float | None  # on the new examples, which the model has not been fitted to yet
    accuracy_before: float | None  # share of them on whose side of 1/2 the probability lay
    loss: float | None  # of the examples of the last pass, each before the update it entered


class RewardModel:
    """A probability for a completion, and how it is learned.

    Arguments: `policy`, a causal language model (it is copied, never changed); `learning_rate` of AdamW, constant;
    `batch_size` in completions an update; `token_budget` in packed tokens of one pass, which bounds the memory and
    changes no result but in rounding.
    """

    def __init__(
        self,
        policy: Any,
        *,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
        token_budget: int = 8192,
        gradient_checkpointing: bool = False,
        compute_dtype: ComputeDtype = "float32",
    ) -> None:
        self._model = _Scorer(policy, gradient_checkpointing)
        self._config = OptimizerConfig(learning_rate=learning_rate)
        self._parameters = trained_parameters(self._model)
        self._optimizer = adamw.build(self._parameters, self._config)
        self._batch_size, self._budget, self._dtype = batch_size, token_budget, compute_dtype

    def score(self, prompts: Sequence[Ids], completions: Sequence[Ids]) -> NDArray[np.float64]:
        """[N] probabilities in [0, 1]; `prompts[i]` is the prompt of `completions[i]`.

        Completions of the same prompt should stand together: the prompt is then computed once. Raises
        `NonFiniteError` when the model gives none.
        """
        return np.exp(-np.logaddexp(0.0, -self._logits(prompts, completions)))

    def fit(
        self,
        labelled: Sequence[Example],
        history: Sequence[Example],
        *,
        replay_share: float = 0.1,
        passes: int = 1,
        seed: int,
        step: int,
    ) -> FitStats:
        """Train on the new examples `labelled` and on a share of `history`, those of earlier iterations.

        `passes` times over the mix, in an order of its own each time; what is replayed and the orders depend on
        (seed, step) alone. Without a new example nothing is done. Raises `NonFiniteError` for a loss or gradient that
        is not finite; the weights are then as the last update left them.
        """
        if not labelled:
            return FitStats(0, 0, 0, None, None, None)
        loss_before, accuracy_before = self._judge(labelled)
        old = [history[i] for i in replayed(len(history), len(labelled), replay_share, seed, step)]
        mix = [*labelled, *old]
        losses, updates = [0.0], 0
        for number in range(passes):
            order = stream(seed, "reward_model", "order", step, number).permutation(len(mix))
            batches = [order[i : i + self._batch_size] for i in range(0, len(mix), self._batch_size)]
            losses = [self._update([mix[i] for i in batch]) for batch in batches]
            updates += len(batches)
        loss = sum(losses) / len(mix)
        return FitStats(len(labelled), len(old), updates, loss_before, accuracy_before, loss)

    @property
    def fitted(self) -> bool:
        """Whether it has learned anything yet; before that it says 1/2 of every completion."""
        return bool(self._optimizer.state)

    # -- identity and state

    def weights(self) -> dict[str, Tensor]:
        """All weights by name."""
        return {name: p.detach() for name, p in self._parameters}

    def optimizer_state(self) -> dict[str, Tensor]:
        """The optimizer's moments and counts by name."""
        return adamw.state_tensors(self._optimizer, self._parameters)

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Put back what `weights` and `optimizer_state` gave. Raises `RunError` when they do not fit the model."""
        put_weights(self._parameters, weights, "the reward model")
        adamw.load_state_tensors(self._optimizer, self._parameters, optimizer)

    def digest(self) -> str:
        """Digest over names, shapes, dtypes and bytes of the weights."""
        return weights_digest(self.weights())

    # -- passes

    @torch.no_grad()
    def _logits(self, prompts: Sequence[Ids], completions: Sequence[Ids]) -> NDArray[np.float64]:
        logits = np.zeros(len(completions), dtype=np.float64)
        for rows in _parts(prompts, completions, self._budget):
            logits[rows] = self._pass([prompts[i] for i in rows], [completions[i] for i in rows]).double().cpu().numpy()
        _require_finite(bool(np.isfinite(logits).all()), f"{int((~np.isfinite(logits)).sum())} of {len(logits)} logits")
        return logits

    def _pass(self, prompts: Sequence[Ids], completions: Sequence[Ids]) -> Tensor:
        with compute(self._dtype, self._model.weight.device.type):
            return self._model(prompts, completions)  # type: ignore[no-any-return]  # nn.Module's call is untyped

    def _judge(self, examples: Sequence[Example]) -> tuple[float, float]:
        """Mean loss and accuracy on examples."""
        logits = self._logits([e.prompt for e in examples], [e.completion for e in examples])
        labels = np.array([e.label for e in examples])
        loss = np.logaddexp(0.0, logits) - labels * logits  # -[y log p + (1 - y) log(1 - p)]
        return float(loss.mean()), float(((logits > 0) == (labels > 0.5)).mean())

    def _update(self, batch: Sequence[Example]) -> float:
        """One AdamW step on the mean loss of a batch; returns the sum of its losses."""
        prompts, completions = [e.prompt for e in batch], [e.completion for e in batch]
        total = 0.0
        for rows in _parts(prompts, completions, self._budget):
            logits = self._pass([prompts[i] for i in rows], [completions[i] for i in rows])
            labels = torch.tensor([batch[i].label for i in rows], dtype=logits.dtype, device=logits.device)
            loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        self._step(total)
        return total

    def _step(self, loss: float) -> None:
        config, norm = self._config, math.nan
        if math.isfinite(loss):
            norm = adamw.clipped_step(self._optimizer, self._parameters, config.max_grad_norm, config.learning_rate)
        _require_finite(math.isfinite(norm), f"loss {loss}, gradient norm {norm}")


def _require_finite(finite: bool, seen: str) -> None:
    if not finite:
        raise NonFiniteError(
            "The reward model gives numbers that are not finite",
            seen=seen,
            do="Lower the learning_rate of the learned reward, and start from sound weights",
        )


def replayed(history: int, new: int, share: float, seed: int, step: int) -> NDArray[np.int64]:
    """Which of `history` examples join `new` ones: n of them, ascending, drawn without replacement from (seed, step).

    n = round(share / (1 - share) new), so that `share` of the mix is history; all of it if there is less.
    """
    count = round(share / (1.0 - share) * new)
    return np.sort(stream(seed, "reward_model", "replay", step).permutation(history)[:count])


class _Scorer(nn.Module):
    """The decoder and the number on top."""

    def __init__(self, policy: Any, gradient_checkpointing: bool) -> None:
        super().__init__()
        self.trunk = copy.deepcopy(policy.get_decoder()).requires_grad_(True)
        use_packed_attention(self.trunk)
        make_trainable(self.trunk, gradient_checkpointing=gradient_checkpointing)
        width, device = policy.config.get_text_config().hidden_size, policy.device
        self.weight = nn.Parameter(torch.zeros(width, device=device))
        self.bias = nn.Parameter(torch.zeros((), device=device))

    def get_decoder(self) -> Any:
        return self.trunk

    def forward(self, prompts: Sequence[Ids], completions: Sequence[Ids]) -> Tensor:
        """[N] logits. Neighbours with the same prompt share one copy of it."""
        groups: list[list[int]] = []
        for i, prompt in enumerate(prompts):
            if groups and np.array_equal(prompts[groups[-1][-1]], prompt):
                groups[-1].append(i)
            else:
                groups.append([i])
        shared = [prompts[g[0]] for g in groups]
        packed = pack(shared, [[completions[i] for i in g] for g in groups], self.weight.device)
        hidden = hidden_states(self, packed.ids, packed.positions, packed.layout)
        ends = [
            span.start + span.prompt + int(n) - 1
            for span in packed.layout.spans
            for n in np.cumsum(span.completions, dtype=np.int64)
        ]
        last = hidden[torch.tensor(ends, device=self.weight.device)].float()
        logits: Tensor = (last * self.weight).sum(-1) + self.bias  # not a product of matrices: autocast leaves it be
        return logits


def _parts(prompts: Sequence[Ids], completions: Sequence[Ids], budget: int) -> Iterator[list[int]]:
    """Rows in order, cut into runs of at most `budget` tokens as if no prompt were shared, or one row."""
    part: list[int] = []
    used = 0
    for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        cost = len(prompt) + len(completion)
        if part and used + cost > budget:
            yield part
            part, used = [], 0
        part.append(i)
        used += cost
    if part:
        yield part
