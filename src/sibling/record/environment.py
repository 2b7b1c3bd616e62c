"""Where the run ran: interpreter, system, processor, memory, package versions, and the settings that change numbers.

Left out on purpose: host names, user names, paths, addresses, and every environment variable not listed here.
Packages are looked up, never imported, so asking costs milliseconds and loads no torch.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "sibling",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "peft",
    "gguf",
    "accelerate",
    "datasets",
    "reasoning-gym",
    "vllm",
    "numpy",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "rfc8785",
    "rich",
    "typer",
    "jinja2",
)

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_CBWR",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTHONHASHSEED",
    "TOKENIZERS_PARALLELISM",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
)
"""Variables that can change a run's numbers, speed or sources, and hold no personal data."""


def environment_manifest() -> dict[str, Any]:
    """JSON-ready facts for run.opened: python, system, processor, memory (bytes), packages, variables.

    A package that is not installed and a variable that is not set are absent. Unknown values are null.
    """
    return {
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "system": {
            "name": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip() or None,
        },
        "processor": {"model": _processor(), "cores": os.cpu_count(), "usable_cores": _usable_cores()},
        "memory": _memory(),
        "packages": package_versions(PACKAGES),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Name -> installed version, for the packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or None


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None
