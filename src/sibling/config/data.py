"""Models, tasks and rewards: what is trained, on which prompts, scored by what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sibling.config.section import Section

# ---------------------------------------------------------------------------------------------- models


class EmbeddedModel(Section):
    """The model that comes with the product: SmolLM2-135M-Instruct (Apache-2.0), fetched once, kept in the cache."""

    type: Literal["embedded"] = "embedded"


class DirectoryModel(Section):
    """A local directory in the Hugging Face layout: config.json, safetensors, a tokenizer."""

    type: Literal["directory"] = "directory"
    path: str
    chat_template: str | None = Field(None, description="path of a Jinja chat template, if the tokenizer has none")
    trust_remote_code: bool = Field(False, description="run Python that ships with the model; recorded when on")


class HubModel(Section):
    """A model named on the Hugging Face hub, read from the local hub cache or downloaded."""

    type: Literal["hub"] = "hub"
    id: str
    revision: str | None = Field(None, description="commit, tag or branch; pin a commit for a reproducible run")
    chat_template: str | None = Field(None, description="path of a Jinja chat template, if the tokenizer has none")
    trust_remote_code: bool = Field(False, description="run Python that ships with the model; recorded when on")


class TinyModel(Section):
    """A model of under a million parameters built from a seed, with a small tokenizer: for tests and first looks."""

    type: Literal["tiny"] = "tiny"
    architecture: Literal["llama", "qwen2", "qwen3", "gemma", "mistral"] = "llama"
    seed: int = Field(0, ge=0)


ModelConfig = Annotated[EmbeddedModel | DirectoryModel | HubModel | TinyModel, Field(discriminator="type")]


# ----------------------------------------------------------------------------------------------- tasks


class _Task(Section):
    system: str | None = Field(None, description="system message put before every prompt")


class LargestNumberTask(_Task):
    """Which of these numbers is the largest? The reference is that number."""

    type: Literal["largest_number"] = "largest_number"
    count: int = Field(4, ge=2, le=50, description="how many numbers are listed")
    digits: int = Field(2, ge=1, le=9, description="most digits a number has")


class ArithmeticTask(_Task):
    """One arithmetic expression; the reference is its value."""

    type: Literal["arithmetic"] = "arithmetic"
    digits: int = Field(2, ge=1, le=9, description="most digits an operand has")
    operations: tuple[Literal["+", "-", "*"], ...] = Field(("+", "-"), min_length=1)
    terms: int = Field(2, ge=2, le=8, description="operands in the expression")


class ReverseLettersTask(_Task):
    """Write these letters in reverse order."""

    type: Literal["reverse_letters"] = "reverse_letters"
    length: int = Field(4, ge=2, le=40, description="most letters in the word")


class CountingTask(_Task):
    """How often does a letter occur in a string?"""

    type: Literal["counting"] = "counting"
    length: int = Field(12, ge=2, le=200, description="letters in the string")


class _FileTask(_Task):
    path: str
    prompt: str = Field("prompt", description="column with the prompt: text, or a list of chat messages")
    reference: str | None = Field("reference", description="column with the reference answer; null if there is none")
    id: str | None = Field(None, description="column with a unique id; null: the content digest serves")
    held_out: str | None = Field(None, description="file or directory with held-out prompts, same columns")
    held_out_share: float = Field(0.1, gt=0, lt=1, description="share held out by digest when `held_out` is not given")


class JsonLinesTask(_FileTask):
    """One JSON object a line."""

    type: Literal["jsonl"] = "jsonl"


class ParquetTask(_FileTask):
    """A Parquet file."""

    type: Literal["parquet"] = "parquet"


class DatasetTask(_FileTask):
    """A directory written by `datasets.Dataset.save_to_disk`."""

    type: Literal["dataset"] = "dataset"
    split: str = Field("train", description="split to read when the directory holds several")


class ReasoningGymTask(_Task):
    """A task family of the package `reasoning-gym`, by name, with its own options and its own scorer."""

    type: Literal["reasoning_gym"] = "reasoning_gym"
    family: str
    options: dict[str, Any] = Field(default_factory=dict)


class CallableTask(_Task):
    """`def prompts(split: str, seed: int) -> Iterable[dict]` with keys prompt, reference and, if wished, id."""

    type: Literal["callable"] = "callable"
    target: str = Field(description="'module:name' or 'file.py:name'")


TaskConfig = Annotated[
    LargestNumberTask
    | ArithmeticTask
    | ReverseLettersTask
    | CountingTask
    | JsonLinesTask
    | ParquetTask
    | DatasetTask
    | ReasoningGymTask
    | CallableTask,
    Field(discriminator="type"),
]


# --------------------------------------------------------------------------------------------- rewards


class _Reward(Section):
    name: str | None = Field(None, description="name in tables and in the record; null: the type")
    weight: float = Field(1.0, description="weight in the total reward")


class FinalNumberReward(_Reward):
    """1 if the last number in the completion equals the reference, else 0."""

    type: Literal["final_number"] = "final_number"
    tolerance: float = Field(0.0, ge=0, description="largest absolute difference still right")


class ExactMatchReward(_Reward):
    """1 if the completion equals the reference, else 0."""

    type: Literal["exact_match"] = "exact_match"
    ignore_case: bool = False
    strip: bool = Field(True, description="ignore white space and a final full stop around the answer")


class RegexReward(_Reward):
    """1 if the pattern is found in the completion, else 0; a group named `answer` is compared with the reference."""

    type: Literal["regex"] = "regex"
    pattern: str
    full: bool = Field(False, description="the whole completion has to match")


class FormatTagsReward(_Reward):
    """1 if each tag opens and closes exactly once, in order, else 0."""

    type: Literal["format_tags"] = "format_tags"
    tags: tuple[str, ...] = Field(("think", "answer"), min_length=1)
    strict: bool = Field(True, description="nothing but white space outside the tags")


class OverlongReward(_Reward):
    """Soft overlong punishment (DAPO, 2503.14476 eq. 13): 0 up to max_length - cache, linear to -1 at max_length."""

    type: Literal["overlong"] = "overlong"
    max_length: int | None = Field(None, ge=1, description="null: sampling.max_tokens")
    cache: int = Field(ge=1, description="tokens over which the punishment grows")


class GymReward(_Reward):
    """The scorer of the reasoning-gym family that made the prompt."""

    type: Literal["reasoning_gym"] = "reasoning_gym"


class StepMatchReward(_Reward):
    """Process reward: each step of the completion is compared with the same step of the reference.

    Step j scores 1 if it equals the reference's step j (white space apart), else 0; the total is the share of the
    reference's steps that are right. The score of every step is kept, for objectives with process supervision.
    """

    type: Literal["step_match"] = "step_match"
    separator: str = Field("\n", min_length=1, description="text between two steps")


class LearnedReward(_Reward):
    """A reward model that is trained during the run (iterative GRPO, DeepSeekMath 2402.03300 Algorithm 1, sec. 4.1.4).

    A copy of the policy's layers with one output; sigmoid(output) is the probability that the reward named by
    `labels` says right. It is fitted to the first step's completions before it scores them, then after every `every`
    steps to the completions of those steps, mixed with completions of earlier ones.
    """

    type: Literal["learned"] = "learned"
    labels: str = Field(description="name of the reward whose verdicts are the labels; its weight may be 0")
    every: int = Field(10, ge=1, description="steps between two fits: one outer iteration")
    replay_share: float = Field(0.1, ge=0, lt=1, description="share of a fit's examples from earlier iterations")
    learning_rate: float = Field(2e-5, gt=0, description="of its own AdamW")
    passes: int = Field(1, ge=1, description="times a fit goes over its examples")
    batch_size: int = Field(32, ge=1, description="completions an optimizer step")


class CallableReward(_Reward):
    """Your own function.

    signature `task`: `def score(task, completion) -> Verdict | float`;
    signature `trl`: `def score(prompts, completions, **columns) -> list[float | None]`, sync or async.
    """

    type: Literal["callable"] = "callable"
    target: str = Field(description="'module:name' or 'file.py:name'")
    signature: Literal["task", "trl"] = "task"
    timeout: float = Field(30.0, gt=0, description="seconds one call may take")


RewardConfig = Annotated[
    FinalNumberReward
    | ExactMatchReward
    | RegexReward
    | FormatTagsReward
    | OverlongReward
    | GymReward
    | StepMatchReward
    | LearnedReward
    | CallableReward,
    Field(discriminator="type"),
]
