"""A blob as it comes: a reader that goes on where a broken connection left off.

In: a way to open the blob at an offset, its size. Out: its bytes in order, each once. What the
server says of the part it sends is checked before a byte of it is believed; a server that sends
the whole again is heard out up to the offset. Whether the bytes are the blob is for the caller to
find out, by its digest. Guarantees R7, S23.
"""

from __future__ import annotations

from collections.abc import Callable

from buildkit.errors import ImageError
from buildkit.registry.errors import RegistryError, UnreachableError
from buildkit.registry.limits import Limits
from buildkit.registry.retry import Tries
from buildkit.registry.transport import Answer
from buildkit.registry.watch import Watch

_PROGRESS = 8 << 20
"""Bytes after which a failure counts as the first again."""


class BlobReader:
    """Reads a blob of exactly `size` bytes; more or fewer are an error. `close` it."""

    def __init__(
        self,
        open_at: Callable[[int], Answer],
        size: int,
        what: str,
        limits: Limits,
        watch: Watch,
    ) -> None:
        self._open_at = open_at
        self._size = size
        self._what = what
        self._tries = Tries(limits, watch)
        self._answer: Answer | None = None
        self._mark = 0
        self.given = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end.

        Raises RegistryError, ImageError, Cancelled.
        """
        while True:
            try:
                return self._some(size)
            except RegistryError as error:
                self.close()
                self._tries.failed(error)

    def close(self) -> None:
        """End the transfer."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def _some(self, size: int) -> bytes:
        if self._answer is None:
            if self.given == self._size:
                return b""
            self._answer = self._opened()
        data = self._answer.read(min(size, self._size - self.given) or 1)
        if not data:
            if self.given == self._size:
                self.close()
                return b""
            raise UnreachableError(
                f"{self._what} breaks off after {self.given} of {self._size} bytes"
            )
        if self.given + len(data) > self._size:
            raise ImageError(f"{self._what} has more than the announced {self._size} bytes")
        self.given += len(data)
        if self.given - self._mark >= _PROGRESS:
            self._mark = self.given
            self._tries.succeeded()
        return data

    def _opened(self) -> Answer:
        """Open the blob where we are."""
        answer = self._open_at(self.given)
        try:
            length = _number(answer.headers.get("Content-Length", ""))
            if answer.status == 206:
                _check_range(answer, self.given, self._size, self._what)
            elif length is not None and length != self._size:
                raise ImageError(
                    f"{self._what} has {length} bytes instead of the announced {self._size}"
                )
            else:
                self._skip(answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _skip(self, answer: Answer) -> None:
        """Read past what was had already: the server sends all of it again."""
        left = self.given
        while left:
            data = answer.read(left)
            if not data:
                raise UnreachableError(f"{self._what} breaks off again, even earlier")
            left -= len(data)


def _check_range(answer: Answer, start: int, size: int, what: str) -> None:
    """Raise UnreachableError when the part that comes is not the one that was asked for."""
    text = answer.headers.get("Content-Range", "")
    unit, _, rest = text.partition(" ")
    span, _, total = rest.partition("/")
    first, _, _ = span.partition("-")
    if unit.lower() != "bytes" or _number(first) != start or _number(total) not in (None, size):
        raise UnreachableError(f"{what} comes in another part than asked for: {text[:80]!r}")


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
