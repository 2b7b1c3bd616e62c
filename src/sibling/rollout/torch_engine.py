"""The embedded engine: a batched sampler over a transformers model, in the learner's process.

Prompts are prefilled once a group, packed without padding. Rows advance together, one token a step; finished rows
leave the batch and waiting groups take their place between steps. Each row draws its tokens by inversion from its own
uniforms, so its text depends on the weights and its stream, not on which rows share the batch (floating-point ties
apart).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.batch import Completion, Finish
from sibling.errors import NonFiniteError
from sibling.maths.likelihood import draw, sampling_logits, token_logprobs
from sibling.models import native
from sibling.models.decoder import decoder_of
from sibling.models.precision import ComputeDtype, compute
from sibling.rollout.cache import ModulesDecoding
from sibling.rollout.engine import Finished, GroupRequest, Progress, SamplingParams, Uniforms
from sibling.rollout.paged import PagedDecoding, pages_of

_PREFILL_TOKENS = 4096  # most tokens of prompts computed in one pass


@dataclass
class _Row:
    """A completion under way."""

    request: int
    sibling: int
    uniforms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Finish | None = None

    def next_uniform(self) -> float:
        """The one its next token is drawn with; anything for a greedy row or one that has ended."""
        return float(self.uniforms[len(self.tokens)]) if len(self.tokens) < len(self.uniforms) else 0.0


class Decoding(Protocol):
    """Live rows and their cached keys and values."""

    compact_below: float
    """Rows that have ended are dropped once fewer than this share of the rows is live."""

    def admit(self, prompts: Sequence[NDArray[np.int64]], siblings: Sequence[int]) -> Tensor:
        """Append rows of new prompts; logits [sum of siblings, V] of the first token of each."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """One new token a row [B]; logits [B, V] of the next."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows (ascending)."""
        ...


class TorchEngine:
    """Samples from `model`, which must use the packed attention (models.packed). Implements `Engine`."""

    def __init__(
        self, model: Any, tokenizer: Any, eos_ids: Sequence[int], *, compute_dtype: ComputeDtype, batch_rows: int = 128
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.eos = frozenset(int(e) for e in eos_ids)
        self.compute_dtype: ComputeDtype = compute_dtype
        self.batch_rows = batch_rows

    @torch.no_grad()
    def generate(
        self,
        requests: Sequence[GroupRequest],
        params: SamplingParams,
        uniforms: Uniforms,
        progress: Progress | None = None,
        finished: Finished | None = None,
    ) -> list[list[Completion]]:
        """G completions for each request, in order; see `Engine`."""
        training = self.model.training
        self.model.eval()
        groups: list[list[Completion | None]] = [[None] * r.siblings for r in requests]
        left = [r.siblings for r in requests]  # completions of each request that have not ended
        done = tokens = 0
        try:
            with compute(self.compute_dtype, self.model.device.type):
                for ended, drawn in self._decode_all(requests, params, uniforms):
                    done, tokens = done + len(ended), tokens + drawn
                    for row in ended:
                        groups[row.request][row.sibling] = self._completion(row)
                        left[row.request] -= 1
                        if finished is not None and not left[row.request]:
                            finished(row.request, [c for c in groups[row.request] if c is not None])
                    if progress is not None:
                        progress(done, sum(r.siblings for r in requests), tokens)
        finally:
            self.model.train(training)
        return [[c for c in group if c is not None] for group in groups]

    def _decode_all(
        self, requests: Sequence[GroupRequest], params: SamplingParams, uniforms: Uniforms
    ) -> Iterator[tuple[list[_Row], int]]:
        """Decode every row, one token a step; after each step the rows that ended with it and the tokens drawn."""
        waiting = deque(_Row(i, s) for i, r in enumerate(requests) for s in range(r.siblings))
        rows: list[_Row] = []  # in the order of `decoding`; those that have ended stay until it is compacted
        decoding = self._decoding(requests, params.max_tokens)
        logits: Tensor | None = None
        while waiting or rows:
            for admitted in self._admissible(waiting, len(rows), requests):
                for row in (r for group in admitted for r in group):
                    if params.temperature > 0:
                        row.uniforms = uniforms(requests[row.request].key, row.sibling, params.max_tokens)
                    rows.append(row)
                prompts = [requests[group[0].request].token_ids for group in admitted]
                fresh = decoding.admit(prompts, [len(group) for group in admitted])
                logits = fresh if logits is None else torch.cat([logits, fresh])
            assert logits is not None
            live = [r for r in rows if r.finish is None]
            tokens, logprobs = _sample(logits, params, [r.next_uniform() for r in rows])
            for row, token, logprob in zip(rows, tokens.tolist(), logprobs.tolist(), strict=True):
                if row.finish is None:
                    row.tokens.append(token)
                    row.logprobs.append(logprob)
                    row.finish = self._finish(row, params)
            keep = [i for i, r in enumerate(rows) if r.finish is None]
            yield [r for r in live if r.finish is not None], len(live)
            if not keep or len(keep) < decoding.compact_below * len(rows):
                decoding.keep(keep)
                tokens, rows = tokens[torch.tensor(keep, dtype=torch.long)], [rows[i] for i in keep]
            logits = decoding.step(tokens) if rows else None

    def _decoding(self, requests: Sequence[GroupRequest], max_tokens: int) -> Decoding:
        """The way to decode that this model and machine allow."""
        decoder = decoder_of(self.model)
        if decoder is None:
            return ModulesDecoding(self.model, max_tokens)
        lengths = sorted((len(r.token_ids) for r in requests), reverse=True)
        rows = min(self.batch_rows, sum(r.siblings for r in requests))
        own = pages_of(max_tokens)
        return PagedDecoding(
            self.model,
            decoder,
            pages=sum(map(pages_of, lengths[:rows])) + rows * own,
            rows=rows,
            max_tokens=max_tokens,
            positions=max(lengths, default=0) + max_tokens,
        )

    def _admissible(
        self, waiting: deque[_Row], live: int, requests: Sequence[GroupRequest]
    ) -> Iterator[list[list[_Row]]]:
        """Waiting rows to admit now, by prompt, a list for each prefill pass: whole groups where they fit.

        A group is cut only when nothing else is live: its prompt would be computed again for the rest.
        """
        admitted: list[list[_Row]] = []
        used = 0
        while waiting:
            count = next((n for n, r in enumerate(waiting) if r.request != waiting[0].request), len(waiting))
            if live + count > self.batch_rows:
                count = self.batch_rows if live == 0 else 0
            if not count:
                break
            length = len(requests[waiting[0].request].token_ids)
            if admitted and used + length > _PREFILL_TOKENS:
                yield admitted
                admitted, used = [], 0
            admitted.append([waiting.popleft() for _ in range(count)])
            live, used = live + count, used + length
        if admitted:
            yield admitted

    def _finish(self, row: _Row, params: SamplingParams) -> Finish | None:
        if row.tokens[-1] in self.eos:
            return Finish.eos
        if params.stop and self._stopped(row.tokens, params.stop):
            return Finish.stop
        return Finish.length if len(row.tokens) == params.max_tokens else None

    def _stopped(self, tokens: list[int], stop: tuple[str, ...]) -> bool:
        # A character takes at most 4 byte tokens; 8 more cover a token that holds the start of the string.
        tail = tokens[-(4 * max(len(s) for s in stop) + 8) :]
        text = self._decode(tail)
        return any(s in text for s in stop)

    def _decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _completion(self, row: _Row) -> Completion:
        assert row.finish is not None
        text = self._decode(row.tokens[:-1] if row.finish is Finish.eos else row.tokens)
        return Completion(
            token_ids=np.array(row.tokens, dtype=np.int64),
            logprobs=np.array(row.logprobs, dtype=np.float32),
            finish=row.finish,
            text=text,
        )


def _sample(logits: Tensor, params: SamplingParams, uniforms: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Tokens [B] and their log-probs under the distribution sampled from (greedy: log 1 = 0)."""
    if params.temperature == 0:
        tokens = logits.argmax(-1)
        _require_finite(logits.gather(1, tokens[:, None]))
        return tokens, torch.zeros(len(tokens), device=logits.device)
    scaled = sampling_logits(
        logits, temperature=params.temperature, top_k=params.top_k, top_p=params.top_p, min_p=params.min_p
    )
    uniform = torch.tensor(uniforms, dtype=torch.float64, device=logits.device)
    if native.available() and logits.device.type == "cpu":
        tokens, logprobs = native.draw(scaled, uniform)
    else:
        tokens = draw(scaled, uniform)
        logprobs = token_logprobs(scaled, tokens)
    _require_finite(logprobs)
    return tokens, logprobs


def _require_finite(chosen: Tensor) -> None:
    if not bool(torch.isfinite(chosen).all()):
        raise NonFiniteError(
            "The model gives logits that are not finite, so nothing can be drawn from them",
            wanted="finite numbers",
            do="Its weights hold NaN or infinity, or overflow: start from sound weights",
        )
