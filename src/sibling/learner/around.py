"""What is put around the policy term of a micro-batch: sampler weights, masks, and an entropy bonus.

The formulas are in maths.corrections; this module applies the recipe's sections to tensors. Nothing here has a
gradient, and nothing changes a denominator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sibling.config import ObjectiveConfig
from sibling.maths.corrections import off_policy_keep, sampler_weights


@dataclass(frozen=True)
class Around:
    """Arguments of `policy_loss`, and what the statistics say of them."""

    factor: Tensor | None  # [N, T]
    sampler_weight: Tensor | None  # [N, T]
    keep: Tensor | None  # [N] sequences that the off-policy mask leaves in


def around(
    objective: ObjectiveConfig,
    *,
    logp_new: Tensor,
    logp_old: Tensor,
    logp_sampler: Tensor,
    mask: Tensor,
    advantage: Tensor,
    entropy_keep: Tensor | None,
) -> Around:
    """Weights and masks of one micro-batch. `logp_sampler` is NaN where the sampler reported nothing."""
    correction, off_policy = objective.sampler_correction, objective.off_policy_mask
    weight = None
    if correction is not None:
        weight = sampler_weights(
            logp_old,
            logp_sampler,
            mask,
            level=correction.level,
            action=correction.action,
            min=correction.min,
            max=correction.max,
        )
    factor = None if entropy_keep is None else entropy_keep.to(logp_new.dtype)
    keep = None
    if off_policy is not None:
        behaviour = torch.where(logp_sampler.isnan(), logp_old, logp_sampler)
        keep = off_policy_keep(logp_new.detach(), behaviour, mask, advantage, delta=off_policy.delta)
        kept = keep[:, None].to(logp_new.dtype).expand(mask.shape)
        factor = kept if factor is None else factor * kept
    return Around(factor, weight, keep)
