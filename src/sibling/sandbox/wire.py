"""Messages between the caller and the server: a length and a JSON object on a stream socket, descriptors beside it."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

_HEAD = struct.Struct("<I")
_MOST_FDS = 64


def send(to: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message. Raises `OSError` if the other side is gone."""
    body = json.dumps(message).encode("ascii")
    data = _HEAD.pack(len(body)) + body
    sent = socket.send_fds(to, [data], list(fds)) if fds else 0
    to.sendall(data[sent:])


def receive(source: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message with its descriptors, or None if the other side closed.

    The descriptors are the receiver's to close.
    """
    fds: list[int] = []
    head = b""
    while len(head) < _HEAD.size:  # never reads past the head: descriptors of the next message would come too early
        data, more, _, _ = socket.recv_fds(source, _HEAD.size - len(head), _MOST_FDS)
        fds += more
        head += data
        if not data:
            _closed(fds)
            return None
    body = b""
    (size,) = _HEAD.unpack(head)
    while len(body) < size:
        data = source.recv(size - len(body))
        body += data
        if not data:
            _closed(fds)
            return None
    message: dict[str, Any] = json.loads(body)
    return message, fds


def _closed(fds: list[int]) -> None:
    """Nothing whole came: close what came with it."""
    for fd in fds:
        os.close(fd)
