"""The critic of PPO (1707.06347): a value model trained beside the policy, with an optimizer of its own.

    V(s_t) = w . h_t + b

h_t [width] is the trunk's final hidden state at the last token before token t, in float32, so V(s_t) is the value of
the state in which token t is chosen: it has seen the prompt and the tokens before t, never t itself. The trunk is a
copy of the policy's at the start; w and b start at 0, so every value is 0 before the first update.

The trunk is trained as the policy is: every weight, or LoRA adapters of its own; the head always. The vocabulary
head is left out of the copy. AdamW has the betas, epsilon, weight decay and gradient norm of the policy's optimizer
and a learning rate of its own, constant over the run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sibling.config import Critic as CriticConfig
from sibling.config import Learner, LoraFinetune
from sibling.learner import optimizer as adamw
from sibling.learner.packing import PackedRows
from sibling.learner.trainable import (
    has_module,
    make_trainable,
    put_weights,
    trained_parameters,
    weights_digest,
    with_adapters,
)
from sibling.models.packed import hidden_states, use_packed_attention
from sibling.seeds import derive


class Critic:
    """Values of packed completions, and the updates that improve them.

    Arguments: `policy`, a module without adapters, whose decoder is copied and which is left as it is; `config`,
    the section `advantage.critic`; `learner`, the section that says how the policy is trained; `seed` of the run.
    """

    def __init__(self, policy: Any, config: CriticConfig, learner: Learner, *, seed: int) -> None:
        self.config = config
        self._rate, self._max_grad_norm = config.learning_rate, learner.optimizer.max_grad_norm
        trunk = copy.deepcopy(policy.get_decoder()).requires_grad_(True)
        use_packed_attention(trunk)
        if isinstance(learner.finetune, LoraFinetune):
            place = next(name for name, module in policy.named_modules() if module is policy.get_decoder())
            trunk = _adapted(trunk, place, learner.finetune, derive(seed, "critic") % 2**63)
        make_trainable(trunk, gradient_checkpointing=learner.gradient_checkpointing)
        self.model = _ValueModel(trunk, policy.config.get_text_config().hidden_size, policy.device)
        self.parameters = trained_parameters(self.model)
        own = learner.optimizer.model_copy(update={"learning_rate": config.learning_rate})
        self.optimizer = adamw.build(self.parameters, own)

    def values(self, rows: PackedRows) -> Tensor:
        """V(s_t) of every scored token, float32 [N, T], zeros where a row is shorter; with gradient where enabled.

        Call it inside `models.precision.compute`, as the policy's log-probs: the trunk then multiplies in the
        same precision. The head is float32 always.
        """
        hidden = hidden_states(self.model, rows.packed.ids, rows.packed.positions, rows.packed.layout)[rows.before]
        with torch.autocast(hidden.device.type, enabled=False):
            return rows.padded(self.model.head(hidden.float())[:, 0])

    def update(self) -> float:
        """Clip, step, clear the gradients; returns the gradient norm before clipping.

        A norm that is not finite leaves weights and moments untouched; the caller refuses it.
        """
        return adamw.clipped_step(self.optimizer, self.parameters, self._max_grad_norm, self._rate)

    # -- identity and state

    def weights(self) -> dict[str, Tensor]:
        """The trained weights by name."""
        return {name: p.detach() for name, p in self.parameters}

    def digest(self) -> str:
        """Digest over names, shapes, dtypes and bytes of the trained weights."""
        return weights_digest(self.weights())

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Put back a checkpoint. Raises `RunError` when its weights do not fit the critic."""
        put_weights(self.parameters, weights, "the critic")
        adamw.load_state_tensors(self.optimizer, self.parameters, optimizer)


class _ValueModel(nn.Module):
    """Trunk and head; `get_decoder` lets it run in packed groups as a policy does."""

    def __init__(self, trunk: Any, width: int, device: torch.device) -> None:
        super().__init__()
        self.trunk = trunk
        # By way of `meta`: the usual initialisation would draw random numbers, only to be overwritten.
        self.head = nn.Linear(width, 1, device="meta", dtype=torch.float32).to_empty(device=device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def get_decoder(self) -> Any:
        return self.trunk


def _adapted(trunk: Any, place: str, config: LoraFinetune, seed: int) -> Any:
    """The trunk with adapters on those targets that it has: the vocabulary head, say, is the policy's alone.

    `place` is the trunk's name in the policy, where a target given by its whole path begins.
    """
    targets = config.target_modules
    if not isinstance(targets, str):
        own = (t.removeprefix(f"{place}.") for t in targets)
        targets = tuple(t for t in own if has_module(trunk, t))
        if not targets:
            return trunk.requires_grad_(False)
    return with_adapters(trunk, config.model_copy(update={"target_modules": targets}), seed)
