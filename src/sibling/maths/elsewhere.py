"""What the rows of the table are called in other libraries, and what differs there.

Read in TRL 1.16.0, verl of 2026-08-22 and OpenRLHF of 2026-08-13. A name alone rarely means the same objective.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NOTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "grpo": (
            "TRL: loss_type grpo with scale_rewards group; its defaults (loss_type dapo, beta 0) are not the "
            "paper's, and with beta above 0 its KL is multiplied by the ratio (use_bias_correction_kl, on by "
            "default: k3_is here).",
            "verl: adv_estimator grpo with loss_agg_mode seq-mean-token-mean; eps 1e-6, dual clip 3, "
            "log-ratio held to 20 and k3 to 10 by default.",
            "OpenRLHF: estimator group_norm, eps 1e-9; its command line has no per-sequence mean, so the loss"
            " is a token mean.",
            "The paper states neither clip bounds, eps nor whether the std divides by G or G - 1.",
        ),
        "grpo_process": (
            "TRL, verl, OpenRLHF: none; their GRPO takes one reward a completion.",
            "Nothing divides by the number of steps, so longer completions can have larger sums, as in the paper.",
        ),
        "dr_grpo": (
            "C is the generation budget, as in the authors' code; the paper's equation has C = 1.",
            "TRL: loss_type dr_grpo is the constant (max_completion_length) alone; scale_rewards none drops the std.",
            "verl: seq-mean-token-sum-norm with norm_adv_by_std_in_grpo false; divides by the padded width "
            "unless loss_scale_factor is set.",
            "OpenRLHF: the estimator dr_grpo drops the std only; its loss stays a token mean.",
        ),
        "dapo": (
            "The paper's eq. 8 divides by the tokens of each group (group_token_mean); the code its authors "
            "used by those of the mini-batch (token_mean, here).",
            "TRL: loss_type dapo, its default, with epsilon 0.2 on both sides; with several optimizer steps a"
            " generation it divides by their average token count, not the step's own.",
            "verl: loss_agg_mode token-mean with adv_estimator grpo; clip_ratio alone changes nothing, for "
            "clip_ratio_low and clip_ratio_high have defaults.",
            "OpenRLHF: group_norm with eps_clip_low_high; dynamic_filtering_enable, overlong_buffer_len.",
            "Dynamic sampling, overlong filtering and the soft punishment are settings of their own here.",
        ),
        "high_entropy": (
            "TRL: top_entropy_quantile, the kept share; its quantile is over a micro-batch, here over the "
            "optimizer step.",
            "verl, OpenRLHF: none.",
        ),
        "deepseek_v3_2": (
            "TRL: scale_rewards none, use_bias_correction_kl (its default) and off_policy_mask_threshold with"
            " loss_type grpo; a token the sampler did not score counts as no drift there, as pi_old here.",
            "verl, OpenRLHF: no such mask; verl's kl_loss_type k3+ is the value of k3 with k2's gradient (k3_st here).",
        ),
        "lite_ppo": (
            "TRL: scale_rewards batch with loss_type dapo; the std is that of the raw rewards, as here.",
            "verl, OpenRLHF: none; their whitening divides by the std of the centred values.",
        ),
        "local_mean": (
            "TRL: loss_type bnpo (not the method of the paper BNPO); equal when the micro-batches are the same.",
            "verl: token-mean without global counts; its trainer passes them, so it is not reached by a setting.",
        ),
        "bnpo": ("TRL's bnpo is local_mean here. verl, OpenRLHF: none.",),
        "gdpo": (
            "TRL: multi_objective_aggregation normalize_then_sum; equal, missing scores included.",
            "verl: adv_estimator gdpo, eps 1e-6, with its last z-score over tokens instead of completions.",
            "OpenRLHF: none.",
        ),
        "gspo": (
            "TRL: importance_sampling_level sequence with loss_type grpo; with dapo or bnpo a completion "
            "counts by its length, and its KL is multiplied by the sequence's ratio.",
            "verl: loss_mode gspo is the token form (gspo_token here).",
            "OpenRLHF: policy_loss_type gspo; with its sampler correction on, the ratio is to the sampler "
            "instead of pi_old.",
        ),
        "gspo_token": (
            "TRL: none.",
            "verl: loss_mode gspo, always seq-mean-token-mean whatever loss_agg_mode says, log-ratio held to "
            "10 from above.",
        ),
        "luspo": (
            "TRL: loss_type luspo with importance_sampling_level sequence, which is not the default: with "
            "token it is the token clip summed over the sequence.",
            "verl, OpenRLHF: none.",
        ),
        "gmpo": (
            "TRL, OpenRLHF: none.",
            "verl: loss_mode geo_mean; its mean is over the micro-batch, not the optimizer step.",
        ),
        "cispo": (
            "TRL: loss_type cispo; epsilon_high is the cap itself, and null makes it epsilon, 0.2: every "
            "weight is then 0.2 or less. No lower bound.",
            "verl: loss_mode cispo with [1 - clip_ratio_low, 1 + clip_ratio_high], 0.8 to 1.2 by default.",
            "OpenRLHF: none.",
        ),
        "sapo": (
            "TRL: loss_type sapo, sapo_temperature_pos 1.0 and sapo_temperature_neg 1.05; equal.",
            "verl: loss_mode sapo, tau_pos and tau_neg, always seq-mean-token-mean, log-ratio held to 20.",
        ),
        "vespo": (
            "TRL: loss_type vespo, vespo_k_pos 2, vespo_lambda_pos 3, vespo_k_neg 3, vespo_lambda_neg 2; "
            "equal, token weights of the sampler included.",
            "verl, OpenRLHF: none.",
        ),
        "dppo_tv": (
            "verl: loss_mode dppo_tv; the bounds are clip_ratio_low and clip_ratio_high (0.2), the cap "
            "clip_ratio_c (3.0, although its code names 20).",
            "TRL, OpenRLHF: none.",
        ),
        "dppo_kl": ("verl: loss_mode dppo_kl, the same settings as dppo_tv. TRL, OpenRLHF: none.",),
        "clip_cov": (
            "verl: loss_mode clip_cov, clip_cov_ratio 2e-4, clip_cov_lb 1, clip_cov_ub 5; chosen within a "
            "micro-batch, here within the optimizer step.",
        ),
        "kl_cov": (
            "verl: loss_mode kl_cov, kl_cov_ratio 2e-4 and ppo_kl_coef 0.1 (the authors' scripts: 2e-3 or "
            "2e-4, and 1); chosen within a micro-batch.",
        ),
        "ppo": (
            "TRL: none; 1.16.0 has no PPO trainer with a critic.",
            "verl: adv_estimator gae, its default: lam 1, critic.optim.lr 1e-5, cliprange_value 0.5, dual clip 3.",
            "OpenRLHF: estimator gae, its default; tool output is stepped through, not skipped; whitening "
            "divides by n.",
        ),
        "rloo": (
            "TRL: RLOOTrainer clips the product ratio (rloo_clip here).",
            "verl: adv_estimator rloo is the advantage alone, under the clipped token ratio of loss_mode vanilla.",
            "OpenRLHF: the same, with the KL added token by token.",
        ),
        "rloo_clip": (
            "TRL: RLOOTrainer, beta 0.05 in the reward and 2 completions a prompt; equal, but a completion "
            "without tokens adds -A / N to its loss value. Its normalize_advantages has no like here.",
            "verl, OpenRLHF: none.",
        ),
        "reinforce": ("verl: loss_mode gpg with one completion a prompt. OpenRLHF's reinforce is REINFORCE++.",),
        "reinforce_pp": (
            "verl: adv_estimator reinforce_plus_plus with loss_agg_mode seq-mean-token-mean; its std divides by n - 1.",
            "OpenRLHF: estimator reinforce; divides by n, and its loss is a token mean.",
            "TRL: none.",
        ),
        "reinforce_pp_baseline": (
            "verl: adv_estimator reinforce_plus_plus_baseline; equal.",
            "OpenRLHF: estimator reinforce_baseline; divides by n.",
            "TRL: none; scale_rewards batch divides by the std of the raw rewards (lite_ppo here).",
        ),
        "gpg": (
            "verl: adv_estimator gpg with loss_mode gpg; scales by all completions over those with a reward "
            "other than 0, which is the inverse accuracy for rewards of 0 and 1.",
            "TRL, OpenRLHF: none.",
        ),
        "opo": ("verl: adv_estimator opo under the clipped ratio of loss_mode vanilla. TRL, OpenRLHF: none.",),
        "passk_max": (
            "verl: adv_estimator grpo_passk; divides by the group's std unless norm_adv_by_std_in_grpo is false.",
            "TRL, OpenRLHF: none.",
        ),
        "passk": (
            "TRL, verl, OpenRLHF: none. Some trainers sample subsets of k; here the average over all of them is exact.",
        ),
        "pkpo": ("TRL, verl, OpenRLHF: none.", "There is no baseline; a group that is all right still has advantages."),
        "maxrl": (
            "prime-rl: max_rl. TRL, verl, OpenRLHF: none.",
            "The authors' code divides by mean_g + 1e-6, as here; without the term it is the paper's equation.",
        ),
        "kimi": (
            "TRL, verl, OpenRLHF: none.",
            "Public reimplementations divide the log-ratio by the length; the paper's equation does not. tau is not "
            "given in the paper; 0.01 is one reimplementation's.",
        ),
        "luffy": (
            "TRL, verl, OpenRLHF: none.",
            "The authors' code forms the expert's ratio from stored old log-probs; here, as in the paper, its "
            "probability is 1. Their configuration drops the length normalisation, as here.",
        ),
    }
)
"""Name of the row -> notes, one sentence each."""
