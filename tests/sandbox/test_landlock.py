"""Landlock alone, in a process of its own: what it denies, what stays."""

import os
import socket
import sys
import textwrap

import pytest

from sibling.sandbox import landlock
from sibling.sandbox.levels import Level
from sibling.sandbox.probe import missing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")

TRY = """
    import os, signal, socket, sys
    from sibling.sandbox import landlock, privileges
    privileges.drop()
    landlock.confine([folder + "/read", folder + "/missing"], [folder + "/write", "/dev/null"], ABI)
    def tried(name, attempt):
        try:
            attempt()
            print(name)
        except OSError:
            pass
    def unix():
        with socket.socket(socket.AF_UNIX) as link:
            link.connect("\\0" + abstract)
    tried("read", lambda: open(folder + "/read/file").close())
    tried("list", lambda: os.listdir(folder + "/read"))
    tried("write read", lambda: open(folder + "/read/file", "w").close())
    tried("write", lambda: open(folder + "/write/new", "w").close())
    tried("move in", lambda: os.rename(folder + "/read/file", folder + "/write/file"))
    tried("outside", lambda: open(folder + "/secret").close())
    tried("list outside", lambda: os.listdir(folder))
    tried("make outside", lambda: os.mkdir(folder + "/new"))
    tried("truncate", lambda: os.truncate(folder + "/read/file", 0))
    tried("socket file", lambda: socket.socket(socket.AF_UNIX).bind(folder + "/write/socket"))
    tried("null", lambda: open("/dev/null", "w").close())
    tried("tcp", lambda: socket.socket().connect(("127.0.0.1", port)))
    tried("abstract", unix)
    tried("signal", lambda: os.kill(int(parent), 0))
"""


def go(apart, tmp_path, abi):
    if missing(Level.filtered):
        pytest.skip(missing(Level.filtered))
    for name in ("read", "write"):
        (tmp_path / name).mkdir()
    (tmp_path / "read/file").write_text("x")
    (tmp_path / "secret").write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0sibling-landlock-" + str(os.getpid()))
        unix.listen()
        port, name = tcp.getsockname()[1], unix.getsockname()[1:].decode()
        values = f"folder, port, abstract, parent = {str(tmp_path)!r}, {port}, {name!r}, {os.getpid()}\n"
        done = apart(values + textwrap.dedent(TRY.replace("ABI", str(abi))))
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_all_that_this_kernel_has(apart, tmp_path):
    abi = landlock.version() if not missing(Level.filtered) else 0
    allowed = ["read", "list", "write", "null"]
    allowed += [] if abi >= 3 else ["truncate"]
    allowed += [] if abi >= 4 else ["tcp"]
    allowed += [] if abi >= 6 else ["abstract", "signal"]
    assert go(apart, tmp_path, abi) == allowed


def test_the_first_version_denies_files_only(apart, tmp_path):
    assert go(apart, tmp_path, 1) == ["read", "list", "write", "truncate", "null", "tcp", "abstract", "signal"]


def test_a_rule_for_one_file_does_not_name_its_directory(apart, tmp_path):
    if missing(Level.filtered):
        pytest.skip(missing(Level.filtered))
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    done = apart(f"""
        from sibling.sandbox import landlock, privileges
        privileges.drop()
        landlock.confine([{str(tmp_path / "one")!r}], [], landlock.version())
        print(open({str(tmp_path / "one")!r}).read())
        try:
            open({str(tmp_path / "two")!r})
        except PermissionError:
            print("denied")
    """)
    assert done.stdout == "1\ndenied\n", done.stderr
