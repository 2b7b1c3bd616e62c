"""One process in which the audited reward is called, and a fresh one after a call that ended it.

Every call has a bound on time and memory. A chunk that is late or kills its process costs one call its outcome, which
is named; the others go on in a fresh process. A late call is tried once more, alone, so that a busy machine is not
taken for a hang. A text that was lost once is not tried again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sibling.audit.outcomes import LEFT_OUT, Call, Opened, Outcome
from sibling.errors import RequestError, RewardError
from sibling.sandbox.workers import Answer, Workers

_MODULE, _FUNCTION = "sibling.audit.child", "work"
CHUNK, _STOP_AFTER = 64, 0.4  # calls a request, seconds after which a request returns what it has
_SLACK = 0.6  # seconds for passing a request and its answer on
_BUILD_SECONDS = 60.0
_SECOND_TRIES = 4  # late calls of a lane that get a second try; after them lateness is believed
_PATIENCE = 12  # texts of a lane that may be late or end their process; the rest are left out


class Lane:
    """`request` opens the reward; `folder` is the lane's own; `lost` is shared by the lanes."""

    """One process at a time, and a fresh one after a call that killed it."""

    def __init__(
        self, request: Mapping[str, Any], folder: Path, seconds: float, memory_mb: int, lost: dict[str, Outcome]
    ) -> None:
        self._journal, self._empty = folder / "journal", folder / "empty"
        self._request = {**request, "folder": str(self._empty), "journal": str(self._journal)}
        self._seconds, self._memory = seconds, memory_mb
        self._workers = Workers(_MODULE, _FUNCTION, count=1, memory_mb=memory_mb)
        self.peak_kb, self.threads, self._late, self._lost = 0, 0, 0, lost
        self.be_patient()

    def be_patient(self) -> None:
        """Calls may be lost again."""
        self.patience = _PATIENCE

    def close(self) -> None:
        """End the process."""
        self._workers.close()

    def open(self) -> Opened:
        """Build the reward. Raises `RequestError` if it cannot be built."""
        return _opened(self._workers.call(self._request, _BUILD_SECONDS))

    def grade(self, calls: Sequence[Call]) -> list[Outcome]:
        """One outcome a call, in order."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(calls):
            rest = calls[len(outcomes) : len(outcomes) + CHUNK]
            known = next((k for k, call in enumerate(rest) if call.text in self._lost), len(rest))
            if known == 0:
                outcomes.append(self._lost[rest[0].text])
                continue
            if self.patience <= 0:
                return outcomes + [LEFT_OUT] * (len(calls) - len(outcomes))
            done, answer = self._some(rest[:known], _STOP_AFTER)
            outcomes += done
            if answer.failure and len(done) < known:
                outcomes.append(self._bad(rest[len(done)], answer))
        return outcomes

    def whole(self, request: Mapping[str, Any], calls: Sequence[Call]) -> list[Outcome]:
        """One request for all calls; a failure is the outcome of each."""
        bound = self._seconds * max(1.0, len(calls) / 8) + _SLACK
        answer = self._ask({**request, "calls": [c.packed() for c in calls]}, bound)
        if answer.failure:
            return [_fault(answer, self._seconds)] * len(calls)
        return [_outcome(o) for o in answer.value["outcomes"]]

    def fresh(self, calls: Sequence[Call], hash_seed: int) -> list[Outcome]:
        """The same by a process started for this, which gets the requests at once and ends with its input."""
        grade = {"do": "grade", "calls": [c.packed() for c in calls], "stop_after": 1e9}
        bound = _BUILD_SECONDS + self._seconds * len(calls)
        lines = "".join(json.dumps({"value": v, "seconds": bound}) + "\n" for v in (self._request, grade))
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "sibling.sandbox.worker", _MODULE, _FUNCTION, str(self._memory)],
                input=lines, capture_output=True, encoding="ascii", timeout=bound, check=False,
                env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            reply = json.loads(ended.stdout.splitlines()[-1])["value"]["outcomes"]
        except (subprocess.TimeoutExpired, IndexError, KeyError, ValueError):
            return [Outcome(fault="died", message="a fresh process gave no answer")] * len(calls)
        return [_outcome(o) for o in reply]

    def _some(self, calls: Sequence[Call], stop_after: float) -> tuple[list[Outcome], Answer]:
        """Outcomes of the first calls, and the answer, which may be a failure of the call after them."""
        self._journal.unlink(missing_ok=True)
        request = {"do": "grade", "calls": [c.packed() for c in calls], "stop_after": stop_after}
        answer = self._ask(request, self._seconds + stop_after + _SLACK)
        if answer.failure:
            return [_outcome(o) for o in self._written()], answer
        return [self._timed(_outcome(o)) for o in answer.value["outcomes"]], answer

    def _bad(self, call: Call, answer: Answer) -> Outcome:
        """The outcome of a call that was late or ended its process; a late one gets a second try alone."""
        self._late += answer.failure == "timeout"
        if answer.failure == "timeout" and self._late <= _SECOND_TRIES:
            done, answer = self._some([call], 0.0)
            if done:
                return done[0]
        left = ", ".join(sorted(os.listdir(self._empty)))
        self._clear()
        outcome = replace(_fault(answer, self._seconds), tripped=left)
        if answer.failure in ("timeout", "died"):
            self.patience -= 1
            self._lost[call.text] = outcome
        return outcome

    def _ask(self, request: Mapping[str, Any], seconds: float) -> Answer:
        answer = self._workers.call(request, seconds)
        if not answer.failure and answer.value.get("unopened"):
            self.open()
            answer = self._workers.call(request, seconds)
        if not answer.failure:
            self.peak_kb = max(self.peak_kb, answer.value["peak_kb"])
            self.threads = max(self.threads, answer.value["threads"])
        return answer

    def _timed(self, outcome: Outcome) -> Outcome:
        if outcome.seconds <= self._seconds or outcome.fault:
            return outcome
        return Outcome(fault="late", message=f"took {outcome.seconds:.1f} s", seconds=outcome.seconds)

    def _written(self) -> list[Mapping[str, Any]]:
        """Outcomes in the journal of a request that failed."""
        try:
            lines = self._journal.read_text(encoding="ascii").splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def _clear(self) -> None:
        """The folder of a process that ended is emptied for the next one."""
        shutil.rmtree(self._empty, ignore_errors=True)
        self._empty.mkdir(exist_ok=True)


def _opened(answer: Answer) -> Opened:
    if answer.failure:
        raise RewardError(
            "The reward cannot be built in a process of its own",
            seen=f"{answer.failure}: {answer.message}",
            wanted=f"a module that imports, and a reward that is built, within {_BUILD_SECONDS:g} s",
            do="Import it with `python -c` to see the failure",
        )
    facts = answer.value
    if "problem" in facts:
        raise RequestError(facts["problem"], seen=facts["seen"], wanted=facts["wanted"], do=facts["do"])
    return Opened(
        facts["signature"], facts["words"], facts["sure"], facts["batches"], tuple(facts["assumed"]), facts["code"]
    )


def _outcome(o: Mapping[str, Any]) -> Outcome:
    return Outcome(
        o.get("status", ""), o.get("score"), o.get("fault", ""), o.get("message", ""), o.get("code", ""),
        o.get("seconds", 0.0), o.get("tripped", ""),
    )  # fmt: skip


def _fault(answer: Answer, seconds: float) -> Outcome:
    names = {"timeout": "late", "recursion": "raised"}
    message = f"no answer within {seconds:g} s" if answer.failure == "timeout" else answer.message
    return Outcome(fault=names.get(answer.failure, answer.failure), message=message)
