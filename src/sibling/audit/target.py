"""What is audited: a reward, by its options or by its name, to be built in a child process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sibling.audit.calls import Calls
from sibling.config import CallableReward, RewardConfig
from sibling.errors import RequestError
from sibling.tasks.task import Task

_KINDS = {
    "math": "math", "final_number": "math", "quantity": "math", "choice": "choice", "code": "code", "json": "json",
    "sql": "sql", "exact_match": "text",
}  # fmt: skip
_NO_REFERENCE = ("format_tags", "overlong", "language", "instructions", "reward_model")
_SPARE = 1.5  # seconds beyond a reward's own bound before a call counts as late
_UNCAPPED = ("reward_model", "code")  # torch, and sandboxes that set their own bounds, map far more than they hold


@dataclass(frozen=True)
class Target:
    """A reward to be audited. `spec` is all that the child needs to build it (JSON values)."""

    name: str
    spec: dict[str, Any]
    kind: str | None = None  # of its references, where its type says
    uses_reference: bool = True  # its verdict depends on what the task says is right
    from_columns: bool = False  # which it reads from columns (tests, a schema) rather than from the reference
    type: str = "callable"
    declared_seconds: float = 0.0  # a call may take as long by the reward's own options

    @classmethod
    def of_config(cls, config: RewardConfig, base: Path) -> Target:
        """The reward of a recipe, with its options; `base` is the recipe's folder.

        Raises `RequestError` for a reward that exists only during a run.
        """
        if isinstance(config, CallableReward):
            found = cls.of_callable(config.target, base, signature=config.signature)
            return cls(config.name or found.name, found.spec)
        if config.type == "learned":
            raise RequestError(
                "A reward that is learned during a run cannot be audited before it",
                seen=config.type,
                do="Audit the reward named by its option `labels`",
            )
        spec = {"config": config.model_dump(mode="json"), "base": str(base.resolve())}
        uses = config.type not in _NO_REFERENCE and not (config.type == "regex" and "(?P<answer>" not in config.pattern)
        columns = config.type == "code" or (config.type == "json" and not config.compare)
        kind = _KINDS.get(config.type)
        return cls(config.name or config.type, spec, kind, uses, columns, config.type, _declared(config))

    @classmethod
    def of_callable(cls, target: str, base: Path, *, signature: str = "auto") -> Target:
        """A function, named 'module:name' or 'file.py:name' (relative to `base`).

        `signature` is auto, task, trl, verl, plain (completion, reference) or pair_reversed (reference, completion).
        """
        module, _, name = target.rpartition(":")
        if not module or not name:
            raise RequestError(
                "A reward must be named by module and name", seen=repr(target), wanted="'module:name' or 'file.py:name'"
            )
        return cls(name, {"callable": target, "base": str(base.resolve()), "signature": signature})

    def calls(self, tasks: Sequence[Task], *, lanes: int, seconds: float, memory_mb: int) -> Calls:
        """Processes in which the reward is built and called. Raises `RequestError` if it cannot be built."""
        memory = 0 if self.type in _UNCAPPED else memory_mb
        bound = max(seconds, self.declared_seconds + _SPARE if self.declared_seconds else 0.0)
        return Calls(self.spec, tasks, lanes=lanes, seconds=bound, memory_mb=memory)


def _declared(config: RewardConfig) -> float:
    """Seconds that one call may take by the reward's options; of an ensemble, all of its parts together."""
    if config.type == "ensemble":
        return sum(_declared(part) for part in (config.rule, config.appeal, config.judge) if part is not None)
    found = getattr(config, "seconds", 0.0)
    return float(found)
