"""Error kinds. Each message says what happened, the value seen, the value wanted and what to do.

Two families matter to the command line: `RequestError` (the request was wrong, exit code 2) and
`RunError` (the run or the check failed, exit code 1). Nothing is repaired silently.
"""

from __future__ import annotations


class SiblingError(Exception):
    """Base of every error this package raises on purpose.

    Arguments: `what` happened, in one sentence; the value `seen`; the value `wanted`; what to `do`.
    `str(error)` is the paragraph a person reads.
    """

    exit_code = 1

    def __init__(self, what: str, *, seen: object = None, wanted: object = None, do: str | None = None) -> None:
        self.what, self.seen, self.wanted, self.do = what, seen, wanted, do
        super().__init__(self._paragraph())

    def _paragraph(self) -> str:
        parts = [_sentence(self.what)]
        if self.seen is not None:
            parts.append(_sentence(f"Seen: {self.seen}"))
        if self.wanted is not None:
            parts.append(_sentence(f"Wanted: {self.wanted}"))
        if self.do is not None:
            parts.append(_sentence(self.do))
        return " ".join(parts)


class RequestError(SiblingError):
    """The request was wrong: a recipe, an argument, a file the user named. Exit code 2."""

    exit_code = 2


class RunError(SiblingError):
    """The run or the check failed. Exit code 1."""


class RecordError(RunError):
    """The record of a run cannot be read or written as it must be."""


class ModelError(RequestError):
    """A model cannot be found, read or used for training."""


class TaskError(RequestError):
    """A task source cannot give prompts as asked."""


class RewardError(RunError):
    """A reward cannot be loaded or called, or failed under the policy `stop`."""


class NonFiniteError(RunError):
    """NaN or infinity in a loss, a gradient or a weight; the weights were not touched."""


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else text + "."
