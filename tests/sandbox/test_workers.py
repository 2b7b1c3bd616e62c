"""Calls in processes that can be killed."""

import gc
import os
import threading
import time

import pytest

from sibling.errors import RewardError
from sibling.sandbox.workers import Workers


def test_values_come_back_and_failures_are_answers():
    workers = Workers("math", "sqrt")
    assert workers.call(16, 5).value == 4.0
    raised = workers.call("x", 5)
    assert (raised.failure, raised.value) == ("raised", None)
    assert raised.message.startswith("TypeError")
    assert workers.call(9, 5).value == 3.0  # the process goes on after a failure
    workers.close()


def test_a_late_call_is_killed_and_the_next_one_gets_a_fresh_process():
    workers = Workers("time", "sleep")
    start = time.monotonic()
    late = workers.call(60, 0.2)
    assert late.failure == "timeout"
    assert time.monotonic() - start < 30
    assert workers.call(0, 5).failure == ""
    workers.close()


def test_what_holds_the_global_lock_is_killed_too():
    """A power tower never lets another thread of its process look at a clock."""
    workers = Workers("math", "factorial")
    assert workers.call(10**8, 0.3).failure == "timeout"
    assert workers.call(5, 5).value == 120
    workers.close()


def test_memory_is_capped():
    workers = Workers("sibling.canonical", "canonical_json", memory_mb=512)
    assert workers.call({}, 5).failure == "raised"  # bytes are no JSON value, and that is said
    workers.close()
    hungry = Workers("builtins", "bytearray", memory_mb=512)
    assert hungry.call(1 << 33, 10).failure == "memory"
    hungry.close()


def test_a_process_that_dies_is_an_answer():
    workers = Workers("os", "_exit")
    assert workers.call(3, 5).failure == "died"
    assert workers.call(3, 5).failure == "died"
    workers.close()


def test_a_function_that_is_not_there_is_an_error():
    with pytest.raises(RewardError, match="did not start"):
        Workers("math", "no_such_function").call(1, 5)


def test_half_surrogates_and_nul_bytes_travel():
    workers = Workers("builtins", "str")
    assert workers.call("\ud800 \x00 é", 5).value == "\ud800 \x00 é"
    workers.close()


def test_calls_from_threads_share_the_processes():
    workers = Workers("os", "getpid", count=2)
    with pytest.raises(AssertionError):  # getpid takes no argument: the answer is a failure, in whichever process
        assert workers.call(None, 5).failure == ""
    workers.close()
    workers = Workers("builtins", "abs", count=2)
    found: dict[int, object] = {}

    def ask(n: int) -> None:
        found[n] = workers.call(-n, 10).value

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: n for n in range(8)}
    workers.close()


def test_the_processes_end_with_the_object():
    workers = Workers("math", "sqrt")
    workers.call(4, 5)
    (worker,) = [w for w in list(workers._idle.queue) if w is not None]
    pid = worker._process.pid
    del workers, worker
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
