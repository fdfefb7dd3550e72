"""Starting the monitor of a container.

In: a `Task`, and the lock of its directory. Out: a connection to the monitor. For a foreground
command the monitor is forked from it, which takes a millisecond; for a container that shall stay it
is a new, small process with nothing but this package in it.
"""

from __future__ import annotations

import os

from runtime import interpreter, syscalls, wire
from runtime.control import Begin, Connection, Refused, Started
from runtime.errors import SandboxError, StateError
from runtime.spec import ExitStatus, descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.container import Task
    from runtime.early import Early


def start(task: Task, lock: int, early: Early | None = None) -> tuple[Connection, int]:
    """Start the monitor; return the connection and its process number.

    `lock` and the descriptors of the spec are used up, and so is `early`, which becomes the monitor
    if it can. The caller must be single-threaded, and can fork no more afterwards. Whether the
    container runs, the monitor tells (`running`).
    """
    if task.spec.resources.limits or task.spec.resources.account:
        from runtime import delegation  # for those who have a group

        delegation.make_room(task.spec.resources)
    if early is not None:
        if task.attached and not descriptors(task.spec):
            handed = _hand_over(task, lock, early)
            if handed is not None:
                return handed
        early.discard()
    if task.attached:
        from runtime import becoming  # elsewhere it has been imported by who was forked early

    ours, theirs = Connection.pair()
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            if task.attached:
                becoming.serve(task, theirs, lock)
            _execute(task, theirs, lock)
        finally:
            os._exit(125)
    theirs.close()
    for fd in (lock, *descriptors(task.spec)):
        os.close(fd)
    return ours, pid


def _hand_over(task: Task, lock: int, early: Early) -> tuple[Connection, int] | None:
    """Let a process that was forked early be the monitor; None where it has ended."""
    fd, pid = early.taken()
    connection = Connection.of(fd)
    memory = wire.in_memory(task)
    heard = connection.send(Begin(), [memory, lock])
    os.close(memory)
    if not heard:
        connection.close()
        return None
    os.close(lock)
    return connection, pid


def _execute(task: Task, first: Connection, lock: int) -> None:
    """Become a process that has nothing of ours."""
    memory = wire.in_memory(task)
    for fd in (memory, first.fileno(), lock, *descriptors(task.spec)):
        os.set_inheritable(fd, True)  # noqa: FBT003 - the only way to say it
    numbers = (str(memory), str(first.fileno()), str(lock))
    words = interpreter.words("becoming.main(*map(int, argv))", *numbers)
    kept = ("PYBUILD_TRACEBACK", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
    os.chdir("/")
    os.execve(words[0], words, interpreter.environment(*kept))


def running(connection: Connection) -> ExitStatus | None:
    """Wait until the container's program runs; return its status if it could not be executed.

    Raises SandboxError where the container could not be started.
    """
    received = connection.receive()
    if received is None:
        raise StateError("the monitor of the container has ended before it started")
    message = received[0]
    if isinstance(message, Refused):
        raise SandboxError(message.message, hint=message.hint)
    if isinstance(message, ExitStatus):
        return message
    if not isinstance(message, Started):
        raise StateError(f"unexpected message {message}")
    return None
