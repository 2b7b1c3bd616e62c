"""Golden cases other than policy losses: each function yields phrases about the numbers that miss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from sibling.maths.advantages import overlong_penalty
from sibling.maths.controllers import adaptive_beta
from sibling.maths.critic import value_clipped, value_loss
from sibling.maths.golden_numbers import Case, Dtype, column, inexact_zeros, mask_of, miss, padded
from sibling.maths.groups import keep_groups
from sibling.maths.intervals import consensus_at_k, majority_vote, mean_at_k, pass_at_k
from sibling.maths.kl import ESTIMATORS
from sibling.maths.ratios import token_log_ratio, token_ratio
from sibling.maths.returns import generalised_advantage

_PADDING = 50.0  # as a value absurd: a leak of padding cannot go unseen


def kl_estimators(case: Case, dtype: Dtype) -> Iterator[str]:
    """Value and gradient of every estimator."""
    kind = getattr(torch, dtype)
    mask = torch.ones(1, 1, dtype=torch.bool)
    for i, row in enumerate(case["rows"]):
        for name, estimator in ESTIMATORS.items():
            new, old, ref = (torch.tensor([[row[f"logp_{p}"]]], dtype=kind) for p in ("new", "old", "ref"))
            new.requires_grad_()
            value = estimator(new - ref, token_ratio(token_log_ratio(new, old), mask))
            (gradient,) = torch.autograd.grad(value.sum(), new)
            yield from miss(f"row {i} {name}", value.item(), row[name], dtype)
            yield from miss(f"row {i} {name}_grad", gradient.item(), row[f"{name}_grad"], dtype)


def gae(case: Case, dtype: Dtype) -> Iterator[str]:
    """Advantages and returns; always in float64, as in a run."""
    for i, row in enumerate(case["rows"]):
        mask = mask_of(row["mask"])
        rewards, values = (column([row], field, [mask])[0] for field in ("rewards", "values"))
        advantage, target = generalised_advantage(rewards, values, mask, gamma=row["gamma"], lam=row["lam"])
        for name, seen in (("advantages", advantage), ("returns", target)):
            yield from miss(f"row {i} {name}", seen, row[name], dtype)
            yield from inexact_zeros(f"row {i} {name}", seen[~mask], np.array(row[name])[~mask])


def value_loss_case(case: Case, dtype: Dtype) -> Iterator[str]:
    """Loss, gradient and share of clipped tokens."""
    kind = getattr(torch, dtype)
    masks = [mask_of(m) for m in case["mask"]]
    columns = zip(case["v_new"], case["v_old"], case["returns"], strict=True)
    rows = [dict(zip(("v_new", "v_old", "returns"), row, strict=True)) for row in columns]
    new, old, target = (padded(column(rows, f, masks), _PADDING, kind) for f in ("v_new", "v_old", "returns"))
    mask = padded(masks, False, torch.bool)
    active = max(int(mask.sum()), 1)
    weight = torch.full((len(masks),), 1.0 / active, dtype=kind)
    new.requires_grad_()
    loss = value_loss(new, old, target, mask, weight, clip=case["clip"])
    (gradient,) = torch.autograd.grad(loss, new)
    wanted = case["expected"]
    clipped = int((value_clipped(new, old, target, clip=case["clip"]) & mask).sum())
    yield from miss("loss", loss.item(), wanted["loss"], dtype)
    yield from miss("grad", [g[: len(m)] for g, m in zip(gradient.tolist(), masks, strict=True)], wanted["grad"], dtype)
    yield from miss("clip_fraction", clipped / active, wanted["clip_fraction"], "float64")


def overlong(case: Case, dtype: Dtype) -> Iterator[str]:
    """Soft overlong punishment."""
    for row in case["rows"]:
        seen = overlong_penalty(row["length"], case["max_len"], case["cache"])
        yield from miss(f"length {row['length']}", seen, row["penalty"], dtype)


def pass_at_k_rows(case: Case, dtype: Dtype) -> Iterator[str]:
    """Unbiased pass@k."""
    for row in case["rows"]:
        n, c, k = row["n"], row["c"], row["k"]
        yield from miss(f"n {n} c {c} k {k}", pass_at_k(n, c, k), row["value"], dtype)


def cons_at_k(case: Case, dtype: Dtype) -> Iterator[str]:
    """Majority vote and mean@k."""
    for i, row in enumerate(case["rows"]):
        answers, reference = row["answers"], row["reference"]
        if majority_vote(answers) != row["voted"]:
            yield f"row {i} voted: {majority_vote(answers)!r}, wanted {row['voted']!r}"
        seen = {
            "correct": consensus_at_k(answers, reference),
            "correct_uniform_ties": consensus_at_k(answers, reference, ties="uniform"),
            "mean_at_k": mean_at_k([a == reference for a in answers]),
        }
        for name, value in seen.items():
            yield from miss(f"row {i} {name}", value, row[name], dtype)


def adaptive_kl(case: Case, dtype: Dtype) -> Iterator[str]:
    """Adaptive KL coefficient."""
    for i, row in enumerate(case["rows"]):
        seen = adaptive_beta(row["coef"], row["kl"], target=row["target"], horizon=row["horizon"], n=row["n_steps"])
        yield from miss(f"row {i}", seen, row["next"], dtype)


def dynamic_sampling(case: Case, dtype: Dtype) -> Iterator[str]:
    """Groups kept because their rewards are not all equal."""
    del dtype
    names, group = np.unique(case["groups"], return_inverse=True)
    kept = [str(name) for name in names[keep_groups(np.array(case["rewards"], dtype=np.float64), group)]]
    if sorted(kept) != sorted(str(name) for name in case["expected"]["kept"]):
        yield f"kept: {kept}, wanted {case['expected']['kept']}"
