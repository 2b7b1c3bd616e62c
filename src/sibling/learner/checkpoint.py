"""Checkpoints: everything a run needs to go on bit for bit, as safetensors and JSON.

A checkpoint holds the trained weights, the optimizer's moments, the number of updates and the state of the
watch; with PPO also the critic's weights and moments, and the reference policy if it follows the policy. It holds
no random state: every draw is a pure function of (seed, step, ...), see seeds.py. Files are written aside and
renamed; no pickle is ever written or read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from sibling.canonical import canonical_json, tree_digests
from sibling.errors import RunError
from sibling.learner import optimizer as adamw
from sibling.learner.state import LearnerState
from sibling.record.files import atomic_directory

WEIGHTS, OPTIMIZER, PROGRESS = "weights.safetensors", "optimizer.safetensors", "progress.json"
CRITIC, CRITIC_OPTIMIZER = "critic.safetensors", "critic_optimizer.safetensors"
REFERENCE = "reference.safetensors"
REWARD_MODEL, REWARD_OPTIMIZER = "reward_model.safetensors", "reward_model_optimizer.safetensors"


@dataclass(frozen=True)
class Progress:
    """What a checkpoint says besides tensors. `notes` is the pipeline's own state, JSON values."""

    step: int
    updates: int
    policy_digest: str
    notes: dict[str, Any]


def save(path: Path, state: LearnerState, progress: Progress) -> dict[str, str]:
    """Write a checkpoint; returns relative path -> digest of its files. Raises `RecordError` on a full disk."""
    with atomic_directory(path) as folder:
        with system_errors():
            for name, tensors in _tensors(state).items():
                save_file(tensors, folder / name)
        document = {
            "step": progress.step,
            "updates": progress.updates,
            "policy_digest": progress.policy_digest,
            "notes": progress.notes,
        }
        (folder / PROGRESS).write_bytes(canonical_json(document))
        return tree_digests(folder)


def load(path: Path, state: LearnerState, files: dict[str, str]) -> Progress:
    """Put a checkpoint into `state`. `files` are the digests the record holds for it.

    Raises `RunError` when a file is missing or differs, when the checkpoint has other parts than the run (a critic,
    a reference that follows the policy), or when the weights do not fit the model.
    """
    seen = tree_digests(path) if path.is_dir() else {}
    wrong = sorted(n for n in set(seen) | set(files) if seen.get(n) != files.get(n))
    if wrong:
        raise RunError(
            f"The checkpoint {path} is corrupt",
            seen=", ".join(f"{n} {'is missing' if n not in seen else 'differs from the record'}" for n in wrong),
            wanted="the files as they were recorded",
            do=f"Remove {path} and resume again: the run goes on from the checkpoint before it, or from the beginning",
        )
    document = json.loads((path / PROGRESS).read_bytes())
    _put(path, state, int(document["updates"]))
    digest = state.digest()
    if digest != document["policy_digest"]:
        raise RunError(f"The weights of {path} are not those it names", seen=digest, wanted=document["policy_digest"])
    return Progress(int(document["step"]), int(document["updates"]), digest, dict(document["notes"]))


def _tensors(state: LearnerState) -> dict[str, dict[str, Tensor]]:
    """File name -> tensors of every part that `state` has."""
    out = {WEIGHTS: state.weights(), OPTIMIZER: adamw.state_tensors(state.optimizer, state.parameters)}
    if (critic := state.critic) is not None:
        out |= {CRITIC: critic.weights(), CRITIC_OPTIMIZER: adamw.state_tensors(critic.optimizer, critic.parameters)}
    if (reference := state.kept_reference) is not None and (tensors := reference.state()):
        out[REFERENCE] = tensors
    if (reward_model := state.reward_model) is not None:
        out |= {REWARD_MODEL: reward_model.weights(), REWARD_OPTIMIZER: reward_model.optimizer_state()}
    return out


def _put(path: Path, state: LearnerState, updates: int) -> None:
    wanted, seen = set(_tensors(state)), {file.name for file in path.glob("*.safetensors")}
    if wanted != seen:
        raise RunError(
            f"The checkpoint {path} was made by a run with other parts",
            seen=", ".join(sorted(seen)),
            wanted=", ".join(sorted(wanted)),
            do="Resume it with its own recipe: critic, kl.reference and a learned reward decide which files there are",
        )
    state.load(load_file(path / WEIGHTS), load_file(path / OPTIMIZER), updates)
    if state.critic is not None:
        state.critic.load(load_file(path / CRITIC), load_file(path / CRITIC_OPTIMIZER))
    if state.kept_reference is not None:
        state.kept_reference.load(load_file(path / REFERENCE) if REFERENCE in seen else {})
    if state.reward_model is not None:
        state.reward_model.load(load_file(path / REWARD_MODEL), load_file(path / REWARD_OPTIMIZER))


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
    """Turn what safetensors and tokenizers raise when the system refuses a write into the `OSError` it is.

    Both are written in Rust: their errors do not derive from `OSError`, and name the number as `(os error N)`.
    """
    try:
        yield
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if isinstance(error, OSError) or number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
