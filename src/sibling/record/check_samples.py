"""Checks of the sample files: every completion, its place, its scores, and the counts that events claim.

Rule 1: the file of each effective rollout.batch has the recorded bytes (ARTIFACT); only then are its rows believed.
Rule 2: generated = trained + rejected, in the event, in the rows, and over the run (BALANCE).
Rule 3: rows are in order, the siblings of a group are 0 .. G-1, prompts are those of the event (BALANCE).
Rule 4: a score is present exactly where the verdict is right or wrong; the reward is the weighted sum of the scores
        present; the event's statistics of each reward follow (REWARD).
Rule 5: advantages and fates follow from the rewards (ADV); replay.py has the mathematics.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sibling.batch import Fate, Finish, Status
from sibling.errors import RecordError
from sibling.maths.estimators import ESTIMATORS
from sibling.record.audit import Audit, line_of, shown
from sibling.record.events import Event
from sibling.record.replay import (
    FATES,
    RowMap,
    Rules,
    advantage_faults,
    advantages,
    fate_faults,
    reward_faults,
)
from sibling.record.samples import read_samples, sample_metadata

_NEEDED = (
    *("step", "prompt", "round", "sibling", "task_id", "finish", "length", "status", "score"),
    *("code", "span", "reward", "advantage", "fate", "trained"),
)
_TOKEN_COLUMNS = ("advantages", "kl", "values")
_STEP_COLUMNS = ("step_ends", "step_scores")
_SCORED = (Status.right, Status.wrong)


def check_samples(audit: Audit) -> None:
    """All rules, step by step, then the balance of the run."""
    names, weights = _reward_names(audit), _weights(audit)
    rules = _rules(audit, weights)
    updates = {e.step: e for e in audit.log.steps()}
    facts = Counter(sample_files=0, completions=0, rewards_recomputed=0, advantages_recomputed=0, bit_equal=0)
    for event in audit.log.rollouts():
        _check_counts(audit, event)
        rows = _rows(audit, event, names, weights)
        if rows is None:
            continue
        facts.update(sample_files=1, completions=len(rows))
        _report(audit, event, "BALANCE", _place_faults(audit, event, rows))
        _report(audit, event, "BALANCE", _count_faults(event, updates.get(event.step), rows))
        _check_rewards(audit, event, rows, weights, facts)
        _check_advantages(audit, event, rows, rules, facts)
    audit.facts.update(facts)
    _check_run(audit)


def _reward_names(audit: Audit) -> list[str]:
    opened = audit.log.opened()
    return list(opened.body["reward_names"]) if opened is not None else []


def _weights(audit: Audit) -> list[float] | None:
    """The weights that reward.bound gives to the rewards of run.opened; None if it does not give them."""
    bound = audit.log.of("reward.bound")
    if not bound:
        if audit.log.rollouts():
            audit.findings.add("FIELD", "events.jsonl", "no reward.bound: the weights of the rewards are not known")
        return None
    weights = {r["name"]: float(r["weight"]) for r in bound[-1].body["rewards"]}
    names = _reward_names(audit)
    if list(weights) != names or len(bound[-1].body["rewards"]) != len(names):
        audit.findings.add("REWARD", line_of(bound[-1]), "the rewards bound are not those of run.opened")
        return None
    return [weights[name] for name in names]


def _rules(audit: Audit, weights: Sequence[float] | None) -> Rules | None:
    opened = audit.log.opened()
    if opened is None:
        return None
    advantage = opened.body["objective"].get("advantage")
    numbers = dict(advantage) if isinstance(advantage, Mapping) else {}
    estimator = ESTIMATORS.get(str(numbers.get("type")))
    if estimator is None or any(name not in numbers for name in estimator.numbers):
        audit.findings.add(
            "FIELD", line_of(opened), "objective.advantage names no estimator: no advantage can be recomputed"
        )
        return None
    masked = audit.setting("filters", "mask_truncated") is True
    # Canonical JSON writes 1.0 as 1: a number is what the estimator's default is.
    own = {n: float(numbers[n]) if _written_whole(numbers[n], d) else numbers[n] for n, d in estimator.numbers.items()}
    return Rules(estimator.name, own, masked, tuple(weights or ()))


def _written_whole(value: object, default: object) -> bool:
    return isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool)


def _rows(audit: Audit, event: Event, names: Sequence[str], weights: Sequence[float] | None) -> list[RowMap] | None:
    """The rows of an event's file, if they can be believed and have the right form."""
    relative = event.body["samples_file"]
    path = audit.expect_file(relative, event.body["samples_sha256"])
    if path is None:
        return None
    try:
        table = read_samples(path)
    except RecordError as error:
        audit.findings.add("ARTIFACT", shown(relative), shown(str(error).replace(str(path), path.name)))
        return None
    note, run = sample_metadata(table), event.run
    if (note.get("run"), note.get("step"), note.get("reward_names")) != (run, event.step, list(names)):
        audit.findings.add("ARTIFACT", shown(relative), "the file belongs to another run or step, or other rewards")
    if weights is not None and note.get("reward_weights") != weights:
        audit.findings.add("REWARD", shown(relative), "the weights in the file are not those of reward.bound")
    rows: list[RowMap] = [*table.select([*_NEEDED, *_TOKEN_COLUMNS, *_STEP_COLUMNS]).to_pylist()]
    faults = [*_length_faults(table), *_form_faults(rows, len(names))]
    _report(audit, event, "FIELD", faults)
    return None if faults else rows


def _length_faults(table: pa.Table) -> Iterator[str]:
    for column in ("token_ids", "sampler_logprobs"):
        if pc.list_value_length(table[column]).to_pylist() != table["length"].to_pylist():
            yield f"the lengths of {column} are not those of the column length"


def _form_faults(rows: Sequence[RowMap], rewards: int) -> Iterator[str]:
    """Values that no writer makes. After this, a row can be computed with."""
    for row in rows:
        if any(row[k] is None for k in _NEEDED if k != "reward") or row["length"] < 1:
            yield _at(row, "a value is missing")
        elif row["fate"] not in FATES or row["finish"] not in list(Finish):
            yield _at(row, f"the fate {row['fate']!r} or the finish {row['finish']!r} is not known")
        elif any(len(row[k]) != rewards for k in ("status", "score", "code", "span")) or any(
            s not in list(Status) for s in row["status"]
        ):
            yield _at(row, "the verdicts are not one of right, wrong, abstain, error for each reward")
        elif not all(math.isfinite(x) for x in (*row["score"], row["reward"], row["advantage"]) if x is not None):
            yield _at(row, "a score, reward or advantage is not a finite number")
        else:
            yield from _token_faults(row)


def _token_faults(row: RowMap) -> Iterator[str]:
    """Token columns are there for the whole completion or not at all, and finite; steps end inside it, in order."""
    for name in (*_TOKEN_COLUMNS, *_STEP_COLUMNS):
        values = row[name]
        if values is not None and any(v is None or not math.isfinite(v) for v in values):
            yield _at(row, f"the column {name} holds what is not a finite number")
        elif values is not None and name in _TOKEN_COLUMNS and len(values) != row["length"]:
            yield _at(row, f"the column {name} has {len(values)} entries for {row['length']} tokens")
    ends, scores = row["step_ends"] or [], row["step_scores"] or []
    if len(ends) != len(scores) or sorted(ends) != ends or any(not 0 <= e < row["length"] for e in ends):
        yield _at(row, "its steps do not lie in order within its tokens")


def _check_counts(audit: Audit, event: Event) -> None:
    counts = event.body["counts"]
    total = counts["trained"] + sum(counts["rejected"].values())
    if counts["generated"] != total:
        sentence = f"generated is {counts['generated']}, trained + rejected is {total}"
        audit.findings.add("BALANCE", line_of(event), sentence)


def _place_faults(audit: Audit, event: Event, rows: Sequence[RowMap]) -> Iterator[str]:
    places = [(r["round"], r["prompt"], r["sibling"]) for r in rows]
    if any(b <= a for a, b in itertools.pairwise(places)):
        yield "two completions have one place, or the rows are out of order"
    groups: dict[tuple[int, int], list[int]] = {}
    for round_, prompt, sibling in places:
        groups.setdefault((round_, prompt), []).append(sibling)
    size = audit.setting("sampling", "group_size")
    for (round_, prompt), siblings in groups.items():
        wanted = size if isinstance(size, int) else len(siblings)
        if siblings != list(range(min(wanted, len(siblings) + 1))):
            yield f"round {round_}, prompt {prompt}: the siblings are not 0 .. {wanted - 1}, each once"
    prompts = event.body["prompts"]
    for row in rows:
        if not 0 <= row["prompt"] < len(prompts) or prompts[row["prompt"]] != row["task_id"]:
            yield _at(row, "the task is not the one that the event names")
        if row["step"] != event.step or row["trained"] != (row["fate"] == Fate.trained):
            yield _at(row, "the columns step or trained contradict the event or the fate")


def _count_faults(event: Event, update: Event | None, rows: Sequence[RowMap]) -> Iterator[str]:
    fates = Counter(r["fate"] for r in rows)
    trained = fates.pop(Fate.trained.value, 0)
    counts = event.body["counts"]
    seen = (len(rows), trained, dict(fates))
    recorded = (counts["generated"], counts["trained"], {k: n for k, n in counts["rejected"].items() if n})
    for name, a, b in zip(("generated", "trained", "rejected"), seen, recorded, strict=True):
        if a != b:
            yield f"{name} is {a} in the rows, {shown(str(b))} in rollout.batch"
    stats = update.body["stats"] if update is not None else {}
    tokens = sum(r["length"] for r in rows)
    for name, value in (("generated", len(rows)), ("trained", trained), ("sampled_tokens", tokens)):
        if name in stats and stats[name] != value:
            yield f"{name} is {value} in the rows, {stats[name]} in update.applied"


def _check_rewards(
    audit: Audit, event: Event, rows: Sequence[RowMap], weights: Sequence[float] | None, facts: Counter[str]
) -> None:
    for row in rows:
        if any((s in _SCORED) != (x is not None) for s, x in zip(row["status"], row["score"], strict=True)):
            _report(
                audit, event, "REWARD", [_at(row, "a verdict has a score without being right or wrong, or lacks it")]
            )
    _report(audit, event, "REWARD", _summary_faults(event, rows, _reward_names(audit)))
    if weights is not None:
        facts["rewards_recomputed"] += len(rows)
        _report(audit, event, "REWARD", (_at(*fault) for fault in reward_faults(rows, weights)))


def _summary_faults(event: Event, rows: Sequence[RowMap], names: Sequence[str]) -> Iterator[str]:
    recorded = event.body["rewards"]
    if set(recorded) != set(names):
        yield "rollout.batch has statistics of other rewards"
        return
    for place, name in enumerate(names):
        statuses = Counter(r["status"][place] for r in rows)
        scores = [r["score"][place] for r in rows if r["score"][place] is not None]
        mean = math.fsum(scores) / len(scores) if scores and max(map(abs, scores)) < 1e300 else None
        wanted: Mapping[str, int] = {s.value: statuses[s.value] for s in Status}
        if any(recorded[name][k] != n for k, n in wanted.items()):
            yield f"the verdicts of {shown(name)} are {dict(wanted)} in the rows, not as in rollout.batch"
        codes = dict(Counter(r["code"][place] for r in rows if r["code"][place]))
        if recorded[name].get("codes", codes) != codes:
            yield f"the reason codes of {shown(name)} are not those of the rows"
        seen = recorded[name]["mean"]
        if (seen is None) != (mean is None) or (
            seen is not None and mean is not None and abs(seen - mean) > 1e-9 * max(1.0, abs(mean))
        ):
            yield f"the mean score of {shown(name)} is {mean} in the rows, {seen} in rollout.batch"


def _check_advantages(
    audit: Audit, event: Event, rows: Sequence[RowMap], rules: Rules | None, facts: Counter[str]
) -> None:
    if rules is None:
        return
    wanted = advantages(rows, rules, float(event.body["kl_beta"]))
    if wanted is None:
        _report(audit, event, "ADV", ["no advantages can be computed from the rewards and token columns of the rows"])
        return
    facts["advantages_recomputed"] += len(rows)
    pairs = zip(rows, wanted.advantage, wanted.tokens, strict=True)
    facts["bit_equal"] += sum(r["advantage"] == a and r["advantages"] == t for r, a, t in pairs)
    _report(audit, event, "ADV", (_at(*fault) for fault in advantage_faults(rows, wanted)))
    _report(audit, event, "ADV", (_at(*fault) for fault in fate_faults(rows, rules, wanted.live)))


def _check_run(audit: Audit) -> None:
    generated = trained = 0
    rejected: Counter[str] = Counter()
    for event in audit.log.rollouts():
        generated += event.body["counts"]["generated"]
        trained += event.body["counts"]["trained"]
        rejected.update(event.body["counts"]["rejected"])
    totals = {"generated": generated, "trained": trained, "rejected": {k: n for k, n in sorted(rejected.items()) if n}}
    audit.facts.update(totals)
    closed = audit.log.closed()
    if closed is not None:
        counts = closed.body["counts"]
        recorded = {**counts, "rejected": {k: n for k, n in counts["rejected"].items() if n}}
        if any(recorded[k] != totals[k] for k in totals):
            audit.findings.add("BALANCE", line_of(closed), "the counts of the run are not the sums over its steps")


def _report(audit: Audit, event: Event, code: str, faults: Sequence[str] | Iterator[str]) -> None:
    for fault in faults:
        audit.findings.add(code, f"step {event.step}", fault)


def _at(row: RowMap, sentence: str) -> str:
    return f"round {row['round']}, prompt {row['prompt']}, sibling {row['sibling']}: {sentence}"
