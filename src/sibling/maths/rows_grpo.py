"""Rows of the table with PPO's clipped token ratio: GRPO, and what differs in advantage, aggregation or masks."""

from __future__ import annotations

from types import MappingProxyType

from sibling.maths.diagnostics import mark_clip, mark_nothing
from sibling.maths.loss import Numbers, Objective
from sibling.maths.surrogates import clip, shaped_expert

CLIP: Numbers = MappingProxyType({"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None})
CLIP_HIGHER: Numbers = MappingProxyType({**CLIP, "clip_high": 0.28})

_TERM = "-min(r A, clip(r, 1-low, 1+high) A)"
_GROUP = "A_i = (R_i - mean_g) / (std_g + eps)"

ROWS = (
    Objective(
        name="grpo",
        title="GRPO",
        paper="DeepSeekMath, arXiv 2402.03300, eq. 3 and 4, sec. 4.1.2",
        equation=f"loss = (1/N) sum_i (1/T_i) sum_t [ {_TERM} + beta k3 ],  {_GROUP}",
        surrogate=clip,
        marks=mark_clip,
        aggregation="seq_mean_token_mean",
        numbers=CLIP,
    ),
    Objective(
        name="grpo_process",
        title="GRPO with process supervision",
        paper="DeepSeekMath, arXiv 2402.03300, eq. 3, sec. 4.1.3",
        equation=(
            f"loss = (1/N) sum_i (1/T_i) sum_t [ {_TERM} + beta k3 ],"
            "  A_it = sum of (x_j - mean_g) / (std_g + eps) over the steps j of i that end at t or later"
        ),
        estimator="process",
        aggregation="seq_mean_token_mean",
        numbers=CLIP,
    ),
    Objective(
        name="dr_grpo",
        title="Dr. GRPO",
        paper="Understanding R1-Zero-Like Training, arXiv 2503.20783",
        equation=f"loss = (1/(N C)) sum_i sum_t {_TERM},  A_i = R_i - mean_g,  C constant",
        estimator_numbers={"scale": "none"},
        aggregation="token_sum_norm",
        numbers=CLIP,
    ),
    Objective(
        name="dapo",
        title="DAPO",
        paper="DAPO, arXiv 2503.14476, eq. 8, 9, 11, 12 and 13",
        equation=f"loss = (1/sum_j T_j) sum_i sum_t {_TERM},  {_GROUP}",
        numbers=CLIP_HIGHER,
    ),
    Objective(
        name="high_entropy",
        title="DAPO on high-entropy tokens (80/20)",
        paper="Beyond the 80/20 Rule, arXiv 2506.01939",
        equation=f"loss = (1/sum_j T_j) sum_i sum_t e_it {_TERM},  e_it = 1 where H_it is in the top share,  {_GROUP}",
        numbers=CLIP_HIGHER,
    ),
    Objective(
        name="deepseek_v3_2",
        title="GRPO as in DeepSeek-V3.2",
        paper="DeepSeek-V3.2, arXiv 2512.02556, sec. 3.1",
        equation=(
            f"loss = (1/N) sum_i (1/T_i) sum_t [ m_i {_TERM} + beta r (exp(-d) - 1 + d) ],  A_i = R_i - mean_g,"
            "  m_i = 0 where A_i < 0 and mean_t (log pi_behaviour - log pi_new) > delta"
        ),
        estimator_numbers={"scale": "none"},
        aggregation="seq_mean_token_mean",
        kl="k3_is",
        numbers=CLIP,
    ),
    Objective(
        name="lite_ppo",
        title="Lite PPO",
        paper="Tricks or Traps, arXiv 2508.08221",
        equation=f"loss = (1/sum_j T_j) sum_i sum_t {_TERM},  A_i = (R_i - mean_g) / (std_batch + eps)",
        estimator_numbers={"scale": "batch"},
        numbers=CLIP,
    ),
    Objective(
        name="local_mean",
        title="GRPO with local token means",
        paper="TRL's loss_type bnpo; no paper",
        equation=f"loss = (1/M) sum_m (1/sum_(j in m) T_j) sum_(i in m) sum_t {_TERM},  M micro-batches,  {_GROUP}",
        aggregation="micro_token_mean",
        numbers=CLIP,
    ),
    Objective(
        name="bnpo",
        title="BNPO",
        paper="Beta Normalization Policy Optimization, arXiv 2506.02864",
        equation=(
            f"loss = (1/sum_j T_j) sum_i sum_t {_TERM},  A_i = (R_i - p) / f(p),  p = mean_g,"
            "  f a Beta density fitted to the group means"
        ),
        estimator="beta",
        numbers=CLIP,
    ),
    Objective(
        name="gdpo",
        title="GDPO",
        paper="GDPO, arXiv 2601.05242",
        equation=(
            f"loss = (1/sum_j T_j) sum_i sum_t {_TERM},  y_i = sum_r weight_r (s_ir - mean_g) / (std_g + eps),"
            "  A_i = (y_i - mean) / (std + eps) over the batch"
        ),
        estimator="gdpo",
        numbers=CLIP,
    ),
    Objective(
        name="passk",
        title="pass@k training",
        paper="Pass@k Training, arXiv 2508.10751",
        equation=(
            f"loss = (1/sum_j T_j) sum_i sum_t {_TERM},  A_right = (1 - R) / s,"
            "  A_wrong = (1 - R - C(N-c-1, k-1) / C(N-1, k-1)) / s,  R = 1 - C(N-c, k) / C(N, k),  s = sqrt(R (1 - R))"
        ),
        estimator="passk",
        numbers=CLIP,
    ),
    Objective(
        name="luffy",
        title="LUFFY",
        paper="Learning to Reason under Off-Policy Guidance, arXiv 2504.14945, sec. 2.3 and 2.4",
        equation=(
            "loss = (1/(N C)) sum_i sum_t -r A on own tokens, -f(pi_new) A on an expert's,  f(x) = x / (x + gamma),"
            "  A_i = R_i - mean_g,  C constant"
        ),
        estimator_numbers={"scale": "none"},
        surrogate=shaped_expert,
        marks=mark_nothing,
        aggregation="token_sum_norm",
        numbers=MappingProxyType({"shaping": 0.1}),
        term=(
            "l = -r A on own tokens, -f(pi_new) A on an expert's,"
            "  f(x) = x / (x + shaping), r = exp(log pi_new - log pi_old)"
        ),
    ),
)
"""In the order of `sibling objectives`."""
