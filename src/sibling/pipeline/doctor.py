"""What this machine has for training, and how much of a recipe fits: the lines of `sibling doctor`.

Nothing is downloaded and no weights are loaded: a model is looked at through its config.json alone. Memory is an
estimate from the shapes of the model (models/work.py), with the longest prompts and completions that may occur.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sibling.config import (
    DirectoryModel,
    EmbeddedModel,
    HubModel,
    InitialReference,
    LoraFinetune,
    ModelConfig,
    Recipe,
    TinyModel,
    parse_recipe,
)
from sibling.errors import ModelError
from sibling.sandbox.probe import probe

if TYPE_CHECKING:
    from sibling.models.precision import ComputeDtype
    from sibling.models.work import Holding, Shape

PROMPT = 256
"""Tokens of a prompt where the recipe sets no limit, for the estimate."""

Line = tuple[str, str]
"""Name and finding."""


def machine() -> Iterator[Line]:
    """What there is without torch."""
    yield "sibling", importlib.metadata.version("sibling")
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "cores", f"{cores} that this process may use"
    held = probe()
    yield "sandbox", f"{held.level.name}; {'; '.join(held.words)}"
    yield "disk", f"{shutil.disk_usage('.').free / 1e9:.1f} GB free here"


def training(recipe: Recipe | None = None, base: Path | None = None) -> Iterator[Line]:
    """What there is for training: torch, speeds, the compute dtype, the cache, the model, memory, the token budget.

    `recipe`: whose model and settings to look at, its paths relative to `base`; None: the embedded model and defaults.
    """
    import torch

    from sibling.models import native
    from sibling.models.embedded import cache_dir
    from sibling.models.precision import choose

    recipe = recipe or default_recipe()
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    gpu = f", CUDA device {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ", no CUDA device"
    yield "torch", f"{torch.__version__}, {torch.get_num_threads()} threads{gpu}"
    yield "kernels", f"{native.describe()}: {native.state().reason}"
    yield "roofline", _speeds()
    dtype, seconds = choose(recipe.learner.compute_dtype)
    yield "dtype", _reason(dtype, seconds)
    place = next(p for p in (cache_dir(), *cache_dir().absolute().parents) if p.exists())
    yield "cache", f"{cache_dir()}, {shutil.disk_usage(place).free / 1e9:.1f} GB free there"
    try:
        model = outline(recipe.model, base or Path.cwd())
    except ModelError as error:
        yield "model", str(error)
        return
    yield from _fit(recipe, model, dtype)


def default_recipe() -> Recipe:
    """The embedded model, and the default of everything that memory depends on."""
    needed = {"name": "doctor", "steps": 1, "task": {"type": "largest_number"}, "rewards": [{"type": "final_number"}]}
    return parse_recipe(needed)


def outline(config: ModelConfig, base: Path) -> Any:
    """The model that `config` names without its weights, from files that are here already.

    Raises `ModelError` when config.json is not here or describes no language model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from sibling.models.tiny import build_tiny

    if isinstance(config, TinyModel):
        return build_tiny(config.architecture, config.seed)[0]
    trust = not isinstance(config, EmbeddedModel) and config.trust_remote_code
    folder = _folder(config, base)
    try:
        settings = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(settings, trust_remote_code=trust)
    except Exception as error:  # transformers raises many kinds; each means that it cannot be looked at
        raise ModelError("The model's config.json cannot be read", seen=f"{type(error).__name__}: {error}") from error


def _folder(config: EmbeddedModel | DirectoryModel | HubModel, base: Path) -> Path:
    """Where config.json is. Never fetched."""
    folder: Path | None
    if isinstance(config, DirectoryModel):
        folder, what, do = base / Path(config.path).expanduser(), f"no model in {config.path}", "Correct model.path"
    elif isinstance(config, HubModel):
        folder, what = _cached(config), f"no config.json of {config.id} in the hub's cache"
        do = f"Run `sibling models get {config.id}`"
    else:
        from sibling.models.embedded import NAME, location

        folder, what, do = location(), "no embedded model in the cache yet", f"Run `sibling models get {NAME}`"
    if folder is None or not (folder / "config.json").is_file():
        raise ModelError(f"There is {what}, so what it needs is not known", do=do)
    return folder


def _cached(config: HubModel) -> Path | None:
    """The snapshot of a hub model in the local cache, if it is there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(config.id, "config.json", revision=config.revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


# ------------------------------------------------------------------------------------------------- the lines


def _speeds() -> str:
    from sibling.models.roofline import FEW, MACHINE, MANY, machine_roofline

    found = machine_roofline()
    many, few = ({p.dtype: f"{p.gflops:,.0f}" for p in found.products if p.rows == rows} for rows in (MANY, FEW))
    products = ", ".join(f"{dtype} {many[dtype]} GFLOP/s ({few[dtype]} with {FEW} rows)" for dtype in many)
    size = f"matrix products of {MANY:,} x {MACHINE.inputs:,} x {MACHINE.outputs:,}"
    return f"{products} for {size}; memory copy {found.copy:.1f} GB/s"


def _reason(dtype: ComputeDtype, seconds: dict[str, float]) -> str:
    if not seconds:
        return f"{dtype}, as the recipe says (learner.compute_dtype)"
    times = " against ".join(f"{seconds[name] * 1e3:.1f} ms in {name}" for name in ("bfloat16", "float32"))
    verdict = "faster" if dtype == "bfloat16" else "not 1.2 times faster"
    return f"{dtype}: bfloat16 is {verdict} here, a matrix product takes {times}"


def _fit(recipe: Recipe, model: Any, dtype: ComputeDtype) -> Iterator[Line]:
    """The model, the memory it takes, and the token budgets that fit."""
    from dataclasses import replace

    from sibling.models.work import largest_micro_batch, memory_estimate, shape_of

    shape, learner = shape_of(model), recipe.learner
    yield "model", f"{_called(recipe.model)}: {shape.parameters / 1e6:,.1f} M weights, {shape.layers} layers"
    prompt = prompt_tokens(recipe, model)
    held, free = holding(recipe, model, shape, dtype, prompt), free_memory()
    whole = step_tokens(recipe, prompt)
    asked = min(learner.micro_batch_tokens, whole)
    estimate = memory_estimate(shape, held, micro_batch_tokens=asked)
    parts = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in estimate.parts.items() if size >= 5e6)
    yield "memory", f"about {estimate.total / 1e9:.1f} GB of {free / 1e9:.1f} GB free: {parts}"
    most = largest_micro_batch(shape, held, free)
    if most >= asked:
        enough = f"; a whole step has at most {whole:,}" if whole <= most else ""
        yield (
            "budget",
            f"learner.micro_batch_tokens up to {most:,} fit, the recipe has {learner.micro_batch_tokens:,}{enough}",
        )
        return
    lean = largest_micro_batch(shape, replace(held, gradient_checkpointing=True), free)
    smaller = f"learner.micro_batch_tokens={most}" if most >= prompt else ""
    checkpointed = "learner.gradient_checkpointing=true" if lean > most and lean >= prompt else ""
    ways = " or ".join(filter(None, (smaller, checkpointed))) or "learner.finetune.type=lora, or a smaller model,"
    yield "budget", f"{asked:,} tokens do not fit; {ways} would"


def _called(config: ModelConfig) -> str:
    if isinstance(config, DirectoryModel):
        return config.path
    if isinstance(config, HubModel):
        return config.id
    return f"tiny-{config.architecture}" if isinstance(config, TinyModel) else "the embedded model"


# ----------------------------------------------------------------------------------------- what a run holds


def prompt_tokens(recipe: Recipe, model: Any) -> int:
    """The longest prompt to reckon with: the recipe's limit, else `PROMPT`, and never more than the context leaves."""
    context: int = getattr(model.config.get_text_config(), "max_position_embeddings", None) or PROMPT
    return max(1, min(recipe.sampling.max_prompt_tokens or PROMPT, context - recipe.sampling.max_tokens))


def step_tokens(recipe: Recipe, prompt: int) -> int:
    """Packed tokens of a step whose completions are all live and as long as they may be."""
    s = recipe.sampling
    return s.prompts_per_step * (prompt + s.group_size * s.max_tokens)


def holding(recipe: Recipe, model: Any, shape: Shape, dtype: ComputeDtype, prompt: int) -> Holding:
    """What a run of `recipe` holds besides its micro-batches."""
    from sibling.models.work import Cache, Holding

    s, learner = recipe.sampling, recipe.learner
    whole, trainable, beside, lora = 4 * shape.parameters, shape.parameters, 0, False
    if isinstance(learner.finetune, LoraFinetune):
        lora, trainable, beside = True, _adapters(learner.finetune, model), whole  # beside: merged, to sample from
    kl = recipe.objective.kl
    if kl.beta > 0 and not (lora and isinstance(kl.reference, InitialReference)):
        beside += whole
    if getattr(recipe.objective.advantage, "critic", None) is not None:
        beside += whole + 12 * trainable
    if any(r.type == "learned" for r in recipe.rewards):
        beside += 4 * whole
    rows = min(s.batch_rows, s.prompts_per_step * s.group_size)
    cache = Cache(rows, s.max_tokens, -(-rows // s.group_size), prompt)
    return Holding(trainable, dtype, learner.gradient_checkpointing, cache, beside)


def _adapters(config: LoraFinetune, model: Any) -> int:
    """Weights of the adapters: rank * (inputs + outputs) of each layer they are put on."""
    head, wanted, sizes = model.get_output_embeddings(), config.target_modules, 0
    for name, module in model.named_modules():
        asked = wanted == "all-linear" or any(f".{name}".endswith(f".{w}") for w in wanted)
        if asked and hasattr(module, "in_features") and module is not head:
            sizes += int(module.in_features) + int(module.out_features)
    return config.rank * sizes


def free_memory() -> int:
    """Bytes that a new process can take without swapping, within the limit of a container."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        found += [int(limit) - int(used)] if limit != "max" else []
    except (OSError, ValueError):
        pass  # not on this system: what is known is the answer
    return max(0, min(found))
