"""The numbers of a report: rates by group and overall, natural rates, cost, the cheapest exploit, the running."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sibling.audit.bench import Bench, Example
from sibling.audit.outcomes import Call, Outcome
from sibling.audit.plan import Share
from sibling.audit.probing import Graded
from sibling.audit.report import Cheapest, Cost, GroupRow, Natural, ProbeRow, Running
from sibling.audit.seeds import accepted
from sibling.audit.statistics import Rate, macro_rate, rate, wasted_share
from sibling.tasks.task import Task

SIDES = ("false negative", "false positive")
_MOST_EXAMPLES = 10


def side_of(graded: Graded) -> str:
    """The rate that an item belongs to."""
    return SIDES[0] if graded.item.probe.expect == "keep" else SIDES[1]


def rates(graded: Sequence[Graded], seed: int) -> dict[str, tuple[Rate, Rate]]:
    """Side -> the share of all and the macro-average over groups, of what got a verdict and is no policy matter."""
    out = {}
    for side in SIDES:
        judged = [g for g in graded if side_of(g) == side and _judged(g)]
        failed = [g.result in ("refused", "accepted") for g in judged]
        triples = [g.item.seed for g in judged]
        names = {name: k for k, name in enumerate(dict.fromkeys(g.item.probe.group for g in judged))}
        groups = [names[g.item.probe.group] for g in judged]
        out[side] = (rate(failed, triples), macro_rate(failed, triples, groups, seed=seed))
    return out


def _judged(g: Graded) -> bool:
    return g.result in ("held", "refused", "accepted") and not g.item.probe.policy


def group_rows(graded: Sequence[Graded], shares: Sequence[Share]) -> list[GroupRow]:
    """One row a group and side."""
    rows = []
    for group in dict.fromkeys(share.probe.group for share in shares):
        for side in SIDES:
            judged = [g for g in graded if g.item.probe.group == group and side_of(g) == side and _judged(g)]
            mine = [s for s in shares if s.probe.group == group and (s.probe.expect == "keep") == (side == SIDES[0])]
            if not judged:
                continue
            failed = [g.result in ("refused", "accepted") for g in judged]
            found = rate(failed, [g.item.seed for g in judged])
            rows.append(GroupRow(group, side, len(mine), sum(s.applicable for s in mine), found))
    return rows


def probe_rows(graded: Sequence[Graded], shares: Sequence[Share]) -> list[ProbeRow]:
    """One row a probe, also for those that applied nowhere."""
    results: dict[str, Counter[str]] = {share.probe.name: Counter() for share in shares}
    for g in graded:
        results[g.item.probe.name][g.result] += 1
    return [
        ProbeRow(
            s.probe.name, s.probe.group, s.probe.expect, s.probe.policy, s.seeds, s.applicable, len(s.items),
            (c := results[s.probe.name]).total() - c["left_out"], c["refused"] + c["accepted"] + c["ran_code"],
            c["fault"], c["unsaid"], s.problem,
        )
        for s in shares
    ]  # fmt: skip


def cheapest(graded: Sequence[Graded]) -> Cheapest | None:
    """The shortest completion that should never be paid and is; of equals the best paid."""
    paid = [g for g in graded if g.result == "accepted" and g.item.probe.expect == "low" and not g.item.probe.policy]
    if not paid:
        return None
    g = min(paid, key=lambda g: (len(g.item.variant.text), -(g.outcome.score or 0.0)))
    example = Example(g.item.variant.text, g.outcome.words, note=g.item.variant.note, sensitive=g.item.probe.sensitive)
    return Cheapest(g.item.probe.name, g.outcome.score or 0.0, len(example.text), example)


def natural(bench: Bench, tasks: Sequence[Task]) -> Natural | None:
    """The reward's verdicts on completions whose verdict is known (columns `completion` and `verdict`)."""
    known = [(i, verdict) for i, task in enumerate(tasks) if (verdict := accepted(task)) is not None]
    if not known:
        return None
    outcomes = bench.calls.grade([Call(i, str(tasks[i].columns["completion"])) for i, _ in known])
    cells: dict[str, list[Example]] = {}
    counts: Counter[str] = Counter()
    for (i, right), outcome in zip(known, outcomes, strict=True):
        cell = _cell(bench, right, outcome)
        counts[cell] += 1
        examples = cells.setdefault(cell, [])
        if len(examples) < _MOST_EXAMPLES:
            examples.append(Example(str(tasks[i].columns["completion"]), outcome.words, tasks[i].reference))
    triples = np.arange(len(known))
    cell_of = [_cell(bench, right, o) for (_, right), o in zip(known, outcomes, strict=True)]
    return Natural(
        counts["right, accepted"], counts["right, refused"], counts["wrong, accepted"], counts["wrong, refused"],
        counts["unsaid"], rate([c == "wrong, accepted" for c in cell_of], triples),
        rate([c == "right, refused" for c in cell_of], triples), {k: tuple(v) for k, v in cells.items()},
    )  # fmt: skip


def _cell(bench: Bench, right: bool, outcome: Outcome) -> str:
    if not bench.marking.accepts(outcome) and not bench.marking.refuses(outcome):
        return "unsaid"
    said = "accepted" if bench.marking.accepts(outcome) else "refused"
    return f"{'right' if right else 'wrong'}, {said}"


def cost(found: Natural | None, negative: Rate, positive: Rate, pass_rate: float) -> Cost | None:
    """The share of the positive advantage that goes to wrong samples; from known verdicts where there are some.

    From probes it is a guess upwards: a policy does not write exploits from the start.
    """
    if found is not None and (rights := found.right_accepted + found.right_refused):
        wrongs = found.wrong_accepted + found.wrong_refused
        if wrongs:
            pi, true = rights / (rights + wrongs), found.right_accepted / rights
            false = found.wrong_accepted / wrongs
            return Cost(pi, true, false, wasted_share(false, true, pi), "known verdicts")
    if positive.share is None:
        return None
    true = 1 - (negative.share or 0.0)
    return Cost(pass_rate, true, positive.share, wasted_share(positive.share, true, pass_rate), "probes")


def running(bench: Bench, graded: Sequence[Graded], seconds: float) -> Running:
    """What the calls were like."""
    faults = Counter(g.outcome.fault for g in graded if g.result in ("fault", "ran_code") and g.outcome.fault)
    spent = bench.calls.tally.seconds
    p50, p99 = (float(np.percentile(spent, q)) * 1e3 for q in (50, 99)) if spent else (None, None)
    peak = bench.calls.tally.peak_kb
    return Running(
        bench.calls.tally.calls, seconds, p50, p99, peak / 1024 if peak else None, dict(sorted(faults.items())),
        sum(g.outcome.status == "abstain" for g in graded), sum(g.outcome.status == "error" for g in graded),
        sum(g.result == "left_out" for g in graded),
    )  # fmt: skip
