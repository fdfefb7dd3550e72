"""Where the entries of an archive go: parent directories, opened without ever following a link.

In: a root and clean paths. Out: descriptors of parent directories, made where the archive forgot
them. The kernel resolves each path below the root and refuses links in it (openat2(2); before
Linux 5.6 a walk of one component at a time). One descriptor is kept, for archives come sorted.
"""

from __future__ import annotations

import errno
import os

from buildkit.errors import ImageError
from buildkit.snapshot.marks import is_whiteout_at, make_opaque
from buildkit.tree.entry import text
from runtime import syscalls

_BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONG = 4000
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Places:
    """Finds parents below `root_fd`, which stays the caller's. Close at the end."""

    def __init__(self, root_fd: int) -> None:
        self._root = root_fd
        self._fd = root_fd
        self._path = b""
        self.made: list[bytes] = []
        """Directories that entries needed and that had no entry before; in order."""

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """Return a descriptor of the directory `path` goes to, good until the next call; its name.

        Raises ImageError when something on the way is not a directory.
        """
        directory, _, name = path.rpartition(b"/")
        if directory != self._path:
            self.forget()
            self._fd = self._open_or_make(directory) if directory else self._root
            self._path = directory
        return self._fd, name

    def find(self, path: bytes) -> tuple[int, bytes] | None:
        """Return the same, for the caller to close; None where there is no such directory."""
        directory, _, name = path.rpartition(b"/")
        fd = self._open(directory) if directory else os.dup(self._root)
        return None if fd is None else (fd, name)

    def forget(self) -> None:
        """Drop what is kept. To be called when directories are removed, and at the end."""
        if self._fd != self._root:
            os.close(self._fd)
        self._fd = self._root
        self._path = b""

    def _open_or_make(self, directory: bytes) -> int:
        fd = self._open(directory)
        return self._make(directory) if fd is None else fd

    def _open(self, directory: bytes) -> int | None:
        """Open a directory by pieces that the kernel takes."""
        fd = os.dup(self._root)
        for piece in _pieces(directory):
            outer = fd
            try:
                fd = _openat2(outer, piece)
            except OSError as error:
                if error.errno in _NOT_THERE:
                    return None
                raise
            finally:
                os.close(outer)
        return fd

    def _make(self, directory: bytes) -> int:
        fd = os.dup(self._root)
        done = b""
        for name in directory.split(b"/"):
            done = join(done, name)
            outer = fd
            try:
                fd = self._enter(outer, name, done)
            finally:
                os.close(outer)
        return fd

    def _enter(self, outer: int, name: bytes, path: bytes) -> int:
        try:
            return os.open(name, _FLAGS, dir_fd=outer)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            hides = error.errno != errno.ENOENT
        if hides:
            there = os.stat(name, dir_fd=outer, follow_symlinks=False)
            if not is_whiteout_at(there, outer, name):
                raise ImageError(
                    f"the archive goes through {text(path)[:200]!r}, which is not a directory"
                )
            os.unlink(name, dir_fd=outer)
        os.mkdir(name, 0o755, dir_fd=outer)
        fd = os.open(name, _FLAGS, dir_fd=outer)
        # Neither the umask nor a set-group-id bit above shall decide.
        os.fchown(fd, 0, 0)
        os.fchmod(fd, 0o755)
        if hides:
            make_opaque(fd)
        self.made.append(path)
        return fd


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of `name` in `directory`."""
    return directory + b"/" + name if directory else name


def _pieces(path: bytes) -> list[bytes]:
    if len(path) < _LONG:
        return [path]
    pieces = [b""]
    for name in path.split(b"/"):
        if len(pieces[-1]) + len(name) >= _LONG:
            pieces.append(b"")
        pieces[-1] = join(pieces[-1], name)
    return [piece for piece in pieces if piece]


def _openat2(fd: int, path: bytes) -> int:
    try:
        return syscalls.openat2(fd, path, _FLAGS, 0, _BENEATH)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EAGAIN):
            raise
    current = os.dup(fd)
    for name in path.split(b"/"):
        outer = current
        try:
            current = os.open(name, _FLAGS, dir_fd=outer)
        finally:
            os.close(outer)
    return current
