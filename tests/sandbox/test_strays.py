"""Detached descendants are found and ended; known children are left alone."""

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")

CODE = """
    import os, signal, time
    from sibling.sandbox import strays
    LOOK
    strays.adopt()
    known = os.fork()
    if not known:
        time.sleep(60)
        os._exit(0)
    read, write = os.pipe()
    middle = os.fork()
    if not middle:
        os.setsid()
        if not os.fork():
            os.setsid()
            if not os.fork():
                os.write(write, b"x")
                time.sleep(60)
            time.sleep(60)
        os.read(read, 1)
        os._exit(0)
    os.waitpid(middle, 0)
    assert len(strays.children()) == 2, strays.children()
    strays.end({known})
    assert strays.children() == [known], strays.children()
    assert os.waitpid(known, os.WNOHANG) == (0, 0)
    os.kill(known, signal.SIGKILL)
    os.waitpid(known, 0)
"""


@pytest.mark.parametrize("look", ["", "strays.children = lambda: strays._by_parent(os.getpid())"])
def test_descendants_of_a_detached_process(apart, look):
    done = apart(CODE.replace("LOOK", look))
    assert done.returncode == 0, done.stderr
