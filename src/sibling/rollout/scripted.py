"""A scripted engine: a fake that works, for tests of everything around sampling.

Completions come from a table or a function of (key, sibling) as text; token ids from a tokenizer-like
`encode`. Log-probs are -1 for every token, so they are never mistaken for a model's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sibling.batch import Completion, Finish
from sibling.rollout.engine import Finished, GroupRequest, Progress, SamplingParams, Uniforms

Script = Callable[[str, int], str]
"""(request key, sibling) -> text of the completion."""


class ScriptedEngine:
    """Says what the script says. Implements `Engine`."""

    def __init__(self, script: Script, encode: Callable[[str], list[int]], eos_id: int) -> None:
        self.script, self.encode, self.eos_id = script, encode, eos_id

    def generate(
        self,
        requests: Sequence[GroupRequest],
        params: SamplingParams,
        uniforms: Uniforms,
        progress: Progress | None = None,
        finished: Finished | None = None,
    ) -> list[list[Completion]]:
        """The scripted completions, cut at `max_tokens`; one that fits ends with the EOS token.

        Groups are said one after another: `finished` is told of each before the script is asked for the next.
        """
        groups: list[list[Completion]] = []
        for index, request in enumerate(requests):
            groups.append([self._say(self.script(request.key, s), params) for s in range(request.siblings)])
            if finished is not None:
                finished(index, groups[-1])
        return groups

    def _say(self, text: str, params: SamplingParams) -> Completion:
        tokens = [*self.encode(text), self.eos_id]
        finish = Finish.eos if len(tokens) <= params.max_tokens else Finish.length
        tokens = tokens[: params.max_tokens]
        while len(self.encode(text)) > params.max_tokens:  # the text is what the tokens that are left say
            text = text[:-1]
        return Completion(np.array(tokens, dtype=np.int64), np.full(len(tokens), -1.0, dtype=np.float32), finish, text)
