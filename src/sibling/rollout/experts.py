"""Expert traces as completions (LUFFY, 2504.14945): an answer the policy did not draw joins the group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Completion, Finish
from sibling.errors import TaskError
from sibling.tasks.task import Task

Encode = Callable[[str], NDArray[np.int64]]
"""Text -> [T] token ids, with nothing added."""


def expert_completion(task: Task, column: str, encode: Encode, eos_id: int, max_tokens: int) -> Completion:
    """The expert's answer to `task`: the text in `column`, its tokens, and the EOS token after them.

    Nobody knows the probabilities the expert drew its tokens with, so the log-probs are NaN (LUFFY takes them as
    log 1 = 0 in its ratio; that is the objective's choice). Raises `TaskError` when the column is missing, is not
    text, is blank, holds the EOS token itself, or takes more than `max_tokens` tokens, EOS included: a trace that is
    cut would teach the policy to stop in the middle.
    """
    text = _text(task, column)
    ids = np.asarray(encode(text), dtype=np.int64)
    if (ids == eos_id).any():
        raise _unusable(
            task,
            f"holds the end-of-sequence token (id {eos_id})",
            wanted="the answer alone",
            do=f"Take that token out of the column {column}: it is added",
        )
    if len(ids) + 1 > max_tokens:
        raise _unusable(
            task,
            f"takes {len(ids) + 1} tokens, the end-of-sequence token included",
            wanted=f"at most sampling.max_tokens={max_tokens}",
            do="Raise sampling.max_tokens, or leave this prompt out",
        )
    tokens = np.append(ids, np.int64(eos_id))
    return Completion(tokens, np.full(len(tokens), np.nan, dtype=np.float32), Finish.expert, text)


def _text(task: Task, column: str) -> str:
    if column not in task.columns:
        raise _unusable(
            task,
            f"no column {column}; columns: {', '.join(sorted(task.columns)) or 'none'}",
            wanted=f"text in the column {column}",
            do="Name the right column in objective.expert_column; only tasks from files or of your own have columns",
        )
    text = task.columns[column]
    if not isinstance(text, str) or not text.strip():
        raise _unusable(
            task,
            f"{text!r:.40} in the column {column}",
            wanted="the expert's answer, text that is not blank",
            do="Give this prompt an answer, or leave it out",
        )
    return text


def _unusable(task: Task, seen: str, *, wanted: str, do: str) -> TaskError:
    return TaskError(f"The expert's trace of prompt {task.id} cannot be used", seen=seen, wanted=wanted, do=do)
