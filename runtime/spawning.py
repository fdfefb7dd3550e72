"""Starts the process that becomes a zygote, before anything that has use for it is imported.

Out: a descriptor to speak to it by, and its number. It takes as long to be ready as its caller to
find out what a first step is to run in; so both do it at the same time.
Source: docs/performance.md, "Steps".
"""

from __future__ import annotations

import _socket  # the plain module; `socket` costs 6 ms for its enums
import os

from runtime import interpreter


def spawn() -> tuple[int, int]:
    """Spawn a zygote in the namespaces of the caller, without waiting for it. Raises OSError.

    It ends when the descriptor is closed; its number is then to be waited for.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    caller = os.pidfd_open(os.getpid())
    for fd in (theirs.fileno(), caller):
        os.set_inheritable(fd, True)  # noqa: FBT003 - the only way to say it
    numbers = (str(theirs.fileno()), str(caller))
    words = interpreter.words("zygote.main(*map(int, argv))", *numbers)
    try:
        pid = os.posix_spawn(words[0], words, interpreter.environment())
    finally:
        theirs.close()
        os.close(caller)
    return ours.detach(), pid
