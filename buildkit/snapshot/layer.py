"""The layer tar: entries in, bytes out, the same bytes for the same tree.

In: entries in the order of `tree.walk`, with descriptors to read from. Out: blocks of about
1 MiB to a sink. Deletions are empty files `.wh.NAME`, directories that hide what is below get
`.wh..wh..opq` (image-spec layer.md, "Whiteouts"). Files with several names in the layer are hard
links to the first of them. `pack_directory` makes the tar of a layer's directory, which holds
all that the tar needs to know.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable

from buildkit.content.streams import Sink
from buildkit.errors import StoreError
from buildkit.snapshot.marks import is_opaque, seen_in
from buildkit.snapshot.tarheader import END, header, marker, padding
from buildkit.tree.entry import Entry, text
from buildkit.tree.walk import GONE, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"

_WHOLE = 256 << 10
_CHUNK = 1 << 20
_SECOND = 1_000_000_000
_TICK = 20_000_000
"""Nanoseconds by which the clock of file systems may be behind that of programs."""

Meant: TypeAlias = Callable[[int], bool]
"""Says of the time of a file (ns) whether the step that wrote it has set it."""

Owned: TypeAlias = Callable[[int, int], tuple[int, int]]
"""From user and group of a file to others."""


class LayerWriter:
    """Writes one layer. `tap` also gets the content of files, uncut by headers.

    `owned` gives the owner to write for the one that a file has. `living`: somebody writes in the
    files meanwhile; one that gets shorter ends in zeros.
    """

    def __init__(
        self,
        sink: Sink,
        tap: Callable[[bytes], object] | None = None,
        owned: Owned | None = None,
        *,
        living: bool = False,
    ) -> None:
        self.files = 0
        self._living = living
        self._sink = sink
        self._tap = tap
        self._owned = owned
        self._parts: list[bytes] = []
        self._held = 0
        self._first: dict[tuple[int, int], bytes] = {}

    def link_of(self, entry: Entry) -> bytes | None:
        """Return the path under which this file is in the layer already."""
        return None if entry.inode is None else self._first.get(entry.inode)

    def add(self, entry: Entry, fd: int, mtime_ns: int | None = None) -> None:
        """Write an entry; `fd` is read when it is a regular file. `mtime_ns` instead of its own."""
        mtime = (entry.mtime_ns if mtime_ns is None else mtime_ns) // _SECOND
        self.files += 1
        if self._owned is not None:
            uid, gid = self._owned(entry.uid, entry.gid)
            entry = entry._replace(uid=uid, gid=gid)
        if entry.inode is not None:
            link = self._first.setdefault(entry.inode, entry.path)
            if link != entry.path:
                self._put(header(entry, mtime, link))
                return
        self._put(header(entry, mtime))
        if entry.size:
            self._content(entry, fd)

    def whiteout(self, path: bytes) -> None:
        """Write that the parent's `path` is deleted."""
        parent, slash, name = path.rpartition(b"/")
        self.files += 1
        self._put(marker(parent + slash + WHITEOUT + name, 0))

    def opaque(self, path: bytes) -> None:
        """Write that nothing of what the parent has in the directory `path` shows."""
        self._put(marker((path + b"/" if path else b"") + OPAQUE, 0))

    def finish(self) -> None:
        """Write the end of the tar."""
        self._put(END)
        self._flush()

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if self._held >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._parts:
            block = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts = []
            self._held = 0
            self._sink(block)

    def _content(self, entry: Entry, fd: int) -> None:
        left = entry.size
        while left:
            data = os.read(fd, min(left, _CHUNK) if left > _WHOLE else left)
            if not data and self._living:
                # As GNU tar does; the size has been written.
                data = bytes(min(left, _CHUNK))
            if not data:
                raise StoreError(f"/{text(entry.path)} became shorter while it was packed")
            left -= len(data)
            if self._tap is not None:
                self._tap(data)
            self._put(data)
        if entry.size & 511:
            self._put(padding(entry.size))


def meant_times(since: int, now: int, clamp: int | None) -> Meant:
    """Return which times a step has set that ran from `since` until `now` (ns since the epoch).

    Files that it just wrote have the time at which it did. What was later than `clamp` (seconds) is
    that by now, and may have been either.
    """
    clamped = None if clamp is None else clamp * _SECOND
    return lambda mtime: not since - _TICK <= mtime <= now and mtime != clamped


def pack_directory(
    root_fd: int,
    sink: Sink,
    *,
    with_root: bool,
    times: Iterable[tuple[bytes, int]] | None = None,
    meant: Meant | None = None,
    owned: Owned | None = None,
    living: bool = False,
) -> LayerWriter:
    """Write the tar of the layer in `root_fd`, return the finished writer.

    `with_root`: the root's own attributes are part of the layer. `times`: paths and times (ns) of
    another layer with the same names, first the root's, which are written instead; those that are
    `meant` have to be the same there. `owned`: see `LayerWriter`; so for `living`, and what goes
    meanwhile is left out. Raises StoreError when names or
    such times differ.
    """
    writer = LayerWriter(sink, owned=owned, living=living)
    others = None if times is None else iter(times)
    for entry, fd in walk(root_fd, seen=seen_in(root_fd), gone=GONE if living else ()):
        mtime_ns = None
        if others is not None:
            other = next(others, None)
            if other is None or other[0] != entry.path:
                raise StoreError(f"/{text(entry.path)} is not in the layer to compare with")
            mtime_ns = other[1]
            same = mtime_ns // _SECOND == entry.mtime_ns // _SECOND
            if meant is not None and not same and entry.path and meant(entry.mtime_ns):
                raise StoreError(f"/{text(entry.path)} has another time in the other layer")
        _pack_entry(writer, entry, fd, mtime_ns, with_root=with_root)
    writer.finish()
    return writer


def pack_without_times(root_fd: int, sink: Sink, *, with_root: bool) -> None:
    """Write the tar that the layer in `root_fd` would be if all were of 1970."""
    writer = LayerWriter(sink)
    for entry, fd in walk(root_fd, seen=seen_in(root_fd)):
        _pack_entry(writer, entry, fd, 0, with_root=with_root)
    writer.finish()


def _pack_entry(
    writer: LayerWriter, entry: Entry, fd: int, mtime_ns: int | None, *, with_root: bool
) -> None:
    if stat.S_ISCHR(entry.mode) and entry.rdev == 0:
        writer.whiteout(entry.path)
        return
    if entry.path or with_root:
        writer.add(entry, fd, mtime_ns)
    if stat.S_ISDIR(entry.mode) and is_opaque(fd):
        writer.opaque(entry.path)
