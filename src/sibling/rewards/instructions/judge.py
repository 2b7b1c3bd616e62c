"""Verifiable instructions, after IFEval (2311.07911): the share that an answer follows; right if it follows all.

An answer that leaves out everything also leaves out what is forbidden: an empty one would follow a fifth of the kinds.
So an answer of fewer words than `least_words` follows nothing, unless the task has a kind to which a few words are a
whole answer (`short` in the table), and an answer without a word never follows anything.
Bounds: an answer of more than 200,000 characters is refused. Not covered: whether the answer is any good; pair this
reward with one of the content.
"""

from __future__ import annotations

from sibling.batch import Completion, Verdict
from sibling.config import InstructionsReward
from sibling.rewards.detector import installed, package_versions
from sibling.rewards.instructions.answer import Answer
from sibling.rewards.instructions.table import Instruction, instructions_of
from sibling.rewards.parts import part_of
from sibling.rewards.verdicts import Span, abstain, error, right, wrong
from sibling.tasks.task import Task

_MOST = 200_000


class Instructions:
    """Right if every instruction of the task is followed; with `score: share` the score is the share of them.

    Column `instructions`: a list of {"type": name, parameter: value}; `table.describe()` lists the kinds. IFEval's own
    columns `instruction_id_list` and `kwargs` are read too. The reason names what was not followed, and why.
    The kind `language` needs py3langid; `problem_with` says so where it is not installed.
    """

    uses_reference = False

    def __init__(self, config: InstructionsReward) -> None:
        self._config = config

    def facts(self) -> dict[str, str]:
        """What decides beside the options, for the record."""
        return {"packages": package_versions("py3langid")}

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        asked = instructions_of(task.columns)
        if isinstance(asked, str):
            missing = not {"instructions", "instruction_id_list"} & set(task.columns)
            return abstain(asked, code="no_instructions") if missing else error(asked, code="bad_instructions")
        start, end = span = part_of(completion.text, self._config.part)
        if end - start > _MOST:
            return wrong(f"the answer is longer than {_MOST} characters", code="too_long", span=span)
        answer = Answer(completion.text[start:end], _prompt(task))
        least = self._least_words(asked)
        if len(answer.words) < least:
            code = "too_short" if answer.words else "no_answer"
            return wrong(f"{len(answer.words)} words, fewer than {least}", code=code, span=span)
        return self._verdict(answer, asked, span)

    def _verdict(self, answer: Answer, asked: list[Instruction], span: Span) -> Verdict:
        faults = [f"{kind.name}: {fault}" for kind, values in asked if (fault := kind.check(answer, values))]
        if not faults:
            return right(f"all {len(asked)} instructions are followed", code="followed", span=span)
        share = (len(asked) - len(faults)) / len(asked) if self._config.score == "share" else 0.0
        reason = f"{len(faults)} of {len(asked)} not followed: {'; '.join(faults)}"
        return wrong(reason, share, code="not_followed", span=span)

    def _least_words(self, asked: list[Instruction]) -> int:
        return 1 if any(kind.short for kind, _ in asked) else max(1, self._config.least_words)

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        asked = instructions_of(task.columns)
        if isinstance(asked, str):
            return asked
        for kind, values in asked:
            if kind.name == "language" and not installed():
                return "instruction language needs py3langid: run `pip install 'sibling[verifiers]'`"
            if kind.name == "repeat_prompt" and values["prompt"] is None and not _prompt(task).strip():
                return "instruction repeat_prompt has nothing to repeat: the task has no user message"
        most = min((m for kind, values in asked if (m := _most_words(kind.name, values)) is not None), default=None)
        if most is not None and most < self._least_words(asked):
            return f"it asks for at most {most} words, which `least_words` of {self._config.least_words} refuses"
        return _contradiction(asked)


def _most_words(name: str, values: dict[str, object]) -> int | None:
    """The largest number of words that an instruction allows; None if it sets no bound."""
    if name == "word_range":
        return int(str(values["most"]))
    if name != "word_count" or values["relation"] not in ("at most", "exactly", "less than"):
        return None
    return int(str(values["count"])) - (values["relation"] == "less than")


def _contradiction(asked: list[Instruction]) -> str | None:
    """Two instructions that no answer can follow together, in words; only the plainest are looked for."""
    names = {kind.name for kind, _ in asked}
    if {"all_upper", "all_lower"} <= names:
        return "it asks for all_upper and all_lower"
    if {"no_digits", "has_number"} <= names:
        return "it asks for no_digits and has_number"
    wanted = {k.casefold() for kind, values in asked if kind.name == "keywords_present" for k in values["keywords"]}
    barred = {k.casefold() for kind, values in asked if kind.name == "keywords_absent" for k in values["keywords"]}
    both = sorted(wanted & barred)
    return f"it both asks for {both[0]!r} and forbids it" if both else None


def _prompt(task: Task) -> str:
    asked = [message.get("content", "") for message in task.messages if message.get("role") == "user"]
    return asked[-1] if asked else ""
