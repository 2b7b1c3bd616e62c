"""The whole batch of a golden policy-loss case: what is known before the first backward pass.

rewards -> estimator -> sequence weights, and the tokens that a selector or an entropy mask picks from all rows.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sibling.errors import RequestError
from sibling.maths.advantages import overlong_penalty, total_reward
from sibling.maths.aggregation import MODES, sequence_weights
from sibling.maths.corrections import entropy_keep
from sibling.maths.estimators import Advantages, Evidence, advantages
from sibling.maths.golden_numbers import Case, column, mask_of, padded, require_finite_settings
from sibling.maths.kl import ESTIMATORS as KL_ESTIMATORS
from sibling.maths.loss import minibatch_terms
from sibling.maths.objectives import OBJECTIVES

PADDING = 50.0  # as a log-prob absurd, and exp of it large: a leak of padding cannot go unseen


@dataclass(frozen=True)
class Variant:
    """How a surrogate of the golden file is named here."""

    row: str  # an objective of the table with this ratio and surrogate
    numbers: Mapping[str, str]  # the row's number -> the field of the case


_BOUNDS = {"clip_low": "eps_low", "clip_high": "eps_high"}
_DELTAS = {"delta_low": "delta_low", "delta_high": "delta_high", "ratio_cap": "ratio_cap"}

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "clip": Variant("grpo", {**_BOUNDS, "dual_clip": "dual_clip"}),
        "gspo": Variant("gspo", _BOUNDS),
        "gspo_token": Variant("gspo_token", _BOUNDS),
        "seq_clip": Variant("rloo_clip", _BOUNDS),
        "gmpo": Variant("gmpo", _BOUNDS),
        "cispo": Variant("cispo", {"ratio_min": "is_min", "ratio_max": "is_max"}),
        "sapo": Variant("sapo", {"tau_positive": "tau_pos", "tau_negative": "tau_neg"}),
        "reinforce": Variant("reinforce", {}),
        "dppo_tv": Variant("dppo_tv", _DELTAS),
        "dppo_kl": Variant("dppo_kl", {**_DELTAS, "tail_eps": "tail_eps"}),
        "kl_cov": Variant("kl_cov", {"share": "k_ratio", "coefficient": "kl_coef"}),
        "clip_cov": Variant("clip_cov", _BOUNDS),
        "vespo": Variant(
            "vespo",
            {
                "k_positive": "k_pos",
                "lambda_positive": "lambda_pos",
                "k_negative": "k_neg",
                "lambda_negative": "lambda_neg",
            },
        ),
        "kimi": Variant("kimi", {"tau": "tau"}),
    }
)
"""Surrogate of the golden file -> row of the table."""

ESTIMATOR_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "grpo": "group",
        "rloo": "rloo",
        "reinforce": "reinforce",
        "opo": "opo",
        "gpg": "gpg",
        "maxrl": "maxrl",
        "gdpo": "gdpo",
        "passk_analytic": "passk",
        "pkpo": "pkpo",
        "passk_max": "best",
        "beta_norm": "beta",
        "process": "process",
        "reinforce_pp": "reinforce_pp",
        "reinforce_pp_baseline": "reinforce_pp_baseline",
        "gae": "gae",
    }
)
"""Estimator of the golden file -> row of estimators.ESTIMATORS; "given" is read from the case."""

_MODIFIERS = ("sampler_correction", "off_policy_mask", "entropy_mask")
_LOGPROBS = ("logp_new", "logp_old", "logp_ref", "logp_sampler")
_NUMBERS = frozenset({"scale", "ddof", "eps", "f_norm", "k", "gamma", "lam"})


@dataclass(frozen=True)
class Batch:
    """The whole batch of a case: the quantities known before the first backward pass."""

    sequences: Sequence[Case]
    masks: list[NDArray[np.bool_]]
    reward: NDArray[np.float64]
    advantage: Advantages
    weight: NDArray[np.float64]
    columns: Mapping[str, list[NDArray[np.float64]]]
    selected: list[NDArray[np.bool_]] | None
    entropy_keep: list[NDArray[np.bool_]] | None

    def tokens(self) -> list[NDArray[np.float64]]:
        """The advantage of every token, 0 where the mask is false."""
        if self.advantage.token is not None:
            return [np.where(m, a, 0.0) for a, m in zip(self.advantage.token, self.masks, strict=True)]
        assert self.advantage.sequence is not None
        return [np.where(m, a, 0.0) for a, m in zip(self.advantage.sequence, self.masks, strict=True)]


def known(case: Case) -> None:
    """Raise `RequestError` for a name this version does not know; the nearest one is suggested."""
    named = (
        ("advantage estimator", case["advantage"]["estimator"], (*ESTIMATOR_NAMES, "given")),
        ("surrogate", case["objective"]["variant"], tuple(VARIANTS)),
        ("aggregation", case["aggregation"]["mode"], MODES),
        ("KL estimator", (case["kl"] or {"estimator": "k3"})["estimator"], tuple(KL_ESTIMATORS)),
    )
    for part, name, names in named:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            wanted = f"{near[0]} (nearest)" if near else f"one of {', '.join(names)}"
            raise RequestError(f"Its {part} is not known", seen=repr(name), wanted=wanted)


def whole_batch(case: Case, dtype: torch.dtype) -> Batch:
    """Read and check the sequences, and compute what holds for all of them."""
    sequences = case["sequences"]
    require_finite_settings(case, "advantage", "objective", "aggregation", "kl", *_MODIFIERS)
    if not sequences or sorted(i for rows in case["micro_batches"] for i in rows) != list(range(len(sequences))):
        raise RequestError(
            "Its micro-batches do not hold every sequence once", seen=case["micro_batches"], wanted=len(sequences)
        )
    _, group = np.unique([s["group"] for s in sequences], return_inverse=True)
    masks = [mask_of(s["mask"]) for s in sequences]
    if case["mask_truncated"]:
        masks = [m & (not s["truncated"]) for m, s in zip(masks, sequences, strict=True)]
    how = case["aggregation"]
    batch = Batch(
        sequences=sequences,
        masks=masks,
        reward=_rewards(case["advantage"], sequences)[0],
        advantage=Advantages(sequence=np.zeros(len(sequences))),
        weight=sequence_weights(
            np.array([m.sum() for m in masks], dtype=np.int64),
            group,
            mode=how["mode"],
            constant=how.get("constant"),
            count_masked=how.get("seq_denominator", "all") == "all",
            micro_batches=case["micro_batches"],
        ),
        columns={
            f: column(sequences, f, masks)
            for f in ("logp_new", "logp_old", "logp_ref", "logp_sampler")
            if _has(sequences, f, some=f == "logp_sampler")
        },
        selected=None,
        entropy_keep=None,
    )
    advantage, reward = _advantages(case["advantage"], batch, group)
    batch = replace(batch, advantage=advantage, reward=reward)
    return replace(batch, selected=_selected(case, batch, dtype), entropy_keep=_entropy_keep(case, batch))


def _has(sequences: Sequence[Case], field: str, *, some: bool = False) -> bool:
    """Whether every sequence has the column, or with `some` any."""
    there = [s.get(field) is not None for s in sequences]
    return any(there) if some else all(there)


def _rewards(how: Case, sequences: Sequence[Case]) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]]:
    """Total reward [N] with the soft overlong punishment, each reward [N, R], and the weights."""
    given = [s["reward"] if isinstance(s["reward"], list) else [s["reward"]] for s in sequences]
    scores = np.array(given, dtype=np.float64)  # None becomes NaN: missing
    weights = how.get("reward_weights") or [1.0] * scores.shape[1]
    total = total_reward(scores, weights)
    if how.get("overlong"):
        lengths = np.array([len(s["mask"]) for s in sequences], dtype=np.int64)
        total = total + overlong_penalty(lengths, how["overlong"]["max_len"], how["overlong"]["cache"])
    return total, scores, weights


def _advantages(how: Case, batch: Batch, group: NDArray[np.int64]) -> tuple[Advantages, NDArray[np.float64]]:
    """Advantages, and the total reward as the golden file reports it (a sequence-level KL penalty included)."""
    sequences, masks = batch.sequences, batch.masks
    if how["estimator"] == "given":
        return _given(sequences, masks), batch.reward
    total, scores, weights = _rewards(how, sequences)
    penalty = how.get("kl_in_reward") or {"level": None, "beta": 0.0}
    kl = None
    if penalty["beta"]:
        pairs = zip(batch.columns["logp_old"], batch.columns["logp_ref"], strict=True)
        kl = [old - ref for old, ref in pairs]
    lone = np.isin(group, np.flatnonzero(np.bincount(group) == 1))
    evidence = Evidence(
        # The file leaves a group of one out under every estimator; a run with G = 1 and no baseline does not.
        reward=np.where(lone & (how["estimator"] == "reinforce"), np.nan, total),
        group=group,
        mask=masks,
        scores=scores,
        weights=weights,
        kl=kl,
        kl_beta=penalty["beta"],
        values=column(sequences, "values", masks) if _has(sequences, "values") else None,
        steps=_steps(sequences) if _has(sequences, "step_ends") else None,
        token_rewards=column(sequences, "token_rewards", masks) if _has(sequences, "token_rewards") else None,
    )
    numbers = {k: v for k, v in how.items() if k in _NUMBERS}
    if how.get("whiten"):
        given = dict(how["whiten"])
        numbers |= {"whiten": given.pop("over"), **given}
    elif "gamma" in how:
        numbers["whiten"] = "none"
    reported = total
    if kl is not None and penalty["level"] == "sequence":
        reported = total - penalty["beta"] * np.array([k[m].sum() for k, m in zip(kl, masks, strict=True)])
    return advantages(ESTIMATOR_NAMES[how["estimator"]], evidence, **numbers), reported


def _given(sequences: Sequence[Case], masks: Sequence[NDArray[np.bool_]]) -> Advantages:
    """Advantages as the case gives them: a number a sequence, or one a token for some of them."""
    if not any(isinstance(s["advantage"], list) for s in sequences):
        return Advantages(sequence=np.array([s["advantage"] for s in sequences], dtype=np.float64))
    rows = [
        s["advantage"] if isinstance(s["advantage"], list) else [s["advantage"]] * len(s["mask"]) for s in sequences
    ]
    return Advantages(token=tuple(column([{"advantage": r} for r in rows], "advantage", masks)))


def _steps(sequences: Sequence[Case]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    return [(np.array(s["step_ends"], np.int64), np.array(s["step_rewards"], np.float64)) for s in sequences]


def _selected(case: Case, batch: Batch, dtype: torch.dtype) -> list[NDArray[np.bool_]] | None:
    """Tokens picked: those the case gives, or by the row's selector over the whole batch."""
    row = OBJECTIVES[VARIANTS[case["objective"]["variant"]].row]
    if row.select is None:
        return None
    if _has(batch.sequences, "selected"):
        return [np.array(s["selected"], dtype=bool) for s in batch.sequences]
    terms = minibatch_terms(
        row,
        logp_new=padded(batch.columns["logp_new"], PADDING, dtype),
        logp_old=padded(batch.columns["logp_old"], -PADDING, dtype),
        advantage=padded(batch.tokens(), 0.0, dtype),
        mask=padded(batch.masks, False, torch.bool),
    )
    picked = row.select(terms, torch.zeros_like(terms.ratio), **row.with_numbers(numbers(case)))
    return [picked[i, : len(m)].numpy() for i, m in enumerate(batch.masks)]


def _entropy_keep(case: Case, batch: Batch) -> list[NDArray[np.bool_]] | None:
    how = case.get("entropy_mask")
    if not how:
        return None
    entropy = padded(column(batch.sequences, "entropy", batch.masks), PADDING, torch.float64)
    kept = entropy_keep(entropy, padded(batch.masks, False, torch.bool), keep_top=how["keep_top"])
    return [kept[i, : len(m)].numpy() for i, m in enumerate(batch.masks)]


def numbers(case: Case) -> dict[str, Any]:
    """The surrogate's numbers, by the names of the table."""
    how = case["objective"]
    return {n: how[f] for n, f in VARIANTS[how["variant"]].numbers.items()}
