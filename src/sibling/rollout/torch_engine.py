"""The embedded engine: a batched sampler over a transformers model, in the learner's process.

Prompts are prefilled once a group, packed without padding. Rows advance together, one token a step;
finished rows leave the batch. Each row draws its tokens by inversion from its own uniforms, so its text
depends on the weights and its stream, not on which rows share the batch (floating-point ties apart).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.batch import Completion, Finish
from sibling.errors import NonFiniteError
from sibling.maths.likelihood import draw, sampling_logits, token_logprobs
from sibling.models.packed import head_logits, hidden_states, pack
from sibling.models.precision import ComputeDtype, compute
from sibling.rollout.cache import DecodeLayout
from sibling.rollout.engine import GroupRequest, Progress, SamplingParams, Uniforms

_COMPACT_BELOW = 0.75  # rows are dropped from the buffers once fewer than this share of them is live


@dataclass
class _Row:
    """A completion under way."""

    request: int
    sibling: int
    uniforms: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Finish | None = None


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
    ) -> list[list[Completion]]:
        """G completions for each request, in order; see `Engine`."""
        training = self.model.training
        self.model.eval()
        rows: list[_Row] = []
        total = sum(r.siblings for r in requests)
        try:
            with compute(self.compute_dtype, self.model.device.type):
                for wave in _waves(requests, self.batch_rows):
                    for _ in self._run_wave(requests, wave, params, uniforms, rows):
                        if progress is not None:
                            done = sum(r.finish is not None for r in rows)
                            progress(done, total, sum(len(r.tokens) for r in rows))
        finally:
            self.model.train(training)
        groups: list[list[Completion]] = [[] for _ in requests]
        for row in sorted(rows, key=lambda r: (r.request, r.sibling)):
            groups[row.request].append(self._completion(row))
        return groups

    def _run_wave(
        self,
        requests: Sequence[GroupRequest],
        wave: Sequence[tuple[int, int, int]],
        params: SamplingParams,
        uniforms: Uniforms,
        rows: list[_Row],
    ) -> Iterator[None]:
        """Decode one wave of (request, first sibling, siblings) to the end, appending its rows."""
        live = [
            _Row(i, s, uniforms(requests[i].key, s, params.max_tokens) if params.temperature > 0 else np.zeros(0))
            for i, first, count in wave
            for s in range(first, first + count)
        ]
        rows += live
        cache, logits = self._prefill([requests[i].token_ids for i, _, _ in wave], [c for _, _, c in wave], params)
        slots = list(live)  # the rows in the cache's order; finished ones stay until the next compaction
        for step in range(params.max_tokens):
            tokens, logprobs = _sample(logits, params, [r.uniforms[step] if len(r.uniforms) else 0.0 for r in slots])
            for row, token, logprob in zip(slots, tokens.tolist(), logprobs.tolist(), strict=True):
                if row.finish is None:
                    row.tokens.append(token)
                    row.logprobs.append(logprob)
                    row.finish = self._finish(row, params)
            yield
            keep = [i for i, r in enumerate(slots) if r.finish is None]
            if not keep:
                return
            if len(keep) < _COMPACT_BELOW * len(slots):
                index = torch.tensor(keep, device=tokens.device)
                cache.keep(index)
                tokens, slots = tokens[index], [slots[i] for i in keep]
            hidden = hidden_states(self.model, tokens[None], cache.positions()[None], cache)
            cache.drawn += 1
            logits = head_logits(self.model, hidden)

    def _prefill(
        self, prompts: Sequence[NDArray[np.int64]], siblings: Sequence[int], params: SamplingParams
    ) -> tuple[DecodeLayout, Tensor]:
        """Run the prompts once; returns the cache and logits [B, V] for the first token of every row."""
        device = self.model.device
        packed = pack(prompts, [()] * len(prompts), device)
        packed.layout.keep = True
        hidden = hidden_states(self.model, packed.ids, packed.positions, packed.layout)
        last = torch.tensor([s.start + s.prompt - 1 for s in packed.layout.spans], device=device)
        cache = DecodeLayout(packed.layout, siblings, params.max_tokens)
        return cache, head_logits(self.model, hidden[last])[cache.prompt_of_row]

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
    tokens = draw(scaled, torch.tensor(uniforms, dtype=torch.float64, device=logits.device))
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


def _waves(requests: Sequence[GroupRequest], most: int) -> Iterator[list[tuple[int, int, int]]]:
    """Cut the requests into waves of at most `most` rows; a group larger than that is cut as well."""
    wave: list[tuple[int, int, int]] = []
    used = 0
    for i, request in enumerate(requests):
        first = 0
        while first < request.siblings:
            if used == most:
                yield wave
                wave, used = [], 0
            count = min(request.siblings - first, most - used)
            wave.append((i, first, count))
            first, used = first + count, used + count
    if wave:
        yield wave
