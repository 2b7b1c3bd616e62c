"""The settings of verl's ppo_trainer that say what is optimised and how: names and defaults, of 2026-08-22.

Read in verl's generated configuration and its source. An empty text or list stands for null.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

VERSION = "of 2026-08-22"
ACTOR = "actor_rollout_ref.actor."
ROLLOUT = "actor_rollout_ref.rollout."
MODEL = "actor_rollout_ref.model."
CORRECTION = "algorithm.rollout_correction."
OVERLONG = "reward.reward_kwargs.overlong_buffer_cfg."

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "algorithm.adv_estimator": "gae",
        "algorithm.gamma": 1.0,
        "algorithm.lam": 1.0,
        "algorithm.norm_adv_by_std_in_grpo": True,
        "algorithm.gdpo_reward_keys": (),
        "algorithm.gdpo_reward_weights": (),
        "algorithm.use_kl_in_reward": False,
        "algorithm.kl_penalty": "kl",
        "algorithm.kl_ctrl.type": "fixed",
        "algorithm.kl_ctrl.kl_coef": 0.001,
        "algorithm.kl_ctrl.target_kl": 0.1,
        "algorithm.kl_ctrl.horizon": 10000,
        "algorithm.filter_groups.enable": False,
        "algorithm.filter_groups.metric": "",
        "algorithm.filter_groups.max_num_gen_batches": 0,
        "algorithm.use_pf_ppo": False,
        CORRECTION + "rollout_is": "",
        CORRECTION + "rollout_is_threshold": "2.0",  # a number, or low_high
        CORRECTION + "rollout_is_batch_normalize": False,
        CORRECTION + "rollout_rs": "",
        CORRECTION + "bypass_mode": False,
        ACTOR + "policy_loss.loss_mode": "vanilla",
        ACTOR + "policy_loss.clip_cov_ratio": 0.0002,
        ACTOR + "policy_loss.clip_cov_lb": 1.0,
        ACTOR + "policy_loss.clip_cov_ub": 5.0,
        ACTOR + "policy_loss.kl_cov_ratio": 0.0002,
        ACTOR + "policy_loss.ppo_kl_coef": 0.1,
        ACTOR + "clip_ratio": 0.2,
        ACTOR + "clip_ratio_low": 0.2,
        ACTOR + "clip_ratio_high": 0.2,
        ACTOR + "clip_ratio_c": 3.0,
        ACTOR + "tau_pos": 1.0,
        ACTOR + "tau_neg": 1.05,
        ACTOR + "loss_agg_mode": "token-mean",
        ACTOR + "loss_scale_factor": None,
        ACTOR + "entropy_coeff": 0.0,
        ACTOR + "use_kl_loss": False,
        ACTOR + "kl_loss_coef": 0.001,
        ACTOR + "kl_loss_type": "low_var_kl",
        ACTOR + "ppo_mini_batch_size": 256,
        ACTOR + "ppo_epochs": 1,
        ACTOR + "optim.lr": 1e-6,
        ACTOR + "optim.weight_decay": 0.01,
        ACTOR + "optim.betas": (0.9, 0.999),
        ACTOR + "optim.clip_grad": 1.0,
        ACTOR + "optim.lr_scheduler_type": "constant",
        ACTOR + "optim.lr_warmup_steps": -1,
        ACTOR + "optim.lr_warmup_steps_ratio": 0.0,
        ACTOR + "optim.min_lr_ratio": 0.0,
        ACTOR + "optim.optimizer": "AdamW",
        "critic.optim.lr": 1e-5,
        "critic.cliprange_value": 0.5,
        "trainer.critic_warmup": 0,
        "trainer.total_training_steps": None,
        "trainer.total_epochs": 30,
        "data.train_batch_size": 1024,
        "data.max_prompt_length": 512,
        "data.max_response_length": 512,
        ROLLOUT + "n": 1,
        ROLLOUT + "temperature": 1.0,
        ROLLOUT + "top_p": 1.0,
        ROLLOUT + "top_k": -1,
        MODEL + "path": "",  # verl's default is an example of a path
        MODEL + "lora_rank": 0,
        MODEL + "lora_alpha": 16,
        MODEL + "target_modules": "all-linear",
        MODEL + "enable_gradient_checkpointing": True,
        OVERLONG + "enable": False,
        OVERLONG + "len": 0,
        OVERLONG + "penalty_factor": 1.0,
    }
)

_OTHERS = """
algorithm.filter_groups.max_inflight_gen_batches algorithm.pf_ppo.reweight_method algorithm.pf_ppo.weight_pow
algorithm.rollout_correction.rollout_rs_threshold algorithm.rollout_correction.loss_type
actor_rollout_ref.actor.policy_loss.dro_beta actor_rollout_ref.actor.rollout_n actor_rollout_ref.actor.strategy
actor_rollout_ref.actor.ppo_micro_batch_size actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu
actor_rollout_ref.actor.use_dynamic_bsz actor_rollout_ref.actor.ppo_max_token_len_per_gpu
actor_rollout_ref.actor.freeze_vision_tower actor_rollout_ref.actor.calculate_entropy
actor_rollout_ref.actor.calculate_sum_pi_squared actor_rollout_ref.actor.use_prefix_grouper
actor_rollout_ref.actor.use_torch_compile actor_rollout_ref.actor.shuffle actor_rollout_ref.actor.data_loader_seed
actor_rollout_ref.actor.use_fused_kernels actor_rollout_ref.actor.grad_clip
actor_rollout_ref.actor.ulysses_sequence_parallel_size actor_rollout_ref.actor.use_remove_padding
actor_rollout_ref.actor.use_rollout_log_probs actor_rollout_ref.actor.entropy_checkpointing
actor_rollout_ref.actor.entropy_from_logits_with_chunking actor_rollout_ref.actor.entropy_from_logits_chunk_size
actor_rollout_ref.actor.pad_to_length actor_rollout_ref.actor.optim.optimizer_impl
actor_rollout_ref.actor.optim.total_training_steps actor_rollout_ref.actor.optim.num_cycles
actor_rollout_ref.actor.optim.zero_indexed_step actor_rollout_ref.actor.optim.warmup_style
actor_rollout_ref.actor.optim.override_optimizer_config
"""
OTHERS = frozenset(_OTHERS.split())
"""The rest of the sections that hold the objective; a name there that is in neither list is unknown."""

STRICT = ("algorithm.", ACTOR, ACTOR + "policy_loss.", ACTOR + "optim.", CORRECTION)
"""Sections whose own settings are all known."""
_ROOTS = """
actor_rollout_ref critic data trainer algorithm reward reward_model custom_reward_function ray_kwargs distillation
global_profiler transfer_queue sandbox_fusion skip hydra defaults _target_ remote_backend topology
"""
ROOTS = frozenset(_ROOTS.split())
"""The sections of a configuration."""
