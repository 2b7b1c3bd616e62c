"""Named random streams: every draw is a pure function of a seed and a name.

A stream is keyed by SHA-256 over (seed, names), so the streams of different names are independent and
neither the batch composition nor the number of draws made elsewhere can shift them.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 128-bit integer that depends on `seed` and every name, in order."""
    key = json.dumps([seed, *names], separators=(",", ":")).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:16], "big")


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The random generator (Philox, counter-based) named by `names` under `seed`."""
    return np.random.Generator(np.random.Philox(key=derive(seed, *names)))


def uniforms(seed: int, step: int, prompt: str, sibling: int, count: int) -> np.ndarray:
    """`count` float64 uniforms in [0, 1) for one completion: one per sampled token, in order.

    Keyed by (seed, step, prompt id, sibling index), so a completion's draws do not depend on which
    other completions share its batch.
    """
    return stream(seed, "sample", step, prompt, sibling).random(count)
