"""How token terms become one loss: the weight every active token of a sequence carries.

    loss = sum_i w_i sum_t m_it l_it          over the whole batch of one optimizer step

Only w_i differs between objectives. All of it comes from counts, so every denominator is known before the first
backward pass and any split into micro-batches gives the same gradient. NumPy only.

    mode                  w_i                                      used by
    seq_mean_token_mean   1 / (N T_i)                              GRPO (2402.03300 eq. 3)
    token_mean            1 / sum_j T_j                            DAPO as its code runs (2503.14476), PPO
    group_token_mean      1 / (number of groups * tokens of g)     DAPO as its eq. 8 is written
    seq_mean_token_sum    1 / N                                    Dr. GRPO as its equation is written (2503.20783)
    token_sum_norm        1 / (N C)                                Dr. GRPO as its code runs
    constant              1 / C
    micro_token_mean      1 / (number of micro-batches * tokens of i's micro-batch)    "bnpo" in TRL

T_i counts active tokens, N sequences (with or without those that have none), C is a constant. A denominator of 0
counts as 1. `micro_token_mean` is the one mode that depends on the split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sibling.errors import RequestError

MicroBatches = Sequence[Sequence[int]]


@dataclass(frozen=True)
class _Counts:
    tokens: NDArray[np.int64]  # [N]
    group: NDArray[np.integer]  # [N]
    sequences: int  # N as the mode counts it
    constant: float
    micro_batches: MicroBatches | None


def sequence_weights(
    token_counts: NDArray[np.integer],
    group: NDArray[np.integer],
    *,
    mode: str,
    constant: float | int | None = None,
    count_masked: bool = True,
    micro_batches: MicroBatches | None = None,
) -> NDArray[np.float64]:
    """w_i of each sequence of the batch (equations above).

    Arguments: `token_counts` [N], active tokens of each sequence, those of dead groups included; `group` [N];
    `constant` C > 0 for token_sum_norm and constant; `count_masked`: whether sequences without an active token
    count in N; `micro_batches`: sequence indices of each micro-batch, for micro_token_mean. Returns float64 [N].
    Raises `RequestError` for an unknown mode or what a mode needs and does not get.
    """
    rule = _MODES.get(mode)
    if rule is None:
        raise RequestError("An aggregation is not known", seen=repr(mode), wanted=f"one of {', '.join(_MODES)}")
    if constant is None and mode in WITH_CONSTANT:
        raise RequestError(f"The aggregation {mode} needs a constant", seen=None, wanted="a number of tokens above 0")
    if constant is not None and not constant > 0:
        raise RequestError("The constant of an aggregation is not positive", seen=constant, wanted="above 0")
    tokens = np.asarray(token_counts, dtype=np.int64)
    sequences = len(tokens) if count_masked else int(np.count_nonzero(tokens))
    counts = _Counts(tokens, group, sequences, 1.0 if constant is None else float(constant), micro_batches)
    denominator = np.broadcast_to(np.asarray(rule(counts), dtype=np.float64), tokens.shape)
    return 1.0 / np.where(denominator == 0.0, 1.0, denominator)


def _seq_mean_token_mean(c: _Counts) -> NDArray[np.float64]:
    # Each factor on its own counts as 1 when it is 0, so an empty sequence keeps the weight 1 / N.
    return max(c.sequences, 1) * np.maximum(c.tokens, 1).astype(np.float64)


def _token_mean(c: _Counts) -> float:
    return float(c.tokens.sum())


def _group_token_mean(c: _Counts) -> NDArray[np.float64]:
    names, index = np.unique(c.group, return_inverse=True)
    tokens = np.bincount(index, weights=c.tokens, minlength=len(names))
    return len(names) * np.maximum(tokens, 1.0)[index]


def _seq_mean_token_sum(c: _Counts) -> float:
    return float(c.sequences)


def _token_sum_norm(c: _Counts) -> float:
    return max(c.sequences, 1) * c.constant


def _constant(c: _Counts) -> float:
    return c.constant


def _micro_token_mean(c: _Counts) -> NDArray[np.float64]:
    batches = c.micro_batches
    seen = sorted(i for batch in batches or () for i in batch)
    if batches is None or seen != list(range(len(c.tokens))):
        raise RequestError(
            "micro_token_mean needs micro-batches that hold every sequence once",
            seen=None if batches is None else f"indices {seen[:20]}",
            wanted=f"each of 0 to {len(c.tokens) - 1} once",
        )
    denominator = np.empty(len(c.tokens), dtype=np.float64)
    for batch in batches:
        index = list(batch)
        denominator[index] = len(batches) * max(int(c.tokens[index].sum()), 1)
    return denominator


_MODES: Mapping[str, Callable[[_Counts], float | NDArray[np.float64]]] = MappingProxyType(
    {
        "seq_mean_token_mean": _seq_mean_token_mean,
        "token_mean": _token_mean,
        "group_token_mean": _group_token_mean,
        "seq_mean_token_sum": _seq_mean_token_sum,
        "token_sum_norm": _token_sum_norm,
        "constant": _constant,
        "micro_token_mean": _micro_token_mean,
    }
)

MODES: tuple[str, ...] = tuple(_MODES)
"""Names of the aggregations."""

WITH_CONSTANT = frozenset({"token_sum_norm", "constant"})
"""Those that divide by a constant C."""

BY_MICRO_BATCH = frozenset({"micro_token_mean"})
"""Those whose weights depend on the split into micro-batches."""
