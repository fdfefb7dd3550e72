"""Work in a process of its own, forked before there are threads.

In: what to do there, and what to say of its failure. Out: the bytes it returned. A wish to stop is
passed on, and the process is waited for whatever happens.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

from buildkit.errors import BuildError
from buildkit.progress.cancel import Cancel


class ApartError(BuildError):
    """The process failed, and has said why itself; `status` is what it ended with."""

    def __init__(self, status: int) -> None:
        super().__init__("a process that was to work apart has failed")
        self.status = status


def apart(act: Callable[[], bytes], tell: Callable[[BaseException], int], cancel: Cancel) -> bytes:
    """Return what `act` returns in another process.

    `tell` says there what went wrong, and returns the exit status. Raises ApartError, Cancelled.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os._exit(_child(act, tell, writer))
    os.close(writer)
    try:
        data = _read(reader, pid, cancel)
    finally:
        os.close(reader)
        _, status = os.waitpid(pid, 0)
    cancel.check()
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise ApartError(code if code > 0 else 128 - code)
    return data


def _child(act: Callable[[], bytes], tell: Callable[[BaseException], int], writer: int) -> int:
    try:
        with open(writer, "wb", buffering=0) as file:
            file.write(act())
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        return tell(error)
    return 0


def _read(reader: int, pid: int, cancel: Cancel) -> bytes:
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    poll.register(cancel.fileno(), select.POLLIN)
    parts: list[bytes] = []
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if cancel.fileno() in ready:
            poll.unregister(cancel.fileno())
            os.kill(pid, cancel.signal or signal.SIGTERM)
        if reader in ready:
            part = os.read(reader, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
