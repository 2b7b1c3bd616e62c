"""Settings of the process, looked at from a fresh one."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
from sibling.pipeline.process import prepare
if sys.argv[1] == "prepared":
    prepare()
allocate, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
allocate.restype, allocate.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
before = 0
for round in range(6):
    block = allocate(1 << 26)
    ctypes.memset(block, 1, 1 << 26)
    free(block)
    if round == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **more: str) -> int:
    """Page faults of five rounds of taking, filling and freeing 64 MB, after a first one."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))} | more
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_kept() -> None:
    assert faults("as it is") > 5_000
    assert faults("prepared") < 500


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_the_environments_own_settings_stand() -> None:
    assert faults("prepared", MALLOC_MMAP_THRESHOLD_="131072") > 5_000


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_waiting_threads_soon_sleep_unless_told_otherwise(given: dict[str, str], wanted: str) -> None:
    code = "from sibling.pipeline.process import prepare; import os; prepare(); print(os.environ.get('GOMP_SPINCOUNT'))"
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == wanted
