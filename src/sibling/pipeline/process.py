"""Settings of this process that make training on a CPU faster. Called by the command line before torch is loaded.

Threads: those that wait for work spin for a shorter time before they sleep (GNU OpenMP's GOMP_SPINCOUNT). With
its default, threads stall each other as soon as the machine does anything else: an update of the demo on two cores
took 22 s instead of 2.8 with one busy loop beside it. Measured seconds of update / sampling, idle and beside that loop:
default 2.8 / 1.7 and 22 / not waited for; 3,000 spins 3.0 / 2.0 and 5.9 / 4.6; no spinning at all 3.8 / 3.9 idle.

Memory: glibc returns large freed blocks to the system and asks for them again, page by page, at the next
tensor: 650,000 page faults and a fifth of the processor time of an update of the demo. Told to keep them, it
has none. The price is that the resident set stays at its peak. Elsewhere than on glibc nothing is changed.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of glibc's malloc.h
_SPINS = 5000
_KEPT = 2**31 - 1  # bytes; mallopt takes an int
_NEVER = -1  # as an unsigned size: no end of the heap is ever large enough to be given back
_PAD = 1 << 26


def prepare() -> None:
    """Apply both, unless the environment already says otherwise."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))
    if any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        for option, value in ((_MMAP_THRESHOLD, _KEPT), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD)):
            mallopt(option, value)
