"""The learned reward during a run: scores while a step is collected, and fits between steps (iterative GRPO).

DeepSeekMath, 2402.03300 Algorithm 1 and sec. 4.1.4: after an outer iteration of `every` steps the reward model is
trained on that iteration's completions, labelled by a verifier, with a share of completions of earlier iterations.
The examples are read from the sample files, which a resumed run has too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sibling.batch import Completion, Verdict
from sibling.config import LearnedReward
from sibling.learner.labelled import LabelledSteps, example
from sibling.learner.reward_model import FitStats, RewardModel
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.parts import Parts
from sibling.tasks.task import Task


class RewardFitting:
    """Scores by the reward model of `parts`, and its fits. Exists only where the recipe has a learned reward."""

    def __init__(self, parts: Parts, config: LearnedReward, model: RewardModel, directory: RunDirectory) -> None:
        self.parts, self.config, self.model, self.directory = parts, config, model, directory
        self._labelled = LabelledSteps(config.labels)
        self.first: FitStats | None = None  # the fit before the first scores, until it is told

    def probabilities(
        self, tasks: Sequence[Task], completions: Sequence[Completion], labels: Sequence[Verdict]
    ) -> NDArray[np.float64]:
        """[N] probabilities that the labelling reward says right; a model that knows nothing learns from them first."""
        prompts = [self.parts.prompt(task) for task in tasks]
        if not self.model.fitted:
            own = [e for e in map(example, prompts, completions, labels) if e is not None]
            self.first = self.model.fit(own, [], passes=self.config.passes, seed=self.parts.recipe.seed, step=0)
        return self.model.score([p.token_ids for p in prompts], [c.token_ids for c in completions])

    def after_step(self, step: int) -> dict[str, Any] | None:
        """Fit if `step` ends an outer iteration; what the record says of the fits since the last call."""
        self._catch_up(step)
        fits = [] if self.first is None else [{"examples_of": [step, step], **asdict(self.first)}]
        self.first = None
        if step % self.config.every == 0:
            start = step - self.config.every + 1
            stats = self.model.fit(
                self._labelled.between(start, step),
                self._labelled.between(1, start - 1),
                replay_share=self.config.replay_share,
                passes=self.config.passes,
                seed=self.parts.recipe.seed,
                step=step,
            )
            fits.append({"examples_of": [start, step], **asdict(stats)})
        return {"step": step, "fits": fits, "reward_model_digest": self.model.digest()} if fits else None

    def _catch_up(self, step: int) -> None:
        """Read the sample files up to `step`; after a resume that is all of them."""
        for missing in range(self._labelled.steps + 1, step + 1):
            self._labelled.add(self.directory.samples(missing))


def reward_fitting(parts: Parts, directory: RunDirectory) -> RewardFitting | None:
    """The fitting of a recipe's learned reward, if it has one."""
    config = next((r for r in parts.recipe.rewards if isinstance(r, LearnedReward)), None)
    if config is None or parts.state.reward_model is None:
        return None
    return RewardFitting(parts, config, parts.state.reward_model, directory)
