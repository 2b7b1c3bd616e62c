"""Calls under a time bound: values, exceptions, lateness, and the stop after three late calls."""

import asyncio
import threading

import pytest

from sibling.errors import RewardError
from sibling.rewards.bounded import BoundedWorker, Outcome

LONG = 20.0  # never reached


@pytest.fixture
def gate():
    event = threading.Event()
    yield event
    event.set()  # let threads left behind end


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("sibling.rewards.bounded._GRACE", 0.05)


def test_values_come_back_from_another_thread():
    worker = BoundedWorker("r")
    assert worker.run(lambda: 3, LONG) == Outcome(3)
    names = {worker.run(lambda: threading.current_thread().name, LONG).value for _ in range(3)}
    assert names == {"reward r"}


def test_awaitables_are_awaited_on_one_loop():
    worker = BoundedWorker("r")

    async def loop():
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    assert worker.run(loop, LONG).value == worker.run(loop, LONG).value


@pytest.mark.parametrize("kind", [ValueError, TimeoutError, SystemExit, KeyboardInterrupt])
def test_whatever_is_raised_comes_back_as_a_failure(kind):
    def fail():
        raise kind("no")

    async def fail_later():
        fail()

    worker = BoundedWorker("r")
    outcome = worker.run(fail, LONG)
    assert type(outcome.failure) is kind and not outcome.late
    if kind in (ValueError, TimeoutError):
        outcome = worker.run(fail_later, LONG)
        assert type(outcome.failure) is kind and not outcome.late
    assert worker.run(lambda: 1, LONG).value == 1


def test_a_hang_is_late_and_the_next_call_has_a_fresh_thread(gate, quick):
    worker = BoundedWorker("r")
    first = worker.run(threading.get_ident, LONG).value
    assert worker.run(gate.wait, 0.01).late
    assert worker.run(threading.get_ident, LONG).value != first


def test_a_late_coroutine_is_cancelled_and_its_thread_kept():
    cancelled = []

    async def hang():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    worker = BoundedWorker("r")
    first = worker.run(threading.get_ident, LONG).value
    assert worker.run(hang, 0.01).late
    assert cancelled == [True]
    assert worker.run(threading.get_ident, LONG).value == first


def test_three_late_calls_in_a_row_stop_the_run(gate, quick):
    worker = BoundedWorker("slow_judge")
    for _ in range(2):
        assert worker.run(gate.wait, 0.01).late
    assert worker.run(lambda: 1, LONG).value == 1  # an answer in between starts the count again
    for _ in range(2):
        assert worker.run(gate.wait, 0.01).late
    with pytest.raises(RewardError, match=r"The reward slow_judge hung 3 times in a row.*0\.01 s"):
        worker.run(gate.wait, 0.01)


def test_a_thread_ends_with_its_worker():
    worker = BoundedWorker("leaving")
    worker.run(lambda: None, LONG)
    (thread,) = [t for t in threading.enumerate() if t.name == "reward leaving"]
    del worker
    thread.join(timeout=LONG)
    assert not thread.is_alive()
