"""A language model as a verifier, behind a filter, a cache and a second opinion.

Covers: what `filter` refuses before any question; what a judge may see (`part`: the answer alone, or everything); two
judges that have to agree before an answer is accepted; a control question about accepted answers that do not state the
reference (would it accept them against an unrelated reference, too?); endpoints that fail, hang or talk nonsense (an
`error`, never a score, never an exception); the same verdict for the same question (`cache`); what it cost.
Does not cover: a judge that is simply wrong. Measure it on answers of known worth before you train on it. A completion
that makes the judge fail gets no score, which may suit it better than a bad one: watch the count of errors.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sibling.batch import Completion, Verdict
from sibling.canonical import digest
from sibling.config import JudgeReward
from sibling.errors import RequestError
from sibling.rewards.judge import prompt as prompts
from sibling.rewards.judge.cache import Cache
from sibling.rewards.judge.client import MOST_TOKENS, Effort, Endpoint, Failure, Line
from sibling.rewards.judge.filter import Limits, Refusal, refuse
from sibling.rewards.judge.prompt import Prompt
from sibling.rewards.judge.statistics import Statistics
from sibling.rewards.judge.verdict import Opinion
from sibling.rewards.parts import part_of
from sibling.rewards.verdicts import Span, abstain, error, right, wrong
from sibling.tasks.task import Task


@dataclass(frozen=True)
class _Decision:
    """What came of one question, put to one judge or two."""

    said: Opinion | Failure
    seconds: float
    code: str = ""  # of a refusal: refused, judges_disagree, accepts_anything


class LanguageJudge:
    """1 if the judge accepts (and the second one too, where there is one), else 0.

    `correct` compares with the task's reference (none: abstain, code `no_reference`; a blank one: error,
    `bad_reference`); `helpful` and `harmless` look at no reference. Codes of `wrong`: those of `filter`, `refused`,
    `judges_disagree`, `accepts_anything` (the judge accepts the answer against an unrelated reference as well). Codes
    of `error`: `endpoint`, `unreadable_verdict`. The span is what was looked at.

    Raises `RequestError` when built: the package `openai` is missing, the variable of a key is not set, an endpoint is
    no URL, both judges are the same model, the cache cannot be made.
    """

    def __init__(self, config: JudgeReward) -> None:
        if importlib.util.find_spec("openai") is None:
            raise RequestError(
                "A judge needs the package openai, which is not installed",
                do="Run `pip install 'sibling[verifiers]'` and try again",
            )
        self.uses_reference = config.question == "correct"
        self._config = config
        self._limits = Limits(config.least_characters, config.most_characters)
        self._effort = Effort(config.concurrency, config.retries, config.seconds)
        self._endpoints = _endpoints(config)
        self._cache = Cache(None if config.cache is None else Path(config.cache).expanduser())
        self._counts = Statistics(config.price_in, config.price_out)
        self._turn = threading.Lock()  # one batch at a time, so that `concurrency` bounds the requests of all threads

    def grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        """One verdict a completion; `seconds` is the time its question took, 0 where none was asked."""
        with self._turn:
            return _run(self._grade(tasks, completions))

    def problem_with(self, task: Task) -> str | None:
        """Why `task` cannot be judged, in words; None if it can."""
        if not self.uses_reference:
            return None
        if task.reference is None:
            return "it has no reference, which the judge compares with"
        if not task.reference.strip():
            return "its reference is blank"
        return None

    def facts(self) -> dict[str, Any]:
        """What decides beside the options: the rules the judge is given, and the client."""
        return {
            "rules_digest": prompts.rules_digest(self._config.question),
            "most_tokens": MOST_TOKENS,
            "package": f"openai {importlib.metadata.version('openai')}",
        }

    def statistics(self) -> dict[str, Any]:
        """Counts since the reward was built (`statistics.Statistics.summary`), and the state of the cache."""
        return {
            **self._counts.summary(),
            "cache_corrupt": self._cache.corrupt,
            "cache_unwritten": self._cache.unwritten,
        }

    # -- one batch

    async def _grade(self, tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Verdict]:
        slots = asyncio.Semaphore(self._config.concurrency)
        lines = [Line(endpoint, self._effort, slots, self._counts) for endpoint in self._endpoints]
        asked: dict[str, asyncio.Task[_Decision]] = {}
        try:
            rows = [self._start(t, c, lines, asked) for t, c in zip(tasks, completions, strict=True)]
            await asyncio.gather(*asked.values())
            return [row if isinstance(row, Verdict) else self._verdict(row[0].result(), row[1]) for row in rows]
        finally:
            for line in lines:
                await line.close()

    def _start(
        self, task: Task, completion: Completion, lines: Sequence[Line], asked: dict[str, asyncio.Task[_Decision]]
    ) -> Verdict | tuple[asyncio.Task[_Decision], Span]:
        """The verdict where no judge is needed; else the question under way, shared by equal completions."""
        problem = self.problem_with(task)
        if problem is not None:
            return abstain(problem, code="no_reference") if task.reference is None else self._bad(problem)
        span = part_of(completion.text, self._config.part)
        answer = completion.text[span[0] : span[1]]
        refusal = self._refusal(task, answer)
        if refusal is not None:
            self._counts.refused(refusal.code)
            return wrong(refusal.reason, code=refusal.code, span=span)
        prompt = prompts.build(task, answer, self._config.question)
        if prompt.digest in asked:
            self._counts.count("cached")
        else:
            control = prompts.control(task, answer) if self._config.question == "correct" else None
            asked[prompt.digest] = asyncio.create_task(self._decide(lines, prompt, control))
        return asked[prompt.digest], span

    def _bad(self, problem: str) -> Verdict:
        self._counts.error("bad_reference")
        return error(problem, code="bad_reference")

    def _refusal(self, task: Task, answer: str) -> Refusal | None:
        asked = self._config.question
        known = task.reference if asked == "correct" else None
        thought = part_of(answer, "answer")[0] if len(answer) <= self._limits.most else 0
        return refuse(
            answer,
            asked=asked,
            question=prompts.question_of(task),
            reference=known,
            limits=self._limits,
            thought=thought,
        )

    async def _decide(self, lines: Sequence[Line], prompt: Prompt, control: Prompt | None) -> _Decision:
        """Accepted if every judge accepts; a later one is asked about what the ones before it accepted."""
        seconds = 0.0
        said: Opinion | Failure = Failure("endpoint", "nobody was asked")
        for place, (line, endpoint) in enumerate(zip(lines, self._endpoints, strict=True)):
            said, took = await self._opinion(line, endpoint, prompt)
            seconds += took
            if isinstance(said, Failure) or not said.accept:
                return _Decision(said, seconds, "judges_disagree" if place else "refused")
            if control is not None:
                self._counts.count("controls")
                other, took = await self._opinion(line, endpoint, control)
                seconds += took
                if isinstance(other, Failure):
                    return _Decision(other, seconds)
                if other.accept:
                    reason = f"{endpoint.model} accepts it against an unrelated reference too"
                    return _Decision(Opinion(False, reason), seconds, "accepts_anything")
        return _Decision(said, seconds)

    async def _opinion(self, line: Line, endpoint: Endpoint, prompt: Prompt) -> tuple[Opinion | Failure, float]:
        key = digest({"model": endpoint.model, "prompt": prompt.digest})
        known = self._cache.get(key)
        if known is not None:
            self._counts.count("cached")
            return known, 0.0
        said, seconds = await line.ask(prompt)
        if isinstance(said, Opinion):
            self._cache.put(key, said)
        return said, seconds

    def _verdict(self, decision: _Decision, span: Span) -> Verdict:
        said = decision.said
        if isinstance(said, Failure):
            self._counts.error(said.code)
            verdict = error(said.reason, code=said.code, span=span)
        elif said.accept:
            self._counts.count("accepted")
            verdict = right(said.reason, code="accepted", span=span)
        else:
            self._counts.count("refused")
            self._counts.count("disagreements", int(decision.code == "judges_disagree"))
            self._counts.count("fooled", int(decision.code == "accepts_anything"))
            verdict = wrong(said.reason, code=decision.code, span=span)
        return replace(verdict, seconds=decision.seconds)


def _run(grading: Coroutine[Any, Any, list[Verdict]]) -> list[Verdict]:
    """Run to the end, in a thread of its own where this one has an event loop already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(grading)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, grading).result()


def _endpoints(config: JudgeReward) -> list[Endpoint]:
    endpoints = [_endpoint(config.endpoint, config.model, config.api_key_variable)]
    if config.second is not None:
        second = config.second
        if second.model == config.model:
            raise RequestError(
                "The two judges are the same model, so that they would always agree",
                seen=config.model,
                wanted="another model, of another family if possible",
                do="Name another model as second.model, or leave the second judge out",
            )
        endpoints.append(_endpoint(second.endpoint, second.model, second.api_key_variable))
    return endpoints


def _endpoint(url: str, model: str, variable: str | None) -> Endpoint:
    if not url.startswith(("http://", "https://")):
        raise RequestError(
            "The endpoint of a judge is not a URL",
            seen=repr(url),
            wanted="the base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1",
        )
    # Without a variable no key is sent: one that happens to be in OPENAI_API_KEY is nothing for any other server.
    key = "none" if variable is None else os.environ.get(variable, "")
    if not key:
        raise RequestError(
            "The key of a judge is not set",
            seen=f"environment variable {variable} is not set or empty",
            do=f"Run `export {variable}=...` and try again, or leave api_key_variable out for a server without keys",
        )
    return Endpoint(url, model, key)
