"""What layers take on the disk, as du(1) counts it: blocks, and each file once.

In: the directories of layers, below each their pieces and perhaps a tree. Out: bytes. A layer that
differs little from another one has hard links to its files, so what several of them take together
is less than the sum, and what the removal of one gives back is less than what it takes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping

from runtime.values import NamedTuple

Inode = tuple[int, int]


class Links(NamedTuple):
    """A file with several names: its bytes, how many are in this layer, and how many in all."""

    size: int
    here: int
    everywhere: int


class Taken(NamedTuple):
    """What one layer takes: bytes of files that it has alone, and its links."""

    own: int
    linked: Mapping[Inode, Links]


class LayerDisk:
    """What layers take, by name."""

    def __init__(self, layers: Iterable[tuple[str, str]]) -> None:
        """Look at layers: names and directories. One that goes meanwhile takes nothing."""
        self._taken = {name: taken(path) for name, path in layers}

    def size(self, names: Collection[str], beside: Collection[str] = ()) -> int:
        """Return the bytes that `names` take, those that `beside` takes already left out."""
        known = {inode for name in beside for inode in self._linked(name)}
        own = sum(self._taken[name].own for name in names if name in self._taken)
        linked = {inode: one.size for name in names for inode, one in self._linked(name).items()}
        return own + sum(size for inode, size in linked.items() if inode not in known)

    def free(self, names: Collection[str]) -> int:
        """Return the bytes that the removal of all `names` gives back."""
        left: dict[Inode, int] = {}
        size = sum(self._taken[name].own for name in names if name in self._taken)
        for name in names:
            for inode, one in self._linked(name).items():
                left[inode] = left.get(inode, one.everywhere) - one.here
                size += 0 if left[inode] else one.size
        return size

    def _linked(self, name: str) -> Mapping[Inode, Links]:
        found = self._taken.get(name)
        return {} if found is None else found.linked


def taken(path: str) -> Taken:
    """Return what a tree takes on the disk."""
    own = 0
    linked: dict[Inode, Links] = {}
    for status in statuses(path):
        size = status.st_blocks * 512
        if status.st_nlink == 1 or stat.S_ISDIR(status.st_mode):
            own += size
            continue
        inode = (status.st_dev, status.st_ino)
        here = linked[inode].here + 1 if inode in linked else 1
        linked[inode] = Links(size, here, status.st_nlink)
    return Taken(own, linked)


def tree_size(path: str) -> int:
    """Return the bytes that a tree takes on the disk; hard links count once."""
    found = taken(path)
    return found.own + sum(one.size for one in found.linked.values())


def statuses(path: str) -> Iterator[os.stat_result]:
    """Yield the status of a tree and of all in it, whose names may change meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        yield os.stat(path, follow_symlinks=False)
    todo = [path]
    while todo:
        try:
            entries = os.scandir(todo.pop())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        with entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
