"""Log-probabilities of the distribution that is sampled from, and draws from it.

The sampler and the learner both go through `sampling_logits`, so that temperature, top-k, top-p and min-p
mean the same on both sides. Letters: n positions, V vocabulary. All logarithms are natural.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_BLOCK = 128


def sampling_logits(
    logits: Float[Tensor, "n V"],
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    keep: Int[Tensor, " n"] | None = None,
) -> Float[Tensor, "n V"]:
    """Logits of the sampling distribution: scaled by 1/temperature, -inf outside the support.

    Order as in the field's engines: temperature, then top-k (the k largest logits), then top-p (the
    smallest set of most probable tokens whose mass reaches top_p, after top-k), then min-p (tokens with at
    least min_p times the largest probability). Ties at the top-k bound stay in. `keep` names one token a
    row that is never cut: the learner passes the token that was sampled, whose membership can differ by
    rounding.
    """
    scaled = logits / temperature if temperature != 1.0 else logits
    out = _support(scaled.detach(), top_k, top_p, min_p)
    if out is None:
        return scaled
    if keep is not None:
        out = out.scatter(1, keep[:, None], False)
    return scaled.masked_fill(out, float("-inf"))


def _support(logits: Tensor, top_k: int, top_p: float, min_p: float) -> Bool[Tensor, "n V"] | None:
    """True where a token is cut; None when nothing can be."""
    vocabulary = logits.shape[-1]
    cut: Tensor | None = None
    if 0 < top_k < vocabulary:
        bound = logits.topk(top_k, dim=-1).values[:, -1:]
        cut = logits < bound
        logits = logits.masked_fill(cut, float("-inf"))
    if top_p < 1.0:
        ordered, order = logits.softmax(-1).sort(dim=-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        nucleus = torch.zeros_like(before, dtype=torch.bool).scatter(1, order, before >= top_p)
        cut = nucleus if cut is None else cut | nucleus
        logits = logits.masked_fill(cut, float("-inf"))
    if min_p > 0.0:
        probabilities = logits.softmax(-1)
        small = probabilities < min_p * probabilities.amax(-1, keepdim=True)
        cut = small if cut is None else cut | small
    return cut


def token_logprobs(logits: Float[Tensor, "n V"], tokens: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """log p(token) = logit_token - logsumexp(logits), row by row.

    Through the fused cross-entropy: one pass over the vocabulary instead of three, forward and backward.
    """
    return -torch.nn.functional.cross_entropy(logits, tokens, reduction="none")


def entropy(logits: Float[Tensor, "n V"]) -> Float[Tensor, " n"]:
    """H = -sum_v p_v log p_v in nats; tokens outside the support add nothing."""
    logp = logits.log_softmax(-1)
    total: Tensor = torch.linalg.vecdot(logp.exp(), logp.clamp(min=-1e30))  # 0 * -inf would be NaN
    return -total


def draw(logits: Float[Tensor, "n V"], uniform: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """One token a row by inversion: the first token whose cumulative probability exceeds `uniform`.

    Takes one uniform in [0, 1) a row, in the vocabulary's own order, so a row's draw depends on nothing but
    its logits and its uniform. Sums of blocks of 128 tokens are accumulated in float64; a token outside the
    support is never drawn.
    """
    n, vocabulary = logits.shape
    weights = (logits - logits.amax(-1, keepdim=True)).exp()
    blocks = -(-vocabulary // _BLOCK)
    padded = torch.nn.functional.pad(weights, (0, blocks * _BLOCK - vocabulary)).view(n, blocks, _BLOCK)
    cumulative = padded.sum(-1).double().cumsum(-1)
    target = uniform.double() * cumulative[:, -1]
    block = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0].clamp_(max=blocks - 1)
    rows = torch.arange(n, device=logits.device)
    inside = padded[rows, block].double()
    rest = target - (cumulative[rows, block] - padded[rows, block].sum(-1).double())
    rest = rest.clamp(min=0.0)  # rounding can leave it below 0, where a first token without mass would be drawn
    offset = torch.searchsorted(inside.cumsum(-1), rest[:, None], right=True)[:, 0]
    last = _BLOCK - 1 - (inside.flip(-1) > 0).to(torch.int8).argmax(-1)  # the block's last token with any mass
    token = block * _BLOCK + torch.minimum(offset, last)
    return token.clamp(max=vocabulary - 1)  # only a row of NaN gets here; its token has a log-prob of NaN
