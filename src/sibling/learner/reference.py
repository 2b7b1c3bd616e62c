"""The reference policy that a KL penalty is taken to: fixed, refreshed every so many steps, or averaged.

| `objective.kl.reference` | weights after step s | source |
|---|---|---|
| initial | those before the first step | 2402.03300 eq. 3 with one outer iteration |
| refresh | the policy's, when s is a multiple of `every` | iterative GRPO, 2402.03300 Algorithm 1 |
| ema | decay ref + (1 - decay) policy, when s is a multiple of `every` | exponential moving average |

Under LoRA an initial reference is the base with its adapters off and takes no memory of its own. The other two
keep a full copy there too, made from merged weights: the average of the products B A is not the product of the
averages of B and A, so averaged adapters would be another policy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sibling.config import EmaReference, InitialReference, Kl, ReferenceConfig
from sibling.learner.trainable import adapted_layers, base_weights, put_weights, weights_digest, without_adapters


def needs_reference(kl: Kl) -> bool:
    """Whether a run keeps a reference policy: only if the penalty weighs anything."""
    return kl.beta > 0


class Reference:
    """A policy that takes no gradient. Made before the first update.

    Arguments: `config`, the section `objective.kl.reference`; `model`, the module that is trained; `policy`, a
    module without adapters that holds the policy's whole weights whenever a step is over (`model` itself in a
    full fine-tune, the merged model under LoRA).
    """

    def __init__(self, config: ReferenceConfig, model: Any, policy: Any) -> None:
        self.config, self._trained, self._policy = config, model, policy
        self._digest: str | None = None
        self._copy: Any = None
        if not (isinstance(config, InitialReference) and adapted_layers(model)):
            self._copy = copy.deepcopy(policy).requires_grad_(False).eval()

    @contextmanager
    def model(self) -> Iterator[Any]:
        """The module to score with. Under LoRA it may be the trained one: do not update inside."""
        if self._copy is not None:
            yield self._copy
            return
        with without_adapters(self._trained) as base:
            yield base

    @torch.no_grad()
    def after_step(self, step: int) -> bool:
        """Follow the policy after rollout step `step`, 1 the first; whether the reference changed.

        Call it once a step, when the updates of the step are done (and merged, under LoRA) and before a
        checkpoint is saved. The average is taken in float32: a weight stands still while (1 - decay) times its
        distance to the policy's is under half a unit in its last place, 6e-8 of its size.
        """
        config = self.config
        if isinstance(config, InitialReference) or step % config.every:
            return False
        for own, new in zip(self._copy.parameters(), self._policy.parameters(), strict=True):
            if isinstance(config, EmaReference):
                # lerp, not two products: where reference and policy agree it changes no bit.
                own.lerp_(new, 1.0 - config.decay)
            else:
                own.copy_(new)
        self._digest = None
        return True

    # -- identity and state

    def digest(self) -> str:
        """Digest over names, shapes, dtypes and bytes of the reference's whole weights, without adapters.

        In a full fine-tune an initial reference has the digest of the policy before the first step. Computed
        once and kept until the reference changes.
        """
        if self._digest is None:
            self._digest = weights_digest(base_weights(self._trained if self._copy is None else self._copy))
        return self._digest

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold: the weights by name; nothing for an initial one, the model to train has it."""
        if isinstance(self.config, InitialReference):
            return {}
        return {name: p.detach() for name, p in self._copy.named_parameters()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave. Raises `RunError` when it does not fit the reference."""
        kept = not isinstance(self.config, InitialReference)
        put_weights(list(self._copy.named_parameters()) if kept else [], state, "the reference policy")
        if kept:
            self._digest = None
