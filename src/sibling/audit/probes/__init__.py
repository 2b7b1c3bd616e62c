"""The probes of the audit: small functions of a seed that make completions whose verdict is known beforehand.

One module a group. A probe is true: what has to be kept is exactly equal to the reference, what has to be lost is
surely not, and where either cannot be shown nothing is made. `PROBES` holds them all, in the order of the groups.
"""

from __future__ import annotations

from sibling.audit.kinds import Probe
from sibling.audit.probes import (
    code,
    corruption,
    crash,
    degenerate,
    equivalence,
    hedging,
    injection,
    judge,
    presentation,
    resource,
)

PROBES: tuple[Probe, ...] = (
    *equivalence.PROBES,
    *presentation.PROBES,
    *corruption.PROBES,
    *degenerate.PROBES,
    *hedging.PROBES,
    *judge.PROBES,
    *code.PROBES,
    *resource.PROBES,
    *injection.PROBES,
    *crash.PROBES,
)
