"""Stopping a run by signal: once finishes the step and saves, twice stops now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether a stop was asked for, and by which signal."""

    def __init__(self) -> None:
        self.cause: str | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """A signal came: the first asks, the second interrupts."""
        if self.cause is not None:
            raise KeyboardInterrupt
        self.cause = signal.Signals(number).name


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Listen to SIGINT and SIGTERM inside the block (in the main thread; elsewhere nothing is listened to)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {s: signal.signal(s, request) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
