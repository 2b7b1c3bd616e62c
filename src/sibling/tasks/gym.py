"""Task families of the package `reasoning-gym`, by name, with their own options and their own scorers.

A prompt is entry 0 of the family's data set built with a seed of its own. Train and held-out prompts are told
apart twice: by range of those seeds, and by the digest of the messages (even or odd), because two seeds can
make the same prompt. Half of the prompts are held out, not a tenth: some families take half a second a prompt,
and a held-out set of 64 should not cost 640 of them.

`Task.columns["gym"]` holds what makes the entry again (family, options, seed), so that the family's scorer gets
the entry itself: metadata has tuples and integer keys that JSON would not give back.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib import metadata
from typing import Any

from sibling.canonical import digest
from sibling.config import ReasoningGymTask
from sibling.errors import TaskError
from sibling.seeds import derive, stream
from sibling.tasks.finite import json_value, prompt_digest, short_id
from sibling.tasks.task import Message, Split, Task, content_digest

_TRAIN_SEEDS = 2**30  # train: 0 .. 2^30 - 1; held-out: 2^30 .. 2^31 - 1 (families want 32-bit seeds)
_MOST_DRAWS = 64  # on the wrong side or repeated in a row; by chance 2^-64


class GymSource:
    """One family as a task source; see `tasks.task.TaskSource`."""

    def __init__(self, config: ReasoningGymTask) -> None:
        self._config = config
        self._options = json.dumps(config.options, sort_keys=True)
        _check_options(config)
        self.name = f"reasoning_gym:{config.family}"
        self._task(0)

    @cached_property
    def digest(self) -> str:
        """Digest of the family, its options and the package's version."""
        return digest({"package": package_version(), "options": self._config.model_dump(mode="json")})

    def train(self, seed: int, step: int, index: int, prompts_per_step: int) -> Task:
        """Prompt `index` of `step`; refills come from the same endless stream."""
        del prompts_per_step
        rng = stream(seed, "task", self.name, step, index)
        for _ in range(_MOST_DRAWS):
            task = self._task(int(rng.integers(_TRAIN_SEEDS)))
            if side(task) == "train":
                return task
        raise self._too_small("train")

    def held_out(self, count: int) -> list[Task]:
        """The first `count` held-out prompts, all different; fewer when the family has fewer."""
        found: dict[str, Task] = {}
        number = barren = 0
        while len(found) < count and barren < _MOST_DRAWS:
            task = self._task(_TRAIN_SEEDS + derive(0, "held_out", self.name, number) % _TRAIN_SEEDS)
            number += 1
            fresh = side(task) == "held_out" and prompt_digest(task) not in found
            barren = 0 if fresh else barren + 1
            if fresh:
                found[prompt_digest(task)] = task
        if count > 0 and not found:
            raise self._too_small("held-out")
        return list(found.values())

    def describe(self) -> dict[str, Any]:
        """Facts for the record."""
        return {
            "type": "reasoning_gym",
            "options": self._config.model_dump(mode="json", exclude={"type"}),
            "package": f"reasoning-gym {package_version()}",
            "digest": self.digest,
            "train": None,  # endless
            "held_out": None,
            "licence": "Apache-2.0",
            "problems": [],
        }

    def location(self, task_id: str) -> str:
        """Where a prompt comes from, for messages to a person."""
        return f"{self.name} prompt {task_id}"

    def _task(self, seed: int) -> Task:
        entry = _entry(self._config.family, self._options, seed)
        user: Message = {"role": "user", "content": str(entry["question"])}
        system = self._config.system
        messages: tuple[Message, ...] = (user,) if system is None else ({"role": "system", "content": system}, user)
        answer = entry.get("answer")
        reference = None if answer is None else str(answer)  # some puzzles have many answers and name none
        made_by = {"family": self._config.family, "options": json.loads(self._options), "seed": seed}
        columns = {"gym": made_by, "metadata": json_value(entry.get("metadata", {}))}
        return Task(short_id(content_digest(messages, reference)), messages, reference, columns)

    def _too_small(self, stream_name: str) -> TaskError:
        return TaskError(
            f"The family {self._config.family} gave no {stream_name} prompt in {_MOST_DRAWS} draws",
            seen=f"options {self._options}",
            wanted="more different prompts",
            do="Make it harder with task.options",
        )


def side(task: Task) -> Split | None:
    """The stream a prompt belongs to, by the digest of its messages; None if its reference is empty text.

    Families have slips: `base_conversion` of 0.1.25 writes 0 in most bases as no digits at all.
    """
    if task.reference is not None and not task.reference.strip():
        return None
    return "train" if int(prompt_digest(task).removeprefix("sha256:")[:8], 16) % 2 else "held_out"


def remake(columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry behind a prompt that has these columns: question, answer, metadata as the family made it.

    Raises `TaskError` if the family cannot make it.
    """
    made_by = columns["gym"]
    return _entry(made_by["family"], json.dumps(made_by["options"], sort_keys=True), made_by["seed"])


def score(columns: Mapping[str, Any], answer: str) -> float:
    """What the family's own scorer says of `answer` to the prompt that has these columns.

    Some of them execute the answer: see `rewards.gym_answers.table`, and never call this on untrusted text outside of
    a process that can be given up.
    """
    made_by = columns["gym"]
    dataset = _dataset(made_by["family"], json.dumps(made_by["options"], sort_keys=True), made_by["seed"])
    with contextlib.redirect_stdout(io.StringIO()):
        return float(dataset.score_answer(answer, remake(columns)))


def package_version() -> str:
    """The installed version of reasoning-gym."""
    try:
        return metadata.version("reasoning-gym")
    except metadata.PackageNotFoundError as error:
        raise _missing() from error


@lru_cache(maxsize=64)  # a step's prompts; some families load megabytes each
def _dataset(family: str, options: str, seed: int) -> Any:
    import reasoning_gym

    chosen = json.loads(options)
    if family == "composite":  # the one family whose options are objects
        from reasoning_gym.composite import DatasetSpec

        chosen["datasets"] = [DatasetSpec(**{"weight": 1, "config": {}, **part}) for part in chosen["datasets"]]
    with contextlib.redirect_stdout(io.StringIO()):  # some families print while they search
        return reasoning_gym.create_dataset(family, **chosen, seed=seed, size=1)


def _quiet_entry(dataset: Any) -> Mapping[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        entry: Mapping[str, Any] = dataset[0]
    return entry


def _entry(family: str, options: str, seed: int) -> Mapping[str, Any]:
    try:
        return _quiet_entry(_dataset(family, options, seed))
    except Exception as error:  # a family checks its options with whatever it likes to raise
        raise TaskError(
            f"The reasoning-gym family {family} cannot make a prompt",
            seen=f"{type(error).__name__}: {error}",
            wanted="options the family accepts",
            do="Check task.options",
        ) from error


def _check_options(config: ReasoningGymTask) -> None:
    try:
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise _missing() from error
    if config.family not in DATASETS:
        near = difflib.get_close_matches(config.family, DATASETS, n=3, cutoff=0.4)
        raise TaskError(
            f"reasoning-gym has no family {config.family!r}",
            wanted=f"one of its {len(DATASETS)} families" + (f"; near: {', '.join(near)}" if near else ""),
        )
    known = set(DATASETS[config.family][1].__dataclass_fields__) - {"seed", "size"}
    if unknown := sorted(set(config.options) - known):
        raise TaskError(
            f"The family {config.family} has no option {unknown[0]!r}",
            wanted=f"one of {', '.join(sorted(known)) or 'none'} (seed and size are set by sibling)",
        )


def _missing() -> TaskError:
    return TaskError(
        "The package reasoning-gym is not installed",
        do="Install it with: pip install 'sibling[tasks]'",
    )
