"""Output `local`: the final file system in a directory of the user's.

In: a descriptor of the merged tree, a directory. Out: the same files there, beside what was
there. They belong to the user who exports, as with Moby BuildKit; times, modes and links are the
image's. Each file appears whole; links in the directory are replaced, never followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from buildkit.exporter.destination import OutputError, output_directory
from buildkit.state.removal import remove_tree
from buildkit.tree.descent import Descent
from buildkit.tree.entry import Entry, below, text
from buildkit.tree.walk import walk

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20


def export_local(root_fd: int | None, dest: str, warn: Callable[[str], None]) -> None:
    """Write the tree of `root_fd` (None: an empty one) to the directory `dest`.

    Raises OutputError. `warn` hears of what this user cannot make.
    """
    try:
        if os.path.isdir(dest):
            _into(root_fd, dest, warn)
        else:
            with output_directory(dest) as directory:
                _into(root_fd, directory, warn)
    except OSError as error:
        where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else dest
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{dest} cannot be written: {where}: {reason}") from error


def _into(root_fd: int | None, directory: str, warn: Callable[[str], None]) -> None:
    if root_fd is None:
        return
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _Writer(top, warn) as writer:
            for entry, fd in walk(root_fd):
                writer.add(entry, fd)
            writer.finish()
    finally:
        os.close(top)


class _Writer:
    """Writes entries in the order of `walk` below `top`."""

    def __init__(self, top: int, warn: Callable[[str], None]) -> None:
        self._top = top
        self._warn = warn
        self._way = Descent(top)
        self._open: list[Entry] = []
        self._first: dict[tuple[int, int], bytes] = {}

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._way.close()

    def add(self, entry: Entry, fd: int) -> None:
        """Write one entry; the root itself stays as it is."""
        if not entry.path:
            return
        parent, _, name = entry.path.rpartition(b"/")
        while self._open and self._open[-1].path != parent:
            self._leave()
        if stat.S_ISDIR(entry.mode):
            self._enter(entry, name)
        elif stat.S_ISREG(entry.mode):
            self._file(entry, name, fd)
        else:
            self._other(entry, name)

    def finish(self) -> None:
        """Set the times of the directories that are still open."""
        while self._open:
            self._leave()

    def _enter(self, entry: Entry, name: bytes) -> None:
        here = self._way.fd
        found = _lstat(name, here)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=here)
            found = None
        if found is None:
            os.mkdir(name, 0o700, dir_fd=here)
        self._way.enter(name)
        self._open.append(entry)

    def _leave(self) -> None:
        entry = self._open.pop()
        fd = self._way.fd
        os.fchmod(fd, stat.S_IMODE(entry.mode))
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        self._way.leave()

    def _file(self, entry: Entry, name: bytes, fd: int) -> None:
        here = self._way.fd
        if entry.inode is not None:
            first = self._first.setdefault(entry.inode, entry.path)
            if first != entry.path and self._linked(first, name):
                return
        temporary = _temporary()
        try:
            with open(os.open(temporary, _NEW, 0o600, dir_fd=here), "wb", buffering=0) as file:
                _copy(fd, file.fileno())
                for attribute, value in entry.xattrs:
                    with contextlib.suppress(OSError):
                        os.setxattr(file.fileno(), attribute, value)
                os.fchmod(file.fileno(), stat.S_IMODE(entry.mode))
                os.utime(file.fileno(), ns=(entry.mtime_ns, entry.mtime_ns))
            self._place(temporary, name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=here)
            raise

    def _linked(self, first: bytes, name: bytes) -> bool:
        """Make `name` a further name of the file at `first`; False where that cannot be."""
        temporary = _temporary()
        try:
            os.link(first, temporary, src_dir_fd=self._top, dst_dir_fd=self._way.fd)
        except OSError as error:
            if error.errno in (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.ENAMETOOLONG):
                return False
            raise
        self._place(temporary, name)
        return True

    def _other(self, entry: Entry, name: bytes) -> None:
        here = self._way.fd
        temporary = _temporary()
        if stat.S_ISLNK(entry.mode):
            os.symlink(entry.target, temporary, dir_fd=here)
        else:
            try:
                os.mknod(temporary, entry.mode, entry.rdev, dir_fd=here)
            except PermissionError:
                self._warn(f"/{text(entry.path)} is a device, which this user cannot make")
                return
            os.chmod(below(here, temporary), stat.S_IMODE(entry.mode))
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(temporary, ns=times, dir_fd=here, follow_symlinks=False)
        self._place(temporary, name)

    def _place(self, temporary: bytes, name: bytes) -> None:
        """Give what was made its name; a directory that is in the way is removed."""
        here = self._way.fd
        try:
            os.rename(temporary, name, src_dir_fd=here, dst_dir_fd=here)
        except (IsADirectoryError, FileExistsError):
            remove_tree(name, dir_fd=here)
            os.rename(temporary, name, src_dir_fd=here, dst_dir_fd=here)
        # rename(2) of two names of one file does nothing and leaves both.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=here)


def _lstat(name: bytes, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _temporary() -> bytes:
    return b".pybuild." + os.urandom(8).hex().encode()


def _copy(source: int, target: int) -> None:
    while block := os.read(source, _BLOCK):
        view = memoryview(block)
        while view:
            view = view[os.write(target, view) :]
