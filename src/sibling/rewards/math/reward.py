"""The reward `math`: the final answer means the same as the reference.

Covered: what the modules of this package list. Texts of any size are answered within the bounds given there: the last
20,000 characters of a completion, 5,000 of an answer, 2,000 digits of a number, 40 brackets deep, `seconds` for algebra
in a child process. HTML comments, and the prompt where it is repeated word for word, are not read.
Nothing in an answer is ever executed or parsed by another package (except math-verify, in a child, when it is asked
for). Verdicts are the same for the same texts and options; symbols are real.
Codes of refusals: no_answer, unreadable, unevaluated (an operator or, by option, arithmetic left to do), echo (the
prompt's own expression), hedged (several answers), negated, different, too_hard (the answer asks for more work than
the bounds allow, which includes algebra that ends late).
Not covered: proofs, functions given piecewise, answers in other languages, whether the reasoning is sound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sibling.batch import Completion, Verdict
from sibling.config.rewards import MathReward
from sibling.errors import RewardError
from sibling.rewards.math.compare import Comparer
from sibling.rewards.math.extract import Found, Span, find
from sibling.rewards.math.readings import Readings, bare, readings_of, reference_text
from sibling.rewards.math.scalar import LateError, Scalars
from sibling.rewards.math.symbolic import Symbolic
from sibling.rewards.math.tree import Node, TooHardError, UnreadableError, symbols_of
from sibling.rewards.math.worked import is_bare, is_worked_out
from sibling.rewards.parts import part_of, visible
from sibling.rewards.verdicts import abstain, error, right, wrong
from sibling.tasks.task import Task

_MOST_REFERENCE = 20_000
_MOST_PROMPT = 20_000
_LEAST_PROMPT = 20  # characters; a shorter prompt could be the answer, unless it asks
_MOST_CANDIDATES = 8
_OPERATOR = re.compile(
    r"\\(?:i{0,3}nt|oint|sum|prod|lim|partial|frac\s*\{?d)|[∫∑∏∂]|integra|deriv|limit", re.IGNORECASE
)


@dataclass(frozen=True)
class _Seen:
    """What a comparison came to."""

    right: bool
    code: str
    why: str


class Math:
    """Right if the final answer equals the reference by the options of `config`. See the module's docstring.

    Raises `RequestError` if sympy (or math-verify, where it is asked for) is not installed.
    """

    uses_reference = True

    def __init__(self, config: MathReward) -> None:
        self._config = config
        self._symbolic = Symbolic(config.seconds, opinion=config.second_opinion == "math_verify")
        self._comparer = Comparer(Scalars(config, self._symbolic.decide), config.ordered)

    def close(self) -> None:
        """End the child processes that are idle."""
        self._symbolic.close()

    def stating(self, reference: str) -> str:
        """A completion that states `reference` the way this reward wants it: in a box, where it has to be in one."""
        return f"\\boxed{{{reference_text(reference)}}}" if self._config.where == "boxed" else reference

    def problem_with(self, task: Task) -> str | None:
        """Why the task cannot be graded, in words; None if it can."""
        if task.reference is None:
            return "it has no reference to compare with"
        fault = self._fault(task.reference)
        return None if fault is None else f"its reference {task.reference[:60]!r} cannot be used: {fault}"

    def _fault(self, reference: str) -> str | None:
        if len(reference) > _MOST_REFERENCE:
            return f"it is longer than {_MOST_REFERENCE:,} characters"
        wanted = readings_of(reference_text(reference))
        if not wanted.nodes:
            return wanted.why
        hard = all(self._comparer.is_hard(node) for node in wanted.nodes if node.kind != "nothing")
        return "its value is too large to work out" if hard else None

    def judge(self, task: Task, completion: Completion) -> Verdict:
        """The verdict on one completion."""
        if task.reference is None:
            return abstain("the task has no reference", code="no_reference")
        reference = reference_text(task.reference[-_MOST_REFERENCE:])
        wanted = readings_of(reference)
        text, config = _without_prompt(visible(completion.text), task), self._config
        found = find(text, part_of(text, config.part), where=config.where, correction=config.correction)
        if found.code:
            return wrong(found.reason, code=found.code)
        self._symbolic.begin()
        try:
            return self._verdict(task, text, found, reference, wanted)
        except RewardError as failure:
            return error(str(failure), code="no_worker")

    def _verdict(self, task: Task, text: str, found: Found, reference: str, wanted: Readings) -> Verdict:
        last = found.candidates[-1][0]
        candidates = found.candidates if self._config.boxes == "agree" else found.candidates[-1:]
        distinct = {bare(text[slice(*ways[0])]): ways for ways in candidates}
        if len(distinct) > 1 and self._merged(text, list(distinct.values()), wanted):
            return right("the answers together are the reference", code="equal", span=(candidates[0][0][0], last[1]))
        if len(distinct) > _MOST_CANDIDATES:
            return wrong(f"{len(distinct)} different answers", code="hedged", span=last)
        seen = [self._ways(task, text, ways, reference, wanted) for ways in reversed(distinct.values())]
        final, span = seen[0]
        if len({s.right for s, _ in seen}) > 1 or (len(seen) > 1 and not final.right):
            return wrong(f"{len(seen)} different answers", code="hedged", span=span)
        if final.right and any(self._disagrees(text[slice(*r)], wanted, found.boxed) for r in found.rivals):
            return wrong("another value is offered beside it", code="hedged", span=span)
        if final.right:
            return right(final.why, code=final.code, span=span)
        if final.code in ("bad_reference", "timeout"):
            return error(final.why, code=final.code, span=span)
        return wrong(final.why, code=final.code, span=span)

    def _merged(self, text: str, distinct: list[tuple[Span, ...]], wanted: Readings) -> bool:
        """Several boxes that are the elements of a list or a set: x = \\boxed{2} or \\boxed{-2}."""
        if len(distinct) > _MOST_CANDIDATES or not wanted.nodes:
            return False
        node = wanted.nodes[0]
        if not (node.kind == "pm" or (node.kind in ("tuple",) and node.name in ("", "{}"))):
            return False
        joined = readings_of(", ".join(text[slice(*ways[0])] for ways in distinct))
        return self._compared(wanted, joined).right

    def _ways(
        self, task: Task, text: str, ways: tuple[Span, ...], reference: str, wanted: Readings
    ) -> tuple[_Seen, Span]:
        """The first way to read a candidate that gives the kind of answer that is wanted."""
        first: tuple[_Seen, Span] | None = None
        for span in ways:
            written = text[slice(*span)]
            given = readings_of(written)
            if given.nodes and given.is_text and not wanted.is_text and span != ways[-1]:
                continue
            seen = self._seen(task, written, given, reference, wanted)
            if seen.right or (given.nodes and not given.is_text):
                return seen, span
            if seen.code == "unevaluated":
                return seen, span
            first = first or (seen, span)
        assert first is not None  # the last way is always looked at
        return first

    def _seen(self, task: Task, written: str, given: Readings, reference: str, wanted: Readings) -> _Seen:
        if not wanted.nodes:
            refused = {wanted.code, given.code} & {"unevaluated", "no_answer"}
            if not refused and bare(written) == bare(reference):
                return _Seen(True, "identical", "the same text as the reference")
            return _Seen(False, "bad_reference", f"the reference cannot be used: {wanted.why}")
        if not given.nodes:
            if given.code == "unreadable" and self._opinion(reference, written):
                return _Seen(True, "second_opinion", "math-verify takes it for the reference")
            return _Seen(False, given.code, given.why)
        seen = self._compared(wanted, given)
        if not seen.right:
            return seen
        plain = is_worked_out(given.nodes[0]) or given.nodes[0] in wanted.nodes
        if self._config.unevaluated == "refused" and not plain:
            return _Seen(False, "unevaluated", "arithmetic is left to do")
        if self._echoes(task, written, given.nodes[0], wanted.nodes[0], reference):
            return _Seen(False, "echo", "the expression of the prompt, not worked out")
        return seen

    def _compared(self, wanted: Readings, given: Readings) -> _Seen:
        tried: list[tuple[Node, Node]] = []
        hard, late = "", False
        for pair in zip(wanted.nodes, given.nodes, strict=False):
            if pair in tried or "nothing" in (pair[0].kind, pair[1].kind):
                continue
            tried.append(pair)
            try:
                if self._comparer.same(*pair):
                    return _Seen(True, "equal", "the answer equals the reference")
            except TooHardError as failure:
                hard = str(failure)
            except LateError:
                hard, late = "the algebra took too long", sum(1 for _ in pair[1].walk()) <= _fair_size(pair[0])
            except RecursionError:
                hard = "nested too deeply"
            except UnreadableError as failure:
                return _Seen(False, failure.code, str(failure))
        if late:
            return _Seen(False, "timeout", hard)
        if hard:
            return self._blame(wanted, hard)
        if _is_collection(given.nodes[0]) and not _is_collection(wanted.nodes[0]):
            return _Seen(False, "hedged", "several values where one is wanted")
        return _Seen(False, "different", "another value than the reference")

    def _blame(self, wanted: Readings, why: str) -> _Seen:
        """Too hard is the answer's fault, unless the reference alone is as hard."""
        for node in wanted.nodes:
            if self._comparer.is_hard(node):
                return _Seen(False, "bad_reference", f"the reference cannot be worked out: {why}")
        return _Seen(False, "too_hard", why)

    def _disagrees(self, written: str, wanted: Readings, boxed: bool) -> bool:
        """Whether what stands beside the answer with `or` is another answer; beside a box it has to be a value."""
        given = readings_of(written)
        if not given.nodes or given.is_text or not wanted.nodes:
            return not boxed
        return not self._compared(wanted, given).right

    def _opinion(self, reference: str, written: str) -> bool:
        if self._config.second_opinion == "none" or _OPERATOR.search(written) or len(written) > 500:
            return False
        return bool(self._symbolic.opinion(reference, written))

    def _echoes(self, task: Task, written: str, given: Node, wanted: Node, reference: str) -> bool:
        """An expression that stands in the prompt and still has to be worked out (or simplified).

        An inequality is no such thing: it says the same as an interval, and nothing is left to do.
        """
        shown = bare(written)
        if given.kind == "rel" or given == wanted or is_bare(given) or len(shown) < 3 or shown == bare(reference):
            return False
        if not symbols_of(given) and is_worked_out(given):
            return False
        return any(
            shown in bare(m.get("content", "")[-_MOST_PROMPT:]) for m in task.messages if m.get("role") == "user"
        )


def _without_prompt(text: str, task: Task) -> str:
    """`text` with the user's messages blanked where they are repeated: a number of the question is no answer."""
    for message in task.messages:
        said = message.get("content", "").strip()
        whole = len(said) >= _LEAST_PROMPT or (" " in said and said.endswith("?"))
        if message.get("role") == "user" and whole and len(said) <= len(text):
            text = text.replace(said, " " * len(said))
    return text


def _fair_size(wanted: Node) -> int:
    """Nodes an answer may have before its lateness is its own fault and not the machine's or the reference's."""
    return 20 + 2 * sum(1 for _ in wanted.walk())


def _is_collection(node: Node) -> bool:
    return node.kind in ("tuple", "pm")
