"""Everything a recipe names, built and checked before a run directory is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sibling.batch import Completion, Prompt
from sibling.canonical import digest
from sibling.config import Recipe
from sibling.errors import TaskError
from sibling.learner.state import LearnerState
from sibling.learner.step import LearnerStep, aggregation_of
from sibling.maths.objectives import OBJECTIVES
from sibling.models import chat
from sibling.models.load import LoadedModel, load_policy
from sibling.models.packed import check_architecture
from sibling.models.precision import ComputeDtype, choose
from sibling.rewards.grade import Grader
from sibling.rollout.engine import GroupRequest, Progress, SamplingParams
from sibling.rollout.torch_engine import TorchEngine
from sibling.seeds import uniforms
from sibling.tasks.load import open_source
from sibling.tasks.task import Task, TaskSource

REFERENCE_CHECKS = 32
"""Training prompts on which each reward is tried with its own reference answers before the run."""


@dataclass
class Parts:
    """The parts of a run. `state` holds the policy; everything else is fixed."""

    recipe: Recipe
    loaded: LoadedModel
    source: TaskSource
    held_out: list[Task]
    grader: Grader
    compute_dtype: ComputeDtype
    product_seconds: dict[str, float]  # what the choice of compute dtype was measured on
    state: LearnerState
    learner: LearnerStep
    engine: TorchEngine
    reference_check: dict[str, dict[str, int]]  # each reward tried with its own reference answers

    # -- prompts and completions

    def prompt(self, task: Task) -> Prompt:
        """A task as the model sees it. Raises `TaskError` if it does not fit."""
        text = chat.render(self.loaded.tokenizer, task.messages)
        ids = chat.encode(self.loaded.tokenizer, text)
        sampling = self.recipe.sampling
        room = self.loaded.context - sampling.max_tokens
        most = min(room, sampling.max_prompt_tokens or room)
        if len(ids) > most:
            raise TaskError(
                f"A prompt does not fit: {self.source.location(task.id)}",
                seen=f"{len(ids)} tokens",
                wanted=f"at most {most} (a context of {self.loaded.context} less sampling.max_tokens="
                f"{sampling.max_tokens}, and sampling.max_prompt_tokens if set)",
                do="Shorten or drop the prompt, or lower sampling.max_tokens",
            )
        return Prompt(task.id, text, ids, task.reference, dict(task.columns))

    def task_at(self, step: int, index: int) -> tuple[Task, Prompt]:
        """Prompt `index` of `step`: a pure function of (seed, step, index)."""
        task = self.source.train(self.recipe.seed, step - 1, index, self.recipe.sampling.prompts_per_step)
        return task, self.prompt(task)

    def sample(
        self, step: int, first: int, prompts: Sequence[Prompt], progress: Progress | None
    ) -> list[list[Completion]]:
        """G completions of each prompt; `first` is the index of the first of them in the step."""
        size = self.recipe.sampling.group_size
        requests = [GroupRequest(f"{first + i}/{p.id}", p.token_ids, size) for i, p in enumerate(prompts)]
        seed = self.recipe.seed
        return self.engine.generate(
            requests, self.sampling_params(), lambda key, s, n: uniforms(seed, step, key, s, n), progress
        )

    def sampling_params(self) -> SamplingParams:
        """The recipe's sampling distribution."""
        s = self.recipe.sampling
        return SamplingParams(s.max_tokens, s.temperature, s.top_p, s.top_k, s.min_p, s.stop)

    # -- facts for the record

    def model_facts(self, role: str) -> dict[str, Any]:
        """Body of model.loaded."""
        return {
            "role": role,
            "source": self.loaded.source,
            "files": self.loaded.files,
            "digest": self.loaded.digest,
            "parameters": sum(p.numel() for p in self.loaded.model.parameters()),
            "trained_parameters": sum(p.numel() for _, p in self.state.parameters),
            "compute_dtype": self.compute_dtype,
            "licence": self.loaded.licence,
            "architecture": self.loaded.architecture,
            "wall": {"product_seconds": self.product_seconds},
        }

    def template_facts(self) -> dict[str, Any]:
        """Body of template.bound."""
        tokenizer = self.loaded.tokenizer
        return {
            "tokenizer_digest": chat.tokenizer_digest(tokenizer),
            "template_digest": chat.template_digest(tokenizer),
            "golden_render_digest": chat.golden_render_digest(tokenizer),
        }

    def data_facts(self) -> dict[str, Any]:
        """Body of data.loaded."""
        facts = self.source.describe()
        return {
            "source": facts,
            "digest": self.source.digest,
            "held_out_ids_digest": digest([t.digest for t in self.held_out]),
            "held_out": len(self.held_out),
            "problems": list(facts.get("problems", [])),
        }

    def objective_facts(self) -> dict[str, Any]:
        """The objective as it will run: settings, equation, paper, aggregation."""
        config = self.recipe.objective
        row = OBJECTIVES[config.type]
        mode, constant, count_masked = aggregation_of(config, self.recipe.sampling)
        return {
            **config.model_dump(mode="json"),
            "equation": row.equation,
            "paper": row.paper,
            "aggregation": mode,
            "aggregation_constant": constant,
            "count_masked_sequences": count_masked,
        }


def build(recipe: Recipe, *, base: Path) -> Parts:
    """Build and check every part of `recipe`. Raises `RequestError` and its kin; writes nothing."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    source = open_source(recipe.task, base=base)
    grader = Grader(recipe.rewards, base=base, max_tokens=recipe.sampling.max_tokens)
    loaded = load_policy(recipe.model, base=base)
    check_architecture(loaded.model)
    dtype, seconds = choose(recipe.learner.compute_dtype, loaded.model.device.type)
    learner = recipe.learner
    state = LearnerState(
        loaded.model,
        learner,
        needs_reference=recipe.objective.kl.beta > 0,
        total_updates=recipe.steps * learner.passes * learner.minibatches,
        seed=recipe.seed,
    )
    state.publish()
    parts = Parts(
        recipe=recipe,
        loaded=loaded,
        source=source,
        held_out=source.held_out(recipe.evaluation.prompts) if recipe.evaluation.prompts else [],
        grader=grader,
        compute_dtype=dtype,
        product_seconds=seconds,
        state=state,
        learner=LearnerStep(state, recipe.objective, recipe.sampling, dtype),
        engine=TorchEngine(
            state.sampling_model,
            loaded.tokenizer,
            loaded.eos_ids,
            compute_dtype=dtype,
            batch_rows=recipe.sampling.batch_rows,
        ),
        reference_check=grader.check_references(_first_tasks(recipe, source)),
    )
    for task in parts.held_out:
        parts.prompt(task)
    return parts


def _first_tasks(recipe: Recipe, source: TaskSource) -> list[Task]:
    """The first training prompts, in order: at least those of one step."""
    size = recipe.sampling.prompts_per_step
    return [source.train(recipe.seed, n // size, n % size, size) for n in range(max(size, REFERENCE_CHECKS))]
