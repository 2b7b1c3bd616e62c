from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sibling.errors import RecordError
from sibling.record.lock import DirectoryLock, holder


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    with pytest.raises(RecordError, match=f"process {os.getpid()} holds"):
        DirectoryLock(tmp_path)
    assert holder(tmp_path) == os.getpid()
    lock.release()
    lock.release()
    assert holder(tmp_path) is None
    DirectoryLock(tmp_path).release()


def test_a_lock_file_left_by_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from sibling.record.lock import DirectoryLock;"
        "lock = DirectoryLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    assert (tmp_path / "lock").read_text().strip().isdigit()
    assert holder(tmp_path) is None
    DirectoryLock(tmp_path).release()


def test_a_forked_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path; from sibling.record.lock import DirectoryLock\n"
        "lock = DirectoryLock(Path(sys.argv[1]))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.close(1); signal.pause()\n"
        "print(child, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, check=False)
    orphan = int(done.stdout)
    try:
        os.kill(orphan, 0)  # it is alive
        DirectoryLock(tmp_path).release()
    finally:
        os.kill(orphan, 9)


def test_a_directory_without_lock_file_is_free(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with pytest.raises(RecordError, match="does not exist"):
        DirectoryLock(tmp_path / "none")
