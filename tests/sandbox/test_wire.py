"""Messages with descriptors over a stream that may cut them anywhere."""

import os
import socket
import threading

import pytest

from sibling.sandbox import wire

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs sockets of the Unix family")


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(5)
        other.settimeout(5)
        yield one, other


def test_descriptors_come_with_their_own_message(pair):
    one, other = pair
    read, write = os.pipe()
    wire.send(one, {"number": 1}, [write])
    wire.send(one, {"number": 2})
    wire.send(one, {"number": 3}, [read, write])
    counts = []
    for number in (1, 2, 3):
        message, fds = wire.receive(other)
        assert message == {"number": number}
        counts.append(len(fds))
        for fd in fds:
            os.close(fd)
    assert counts == [1, 0, 2]
    os.close(read)
    os.close(write)


def test_a_large_message(pair):
    one, other = pair
    sender = threading.Thread(target=wire.send, args=(one, {"text": "x" * 2_000_000}, [0]))
    sender.start()
    message, fds = wire.receive(other)
    sender.join()
    os.close(fds[0])
    assert len(message["text"]) == 2_000_000 and len(fds) == 1


@pytest.mark.parametrize("data", [b"", b"\x05\0", b"\x05\0\0\0", b"\x05\0\0\0{}"])
def test_an_end_in_the_middle_is_the_end(pair, data):
    one, other = pair
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    if data:
        socket.send_fds(one, [data], [0])
    one.shutdown(socket.SHUT_WR)
    assert wire.receive(other) is None
    if before:
        assert len(os.listdir("/proc/self/fd")) == before  # what came with it is closed
