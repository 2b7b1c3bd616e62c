"""Messages on a stream: four bytes of length, then one encoded value. A message longer than the bound is refused."""

from __future__ import annotations

import socket
import struct

from sibling.rewards.code.inside.values import MOST_BYTES, MalformedError

_ROOM = 1 << 16  # for what is around a value of the largest size


def send(channel: socket.socket, body: bytes) -> None:
    """Send one message. Raises `OSError` if the other side is gone."""
    channel.sendall(struct.pack("<I", len(body)) + body)


def receive(channel: socket.socket) -> bytes | None:
    """The next message, or None if the other side closed. Raises `MalformedError`."""
    head = _exactly(channel, 4)
    if head is None:
        return None
    (size,) = struct.unpack("<I", head)
    if size > MOST_BYTES + _ROOM:
        raise MalformedError("a message that is too long")
    return _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = []
    while size:
        try:
            data = channel.recv(min(size, 1 << 20))
        except ConnectionError:
            return None
        if not data:
            return None
        parts.append(data)
        size -= len(data)
    return b"".join(parts)
