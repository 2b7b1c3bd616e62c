"""How near to the machine's limits a run comes: speeds measured at its start, and shares of them a step.

A share is the least time that the useful multiplications can take at the speeds measured, over the time that the
phase took. Everything else the phase does (attention's softmax, drawing, the optimizer, a reference policy, a critic)
counts as time and not as work, so a share says how much of the phase went into what nobody can leave out.

Speeds are measured at the row counts of the run: rows decoded at once, tokens of a pass of learning. They depend on
the clock, and nothing that is computed depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sibling.batch import Batch, Finish
from sibling.config import FullFinetune, Recipe
from sibling.models.precision import ComputeDtype
from sibling.models.roofline import MANY, LinearShape, Roofline, measure_roofline, shapes_of
from sibling.models.work import HEAD_CHUNK, Group, Shape, prefill_work, sampling_work, shape_of, update_work
from sibling.rollout.collect import Rollout

SMALLEST = 5_000_000
"""Weights below which no speed is measured: such a model spends its time elsewhere, and its runs take seconds."""


@dataclass(frozen=True)
class Yardstick:
    """Speeds in GFLOP/s of the model's products, and what a step's work is counted with."""

    shape: Shape
    roofline: Roofline
    prefill: float  # layers alone, many rows
    decoding: float  # layers and head, one row a completion decoded at once
    learning: float  # layers and head, a pass of learning
    passes: int  # over one rollout
    full: bool  # every weight takes a gradient

    def shares(self, rollout: Rollout, learned: Mapping[str, float], seconds: Mapping[str, float]) -> dict[str, float]:
        """The step's shares of the roofline, by the names of stats.QUANTITIES; a phase that took no time has none."""
        found = {}
        if seconds.get("sampling"):
            found["sampling_roofline_share"] = self._sampling(rollout) / seconds["sampling"]
        if seconds.get("learning") and learned.get("updates"):
            work = self.passes * update_work(self.shape, learned_groups(rollout.batch, learned), full=self.full)
            found["learning_roofline_share"] = work / (self.learning * 1e9) / seconds["learning"]
        return found

    def _sampling(self, rollout: Rollout) -> float:
        """The least seconds for the completions drawn."""
        drawn: list[list[int]] = [[] for _ in rollout.prompts]
        for row in rollout.rows:
            if row.completion.finish is not Finish.expert:
                drawn[row.prompt].append(len(row.completion.token_ids))
        prompts = [len(p.token_ids) for p in rollout.prompts]
        first = prefill_work(self.shape, prompts)
        rest = sampling_work(self.shape, prompts, drawn) - first
        return (first / self.prefill + rest / self.decoding) / 1e9

    def facts(self) -> dict[str, Any]:
        """JSON-ready, for the record: GFLOP/s of prefill, decoding and learning, and the roofline they come from."""
        speeds = {"prefill": self.prefill, "decoding": self.decoding, "learning": self.learning}
        return {"gflops": speeds, **self.roofline.body()}


def measure_yardstick(model: Any, recipe: Recipe, dtype: ComputeDtype) -> Yardstick | None:
    """Measure the speeds for a run of `model`, in a second or two; None for a model below `SMALLEST`.

    A layer's products can be done one by one or joined: both are measured, and the faster of the two counts.
    """
    shapes = shapes_of(model)
    if sum(s.parameters for s in shapes) < SMALLEST:
        return None
    shape, sampling, learner = shape_of(model), recipe.sampling, recipe.learner
    few = min(sampling.batch_rows, sampling.prompts_per_step * sampling.group_size)
    many = min(MANY, learner.micro_batch_tokens)  # more rows are hardly faster, and take their time
    chunk = min(many, HEAD_CHUNK)
    layouts = [shapes, *joined(shape, shapes)]
    every = {(s.inputs, s.outputs): s for layout in layouts for s in layout}.values()
    roofline = measure_roofline(list(every), (few, many), (dtype,), head_rows=(few, chunk), device=str(model.device))
    bodies = [[s for s in layout if not s.head] for layout in layouts]
    return Yardstick(
        shape=shape,
        roofline=roofline,
        prefill=max(roofline.of_model(layers, dtype, many) for layers in bodies),
        decoding=max(roofline.of_model(layout, dtype, few) for layout in layouts),
        learning=max(roofline.of_model(layout, dtype, many, chunk) for layout in layouts),
        passes=learner.passes,
        full=isinstance(learner.finetune, FullFinetune),
    )


def joined(shape: Shape, shapes: Sequence[LinearShape]) -> list[list[LinearShape]]:
    """The layout with queries, keys and values as one product, and gate and up as one; none if the layers differ."""
    attention, layers = shape.heads * shape.head_size, shape.layers
    together = [
        LinearShape(shape.hidden, attention + 2 * shape.kv_heads * shape.head_size, layers),
        LinearShape(attention, shape.hidden, layers),
        LinearShape(shape.hidden, 2 * shape.intermediate, layers),
        LinearShape(shape.intermediate, shape.hidden, layers),
    ]
    if sum(s.parameters for s in together) != layers * shape.layer_parameters:
        return []
    return [[*together, *(s for s in shapes if s.head)]]


def learned_groups(batch: Batch, learned: Mapping[str, float]) -> list[Group]:
    """Lengths of the groups that the update computed: those that are live, or all where the loss has other terms."""
    live = batch.live & (batch.token_counts > 0)
    if learned.get("trained_tokens", 0) > batch.token_counts[live].sum():
        live = batch.token_counts > 0
    rows = np.flatnonzero(live)
    return [
        (len(batch.prompts[g]), [len(batch.completions[r]) for r in rows if batch.group[r] == g])
        for g in np.unique(batch.group[rows])
    ]
