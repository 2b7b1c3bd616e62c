"""Where the steps of a completion end among its tokens: from characters, which a reward counts, to token indices.

A token may hold the end of one step and the start of the next, and a character may span several tokens, so the
place is found by decoding beginnings of the completion, never token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Completion, StepScore
from sibling.errors import RunError

Decode = Callable[[Sequence[int]], str]
"""Token ids -> their text, special tokens included, as it was made when the completion was drawn."""


def step_tokens(
    completion: Completion, steps: Sequence[StepScore], decode: Decode
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """index(j) and score of each of K steps (DeepSeekMath, 2402.03300 sec. 4.1.3), both [K].

        index(j) = the first t such that decode(o_0 .. o_t) begins with the first end_j characters of the text

    A step that reaches the end of the text ends at the last token, the EOS token included. Indices lie in 0 .. T-1 and
    do not decrease. A bisection decodes O(log T) beginnings a step. `steps` in order of `end`; none: K = 0.
    Raises `RunError` when the tokens do not say the text that the steps were counted in.
    """
    tokens, text = [int(i) for i in completion.token_ids], completion.text
    inner = [s.end for s in steps if s.end < len(text)]
    if inner:
        _require_spelled(decode(tokens), text[: max(inner)])
    ends: list[int] = []
    for step in steps:
        if step.end >= len(text):
            ends.append(len(tokens) - 1)
        else:
            ends.append(_first_that_says(text[: step.end], tokens, ends[-1] if ends else 0, decode))
    return np.array(ends, dtype=np.int64), np.array([s.score for s in steps], dtype=np.float64)


def _first_that_says(beginning: str, tokens: list[int], first: int, decode: Decode) -> int:
    """The first t >= `first` such that the text of tokens 0 .. t begins with `beginning`; all tokens together do."""
    low, high = first, len(tokens) - 1
    while low < high:
        middle = (low + high) // 2
        if decode(tokens[: middle + 1]).startswith(beginning):
            high = middle
        else:
            low = middle + 1
    return low


def _require_spelled(said: str, beginning: str) -> None:
    if not said.startswith(beginning):
        raise RunError(
            "The tokens of a completion do not say its text, so its steps have no place among them",
            seen=f"{said[: len(beginning)][-40:]!r}",
            wanted=f"{beginning[-40:]!r}",
        )
