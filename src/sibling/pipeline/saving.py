"""What a run keeps on disk besides its record: checkpoints under a retention rule, and the trained model."""

from __future__ import annotations

import shutil
from typing import Any

from sibling.canonical import digest, tree_digests
from sibling.learner import checkpoint
from sibling.learner.checkpoint import Progress
from sibling.models.packed import use_packed_attention
from sibling.models.quiet import quiet
from sibling.pipeline.binding import Write
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.parts import Parts
from sibling.record.files import atomic_directory
from sibling.record.reader import Log


class Checkpoints:
    """Saves, keeps and deletes checkpoints. The last `keep_last` stay, and the best by held-out accuracy."""

    def __init__(self, parts: Parts, directory: RunDirectory, write: Write) -> None:
        self.parts, self.directory, self.write = parts, directory, write
        self.rule = parts.recipe.checkpoints
        self.best: float | None = None  # best held-out accuracy during the run
        self.best_step: int | None = None  # the step whose checkpoint has it
        self.kept: list[int] = []

    def due(self, step: int, accuracy: float | None) -> bool:
        """Whether to save after `step`: every so many steps, and at a new best. The last step exports the model."""
        improved = accuracy is not None and (self.best is None or accuracy > self.best)
        if improved:
            self.best = accuracy
        if step == self.parts.recipe.steps:
            return False
        keep = improved and self.rule.keep_best
        if keep:
            self.best_step = step
        return keep or step % self.rule.every == 0

    def save(self, step: int, policy: str, accuracy: float | None, notes: dict[str, Any]) -> None:
        """Write the checkpoint of `step`, then delete what the rule lets go."""
        path = self.directory.checkpoint(step)
        own = {"best": self.best, "best_step": self.best_step}
        progress = Progress(step, self.parts.state.updates, policy, {**notes, **own})
        files = checkpoint.save(path, self.parts.state, progress)
        self.write(
            "checkpoint.saved",
            {
                "step": step,
                "path": self.directory.relative(path),
                "files": files,
                "digest": digest(files),
                "policy_digest": policy,
                "held_out_accuracy": accuracy,
            },
        )
        self.kept.append(step)
        self.retain()

    def retain(self) -> None:
        """Delete what the rule lets go. Done after a save, and after a resume whose run was killed before it."""
        keep = {*self.kept[-self.rule.keep_last :], self.best_step}
        for step in [s for s in self.kept if s not in keep]:
            path = self.directory.checkpoint(step)
            reason = f"retention: keep_last {self.rule.keep_last}, keep_best {self.rule.keep_best}"
            # The event comes first: a kill in between leaves a directory too many, which `restore` removes.
            body = {"step": step, "path": self.directory.relative(path), "reason": reason}
            self.write("checkpoint.deleted", body)
            shutil.rmtree(path, ignore_errors=True)
            self.kept.remove(step)

    def restore(self, log: Log) -> tuple[Progress, str] | None:
        """Put the last checkpoint there is back; its progress and digest. None: there is none, begin at step 0.

        Raises `RunError` when it is corrupt.
        """
        saved = [e.body for e in log.checkpoints() if self.directory.checkpoint(e.body["step"]).is_dir()]
        self.kept = [body["step"] for body in saved]
        for event in log.of("checkpoint.deleted"):
            if event.body["step"] not in self.kept:
                shutil.rmtree(self.directory.checkpoint(event.body["step"]), ignore_errors=True)
        if not saved:
            return None
        last = saved[-1]
        progress = checkpoint.load(self.directory.checkpoint(last["step"]), self.parts.state, last["files"])
        self.best, self.best_step = progress.notes["best"], progress.notes["best_step"]
        return progress, last["digest"]


def export_model(parts: Parts, directory: RunDirectory) -> dict[str, Any]:
    """Write the policy as a Hugging Face directory (safetensors, LoRA merged); the facts of model.exported."""
    model = parts.state.sampling_model
    with atomic_directory(directory.model) as folder, quiet(), checkpoint.system_errors():
        model.set_attn_implementation("sdpa")
        try:
            model.save_pretrained(folder)
            parts.loaded.tokenizer.save_pretrained(folder)
        finally:
            use_packed_attention(model)
        files = tree_digests(folder)
    return {"path": directory.relative(directory.model), "files": files, "digest": digest(files)}
