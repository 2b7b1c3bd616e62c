"""Runs a file of golden vectors through the functions the trainer uses.

A file is `{"schema_version": 1, "cases": [...]}`; each case has inputs and the numbers an implementation must
produce. Every policy-loss case goes through the same estimators, corrections, weights and, micro-batch by
micro-batch, the same `policy_loss` as a run, with its gradient by autograd (golden_loss.py); the other kinds are in
golden_kinds.py. Nothing is computed a second way here.

Tolerances: float64 |x - x*| <= 1e-10 max(1, |x*|); float32 |x - x*| <= 1e-5 max(0.01, M), M the largest |x*| of the
same array. Shares of tokens must be right in both, and an advantage of exactly 0 must be exactly 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from sibling.errors import RequestError, SiblingError
from sibling.maths import golden_kinds
from sibling.maths.golden_loss import policy_loss_case
from sibling.maths.golden_numbers import Case, Dtype

Status = Literal["pass", "miss"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CaseResult:
    """What became of one case. `detail` names the numbers that miss, or why the case was refused."""

    id: str
    title: str
    kind: str
    status: Status
    detail: str = ""


KINDS: Mapping[str, Callable[[Case, Dtype], Iterator[str]]] = MappingProxyType(
    {
        "policy_loss": policy_loss_case,
        "kl_estimators": golden_kinds.kl_estimators,
        "gae": golden_kinds.gae,
        "value_loss": golden_kinds.value_loss_case,
        "overlong_penalty": golden_kinds.overlong,
        "pass_at_k": golden_kinds.pass_at_k_rows,
        "cons_at_k": golden_kinds.cons_at_k,
        "adaptive_kl": golden_kinds.adaptive_kl,
        "dynamic_sampling": golden_kinds.dynamic_sampling,
    }
)
"""Kind of a case -> phrases about the numbers that miss."""


def check_cases(document: Mapping[str, Any], dtype: Dtype) -> list[CaseResult]:
    """Run every case of a golden document in `dtype`; one result a case, in order.

    Cases marked float64_only are left out in float32. Raises `RequestError` for a document or case that cannot
    be read: another schema version, an unknown kind or name (the nearest is suggested), a field that is not there,
    columns of different lengths, empty groups, numbers that are not finite.
    """
    if not isinstance(document, Mapping) or document.get("schema_version") != SCHEMA_VERSION:
        seen = document.get("schema_version") if isinstance(document, Mapping) else type(document).__name__
        raise RequestError(
            "The file is not a document of golden vectors this version reads",
            seen=f"schema_version {seen!r}",
            wanted=f"schema_version {SCHEMA_VERSION} and a list of cases",
        )
    cases = document.get("cases")
    if not isinstance(cases, list):
        raise RequestError("The golden document has no list of cases", seen=type(cases).__name__, wanted="cases: [...]")
    return [_result(case, dtype) for case in cases if dtype == "float64" or not _float64_only(case)]


def _float64_only(case: Any) -> bool:
    return isinstance(case, Mapping) and bool(case.get("float64_only"))


def _result(case: Any, dtype: Dtype) -> CaseResult:
    name = case.get("id", "without an id") if isinstance(case, Mapping) else repr(case)[:40]
    try:
        about = (str(case["id"]), str(case["title"]), str(case["kind"]))
        if case["kind"] not in KINDS:
            near = difflib.get_close_matches(str(case["kind"]), KINDS, n=1)
            wanted = f"{near[0]} (nearest)" if near else f"one of {', '.join(KINDS)}"
            raise RequestError("Its kind is not known", seen=repr(case["kind"]), wanted=wanted)
        misses = list(KINDS[case["kind"]](case, dtype))
    except SiblingError as error:
        raise RequestError(
            f"The golden case {name} cannot be used: {error.what}", seen=error.seen, wanted=error.wanted, do=error.do
        ) from error
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise RequestError(
            f"The golden case {name} cannot be read", seen=f"{type(error).__name__}: {error}", wanted="a complete case"
        ) from error
    return CaseResult(*about, status="miss" if misses else "pass", detail="; ".join(misses))
