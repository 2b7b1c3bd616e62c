"""The project's goals for speed and memory, and what was measured of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from speed.figures import Part, decoding_share, gigabytes, table, update_share
from speed.results import median, ratios


def goals(parts: Mapping[str, Part]) -> list[str]:
    """The project's goals, and what was measured."""
    step, sampling = parts.get("step", {}), parts.get("sampling", {}).get("vllm", {}).get("sizes", {})
    roofline, sharing, rows = parts.get("roofline"), parts.get("sharing", {}), []

    def goal(what: str, wanted: str, seen: float | None, met: bool, form: str) -> None:
        if seen is not None:
            rows.append([what, wanted, form.format(seen), "yes" if met else "no"])

    for name, what, least in (
        ("forced", "whole step, forced lengths, against TRL's best", 6),
        ("free", "whole step, natural lengths, half the groups dead", 10),
    ):
        pair = step.get(name, {})
        if "peer" in pair:
            r = statistics.median(ratios(pair["peer"]["values"], pair["ours"]["values"], "seconds"))
            goal(what, f"at least {least}x", r, r >= least, "{:.1f}x")
    for size, least in (("64", 1.3), ("128", 1.5)):
        if size in sampling:
            pair = sampling[size]
            r = statistics.median(ratios(pair["peer"]["values"], pair["ours"]["values"], "seconds"))
            goal(f"sampling against vLLM, {size} rows", f"at least {least}x", r, r >= least, "{:.2f}x")
            share = decoding_share(roofline, int(size), median(pair["ours"]["values"], "seconds"))
            what = f"sampling, share of the bf16 roofline, {size} rows"
            goal(what, "at least 45 %", share, (share or 0) >= 0.45, "{:.0%}")
    if "ours" in step.get("forced", {}):
        own = step["forced"]["ours"]["values"]
        share = update_share(roofline, median(own, "update"))
        goal("update, share of the bf16 roofline", "at least 45 %", share, (share or 0) >= 0.45, "{:.0%}")
        if "peer" in step["forced"]:
            share = gigabytes(own) / gigabytes(step["forced"]["peer"]["values"])
            goal("peak memory, share of TRL's", "at most 40 %", share, share <= 0.4, "{:.0%}")
    if "16" in sharing:
        r = statistics.median(ratios(sharing["16"]["values"], sharing["4"]["values"], "seconds"))
        goal("1,024-token prompts: 16 siblings against 4", "at most 2.5x", r, r <= 2.5, "{:.2f}x")
    return table(["goal", "wanted", "measured", "met"], rows) if rows else []
