"""The monitor of a foreground container, forked before anybody knows what it shall look after.

In: nothing. Out: an `Early`, to which `starting.start` hands the task. While the command that forks
it finds out what it is to run, this process imports what monitors need; with two processors the
container starts that much sooner. If its caller ends or has no use for it, it ends.
Source: pid_namespaces(7), unix(7); docs/performance.md, "Start-up".
"""

from __future__ import annotations

import _socket  # the plain module; `socket` costs 6 ms for its enums
import os

from runtime import rootless, syscalls

_KILL = 9


class Early:
    """A process that waits to become a monitor; `pid` is a child of ours."""

    def __init__(self, connection: _socket.socket, pid: int) -> None:
        self._connection = connection
        self._pid = pid

    def taken(self) -> tuple[int, int]:
        """Return the descriptor by which it is told its task, and its number: no longer ours."""
        return self._connection.detach(), self._pid

    def discard(self) -> None:
        """End it, unless it was taken; may be called twice."""
        if self._connection.fileno() >= 0:
            self._connection.close()
            os.kill(self._pid, _KILL)
            os.waitpid(self._pid, 0)


def fork() -> Early | None:
    """Fork one as process 1 of a pid namespace of its own; None where that is of no use.

    It is of none on one processor, nor for an ordinary user or root of a user namespace, who would
    be bound to the new pid namespace from then on. The caller must be single-threaded, and may go
    on to fork others.
    """
    if len(os.sched_getaffinity(0)) < 2 or rootless.is_needed():
        return None
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Root of a user namespace may not return to a pid namespace from outside of that.
        syscalls.setns(namespace, syscalls.CLONE_NEWPID)
        syscalls.unshare(syscalls.CLONE_NEWPID)
        try:
            pid = os.fork()
            if pid == 0:
                _wait(ours, theirs)
        finally:
            syscalls.setns(namespace, syscalls.CLONE_NEWPID)
    except OSError:
        # What is wrong with it, who starts a monitor is told.
        ours.close()
        return None
    finally:
        os.close(namespace)
        theirs.close()
    return Early(ours, pid)


def _wait(ours: _socket.socket, theirs: _socket.socket) -> None:
    """Be that process. Never returns."""
    try:
        os.setsid()  # what is typed at the terminal is for our caller
        ours.close()
        from runtime import becoming  # what all this is for

        becoming.wait(theirs.detach())
    except Exception:  # noqa: BLE001 - whatever it is, nobody else could tell of it
        # Its caller sees that it has gone.
        if os.environ.get("PYBUILD_TRACEBACK"):
            import traceback  # only for a fault of ours

            traceback.print_exc()
    finally:
        os._exit(0)
