"""Everything a recipe names, built and checked before a run directory is touched."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sibling.batch import Completion, Prompt, Status
from sibling.canonical import digest
from sibling.config import LearnedReward, ModelReward, Recipe
from sibling.errors import TaskError
from sibling.learner.explain import explain
from sibling.learner.reward_model import RewardModel
from sibling.learner.state import LearnerState
from sibling.learner.step import LearnerStep, aggregation_of
from sibling.maths.estimators import ESTIMATORS
from sibling.maths.objectives import OBJECTIVES
from sibling.models import chat, native
from sibling.models.load import LoadedModel, load_policy
from sibling.models.packed import check_architecture
from sibling.models.precision import ComputeDtype, choose
from sibling.models.scoring import load_scorer
from sibling.pipeline.yardstick import Yardstick, measure_yardstick
from sibling.rewards.grade import Grader, stating
from sibling.rewards.reward_model import Scorer, step_ends
from sibling.rollout.assemble import Estimate
from sibling.rollout.collect import Expert, Measure
from sibling.rollout.engine import Finished, GroupRequest, Progress, SamplingParams
from sibling.rollout.experts import expert_completion
from sibling.rollout.torch_engine import TorchEngine
from sibling.seeds import uniforms
from sibling.tasks.load import open_source
from sibling.tasks.task import Task, TaskSource

REFERENCE_CHECKS = 32
"""Training prompts on which each reward is tried with its own reference answers before the run."""

_FINITE = ("jsonl", "parquet", "dataset", "callable")
"""Task types with so many prompts that all can be looked at before the run."""

_SHOWN = 3  # prompts named in an error


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
        prompt = self._render(task)
        self._require_fit([prompt])
        return prompt

    def _render(self, task: Task) -> Prompt:
        text = chat.render(self.loaded.tokenizer, task.messages)
        ids = chat.encode(self.loaded.tokenizer, text)
        return Prompt(task.id, text, ids, task.reference, dict(task.columns))

    def check_prompts(self) -> None:
        """Render the held-out prompts, every prompt of a finite source and the first ones of a generator.

        Raises `TaskError` naming the first that do not fit and the number of all, or an expert's trace that does not.
        """
        tasks = _first_epoch(self.recipe, self.source)
        self._require_fit(self._render(task) for task in [*tasks, *self.held_out])
        expert = self.expert()
        if expert is not None:
            for task in tasks:
                expert(task)

    def first_tasks(self, least: int) -> list[Task]:
        """The first training prompts, all different: `least` or more, fewer where the source has fewer."""
        return list({t.id: t for t in _first_tasks(self.recipe, self.source, least)}.values())

    def ungradable(self) -> list[tuple[str, str, str]]:
        """(reward, place, why) of each prompt that a reward says it cannot grade: of a finite source all are tried."""
        return self._placed(self.grader.problems(self._known_tasks()))

    def weakly_graded(self) -> list[tuple[str, str, str]]:
        """(reward, place, how) of each prompt that a reward says it can grade only weakly."""
        return self._placed(self.grader.cautions(self._known_tasks()))

    def _known_tasks(self) -> list[Task]:
        return list({t.id: t for t in [*_first_epoch(self.recipe, self.source), *self.held_out]}.values())

    def _placed(self, said: list[tuple[str, Task, str]]) -> list[tuple[str, str, str]]:
        return [(name, self.source.location(task.id), why) for name, task, why in said]

    def _room(self) -> int:
        """Most tokens a prompt may have."""
        sampling = self.recipe.sampling
        room = self.loaded.context - sampling.max_tokens
        return min(room, sampling.max_prompt_tokens or room)

    def _require_fit(self, prompts: Iterable[Prompt]) -> None:
        room, context, sampling = self._room(), self.loaded.context, self.recipe.sampling
        if context <= sampling.max_tokens:
            raise TaskError(
                "The completions leave no room for a prompt in the model's context",
                seen=f"sampling.max_tokens={sampling.max_tokens}, a context of {context} tokens",
                do="Lower sampling.max_tokens, or train a model with a longer context",
            )
        long = {self.source.location(p.id): len(p.token_ids) for p in prompts if len(p.token_ids) > room}
        if not long:
            return
        places = sorted(long, key=lambda place: (len(place), place))  # so that line 9 comes before line 10
        more = f"; and {len(long) - _SHOWN} more" if len(long) > _SHOWN else ""
        own = room < context - sampling.max_tokens
        limit = "sampling.max_prompt_tokens" if own else f"the model's context of {context} less sampling.max_tokens"
        raise TaskError(
            f"{'A prompt is' if len(long) == 1 else f'{len(long)} prompts are'} too long",
            seen="; ".join(f"{place} has {long[place]} tokens" for place in places[:_SHOWN]) + more,
            wanted=f"at most {room} tokens, {limit}",
            do=f"{'Raise sampling.max_prompt_tokens' if own else 'Lower sampling.max_tokens'}, or shorten or drop "
            "these prompts",
        )

    def task_at(self, step: int, index: int) -> tuple[Task, Prompt]:
        """Prompt `index` of `step`: a pure function of (seed, step, index)."""
        task = self.source.train(self.recipe.seed, step - 1, index, self.recipe.sampling.prompts_per_step)
        return task, self.prompt(task)

    def reference_failure(self) -> str | None:
        """Why a reward fails on a reference answer, in its own words: the first such failure."""
        tasks = [t for t in _first_tasks(self.recipe, self.source) if t.reference is not None]
        rows = self.grader.grade(tasks, [stating(t.reference or "") for t in tasks])
        return next((v.reason for row in rows for v in row if v.status is Status.error), None)

    def sample(
        self,
        step: int,
        first: int,
        prompts: Sequence[Prompt],
        progress: Progress | None,
        finished: Finished | None = None,
    ) -> list[list[Completion]]:
        """G completions of each prompt; `first` is the index of the first of them in the step."""
        size = self.recipe.sampling.group_size - (self.expert() is not None)  # an expert's trace completes the group
        requests = [GroupRequest(f"{first + i}/{p.id}", p.token_ids, size) for i, p in enumerate(prompts)]
        seed = self.recipe.seed
        return self.engine.generate(
            requests, self.sampling_params(), lambda key, s, n: uniforms(seed, step, key, s, n), progress, finished
        )

    def sampling_params(self) -> SamplingParams:
        """The recipe's sampling distribution."""
        s = self.recipe.sampling
        return SamplingParams(s.max_tokens, s.temperature, s.top_p, s.top_k, s.min_p, s.stop)

    # -- advantages

    def estimate(self) -> Estimate:
        """How the advantages of this step are made."""
        advantage = self.recipe.objective.advantage
        return Estimate(
            estimator=advantage.type,
            numbers=advantage.model_dump(exclude={"type", "critic"}),
            kl_beta=self.learner.coefficients.reward_beta,
            decode=self._decode if "steps" in ESTIMATORS[advantage.type].needs else None,
        )

    def measure(self) -> Measure | None:
        """The learner's measurement, where the advantages are made of more than rewards."""
        needed = self.state.critic is not None or self.learner.coefficients.reward_beta > 0
        return self.learner.measure if needed else None

    def expert(self) -> Expert | None:
        """The expert's trace of a task, for the objective that learns from one."""
        column = getattr(self.recipe.objective, "expert_column", None)
        if column is None:
            return None
        tokenizer, eos, room = self.loaded.tokenizer, self.loaded.eos_ids[0], self.recipe.sampling.max_tokens
        return lambda task: expert_completion(task, column, lambda s: chat.encode(tokenizer, s), eos, room)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.loaded.tokenizer.decode(list(ids), skip_special_tokens=False))

    # -- facts for the record

    @functools.cached_property
    def yardstick(self) -> Yardstick | None:
        """What the machine can do, for the step statistics: measured when first asked for. None for a tiny model."""
        return measure_yardstick(self.loaded.model, self.recipe, self.compute_dtype)

    def model_facts(self, role: str) -> dict[str, Any]:
        """Body of model.loaded."""
        measured = self.yardstick if role == "policy" else None
        return {
            "role": role,
            "source": self.loaded.source,
            "files": self.loaded.files,
            "digest": self.loaded.digest,
            "parameters": sum(p.numel() for p in self.loaded.model.parameters()),
            "trained_parameters": sum(p.numel() for _, p in self.state.parameters),
            "compute_dtype": self.compute_dtype,
            "kernels": native.describe(),
            "licence": self.loaded.licence,
            "architecture": self.loaded.architecture,
            "wall": {"product_seconds": self.product_seconds, **({"roofline": measured.facts()} if measured else {})},
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
            "explanation": explain(self.recipe, row),
            "aggregation": mode,
            "aggregation_constant": constant,
            "count_masked_sequences": count_masked,
        }


def build(recipe: Recipe, *, base: Path, compute_dtype: ComputeDtype | None = None) -> Parts:
    """Build and check every part of `recipe`. Raises `RequestError` and its kin; writes nothing.

    `compute_dtype`: the one a resumed run began with; None: as the recipe says, measured here for `auto`.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    source = open_source(recipe.task, base=base)
    grader = Grader(recipe.rewards, base=base, max_tokens=recipe.sampling.max_tokens, scorers=_scorer)
    loaded = load_policy(recipe.model, base=base)
    check_architecture(loaded.model)
    dtype, seconds = choose(compute_dtype or recipe.learner.compute_dtype, loaded.model.device.type)
    learner, advantage = recipe.learner, recipe.objective.advantage
    state = LearnerState(
        loaded.model,
        learner,
        kl=recipe.objective.kl,
        critic=getattr(advantage, "critic", None),
        total_updates=recipe.steps * learner.passes * learner.minibatches,
        seed=recipe.seed,
    )
    state.publish()
    learned = next((r for r in recipe.rewards if isinstance(r, LearnedReward)), None)
    if learned is not None:
        state.reward_model = RewardModel(
            loaded.model,
            learning_rate=learned.learning_rate,
            batch_size=learned.batch_size,
            token_budget=learner.micro_batch_tokens,
            gradient_checkpointing=learner.gradient_checkpointing,
            compute_dtype=dtype,
        )
    parts = Parts(
        recipe=recipe,
        loaded=loaded,
        source=source,
        held_out=source.held_out(recipe.evaluation.prompts) if recipe.evaluation.prompts else [],
        grader=grader,
        compute_dtype=dtype,
        product_seconds=seconds,
        state=state,
        learner=LearnerStep(state, recipe.objective, recipe.sampling, dtype, seed=recipe.seed),
        engine=TorchEngine(
            state.sampling_model,
            loaded.tokenizer,
            loaded.eos_ids,
            compute_dtype=dtype,
            batch_rows=recipe.sampling.batch_rows,
        ),
        reference_check=grader.check_references(_first_tasks(recipe, source)),
    )
    parts.check_prompts()
    return parts


def _scorer(config: ModelReward, base: Path) -> Scorer:
    return load_scorer(config, base=base, ends=step_ends(config))


def _first_tasks(recipe: Recipe, source: TaskSource, least: int = REFERENCE_CHECKS) -> list[Task]:
    """The first training prompts, in order: at least those of one step."""
    count = max(recipe.sampling.prompts_per_step, least)
    return list(itertools.islice(_in_order(recipe, source), count))


def _first_epoch(recipe: Recipe, source: TaskSource) -> list[Task]:
    """Every training prompt of a finite source, up to the first that comes again; of a generator, the first ones."""
    if recipe.task.type not in _FINITE:
        return _first_tasks(recipe, source)
    seen: dict[str, Task] = {}
    for task in _in_order(recipe, source):
        if task.id in seen:
            break
        seen[task.id] = task
    return list(seen.values())


def _in_order(recipe: Recipe, source: TaskSource) -> Iterator[Task]:
    size = recipe.sampling.prompts_per_step
    return (source.train(recipe.seed, n // size, n % size, size) for n in itertools.count())
