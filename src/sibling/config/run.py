"""A whole run: `Recipe`, with how completions are drawn, how a rollout becomes updates, and what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sibling.canonical import digest
from sibling.config.data import EmbeddedModel, ModelConfig, TaskConfig
from sibling.config.legal import refusal
from sibling.config.objectives import DapoObjective, ObjectiveConfig
from sibling.config.rewards import RewardConfig
from sibling.config.section import Section


class FailurePolicy(Section):
    """What becomes of a sample whose reward failed (`error`) or declined (`abstain`). Never a silent 0."""

    on_error: Literal["drop_sample", "drop_group", "stop"] = "drop_sample"
    on_abstain: Literal["drop_sample", "drop_group", "stop"] = "drop_sample"
    refused_references: Literal["stop", "warn"] = Field(
        "stop", description="what to do when a reward does not accept its own reference answers"
    )


# -------------------------------------------------------------------------------------------- sampling


class Audit(Section):
    """The audit of the rewards before the first step: how easily they are fooled, and what they refuse wrongly."""

    triples: int = Field(50, ge=0, description="prompts that probes are made from, for each reward; 0: no audit")
    on_failure: Literal["warn", "stop"] = "warn"


class Sampling(Section):
    """How completions are drawn. What changes the distribution is applied in the learner's log-probs too."""

    prompts_per_step: int = Field(8, ge=1)
    group_size: int = Field(8, ge=1, description="G, completions a prompt")
    max_tokens: int = Field(64, ge=1, description="most tokens in a completion")
    max_prompt_tokens: int | None = Field(None, ge=1, description="null: the context less max_tokens")
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="0: off")
    min_p: float = Field(0.0, ge=0, lt=1)
    stop: tuple[str, ...] = Field((), description="strings that end a completion; the string is kept")
    batch_rows: int = Field(128, ge=1, description="most completions decoded at once")


class DynamicSampling(Section):
    """DAPO's dynamic sampling: replace groups whose rewards are all equal, within a budget."""

    enabled: bool = False
    max_rounds: int = Field(3, ge=1, description="sampling rounds a step, the first included")


class Filters(Section):
    """What leaves the batch before the update, always with a reason in the record."""

    dynamic_sampling: DynamicSampling = DynamicSampling()
    mask_truncated: bool = Field(False, description="overlong filtering: truncated completions leave the loss")


# --------------------------------------------------------------------------------------------- learner


class FullFinetune(Section):
    """Every weight is trained."""

    type: Literal["full"] = "full"


class LoraFinetune(Section):
    """Low-rank adapters (LoRA, 2106.09685) through peft; merged weights are always computed from the base."""

    type: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"


FinetuneConfig = Annotated[FullFinetune | LoraFinetune, Field(discriminator="type")]


class Optimizer(Section):
    """AdamW (1711.05101)."""

    learning_rate: float = Field(2e-5, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)


class Learner(Section):
    """How one rollout becomes weight updates."""

    finetune: FinetuneConfig = FullFinetune()
    optimizer: Optimizer = Optimizer()
    passes: int = Field(1, ge=1, description="passes over one rollout (mu of DeepSeekMath)")
    minibatches: int = Field(1, ge=1, description="optimizer steps a pass; groups are never split between them")
    micro_batch_tokens: int = Field(4096, ge=1, description="token budget of one forward and backward pass")
    compute_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where a measured matrix product is faster"
    )
    gradient_checkpointing: bool = False


# ---------------------------------------------------------------------------------------- the rest


class Evaluation(Section):
    """Evaluation on held-out prompts, before and after, and during the run if `every` is set."""

    prompts: int = Field(100, ge=0, description="held-out prompts; 0: no evaluation")
    samples: int = Field(4, ge=0, description="sampled completions a prompt for mean@k and pass@k; 0: greedy only")
    every: int | None = Field(None, ge=1, description="steps between greedy evaluations during the run")
    confidence: float = Field(0.95, gt=0, lt=1)


class Checkpoints(Section):
    """Checkpoints are written aside, then renamed."""

    every: int = Field(10, ge=1, description="steps between checkpoints")
    keep_last: int = Field(2, ge=1)
    keep_best: bool = Field(True, description="keep the best by held-out accuracy, when evaluation.every is set")


class Trackers(Section):
    """Experiment trackers that mirror the step statistics; the record stays the only source of truth."""

    use: tuple[Literal["trackio", "wandb", "tensorboard", "mlflow"], ...] = ()
    project: str = "sibling"


class Recipe(Section):
    """A whole run: what to train, on which prompts, with which rewards, towards which objective."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run's directory under runs/")
    run_dir: str | None = Field(None, description="the run directory; null: runs/<name>")
    seed: int = Field(0, ge=0, lt=2**53)
    steps: int = Field(ge=1, description="rollout steps")
    threads: int | None = Field(None, ge=1, description="CPU threads; null: all this process may use")
    model: ModelConfig = EmbeddedModel()
    task: TaskConfig
    rewards: tuple[RewardConfig, ...] = Field(min_length=1)
    reward_policy: FailurePolicy = FailurePolicy()
    audit: Audit = Audit()
    sampling: Sampling = Sampling()
    filters: Filters = Filters()
    objective: ObjectiveConfig = DapoObjective()
    learner: Learner = Learner()
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    trackers: Trackers = Trackers()

    @model_validator(mode="after")
    def _legal(self) -> Recipe:
        if "" in self.sampling.stop:
            raise ValueError("sampling.stop holds an empty string, which would end every completion at once; remove it")
        if self.learner.minibatches > self.sampling.prompts_per_step:
            raise ValueError(
                f"learner.minibatches is {self.learner.minibatches} but a step has only "
                f"{self.sampling.prompts_per_step} groups (sampling.prompts_per_step), and a group is never split; "
                f"set learner.minibatches to {self.sampling.prompts_per_step} or less"
            )
        names = [r.name or r.type for r in self.rewards]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two rewards are called {twice[0]!r}; give each a name of its own (rewards[].name)")
        learned = [(r.name or r.type, r.labels) for r in self.rewards if r.type == "learned"]
        for name, labels in learned:
            if self.rewards[0].type == "learned":
                raise ValueError(
                    f"the learned reward {name!r} comes first; evaluations count by the first reward, and one that "
                    "changes during the run cannot compare before with after; put the reward it learns from first"
                )
            others = [r.name or r.type for r in self.rewards if r.type not in ("learned", "overlong")]
            if labels not in others or len(learned) > 1:
                raise ValueError(
                    f"the reward {name!r} learns from {labels!r}; wanted one learned reward, whose labels are the "
                    f"verdicts of another reward of this recipe: {', '.join(others) or 'there is none'}"
                )
        refused = refusal(self)
        if refused:
            raise ValueError(refused)
        return self

    def resolved(self) -> dict[str, Any]:
        """Every value used, JSON-ready: what `resolved.json` holds."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """Digest of the resolved recipe, without the run directory: the same recipe elsewhere is the same recipe."""
        return digest({k: v for k, v in self.resolved().items() if k != "run_dir"})

    def directory(self) -> Path:
        """The run directory."""
        return Path(self.run_dir) if self.run_dir else Path("runs") / self.name
