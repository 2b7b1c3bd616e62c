"""Rows of the table that GRPO is measured against: PPO, REINFORCE and its relatives, and plain policy gradients."""

from __future__ import annotations

from types import MappingProxyType

from sibling.maths.diagnostics import mark_clip, mark_nothing
from sibling.maths.loss import Objective
from sibling.maths.ratios import product_ratio
from sibling.maths.rows_grpo import CLIP
from sibling.maths.surrogates import policy_gradient, squared_log_ratio

_TERM = "-min(r A, clip(r, 1-low, 1+high) A)"
_TOKEN_MEAN = "loss = (1/sum_j T_j) sum_i sum_t"

ROWS = (
    Objective(
        name="ppo",
        title="PPO with a critic",
        paper="Proximal Policy Optimization, arXiv 1707.06347, eq. 7, 11 and 12; GAE, arXiv 1506.02438",
        equation=(
            f"{_TOKEN_MEAN} {_TERM},  delta_t = r_t + gamma V_t+1 - V_t,  A_t = delta_t + gamma lam A_t+1 (whitened),"
            "  r_t = -beta (log pi_old - log pi_ref) (+ R_i at the end),"
            "  value loss = 1/2 mean max((v - G)^2, (clip(v, v_old - c, v_old + c) - G)^2),  G = A + V"
        ),
        estimator="gae",
        numbers=CLIP,
    ),
    Objective(
        name="rloo",
        title="RLOO",
        paper="Back to Basics, arXiv 2402.14740",
        equation="loss = (1/N) sum_i sum_t -A log pi_new,  A_i = R_i - mean of the others",
        estimator="rloo",
        surrogate=policy_gradient,
        marks=mark_nothing,
        aggregation="seq_mean_token_sum",
        term="l = -A log pi_new",
    ),
    Objective(
        name="rloo_clip",
        title="RLOO with a sequence clip",
        paper="RLOO, arXiv 2402.14740, as TRL's RLOOTrainer runs it",
        equation=(
            "loss = (1/N) sum_i -min(S_i A_i, clip(S_i, 1-low, 1+high) A_i),  S_i = exp(sum_t lr_it),"
            "  A_i = R_i - mean of the others"
        ),
        estimator="rloo",
        ratio=product_ratio,
        aggregation="seq_mean_token_mean",
        numbers=MappingProxyType({"clip_low": 0.2, "clip_high": 0.2}),
        sequence_level=True,
        term=(
            "l = -min(S A, clip(S, 1 - clip_low, 1 + clip_high) A) at every token,"
            "  S = exp(sum_t lr_t),  lr = log pi_new - log pi_old"
        ),
    ),
    Objective(
        name="reinforce",
        title="REINFORCE",
        paper="Williams, 1992",
        equation=f"{_TOKEN_MEAN} -A log pi_new,  A_i = R_i",
        estimator="reinforce",
        surrogate=policy_gradient,
        marks=mark_nothing,
        term="l = -A log pi_new",
    ),
    Objective(
        name="reinforce_pp",
        title="REINFORCE++",
        paper="REINFORCE++, arXiv 2501.03262, eq. 8 to 10",
        equation=(
            f"loss = (1/N) sum_i (1/T_i) sum_t {_TERM},  G_t = r_t + gamma G_t+1,"
            "  r_t = -beta (log pi_old - log pi_ref) (+ R_i at the end),  A = z-score of G over the batch"
        ),
        estimator="reinforce_pp",
        aggregation="seq_mean_token_mean",
        numbers=CLIP,
    ),
    Objective(
        name="reinforce_pp_baseline",
        title="REINFORCE++ with a group baseline",
        paper="REINFORCE++, arXiv 2501.03262, appendix",
        equation=f"{_TOKEN_MEAN} {_TERM},  A = z-score over the batch of R_i - mean_g",
        estimator="reinforce_pp_baseline",
        marks=mark_clip,
        numbers=CLIP,
    ),
    Objective(
        name="gpg",
        title="GPG",
        paper="Group Policy Gradient, arXiv 2504.02546, eq. 5 and 7",
        equation=f"{_TOKEN_MEAN} -A log pi_new,  A_i = (B / (B - M)) (R_i - mean_g) / F,  B groups, M of them dead",
        estimator="gpg",
        surrogate=policy_gradient,
        marks=mark_nothing,
        term="l = -A log pi_new",
    ),
    Objective(
        name="opo",
        title="OPO",
        paper="On-Policy RL with Optimal Baseline, arXiv 2505.23585",
        equation=f"{_TOKEN_MEAN} -A log pi_new,  A_i = R_i - sum_j T_j R_j / sum_j T_j over the group",
        estimator="opo",
        surrogate=policy_gradient,
        marks=mark_nothing,
        term="l = -A log pi_new",
    ),
    Objective(
        name="maxrl",
        title="MaxRL",
        paper="Maximum Likelihood RL, arXiv 2602.02710",
        equation=f"{_TOKEN_MEAN} -A log pi_new,  A_i = (R_i - mean_g) / (mean_g + eps)",
        estimator="maxrl",
        surrogate=policy_gradient,
        marks=mark_nothing,
        term="l = -A log pi_new",
    ),
    Objective(
        name="pkpo",
        title="PKPO",
        paper="Pass@K Policy Optimization, arXiv 2505.15201",
        equation=(
            f"{_TOKEN_MEAN} -A log pi_new,  A_right = k/N,  A_wrong = (k/N) (1 - C(N-1-c, k-1) / C(N-1, k-1)),"
            "  c of N right"
        ),
        estimator="pkpo",
        surrogate=policy_gradient,
        marks=mark_nothing,
        term="l = -A log pi_new",
    ),
    Objective(
        name="passk_max",
        title="Best of k",
        paper="Optimizing Language Models for Inference Time Objectives, arXiv 2503.19595",
        equation=f"{_TOKEN_MEAN} -A log pi_new,  A = best - second best for the best sibling, 0 for the rest",
        estimator="best",
        surrogate=policy_gradient,
        marks=mark_nothing,
        term="l = -A log pi_new",
    ),
    Objective(
        name="kimi",
        title="Kimi k1.5 mirror descent",
        paper="Kimi k1.5, arXiv 2501.12599, eq. 3",
        equation="loss = (1/N) sum_i [ -A_i x_i + (tau/2) x_i^2 ],  x_i = sum_t lr_it,  A_i = R_i - mean_g",
        estimator_numbers={"scale": "none"},
        surrogate=squared_log_ratio,
        marks=mark_nothing,
        aggregation="seq_mean_token_mean",
        numbers=MappingProxyType({"tau": 0.01}),
        sequence_level=True,
        acts_without_advantage=True,
        term="l = -A x + (tau / 2) x^2 at every token,  x = sum_t lr_t,  lr = log pi_new - log pi_old",
    ),
)
"""In the order of `sibling objectives`."""
