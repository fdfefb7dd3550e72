"""Open directories from a root down, by names, never through a link.

In: a descriptor of the root and paths below it. Out: descriptors of directories. At most 64 levels
are open at a time, so a tree may be deeper than a process may have files and paths longer than
PATH_MAX (R10).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_OPEN_LEVELS = 64


class Descent:
    """The way to the directory last asked for; cheap when the next one is near it."""

    __slots__ = ("_fds", "_names", "_path", "_root")

    def __init__(self, root_fd: int) -> None:
        self._root = root_fd
        self._names: list[str] = []
        self._fds: list[int] = []
        self._path: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def go(self, path: str) -> int:
        """Return a descriptor of the directory `path`, good until the next call.

        Raises OSError when one of the names is no directory (any more).
        """
        if path == self._path:
            return self._fds[-1] if self._fds else self._root
        self._path = None
        names = path.split("/") if path else []
        same = 0
        for name, other in zip(names, self._names, strict=False):
            if name != other:
                break
            same += 1
        self._leave(same)
        if self._fds and self._fds[-1] < 0:
            self._leave(0)
        for name in names[len(self._fds) :]:
            above = self._fds[-1] if self._fds else self._root
            self._fds.append(os.open(name, DIRECTORY, dir_fd=above))
            self._names.append(name)
            self._shed()
        self._path = path
        return self._fds[-1] if self._fds else self._root

    def close(self) -> None:
        """Close all levels but the root, which belongs to the caller."""
        self._path = None
        self._leave(0)

    def _leave(self, depth: int) -> None:
        del self._names[depth:]
        while len(self._fds) > depth:
            fd = self._fds.pop()
            if fd >= 0:
                os.close(fd)

    def _shed(self) -> None:
        """Close the level that is 64 above the deepest."""
        level = len(self._fds) - _OPEN_LEVELS
        if level >= 0 and self._fds[level] >= 0 and len(self._fds) > _OPEN_LEVELS:
            os.close(self._fds[level])
            self._fds[level] = -1
