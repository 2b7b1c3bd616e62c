"""Several verifiers behind one: a rule, an appeal for what it refuses, a judge for what neither can decide.

    rule right                                    right          rule_accepts
    rule wrong or undecided, appeal right         right          appeal_accepts (judge_confirms, judge_objects)
    rule wrong or undecided, appeal wrong         wrong          appeal_refuses
    rule wrong, no appeal                         wrong          rule_refuses
    neither decides                               the judge's    judge_accepts, judge_refuses
    nobody decides                                error, abstain undecided

Undecided is: abstain, error, and `wrong` with the code `unreadable` (it could not be read, which says little of what it
says). An appeal that cannot decide leaves a `wrong` of the rule to the judge, or standing where there is none; what the
rule alone could not read stays wrong where nobody else can. The code of a verdict says who decided.

The appeal is asked about everything, also what the rule accepts: that costs its time and gives the table of agreement
between the two, which is the cheapest sign of a false accept. It changes no verdict there. Two verifiers that share a
blind spot agree in it: choose an appeal that works in another way.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sibling.batch import Completion, Status, Verdict
from sibling.config import EnsembleReward
from sibling.errors import RequestError
from sibling.rewards.verdicts import Reward
from sibling.tasks.task import Task

_MOST_EXAMPLES = 10
_CELLS = ("right_right", "right_wrong", "wrong_right", "wrong_wrong")  # rule, then appeal


class Ensemble:
    """The verdict of whoever decides, with that one's score, steps and span. Safe to call from several threads.

    Arguments: the parts, already built; `appeal` and `judge` may be left out. Raises `RequestError` for `confirm`
    without an appeal or a judge.
    """

    def __init__(
        self, config: EnsembleReward, rule: Reward, appeal: Reward | None = None, judge: Reward | None = None
    ) -> None:
        if config.confirm and (appeal is None or judge is None):
            raise RequestError(
                "An appeal can only be confirmed where there is an appeal and a judge",
                seen=f"confirm, appeal {'given' if appeal else 'missing'}, judge {'given' if judge else 'missing'}",
                do="Add the missing part to the ensemble, or leave confirm out",
            )
        self._confirm = config.confirm
        self._rule, self._appeal, self._judge = rule, appeal, judge
        self.uses_reference = rule.uses_reference
        self._decisions: Counter[str] = Counter()
        self._table: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {"right_wrong": [], "wrong_right": []}
        self._lock = threading.Lock()

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion; its seconds are those of all who were asked about it."""
        ruled = self._rule.grade(tasks, completions)
        appealed: Sequence[Verdict | None] = [None] * len(ruled)
        if self._appeal is not None and ruled:
            appealed = self._appeal.grade(tasks, completions)
            self._tabulate(tasks, completions, ruled, appealed)
        open_cases = [i for i in range(len(ruled)) if self._needs_judge(ruled[i], appealed[i])]
        judged: dict[int, Verdict] = {}
        if self._judge is not None and open_cases:
            said = self._judge.grade([tasks[i] for i in open_cases], [completions[i] for i in open_cases])
            judged = dict(zip(open_cases, said, strict=True))
        verdicts = [self._decide(ruled[i], appealed[i], judged.get(i)) for i in range(len(ruled))]
        with self._lock:
            self._decisions.update(v.code for v in verdicts)
        return verdicts

    def problem_with(self, task: Task) -> str | None:
        """Why no part can grade `task`, in words; None if one can, or does not say."""
        problems: list[str | None] = []
        for part in (self._rule, self._appeal, self._judge):
            if part is not None:
                check = _method(part, "problem_with")
                problems.append(check(task) if check is not None else None)
        return problems[0] if all(problems) else None

    def statistics(self) -> dict[str, Any]:
        """Since it was built: `decisions` by code; `rule_and_appeal`, counts of the rule's verdict and the appeal's
        (`undecided`: one of them did not decide); `kappa`, Cohen's, None where it is not defined; `examples`, digests
        of up to ten completions for each kind of disagreement; and what the parts count themselves.
        """
        with self._lock:
            table = {cell: self._table[cell] for cell in (*_CELLS, "undecided")}
            found: dict[str, Any] = {
                "decisions": dict(sorted(self._decisions.items())),
                "rule_and_appeal": table,
                "kappa": cohens_kappa(*(table[cell] for cell in _CELLS)),
                "examples": {cell: list(digests) for cell, digests in self._examples.items()},
            }
        for name, part in (("rule", self._rule), ("appeal", self._appeal), ("judge", self._judge)):
            count = _method(part, "statistics")
            if count is not None:
                found[name] = count()
        return found

    # -- who decides

    def _needs_judge(self, rule: Verdict, appeal: Verdict | None) -> bool:
        if rule.status is Status.right:
            return False
        if appeal is None:
            return not _decides(rule)
        return not _decides(appeal) or (self._confirm and appeal.status is Status.right)

    def _decide(self, rule: Verdict, appeal: Verdict | None, judge: Verdict | None) -> Verdict:
        asked = [("rule", rule), ("appeal", appeal), ("judge", judge)]
        seconds = sum(v.seconds for _, v in asked if v is not None)
        who, code = self._decider(rule, appeal, judge)
        chosen = dict(asked)[who]
        assert chosen is not None
        why = f"{who}: {chosen.reason or chosen.code or chosen.status.value}"
        return replace(chosen, code=code, reason=why[:300], seconds=seconds)

    def _decider(self, rule: Verdict, appeal: Verdict | None, judge: Verdict | None) -> tuple[str, str]:
        if rule.status is Status.right:
            return "rule", "rule_accepts"
        if judge is not None:
            accepts = judge.status is Status.right
            if not _decides(judge):
                return "judge", "undecided"
            if appeal is not None and appeal.status is Status.right:
                return "judge", "judge_confirms" if accepts else "judge_objects"
            return "judge", "judge_accepts" if accepts else "judge_refuses"
        if appeal is not None and _decides(appeal):
            return "appeal", "appeal_accepts" if appeal.status is Status.right else "appeal_refuses"
        return "rule", "rule_refuses" if rule.status is Status.wrong else "undecided"

    # -- agreement

    def _tabulate(
        self,
        tasks: Sequence[Task],
        completions: Sequence[Completion],
        ruled: Sequence[Verdict],
        appealed: Sequence[Verdict],
    ) -> None:
        for task, completion, rule, appeal in zip(tasks, completions, ruled, appealed, strict=True):
            both = _decides(rule) and _decides(appeal)
            cell = f"{rule.status.value}_{appeal.status.value}" if both else "undecided"
            with self._lock:
                self._table[cell] += 1
                examples = self._examples.get(cell)
                if examples is not None and len(examples) < _MOST_EXAMPLES:
                    examples.append(_digest(task, completion))


def cohens_kappa(both: int, first: int, second: int, neither: int) -> float | None:
    """Agreement of two verifiers beyond chance, from the counts of a 2 x 2 table.

        kappa = (p_o - p_e) / (1 - p_e)     p_o: share of equal verdicts; p_e: the share expected of independent ones

    Arguments: accepted by both, by the first alone, by the second alone, by neither. None where n = 0 or p_e = 1.
    """
    n = both + first + second + neither
    if n == 0:
        return None
    p_o = (both + neither) / n
    p_e = ((both + first) * (both + second) + (neither + second) * (neither + first)) / n**2
    return None if p_e == 1.0 else (p_o - p_e) / (1.0 - p_e)


def _method(part: Reward | None, name: str) -> Callable[..., Any] | None:
    """A method that only some verifiers have, of the part itself or of the verifier of single completions in it."""
    return getattr(part, name, None) or getattr(getattr(part, "judge", None), name, None)


def _decides(verdict: Verdict) -> bool:
    if verdict.status is Status.wrong:
        return verdict.code != "unreadable"
    return verdict.status is Status.right


def _digest(task: Task, completion: Completion) -> str:
    """One name for a completion of a task, whatever characters it holds."""
    data = task.digest.encode() + b"\n" + completion.text.encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(data).hexdigest()
