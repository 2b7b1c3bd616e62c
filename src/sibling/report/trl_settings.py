"""The settings of TRL 1.16.0's GRPOConfig and RLOOConfig: names and defaults, read in its source.

`DEFAULTS` are those that say what is optimised and how; an empty text or list stands for null. tests/parity holds them
to the installed package.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

VERSION = "1.16.0"

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        # objective
        "loss_type": "dapo",
        "importance_sampling_level": "token",
        "scale_rewards": "group",
        "multi_objective_aggregation": "sum_then_normalize",
        "epsilon": 0.2,
        "epsilon_high": None,
        "delta": None,
        "beta": 0.0,
        "use_bias_correction_kl": True,
        "sync_ref_model": False,
        "ref_model_mixup_alpha": 0.6,
        "ref_model_sync_steps": 512,
        "sapo_temperature_pos": 1.0,
        "sapo_temperature_neg": 1.05,
        "vespo_k_pos": 2.0,
        "vespo_lambda_pos": 3.0,
        "vespo_k_neg": 3.0,
        "vespo_lambda_neg": 2.0,
        "off_policy_mask_threshold": None,
        "top_entropy_quantile": 1.0,
        "entropy_coef": 0.0,
        "use_adaptive_entropy": False,
        "entropy_target": 0.2,
        "entropy_coef_delta": 0.005,
        "entropy_coef_min": 0.0,
        "entropy_coef_max": 1.0,
        "use_vllm": False,
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": "sequence_mask",
        "vllm_importance_sampling_clip_max": 3.0,
        "vllm_importance_sampling_clip_min": None,
        "vllm_importance_sampling_cap": None,
        "mask_truncated_completions": False,
        "reward_weights": (),
        # sampling
        "num_generations": 8,
        "max_completion_length": 512,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": None,
        "repetition_penalty": 1.0,
        # updates
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "steps_per_generation": None,
        "generation_batch_size": None,
        "num_iterations": 1,
        "max_steps": -1,
        "num_train_epochs": 3.0,
        "learning_rate": 1e-6,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "optim": "adamw_torch_fused",
        "weight_decay": 0.0,
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "max_grad_norm": 1.0,
        "gradient_checkpointing": True,
        "bf16": None,
        "fp16": False,
        "seed": 42,
    }
)
RLOO_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {"num_generations": 2, "beta": 0.05, "normalize_advantages": False, "reward_clip_range": ()}
)
RLOO_ONLY = ("normalize_advantages", "reward_clip_range")
MODEL_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "model_name_or_path": "",
        "model_revision": "main",
        "use_peft": False,
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_target_modules": (),
    }
)
"""Of ModelConfig, which the command line `trl grpo` reads from the same file."""

# The other settings of the two configs, and of what `trl grpo` reads beside them.
_OTHERS = """
    output_dir lr_scheduler_kwargs optim_args optim_target_modules average_tokens_across_devices
    label_smoothing_factor bf16_full_eval fp16_full_eval tf32 activation_checkpointing activation_checkpointing_kwargs
    gradient_checkpointing_kwargs torch_compile torch_compile_backend torch_compile_mode use_liger_kernel
    liger_kernel_config use_cache neftune_noise_alpha torch_empty_cache_steps auto_find_batch_size logging_strategy
    logging_steps logging_first_step log_on_each_node logging_nan_inf_filter include_num_input_tokens_seen log_level
    log_level_replica disable_tqdm report_to run_name project trackio_space_id trackio_bucket_id
    trackio_static_space_id eval_strategy eval_steps eval_delay per_device_eval_batch_size prediction_loss_only
    eval_on_start eval_do_concat_batches eval_use_gather_object eval_accumulation_steps include_for_metrics
    batch_eval_metrics save_only_model save_strategy save_steps save_on_each_node save_total_limit
    enable_jit_checkpoint push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push
    hub_revision load_best_model_at_end metric_for_best_model greater_is_better ignore_data_skip
    restore_callback_states_from_checkpoint full_determinism data_seed use_cpu accelerator_config parallelism_config
    dataloader_drop_last dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers
    dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order remove_unused_columns
    label_names train_sampling_strategy length_column_name ddp_find_unused_parameters ddp_bucket_cap_mb
    ddp_broadcast_buffers ddp_static_graph ddp_backend ddp_timeout fsdp fsdp_config deepspeed debug
    skip_memory_metrics do_train do_eval do_predict resume_from_checkpoint local_rank model_init_kwargs
    trust_remote_code router_aux_loss_coef disable_dropout cast_lm_head_to_fp32 num_generations_eval
    ds3_gather_for_generation shuffle_dataset pad_to_multiple_of generation_kwargs chat_template_kwargs
    cache_implementation vllm_mode vllm_model_impl vllm_enable_sleep_mode vllm_structured_outputs_regex
    vllm_server_base_url vllm_server_host vllm_server_port vllm_server_timeout vllm_group_port
    vllm_gpu_memory_utilization vllm_max_model_length vllm_tensor_parallel_size max_tool_calling_iterations
    log_completions log_multimodal num_completions_to_print log_unique_prompts log_completions_hub_repo
    use_transformers_continuous_batching transformers_continuous_batching_config use_transformers_paged
    dtype attn_implementation lora_dropout lora_target_parameters lora_modules_to_save lora_task_type use_rslora
    use_dora load_in_8bit load_in_4bit bnb_4bit_quant_type use_bnb_nested_quant bnb_4bit_quant_storage
    dataset_name dataset_config dataset_train_split dataset_test_split dataset_streaming datasets ignore_bias_buffers
    reward_model_name_or_path reward_funcs
"""
OUTSIDE = frozenset(_OTHERS.split())
