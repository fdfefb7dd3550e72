"""Going down a tree by descriptors, to any depth, with few of them open.

Paths end at 4,096 bytes and descriptors at a thousand or so; trees do not. So only the lowest
directories of the way stay open, and one further up is opened again as `..` of the one below,
and must be the one that it was.
"""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_OPEN = 24
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Give a descriptor of the directory at `path`, which is no link, for the time of the block."""
    fd = os.open(path, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


class Descent:
    """The way from `root_fd` (which stays the caller's) to `fd`. Close at the end."""

    def __init__(self, root_fd: int) -> None:
        self.fd = root_fd
        self._fds = [root_fd]
        self._identities: dict[int, tuple[int, int]] = {}

    def enter(self, name: bytes) -> int:
        """Go down to the directory `name`; return its descriptor."""
        self.fd = os.open(name, _DIRECTORY, dir_fd=self.fd)
        self._fds.append(self.fd)
        far = len(self._fds) - _OPEN
        if far > 0 and self._fds[far] >= 0:
            found = os.fstat(self._fds[far])
            self._identities[far] = (found.st_dev, found.st_ino)
            os.close(self._fds[far])
            self._fds[far] = -1
        return self.fd

    def leave(self) -> int:
        """Go up again; return the descriptor of the directory arrived at."""
        last = len(self._fds) - 2
        if self._fds[last] < 0:
            fd = os.open("..", _DIRECTORY, dir_fd=self.fd)
            self._fds[last] = fd
            found = os.fstat(fd)
            if self._identities.pop(last) != (found.st_dev, found.st_ino):
                raise OSError(116, "a directory was moved while its tree was read")
        os.close(self._fds.pop())
        self.fd = self._fds[-1]
        return self.fd

    def close(self) -> None:
        """Close all but the root. May be called twice."""
        for fd in self._fds[1:]:
            if fd >= 0:
                os.close(fd)
        del self._fds[1:]
        self.fd = self._fds[0]

    def __enter__(self) -> Descent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
