"""The policy being trained, with its optimizer and the models beside it: reference, critic, reward model.

Full fine-tune: the sampler and the learner share one float32 model. LoRA (2106.09685): the learner runs
base plus adapters; the sampler runs a second model whose weights are computed afresh from the base after
every update, W = W_base + scale B A, so that nothing drifts.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from sibling.config import Critic as CriticConfig
from sibling.config import Kl, Learner, LoraFinetune
from sibling.errors import RunError
from sibling.learner import optimizer as adamw
from sibling.learner.critic import Critic
from sibling.learner.reference import Reference, needs_reference
from sibling.learner.reward_model import RewardModel
from sibling.learner.trainable import (
    make_trainable,
    merge,
    put_weights,
    trained_parameters,
    weights_digest,
    with_adapters,
)
from sibling.models.packed import use_packed_attention


class LearnerState:
    """Weights, optimizer and update count. `model` is trained, `sampling_model` is sampled from.

    Arguments: `model`, which becomes the policy; `config`, the section `learner`; `kl`, which says whether a
    reference policy is kept and how it follows; `critic`, the section of the value model or None;
    `total_updates` of the run, for the learning-rate schedule; `seed` of the run, for adapters.
    """

    def __init__(
        self,
        model: Any,
        config: Learner,
        *,
        kl: Kl | None = None,
        critic: CriticConfig | None = None,
        total_updates: int,
        seed: int,
    ) -> None:
        use_packed_attention(model)
        self.config = config
        self.total_updates = total_updates
        self.updates = 0
        self.critic = None if critic is None else Critic(model, critic, config, seed=seed)
        self.reward_model: RewardModel | None = None  # of a learned reward; whoever builds the run puts it here
        self.model = self.sampling_model = model
        if isinstance(config.finetune, LoraFinetune):
            self.model = with_adapters(copy.deepcopy(model), config.finetune, seed)
            # Never trained, but autocast keeps its bfloat16 copies of such weights alone: without them each token
            # drawn casts all weights again (5.2 s against 3.4 s for 32 completions of 32 tokens, measured).
            model.requires_grad_(True)
        self.kept_reference = (
            Reference(kl.reference, self.model, self.sampling_model) if kl and needs_reference(kl) else None
        )
        make_trainable(self.model, gradient_checkpointing=config.gradient_checkpointing)
        self.parameters = trained_parameters(self.model)
        self.optimizer = adamw.build(self.parameters, config.optimizer)

    # -- the other policies

    @contextmanager
    def reference(self) -> Iterator[Any]:
        """The reference policy to score with. Raises `RunError` when none is kept."""
        if self.kept_reference is None:
            raise RunError("A reference policy was asked for but none was kept", wanted="objective.kl.beta above 0")
        with self.kept_reference.model() as model:
            yield model

    def publish(self) -> None:
        """Make `sampling_model` the policy as it is now. LoRA: merged weights, computed from the base."""
        if self.model is not self.sampling_model:
            merge(self.model, into=self.sampling_model)

    # -- updates

    def update(self) -> tuple[float, float]:
        """Clip, step, clear the gradients. Returns the gradient norm before clipping and the learning rate.

        A norm that is not finite leaves the weights untouched; the caller refuses it.
        """
        config = self.config.optimizer
        rate = adamw.learning_rate(config, self.updates, self.total_updates)
        norm = adamw.clipped_step(self.optimizer, self.parameters, config.max_grad_norm, rate)
        self.updates += math.isfinite(norm)
        return norm, rate

    # -- identity and state

    def weights(self) -> dict[str, Tensor]:
        """The policy's trained weights by name."""
        return {name: p.detach() for name, p in self.parameters}

    def digest(self) -> str:
        """Digest over names, shapes, dtypes and bytes of the policy's trained weights."""
        return weights_digest(self.weights())

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor], updates: int) -> None:
        """Put back the policy of a checkpoint. Raises `RunError` when its weights do not fit the model."""
        put_weights(self.parameters, weights, "the model")
        adamw.load_state_tensors(self.optimizer, self.parameters, optimizer)
        self.updates = updates
        self.publish()
