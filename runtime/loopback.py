"""The interface `lo` of a new network namespace, which starts down. Source: netdevice(7)."""

from __future__ import annotations

import _socket  # the plain module; `socket` costs 6 ms for its enums
import fcntl
import struct

_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 0x1


def up() -> None:
    """Bring `lo` up in the network namespace of the calling thread."""
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = struct.pack("16sh22x", b"lo", 0)
        answer = fcntl.ioctl(connection.fileno(), _GET_FLAGS, request)
        flags = struct.unpack_from("H", answer, 16)[0]
        request = struct.pack("16sH22x", b"lo", flags | _UP)
        fcntl.ioctl(connection.fileno(), _SET_FLAGS, request)
    finally:
        connection.close()
