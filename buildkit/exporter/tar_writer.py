"""Archives of few large members, written the same way every time.

In: names and contents. Out: a ustar stream whose members are plain files of nobody in particular
with time 0, so that equal images give equal archives. Source: POSIX.1-2017 pax.
"""

from __future__ import annotations

from collections.abc import Callable

from buildkit.content.streams import Sink
from buildkit.errors import StoreError
from buildkit.exporter.destination import Rewrite

BLOCK = 512
_END = 2 * BLOCK
OCTAL_LIMIT = 8**11
"""Bytes from which on the size of a member has no room in its header."""


class TarWriter:
    """Writes members to `sink` one after the other; end with `finish`.

    With `rewrite` a member may get its name behind its content: `names_late`.
    """

    def __init__(self, sink: Sink, rewrite: Rewrite | None = None) -> None:
        self._to = sink
        self._rewrite = rewrite
        self._offset = 0
        self.names_late = rewrite is not None

    def add(self, name: str, content: bytes) -> None:
        """Write a member whole."""
        self._sink(header(name, len(content)) + content + padding(len(content)))

    def stream(self, name: str, size: int, produce: Callable[[Sink], object]) -> None:
        """Write a member of `size` bytes that `produce` gives to the sink it is called with.

        Raises StoreError when it gives more or fewer.
        """
        self._sink(header(name, size))
        given = 0

        def counted(block: bytes) -> None:
            nonlocal given
            given += len(block)
            if given > size:
                raise StoreError(f"{name} is longer than the {size} bytes it should have")
            self._sink(block)

        produce(counted)
        if given != size:
            raise StoreError(f"{name} has {given} bytes and should have {size}")
        if rest := padding(size):
            self._sink(rest)

    def stream_unnamed(self, produce: Callable[[Sink], str]) -> None:
        """Write a member that `produce` gives to the sink it is called with; it returns the name.

        Of less than 8 GiB, so that its size has room in a header that is there already. For
        writers that name late.
        """
        assert self._rewrite is not None
        start = self._offset
        self._sink(bytes(BLOCK))
        name = produce(self._sink)
        size = self._offset - start - BLOCK
        if size >= OCTAL_LIMIT:
            raise StoreError(f"{name} has {size} bytes, too many for a name that comes late")
        if rest := padding(size):
            self._sink(rest)
        self._rewrite(start, header(name, size))

    def directory(self, name: str) -> None:
        """Write a directory; some readers want those above a member."""
        self._sink(header(f"{name}/", 0, kind=b"5", mode=0o755))

    def finish(self) -> None:
        """Write the end mark."""
        self._sink(bytes(_END))

    def _sink(self, block: bytes) -> None:
        self._offset += len(block)
        self._to(block)


def header(name: str, size: int, *, kind: bytes = b"0", mode: int = 0o644) -> bytes:
    """Return the header of a member; a size of 8 GiB and more goes into a pax header in front."""
    if size < OCTAL_LIMIT:
        return _ustar(name, size, kind, mode)
    record = _record("size", str(size))
    extended = _ustar("PaxHeaders/size", len(record), b"x", 0o644) + record + padding(len(record))
    return extended + _ustar(name, 0, kind, mode)


def padding(size: int) -> bytes:
    """Return what fills the last block of `size` bytes."""
    return bytes(-size % BLOCK)


def _ustar(name: str, size: int, kind: bytes, mode: int) -> bytes:
    encoded = name.encode("ascii")
    if len(encoded) > 100:
        raise ValueError(f"longer than the names of an image archive ever are: {name}")
    fields = b"".join(
        (
            encoded.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0" % 0,
            b"%07o\0" % 0,
            b"%011o\0" % size,
            b"%011o\0" % 0,
            b" " * 8,
            kind,
            bytes(100),
            b"ustar\x0000",
        )
    ).ljust(BLOCK, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def _record(key: str, value: str) -> bytes:
    """Return a pax record; its length counts itself."""
    rest = f" {key}={value}\n".encode()
    size = len(rest) + 1
    while len(str(size)) + len(rest) != size:
        size = len(str(size)) + len(rest)
    return str(size).encode() + rest
