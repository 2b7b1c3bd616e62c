"""A run from the first event to the last: `train` starts one, `resume` goes on with one.

The loop is the method `Run.steps`; what it needs is built in parts.py, what it writes goes through the one
`RecordWriter` opened here. Nothing depends on the clock, on a global random state or on what a killed run left
behind beyond its last checkpoint, so a resumed run is bit-equal to an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sibling.batch import Prompt, Row
from sibling.canonical import canonical_json, digest, file_digest, sha256, tree_digests
from sibling.config import Recipe
from sibling.errors import NonFiniteError, RequestError, RunError, SiblingError
from sibling.evaluation.compare import compare
from sibling.evaluation.suite import evaluate
from sibling.learner import checkpoint
from sibling.learner.checkpoint import Progress
from sibling.models.quiet import quiet
from sibling.monitors.finding import Finding
from sibling.monitors.first_minutes import one_prompt, references, step_detectors
from sibling.monitors.watch import Watch
from sibling.pipeline import measure
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.observer import Observer
from sibling.pipeline.parts import REFERENCE_CHECKS, Parts, build
from sibling.pipeline.stopping import StopRequest, listening
from sibling.record.environment import environment_manifest
from sibling.record.files import atomic_directory, atomic_write
from sibling.record.manifest import code_manifest
from sibling.record.reader import Log
from sibling.record.samples import write_samples
from sibling.record.writer import RecordWriter
from sibling.rollout.collect import Rollout, collect
from sibling.seeds import uniforms
from sibling.stats import StepStats


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `status` is finished or interrupted; `summary` is that of run.closed."""

    directory: Path
    steps: int
    status: str
    summary: dict[str, Any]


def train(
    recipe: Recipe, *, recipe_text: str | None = None, base: Path | None = None, observer: Observer | None = None
) -> RunResult:
    """Run `recipe` from its first step. `base` is the folder that relative paths start from (default: here).

    Raises `RequestError` and its kin before anything is written when the request is wrong, `RunError` and its
    kin when the run fails; what was recorded until then stays, and `resume` goes on from the last checkpoint.
    """
    base = (base or Path.cwd()).resolve()
    directory = RunDirectory(recipe.directory())
    directory.require_free(recipe)
    watcher = _Shielded(observer or Observer())
    watcher.tell("phase", "load", recipe.model.type)
    parts = build(recipe, base=base)
    findings = _before(parts)
    text = recipe_text if recipe_text is not None else canonical_json(recipe.resolved()).decode()
    directory.create(recipe, text, base)
    run_id = recipe.digest().removeprefix("sha256:")[:16]
    with RecordWriter(directory.path, run_id, segment=0) as writer, listening() as stop:
        run = Run(parts, directory, writer, watcher, stop, run_id)
        return run.whole(lambda: run.begin(findings))


def resume(directory: Path, *, observer: Observer | None = None) -> RunResult:
    """Go on with an interrupted or killed run from its last checkpoint, bit-equal to an uninterrupted one."""
    place = RunDirectory(directory)
    recipe, base, log = place.require_resumable()
    recipe = recipe.model_copy(update={"run_dir": str(directory)})
    watcher = _Shielded(observer or Observer())
    watcher.tell("phase", "load", recipe.model.type)
    opened = log.opened()
    assert opened is not None
    with (
        RecordWriter(place.path, opened.run, segment=log.segment + 1) as writer,
        listening() as stop,
    ):
        parts = build(recipe, base=base)
        run = Run(parts, place, writer, watcher, stop, opened.run)
        return run.whole(lambda: run.continue_from(log))


class Run:
    """One process's share of a run."""

    def __init__(
        self,
        parts: Parts,
        directory: RunDirectory,
        writer: RecordWriter,
        watcher: _Shielded,
        stop: StopRequest,
        run_id: str,
    ) -> None:
        self.parts, self.recipe, self.directory = parts, parts.recipe, directory
        self.writer, self.watcher, self.stop, self.run_id = writer, watcher, stop, run_id
        self.watch = Watch(step_detectors(parts.compute_dtype))
        self.done = 0  # steps applied
        self.policy = self.policy_before = parts.state.digest()
        self.evaluated_before = False
        self.best: float | None = None  # best held-out accuracy so far, and the step whose checkpoint has it
        self.best_step: int | None = None
        self.kept: list[int] = []  # steps with a checkpoint on disk
        self.totals: dict[str, Any] = {"generated": 0, "trained": 0, "rejected": {}}
        self.started = time.monotonic()

    # -- the run, top down

    def whole(self, start: Callable[[], None]) -> RunResult:
        """Start, all steps, and the end; a failure is recorded before it is raised."""
        try:
            start()
            if self.parts.held_out and not self.evaluated_before:
                self.record_evaluation(self.evaluate("before", self.recipe.evaluation.samples))
            self.steps()
            if self.done < self.recipe.steps:
                return self.interrupted()
            return self.finish()
        except (Exception, KeyboardInterrupt) as error:
            cause = "SIGINT" if isinstance(error, KeyboardInterrupt) else "error"
            with contextlib.suppress(SiblingError, OSError):  # a full disk must not hide the error that matters
                self.write("run.interrupted", step=self.done, cause=cause, message=str(error) or type(error).__name__)
            raise

    def steps(self) -> None:
        """The training loop."""
        while self.done < self.recipe.steps and self.stop.cause is None:
            step, clock = self.done + 1, _Clock()
            rollout = self.collect(step, clock)
            self.record_rollout(step, rollout, clock)
            learned = self.learn(step, rollout, clock)
            evaluation = self.evaluate_if_due(step, clock)
            accuracy = evaluation["summary"]["greedy_accuracy"] if evaluation else None
            held_out = {} if accuracy is None else {"held_out_accuracy": accuracy}
            stats = measure.step_stats(step, rollout, learned | held_out, clock.seconds(), self._top_reward())
            self.record_update(stats)
            if evaluation:
                self.record_evaluation(evaluation)
            self.save_if_due(step, accuracy)

    # -- one step

    def collect(self, step: int, clock: _Clock) -> Rollout:
        """Sample and score the groups of a step."""
        parts, recipe = self.parts, self.recipe

        def sample(prompts: Any, round_: int) -> Any:
            self.watcher.tell("phase", "sample", f"step {step}")
            with clock.timing("sampling"):
                first = sum(seen)
                seen.append(len(prompts))
                return parts.sample(step, first, prompts, self._progress("sample"))

        def grade(tasks: Any, completions: Any) -> Any:
            self.watcher.tell("phase", "score", f"step {step}")
            with clock.timing("rewards"):
                return parts.grader.grade(tasks, completions)

        seen: list[int] = []
        return collect(
            lambda index: parts.task_at(step, index),
            sample,
            grade,
            prompts_per_step=recipe.sampling.prompts_per_step,
            weights=parts.grader.weights,
            reward_names=parts.grader.names,
            filters=recipe.filters,
            policy=recipe.reward_policy,
            objective=recipe.objective,
        )

    def learn(self, step: int, rollout: Rollout, clock: _Clock) -> dict[str, float]:
        """Update the policy on the batch. The rollout is on disk already, so a failure leaves it to look at."""
        self.watcher.tell("phase", "learn", f"step {step}")
        with clock.timing("learning"):
            try:
                learned = self.parts.learner(rollout.batch)
            except NonFiniteError as error:
                raise NonFiniteError(
                    f"Step {step}: {error.what}",
                    seen=error.seen,
                    wanted=error.wanted,
                    do=f"{error.do}: {self.directory.samples(step)}",
                ) from error
        self.policy_before = self.policy
        if learned["updates"]:
            self.policy = self.parts.state.digest()
        return learned

    def record_rollout(self, step: int, rollout: Rollout, clock: _Clock) -> None:
        """Write every completion of the step and the event that binds them."""
        names, path = self.parts.grader.names, self.directory.samples(step)
        written, tally = write_samples(
            path,
            step,
            self.run_id,
            reward_names=names,
            reward_weights=self.parts.grader.weights,
            prompts=rollout.prompts,
            rows=rollout.rows,
        )
        self.write(
            "rollout.batch",
            step=step,
            policy_step=step - 1,
            policy_digest=self.policy,
            prompts=[p.id for p in rollout.prompts],
            samples_file=self.directory.relative(path),
            samples_sha256=written,
            counts=tally,
            rewards=measure.verdict_summary(rollout.rows, names),
            sampling=self.recipe.sampling.model_dump(mode="json"),
            wall={**clock.seconds(), "reward_seconds": measure.reward_seconds(rollout.rows, names)},
        )
        self._add(tally)
        self._shown = _group_of_the_moment(rollout)

    def record_update(self, stats: StepStats) -> None:
        """Write the step's statistics; tell and write what the watch finds in them."""
        self.done = stats.step
        self.write(
            "update.applied",
            step=stats.step,
            stats=stats.reproducible(),
            policy_digest_before=self.policy_before,
            policy_digest_after=self.policy,
            optimizer_updates=int(stats.values["updates"]),
            wall=stats.wall_clock(),
        )
        self.watcher.tell("step", stats, self.recipe.steps, *self._shown)
        for finding in self.watch.observe(stats):
            self.note(finding)

    def _top_reward(self) -> float:
        return sum(w for w in self.parts.grader.weights if w > 0)

    def _add(self, tally: Mapping[str, Any]) -> None:
        totals = self.totals
        totals["generated"] += tally["generated"]
        totals["trained"] += tally["trained"]
        for fate, n in tally["rejected"].items():
            totals["rejected"][fate] = totals["rejected"].get(fate, 0) + n

    # -- evaluation

    def evaluate_if_due(self, step: int, clock: _Clock) -> dict[str, Any] | None:
        """Greedy evaluation every so many steps; the last step has its full evaluation in `finish`."""
        every = self.recipe.evaluation.every
        if not (every and self.parts.held_out) or step % every or step == self.recipe.steps:
            return None
        with clock.timing("evaluation"):
            return self.evaluate(f"step-{step:06d}", 0, step)

    def evaluate(self, label: str, samples: int, step: int | None = None) -> dict[str, Any]:
        """Evaluate the policy as it is on the held-out prompts. Before and after draw with the same uniforms."""
        self.watcher.tell("phase", "evaluate", label)
        parts, seed = self.parts, self.recipe.seed

        def generate(requests: Any, params: Any) -> Any:
            draws = lambda key, s, n: uniforms(seed, 0, f"evaluation/{key}", s, n)  # noqa: E731
            return parts.engine.generate(requests, params, draws, self._progress("evaluate"))

        start = time.monotonic()
        document = evaluate(
            label,
            self.done if step is None else step,
            self.policy,
            parts.held_out,
            parts.prompt,
            generate,
            parts.grader.grade,
            samples=samples,
            params=parts.sampling_params(),
            confidence=self.recipe.evaluation.confidence,
        )
        self._evaluation_seconds = time.monotonic() - start
        return document

    def record_evaluation(self, document: Mapping[str, Any]) -> None:
        """Write an evaluation's items and the event that binds them."""
        path, data = self.directory.evaluation(document["label"]), canonical_json(document)
        atomic_write(path, data)
        self.write(
            "eval.completed",
            label=document["label"],
            step=document["step"],
            policy_digest=document["policy_digest"],
            file=self.directory.relative(path),
            file_sha256=sha256(data),
            summary=document["summary"],
            wall={"seconds": self._evaluation_seconds},
        )
        self.watcher.tell("evaluated", document["label"], document["summary"])

    # -- checkpoints

    def save_if_due(self, step: int, accuracy: float | None) -> None:
        """Save every so many steps and at a new best; then delete what the retention rule lets go."""
        rule = self.recipe.checkpoints
        improved = accuracy is not None and (self.best is None or accuracy > self.best)
        if improved:
            self.best = accuracy
        last = step == self.recipe.steps  # the model itself is exported then
        if not last and (step % rule.every == 0 or (improved and rule.keep_best)):
            if improved:
                self.best_step = step
            self.save(accuracy)
            self.retain()

    def save(self, accuracy: float | None) -> None:
        """Write the checkpoint of the last step applied."""
        self.watcher.tell("phase", "save", f"step {self.done}")
        path = self.directory.checkpoint(self.done)
        notes = {
            "watch": self.watch.state(),
            "best": self.best,
            "best_step": self.best_step,
            "totals": self.totals,
        }
        progress = Progress(self.done, self.parts.state.updates, self.policy, notes)
        files = checkpoint.save(path, self.parts.state, progress)
        self.write(
            "checkpoint.saved",
            step=self.done,
            path=self.directory.relative(path),
            files=files,
            digest=digest(files),
            policy_digest=self.policy,
            held_out_accuracy=accuracy,
        )
        self.kept.append(self.done)

    def retain(self) -> None:
        """Keep the last `keep_last` checkpoints and the best one. The event comes first: a kill leaves no gap."""
        rule = self.recipe.checkpoints
        keep = set(self.kept[-rule.keep_last :]) | ({self.best_step} if rule.keep_best else set())
        for step in [s for s in self.kept if s not in keep]:
            path = self.directory.checkpoint(step)
            self.write(
                "checkpoint.deleted",
                step=step,
                path=self.directory.relative(path),
                reason=f"retention: keep_last {rule.keep_last}, keep_best {rule.keep_best}",
            )
            shutil.rmtree(path, ignore_errors=True)
            self.kept.remove(step)

    # -- beginning, going on, ending

    def begin(self, findings: list[Finding]) -> None:
        """The first events of a new run."""
        recipe, directory, code = self.recipe, self.directory, code_manifest()
        self.write(
            "run.opened",
            recipe_digest=recipe.digest(),
            resolved_sha256=file_digest(directory.resolved),
            recipe_sha256=file_digest(directory.recipe),
            name=recipe.name,
            seed=recipe.seed,
            steps=recipe.steps,
            environment=environment_manifest(),
            code_digest=code["code_digest"],
            code=code["code"],
            reward_names=list(self.parts.grader.names),
            objective=self.parts.objective_facts(),
        )
        self._bind(None)
        for finding in findings:
            self.note(finding)

    def _bind(self, log: Log | None) -> None:
        """Bind model, template, data and rewards; on resume, refuse a model or data that changed meanwhile."""
        parts = self.parts
        bodies = [("model.loaded", parts.model_facts("policy"))]
        if self.recipe.objective.kl.beta > 0:
            bodies.append(("model.loaded", parts.model_facts("reference")))
        bodies += [("template.bound", parts.template_facts()), ("data.loaded", parts.data_facts())]
        checks = parts.grader.check_references(self._first_tasks())
        bodies.append(("reward.bound", {"rewards": parts.grader.describe(), "reference_check": checks}))
        for type_, body in bodies:
            recorded = [e.body for e in log.of(type_) if e.body.get("role") == body.get("role")] if log else []
            if not recorded:
                self.write(type_, **body)
            elif type_ == "reward.bound":
                if recorded[-1] != body:  # a reward may be mended between two sittings; the record says so
                    self.write(type_, **body)
            elif any(recorded[-1].get(k) != v for k, v in body.items() if k.endswith("digest")):
                raise RequestError(
                    f"What the run was started with has changed ({type_})",
                    seen={k: v for k, v in body.items() if k.endswith("digest")},
                    wanted={k: recorded[-1].get(k) for k in body if k.endswith("digest")},
                    do="Put the old files back, or start a new run with `sibling train`",
                )

    def _first_tasks(self) -> list[Any]:
        return _first_tasks(self.parts)

    def continue_from(self, log: Log) -> None:
        """Go back to the last checkpoint there is and say so in the record."""
        torn = self.writer.repair_tail()
        saved = [e for e in log.checkpoints() if self.directory.checkpoint(e.body["step"]).is_dir()]
        last = saved[-1].body if saved else None
        if last is not None:
            path = self.directory.checkpoint(last["step"])
            progress = checkpoint.load(path, self.parts.state, last["files"])
            self.done, self.policy = progress.step, progress.policy_digest
            self.watch.restore(progress.notes["watch"])
            self.best, self.best_step = progress.notes["best"], progress.notes["best_step"]
            self.totals = progress.notes["totals"]
            self.kept = [e.body["step"] for e in saved]
        for event in log.of("checkpoint.deleted"):
            if event.body["step"] not in self.kept:
                shutil.rmtree(self.directory.checkpoint(event.body["step"]), ignore_errors=True)
        self.evaluated_before = "before" in log.evaluations()
        code = code_manifest()
        self.write(
            "run.resumed",
            from_step=self.done,
            checkpoint_digest=last["digest"] if last else None,
            previous_segment=log.previous_segment(),
            discarded=log.discarded(self.done),
            torn_bytes=torn,
            environment=environment_manifest(),
            code_digest=code["code_digest"],
        )
        self._bind(log)
        told = {e.body["code"] for e in log.of("diagnosis.noted") if e.body["step"] is None}
        for finding in _before(self.parts):
            if finding.code not in told:
                self.note(finding)

    def interrupted(self) -> RunResult:
        """Asked to stop: save what is done."""
        if self.done and self.done not in self.kept:
            self.save(None)
            self.retain()
        self.write("run.interrupted", step=self.done, cause=self.stop.cause or "SIGINT", message=None)
        summary = {"steps": self.done, "status": "interrupted"}
        self.watcher.tell("closed", summary)
        return RunResult(self.directory.path, self.done, "interrupted", summary)

    def finish(self) -> RunResult:
        """Evaluate after, export the model, close the record."""
        summary: dict[str, Any] = {"best_held_out_accuracy": self.best, "policy_digest": self.policy}
        if self.parts.held_out:
            after = self.evaluate("after", self.recipe.evaluation.samples)
            self.record_evaluation(after)
            summary["comparison"] = self._compare(after)
        self.watcher.tell("phase", "save", "model")
        files = export(self.parts, self.directory.model)
        self.write(
            "model.exported",
            step=self.done,
            path=self.directory.relative(self.directory.model),
            files=files,
            digest=digest(files),
            policy_digest=self.policy,
        )
        seconds = time.monotonic() - self.started
        self.write(
            "run.closed",
            steps=self.done,
            status="finished",
            counts=self.totals,
            summary=summary,
            wall={"seconds": seconds, "memory_peak": measure.peak_memory()},
        )
        self.watcher.tell("closed", {**summary, "status": "finished", "seconds": seconds})
        return RunResult(self.directory.path, self.done, "finished", summary)

    def _compare(self, after: Mapping[str, Any]) -> dict[str, Any]:
        import json

        before = json.loads(self.directory.evaluation("before").read_bytes())
        difference = compare(before, after, self.recipe.evaluation.confidence)
        atomic_write(self.directory.evaluation("compare"), canonical_json(difference))
        return difference

    # -- small things

    def note(self, finding: Finding) -> None:
        """Record a finding and tell it; an error among the findings before the run stops it."""
        self.write("diagnosis.noted", **finding.body())
        self.watcher.tell("finding", finding.code, finding.severity, finding.sentence, finding.advice)

    def write(self, type_: str, **body: Any) -> None:
        """One event."""
        self.writer.write(type_, body)

    def _progress(self, what: str) -> Callable[[int, int, int], None]:
        return lambda done, total, tokens: self.watcher.tell("progress", what, done, total, tokens)


def export(parts: Parts, path: Path) -> dict[str, str]:
    """Write the policy as a Hugging Face directory (safetensors); LoRA is merged. Digests of its files."""
    model, tokenizer = parts.state.sampling_model, parts.loaded.tokenizer
    with atomic_directory(path) as folder, quiet():
        model.set_attn_implementation("sdpa")
        try:
            model.save_pretrained(folder, safe_serialization=True)
            tokenizer.save_pretrained(folder)
        finally:
            model.set_attn_implementation("sibling")
        files = tree_digests(folder)
    return files


def _before(parts: Parts) -> list[Finding]:
    """Findings before the first step. Raises `RunError` for those of severity error."""
    checks = parts.grader.check_references(_first_tasks(parts))
    found = [
        *references(checks, parts.recipe.reward_policy.refused_references),
        *one_prompt(parts.recipe.sampling.prompts_per_step),
    ]
    for finding in found:
        if finding.severity == "error":
            raise RunError(finding.sentence, do=finding.advice)
    return found


def _first_tasks(parts: Parts) -> list[Any]:
    """The first training prompts, in order."""
    size = parts.recipe.sampling.prompts_per_step
    return [
        parts.source.train(parts.recipe.seed, n // size, n % size, size) for n in range(max(size, REFERENCE_CHECKS))
    ]


def _group_of_the_moment(rollout: Rollout) -> tuple[Prompt | None, list[Row]]:
    """The group whose rewards differ most, the first such; any group when none is live."""
    spread: dict[int, list[float]] = {}
    for row in rollout.rows:
        if row.reward is not None:
            spread.setdefault(row.prompt, []).append(row.reward)
    if not spread:
        return None, []
    chosen = max(spread, key=lambda p: (max(spread[p]) - min(spread[p]), -p))
    return rollout.prompts[chosen], [r for r in rollout.rows if r.prompt == chosen]


class _Clock:
    """Seconds spent in the parts of a step."""

    def __init__(self) -> None:
        self._start, self._parts = time.monotonic(), {}  # type: ignore[var-annotated]

    @contextlib.contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the time of the block to `name`."""
        start = time.monotonic()
        yield
        self._parts[name] = self._parts.get(name, 0.0) + time.monotonic() - start

    def seconds(self) -> dict[str, float]:
        """Seconds by name, and of the step so far."""
        return {**self._parts, "step": time.monotonic() - self._start}


class _Shielded:
    """Tells an observer; what goes wrong there is not the run's business."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def tell(self, what: str, *values: Any) -> None:
        """Call the observer's method `what`."""
        with contextlib.suppress(Exception):
            getattr(self._observer, what)(*values)
