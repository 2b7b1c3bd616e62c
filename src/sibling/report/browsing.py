"""`sibling samples`: the completions of a run, in groups, filtered by step, prompt, reward and fate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sibling.batch import Fate
from sibling.errors import RequestError
from sibling.record.reader import read_log
from sibling.report.screen import STYLES, sibling_line
from sibling.report.siblings import Group, Sibling, read_groups, samples_file
from sibling.report.text import clean, count, last_user_text, number, one_line, signed


@dataclass(frozen=True)
class Query:
    """Which completions to show. `steps` is `12`, `3-7`, `all`, or None for the last step with completions."""

    steps: str | None = None
    prompt: str | None = None  # part of the prompt's text or of its task id
    reward_above: float | None = None
    reward_below: float | None = None
    fate: str | None = None
    limit: int | None = None  # groups

    def takes(self, sibling: Sibling) -> bool:
        """Whether this completion passes the filters on completions. One without a reward passes no reward filter."""
        by_reward = self.reward_above is not None or self.reward_below is not None
        if by_reward and sibling.reward is None:
            return False
        reward = sibling.reward or 0.0
        return (
            (self.reward_above is None or reward > self.reward_above)
            and (self.reward_below is None or reward < self.reward_below)
            and (self.fate is None or sibling.fate == self.fate)
        )


def find(directory: Path, query: Query) -> Iterator[Group]:
    """The groups that have completions passing the query, cut down to those, in the order they were drawn.

    Raises `RequestError` for a step that is not on record or an unknown fate, `RecordError` for unreadable samples.
    """
    if query.fate is not None and query.fate not in [f.value for f in Fate]:
        raise RequestError("No such fate", seen=repr(query.fate), wanted=f"one of {', '.join(f.value for f in Fate)}")
    rollouts = {e.body["step"]: e.body for e in read_log(directory).rollouts()}
    found = 0
    for step in _steps(query.steps, sorted(rollouts)):
        for group in read_groups(samples_file(directory, rollouts[step])):
            siblings = tuple(s for s in group.siblings if query.takes(s))
            if not siblings or not _asks(group, query.prompt):
                continue
            if query.limit is not None and found >= query.limit:
                return
            found += 1
            yield replace(group, siblings=siblings)


def show(directory: Path, query: Query, console: Console, *, full: bool = False) -> int:
    """Print the groups found, one line a completion, or with `full` their whole texts. The number of groups."""
    found = 0
    for group in find(directory, query):
        found += 1
        _print_group(group, console, full)
    if not found:
        console.print("No completion on record passes these filters.", soft_wrap=True)
    return found


def json_lines(directory: Path, query: Query) -> Iterator[str]:
    """One JSON object a completion, text as it was drawn (JSON escapes its control characters)."""
    for group in find(directory, query):
        about = {k: v for k, v in asdict(group).items() if k != "siblings"}
        for sibling in group.siblings:
            yield json.dumps({**about, **asdict(sibling)}, ensure_ascii=True)


def _steps(asked: str | None, known: list[int]) -> list[int]:
    if not known:
        raise RequestError("This run has no completions on record yet", do="Wait for its first step")
    if asked is None:
        return known[-1:]
    if asked == "all":
        return known
    first, dash, last = asked.partition("-")
    if not first.isdigit() or (dash and not last.isdigit()):
        raise RequestError(
            "A step must be a number, a range or `all`", seen=repr(asked), wanted="for example 12 or 3-7"
        )
    wanted = [s for s in known if int(first) <= s <= int(last or first)]
    if not wanted:
        raise RequestError("No such step is on record", seen=asked, wanted=f"{known[0]} to {known[-1]}")
    return wanted


def _asks(group: Group, prompt: str | None) -> bool:
    return prompt is None or prompt.lower() in group.prompt_text.lower() or prompt in group.task_id


def _print_group(group: Group, console: Console, full: bool) -> None:
    asked = last_user_text(group.prompt_text)
    head = Text(f"step {group.step}, prompt {group.prompt}", "dim")
    head.append(f", round {group.round}" if group.round else "")
    head.append(f"  {one_line(group.task_id)}")
    console.print(head, no_wrap=True, overflow="ellipsis")
    console.print(
        Text(clean(asked) if full else one_line(asked), "bold"),
        no_wrap=not full,
        overflow="ellipsis" if not full else "fold",
    )
    if group.reference is not None:
        console.print(Text(f"reference  {one_line(group.reference)}", "dim"), no_wrap=True, overflow="ellipsis")
    for sibling in group.siblings:
        if full:
            _print_full(sibling, console)
        else:
            console.print(sibling_line(sibling), no_wrap=True, overflow="ellipsis")
    console.print()


def _print_full(s: Sibling, console: Console) -> None:
    reward = number(s.reward) if s.reward is not None else "none"
    status = s.status[0] if s.status else ""
    head = Text.assemble(
        (f"\nsibling {s.index}  ", "dim"), (f"reward {reward}", STYLES.get(status, "")),
        f"  advantage {signed(s.advantage)}  {count(s.length, 'token')}  ended by {s.finish}  {s.fate}",
    )  # fmt: skip
    console.print(head, overflow="fold")
    for verdict, score, reason in zip(s.status, s.score, s.reason, strict=True):
        given = f" {number(score)}" if score is not None else ""
        console.print(Text(f"{verdict}{given}  {one_line(reason)}".rstrip(), "dim"), overflow="fold")
    for line in (clean(s.text) or "(empty)").split("\n"):
        console.print(Text(f"  {line}", overflow="fold"), soft_wrap=True)
