"""Files of an image that a stranger made, read with care.

In: a descriptor of the merged tree. Out: contents of regular files, bounded. Links are followed
inside of the tree and never out of it; what is no regular file is not opened at all.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator

from runtime.safepath import open_beneath


class ImageFiles:
    """The tree of `root_fd`, which stays the caller's. `warn` hears of what is not read.

    `check` is called for each file of a search, and raises to end it.
    """

    def __init__(
        self,
        root_fd: int,
        warn: Callable[[str], None],
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.root_fd = root_fd
        self.warn = warn
        self.check = check

    def read(self, path: str | bytes, limit: int) -> bytes | None:
        """Return what is at `path`, None for nothing; more than `limit` bytes are not read."""
        with self.opened(path) as fd:
            if fd is None:
                return None
            size = os.fstat(fd).st_size
            if size > limit:
                self.warn(f"/{os.fsdecode(path)}: not read, it has more than {limit >> 20} MiB")
                return None
            with open(fd, "rb", closefd=False) as file:
                return file.read(limit)

    @contextlib.contextmanager
    def opened(self, path: str | bytes) -> Iterator[int | None]:
        """Give a descriptor of the regular file at `path`, None where there is none."""
        try:
            seen = open_beneath(self.root_fd, path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            yield None
            return
        try:
            # By the descriptor that was looked at, so that it is still the regular file.
            fd = self._readable(seen, os.fsdecode(path))
        finally:
            os.close(seen)
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def _readable(self, seen: int, name: str) -> int | None:
        if not stat.S_ISREG(os.fstat(seen).st_mode):
            return None
        try:
            return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self.warn(f"/{name}: not read: {(error.strerror or str(error)).lower()}")
            return None

    def names(self, path: str) -> list[str]:
        """Return the sorted names in the directory `path`, none where there is none."""
        try:
            fd = open_beneath(self.root_fd, path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)
