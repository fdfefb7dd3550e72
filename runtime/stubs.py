"""Mount points that had to be made, and their removal after the sandbox has ended.

In: a root and a target inside it. Out: descriptors of the mount points, and `Stub` values by
which whoever outlives the sandbox takes them away again: by the descriptor of the directory in
which they were made, only if they are the same and still empty, and with the time of that
directory restored. Source: docs/security.md, S14.
"""

from __future__ import annotations

import os
import stat

from runtime import safepath
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Stub(NamedTuple):
    """One mount point; `parent` is the position of its directory in a list of descriptors.

    Times are the directory's (access, modification), before and after, in nanoseconds.
    """

    parent: int
    name: str
    device: int
    inode: int
    before: tuple[int, int]
    after: int


class Stubs:
    """The mount points made in one root."""

    def __init__(self, root_fd: int, *, thrown_away: bool) -> None:
        """Work in `root_fd`; what is thrown away anyway needs no removal."""
        self._root = root_fd
        self._thrown_away = os.fstat(root_fd).st_dev if thrown_away else None
        self.parents: list[int] = []
        self.made: list[Stub] = []

    def make(self, target: str, *, directory: bool) -> int:
        """Make `target` where it is missing; return an O_PATH descriptor of it."""
        names = safepath.resolve(self._root, target).strip("/").split("/")
        parent = os.open(".", _DIRECTORY, dir_fd=self._root)
        for position, name in enumerate(names):
            kind = directory or position < len(names) - 1
            flags = _DIRECTORY if kind else os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                child = os.open(name, flags, dir_fd=parent)
            except FileNotFoundError:
                kept = self._make_one(parent, name, directory=kind)
                child = os.open(name, flags, dir_fd=parent)
                if kept:
                    parent = child
                    continue
            os.close(parent)
            parent = child
        return parent

    def _make_one(self, parent: int, name: str, *, directory: bool) -> bool:
        """Make one name; return whether `parent` is kept for its removal."""
        before = os.fstat(parent)
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
        if before.st_dev == self._thrown_away:
            return False
        new = os.lstat(name, dir_fd=parent)
        stub = Stub(
            parent=len(self.parents),
            name=name,
            device=new.st_dev,
            inode=new.st_ino,
            before=(before.st_atime_ns, before.st_mtime_ns),
            after=os.fstat(parent).st_mtime_ns,
        )
        self.parents.append(parent)
        self.made.append(stub)
        return True


def remove(stubs: Sequence[Stub], parents: Sequence[int]) -> None:
    """Remove what is still as it was made, deepest first, and close `parents`."""
    for stub in reversed(stubs):
        _remove_one(stub, parents[stub.parent])
    for fd in parents:
        os.close(fd)


def _remove_one(stub: Stub, parent: int) -> None:
    try:
        now = os.fstat(parent).st_mtime_ns
        found = os.lstat(stub.name, dir_fd=parent)
        if (found.st_dev, found.st_ino) != (stub.device, stub.inode):
            return
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(stub.name, dir_fd=parent)
        elif found.st_size == 0:
            os.unlink(stub.name, dir_fd=parent)
        else:
            return
        # Whatever the program did to the directory since then keeps its time.
        times = stub.before if now == stub.after else (stub.before[0], now)
        os.utime(".", ns=times, dir_fd=parent)
    except OSError:
        # Not empty, or gone: then it is the program's.
        return
