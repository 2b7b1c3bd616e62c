"""One step of learning: a batch in, new weights and their statistics out.

    before the advantages are known: what they are made of, where the objective needs it     measure
    for each pass over the rollout:
        for each minibatch (one optimizer update):
            weights of the aggregation from counts of the whole minibatch
            tokens that a selector or an entropy mask picks from all of it
            for each micro-batch: log-probs, corrections, loss, backward
            refuse NaN and infinity, clip the gradient, AdamW
            the critic, if there is one: values, loss, backward, AdamW

Groups without a policy term cost nothing unless some other term of the loss reaches them; they still count in every
denominator. Old log-probs are those of the learner at the weights that made the rollout: with one update a rollout
they are the new ones without gradient, otherwise a pass of their own before the first update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sibling.batch import Batch, Measured
from sibling.config import ObjectiveConfig, Sampling
from sibling.errors import NonFiniteError
from sibling.learner.around import around
from sibling.learner.coefficients import Coefficients
from sibling.learner.packing import minibatches
from sibling.learner.passes import ByRow, Passes, advantage_of, flat, require_finite, stack, unpadded
from sibling.learner.state import LearnerState
from sibling.learner.sums import Sums, step_statistics
from sibling.learner.values import learn_values, value_statistics
from sibling.maths.aggregation import BY_MICRO_BATCH, WITH_CONSTANT, sequence_weights
from sibling.maths.corrections import entropy_keep
from sibling.maths.loss import minibatch_terms, policy_loss
from sibling.maths.objectives import OBJECTIVES
from sibling.models.precision import ComputeDtype
from sibling.seeds import stream


@dataclass(frozen=True)
class _Minibatch:
    """The rows of one optimizer update, and what is known of all of them before it."""

    rows: NDArray[np.int64]  # all of them: they count in denominators
    live: NDArray[np.int64]  # those that go through the model
    micro: list[list[int]]  # `live`, cut under the token budget
    weight: dict[int, float]  # row -> w_i of the aggregation


@dataclass(frozen=True)
class _Old:
    """The policy that made the rollout; empty where the current log-probs without gradient are the same."""

    logprobs: ByRow
    entropy: ByRow


@dataclass(frozen=True)
class _Moment:
    """Where in the step an update stands."""

    first: bool  # in the first pass, whose entropy and sampler gap are kept
    last: bool  # in the last pass, whose losses and clip shares are kept
    fresh: bool  # no update was made yet


class LearnerStep:
    """Applies batches to a `LearnerState` under one objective."""

    def __init__(
        self,
        state: LearnerState,
        objective: ObjectiveConfig,
        sampling: Sampling,
        compute_dtype: ComputeDtype,
        *,
        seed: int = 0,
    ) -> None:
        self.state, self.sampling, self.seed = state, sampling, seed
        self.objective, self.row = objective, OBJECTIVES[objective.type]
        self.numbers = {name: getattr(objective, name) for name in self.row.numbers}
        self.passes = Passes(state, sampling, compute_dtype)
        self.coefficients = Coefficients(objective)
        self.reward_kl: float | None = None  # mean log pi_old - log pi_ref a token of the rollout, if in the reward
        # Tokens are picked from the whole minibatch, so all of it is scored before its update.
        self.looks_at_all = self.row.select is not None or objective.entropy_mask is not None

    # -- before the advantages are known

    @torch.no_grad()
    def measure(self, batch: Batch) -> Measured:
        """What the advantages are made of besides rewards: the KL to the reference, and the critic's values."""
        kl: dict[int, NDArray[np.float32]] = {}
        values: dict[int, NDArray[np.float32]] = {}
        self.reward_kl = None
        with self.passes.computing():
            for rows in self.passes.micro(batch, np.arange(batch.size)):
                packed = self.passes.pack(batch, rows)
                if self.coefficients.reward_beta:
                    gap = self.passes.policy(packed).logprobs - self.passes.reference(packed)
                    kl |= _arrays(batch, rows, gap, "The KL of a completion to the reference")
                if self.state.critic is not None:
                    values |= _arrays(batch, rows, self.state.critic.values(packed), "The value of a completion")
        if kl:
            every = np.concatenate([kl[r][m] for r, m in enumerate(batch.mask)])
            self.reward_kl = float(every.mean(dtype=np.float64)) if len(every) else None
        return Measured(_column(kl, batch.size), _column(values, batch.size))

    # -- learning

    def __call__(self, batch: Batch, step: int = 1) -> dict[str, float]:
        """Train on `batch`, the rollout of `step`; returns the learner's share of the step statistics.

        Raises `NonFiniteError` before the weights are touched when a loss or gradient is NaN or infinite.
        """
        config, critic = self.state.config, self.state.critic
        waits = critic is not None and step <= critic.config.warmup_steps
        parts = [self._minibatch(batch, rows) for rows in minibatches(batch, config.minibatches)]
        updates = 0 if waits else config.passes * sum(len(p.live) > 0 for p in parts)
        old = self._old(batch, parts) if updates and (updates > 1 or self.looks_at_all) else _Old({}, {})
        sums, norm, rate, done = Sums(), 0.0, 0.0, 0
        for number in range(config.passes):
            for part in parts:
                if len(part.live) and not waits:
                    moment = _Moment(number == 0, number == config.passes - 1, done == 0)
                    picked = self._picked(batch, part, old, moment, name=(step, done))
                    self._accumulate(batch, part, old, picked, sums, moment)
                    norm, rate = self._update(done)
                    done += 1
                if critic is not None:
                    last = number == config.passes - 1
                    learn_values(critic, self.passes, batch, part.rows, sums if last else None)
        self.state.publish()
        out = self._statistics(batch, sums, norm, rate, done)
        self.coefficients.follow(out, completions=batch.size)
        return out

    def _minibatch(self, batch: Batch, rows: NDArray[np.int64]) -> _Minibatch:
        mode, constant, count_masked = aggregation_of(self.objective, self.sampling)
        wanted = batch.token_counts[rows] > 0
        # Dead groups are left out where nothing but the policy term reaches a token: it is exactly 0 there.
        more = self.coefficients.loss_beta or self.coefficients.bonus or self.row.acts_without_advantage
        if not (more or self.row.select or mode in BY_MICRO_BATCH):
            wanted &= batch.live[rows]
        live = rows[wanted]
        micro = self.passes.micro(batch, live)
        weights = sequence_weights(
            batch.token_counts[rows],
            batch.group[rows],
            mode=mode,
            constant=constant,
            count_masked=count_masked,
            micro_batches=_places(rows, micro) if mode in BY_MICRO_BATCH else None,
        )
        return _Minibatch(rows, live, micro, dict(zip(rows.tolist(), weights.tolist(), strict=True)))

    def _update(self, done: int) -> tuple[float, float]:
        norm, rate = self.state.update()
        if not math.isfinite(norm):
            raise NonFiniteError(
                f"The gradient of update {done + 1} of this step is not finite",
                seen=f"norm {norm}",
                wanted="a finite number",
                do="The weights are those of the previous update; look at the saved batch, lower the learning rate",
            )
        return norm, rate

    def _old(self, batch: Batch, parts: list[_Minibatch]) -> _Old:
        """Log-probs and entropies before the first update, computed with the packing of the first pass."""
        old = _Old({}, {})
        for part in parts:
            micro = [*part.micro, *(self._rest(batch, part) if self.looks_at_all else [])]
            logprobs, entropy = self.passes.scored(batch, micro, with_entropy=self.looks_at_all)
            old.logprobs.update(logprobs)
            old.entropy.update(entropy)
        return old

    def _rest(self, batch: Batch, part: _Minibatch) -> list[list[int]]:
        """Rows with tokens in the loss that do not go through the backward pass; they have their say in a quantile."""
        return self.passes.micro(batch, np.setdiff1d(part.rows[batch.token_counts[part.rows] > 0], part.live))

    @torch.no_grad()
    def _picked(
        self, batch: Batch, part: _Minibatch, old: _Old, moment: _Moment, *, name: tuple[int, int]
    ) -> dict[str, ByRow]:
        """Tokens picked from the whole minibatch, as booleans: by the row's selector, and by the entropy mask."""
        if not self.looks_at_all:
            return {}
        rows = [r for r in part.rows.tolist() if batch.token_counts[r] > 0]
        mask = stack([torch.from_numpy(batch.mask[r]) for r in rows]).to(self.passes.device)
        picked: dict[str, ByRow] = {}
        if self.objective.entropy_mask is not None:
            entropy = stack([old.entropy[r] for r in rows])
            keep = entropy_keep(entropy, mask, keep_top=self.objective.entropy_mask.keep_top)
            picked["entropy"] = unpadded(batch, rows, keep)
        if self.row.select is not None:
            new = old.logprobs if moment.fresh else self.passes.scored(batch, part.micro)[0]
            terms = minibatch_terms(
                self.row,
                logp_new=stack([new[r] for r in rows]),
                logp_old=stack([old.logprobs[r] for r in rows]),
                advantage=advantage_of(batch, rows, mask.shape[1], mask.device),
                mask=mask,
                log_ratio_clamp=self.objective.log_ratio_clamp,
            )
            uniform = torch.from_numpy(stream(self.seed, "select", *name).random(tuple(mask.shape)))
            picked["selected"] = unpadded(batch, rows, self.row.select(terms, uniform.to(mask.device), **self.numbers))
        return picked

    def _accumulate(
        self, batch: Batch, part: _Minibatch, old: _Old, picked: dict[str, ByRow], sums: Sums, moment: _Moment
    ) -> None:
        """Forward and backward over one minibatch; the gradients of its micro-batches add up."""
        self.state.optimizer.zero_grad(set_to_none=True)  # a batch refused half-way has left gradients
        with self.passes.computing():
            for rows in part.micro:
                self._micro_batch(batch, rows, part, old, picked, sums, moment)

    def _micro_batch(
        self,
        batch: Batch,
        rows: list[int],
        part: _Minibatch,
        old: _Old,
        picked: dict[str, ByRow],
        sums: Sums,
        moment: _Moment,
    ) -> None:
        device, bonus = self.passes.device, self.coefficients.bonus
        packed = self.passes.pack(batch, rows)
        scored = self.passes.policy(packed, with_entropy=moment.first, entropy_gradient=bonus > 0)
        new, width = scored.logprobs, scored.logprobs.shape[1]
        mask = packed.padded(flat([batch.mask[r] for r in rows], torch.float32, device)).bool()
        sampler = packed.padded(flat([batch.sampler_logprobs[r] for r in rows], torch.float32, device))
        before = stack([old.logprobs[r] for r in rows], width) if old.logprobs else new.detach()
        advantage = advantage_of(batch, rows, width, device)
        chosen = {name: stack([of[r] for r in rows], width) for name, of in picked.items()}
        shell = around(
            self.objective,
            logp_new=new,
            logp_old=before,
            logp_sampler=sampler,
            mask=mask,
            advantage=advantage,
            entropy_keep=chosen.get("entropy"),
        )
        parts = policy_loss(
            self.row,
            logp_new=new,
            logp_old=before,
            advantage=advantage,
            mask=mask,
            weight=torch.tensor([part.weight[r] for r in rows], dtype=new.dtype, device=device),
            logp_ref=self.passes.reference(packed) if self.coefficients.loss_beta else None,
            beta=self.coefficients.loss_beta,
            kl=self.objective.kl.estimator,
            log_ratio_clamp=self.objective.log_ratio_clamp,
            factor=shell.factor,
            sampler_weight=shell.sampler_weight,
            selected=chosen.get("selected"),
            expert=None if batch.expert is None else torch.from_numpy(batch.expert[rows]).to(device),
            entropy=scored.entropy if bonus else None,
            entropy_coefficient=bonus,
            **self.numbers,
        )
        require_finite(parts.loss, "The loss of a micro-batch")
        torch.autograd.backward(parts.loss)
        if moment.first:
            assert scored.entropy is not None
            sums.add_first(before - sampler, mask, scored.entropy.detach())
        if moment.fresh:
            sums.identity_gap = max(sums.identity_gap, float(parts.ratio_gap_max))
        if moment.last:
            sums.add_last(parts, mask, shell, chosen.get("selected"))

    def _statistics(self, batch: Batch, sums: Sums, norm: float, rate: float, updates: int) -> dict[str, float]:
        tokens = sums.first.get("tokens", 0.0)
        out = {"updates": float(updates), "trained_tokens": tokens}
        if updates and tokens:
            per_pass = updates / self.state.config.passes  # updates of the last pass
            out |= {"grad_norm": norm, "learning_rate": rate}
            out |= step_statistics(sums, per_pass, sequence_level=self.row.sequence_level)
            if self.coefficients.loss_beta:
                out["kl"] = sums.last["kl_sum"] / max(sums.last["tokens"], 1.0)
        if self.reward_kl is not None:
            out["kl"] = self.reward_kl
        if sums.values:
            out |= value_statistics(batch, sums)
        return out | self.coefficients.statistics()


def aggregation_of(objective: ObjectiveConfig, sampling: Sampling) -> tuple[str, int | None, bool]:
    """(mode, constant, whether sequences without a trained token count) of a configured objective."""
    constant = (objective.constant or sampling.max_tokens) if objective.aggregation in WITH_CONSTANT else None
    return objective.aggregation, constant, objective.count_masked_sequences


def _places(rows: NDArray[np.int64], micro: list[list[int]]) -> list[list[int]]:
    """Micro-batches as positions in `rows`; rows without a token, which change no count, join the first."""
    place = {row: i for i, row in enumerate(rows.tolist())}
    split = [[place[r] for r in m] for m in micro]
    empty = sorted(set(place.values()) - {i for m in split for i in m})
    return [[*split[0], *empty], *split[1:]] if split else [empty]


def _arrays(batch: Batch, rows: list[int], values: Tensor, what: str) -> dict[int, NDArray[np.float32]]:
    require_finite(values, what)
    return {r: v.float().cpu().numpy().copy() for r, v in unpadded(batch, rows, values).items()}


def _column(found: dict[int, NDArray[np.float32]], size: int) -> tuple[NDArray[np.float32], ...] | None:
    return tuple(found[r] for r in range(size)) if found else None
