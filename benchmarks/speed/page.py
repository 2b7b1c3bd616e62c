"""RESULTS.md from the results alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speed.figures import Part, decoding_share, gigabytes, percent, spread, table, update_share
from speed.goals import goals
from speed.results import column, foreign, median, rate, ratios

NOISY = 0.05  # share of the machine's processor time used by others above which a warning stands on the page


def render(results: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = results.get("parts", {})
    sections: list[tuple[str, str, Callable[[Part, Part], list[str]]]] = [
        ("environment", "Where", _environment),
        ("roofline", "Limits of the machine", _roofline),
        ("step", "Whole step, update and memory against TRL", _step),
        ("sampling", "Sampling against vLLM and transformers", _sampling),
        ("sharing", "Long prompts, more siblings", _sharing),
        ("growth", "How the cost grows", _growth),
        ("record", "Cost of the record and the monitors", _record),
        ("profile", "Where the time of a step goes", _profile),
        ("curves", "Learning curves against TRL", _curves),
    ]
    lines = ["# Speed and memory, measured", "", *_INTRODUCTION, "", *goals(parts)]
    for name, title, section in sections:
        body = parts.get(name)
        if body is None:
            continue
        lines += ["", f"## {title}", ""]
        lines += _state(body)
        if set(body) - {"measured", "quick", "problem"}:
            lines += section(body, parts)
    return "\n".join(lines).rstrip() + "\n"


_INTRODUCTION = [
    "Written by `make bench` (`benchmarks/speed/run.py`) from the numbers in `benchmarks/results.json`. Both sides",
    "of a comparison are loaded at once and measured in turn, first one and then the other, never at the same time,",
    "after one round to warm up. Times are medians, with the smallest and the largest in brackets; a ratio is the",
    "median of the ratios of the rounds. Peak memory is the largest resident set of a process that did nothing else.",
    "Every side keeps the numerics it would be used with, and every peer runs unchanged code in the fastest of the",
    "configurations tried, which are listed.",
]


def _state(body: Part) -> list[str]:
    """When, and what to think of it."""
    out = [f"Measured {body['measured']}."]
    if body.get("quick"):
        out.append("**A quick try, to see that everything works: one round, small sizes. Not a result.**")
    if body.get("problem"):
        out.append(f"**Not measured: {body['problem']}**")
    loads = foreign(body)
    if loads and max(loads) > NOISY:
        share = sum(x > NOISY for x in loads) / len(loads)
        out.append(
            f"**The machine was not idle: in {share:.0%} of the measurements other processes used more than "
            f"{NOISY:.0%} of it, up to {max(loads):.0%}.**"
        )
    return [" ".join(out), ""]


# ------------------------------------------------------------------------------------------------ sections


def _environment(body: Part, _: Part) -> list[str]:
    processor, memory = body["processor"], body.get("memory") or {}
    total = memory.get("total") if isinstance(memory, Mapping) else memory
    room = f", {total / 1e9:.0f} GB of memory" if isinstance(total, int | float) else ""
    lines = [
        f"{processor['model']}, {processor['usable_cores']} cores{room}; {body['system']['name']} "
        f"{body['system']['release']}, Python {body['python']['version']}.",
        "",
    ]
    rows = [
        [name, ", ".join(f"{k} {v}" for k, v in sorted(peer["versions"].items())) or peer["problem"]]
        for name, peer in body["peers"].items()
    ]
    head = table(["side", "versions"], rows)
    return [*lines, head[0], "| --- | --- |", *head[2:]]


def _roofline(body: Part, _: Part) -> list[str]:
    speeds, work = body["speeds"], body["work"]
    sizes = sorted(speeds["bfloat16"]["decoding"], key=int)  # JSON sorts them as text
    rows = [
        [dtype, *(f"{s['decoding'][n]:,.0f}" for n in sizes), f"{s['prefill']:,.0f}", f"{s['update']:,.0f}"]
        for dtype, s in speeds.items()
    ]
    lines = [
        "Products at the model's own shapes, GFLOP/s: layers and vocabulary head at 32, 64 and 128 rows a step; "
        f"the layers alone at the {body['update_rows']:,} rows of a prompt phase; layers and head of an update, "
        f"{body['update_rows']:,} rows. Each product is tried in every layout that torch offers, with fresh weights "
        "from memory every time; the fastest counts. "
        f"A copy within memory moves {body['copy']:.0f} GB/s.",
        "",
        *table(["products in", *(f"{n} rows" for n in sizes), "prompt", "update"], rows),
        "",
        "Useful multiplications (prompt once a group, the head only where a token is drawn or scored, nothing for "
        "recomputation): "
        + "; ".join(
            f"sampling at {n} rows {work[f'sampling {n}']['prefill'] + work[f'sampling {n}']['decoding']:,.0f} GFLOP"
            for n in sizes
        )
        + f"; the update at 32 rows {work['update']:,.0f} GFLOP.",
    ]
    head = [p for p in body["products"] if p["outputs"] == max(q["outputs"] for q in body["products"])]
    rows = [[p["dtype"], str(p["rows"]), f"{p['gflops']:,.0f}", p["way"]] for p in head]
    return [*lines, "", "The vocabulary head alone:", "", *table(["dtype", "rows", "GFLOP/s", "layout"], rows)]


def _step(body: Part, parts: Part) -> list[str]:
    lines = [
        "4 prompts of 61 tokens, 8 siblings each, completions of 64 tokens, beta 0, one update. TRL's sampling is the "
        "time inside `_generate`, its update everything but sampling and rewards. Every configuration tried, each in "
        "a process of its own:",
        "",
        *_searched(body["search"]),
    ]
    for name, title in (
        ("forced", "Completions of exactly 64 tokens, every group live"),
        ("free", "Natural lengths up to 64 tokens, two of the four groups dead"),
    ):
        if name in body:
            lines += ["", f"### {title}", "", *_compared(body[name], parts.get("roofline"), name == "forced")]
    if "free" in body:
        lines += [
            "",
            "With natural lengths each side draws its own completions from the same policy for the same prompts, so "
            "token counts differ by chance from round to round; the table has them. A group is dead when its siblings "
            "all score the same; TRL computes it, this package does not.",
        ]
    return lines


def _searched(found: Sequence[Part]) -> list[str]:
    rows = []
    for f in found:
        if "problem" in f:
            rows.append([f["label"], f"does not run: {f['problem']}", "", "", ""])
        else:
            parts = [f"{f[k]:.1f} s" for k in ("seconds", "sampling", "update")]
            rows.append([f["label"], *parts, f"{f['peak_bytes'] / 1e9:.1f} GB"])
    return table(["TRL 1.16.0", "step", "sampling", "update", "peak memory"], rows)


def _compared(pair: Part, roofline: Part | None, forced: bool) -> list[str]:
    if "ours" not in pair:
        return [f"**Not measured: {pair['problem']}**"]
    rows = []
    for side, name in (("ours", "sibling"), ("peer", "TRL")):
        if side in pair:
            values = pair[side]["values"]
            cells = [spread(column(values, k), unit=" s") for k in ("seconds", "sampling", "update")]
            tokens = f"{median(values, 'tokens'):,.0f}"
            rows.append([name, *cells, tokens, spread(rate(values), 0), f"{gigabytes(values):.1f} GB"])
    lines = table(["", "step", "sampling", "update", "tokens", "sampled tok/s", "peak memory"], rows)
    own = pair["ours"]["values"]
    if "peer" in pair:
        other = pair["peer"]["values"]
        told = [
            f"{what} {spread(ratios(other, own, key), 1)}x"
            for what, key in (("step", "seconds"), ("sampling", "sampling"), ("update", "update"))
        ]
        lines += ["", f"TRL's time over ours: {', '.join(told)}. Peak memory: {gigabytes(own) / gigabytes(other):.0%}."]
        lines += [f"TRL: {pair['peer']['path']}. Ours: {pair['ours']['path']}."]
    if forced:
        share = update_share(roofline, median(own, "update"))
        sampled = decoding_share(roofline, 32, median(own, "sampling"))
        lines += ["", f"Share of the bf16 roofline: sampling {percent(sampled)}, update {percent(share)}."]
    return lines


PEERS = {
    "vllm": "vLLM",
    "generate": "transformers `generate`",
    "generate_batch": "transformers `generate_batch`",
}


def _sampling(body: Part, parts: Part) -> list[str]:
    lines = ["8 siblings a prompt of 61 tokens, completions of exactly 64 tokens, with the log-prob of each token.", ""]
    rows = []
    names = (
        ("vllm", "vLLM"),
        ("generate", "transformers `generate`"),
        ("generate_batch", "transformers `generate_batch`"),
    )
    for key, name in names:  # fmt: skip
        for size, pair in sorted(body[key].get("sizes", {}).items(), key=lambda kept: int(kept[0])):
            own, other = pair["ours"]["values"], pair["peer"]["values"]
            share = decoding_share(parts.get("roofline"), int(size), median(own, "seconds"))
            cells = [spread(rate(own), 0), spread(rate(other), 0), spread(ratios(other, own, "seconds"))]
            rows.append([name, size, *cells, percent(share)])
        if "problem" in body[key]:
            rows.append([name, "", "", f"does not run: {body[key]['problem']}", "", ""])
    head = ["peer", "rows", "sibling tok/s", "peer tok/s", "ratio", "our share of the bf16 roofline"]
    paths = sorted({pair["peer"]["path"] for key in PEERS for pair in body[key].get("sizes", {}).values()})
    return [*lines, *table(head, rows), "", f"Paths: {'; '.join(paths)}."]


def _sharing(body: Part, _: Part) -> list[str]:
    rows = []
    for n in ("4", "16"):
        values = body[n]["values"]
        cells = [spread(column(values, k), unit=" s") for k in ("seconds", "sampling", "update")]
        rows.append([f"{n} siblings", *cells, f"{gigabytes(values):.2f} GB"])
    ratio = spread(ratios(body["16"]["values"], body["4"]["values"], "seconds"))
    more = (gigabytes(body["16"]["values"]) - gigabytes(body["4"]["values"])) * 1e9
    tokens = 12 * body["prompts"] * 64
    return [
        f"{body['prompts']} prompts of 1,024 tokens, completions of 64; each size in a process of its own, in turn.",
        "",
        *table(["", "step", "sampling", "update", "peak memory"], rows),
        "",
        f"16 siblings cost {ratio} times what 4 cost, and {more / tokens / 1e6:.2f} MB for each completion token more.",
    ]


_SWEEPS = {
    "siblings": "siblings a prompt (4 prompts of 61 tokens, 64-token completions)",
    "prompt": "tokens a prompt (4 prompts, 8 siblings, 64-token completions)",
    "completion": "tokens a completion (4 prompts of 61 tokens, 8 siblings)",
    "model": "size of the model, random weights (4 prompts of 61 tokens, 8 siblings, 64 tokens)",
}


def _growth(body: Part, _: Part) -> list[str]:
    lines: list[str] = []
    for name, what in _SWEEPS.items():
        rows = []
        for point in body[name]:
            values = point["values"]
            at = f"{point['at']} ({point['parameters'] / 1e6:.0f}M)" if name == "model" else f"{point['at']:,}"
            cells = [spread(column(values, k), unit=" s") for k in ("seconds", "sampling", "update")]
            rows.append([at, *cells, spread(rate(values), 0)])
        lines += [f"By {what}:", "", *table([name, "step", "sampling", "update", "sampled tok/s"], rows), ""]
    rows = [[f"{p['at']:.0%}", spread(column(p["values"], "seconds"), unit=" s")] for p in body["live"]]
    return [*lines, "By the share of 8 groups that is live:", "", *table(["live", "update"], rows)]


def _record(body: Part, _: Part) -> list[str]:
    values = body["values"]
    phases = ", ".join(f"{name} {median(values, name):.2f} s" for name in ("sampling", "rewards", "learning"))
    return [
        f"A run of `sibling train` at the sizes above, from its own events: a step takes "
        f"{spread(column(values, 'seconds'))} s, of which {phases}. The rest, {spread(column(values, 'rest'))} s or "
        f"{spread([100 * s for s in column(values, 'share')], 1)} % of a step, is the record, the digest of the "
        "weights, the monitors and the progress line together.",
    ]


def _profile(body: Part, _: Part) -> list[str]:
    kinds = [k for k in body["update"] if k != "whole"]
    rows = [[kind, *(f"{body[p][kind]:.2f} s" for p in ("sampling", "update"))] for kind in kinds]
    rows.append(["whole", *(f"{body[p]['whole']:.2f} s" for p in ("sampling", "update"))])
    return ["Under torch's profiler, which slows both phases down.", "", *table(["", "sampling", "update"], rows)]


def _curves(body: Part, _: Part) -> list[str]:
    rows = [
        [name, str(len(body[side])), ", ".join(f"{statistics.mean(c):.3f}" for c in body[side])]
        for side, name in (("ours", "sibling"), ("peer", "TRL"))
        if body[side]
    ]
    lines = [
        f"`largest_number`, {body['prompts']} prompts a step x {body['group_size']} siblings, at most {body['tokens']} "
        f"tokens, {body['steps']} steps, learning rate {body['learning_rate']:g}; same prompts in the same order, "
        "DAPO's loss, AdamW with the same settings. Mean reward over all steps, one figure a seed:",
        "",
        *table(["", "seeds", "mean reward"], rows),
        "",
    ]
    if body["graded"]:
        lines.append(
            f"The two reward functions disagreed on {body['disagreements']} of {body['graded']:,} completions."
        )
    if "gap" not in body:
        return lines
    lines.append(f"Ours less TRL's over all steps: {body['gap']:+.3f}")
    if "error" not in body:
        lines[-1] += "; with one seed a side nothing can be said about noise."
        return lines
    lines[-1] += (
        f" (standard error over seeds {body['error']:.3f}). Smoothed over 5 steps, the mean curves are at most "
        f"{body['widest']:.3f} apart, where seeds alone give a standard error of {body['noise']:.3f} at any one point: "
        + ("they coincide within noise." if body["coincide"] else "they do **not** coincide within noise.")
    )
    return lines
