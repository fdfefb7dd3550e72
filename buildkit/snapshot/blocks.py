"""gzip made of blocks that are compressed on their own, several at once.

In: a stream in blocks of 1 MiB, the last one shorter. Out: one gzip member. Each block is a run
of deflate blocks that refers to nothing before it and ends on a byte, so threads can make them
side by side (the library lets go of the interpreter) and the bytes depend on the input alone:
neither on the number of processors nor on timing. It costs half a percent in size. Noise, what
is compressed or encrypted already, is stored as it is. Source: RFC 1951 chapter 3, RFC 1952.

The bytes are remembered and made again under the compressor's name (`compression.py`): what changes
them changes that name.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from isal import isal_zlib

from buildkit.content.streams import CHUNK

_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""No name, no time, no operating system."""

_END = b"\x03\x00"
"""A last deflate block with nothing in it."""

_AT_MOST = 4
"""Threads; sha256 of the uncompressed stream keeps step with four, not with more."""

_RAW = -15
_LONGEST_STORED = 0xFFFF


class GzipBlocks:
    """Compresses like an object of zlib, but must be given 1 MiB at a time.

    `level`: of ISA-L. `is_noise` says of a block whether it is to be stored as it is.
    """

    def __init__(self, level: int, is_noise: Callable[[bytes | memoryview], bool]) -> None:
        self._level = level
        self._is_noise = is_noise
        self._crc = 0
        self._size = 0
        self._head = _HEADER
        self._threads = min(_AT_MOST, len(os.sched_getaffinity(0)))
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[Future[bytes]] = deque()

    def compress(self, block: bytes | memoryview) -> bytes:
        """Take the next block; return what is ready."""
        self._crc = isal_zlib.crc32(block, self._crc)
        self._size += len(block)
        head, self._head = self._head, b""
        if not self._is_long(block):
            return head + self._drained() + self._deflated(block)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "pybuild-gzip")
        self._pending.append(self._pool.submit(self._deflated, block))
        ready = self._pending.popleft().result() if len(self._pending) > self._threads else b""
        return head + ready if head else ready

    def flush(self) -> bytes:
        """Return the rest. Must be called once."""
        trailer = struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)
        rest = self._head + self._drained() + _END + trailer
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        return rest

    def _is_long(self, block: bytes | memoryview) -> bool:
        """Say whether the block is worth a thread."""
        return self._threads > 1 and len(block) == CHUNK

    def _drained(self) -> bytes:
        ready = b"".join(future.result() for future in self._pending)
        self._pending.clear()
        return ready

    def _deflated(self, block: bytes | memoryview) -> bytes:
        if not block:
            return b""
        if self._is_noise(block):
            return _stored(block)
        stream = isal_zlib.compressobj(self._level, wbits=_RAW)
        # The empty stored block of a flush makes it end on a byte.
        data: bytes = stream.compress(block) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
        return data


def _stored(block: bytes | memoryview) -> bytes:
    """Return deflate's stored blocks, none of them the last. Source: RFC 1951, 3.2.4."""
    view = memoryview(block)
    parts: list[bytes | memoryview] = []
    for start in range(0, len(block), _LONGEST_STORED):
        piece = view[start : start + _LONGEST_STORED]
        parts += (struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF), piece)
    return b"".join(parts)
