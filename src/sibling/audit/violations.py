"""From outcomes to violations: one a probe and kind of fault, with its smallest examples, and what is suppressed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sibling.audit.bench import Bench, Example, Finding
from sibling.audit.options import Options
from sibling.audit.probing import VIOLATIONS, Graded, result_of
from sibling.audit.report import Violation
from sibling.audit.shrink import may_be_right, shrink, shrink_added

_WORDS = {
    "refused": "right completions are refused",
    "accepted": "wrong completions are accepted",
    "fault": "calls give no verdict",
    "ran_code": "completions were run as code",
}
_LONG_SEEDS = 40  # candidates for the smallest example


def collect(bench: Bench, graded: Sequence[Graded], findings: Sequence[Finding]) -> list[Violation]:
    """Violations of probes (worst kind first), then of checks. Policy matters are among them, marked."""
    out = []
    for what in ("ran_code", "fault", "accepted", "refused"):
        by_probe: dict[str, list[Graded]] = {}
        for g in graded:
            if g.result == what:
                by_probe.setdefault(g.item.probe.name, []).append(g)
        tried = {name: sum(g.item.probe.name == name and g.result != "left_out" for g in graded) for name in by_probe}
        out += [_violation(bench, what, bad, tried[name]) for name, bad in by_probe.items()]
    return out + [of_check(f, bench.options) for f in findings if f.ok is False]


def _violation(bench: Bench, what: str, bad: Sequence[Graded], n: int) -> Violation:
    probe = bad[0].item.probe
    policy = probe.policy and not _asked(bench.options, probe.name, probe.group) and what in ("refused", "accepted")
    kinds = sorted({g.outcome.fault for g in bad} - {""})
    words = _WORDS[what] + (f" ({', '.join(kinds)})" if what == "fault" else "")
    examples = _examples(bench, bad, 1 if policy else bench.options.examples)
    return Violation(
        probe.name, probe.group, what, words, len(bad), n, policy,
        probe.sensitive or what == "ran_code", examples,
    )  # fmt: skip


def of_check(finding: Finding, options: Options) -> Violation:
    """The violation that a failed check amounts to."""
    policy = finding.policy and not _asked(options, finding.name, finding.group)
    sensitive = any(e.sensitive for e in finding.examples)
    return Violation(
        finding.name, finding.group, "check", finding.words, finding.failed, finding.n, policy, sensitive,
        finding.examples,
    )  # fmt: skip


def _asked(options: Options, name: str, group: str) -> bool:
    return name in options.policy or group in options.policy


def _examples(bench: Bench, bad: Sequence[Graded], most: int) -> tuple[Example, ...]:
    """The shortest ones of different seeds and notes, made smaller."""
    chosen: list[Graded] = []
    for g in sorted(bad, key=lambda g: len(g.item.variant.text))[:_LONG_SEEDS]:
        if all(g.item.variant.note != c.item.variant.note for c in chosen):
            chosen.append(g)
        if len(chosen) == most:
            break
    return tuple(_example(bench, g, first=k == 0) for k, g in enumerate(chosen))


def _example(bench: Bench, g: Graded, *, first: bool) -> Example:
    text = _smaller(bench, g) if first else g.item.variant.text
    sensitive = g.item.probe.sensitive or g.result == "ran_code"
    return Example(text, g.outcome.words, bench.seeds[g.item.seed].answer, g.item.variant.note, sensitive)


def _smaller(bench: Bench, g: Graded) -> str:
    """The first example of a violation, shrunk. Calls that hang or kill the process are too dear to repeat."""
    seed, text = bench.seeds[g.item.seed], g.item.variant.text
    if g.outcome.fault in ("late", "died", "memory") or not bench.options.shrink_calls:
        return text

    def fails(texts: Sequence[str]) -> list[bool]:
        outcomes = bench.calls.in_order([bench.call(g.item.seed, t) for t in texts])
        same = [result_of(g.item, o, bench.marking) == g.result and o.fault == g.outcome.fault for o in outcomes]
        return [still and _innocent_not(g, seed.answer, t) for still, t in zip(same, texts, strict=True)]

    if g.result == "refused":
        return shrink_added(text, seed.right, fails, bench.options.shrink_calls)
    if g.result == "accepted" and may_be_right(text, seed.answer):
        return text  # what is taken out could be what makes it wrong
    return shrink(text, fails, bench.options.shrink_calls)


def _innocent_not(g: Graded, answer: str, text: str) -> bool:
    return g.result != "accepted" or not may_be_right(text, answer)


def with_suppressions(violations: Sequence[Violation], options: Options) -> tuple[list[Violation], list[str]]:
    """Violations with why they are suppressed, and notes on suppressions that ended or match nothing."""
    notes = []
    out = list(violations)
    for s in options.suppress:
        if s.expires < options.today:
            notes.append(f"the suppression of {s.probe} ended on {s.expires} ({s.reason})")
            continue
        reason = f"{s.reason} (until {s.expires})"
        matched = [s.probe in (v.probe, v.group) for v in out]
        if not any(matched):
            notes.append(f"the suppression of {s.probe} matches no violation and can go")
        out = [dataclasses.replace(v, suppressed=reason) if m else v for v, m in zip(out, matched, strict=True)]
    return out, notes


def profile_of(violations: Sequence[Violation], stopped: str, refused_presentation: float) -> str:
    """The reward in a word or a few, worst first."""
    if stopped == "format":
        return "format-strict"
    kinds = {v.what for v in violations if not v.policy}
    groups = {v.group for v in violations if v.what == "check" and not v.policy}
    found = []
    if "ran_code" in kinds:
        found.append("unsafe")
    if stopped in ("contract", "unsteady") or "fault" in kinds or groups & {"invariance", "contract"}:
        found.append("unstable")
    if refused_presentation > 0.2:
        found.append("format-strict")
    if "accepted" in kinds or groups & {"reference", "hedging", "graded", "length"}:
        found.append("permissive")
    if "refused" in kinds:
        found.append("strict")
    return ", ".join(found) or "sound"


assert set(_WORDS) == set(VIOLATIONS)
