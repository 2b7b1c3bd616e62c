"""What every case is given: the model, the number of rounds, the peers; and how two sides are measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from speed.peers import Peer, ensure, ours
from speed.workers import Worker

Values = list[dict[str, Any]]
Ask = Callable[[], dict[str, Any]]


@dataclass
class Bench:
    """One call of the benchmark."""

    model: str  # directory of the embedded model
    rounds: int
    quick: bool
    _peers: dict[str, Peer] = field(default_factory=dict)

    def peer(self, name: str) -> Peer:
        """`sibling`, `trl` or `vllm`; made when first asked for."""
        if name not in self._peers:
            self._peers[name] = ours() if name == "sibling" else ensure(name)
        return self._peers[name]

    def ours(self, *options: str, shape: Mapping[str, int] | None = None) -> Worker:
        """A fresh worker of this package: the embedded model, or random weights of this shape."""
        return Worker("side_ours", self.peer("sibling"), {"shape": shape, "options": list(options)})


def in_turn(rounds: int, *sides: Ask) -> list[Values]:
    """Each side once to warm up, then `rounds` times one after the other; what each answered."""
    for side in sides:
        side()
    found: list[Values] = [[] for _ in sides]
    for _ in range(rounds):
        for side, values in zip(sides, found, strict=True):
            values.append(side())
    return found


def entry(worker: Worker, values: Values, **more: Any) -> dict[str, Any]:
    """What the results keep of one side."""
    return {"path": worker.ready.get("path", ""), "values": [slim(v) for v in values], **more}


def slim(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer in few digits."""
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in answer.items() if k != "cpu_seconds"}


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)


def told(label: str, values: Values) -> None:
    """A line of progress on one side's values."""
    seconds = [v["seconds"] for v in values]
    tokens = values[-1].get("tokens", 0)
    foreign = max(v.get("foreign", 0.0) for v in values)
    middle = sorted(seconds)[len(seconds) // 2]
    say(
        f"  {label:<58} {middle:8.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
        f"{f'  {tokens / middle:7.0f} tok/s' if tokens else ''}   others' load {foreign:.0%}"
    )
