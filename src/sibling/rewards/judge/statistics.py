"""What the judges did and cost, counted as it happens."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any


class Statistics:
    """Counts since the reward was built. Safe to use from several threads.

    Prices are per million tokens read and written.
    """

    def __init__(self, price_in: float, price_out: float) -> None:
        self._price_in, self._price_out = price_in, price_out
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of the counts of `summary`."""
        with self._lock:
            self._counts[name] += by

    def error(self, code: str) -> None:
        """A completion that got no verdict."""
        with self._lock:
            self._errors[code] += 1

    def refused(self, code: str) -> None:
        """A completion that was refused without asking."""
        with self._lock:
            self._refused[code] += 1

    def summary(self) -> dict[str, Any]:
        """JSON-ready counts; tokens as the endpoint stated them, cost in the unit of the prices."""
        with self._lock:
            c = self._counts
            read, written = c["tokens_in"], c["tokens_out"]
            return {
                "calls": c["calls"],  # questions sent, asking again included
                "retries": max(0, c["requests"] - c["calls"]),  # requests sent again by the client
                "asked_again": c["asked_again"],  # because a reply could not be read
                "cached": c["cached"],  # verdicts taken from the cache, or from the same question in the batch
                "accepted": c["accepted"],
                "refused": c["refused"],
                "controls": c["controls"],  # accepted answers put to the judge again with an unrelated reference
                "fooled": c["fooled"],  # those it accepted again, which are refused
                "disagreements": c["disagreements"],
                "errors": dict(sorted(self._errors.items())),
                "refused_before_asking": dict(sorted(self._refused.items())),
                "tokens_in": read,
                "tokens_out": written,
                "replies_without_usage": c["without_usage"],
                "cost": (read * self._price_in + written * self._price_out) / 1e6,
            }
