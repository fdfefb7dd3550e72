"""Pipes as outputs: waiting for a reader ends as soon as a wish to stop is set.

In: a FIFO's path, or the pipe that is standard output. Out: a descriptor that never blocks, and a
sink. A handler of signals that only sets a flag would not end a blocking open(2) or write(2).
Source: fifo(7), pipe(7).
"""

from __future__ import annotations

import errno
import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from buildkit.content.streams import Sink
    from buildkit.progress.cancel import Cancel

_TURN = 0.05
"""Seconds between two looks whether a FIFO has a reader; the kernel tells nobody."""

_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC


def open_fifo(path: str, cancel: Cancel) -> int:
    """Return a descriptor of the FIFO `path` once somebody reads it.

    Raises Cancelled when `cancel` is set before, OSError.
    """
    while True:
        cancel.check()
        try:
            return os.open(path, _FLAGS)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        cancel.wait(_TURN)


def reopened(fd: int) -> int | None:
    """Return a descriptor of the pipe at `fd` that does not block; None if `fd` is no pipe.

    The flag belongs to the open file and others have that, too; so it is opened again. None also
    where that is not allowed.
    """
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", _FLAGS)
    except OSError:
        return None


def patient(fd: int, cancel: Cancel) -> Sink:
    """Return a sink that writes to `fd`, which does not block, and waits where it is full.

    It raises Cancelled when `cancel` is set while it waits, OSError.
    """
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.register(cancel.fileno(), select.POLLIN)

    def write(block: bytes) -> None:
        view = memoryview(block)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                poll.poll()
                cancel.check()

    return write
