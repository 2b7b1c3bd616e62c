"""What a program may read of the machine, and reading it where the interpreter lies in a closed directory."""

import os
import sys

import pytest

from sibling.sandbox import library

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the paths are Linux's")


def test_the_library_is_readable_and_packages_are_hidden(apart):
    done = apart("""
        from sibling.sandbox import library
        print(*library.readable(), sep="\\n")
        print("hidden")
        print(*library.hidden(), sep="\\n")
    """)
    readable, hidden = done.stdout.split("hidden\n")
    paths = readable.split()
    assert os.path.dirname(os.__file__) in paths and len(paths) == len(set(paths))
    assert all(os.path.exists(path) for path in paths)
    assert not {"/", "/etc", "/usr", "/root", "/home", "/var", "/tmp", "/proc"} & set(paths)
    assert all(path.endswith("-packages") for path in hidden.split())


def test_links_of_the_system(apart):
    assert all(os.path.islink(path) for path in library.links())


def test_a_closed_library_is_imported_from_links(apart, tmp_path):
    """The library moves; modules of packages that were already imported are found in the new place."""
    done = apart(f"""
        import os, sys, json
        from sibling.sandbox import library
        old = os.path.dirname(os.__file__)
        library._open_to_all = lambda path: False
        library.shadow({str(tmp_path)!r})
        new = {str(tmp_path / "library")!r}
        import json.tool, encodings.idna, sqlite3, email.mime.text
        for module in (json.tool, encodings.idna, sqlite3, email.mime.text):
            assert module.__file__.startswith(new), module
        assert not any(path.startswith(old) for path in sys.path), sys.path
        assert new in library.readable() and old not in library.readable()
        assert not os.path.exists(new + "/site-packages") and not os.path.exists(new + "/test")
    """)
    assert done.returncode == 0, done.stderr


def test_an_open_library_stays_where_it_is(apart, tmp_path):
    done = apart(f"""
        import os
        from sibling.sandbox import library
        library._open_to_all = lambda path: True
        library.shadow({str(tmp_path)!r})
        assert os.listdir({str(tmp_path)!r}) == []
    """)
    assert done.returncode == 0, done.stderr


def test_open_to_all(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    os.chmod(tmp_path, 0o700)
    assert library._open_to_all("/usr/lib") and not library._open_to_all(str(inner))
