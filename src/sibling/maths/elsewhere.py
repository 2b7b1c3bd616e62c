"""What the rows of the table are called in other libraries, and what differs there (TRL 1.16.0, verl and OpenRLHF of
August 2026). A name alone rarely means the same objective."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NOTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "grpo": (
            "TRL: loss_type grpo with scale_rewards group; its defaults (loss_type dapo, beta 0) are not the paper's.",
            "verl: adv_estimator grpo with loss_agg_mode seq-mean-token-mean; eps 1e-6, dual clip 3 and a clamp of "
            "k3 at 10 by default.",
            "OpenRLHF: group_norm with token_level_loss False; eps 1e-9.",
            "The paper states neither clip bounds, eps nor whether the std divides by G or G - 1.",
        ),
        "grpo_process": (
            "TRL, verl, OpenRLHF: none; their GRPO takes one reward a completion.",
            "Nothing divides by the number of steps, so longer completions can have larger sums, as in the paper.",
        ),
        "dr_grpo": (
            "C is the generation budget, as in the authors' code; the paper's equation has C = 1.",
            "TRL: loss_type dr_grpo and scale_rewards none; the loss type alone keeps the std.",
            "verl: seq-mean-token-sum-norm divides by the padded width unless loss_scale_factor is set.",
            "OpenRLHF: the estimator dr_grpo drops the std only; its loss stays a token mean.",
        ),
        "dapo": (
            "The paper's eq. 8 divides by the tokens of each group (group_token_mean); the code its authors used by "
            "those of the mini-batch (token_mean, here).",
            "TRL: loss_type dapo divides by the average token count over the steps of a generation batch.",
            "verl: loss_agg_mode token-mean; set clip_ratio_low and clip_ratio_high, clip_ratio alone changes nothing.",
            "Dynamic sampling, overlong filtering and the soft punishment are settings of their own here.",
        ),
    }
)
"""Name of the row -> notes, one sentence each."""
