"""The engine protocol: prompts in, groups of completions out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Completion


@dataclass(frozen=True)
class SamplingParams:
    """The distribution to draw from and when to end. Temperature 0 means greedy (used by evaluation only)."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroupRequest:
    """One prompt and how many siblings to draw; `key` names its random streams."""

    key: str
    token_ids: NDArray[np.int64]
    siblings: int


Uniforms = Callable[[str, int, int], NDArray[np.float64]]
"""(key, sibling, count) -> uniforms in [0, 1), one a token."""

Progress = Callable[[int, int, int], None]
"""(completions finished, completions in all, tokens so far)."""

Finished = Callable[[int, list[Completion]], None]
"""(index of the request, its completions in order), as soon as the last of them has ended."""


class Engine(Protocol):
    """Draws completions under the current weights of the policy."""

    def generate(
        self,
        requests: Sequence[GroupRequest],
        params: SamplingParams,
        uniforms: Uniforms,
        progress: Progress | None = None,
        finished: Finished | None = None,
    ) -> list[list[Completion]]:
        """G completions for each request, in order. Draws depend on `uniforms` alone, not on batch composition."""
        ...
