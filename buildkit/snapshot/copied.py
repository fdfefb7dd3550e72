"""A step's root without an overlay: the tree below is copied, and what has changed found after it.

In: the merged tree below, and the upper directory of a step. Out: the upper, filled with all of
that tree for the step to write in, and afterwards left with no more than an overlay would have in
it: what is as it was is removed, what has gone has a whiteout, a directory that is another one is
opaque. `diff.py` does the rest, as it does with overlayfs's own.

Files with several names become several files: overlayfs, too, parts them at the first write, but a
step that moves such a tree has a link in its layer there and two files here. A directory that was
moved away and back is unchanged here and all new there. A directory bears a mark of its path, in an
attribute of overlayfs's that is never part of a layer; one without it was made by the step. A file
was touched if its change time is not before the end of the copying, for nobody can set that one.
Source: kernel's filesystems/overlayfs.rst; inode(7), "ctime".
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable

from buildkit.errors import disk_error
from buildkit.snapshot.marks import (
    forget_whiteout,
    make_opaque,
    make_transparent,
    make_whiteout,
    opaque_attribute,
)
from buildkit.tree.descent import Descent, opened
from buildkit.tree.entry import Entry, below
from buildkit.tree.walk import sorted_names, walk
from runtime import owners

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 24


def fill(lower_fd: int, upper_fd: int, check: Callable[[], object], *, marked: bool = True) -> int:
    """Copy all that is below `lower_fd` into the empty directory `upper_fd`, but for the root.

    Directories bear marks for `fold` if they shall be `marked`. Returns the time (ns, of the file
    system's own clock) before which the change time of every untouched file is, but for those of
    the last few milliseconds. `check` is called at each entry, and may raise. Raises OSError.
    """
    late: list[tuple[int, int]] = []
    root = os.fstat(lower_fd)
    with Descent(upper_fd) as target:
        for entry, fd in walk(lower_fd):
            check()
            _up(target, late, entry.path.count(b"/"))
            name = entry.path.rpartition(b"/")[2]
            if not entry.path:
                if marked:
                    _mark(upper_fd, b"")
            elif stat.S_ISDIR(entry.mode):
                os.mkdir(name, 0o700, dir_fd=target.fd)
                _dress(target.enter(name), entry)
                if marked:
                    _mark(target.fd, entry.path)
                late.append((entry.mtime_ns, entry.mtime_ns))
            elif stat.S_ISREG(entry.mode):
                _copy(fd, target.fd, name, entry)
            else:
                _special(target.fd, name, entry)
        _up(target, late, 0)
    # Setting the times changes the root's own: its change time is that of the end.
    os.utime(upper_fd, ns=(root.st_atime_ns, root.st_mtime_ns))
    return os.fstat(upper_fd).st_ctime_ns


def copy_tree(view: int, directory: str, check: Callable[[], object] = lambda: None) -> None:
    """Copy the tree `view`, a descriptor that O_PATH will do for, into an empty directory.

    For those who want no `fold` afterwards. Raises StoreError, and what `check` raises.
    """
    with contextlib.ExitStack() as stack:
        try:
            source = os.open(".", _DIRECTORY, dir_fd=view)
            stack.callback(os.close, source)
            target = stack.enter_context(opened(directory))
            fill(source, target, check, marked=False)
        except OSError as error:
            raise disk_error(error, directory) from error


def fold(lower_fd: int, upper_fd: int, filled: int) -> None:
    """Leave in `upper_fd` what differs from `lower_fd`; `filled` is what `fill` returned."""
    _Folding(lower_fd, upper_fd, filled).directory(b"")


def whiteout(lower_fd: int, upper_fd: int) -> None:
    """Say in `upper_fd`, a copy without marks, what of `lower_fd` is not in it.

    What is in it and as it was, is left to whoever makes a layer of it (`diff.py`).
    """
    _Folding(lower_fd, upper_fd, None).directory(b"")


class _Folding:
    """One pass."""

    def __init__(self, lower_fd: int, upper_fd: int, filled: int | None) -> None:
        """`filled`: see `fill`; None for a copy without marks, of which nothing is removed."""
        self._top = upper_fd
        self._lower = Descent(lower_fd)
        self._upper = Descent(upper_fd)
        self._filled = filled

    def directory(self, path: bytes) -> None:
        """Fold all directories from the root at `path` on, which is one that was copied."""
        way: list[tuple[bytes, os.stat_result, list[bytes]]] = []
        with self._lower, self._upper:
            way.append((path, os.fstat(self._upper.fd), self._names()))
            while way:
                here, found, todo = way[-1]
                if todo:
                    name = todo.pop()
                    if self._is_entered(here + name, name):
                        inner = os.fstat(self._upper.fd)
                        way.append((here + name + b"/", inner, self._names()))
                    continue
                # Removing what is as it was has changed the time, which the step may have left.
                os.utime(self._upper.fd, ns=(found.st_atime_ns, found.st_mtime_ns))
                way.pop()
                if way:
                    self._lower.leave()
                    self._upper.leave()

    def _names(self) -> list[bytes]:
        """Return what is to be looked at here; what has gone gets its whiteout, the mark goes."""
        if self._filled is not None:
            os.removexattr(self._upper.fd, _attribute())
        # In a user namespace a step can set it; on an overlay that means nothing.
        make_transparent(self._upper.fd)
        there = sorted_names(self._upper.fd)
        for name in set(sorted_names(self._lower.fd)).difference(there):
            make_whiteout(self._upper.fd, name, self._top)
        return there

    def _is_entered(self, path: bytes, name: bytes) -> bool:
        """Deal with one name; a directory that was copied is entered, on both sides."""
        now = owners.stat_at(name, self._upper.fd)
        try:
            before = owners.stat_at(name, self._lower.fd)
        except FileNotFoundError:
            before = None
        if not stat.S_ISDIR(now.st_mode):
            if before is not None and self._is_untouched(now, before):
                os.unlink(name, dir_fd=self._upper.fd)
            elif stat.S_ISREG(now.st_mode) and not now.st_size:
                # In a user namespace a step can make it look like one.
                forget_whiteout(below(self._upper.fd, name))
            return False
        fd = self._upper.enter(name)
        marked = self._filled is None or _is_marked(fd, path)
        if before is not None and stat.S_ISDIR(before.st_mode) and marked:
            self._lower.enter(name)
            return True
        if self._filled is None:
            self._upper.leave()
            return False
        self._unmark()
        if before is not None:
            make_opaque(fd)
        self._upper.leave()
        return False

    def _is_untouched(self, now: os.stat_result, before: os.stat_result) -> bool:
        return (
            self._filled is not None
            and now.st_ctime_ns < self._filled
            and now.st_mode == before.st_mode
            and now.st_size == before.st_size
            and now.st_mtime_ns == before.st_mtime_ns
        )

    def _unmark(self) -> None:
        """Take the marks from a directory that was moved here, and from all in it."""
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._upper.fd)
        try:
            for _, inner in walk(fd):
                if inner >= 0:
                    forget_whiteout(inner)
                for attribute in (_attribute(), opaque_attribute()):
                    if inner >= 0 and attribute in os.listxattr(inner):
                        os.removexattr(inner, attribute)
        finally:
            os.close(fd)


def _up(target: Descent, late: list[tuple[int, int]], depth: int) -> None:
    """Leave directories until `depth` of them are entered; their times are set last."""
    while len(late) > depth:
        os.utime(target.fd, ns=late.pop())
        target.leave()


def _copy(source: int, dir_fd: int, name: bytes, entry: Entry) -> None:
    """Copy a regular file, holes as holes."""
    fd = os.open(name, _FILE, 0o600, dir_fd=dir_fd)
    try:
        at = 0
        while at < entry.size:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole is left
                break
            end = os.lseek(source, at, os.SEEK_HOLE)
            os.lseek(fd, at, os.SEEK_SET)
            while at < end:
                sent = os.sendfile(fd, source, at, min(_CHUNK, end - at))
                if not sent:
                    break
                at += sent
        os.ftruncate(fd, entry.size)
        _dress(fd, entry)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
    finally:
        os.close(fd)


def _special(dir_fd: int, name: bytes, entry: Entry) -> None:
    """Make a link, device or FIFO anew."""
    if stat.S_ISLNK(entry.mode):
        os.symlink(entry.target, name, dir_fd=dir_fd)
    else:
        os.mknod(name, stat.S_IFMT(entry.mode) | 0o600, entry.rdev, dir_fd=dir_fd)
    path = below(dir_fd, name)
    owners.give(path, entry.uid, entry.gid)
    if not stat.S_ISLNK(entry.mode):
        os.chmod(name, stat.S_IMODE(entry.mode), dir_fd=dir_fd)
    for key, value in entry.xattrs:
        os.setxattr(path, key, value, follow_symlinks=False)
    times = (entry.mtime_ns, entry.mtime_ns)
    os.utime(name, ns=times, dir_fd=dir_fd, follow_symlinks=False)


def _dress(fd: int, entry: Entry) -> None:
    """Give a file or directory its owner, mode and attributes, in an order that keeps them all."""
    owners.give(fd, entry.uid, entry.gid)
    os.fchmod(fd, stat.S_IMODE(entry.mode))
    for name, value in entry.xattrs:
        os.setxattr(fd, name, value)


def _attribute() -> str:
    return opaque_attribute().replace("opaque", "pybuild")


def _mark(fd: int, path: bytes) -> None:
    os.setxattr(fd, _attribute(), hashlib.sha256(path).digest())


def _is_marked(fd: int, path: bytes) -> bool:
    try:
        return os.getxattr(fd, _attribute()) == hashlib.sha256(path).digest()
    except OSError:
        return False
