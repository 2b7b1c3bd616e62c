"""What the micro-batches of a step add up to, and the statistics made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from sibling.learner.around import Around
from sibling.maths.loss import LossParts


@dataclass
class Sums:
    """Sums over the first and over the last pass of a step; names are those of the quantities they lead to."""

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)  # of the critic, in the last pass
    gap_max: float = 0.0  # largest |log pi_old - log pi_sampler|
    identity_gap: float = 0.0  # largest |ratio - 1| before the first update

    def add_first(self, gap: Tensor, mask: Tensor, entropy: Tensor) -> None:
        """`gap` [N, T] = log pi_old - log pi_sampler, NaN where the sampler reported nothing."""
        known = gap[mask & ~gap.isnan()].abs()
        _add(self.first, tokens=mask.sum(), entropy=entropy[mask].sum(), gap=known.sum(), gap_tokens=known.numel())
        self.gap_max = max(self.gap_max, float(known.max()) if known.numel() else 0.0)

    def add_last(self, parts: LossParts, mask: Tensor, around: Around, selected: Tensor | None) -> None:
        """What one micro-batch adds in the last pass."""
        _add(
            self.last,
            tokens=mask.sum(),
            sequences=mask.any(dim=-1).sum(),
            loss=parts.loss.detach(),
            policy=parts.policy,
            ratio=parts.ratio_sum,
            kl_sum=parts.kl_sum,
            clip_low=parts.clip_low,
            clip_high=parts.clip_high,
            clip_dual=parts.clip_dual,
            clip_sequences=parts.clip_sequences,
        )
        if around.sampler_weight is not None:
            weight = around.sampler_weight[mask]
            _add(self.last, sampler_weight=weight.sum(), sampler_dropped=(weight == 0).sum())
        if around.keep is not None:
            _add(self.last, off_policy_dropped=(~around.keep & mask.any(dim=-1)).sum())
        if selected is not None:
            _add(self.last, selected=(selected & mask).sum())

    def add_values(self, loss: Tensor, clipped: Tensor, tokens: int) -> None:
        """What one micro-batch of the critic adds in the last pass."""
        _add(self.values, loss=loss.detach(), clipped=clipped.sum(), tokens=tokens)

    def add_value_update(self, norm: float) -> None:
        """One update of the critic in the last pass, with its gradient norm."""
        _add(self.values, updates=1.0)
        self.values["norm"] = norm


def _add(sums: dict[str, float], **values: float | Tensor) -> None:
    for name, value in values.items():
        sums[name] = sums.get(name, 0.0) + float(value)


def step_statistics(sums: Sums, updates_a_pass: float, *, sequence_level: bool) -> dict[str, float]:
    """The learner's share of the step statistics (names of stats.QUANTITIES); a loss is a mean over updates."""
    tokens, out = sums.first.get("tokens", 0.0), {}
    out["entropy"] = sums.first["entropy"] / tokens
    out["sampler_gap_mean"] = sums.first["gap"] / max(sums.first["gap_tokens"], 1.0)
    out["sampler_gap_max"] = sums.gap_max
    out["ratio_identity_gap"] = sums.identity_gap
    last = sums.last
    active, sequences = max(last["tokens"], 1.0), max(last["sequences"], 1.0)
    out["loss"] = last["loss"] / updates_a_pass
    out["policy_loss"] = last["policy"] / updates_a_pass
    out["ratio_mean"] = last["ratio"] / active
    out["clip_low_share"] = last["clip_low"] / active
    out["clip_high_share"] = last["clip_high"] / active
    if last["clip_dual"]:
        out["clip_dual_share"] = last["clip_dual"] / active
    if sequence_level:
        out["clip_sequence_share"] = last["clip_sequences"] / sequences
    for name, source, total in (
        ("sampler_weight_mean", "sampler_weight", active),
        ("sampler_dropped_share", "sampler_dropped", active),
        ("off_policy_dropped_share", "off_policy_dropped", sequences),
        ("selected_share", "selected", active),
    ):
        if source in last:
            out[name] = last[source] / total
    return out
