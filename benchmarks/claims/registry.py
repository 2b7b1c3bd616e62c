"""The claims, in the order of the page."""

from __future__ import annotations

from claims import aggregation, critic, difficulty, dynamic, entropy, length, staleness
from claims.claim import Claim

CLAIMS: dict[str, Claim] = {
    module.CLAIM.key: module.CLAIM for module in (length, entropy, dynamic, aggregation, difficulty, critic, staleness)
}
