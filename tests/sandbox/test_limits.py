"""The limits as the kernel holds them, each in a process of its own."""

import os
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the numbers are Linux's")


def test_each_limit_is_set_and_cannot_be_raised(apart):
    done = apart("""
        import resource
        from sibling.sandbox.limits import Limits, hold
        hold(Limits(cpu_seconds=1.2, memory=100 << 20, processes=5, file_bytes=1000, open_files=20), space=50, users=7)
        for name in ("CPU", "AS", "NPROC", "FSIZE", "NOFILE", "CORE", "MEMLOCK", "MSGQUEUE"):
            soft, hard = resource.getrlimit(getattr(resource, "RLIMIT_" + name))
            print(name, soft, hard)
    """)
    assert done.stdout.split("\n")[:-1] == [
        "CPU 2 2", f"AS {(100 << 20) + 50} {(100 << 20) + 50}", "NPROC 12 12", "FSIZE 1000 1000", "NOFILE 20 20",
        "CORE 0 0", "MEMLOCK 0 0", "MSGQUEUE 0 0",
    ]  # fmt: skip


def test_a_hard_limit_that_is_lower_stays(apart):
    done = apart("""
        import resource
        from sibling.sandbox.limits import Limits, hold
        resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
        hold(Limits(open_files=64), space=1 << 32, users=0)
        print(resource.getrlimit(resource.RLIMIT_NOFILE))
    """)
    assert done.stdout == "(10, 10)\n"


def test_space_and_processes_of_the_user(apart):
    done = apart("""
        import mmap, os, threading
        from sibling.sandbox import limits
        before = limits.space_used()
        kept = mmap.mmap(-1, 1 << 30)
        assert 1 << 30 <= limits.space_used() - before < (1 << 30) + (1 << 26)
        assert before > limits.SPARE
        if os.geteuid() == 0:
            assert limits.others_of_user() == 0
            os.setresuid(12345, 12345, 12345)
        assert limits.others_of_user() == 0
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        assert limits.others_of_user() == 1
        stop.set()
        thread.join()
    """)
    if os.geteuid() == 0:
        assert done.returncode == 0, done.stderr
