"""From the upper directory of an overlay to the changes that make a layer.

In: descriptors of an upper directory that nothing writes to any more, and of the merged tree
below it (None: nothing is below). Out: the changes, in the order of the layer. On the way the
upper is *settled*: what says nothing new is removed from it, so that afterwards the directory
alone determines the layer's tar and it can be made again at any time. Removed are

- files that were copied up and are as they were (`chown -R` of what is owned already): same type,
  mode, owner, size, time, attributes and bytes. A copy-up keeps the time, so a different one means
  a change and no bytes are compared;
- directories that only lead to such files: same mode, owner, attributes. Their time alone is no
  change, as for Moby BuildKit;
- whiteouts of what is not below, and the opaque mark where no directory is below (overlayfs marks
  every new directory that replaces something);
- sockets, which no layer can hold.

Names that begin with `.wh.` would delete other files when the layer is applied; they are refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from buildkit.errors import StepError
from buildkit.snapshot.layer import WHITEOUT
from buildkit.snapshot.marks import is_opaque, is_whiteout, make_transparent, make_whiteout, seen_in
from buildkit.tree.descent import Descent
from buildkit.tree.entry import Entry, entry_of, make, read_xattrs, text
from buildkit.tree.walk import FILE, sorted_names
from runtime import owners
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


_CHUNK = 256 << 10


class Present(NamedTuple):
    """Something that is there now. `fd` reads it until the next change is asked for, or is -1."""

    entry: Entry
    fd: int
    is_new: bool


class Deleted(NamedTuple):
    """The tree below has `path`; the merged tree has not."""

    path: bytes


class Opaque(NamedTuple):
    """Nothing of what the tree below has in the directory `path` shows. Follows its `Present`."""

    path: bytes


Found: TypeAlias = Present | Deleted | Opaque


class _Directory:
    """A directory on the way down: what is still to do in it and afterwards."""

    __slots__ = ("below", "dirty", "found", "held", "name", "path", "todo")

    def __init__(self, path: bytes, name: bytes, found: os.stat_result, todo: list[bytes]) -> None:
        self.path = path
        self.name = name
        self.found = found
        self.todo = todo
        self.below = False
        """Whether the tree below has this directory and it shows through."""
        self.held: Entry | None = None
        """The entry, not yet given out: it is no change unless something in it is."""
        self.dirty = False
        """Whether its time must be set again."""


class Settling:
    """One pass over an upper directory; iterate it once."""

    def __init__(self, upper_fd: int, lower_fd: int | None, clamp: int | None = None) -> None:
        """See the module; no time stays later than `clamp` (seconds since the epoch)."""
        self._top = upper_fd
        self._seen = seen_in(upper_fd)
        self._upper = Descent(upper_fd)
        self._lower = None if lower_fd is None else Descent(lower_fd)
        self._clamp = None if clamp is None else clamp * 1_000_000_000
        self._way: list[_Directory] = []

    def __iter__(self) -> Iterator[Found]:
        """Settle and yield the changes; the root itself is not among them."""
        fd = self._upper.fd
        root = _Directory(b"", b"", owners.stat_of(fd), sorted_names(fd)[::-1])
        root.below = self._lower is not None
        self._way.append(root)
        try:
            while self._way:
                directory = self._way[-1]
                if directory.todo:
                    yield from self._visit(directory, directory.todo.pop())
                else:
                    self._leave()
        finally:
            self._upper.close()
            if self._lower is not None:
                self._lower.close()

    def _visit(self, directory: _Directory, name: bytes) -> Iterator[Found]:
        fd = self._upper.fd
        path = directory.path + name
        found = owners.stat_at(name, fd)
        if self._seen is not None:
            found = self._seen(found, fd, name)
        lower = self._below(name) if directory.below else None
        if is_whiteout(found) or stat.S_ISSOCK(found.st_mode):
            yield from self._absent(directory, name, found, lower)
            return
        if name.startswith(WHITEOUT):
            raise StepError(
                f"/{text(path)} cannot be in a layer: names that begin with .wh. mean deletions",
                hint="remove the file in the step that makes it, or name it differently",
            )
        if stat.S_ISDIR(found.st_mode):
            yield from self._enter(path, name, found, lower)
        elif stat.S_ISREG(found.st_mode):
            yield from self._file(directory, name, found, lower)
        else:
            yield from self._other(directory, name, found, lower)

    def _below(self, name: bytes) -> os.stat_result | None:
        assert self._lower is not None
        try:
            return owners.stat_at(name, self._lower.fd)
        except FileNotFoundError:
            return None

    def _absent(
        self,
        directory: _Directory,
        name: bytes,
        found: os.stat_result,
        lower: os.stat_result | None,
    ) -> Iterator[Found]:
        """A whiteout, or a socket, which is left out."""
        if lower is not None and is_whiteout(found):
            yield from self._lead()
            yield Deleted(directory.path + name)
            return
        directory.dirty = True
        os.unlink(name, dir_fd=self._upper.fd)
        if lower is not None:
            make_whiteout(self._upper.fd, name, self._top)
            yield from self._lead()
            yield Deleted(directory.path + name)

    def _file(
        self,
        directory: _Directory,
        name: bytes,
        found: os.stat_result,
        lower: os.stat_result | None,
    ) -> Iterator[Found]:
        dir_fd = self._upper.fd
        fd = os.open(name, FILE, dir_fd=dir_fd)
        try:
            entry = make(directory.path + name, found, xattrs=read_xattrs(fd))
            # Several names: a link was made here, and dropping one name would break it.
            alike = lower is not None and entry.inode is None and _same_stat(found, lower)
            if alike and self._same_content(name, fd, entry):
                self._drop(directory, name)
                return
            entry = self._clamped(entry, name)
            yield from self._lead()
            yield Present(entry, fd, lower is None)
        finally:
            os.close(fd)

    def _same_content(self, name: bytes, fd: int, entry: Entry) -> bool:
        assert self._lower is not None
        other = os.open(name, FILE, dir_fd=self._lower.fd)
        try:
            if read_xattrs(other) != entry.xattrs:
                return False
            at = 0
            while at < entry.size:
                data = os.pread(fd, _CHUNK, at)
                if not data or data != os.pread(other, len(data), at):
                    return False
                at += len(data)
            return True
        finally:
            os.close(other)

    def _other(
        self,
        directory: _Directory,
        name: bytes,
        found: os.stat_result,
        lower: os.stat_result | None,
    ) -> Iterator[Found]:
        """A symlink, device or FIFO."""
        entry = entry_of(directory.path + name, name, self._upper.fd, found)
        if lower is not None and _same_stat(found, lower):
            assert self._lower is not None
            other = entry_of(directory.path + name, name, self._lower.fd, lower)
            if other == entry:
                self._drop(directory, name)
                return
        entry = self._clamped(entry, name)
        yield from self._lead()
        yield Present(entry, -1, lower is None)

    def _drop(self, directory: _Directory, name: bytes) -> None:
        os.unlink(name, dir_fd=self._upper.fd)
        directory.dirty = True

    def _enter(
        self, path: bytes, name: bytes, found: os.stat_result, lower: os.stat_result | None
    ) -> Iterator[Found]:
        fd = self._upper.enter(name)
        directory = _Directory(path + b"/", name, found, sorted_names(fd)[::-1])
        covers = lower is not None and stat.S_ISDIR(lower.st_mode)
        hides = is_opaque(fd)
        if hides and not covers:
            make_transparent(fd)
        entry = make(path, found, xattrs=read_xattrs(fd))
        if self._clamp is not None and entry.mtime_ns > self._clamp:
            entry = entry._replace(mtime_ns=self._clamp)
            directory.dirty = True
        if covers and not hides:
            assert self._lower is not None and lower is not None
            directory.below = True
            other = self._lower.enter(name)
            if _same_owner(found, lower) and read_xattrs(other) == entry.xattrs:
                directory.held = entry
        if directory.held is None:
            yield from self._lead()
            yield Present(entry, -1, lower is None)
            if covers and hides:
                yield Opaque(path)
        self._way.append(directory)

    def _lead(self) -> Iterator[Found]:
        """Give out the directories that lead here and were held back."""
        for directory in self._way:
            if directory.held is not None:
                entry, directory.held = directory.held, None
                yield Present(entry, -1, is_new=False)

    def _leave(self) -> None:
        directory = self._way.pop()
        if directory.dirty and directory.held is None:
            found = directory.found
            mtime = found.st_mtime_ns
            if self._clamp is not None:
                mtime = min(mtime, self._clamp)
            os.utime(self._upper.fd, ns=(found.st_atime_ns, mtime))
        if directory.below and self._lower is not None and self._way:
            self._lower.leave()
        if not self._way:
            return
        self._upper.leave()
        if directory.held is not None:
            self._way[-1].dirty = True
            os.rmdir(directory.name, dir_fd=self._upper.fd)

    def _clamped(self, entry: Entry, name: bytes) -> Entry:
        if self._clamp is None or entry.mtime_ns <= self._clamp:
            return entry
        times = (self._clamp, self._clamp)
        os.utime(name, ns=times, dir_fd=self._upper.fd, follow_symlinks=False)
        return entry._replace(mtime_ns=self._clamp)


def _same_owner(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether type, mode and owner are equal."""
    return (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)


def _same_stat(one: os.stat_result, other: os.stat_result) -> bool:
    return (
        one.st_mtime_ns == other.st_mtime_ns
        and one.st_size == other.st_size
        and _same_owner(one, other)
    )
