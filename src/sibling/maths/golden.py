"""Runs a file of golden vectors through the functions the trainer uses.

A document is `{"schema_version": 1, "cases": [...]}`; each case has inputs and the numbers an implementation must
produce. Every policy-loss case goes through `group_advantages`, `sequence_weights` and, micro-batch by
micro-batch, `policy_loss`, with its gradient by autograd; nothing is computed a second way here. Padding is
filled with a large number, since it must not matter. Cases that need a part this version does not have are
reported as "not built" with the name of the part.

Tolerances: float64 |x - x*| <= 1e-10 max(1, |x*|); float32 |x - x*| <= 1e-5 max(0.01, M), M the largest |x*| of the
same array. Shares of tokens must be right in both, and an advantage of exactly 0 must be exactly 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sibling.errors import RequestError
from sibling.maths.advantages import group_advantages, overlong_penalty, total_reward
from sibling.maths.aggregation import MODES, sequence_weights
from sibling.maths.groups import keep_groups
from sibling.maths.intervals import consensus_at_k, majority_vote, mean_at_k, pass_at_k
from sibling.maths.kl import ESTIMATORS
from sibling.maths.objectives import OBJECTIVES, LossParts, policy_loss
from sibling.maths.ratios import token_log_ratio, token_ratio

Case = Mapping[str, Any]
Dtype = Literal["float64", "float32"]
Status = Literal["pass", "miss", "not built"]

_PADDING = 50.0  # as a log-prob absurd, and exp of it large: a leak of padding cannot go unseen


@dataclass(frozen=True)
class CaseResult:
    """What became of one case. `detail` names the numbers that miss, or the part that is not built."""

    id: str
    title: str
    kind: str
    status: Status
    detail: str = ""


def check_cases(document: Mapping[str, Any], dtype: Dtype) -> list[CaseResult]:
    """Run every case of a golden document in `dtype`; one result a case, in order.

    Cases marked float64_only are left out in float32. Raises `RequestError` for a document or case that cannot
    be read.
    """
    if document.get("schema_version") != 1 or not isinstance(document.get("cases"), list):
        raise RequestError(
            "The file is not a document of golden vectors this version reads",
            seen=f"schema_version {document.get('schema_version')!r}",
            wanted="schema_version 1 and a list of cases",
        )
    cases = document["cases"]
    return [_result(case, dtype) for case in cases if dtype == "float64" or not case.get("float64_only")]


def _result(case: Case, dtype: Dtype) -> CaseResult:
    try:
        missing = _missing_part(case)
        misses = [] if missing else list(_KINDS[case["kind"]](case, dtype))
        about = (str(case["id"]), str(case["title"]), str(case["kind"]))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        name = case.get("id", "without an id") if isinstance(case, Mapping) else repr(case)[:40]
        raise RequestError(
            f"The golden case {name} cannot be read", seen=f"{type(error).__name__}: {error}", wanted="a complete case"
        ) from error
    if missing:
        return CaseResult(*about, status="not built", detail=missing)
    return CaseResult(*about, status="miss" if misses else "pass", detail="; ".join(misses))


# --------------------------------------------------------------------------------------- what is built


@dataclass(frozen=True)
class _Variant:
    """How a surrogate of the golden file is named here."""

    row: str  # an objective of the table with this ratio and surrogate
    numbers: Mapping[str, str]  # the row's number -> the field of the case


_VARIANTS = MappingProxyType(
    {"clip": _Variant("grpo", {"clip_low": "eps_low", "clip_high": "eps_high", "dual_clip": "dual_clip"})}
)

_MODIFIERS = MappingProxyType(
    {
        "sampler_correction": "correction for the sampler's log-probs",
        "off_policy_mask": "off-policy sequence mask",
        "entropy_mask": "entropy mask",
    }
)


def _missing_part(case: Case) -> str:
    """The first part a case needs that this version does not have; empty if it has them all."""
    if case["kind"] not in _KINDS:
        return f"kind {case['kind']}"
    if case["kind"] != "policy_loss":
        return ""
    named = (
        ("advantage estimator", case["advantage"]["estimator"], ("grpo",)),
        ("surrogate", case["objective"]["variant"], tuple(_VARIANTS)),
        ("aggregation", case["aggregation"]["mode"], MODES),
        ("KL estimator", (case["kl"] or {"estimator": "k3"})["estimator"], tuple(ESTIMATORS)),
    )
    for part, name, known in named:
        if name not in known:
            return f"{part} {name}"
    if case["advantage"].get("kl_in_reward"):
        return "KL in the reward"
    return next((words for key, words in _MODIFIERS.items() if case.get(key)), "")


# ----------------------------------------------------------------------------------------- comparison


def compare_numbers(name: str, seen: object, wanted: object, dtype: Dtype) -> str | None:
    """None if `seen` equals `wanted` within the tolerance of `dtype`, else a phrase that says where it does not.

    Both are numbers, None for missing, or (nested) lists of them. For a list the float32 scale is its largest entry.
    """
    got, want = list(_flat(seen)), list(_flat(wanted))
    if len(got) != len(want):
        return f"{name}: {len(got)} numbers, wanted {len(want)}"
    scale = max((abs(w) for w in want if w is not None), default=0.0)
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        if g is None or w is None:
            wrong = g is not w
        else:
            bound = 1e-10 * max(1.0, abs(w)) if dtype == "float64" else 1e-5 * max(0.01, scale)
            wrong = not abs(g - w) <= bound  # written so that NaN is wrong
        if wrong:
            return f"{name}: {g!r}, wanted {w!r}" + (f" (entry {i})" if len(want) > 1 else "")
    return None


def _flat(value: Any) -> Iterator[float | None]:
    if value is None:
        yield None
    elif isinstance(value, np.ndarray | torch.Tensor):
        yield from _flat(value.tolist())
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield float(value)


def _missing_as_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]


# ---------------------------------------------------------------------------------------- policy loss


@dataclass(frozen=True)
class _Batch:
    """The whole batch of a case: the quantities known before the first backward pass."""

    sequences: Sequence[Case]
    masks: list[NDArray[np.bool_]]
    reward: NDArray[np.float64]
    advantage: NDArray[np.float64]
    weight: NDArray[np.float64]


def _policy_loss(case: Case, dtype: Dtype) -> Iterator[str]:
    batch = _batch(case)
    parts: list[LossParts] = []
    gradient: list[list[float]] = [[] for _ in batch.sequences]
    for rows in case["micro_batches"]:
        part, grad = _micro_batch(case, batch, rows, getattr(torch, dtype))
        parts.append(part)
        for position, row in enumerate(rows):
            gradient[row] = grad[position][: len(batch.masks[row])]
    active = int(sum(m.sum() for m in batch.masks))
    seen = {
        "reward_total": _missing_as_none(batch.reward),
        "advantages_sequence": batch.advantage,
        "advantages_token": [(a * m).tolist() for a, m in zip(batch.advantage, batch.masks, strict=True)],
        "loss": sum(p.loss.item() for p in parts),
        "policy_loss": sum(p.policy.item() for p in parts),
        "kl_loss": sum(p.kl.item() for p in parts),
        "kl_mean": sum(p.kl_sum.item() for p in parts) / max(active, 1) if case["kl"] else None,
        "micro_losses": [p.loss.item() for p in parts],
        "grad": gradient,
        "active_tokens": active,
        "token_weight": batch.weight,
    }
    wanted = case["expected"]
    for name, value in seen.items():
        yield from _miss(name, value, wanted[name], dtype)
    yield from _inexact_zeros(batch.advantage, wanted["advantages_sequence"])
    for name, share in _clip_shares(parts, active).items():
        yield from _miss(f"clip_fraction.{name}", share, wanted["clip_fraction"][name], "float64")


def _batch(case: Case) -> _Batch:
    sequences = case["sequences"]
    _, group = np.unique([s["group"] for s in sequences], return_inverse=True)
    masks = [np.array(s["mask"], dtype=bool) for s in sequences]
    if case["mask_truncated"]:
        masks = [m & (not s["truncated"]) for m, s in zip(masks, sequences, strict=True)]
    reward = _rewards(case["advantage"], sequences)
    how = case["aggregation"]
    return _Batch(
        sequences=sequences,
        masks=masks,
        reward=reward,
        advantage=group_advantages(reward, group, **{k: case["advantage"][k] for k in ("scale", "ddof", "eps")}),
        weight=sequence_weights(
            np.array([m.sum() for m in masks], dtype=np.int64),
            group,
            mode=how["mode"],
            constant=how.get("constant"),
            count_masked=how.get("seq_denominator", "all") == "all",
            micro_batches=case["micro_batches"],
        ),
    )


def _rewards(how: Case, sequences: Sequence[Case]) -> NDArray[np.float64]:
    given = [s["reward"] if isinstance(s["reward"], list) else [s["reward"]] for s in sequences]
    scores = np.array(given, dtype=np.float64)  # None becomes NaN: missing
    total = total_reward(scores, how.get("reward_weights") or [1.0] * scores.shape[1])
    if how.get("overlong"):
        lengths = np.array([len(s["mask"]) for s in sequences], dtype=np.int64)
        total = total + overlong_penalty(lengths, how["overlong"]["max_len"], how["overlong"]["cache"])
    return total


def _micro_batch(
    case: Case, batch: _Batch, rows: Sequence[int], dtype: torch.dtype
) -> tuple[LossParts, list[list[float]]]:
    """Loss parts of one micro-batch and d loss / d logp_new, padded."""
    how, kl = case["objective"], case["kl"] or {"estimator": None, "beta": 0.0}
    variant = _VARIANTS[how["variant"]]
    new = _padded([batch.sequences[i]["logp_new"] for i in rows], _PADDING, dtype).requires_grad_()
    parts = policy_loss(
        OBJECTIVES[variant.row],
        logp_new=new,
        logp_old=_padded([batch.sequences[i]["logp_old"] for i in rows], -_PADDING, dtype),
        logp_ref=_padded([batch.sequences[i]["logp_ref"] for i in rows], -_PADDING, dtype) if case["kl"] else None,
        advantage=torch.tensor(batch.advantage[list(rows)], dtype=dtype),
        mask=_padded([batch.masks[i] for i in rows], False, torch.bool),
        weight=torch.tensor(batch.weight[list(rows)], dtype=dtype),
        beta=kl["beta"],
        kl=kl["estimator"],
        log_ratio_clamp=how.get("log_ratio_clamp"),
        **{number: how[field] for number, field in variant.numbers.items()},
    )
    (gradient,) = torch.autograd.grad(parts.loss, new)
    return parts, gradient.tolist()


def _padded(columns: Sequence[Any], fill: float | bool, dtype: torch.dtype) -> torch.Tensor:
    table = torch.full((len(columns), max((len(c) for c in columns), default=0)), fill, dtype=dtype)
    for row, column in zip(table, columns, strict=True):
        row[: len(column)] = torch.tensor(np.asarray(column), dtype=dtype)
    return table


def _clip_shares(parts: Sequence[LossParts], active: int) -> dict[str, float]:
    low, high, dual = (sum(int(getattr(p, f"clip_{side}")) for p in parts) for side in ("low", "high", "dual"))
    total = max(active, 1)
    return {"low": low / total, "high": high / total, "region": (low + high) / total, "dual": dual / total}


def _miss(name: str, seen: object, wanted: object, dtype: Dtype) -> Iterator[str]:
    phrase = compare_numbers(name, seen, wanted, dtype)
    if phrase is not None:
        yield phrase


def _inexact_zeros(seen: NDArray[np.float64], wanted: Sequence[float]) -> Iterator[str]:
    for i, (s, w) in enumerate(zip(seen, wanted, strict=True)):
        if w == 0 and s != 0:
            yield f"advantages_sequence: {s!r}, wanted exactly 0 (entry {i})"


# ---------------------------------------------------------------------------------------- other kinds


def _kl_estimators(case: Case, dtype: Dtype) -> Iterator[str]:
    kind = getattr(torch, dtype)
    mask = torch.ones(1, 1, dtype=torch.bool)
    for i, row in enumerate(case["rows"]):
        for name, estimator in ESTIMATORS.items():
            new, old, ref = (torch.tensor([[row[f"logp_{p}"]]], dtype=kind) for p in ("new", "old", "ref"))
            new.requires_grad_()
            value = estimator(new - ref, token_ratio(token_log_ratio(new, old), mask))
            (gradient,) = torch.autograd.grad(value.sum(), new)
            yield from _miss(f"row {i} {name}", value.item(), row[name], dtype)
            yield from _miss(f"row {i} {name}_grad", gradient.item(), row[f"{name}_grad"], dtype)


def _overlong(case: Case, dtype: Dtype) -> Iterator[str]:
    for row in case["rows"]:
        seen = overlong_penalty(row["length"], case["max_len"], case["cache"])
        yield from _miss(f"length {row['length']}", seen, row["penalty"], dtype)


def _pass_at_k(case: Case, dtype: Dtype) -> Iterator[str]:
    for row in case["rows"]:
        n, c, k = row["n"], row["c"], row["k"]
        yield from _miss(f"n {n} c {c} k {k}", pass_at_k(n, c, k), row["value"], dtype)


def _cons_at_k(case: Case, dtype: Dtype) -> Iterator[str]:
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
            yield from _miss(f"row {i} {name}", value, row[name], dtype)


def _dynamic_sampling(case: Case, dtype: Dtype) -> Iterator[str]:
    del dtype
    names, group = np.unique(case["groups"], return_inverse=True)
    kept = [str(name) for name in names[keep_groups(np.array(case["rewards"], dtype=np.float64), group)]]
    if kept != sorted(case["expected"]["kept"]):
        yield f"kept: {kept}, wanted {case['expected']['kept']}"


_KINDS: Mapping[str, Callable[[Case, Dtype], Iterator[str]]] = MappingProxyType(
    {
        "policy_loss": _policy_loss,
        "kl_estimators": _kl_estimators,
        "overlong_penalty": _overlong,
        "pass_at_k": _pass_at_k,
        "cons_at_k": _cons_at_k,
        "dynamic_sampling": _dynamic_sampling,
    }
)
