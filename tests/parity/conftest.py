"""The losses of TRL 1.16.0, computed by TRL's own code on numbers that are given instead of sampled, and ours.

`GrpoPeer` and `RlooPeer` hold a trainer that was never initialised: it has the attributes that TRL's code reads (from a
real config), a real single-process accelerator, and in place of generation, rewards and forward passes the numbers of a
`Case`. Advantages, importance weights, masks, normalisers and loss are TRL's. Nothing of TRL is written again here.
`translated_loss` puts the same numbers through `from_trl` and our mathematics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sibling.config import parse_recipe
from sibling.maths.advantages import total_reward
from sibling.maths.aggregation import sequence_weights
from sibling.maths.corrections import entropy_keep, off_policy_keep, sampler_weights
from sibling.maths.estimators import Evidence, advantages
from sibling.maths.objectives import OBJECTIVES, policy_loss
from sibling.report.peers import complete
from sibling.report.trl import from_trl

EOS, PAD = 1, 0


@dataclass(frozen=True)
class Case:
    """P groups of G completions, N = P G, padded to T tokens; float64. NaN: missing."""

    size: int  # G
    reward: np.ndarray  # [N, R]
    length: list[int]  # N
    tool: torch.Tensor  # [N, T] bool: false at tool output
    truncated: list[bool]  # N
    logp_new: torch.Tensor  # [N, T]
    logp_old: torch.Tensor
    logp_ref: torch.Tensor
    logp_sampler: torch.Tensor  # NaN: the sampler has none
    entropy: torch.Tensor

    @property
    def group(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.length) // self.size), self.size)

    @property
    def inside(self) -> torch.Tensor:
        """[N, T] tokens that exist."""
        return torch.arange(self.logp_new.shape[1])[None, :] < torch.tensor(self.length)[:, None]

    def mask(self, *, drop_truncated: bool = False) -> torch.Tensor:
        """[N, T] tokens in the loss."""
        kept = ~torch.tensor(self.truncated) if drop_truncated else torch.ones(len(self.length), dtype=torch.bool)
        return self.inside & self.tool & kept[:, None]


def random_case(seed: int, *, prompts: int = 3, size: int = 4, rewards: int = 1, tools: bool = True) -> Case:
    """A case with ratios far from 1, a fully masked completion, and lengths from 1 to 9.

    Tool output is masked; `tools` false leaves it and the fully masked completion out.
    """
    rng = np.random.default_rng(seed)
    n, longest = prompts * size, 9
    length = [int(x) for x in rng.integers(1, longest + 1, n)]
    length[0] = longest
    tool = torch.tensor(rng.random((n, longest)) > 0.2)
    tool[:, 0] = True
    tool[-1] = False  # the last completion has no token in the loss, but counts
    tool |= not tools
    new = -rng.gamma(1.5, 0.8, (n, longest))

    def near(scale: float) -> torch.Tensor:
        return torch.tensor(np.minimum(new + rng.normal(0.0, scale, new.shape), -1e-4))

    entropy = (
        rng.gamma(1.0, 0.7, (n, longest)).astype(np.float32).astype(np.float64)
    )  # TRL takes its quantile in float32
    return Case(
        size=size,
        reward=rng.normal(0.0, 1.0, (n, rewards)).round(2),
        length=length,
        tool=tool,
        truncated=[bool(x) for x in rng.random(n) < 0.3],
        logp_new=torch.tensor(new),
        logp_old=near(0.6),
        logp_ref=near(1.0),
        logp_sampler=near(0.3),
        entropy=torch.tensor(entropy),
    )


class GrpoPeer:
    """GRPOTrainer's loss and its gradient with respect to logp_new, and what it computed on the way."""

    config = "GRPOConfig"
    trainer = "GRPOTrainer"

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def run(
        self, case: Case, *, tools: bool = True, accumulate: int = 1, steps: int | None = None, **given: Any
    ) -> Any:
        """One generation and the losses of its batches.

        The generation batch is cut into `steps` batches (null: `accumulate`), `accumulate` of them an optimizer step.
        Returns loss (the sum over all batches), grad [N, T], advantages [N] and the rollout's inputs.
        """
        steps = accumulate if steps is None else steps
        trainer = self._trainer(case, tools=tools, accumulate=accumulate, steps=steps, **given)
        from trl.trainer.utils import split_tensor_dict

        rollout = trainer._generate_and_score_completions([{"prompt": "p"}] * len(case.length))
        logp = case.logp_new.clone().requires_grad_()
        rows = split_tensor_dict({"logp": logp, "entropy": case.entropy}, steps)
        losses = []
        for inputs, row in zip(split_tensor_dict(rollout, steps), rows, strict=True):
            self._forward(trainer, row["logp"], row["entropy"])
            losses.append(trainer._compute_loss(trainer.model, inputs))
        loss = torch.stack(losses).sum()
        (grad,) = torch.autograd.grad(loss, logp)
        return SimpleNamespace(
            loss=float(loss.detach()), grad=grad, advantages=rollout["advantages"].numpy(), inputs=rollout
        )

    def _trainer(self, case: Case, *, tools: bool, accumulate: int, steps: int, **given: Any) -> Any:
        import trl
        from accelerate import Accelerator

        args = getattr(trl, self.config)(
            output_dir=self.folder,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=None,  # deprecated in transformers; TRL still defaults to it
            per_device_train_batch_size=len(case.length) // steps,
            gradient_accumulation_steps=accumulate,
            steps_per_generation=steps,
            num_generations=case.size,
            **given,
        )
        # Without __init__, which would load a model; every attribute is as __init__ sets it.
        trainer = getattr(trl, self.trainer).__new__(getattr(trl, self.trainer))
        model = torch.nn.Module()
        model.is_gradient_checkpointing = False
        attributes = {name: getattr(args, name) for name in self._read(args)}
        attributes |= {
            "args": args,
            "accelerator": Accelerator(cpu=True),
            "model": model.train(),
            "ref_model": model,
            "epsilon_low": args.epsilon,
            "epsilon_high": args.epsilon if args.epsilon_high is None else args.epsilon_high,
            "current_gradient_accumulation_steps": accumulate,
            "aux_loss_enabled": False,
            "environment_factories": None,
            "environments": None,
            "tools": [],
            "pad_to_multiple_of": None,
            "eos_token_ids": [EOS],
            "eos_token_id": EOS,
            "pad_token_id": PAD,
            "_tokenizer": SimpleNamespace(pad_token_id=PAD),
            "processing_class": SimpleNamespace(pad_token_id=PAD),
            "reward_funcs": [None] * case.reward.shape[1],
            "reward_func_names": [f"reward_{r}" for r in range(case.reward.shape[1])],
            "reward_weights": torch.tensor(args.reward_weights or [1.0] * case.reward.shape[1]).to(
                torch.from_numpy(case.reward).dtype
            ),
            "_metrics": {"train": defaultdict(list)},
            "_logs": defaultdict(list, rewards=defaultdict(list), extra=defaultdict(list)),
            "_pending_extra_logs": {},
            "_pending_metrics": {},
            "_entropy_window_stats": None,
            "_last_world_entropy": float("inf"),
        }
        attributes["_entropy_bonus_enabled"] = bool(
            attributes.get("entropy_coef") or attributes.get("use_adaptive_entropy")
        )
        vars(trainer).update(attributes)
        answers = [case.logp_old, case.logp_ref]
        if trainer.__class__.__name__ == "GRPOTrainer" and not self._recomputes(args):
            answers = [case.logp_ref]
        trainer._get_per_token_logps_and_entropies = lambda *_, **__: (answers.pop(0), None, None)
        trainer._generate = self._generation(case, tools=tools, vllm=args.use_vllm)
        trainer._calculate_rewards = lambda *_: torch.tensor(case.reward)
        return trainer

    @staticmethod
    def _recomputes(args: Any) -> bool:
        """Whether TRL asks for logp_old (else it takes logp_new for it)."""
        every = args.steps_per_generation * args.num_iterations
        vllm = args.use_vllm and args.vllm_importance_sampling_correction
        return bool(args.gradient_accumulation_steps % every != 0 or vllm)

    @staticmethod
    def _forward(trainer: Any, logp: torch.Tensor, entropy: torch.Tensor) -> None:
        trainer._get_per_token_logps_and_entropies = lambda *_, **__: (logp, entropy, None)

    @staticmethod
    def _read(args: Any) -> list[str]:
        own = type(args).__mro__[0].__dataclass_fields__
        return [name for name in own if name not in ("epsilon", "epsilon_high") and hasattr(args, name)]

    @staticmethod
    def _generation(case: Case, *, tools: bool, vllm: bool) -> Callable[..., tuple[Any, ...]]:
        tokens = [[7] * (n - 1) + [7 if cut else EOS] for n, cut in zip(case.length, case.truncated, strict=True)]
        masks = [case.tool[i, :n].long().tolist() for i, n in enumerate(case.length)]
        sampled = [
            [None if np.isnan(x) else x for x in case.logp_sampler[i, :n].tolist()] for i, n in enumerate(case.length)
        ]
        prompts = [[5]] * len(tokens)
        texts = [""] * len(tokens)
        return lambda _: (prompts, tokens, masks if tools else None, texts, sampled if vllm else None, {}, None, None)


class RlooPeer(GrpoPeer):
    """The same of RLOOTrainer, which knows no tool output."""

    config = "RLOOConfig"
    trainer = "RLOOTrainer"

    @staticmethod
    def _generation(case: Case, *, tools: bool, vllm: bool) -> Callable[..., tuple[Any, ...]]:
        prompts, tokens, _, texts, *_ = GrpoPeer._generation(case, tools=False, vllm=False)(None)
        return lambda _: (prompts, tokens, texts)


def translated_loss(case: Any, settings: dict[str, Any], *, micro_batches: int = 1, rows: slice | None = None) -> Any:
    """Loss, gradient and advantages of the translated config on the whole batch, or its loss on some rows only."""
    recipe = parse_recipe(complete(from_trl(settings).recipe_fragment))
    o = recipe.objective
    mask = case.mask(drop_truncated=recipe.filters.mask_truncated)
    n = len(case.length)
    weights = settings.get("reward_weights", [1.0] * case.reward.shape[1])
    kl_beta = o.kl.beta if o.kl.placement == "reward" else 0.0
    own = [m[:t].numpy() for m, t in zip(mask, case.length, strict=True)]
    drift = [(a - b)[:t].numpy() for a, b, t in zip(case.logp_old, case.logp_ref, case.length, strict=True)]
    found = advantages(
        o.advantage.type,
        Evidence(
            reward=total_reward(case.reward, weights),
            group=case.group,
            mask=own,
            scores=case.reward,
            weights=weights,
            kl=drift,
            kl_beta=kl_beta,
        ),
        **o.advantage.model_dump(exclude={"type"}),
    ).sequence
    assert found is not None
    part = slice(0, n) if rows is None else rows
    index = np.arange(n)[part]
    weight = sequence_weights(
        mask.sum(1).numpy()[part],
        case.group[part],
        mode=o.aggregation,
        constant=o.constant,
        count_masked=o.count_masked_sequences,
        micro_batches=[x.tolist() for x in np.array_split(np.arange(len(index)), micro_batches)],
    )
    advantage = torch.tensor(found)
    logp = case.logp_new.clone().requires_grad_()
    # TRL takes logp_new for logp_old where a rollout makes one update only.
    reused = settings.get("num_iterations", 1) > 1 or settings.get("use_vllm", False) or kl_beta
    old = case.logp_old if reused else case.logp_new
    factor = torch.ones_like(old)
    behaviour = torch.where(case.logp_sampler.isnan(), old, case.logp_sampler) if settings.get("use_vllm") else old
    if o.off_policy_mask:
        keep = off_policy_keep(case.logp_new, behaviour, mask, advantage, delta=o.off_policy_mask.delta)
        factor = factor * keep[:, None]
    if o.entropy_mask:
        factor = factor * entropy_keep(case.entropy, mask, keep_top=o.entropy_mask.keep_top)
    sampled = None
    if o.sampler_correction:
        sampled = sampler_weights(old, case.logp_sampler, mask, **o.sampler_correction.model_dump())[part]
    row = OBJECTIVES[o.type]
    parts = policy_loss(
        row,
        logp_new=logp[part],
        logp_old=old[part],
        advantage=advantage[part],
        mask=mask[part],
        weight=torch.tensor(weight),
        logp_ref=case.logp_ref[part],
        beta=o.kl.beta if o.kl.placement == "loss" else 0.0,
        kl=o.kl.estimator,
        log_ratio_clamp=o.log_ratio_clamp,
        factor=factor[part],
        sampler_weight=sampled,
        entropy=case.entropy[part],
        entropy_coefficient=o.entropy_bonus.coefficient if o.entropy_bonus else 0.0,
        **{name: getattr(o, name) for name in row.numbers},
    )
    (grad,) = torch.autograd.grad(parts.loss, logp)
    return SimpleNamespace(loss=float(parts.loss.detach()), grad=grad, advantages=found)


def assert_same(mine: Any, peer: Any) -> None:
    np.testing.assert_allclose(mine.advantages, peer.advantages, rtol=1e-9, atol=1e-11)
    assert mine.loss == pytest.approx(peer.loss, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(mine.grad.numpy(), peer.grad.numpy(), rtol=1e-9, atol=1e-12)
    assert float(peer.grad.abs().max()) > 1e-4  # two zeros would agree too


@pytest.fixture
def float64() -> Iterator[None]:
    """New tensors are float64: TRL makes them of Python numbers."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def grpo_peer(tmp_path: Any, float64: None) -> GrpoPeer:
    return GrpoPeer(str(tmp_path))


@pytest.fixture
def rloo_peer(tmp_path: Any, float64: None) -> RlooPeer:
    return RlooPeer(str(tmp_path))


@pytest.fixture
def make_case() -> Callable[..., Case]:
    return random_case


@pytest.fixture
def ours() -> Callable[..., Any]:
    return translated_loss


@pytest.fixture
def same() -> Callable[..., None]:
    return assert_same
