"""The words of `sibling grade`: a line a pair, and the totals."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

_MARKS = {"false_accept": "FALSE ACCEPT", "false_refusal": "FALSE REFUSAL"}


def one_line(pair: Mapping[str, Any], width: int) -> str:
    """A graded pair: its id, the verdict, a mistake if it is one, and the reason, cut to the width."""
    mark = _MARKS.get(pair.get("mistake") or "", "")
    parts = [f"{pair['id'][:24]:<24}", f"{pair['verdict']:<8}", mark, " ".join(pair["reason"].split())]
    line = " ".join(part for part in parts if part)
    return line if len(line) <= width else line[: width - 3] + "..."


def render_totals(found: Mapping[str, Any], width: int) -> str:
    """The totals in words: how many of each verdict, the time a pair took, and the mistakes by id."""
    counts = ", ".join(f"{found[k]} {k}" for k in ("right", "wrong", "abstain", "error") if found[k])
    time = found["seconds"]
    lines = [
        f"{found['pairs']} pairs: {counts}.",
        f"A pair took {_time(time['median'])} (median), {_time(time['p99'])} (99th percentile).",
    ]
    if "labelled" in found:
        accepts, refusals = found["false_accepts"], found["false_refusals"]
        lines.append(
            f"Of {found['labelled']} labelled pairs: {_list(accepts, 'false accept')}; "
            f"{_list(refusals, 'false refusal')}."
        )
        if otherwise := found["contested_otherwise"]:
            lines.append(f"Contested, and graded otherwise than labelled: {', '.join(otherwise)}.")
    return "\n" + "\n".join(textwrap.fill(line, width, break_on_hyphens=False) for line in lines)


def _list(ids: list[str], what: str) -> str:
    plural = what if len(ids) == 1 else f"{what}s"
    return f"{len(ids)} {plural}" + (f" ({', '.join(ids)})" if ids else "")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"
