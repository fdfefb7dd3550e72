"""The right to do one piece of work on a store, so that equal work is done once.

A byte of one lock file stands for each key: an open-file-description lock (fcntl(2), "Open file
description locks") on the offset that is the key's first 60 bits. It excludes threads as well as
processes, ends with whoever holds it, and no file is left for each key. Where the file system has
no such locks the work may be done twice, which is slower and not wrong.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import contextmanager

from buildkit.state.root import writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildkit.progress.cancel import Cancel


_DIGITS = 15
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.2


@contextmanager
def claim(path: str, key: str, cancel: Cancel) -> Iterator[None]:
    """Hold the right to `key` (hex digits) by the lock file `path`.

    Waits while somebody else has it. Raises Cancelled when `cancel` is set meanwhile, StoreError
    when the file cannot be opened.
    """
    with writing(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        pause = _FIRST_PAUSE
        while not _lock(fd, int(key[:_DIGITS], 16)):
            cancel.wait(pause)
            cancel.check()
            pause = min(pause * 2, _LONGEST_PAUSE)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, offset: int) -> bool:
    """Lock the byte at `offset`; False while somebody else has it."""
    # struct flock: type, whence, start, length, pid (0, as OFD locks ask for).
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno not in _UNSUPPORTED:
            raise
    return True
