"""The controlling side: starts workers, asks one at a time, and sees what else the machine did meanwhile.

Two workers can be loaded at once and never work at once. With every answer goes the share of the machine's processor
time that neither the worker nor anything idle used: `foreign`. Figures taken while it is high are not worth much.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speed.peers import PEERS, ROOT, Peer

LOGS = PEERS / "logs"
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONPATH": str(ROOT / "benchmarks"),
    "PYTHONUNBUFFERED": "1",
}
_PATIENCE = 5.0  # seconds that a worker has to end by itself
_TOO_SHORT = 0.5  # seconds below which clocks of 10 ms cannot tell whose processor time it was
_SETTLE = 0.5  # seconds in which the threads of the worker that has just answered fall asleep


class WorkerError(Exception):
    """A worker could not be started, died, or answered with an error; one line."""


class Worker:
    """A process that has loaded one side. Use it as a context, so that it is ended."""

    def __init__(
        self, module: str, peer: Peer, settings: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        if peer.python is None:
            raise WorkerError(peer.problem)
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{module}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(peer.python), "-m", f"speed.{module}", json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={**os.environ, **_QUIET, **(environment or {})},
            )
        try:
            self.ready = self._answer()
        except WorkerError:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, do: str, **arguments: Any) -> dict[str, Any]:
        """One command and its answer, `foreign` added unless it was over too soon. Raises `WorkerError`."""
        assert self.process.stdin is not None
        time.sleep(_SETTLE)
        before, own = _busy(), self._spent()
        began = time.monotonic()
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise WorkerError(f"the worker has ended: {self._last()}") from error
        answer = self._answer()
        seconds = time.monotonic() - began
        if seconds > _TOO_SHORT:
            others = (_busy() - before) - (self._spent() - own)
            answer["foreign"] = max(0.0, others / (seconds * (os.cpu_count() or 1)))
        return answer

    def close(self) -> None:
        """Let the worker end by itself, and end it if it does not."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise WorkerError(f"the worker ended with status {self.process.returncode}: {self._last()}")
        answer = dict(json.loads(line))
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _last(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:400] if lines else "it said nothing"

    def _spent(self) -> float:
        """Processor seconds of the worker so far, all threads."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0


def _busy() -> float:
    """Processor seconds the whole machine has worked so far."""
    try:
        fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return 0.0
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def pair(first: Worker, second: Worker) -> Iterator[tuple[Worker, Worker]]:
    """Two workers, both ended at the end."""
    with first, second:
        yield first, second
