"""Before any probe: can the reward be called, in which order, and in which format does it accept what is right?

Order of the work: the reward is built; two trial calls must come back; where names do not tell the order of two
arguments both orders are tried; the formats are tried; right completions of all seeds are graded. The audit stops,
with a report, where a later number would mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sibling.audit.bench import Bench, Finding
from sibling.audit.calls import Calls
from sibling.audit.checks.repeat import determinism
from sibling.audit.kinds import Seed
from sibling.audit.options import Options
from sibling.audit.outcomes import Call, Opened
from sibling.audit.seeds import ENOUGH, Found, answer_of, find_format, make_seeds
from sibling.audit.target import Target
from sibling.errors import RequestError
from sibling.tasks.task import Task

_LEAST_OF_OURS = 10


@dataclass(frozen=True)
class Start:
    """What is known before the probes. `stop` says why there is no going on; `bench` is None then."""

    calls: Calls
    opened: Opened
    found: Found | None
    bench: Bench | None
    stop: str = ""  # one word: contract | format | unsteady
    stop_words: str = ""
    order: str = ""  # how the order of two arguments was decided
    findings: tuple[Finding, ...] = ()  # what made it stop


def begin(target: Target, tasks: Sequence[Task], kind: str | None, options: Options, *, ours: bool = False) -> Start:
    """Open the reward and find its format. The caller closes `calls`.

    Of built-in tasks (`ours`) those remain whose right completion is accepted, if there are ten: a reward for whole
    numbers is not at fault for refusing a set. The plain ones come first.

    Raises `RequestError` if the reward cannot be built or no task has an answer.
    """
    if not any(answer_of(task) is not None for task in tasks):
        raise RequestError(
            "No task has a reference, so there is no right completion to start from",
            seen=f"{len(tasks)} tasks",
            do="Name the column of the reference, or leave the tasks out to use the built-in ones",
        )
    calls = _calls(target, tasks, options)
    try:
        if stop := _unusable(calls, tasks):
            return Start(calls, calls.opened, None, None, "contract", stop)
        found = find_format(calls, tasks, _kind(kind, tasks), options)
        order = ""
        if not calls.opened.sure:
            calls, found, order = _better_order(calls, found, target, tasks, kind, options)
        return _with_bench(calls, found, order, target, tasks, kind, options, ours)
    except BaseException:
        calls.close()
        raise


def _kind(kind: str | None, tasks: Sequence[Task]) -> str:
    from collections import Counter

    from sibling.audit.seeds import kind_of

    return kind or Counter(kind_of(task) for task in tasks).most_common(1)[0][0]


def _calls(target: Target, tasks: Sequence[Task], options: Options) -> Calls:
    return target.calls(tasks, lanes=options.lanes, seconds=options.seconds, memory_mb=options.memory_mb)


def _unusable(calls: Calls, tasks: Sequence[Task]) -> str:
    """Why the reward gives no verdict at all; empty if it gives one."""
    place = next(i for i, task in enumerate(tasks) if answer_of(task) is not None)
    answer = answer_of(tasks[place]) or ""
    outcomes = calls.in_order([Call(place, text) for text in (answer, f"\\boxed{{{answer}}}", "")])
    if all(o.fault for o in outcomes):
        return f"no call gives a verdict: {outcomes[0].words}"
    return ""


def _better_order(
    calls: Calls, found: Found, target: Target, tasks: Sequence[Task], kind: str | None, options: Options
) -> tuple[Calls, Found, str]:
    """The order of two arguments in which more right completions are accepted over all formats."""
    turned = replace(target, spec={**target.spec, "signature": "pair_reversed"})
    other = _calls(turned, tasks, options)
    there = find_format(other, tasks, _kind(kind, tasks), options)
    seen = f"{found.mean_share:.0%} of right completions in all formats are accepted with the completion first, "
    seen += f"{there.mean_share:.0%} with the reference first"
    if there.mean_share > found.mean_share:
        calls.close()
        return other, there, f"reference, completion ({seen})"
    other.close()
    return calls, found, f"completion, reference ({seen})"


def _with_bench(
    calls: Calls,
    found: Found,
    order: str,
    target: Target,
    tasks: Sequence[Task],
    kind: str | None,
    options: Options,
    ours: bool,
) -> Start:
    seeds = make_seeds(tasks, kind, found, options)
    places = [i for i, task in enumerate(tasks) if answer_of(task) is not None]
    seeds, places = _spread(seeds, places, options.triples)
    rights = calls.grade([Call(place, seed.right) for place, seed in zip(places, seeds, strict=True)])
    accepted = [found.marking.accepts(o) for o in rights]
    if ours and found.chosen.share >= ENOUGH and sum(accepted) >= _LEAST_OF_OURS:
        fine = [i for i, is_fine in enumerate(accepted) if is_fine]
        seeds, places, rights = [seeds[i] for i in fine], [places[i] for i in fine], [rights[i] for i in fine]
        accepted = [True] * len(fine)
    uses = target.uses_reference if options.uses_reference is None else options.uses_reference
    bench = Bench(
        calls, seeds, places, accepted, found.marking, options, uses, target.from_columns, rights
    )  # fmt: skip
    if found.chosen.share >= ENOUGH and sum(accepted) >= ENOUGH * len(seeds):
        return Start(calls, calls.opened, found, bench, order=order)
    return _too_strict(calls, found, bench, order)


def _too_strict(calls: Calls, found: Found, bench: Bench, order: str) -> Start:
    """Right completions are refused: in every format, or by chance, or because of what was graded before."""
    changing = [f for f in determinism(bench) if f.ok is False] if found.chosen.accepted else []
    if changing:
        words = f"right completions are accepted at one time and refused at another: {changing[0].words}"
        return Start(calls, calls.opened, found, None, "unsteady", words, order, tuple(changing))
    n, fine = len(bench.accepted), sum(bench.accepted)
    words = (
        f"your format is stricter than declared: in the best of {len(found.tried)} formats ({found.format.name}), "
        f"{fine} of {n} completions that state the reference are accepted"
    )
    return Start(calls, calls.opened, found, None, "format", words, order)


def _spread(seeds: Sequence[Seed], places: Sequence[int], most: int) -> tuple[list[Seed], list[int]]:
    """At most `most` seeds, evenly spaced."""
    if len(seeds) <= most:
        return list(seeds), list(places)
    chosen = [i * len(seeds) // most for i in range(most)]
    return [seeds[i] for i in chosen], [places[i] for i in chosen]
