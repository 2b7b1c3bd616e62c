"""Comparison of computed numbers with golden ones, and columns of a case as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sibling.errors import RequestError

Case = Mapping[str, Any]
Dtype = Literal["float64", "float32"]


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


def miss(name: str, seen: object, wanted: object, dtype: Dtype) -> Iterator[str]:
    """The phrase of `compare_numbers`, if there is one."""
    phrase = compare_numbers(name, seen, wanted, dtype)
    if phrase is not None:
        yield phrase


def inexact_zeros(name: str, seen: object, wanted: object) -> Iterator[str]:
    """A phrase for each number that should be exactly 0 and is not."""
    for i, (s, w) in enumerate(zip(_flat(seen), _flat(wanted), strict=True)):
        if w == 0 and s != 0:
            yield f"{name}: {s!r}, wanted exactly 0 (entry {i})"


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


def missing_as_none(values: NDArray[np.float64]) -> list[float | None]:
    """NaN as None."""
    return [None if np.isnan(v) else float(v) for v in values]


def column(sequences: Sequence[Case], field: str, masks: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
    """A token column of every sequence: null becomes NaN. `RequestError` if it is ragged or not finite where active.

    Log-probs of the sampler may be missing (null) at single tokens.
    """
    out = []
    for i, (sequence, mask) in enumerate(zip(sequences, masks, strict=True)):
        given = sequence[field]
        values = np.full(mask.shape, np.nan) if given is None else np.array(given, dtype=np.float64)
        if values.shape != mask.shape:
            raise RequestError(
                f"{field} of sequence {i} has another length than its mask",
                seen=f"{values.shape} and {mask.shape}",
                wanted="one entry a token",
            )
        strange = np.isinf(values[mask]) | (np.isnan(values[mask]) & (field != "logp_sampler"))
        if strange.any():
            raise RequestError(f"{field} of sequence {i} is not finite", seen=values[mask][strange].tolist()[:3])
        out.append(values)
    return out


def require_finite_settings(case: Case, *sections: str) -> None:
    """Raise `RequestError` for a setting of the case that is NaN or infinite."""
    for section in sections:
        for name, value in (case.get(section) or {}).items():
            inner = value if isinstance(value, Mapping) else {name: value}
            strange = {k: v for k, v in inner.items() if isinstance(v, float) and not np.isfinite(v)}
            if strange:
                raise RequestError(f"{section}.{next(iter(strange))} is not finite", seen=next(iter(strange.values())))


def mask_of(values: Sequence[int]) -> NDArray[np.bool_]:
    """A mask column: 0 or 1 a token."""
    if any(v not in (0, 1) for v in values):
        raise RequestError("A mask holds something else than 0 and 1", seen=[v for v in values if v not in (0, 1)][:3])
    return np.array(values, dtype=bool)


def padded(columns: Sequence[Any], fill: float | bool, dtype: torch.dtype) -> torch.Tensor:
    """Ragged columns as one [N, T] tensor, padded with `fill`."""
    table = torch.full((len(columns), max((len(c) for c in columns), default=0)), fill, dtype=dtype)
    for row, values in zip(table, columns, strict=True):
        row[: len(values)] = torch.tensor(np.asarray(values), dtype=dtype)
    return table
