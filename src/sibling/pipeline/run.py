"""A run from the first event to the last: `train` starts one, `resume` goes on with one.

The loop is `Run.steps`. What it needs is built in parts.py; everything it writes to the record goes through
the one `RecordWriter` opened here. Nothing depends on the clock, on a global random state or on what a killed
run left behind beyond its last checkpoint, so a resumed run is bit-equal to an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sibling.audit.report import Report
from sibling.batch import Batch, Completion, Measured, Prompt
from sibling.canonical import canonical_json
from sibling.config import Recipe
from sibling.errors import NonFiniteError, RequestError, SiblingError
from sibling.monitors.finding import Finding
from sibling.monitors.first_minutes import step_detectors
from sibling.monitors.objective import OBJECTIVE_DETECTORS
from sibling.monitors.watch import Watch
from sibling.pipeline import measure
from sibling.pipeline.auditing import audit_findings, audit_rewards, audited
from sibling.pipeline.binding import bind, first_findings, open_run, recorded_dtype, require_same
from sibling.pipeline.directory import RunDirectory
from sibling.pipeline.early import EarlyGrading
from sibling.pipeline.evaluating import compare_with_before, record_evaluation, run_evaluation
from sibling.pipeline.fitting import reward_fitting
from sibling.pipeline.measure import Clock
from sibling.pipeline.observer import Observer, Shielded
from sibling.pipeline.parts import Parts, build
from sibling.pipeline.saving import Checkpoints, export_model
from sibling.pipeline.stopping import StopRequest, listening
from sibling.record.environment import environment_manifest
from sibling.record.manifest import code_manifest
from sibling.record.reader import Log
from sibling.record.samples import write_samples
from sibling.record.writer import RecordWriter
from sibling.rollout.collect import Measure, Rollout, collect
from sibling.stats import StepStats
from sibling.tasks.task import Task


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
    watcher = Shielded(observer)
    watcher.tell("phase", "load", recipe.model.type)
    parts = build(recipe, base=base)
    findings = first_findings(parts)
    audits = audit_rewards(parts, base, lambda name: watcher.tell("phase", "audit", name))
    text = recipe_text if recipe_text is not None else canonical_json(recipe.resolved()).decode()
    directory.make()
    run_id = recipe.digest().removeprefix("sha256:")[:16]
    with RecordWriter(directory.path, run_id, segment=0) as writer, listening() as stop:
        directory.require_free(recipe)  # again: only now can nobody else begin a run here
        directory.write_request(recipe, text, base)
        run = Run(parts, directory, writer, run_id, watcher, stop)
        return run.whole(lambda: run.begin(findings, audits))


def resume(directory: Path, *, observer: Observer | None = None) -> RunResult:
    """Go on with an interrupted or killed run from its last checkpoint, bit-equal to an uninterrupted one."""
    place = RunDirectory(directory)
    recipe, base, log = place.require_resumable()
    watcher = Shielded(observer)
    opened = log.opened()
    assert opened is not None
    with RecordWriter(place.path, opened.run, segment=log.segment + 1) as writer:
        if writer.head != log.head:
            raise RequestError(
                f"Another process went on with the run in {directory} in this very moment",
                do="See `sibling watch`, and resume again if the run is not finished",
            )
        watcher.tell("phase", "load", recipe.model.type)
        parts = build(recipe, base=base, compute_dtype=recorded_dtype(log))
        with listening() as stop:
            run = Run(parts, place, writer, opened.run, watcher, stop)
            return run.whole(lambda: run.go_on(log))


class Run:
    """One sitting of a run."""

    def __init__(
        self,
        parts: Parts,
        directory: RunDirectory,
        writer: RecordWriter,
        run_id: str,
        watcher: Shielded,
        stop: StopRequest,
    ) -> None:
        self.parts, self.recipe, self.directory = parts, parts.recipe, directory
        self.writer, self.run_id, self.watcher, self.stop = writer, run_id, watcher, stop
        self.watch = Watch((*step_detectors(parts.compute_dtype), *OBJECTIVE_DETECTORS))
        self.checkpoints = Checkpoints(parts, directory, self.write)
        self.fitting = reward_fitting(parts, directory)
        self.done = 0  # steps applied
        self.policy = self.policy_before = parts.state.digest()
        self.evaluated_before = False
        self.totals: dict[str, Any] = {"generated": 0, "trained": 0, "rejected": {}}

    def whole(self, start: Callable[[], None]) -> RunResult:
        """Start, all steps, and the end; a failure is recorded before it is raised."""
        began = time.monotonic()
        try:
            start()
            if self.parts.held_out and not self.evaluated_before:
                self.record_evaluation(self.evaluate("before", 0, self.recipe.evaluation.samples))
            self.steps()
            return self.finish(began) if self.done == self.recipe.steps else self.interrupted()
        except (Exception, KeyboardInterrupt) as error:
            cause = (self.stop.cause or "SIGINT") if isinstance(error, KeyboardInterrupt) else "error"
            message = str(error) or type(error).__name__
            with contextlib.suppress(SiblingError, OSError):  # a full disk must not hide the error that matters
                self.write("run.interrupted", {"step": self.done, "cause": cause, "message": message})
            raise

    # -- the training loop

    def steps(self) -> None:
        """Sample, score, learn, evaluate, save: until the last step or until asked to stop."""
        while self.done < self.recipe.steps and self.stop.cause is None:
            step, clock = self.done + 1, Clock()
            rollout = self.collect(step, clock)
            with self.recording(step, rollout, clock):
                learned = self.learn(step, rollout, clock)
            evaluation = self.evaluate_if_due(step, clock)
            accuracy = evaluation[0]["summary"]["greedy_accuracy"] if evaluation else None
            if accuracy is not None:
                learned["held_out_accuracy"] = accuracy
            self.record_update(measure.step_stats(step, rollout, learned, clock.seconds(), self.parts.yardstick))
            self.follow(step)
            self.watcher.tell("step", self.stats, self.recipe.steps, *measure.group_of_the_moment(rollout))
            if evaluation:
                self.record_evaluation(evaluation)
            for finding in self.watch.observe(self.stats):
                self.note(finding)
            if self.checkpoints.due(step, accuracy):
                self.save(accuracy)

    def collect(self, step: int, clock: Clock) -> Rollout:
        """Sample and score the groups of a step."""
        parts, drawn = self.parts, 0
        self.estimate = parts.estimate()
        asked: list[Task] = []  # by index in the step

        def prompt_at(index: int) -> tuple[Task, Prompt]:
            task, prompt = parts.task_at(step, index)
            asked.append(task)
            return task, prompt

        def sample(prompts: Sequence[Prompt], round_: int) -> list[list[Completion]]:
            nonlocal drawn
            self.watcher.tell("phase", "sample", f"step {step}")
            tasks = asked[drawn:]
            with clock.timing("sampling"):
                out = parts.sample(
                    step, drawn, prompts, self._progress("sample"), lambda i, group: early.begin(tasks[i], group)
                )
            drawn += len(prompts)
            return out

        def grade(*aligned: Any) -> Any:
            self.watcher.tell("phase", "score", f"step {step}")
            with clock.timing("rewards"):
                if self.fitting is None:
                    return early.grade(*aligned)
                with parts.grader.attached(self.fitting.probabilities):
                    return early.grade(*aligned)

        with EarlyGrading(parts.grader) as early:
            return collect(
                prompt_at,
                sample,
                grade,
                prompts_per_step=self.recipe.sampling.prompts_per_step,
                weights=parts.grader.weights,
                reward_names=parts.grader.names,
                filters=self.recipe.filters,
                policy=self.recipe.reward_policy,
                estimate=self.estimate,
                measure=self._measuring(clock),
                expert=parts.expert(),
            )

    def _measuring(self, clock: Clock) -> Measure | None:
        """The learner's measurement of a batch, timed as learning."""
        measuring = self.parts.measure()
        if measuring is None:
            return None

        def timed(batch: Batch) -> Measured:
            with clock.timing("learning"):
                return measuring(batch)

        return timed

    def learn(self, step: int, rollout: Rollout, clock: Clock) -> dict[str, float]:
        """Update the policy on the batch; whatever fails, the batch is written for the user to look at."""
        self.watcher.tell("phase", "learn", f"step {step}")
        self.policy_before = self.policy
        with clock.timing("learning"):
            try:
                learned = self.parts.learner(rollout.batch, step)
            except NonFiniteError as error:
                do = f"{error.do}: {self.directory.samples(step)}"
                raise NonFiniteError(
                    f"Step {step}: {error.what}", seen=error.seen, wanted=error.wanted, do=do
                ) from error
        if learned["updates"]:
            self.policy = self.parts.state.digest()
        return learned

    def follow(self, step: int) -> None:
        """Let what follows the policy follow it, where it is due: the reference, and a learned reward."""
        reference = self.parts.state.kept_reference
        if reference is not None and reference.after_step(step):
            digests = {"policy_digest": self.policy, "reference_digest": reference.digest()}
            self.write("reference.updated", {"step": step, **digests})
        if self.fitting is not None:
            self.watcher.tell("phase", "fit", f"step {step}")
            fitted = self.fitting.after_step(step)
            if fitted is not None:
                self.write("reward.fitted", fitted)

    def evaluate_if_due(self, step: int, clock: Clock) -> tuple[dict[str, Any], float] | None:
        """Greedy evaluation every so many steps; the last step has its full evaluation in `finish`."""
        every = self.recipe.evaluation.every
        if not (every and self.parts.held_out) or step % every or step == self.recipe.steps:
            return None
        evaluation = self.evaluate(f"step-{step:06d}", step, 0)
        clock.add("evaluation", evaluation[1])
        return evaluation

    # -- events

    @contextlib.contextmanager
    def recording(self, step: int, rollout: Rollout, clock: Clock) -> Iterator[None]:
        """Write the rollout in a thread while the block runs. It is on disk when the block is left, however it ends."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="record") as beside:
            written = beside.submit(self.record_rollout, step, rollout, clock.seconds(), self.policy)
            try:
                yield
            finally:
                written.result()

    def record_rollout(self, step: int, rollout: Rollout, seconds: dict[str, float], policy: str) -> None:
        """Write every completion of the step, drawn from `policy`, and the event that binds them."""
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
        measure.add_counts(self.totals, tally)
        self.write(
            "rollout.batch",
            {
                "step": step,
                "policy_step": step - 1,
                "policy_digest": policy,
                "prompts": [p.id for p in rollout.prompts],
                "samples_file": self.directory.relative(path),
                "samples_sha256": written,
                "counts": tally,
                "rewards": measure.verdict_summary(rollout.rows, names),
                "sampling": self.recipe.sampling.model_dump(mode="json"),
                "kl_beta": self.estimate.kl_beta,
                "wall": {**seconds, "reward_seconds": measure.reward_seconds(rollout.rows, names)},
            },
        )

    def record_update(self, stats: StepStats) -> None:
        """Write the statistics of the step just learned; from here on it counts as done."""
        self.write(
            "update.applied",
            {
                "step": stats.step,
                "stats": stats.reproducible(),
                "policy_digest_before": self.policy_before,
                "policy_digest_after": self.policy,
                "optimizer_updates": int(stats.values["updates"]),
                "wall": stats.wall_clock(),
            },
        )
        self.done, self.stats = stats.step, stats

    def evaluate(self, label: str, step: int, samples: int) -> tuple[dict[str, Any], float]:
        """The policy as it is on the held-out prompts: the document and its seconds."""
        self.watcher.tell("phase", "evaluate", label)
        return run_evaluation(self.parts, label, step, self.policy, samples, self._progress("evaluate"))

    def record_evaluation(self, evaluation: tuple[dict[str, Any], float]) -> None:
        """Write an evaluation's items and its event."""
        document, seconds = evaluation
        record_evaluation(self.directory, document, seconds, self.write)
        self.watcher.tell("evaluated", document["label"], document["summary"])

    def note(self, finding: Finding) -> None:
        """Record a finding and tell it."""
        self.write("diagnosis.noted", finding.body())
        self.watcher.tell("finding", finding.code, finding.severity, finding.sentence, finding.advice)

    def save(self, accuracy: float | None) -> None:
        """Write a checkpoint of the last step applied."""
        self.watcher.tell("phase", "save", f"step {self.done}")
        notes = {
            "watch": self.watch.state(),
            "totals": self.totals,
            "coefficients": self.parts.learner.coefficients.state(),
        }
        self.checkpoints.save(self.done, self.policy, accuracy, notes)

    def write(self, type_: str, body: dict[str, Any]) -> None:
        """One event."""
        self.writer.write(type_, body)

    # -- beginning, going on, ending

    def begin(self, findings: list[Finding], audits: list[Report]) -> None:
        """The first events of a new run."""
        self.writer.repair_tail()  # a power cut may have torn the first event of an attempt that recorded nothing
        open_run(self.parts, self.directory, self.write)
        for report in audits:
            self.write("reward.audited", audited(report))
        for finding in [*findings, *audit_findings(audits)]:
            self.note(finding)

    def go_on(self, log: Log) -> None:
        """Go back to the last checkpoint there is and say so in the record. A refusal leaves the record as it was."""
        require_same(self.parts, log)
        findings = first_findings(self.parts)
        restored = self.checkpoints.restore(log)
        if restored is not None:
            progress, _ = restored
            self.done, self.policy = progress.step, progress.policy_digest
            self.watch.restore(progress.notes["watch"])
            self.totals = progress.notes["totals"]
            self.parts.learner.coefficients.restore(progress.notes["coefficients"])
        self.evaluated_before = "before" in log.evaluations()
        body = {
            "from_step": self.done,
            "checkpoint_digest": restored[1] if restored else None,
            "previous_segment": log.previous_segment(),
            "discarded": log.discarded(self.done),
            "torn_bytes": self.writer.repair_tail(),
            "environment": environment_manifest(),
        }
        self.write("run.resumed", {**body, **code_manifest()})
        bind(self.parts, log, self.write)
        told = [e.body for e in log.of("diagnosis.noted")]
        for finding in findings:
            if finding.body() not in told:
                self.note(finding)
        self.checkpoints.retain()

    def interrupted(self) -> RunResult:
        """Asked to stop: the step is finished; save it."""
        if self.done and self.done not in self.checkpoints.kept:
            self.save(None)
        cause = self.stop.cause or "SIGINT"
        self.write("run.interrupted", {"step": self.done, "cause": cause, "message": None})
        summary = {"status": "interrupted", "cause": cause, "step": self.done}
        self.watcher.tell("closed", summary)
        return RunResult(self.directory.path, self.done, "interrupted", summary)

    def finish(self, began: float) -> RunResult:
        """Evaluate after, export the model, close the record."""
        summary: dict[str, Any] = {"best_held_out_accuracy": self.checkpoints.best, "policy_digest": self.policy}
        if self.parts.held_out:
            after = self.evaluate("after", self.done, self.recipe.evaluation.samples)
            self.record_evaluation(after)
            confidence = self.recipe.evaluation.confidence
            summary["comparison"] = compare_with_before(self.directory, after[0], confidence)
        self.watcher.tell("phase", "save", "model")
        exported = export_model(self.parts, self.directory)
        self.write("model.exported", {"step": self.done, "policy_digest": self.policy, **exported})
        wall = {"seconds": time.monotonic() - began, "memory_peak": measure.peak_memory()}
        counts = self.totals
        body = {"steps": self.done, "status": "finished", "counts": counts, "summary": summary, "wall": wall}
        self.write("run.closed", body)
        self.watcher.tell("closed", {**summary, "status": "finished", **wall})
        return RunResult(self.directory.path, self.done, "finished", summary)

    def _progress(self, what: str) -> Callable[[int, int, int], None]:
        return lambda done, total, tokens: self.watcher.tell("progress", what, done, total, tokens)
