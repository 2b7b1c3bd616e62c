"""Rows of the table with another ratio, another clip, or another weight than PPO's."""

from __future__ import annotations

from types import MappingProxyType

from sibling.maths import diagnostics as marks
from sibling.maths import selections, trust_regions
from sibling.maths import surrogates as terms
from sibling.maths.loss import Objective
from sibling.maths.ratios import geometric_ratio, geometric_token_ratio

_GROUP = "A_i = (R_i - mean_g) / (std_g + eps)"
_TOKEN_MEAN = "loss = (1/sum_j T_j) sum_i sum_t"
_GSPO = MappingProxyType({"clip_low": 3e-4, "clip_high": 4e-4})

ROWS = (
    Objective(
        name="gspo",
        title="GSPO",
        paper="Group Sequence Policy Optimization, arXiv 2507.18071, eq. 5 to 7",
        equation=(
            "loss = (1/N) sum_i -min(s_i A_i, clip(s_i, 1-low, 1+high) A_i),  s_i = exp((1/T_i) sum_t lr_it),"
            f"  {_GROUP}"
        ),
        ratio=geometric_ratio,
        aggregation="seq_mean_token_mean",
        numbers=_GSPO,
        sequence_level=True,
        term=(
            "l = -min(s A, clip(s, 1 - clip_low, 1 + clip_high) A) at every token,"
            "  s = exp(mean_t lr_t),  lr = log pi_new - log pi_old"
        ),
    ),
    Objective(
        name="gspo_token",
        title="GSPO-token",
        paper="Group Sequence Policy Optimization, arXiv 2507.18071, eq. 13 and 14",
        equation=(
            "loss = (1/N) sum_i (1/T_i) sum_t -min(s_it A, clip(s_it, 1-low, 1+high) A),"
            f"  s_it = sg(s_i) exp(lr_it - sg(lr_it)),  {_GROUP}"
        ),
        ratio=geometric_token_ratio,
        aggregation="seq_mean_token_mean",
        numbers=_GSPO,
        sequence_level=True,
        term=(
            "l = -min(s A, clip(s, 1 - clip_low, 1 + clip_high) A),"
            "  s = sg(exp(mean_t lr_t)) exp(lr - sg(lr)),  lr = log pi_new - log pi_old"
        ),
    ),
    Objective(
        name="luspo",
        title="LUSPO",
        paper="Length-Unbiased Sequence Policy Optimization, arXiv 2602.05261",
        equation=(
            "loss = (1/N) sum_i T_i -min(s_i A_i, clip(s_i, 1-low, 1+high) A_i),  s_i = exp((1/T_i) sum_t lr_it),"
            f"  {_GROUP}"
        ),
        ratio=geometric_ratio,
        aggregation="seq_mean_token_sum",
        numbers=MappingProxyType({"clip_low": 2e-3, "clip_high": 2.5e-3}),
        sequence_level=True,
        term=(
            "l = -min(s A, clip(s, 1 - clip_low, 1 + clip_high) A) at every token,"
            "  s = exp(mean_t lr_t),  lr = log pi_new - log pi_old"
        ),
    ),
    Objective(
        name="gmpo",
        title="GMPO",
        paper="Geometric-Mean Policy Optimization, arXiv 2507.20673",
        equation=(
            "loss = (1/N) sum_i -A_i exp((1/T_i) sum_t c_it),  c = min(lr, high) if A > 0, max(lr, -low) if A < 0,"
            f"  {_GROUP}"
        ),
        surrogate=terms.geometric_mean,
        marks=marks.mark_log_clip,
        aggregation="seq_mean_token_mean",
        numbers=MappingProxyType({"clip_low": 0.4, "clip_high": 0.4}),
        sequence_level=True,
        term=(
            "l = -A exp(mean_t c_t) at every token,"
            "  c = min(lr, clip_high) if A > 0, max(lr, -clip_low) if A < 0,  lr = log pi_new - log pi_old"
        ),
    ),
    Objective(
        name="cispo",
        title="CISPO",
        paper="MiniMax-M1, arXiv 2506.13585, eq. 4 and 5",
        equation=f"{_TOKEN_MEAN} -sg(clip(r, min, max)) A log pi_new,  {_GROUP}",
        surrogate=terms.bounded_weight,
        marks=marks.mark_bounds,
        numbers=MappingProxyType({"ratio_min": None, "ratio_max": 5.0}),
        term="l = -sg(clip(r, ratio_min, ratio_max)) A log pi_new,  r = exp(log pi_new - log pi_old)",
    ),
    Objective(
        name="sapo",
        title="SAPO",
        paper="Soft Adaptive Policy Optimization, arXiv 2511.20347",
        equation=f"loss = (1/N) sum_i (1/T_i) sum_t -(4/tau) sigmoid(tau (r - 1)) A,  {_GROUP}",
        surrogate=terms.soft_gate,
        marks=marks.mark_nothing,
        aggregation="seq_mean_token_mean",
        numbers=MappingProxyType({"tau_positive": 1.0, "tau_negative": 1.05}),
        term=(
            "l = -(4 / tau) sigmoid(tau (r - 1)) A,"
            "  tau = tau_positive if A > 0, else tau_negative, r = exp(log pi_new - log pi_old)"
        ),
    ),
    Objective(
        name="vespo",
        title="VESPO",
        paper="VESPO, arXiv 2602.10693",
        equation=(
            f"{_TOKEN_MEAN} -sg(exp(lambda (1 - W_i)) W_i^k) A log pi_new,  W_i = prod_t r_it (and sampler weights),"
            f"  {_GROUP}"
        ),
        surrogate=terms.smooth_sequence_weight,
        marks=marks.mark_nothing,
        numbers=MappingProxyType(
            {"k_positive": 2.0, "lambda_positive": 3.0, "k_negative": 3.0, "lambda_negative": 2.0}
        ),
        absorbs_sampler_weight=True,
        term=(
            "l = -sg(exp(lambda (1 - W)) W^k) A log pi_new,"
            "  W = exp(sum_t clip(lr_t, -20, 20)) times the sampler weights,  lr = log pi_new - log pi_old"
        ),
    ),
    Objective(
        name="dppo_tv",
        title="DPPO with total variation",
        paper="DPPO, arXiv 2602.04879",
        equation=(
            f"{_TOKEN_MEAN} -sg(min(r, cap)) A log pi_new where kept,"
            "  dropped: A > 0 and p - q > high, A <= 0 and p - q < -low,"
            f"  {_GROUP}"
        ),
        surrogate=trust_regions.within_total_variation,
        marks=marks.mark_dropped_tv,
        numbers=MappingProxyType({"delta_low": 0.15, "delta_high": 0.15, "ratio_cap": 20.0}),
        term=(
            "l = -sg(min(r, ratio_cap)) A log pi_new where kept,"
            "  dropped: A > 0 and p - q > delta_high, A <= 0 and p - q < -delta_low"
        ),
    ),
    Objective(
        name="dppo_kl",
        title="DPPO with the binary KL",
        paper="DPPO, arXiv 2602.04879",
        equation=(
            f"{_TOKEN_MEAN} -sg(min(r, cap)) A log pi_new where kept,"
            "  dropped: D > delta in the direction of A,  D = q log(q/p) + (1-q) log((1-q)/(1-p)),"
            f"  {_GROUP}"
        ),
        surrogate=trust_regions.within_binary_kl,
        marks=marks.mark_dropped_kl,
        numbers=MappingProxyType({"delta_low": 0.05, "delta_high": 0.05, "ratio_cap": 20.0, "tail_eps": 1e-8}),
        term="l = -sg(min(r, ratio_cap)) A log pi_new where kept,  dropped: D > delta in the direction of A",
    ),
    Objective(
        name="clip_cov",
        title="Clip-Cov",
        paper="The Entropy Mechanism, arXiv 2505.22617",
        equation=(
            f"{_TOKEN_MEAN} -min(r A, clip(r, 1-low, 1+high) A), 0 at a random share of the tokens with"
            f" low < (A - mean A)(log pi_new - mean log pi_new) < high,  {_GROUP}"
        ),
        surrogate=terms.clip_without_selected,
        marks=marks.mark_clip_cov,
        numbers=MappingProxyType(
            {"clip_low": 0.2, "clip_high": 0.2, "share": 2e-4, "score_low": 1.0, "score_high": 5.0}
        ),
        select=selections.within,
        term=(
            "l = -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), 0 at a random share of the tokens"
            " of high covariance"
        ),
    ),
    Objective(
        name="kl_cov",
        title="KL-Cov",
        paper="The Entropy Mechanism, arXiv 2505.22617",
        equation=(
            f"{_TOKEN_MEAN} -r A, + c |lr| at the share of tokens with the largest"
            f" (A - mean A)(log pi_new - mean log pi_new),  {_GROUP}"
        ),
        surrogate=terms.penalised_covariance,
        marks=marks.mark_nothing,
        numbers=MappingProxyType({"share": 2e-3, "coefficient": 1.0}),
        select=selections.highest,
        acts_without_advantage=True,
        term="l = -r A, + coefficient |lr| at the share of tokens of highest covariance,  lr = log pi_new - log pi_old",
    ),
)
"""In the order of `sibling objectives`."""
