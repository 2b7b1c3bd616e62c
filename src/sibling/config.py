"""Every knob of a run: frozen, typed, unions told apart by `type`, unknown keys refused.

`load_recipe` reads a YAML recipe, applies dotted overrides (`sampling.group_size=8`), and returns a
`Recipe` in which every default is expanded; `Recipe.resolved()` is what `resolved.json` holds.

It is long on purpose: every knob of a run can be seen in one file, in the order of `resolved.json`.

Lengths are in tokens, learning rates per optimizer step, seconds in seconds. A default is stated once,
here; the pages under `docs/` are generated from these fields.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sibling.canonical import digest
from sibling.errors import RequestError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, data: Any) -> Any:
        """Python counts True as 1; in a recipe it is a slip."""
        for name, value in data.items() if isinstance(data, dict) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and field.annotation is not bool:
                raise ValueError(f"{name!r} is {str(value).lower()}: it takes no true or false")
        return data


# ---------------------------------------------------------------------------------------------- models


class EmbeddedModel(_Section):
    """The model that comes with the product: SmolLM2-135M-Instruct (Apache-2.0), fetched once, kept in the cache."""

    type: Literal["embedded"] = "embedded"


class DirectoryModel(_Section):
    """A local directory in the Hugging Face layout: config.json, safetensors, a tokenizer."""

    type: Literal["directory"] = "directory"
    path: str
    chat_template: str | None = Field(None, description="path of a Jinja chat template, if the tokenizer has none")
    trust_remote_code: bool = Field(False, description="run Python that ships with the model; recorded when on")


class HubModel(_Section):
    """A model named on the Hugging Face hub, read from the local hub cache or downloaded."""

    type: Literal["hub"] = "hub"
    id: str
    revision: str | None = Field(None, description="commit, tag or branch; pin a commit for a reproducible run")
    chat_template: str | None = Field(None, description="path of a Jinja chat template, if the tokenizer has none")
    trust_remote_code: bool = Field(False, description="run Python that ships with the model; recorded when on")


class TinyModel(_Section):
    """A model of under a million parameters built from a seed, with a small tokenizer: for tests and first looks."""

    type: Literal["tiny"] = "tiny"
    architecture: Literal["llama", "qwen2", "qwen3", "gemma", "mistral"] = "llama"
    seed: int = Field(0, ge=0)


ModelConfig = Annotated[EmbeddedModel | DirectoryModel | HubModel | TinyModel, Field(discriminator="type")]


# ----------------------------------------------------------------------------------------------- tasks


class _Task(_Section):
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


class _Reward(_Section):
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
    FinalNumberReward | ExactMatchReward | RegexReward | FormatTagsReward | OverlongReward | GymReward | CallableReward,
    Field(discriminator="type"),
]


class FailurePolicy(_Section):
    """What becomes of a sample whose reward failed (`error`) or declined (`abstain`). Never a silent 0."""

    on_error: Literal["drop_sample", "drop_group", "stop"] = "drop_sample"
    on_abstain: Literal["drop_sample", "drop_group", "stop"] = "drop_sample"
    refused_references: Literal["stop", "warn"] = Field(
        "stop", description="what to do when a reward does not accept its own reference answers"
    )


# -------------------------------------------------------------------------------------------- sampling


class Sampling(_Section):
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


class DynamicSampling(_Section):
    """DAPO's dynamic sampling: replace groups whose rewards are all equal, within a budget."""

    enabled: bool = False
    max_rounds: int = Field(3, ge=1, description="sampling rounds a step, the first included")


class Filters(_Section):
    """What leaves the batch before the update, always with a reason in the record."""

    dynamic_sampling: DynamicSampling = DynamicSampling()
    mask_truncated: bool = Field(False, description="overlong filtering: truncated completions leave the loss")


# ------------------------------------------------------------------------------------------- objective


class Kl(_Section):
    """KL penalty to the reference policy, in the loss. beta 0: no reference policy is loaded."""

    beta: float = Field(0.0, ge=0)
    estimator: Literal["k1", "k2", "k3"] = "k3"
    reference: Literal["initial", "none"] = Field("initial", description="the frozen policy the KL is taken to")


class _Objective(_Section):
    epsilon_std: float = Field(1e-4, ge=0, description="added to the group std")
    ddof: Literal[0, 1] = Field(1, description="std divides by G - ddof")
    dual_clip: float | None = Field(None, gt=1, description="bound on the ratio for negative advantages")
    log_ratio_clamp: float | None = Field(None, gt=0)
    kl: Kl = Kl()


class GrpoObjective(_Objective):
    """GRPO (DeepSeekMath, 2402.03300 eq. 3): per-sequence token mean, group std, symmetric clip."""

    type: Literal["grpo"] = "grpo"
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.2, gt=0)
    scale: Literal["group", "batch", "none"] = "group"
    count_masked_sequences: bool = Field(True, description="sequences without a trained token count in N")


class DrGrpoObjective(_Objective):
    """Dr. GRPO (2503.20783): group mean only, token sum over a constant."""

    type: Literal["dr_grpo"] = "dr_grpo"
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.2, gt=0)
    scale: Literal["none"] = "none"
    constant: int | None = Field(None, ge=1, description="the constant C; null: sampling.max_tokens")
    count_masked_sequences: bool = Field(True, description="sequences without a trained token count in N")


class DapoObjective(_Objective):
    """DAPO (2503.14476): token mean over the batch or the group, clip-higher, group std."""

    type: Literal["dapo"] = "dapo"
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.28, gt=0)
    scale: Literal["group", "batch", "none"] = "group"
    aggregation: Literal["token_mean", "group_token_mean"] = "token_mean"


ObjectiveConfig = Annotated[GrpoObjective | DrGrpoObjective | DapoObjective, Field(discriminator="type")]


# --------------------------------------------------------------------------------------------- learner


class FullFinetune(_Section):
    """Every weight is trained."""

    type: Literal["full"] = "full"


class LoraFinetune(_Section):
    """Low-rank adapters (LoRA, 2106.09685) through peft; merged weights are always computed from the base."""

    type: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"


FinetuneConfig = Annotated[FullFinetune | LoraFinetune, Field(discriminator="type")]


class Optimizer(_Section):
    """AdamW (1711.05101)."""

    learning_rate: float = Field(2e-5, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)


class Learner(_Section):
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


class Evaluation(_Section):
    """Evaluation on held-out prompts, before and after, and during the run if `every` is set."""

    prompts: int = Field(100, ge=0, description="held-out prompts; 0: no evaluation")
    samples: int = Field(4, ge=0, description="sampled completions a prompt for mean@k and pass@k; 0: greedy only")
    every: int | None = Field(None, ge=1, description="steps between greedy evaluations during the run")
    confidence: float = Field(0.95, gt=0, lt=1)


class Checkpoints(_Section):
    """Checkpoints are written aside, then renamed."""

    every: int = Field(10, ge=1, description="steps between checkpoints")
    keep_last: int = Field(2, ge=1)
    keep_best: bool = Field(True, description="keep the best by held-out accuracy, when evaluation.every is set")


class Trackers(_Section):
    """Experiment trackers that mirror the step statistics; the record stays the only source of truth."""

    use: tuple[Literal["trackio", "wandb", "tensorboard", "mlflow"], ...] = ()
    project: str = "sibling"


class Recipe(_Section):
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
    sampling: Sampling = Sampling()
    filters: Filters = Filters()
    objective: ObjectiveConfig = DapoObjective()
    learner: Learner = Learner()
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    trackers: Trackers = Trackers()

    @model_validator(mode="after")
    def _legal(self) -> Recipe:
        if self.sampling.group_size < 2:
            raise ValueError(
                f"objective '{self.objective.type}' takes a group mean as its baseline, so every advantage is 0 with "
                f"sampling.group_size={self.sampling.group_size}; set sampling.group_size to 2 or more (8 is common)"
            )
        if self.objective.kl.beta > 0 and self.objective.kl.reference == "none":
            raise ValueError(
                f"objective.kl.beta is {self.objective.kl.beta} but objective.kl.reference is 'none', so there is no "
                "policy to measure the KL to; set objective.kl.reference=initial or objective.kl.beta=0"
            )
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


# ------------------------------------------------------------------------------------- reading a recipe


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `key=value` overrides, values read as YAML.

    Raises `RequestError` for a missing file, malformed YAML, unknown keys (with the nearest valid name),
    wrong types and illegal combinations.
    """
    if not path.is_file():
        raise RequestError(
            f"The recipe {path} does not exist",
            wanted="a YAML file",
            do="The recipes that ship with the project are under recipes/",
        )
    try:
        data = _read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"The recipe {path} is not valid YAML", seen=" ".join(str(error).split())) from error
    if not isinstance(data, dict):
        raise RequestError(
            f"The recipe {path} is not a mapping", seen=type(data).__name__, wanted="keys such as name, steps, task"
        )
    data.setdefault("name", path.stem)
    for item in sorted(overrides, key=lambda o: not o.partition("=")[0].endswith("type")):
        _override(data, item)  # types first: a new type clears the fields of the old one
    return parse_recipe(data, source=str(path))


def parse_recipe(data: dict[str, Any], *, source: str = "the recipe") -> Recipe:
    """Validate `data` as a recipe; a `RequestError` names the first faults in words."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RequestError(f"{source} is not a valid recipe: " + "; ".join(_faults(error))) from error


class _Loader(yaml.SafeLoader):
    """YAML as people write recipes: 2e-5 is a number (YAML 1.1 reads text), and a key given twice is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _read_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


_DEFAULT_TYPES = {"model": "embedded", "objective": "dapo", "finetune": "full"}
"""The type of a section that an override brings into being; the defaults of `Recipe`, held to them by a test."""


def _override(data: dict[str, Any], item: str) -> None:
    key, eq, text = item.partition("=")
    if not eq or not key:
        raise RequestError("An override must be key=value", seen=repr(item), wanted="for example sampling.group_size=8")
    try:
        value = _read_yaml(text) if text else None
    except yaml.YAMLError as error:
        raise RequestError(f"The value of the override {key} is not valid YAML", seen=repr(text)) from error
    node: Any = data
    *parents, last = key.split(".")
    for part in parents:
        if isinstance(node, list):
            node = _element(node, part, key)
            continue
        child = node.get(part)
        if child is None:
            default = _DEFAULT_TYPES.get(part)
            child = node[part] = {"type": default} if default else {}
        if not isinstance(child, dict | list):
            raise RequestError(f"The override {key} goes through {part!r}, which is a value", seen=repr(child))
        node = child
    if isinstance(node, list):
        _element(node, last, key)
        node[int(last)] = value
    elif last == "type" and node.get("type") not in (None, value):
        node.clear()
        node["type"] = value
    else:
        node[last] = value


def _element(items: list[Any], part: str, key: str) -> Any:
    if not part.isdigit() or int(part) >= len(items):
        raise RequestError(
            f"The override {key} names no element of its list", seen=repr(part), wanted=f"0 to {len(items) - 1}"
        )
    return items[int(part)]


def _faults(error: ValidationError) -> list[str]:
    """One sentence a fault, most useful first, at most five."""
    lines = []
    # An element that is refused is left out, so pydantic then finds the list too short as well: one fault, not two.
    faults = [f for f in error.errors() if not (f["type"] == "too_short" and f["input"])]
    for fault in faults[:5]:
        where = _where(fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _known_keys(fault["loc"][:-1])
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
            lines.append(f"unknown key {where!r}; {hint}")
        elif fault["type"] == "value_error":
            text = str(fault["ctx"]["error"]) if "ctx" in fault else fault["msg"]
            lines.append(f"{where}: {text}" if fault["loc"] else text)
        elif fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
            names = [str(_tag(option)) for option in _walk(fault["loc"])[0]]
            seen = fault.get("ctx", {}).get("tag")
            near = difflib.get_close_matches(str(seen), names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            is_what = f"{where}.type is {seen!r}" if seen is not None else f"{where!r} has no type"
            lines.append(f"{is_what}, wanted one of {', '.join(names)}{hint}")
        elif fault["type"] == "missing":
            lines.append(f"{where!r} is missing and has no default")
        else:
            lines.append(f"{where!r} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}")
    return lines


def _where(location: tuple[str | int, ...]) -> str:
    return ".".join(_walk(location)[1]) or "the recipe"


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """The keys valid at `location`."""
    return sorted({name for option in _walk(location)[0] for name in option.model_fields})


def _walk(location: tuple[str | int, ...]) -> tuple[list[type[_Section]], list[str]]:
    """Follow a pydantic location from `Recipe`: the sections reached, and the path without union tags."""
    options: list[type[_Section]] = [Recipe]
    path: list[str] = []
    for part in location:
        tagged = [o for o in options if _tag(o) == part]
        if tagged and not any(part in o.model_fields for o in options):
            options = tagged
            continue
        path.append(str(part))
        if not isinstance(part, int):
            fields = [o.model_fields[part].annotation for o in options if part in o.model_fields]
            options = [s for annotation in fields for s in _sections(annotation)]
    return options, path


def _sections(annotation: Any) -> list[type[_Section]]:
    """The config sections an annotation can hold."""
    if isinstance(annotation, type) and issubclass(annotation, _Section):
        return [annotation]
    return [s for a in get_args(annotation) for s in _sections(a)]


def _tag(section: type[_Section]) -> str | None:
    field = section.model_fields.get("type")
    return field.default if field is not None else None
