"""Files of an image that a stranger made, read with care.

In: a descriptor of the merged tree. Out: contents of regular files, bounded. Links are followed
inside of the tree and never out of it; what is no regular file is not opened at all.
"""

import os
import stat
from collections.abc import Callable

from runtime.safepath import open_beneath


class ImageFiles:
    """The tree of `root_fd`, which stays the caller's. `warn` hears of what is not read."""

    def __init__(self, root_fd: int, warn: Callable[[str], None]) -> None:
        self.root_fd = root_fd
        self.warn = warn

    def read(self, path: str | bytes, limit: int) -> bytes | None:
        """Return what is at `path`, None for nothing; more than `limit` bytes are not read."""
        name = os.fsdecode(path)
        try:
            seen = open_beneath(self.root_fd, path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = os.fstat(seen)
            if not stat.S_ISREG(found.st_mode):
                return None
            if found.st_size > limit:
                self.warn(f"/{name}: not read, it has more than {limit >> 20} MiB")
                return None
            # By the descriptor that was looked at, so that it is still the regular file.
            with open(f"/proc/self/fd/{seen}", "rb") as file:
                return file.read(limit)
        except OSError as error:
            self.warn(f"/{name}: not read: {(error.strerror or str(error)).lower()}")
            return None
        finally:
            os.close(seen)

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
