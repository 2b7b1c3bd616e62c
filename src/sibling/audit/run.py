"""`audit`: how often a reward refuses what is right and pays for what is wrong, found out with its own tasks.

Order of the work: the reward is built in a child process; its format is found; the checks of several completions;
the probes, in rounds; violations are made small; the numbers. No model and no GPU are needed, and nothing of the
reward runs in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sibling.audit.bench import Bench, Finding
from sibling.audit.checks.batches import batches
from sibling.audit.checks.contract import batch_length, missing_reference, returns
from sibling.audit.checks.graded import graded_scores
from sibling.audit.checks.hedging import hedging_curve
from sibling.audit.checks.length import length_slope
from sibling.audit.checks.references import argument_order, shuffled_references
from sibling.audit.checks.repeat import determinism, hidden_state, threads, threads_left
from sibling.audit.kinds import Probe
from sibling.audit.opening import Start, begin
from sibling.audit.options import Options
from sibling.audit.own_tasks import own_tasks
from sibling.audit.plan import Share, plan
from sibling.audit.probing import Graded, Progress, confirmed, run_probes
from sibling.audit.rates import SIDES, cheapest, cost, group_rows, natural, probe_rows, rates, running
from sibling.audit.report import Report, Running, Violation
from sibling.audit.target import Target
from sibling.audit.violations import collect, of_check, profile_of, with_suppressions
from sibling.tasks.task import Task

Check = Callable[[Bench], list[Finding]]

STEADY: tuple[tuple[tuple[str, ...], str, Check], ...] = (
    (("hidden_state", "order"), "invariance", hidden_state),
    (("batch_size", "batch_order", "batch_company", "duplicates"), "invariance", batches),
    (("thread", "threads"), "invariance", threads),
    (("length_slope", "paid_for_length"), "length", length_slope),
)
"""Checks that compare verdicts with each other: of no use where verdicts change by themselves."""

CHECKS: tuple[tuple[tuple[str, ...], str, Check], ...] = (
    (("returns",), "contract", returns),
    (("batch_length",), "contract", batch_length),
    (("missing_reference",), "reference", missing_reference),
    (("shuffled_references",), "reference", shuffled_references),
    (("argument_order",), "reference", argument_order),
    (("hedging_curve", "last_answer_counts"), "hedging", hedging_curve),
)
OTHER_CHECKS = ("determinism", "fresh_process", "monotone", "partial_pay", "threads_left")


def check_names() -> set[str]:
    """Names and groups of all checks, to choose by."""
    tables = (*STEADY, *CHECKS)
    return {n for names, group, _ in tables for n in (*names, group)} | {*OTHER_CHECKS, "graded"}


_MEANT_TO_COUNT_LENGTH = ("overlong",)


def audit(
    target: Target,
    tasks: Sequence[Task] | None = None,
    *,
    options: Options | None = None,
    probes: Sequence[Probe] | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Audit a reward with `tasks` (their `completion` and `verdict` columns are used), or with built-in ones.

    `probes` are all there are unless given. Raises `RequestError` if the reward cannot be built or no task has an
    answer; whatever the reward does when it is called is in the report.
    """
    if probes is None:
        from sibling.audit.probes import PROBES

        probes = PROBES
    asked = options or Options()
    began = time.monotonic()
    kind = asked.kind or target.kind
    used = list(tasks) if tasks else own_tasks(target.type if target.type == "quantity" else kind or "math")
    progress("opening", 0, 1)
    start = begin(target, used, kind, asked, ours=not tasks)
    with start.calls:
        if start.bench is None:
            return _stopped(target, start, used, "yours" if tasks else "ours", time.monotonic() - began)
        return _Audit(target, start, start.bench, used, probes, progress, began).report("yours" if tasks else "ours")


class _Audit:
    """One audit, from the bench on."""

    def __init__(
        self,
        target: Target,
        start: Start,
        bench: Bench,
        tasks: Sequence[Task],
        probes: Sequence[Probe],
        progress: Progress,
        began: float,
    ) -> None:
        self.target, self.start, self.bench, self.tasks = target, start, bench, tasks
        self.options, self.progress, self.began = bench.options, progress, began
        self.probes = [p for p in probes if self.options.wants(p.name, p.group)]
        self.notes: list[str] = []
        self.steady = True
        self.late: list[str] = []  # checks for which there was no time

    def report(self, whose: str) -> Report:
        """The checks, the probes, and what they amount to."""
        findings = self._checks()
        shares = plan(
            self.probes,
            self.bench.seeds,
            self.bench.accepted,
            calls=self.options.calls,
            uses_reference=self.bench.uses_reference,
        )
        graded = run_probes(self.bench, shares, deadline=self._deadline(), progress=self.progress)
        if not self.steady:
            graded = confirmed(self.bench, graded)
        findings += [threads_left(self.bench)] if self.options.wants("threads_left", "resource") else []
        scored = graded_scores(self.bench, graded, self._wrong_scores())
        findings += [f for f in scored if self.options.wants(f.name, f.group)]
        self.progress("examples", 0, 1)
        return self._assembled(whose, findings, shares, graded)

    def _deadline(self) -> float | None:
        limit = self.options.total_seconds
        return None if limit is None else self.began + limit

    def _checks(self) -> list[Finding]:
        found = self._one(("determinism", "fresh_process"), "invariance", determinism)
        steady = all(f.ok is not False for f in found)
        for names, group, check in STEADY:
            if steady and not (group == "length" and self.target.type in _MEANT_TO_COUNT_LENGTH):
                found += self._one(names, group, check)
        self.steady = steady
        if not steady:
            self.notes.append(
                "verdicts change by themselves, so order, batches, threads and lengths were not compared, and "
                "a violation counts if it is there three times in a row"
            )
        for names, group, check in CHECKS:
            found += self._one(names, group, check)
        return found

    def _one(self, names: tuple[str, ...], group: str, check: Check) -> list[Finding]:
        wanted = [name for name in names if self.options.wants(name, group)]
        if not wanted:
            return []
        deadline = self._deadline()
        if deadline is not None and time.monotonic() > deadline:
            self.late += wanted
            return []
        self.progress(names[0], 0, 1)
        return [f for f in check(self.bench) if self.options.wants(f.name, f.group)]

    def _wrong_scores(self) -> list[float]:
        seeds = [(i, seed) for i, seed in enumerate(self.bench.seeds) if seed.others][:24]
        outcomes = self.bench.calls.grade([self.bench.call(i, seed.wrap(seed.others[0])) for i, seed in seeds])
        return [o.score for o in outcomes if o.score is not None and not self.bench.marking.accepts(o)]

    def _assembled(
        self, whose: str, findings: Sequence[Finding], shares: Sequence[Share], graded: Sequence[Graded]
    ) -> Report:
        if self.late:
            self.notes.append(f"no time was left for {', '.join(self.late)}")
        violations, notes = with_suppressions(collect(self.bench, graded, findings), self.options)
        found = rates(graded, self.options.seed)
        known = natural(self.bench, self.tasks)
        (negative, negative_macro), (positive, positive_macro) = found[SIDES[0]], found[SIDES[1]]
        rows = group_rows(graded, shares)
        refused = next((r.rate.share for r in rows if (r.group, r.side) == ("presentation", SIDES[0])), 0.0)
        counted = [v for v in violations if not v.policy]
        nothing = not any(g.result in ("held", "refused", "accepted") for g in graded) and not findings
        report = _outline(self.target, self.start, self.bench, whose, len(self.bench.seeds))
        return replace(
            report,
            verdict="fail" if nothing or any(not v.suppressed for v in counted) else "pass",
            stopped="no probe applies to these tasks" if nothing else "",
            profile=profile_of(violations, "", refused or 0.0),
            false_negative=negative,
            false_negative_macro=negative_macro,
            false_positive=positive,
            false_positive_macro=positive_macro,
            groups=tuple(rows),
            probes=tuple(probe_rows(graded, shares)),
            violations=tuple(counted),
            policies=tuple(v for v in violations if v.policy),
            checks=tuple(findings),
            cheapest=cheapest(graded),
            natural=known,
            cost=cost(known, negative_macro, positive_macro, self.options.pass_rate),
            running=running(self.bench, graded, time.monotonic() - self.began),
            notes=(*report.notes, *self.notes, *notes),
        )


def _outline(target: Target, start: Start, bench: Bench | None, whose: str, triples: int) -> Report:
    """The report without its findings."""
    opened, found = start.opened, start.found
    notes = (
        [f"columns that the data lacks are given the reference: {', '.join(opened.assumed)}"] if opened.assumed else []
    )
    if start.order:
        notes.append(f"order of the two arguments: {start.order}")
    tried = (
        [{"name": t.name, "accepted": t.accepted, "n": t.n, "said": t.example} for t in found.tried] if found else []
    )
    kinds = sorted({seed.kind for seed in bench.seeds}) if bench else []
    accept = "" if bench is None else bench.marking.words
    return Report(
        target.name, target.type, opened.code, opened.words or target.type, ", ".join(kinds), whose, triples, accept,
        found.format.name if found else "", tuple(tried), "fail", "", "", None, None, None, None, (), (), (), (), (),
        None, None, None, Running(0, 0.0, None, None, None, {}, 0, 0, 0), tuple(notes),
    )  # fmt: skip


def _stopped(target: Target, start: Start, tasks: Sequence[Task], whose: str, seconds: float) -> Report:
    """A report of why there is nothing more to say."""
    words = start.stop_words
    stopping = Violation(start.stop, "format" if start.stop == "format" else "contract", "check", words, 1, 1)
    violations = [of_check(f, Options()) for f in start.findings] or [stopping]
    tally = start.calls.tally
    return replace(
        _outline(target, start, None, whose, len(tasks)),
        verdict="fail",
        stopped=words,
        profile=profile_of([], start.stop, 0.0),
        violations=tuple(violations),
        checks=start.findings,
        running=Running(tally.calls, seconds, None, None, None, {}, 0, 0, 0),
    )
