"""Task and source: a prompt with its reference answer, and where prompts come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sibling.canonical import digest

Split = Literal["train", "held_out"]
Message = Mapping[str, str]  # {"role": ..., "content": ...}


@dataclass(frozen=True)
class Task:
    """One prompt. `messages` go through the chat template; `columns` reach rewards as they are (JSON values)."""

    id: str  # unique in its source; the content digest when the source gives none
    messages: tuple[Message, ...]
    reference: str | None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Content digest of messages and reference, stable across runs and machines."""
        return content_digest(self.messages, self.reference)


def content_digest(messages: tuple[Message, ...], reference: str | None) -> str:
    """SHA-256 of the canonical JSON of what the model is asked and what counts as right."""
    return digest({"messages": [dict(m) for m in messages], "reference": reference})


class TaskSource(Protocol):
    """Prompts in a fixed order that depends on nothing but the source, the seed and the position.

    The train and held-out streams share no content digest.
    """

    name: str

    @property
    def digest(self) -> str:
        """Digest of the data (files) or of the generator and its options (generators)."""
        ...

    def train(self, seed: int, step: int, index: int, prompts_per_step: int) -> Task:
        """Prompt `index` of `step`: a pure function of its arguments.

        `index` counts from 0; values of `prompts_per_step` and above are refills asked for by dynamic
        sampling. Finite sources walk a fresh permutation an epoch; refills are drawn from another one.
        """
        ...

    def held_out(self, count: int) -> list[Task]:
        """The first `count` held-out prompts (fewer if the source has fewer); the same for every seed."""
        ...

    def location(self, task_id: str) -> str:
        """Where a prompt stands, for messages: `problems.jsonl line 12`, or the generator and the id."""
        ...

    def describe(self) -> dict[str, Any]:
        """JSON-ready facts for the record: kind, options, counts, digest, licence if known."""
        ...
