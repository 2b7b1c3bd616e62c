"""Log-probs of the completions' tokens under the learner's weights, and the entropy at their positions.

The vocabulary head runs only where a token is scored, in chunks whose logits are recomputed in the backward
pass, so memory holds [chunk, V] and never [tokens, V].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sibling.config import Sampling
from sibling.learner.packing import PackedRows
from sibling.maths.likelihood import entropy, sampling_logits, token_logprobs
from sibling.models.head import plain_head, token_scores
from sibling.models.packed import head_logits, hidden_states
from sibling.models.work import HEAD_CHUNK


@dataclass(frozen=True)
class Scored:
    """[N, T] log-probs of the sampled tokens and [N, T] entropies (None if not asked for)."""

    logprobs: Tensor
    entropy: Tensor | None


def score(
    model: Any, rows: PackedRows, sampling: Sampling, *, with_entropy: bool = False, entropy_gradient: bool = False
) -> Scored:
    """Run the packed rows through `model`; the distribution is the one the sampler draws from.

    Entropies are computed with `with_entropy`, without gradient, or with `entropy_gradient`, for an entropy bonus.
    """
    hidden = hidden_states(model, rows.packed.ids, rows.packed.positions, rows.packed.layout)[rows.before]
    head = plain_head(model)
    if head is not None and not (sampling.top_k or sampling.top_p < 1.0 or sampling.min_p):
        logp, found = token_scores(
            hidden,
            head,
            rows.tokens,
            temperature=sampling.temperature,
            with_entropy=with_entropy or entropy_gradient,
            chunk=HEAD_CHUNK,
        )
        found = found if found is None or entropy_gradient else found.detach()
        return Scored(rows.padded(logp), None if found is None else rows.padded(found))
    logprobs, entropies = [], []
    for h, tokens in zip(torch.split(hidden, HEAD_CHUNK), torch.split(rows.tokens, HEAD_CHUNK), strict=True):
        chunk = _Head(model, sampling, with_entropy)
        if entropy_gradient:
            logp, h_tokens = checkpoint(chunk.with_entropy, h, tokens, use_reentrant=False)
            entropies.append(h_tokens)
        else:
            logp = checkpoint(chunk, h, tokens, use_reentrant=False)
            entropies.append(chunk.entropy)
        logprobs.append(logp)
    return Scored(
        logprobs=rows.padded(torch.cat(logprobs)),
        entropy=rows.padded(torch.cat(known)) if (known := [e for e in entropies if e is not None]) else None,
    )


class _Head:
    """The head on one chunk; keeps the entropy of its first run (the backward pass runs it again)."""

    def __init__(self, model: Any, sampling: Sampling, with_entropy: bool) -> None:
        self.model, self.sampling, self.wanted = model, sampling, with_entropy
        self.entropy: Tensor | None = None

    def __call__(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        logits = self._logits(hidden, tokens)
        if self.wanted and self.entropy is None:
            with torch.no_grad():
                self.entropy = entropy(logits.detach())
        return token_logprobs(logits, tokens)

    def with_entropy(self, hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probs and entropies, both with gradient."""
        logits = self._logits(hidden, tokens)
        return token_logprobs(logits, tokens), entropy(logits)

    def _logits(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        s = self.sampling
        return sampling_logits(
            head_logits(self.model, hidden),
            temperature=s.temperature,
            top_k=s.top_k,
            top_p=s.top_p,
            min_p=s.min_p,
            keep=tokens,
        )
