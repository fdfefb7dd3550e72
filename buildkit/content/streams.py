"""Streams of bytes: how they are read and written here, and checked on the way.

A reader gives bytes until none are left, a sink takes them. Nothing is ever held whole.
"""

from __future__ import annotations

from buildkit.errors import ImageError
from buildkit.oci.digest import Digest, hasher
from runtime.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias


CHUNK = 1 << 20

Sink: TypeAlias = "Callable[[bytes], object]"
"""Takes the next bytes of a stream; raises to stop it."""


class Reader(Protocol):
    """Gives the next bytes of a stream: at most `size`, perhaps fewer, none at the end."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""
        ...


class VerifyingReader:
    """Passes a stream on and raises ImageError as soon as it is not the blob `expected`.

    A digest is known to be right only once b"" has been returned, so read to the end. `what` is
    what errors call the stream. None for `size` or `expected`: anything will do.
    """

    def __init__(
        self,
        source: Reader,
        *,
        expected: Digest | None,
        size: int | None = None,
        what: str = "blob",
    ) -> None:
        self._source = source
        self._expected = expected
        self._size = size
        self._what = what
        self._hash = hasher(size)
        self.seen = 0

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        data = self._source.read(size)
        if data:
            self.seen += len(data)
            if self._size is not None and self.seen > self._size:
                raise ImageError(f"{self._what} has more than the announced {self._size} bytes")
            self._hash.update(data)
            return data
        if self._size is not None and self.seen != self._size:
            raise ImageError(
                f"{self._what} ends after {self.seen} of the announced {self._size} bytes"
            )
        if self._expected is not None and self.digest() != self._expected:
            raise ImageError(
                f"{self._what} is not what its digest says: {self._expected} is announced, "
                f"{self.digest()} came"
            )
        return b""

    def digest(self) -> Digest:
        """Return the digest of what was read so far."""
        return Digest("sha256:" + self._hash.hexdigest())


class Rejoined:
    """A stream whose first bytes were looked at and are given again."""

    def __init__(self, head: bytes, rest: Reader) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """See `Reader`."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._rest.read(size)


def copy(source: Reader, sink: Sink) -> int:
    """Pass everything from `source` to `sink`; return the number of bytes."""
    size = 0
    while data := source.read(CHUNK):
        sink(data)
        size += len(data)
    return size
