"""How a process becomes the monitor of a container: three ways, one duty.

In: a `Task`, the command that starts it, and the lock of the container's directory. Out: nothing;
the process ends with the container. A monitor that stays behind is a new program (`main`), that of
a foreground command is forked from it, with its task (`serve`) or before there is one (`wait`).
Source: setsid(2); docs/security.md, S9.
"""

from __future__ import annotations

import gc
import os

from runtime import container as values
from runtime import containerlog, host, plan, rootless, wire
from runtime.container import State, Task
from runtime.control import Begin, Connection
from runtime.monitor import Monitor
from runtime.process import close_all_but, reset_signals
from runtime.spec import Process, RootFs, SandboxSpec, descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main(task_fd: int, first_fd: int, lock: int) -> NoReturn:
    """Be the monitor as a program of its own: `task_fd` holds the marshalled task."""
    serve(_task(task_fd), Connection.of(first_fd), lock)


def wait(first_fd: int) -> None:
    """Be a monitor that was forked early (`early.py`): wait for a task. Returns if none comes.

    What every container needs is made in the meantime.
    """
    rootless.enter()
    plan.plan(SandboxSpec(RootFs(()), Process(("true",))), host.here())
    first = Connection.of(first_fd)
    received = first.receive()
    if received is not None and isinstance(received[0], Begin):
        task_fd, lock = received[1]
        serve(_task(task_fd), first, lock)


def _task(fd: int) -> Task:
    """Return the task in a memfd, and close that."""
    task: Task = wire.from_memory(fd, values.TYPES)
    return task


def serve(task: Task, first: Connection, lock: int) -> NoReturn:
    """Look after a container to its end, and end.

    `first` is the command that started it; `lock` is held on the container's directory.
    """
    try:
        gc.disable()
        if os.getsid(0) != os.getpid():  # who was forked early has done so
            os.setsid()
        reset_signals()
        close_all_but({first.fileno(), lock, *descriptors(task.spec)})
        Monitor(task, first).run()
    except BaseException as error:  # noqa: BLE001 - nobody else could tell of it
        _leave_word(task, error)
    finally:
        os._exit(0)


def _leave_word(task: Task, error: BaseException) -> None:
    """Write down a fault of the monitor's own."""
    message = f"fault of the monitor: {type(error).__name__}: {error}"
    if os.environ.get("PYBUILD_TRACEBACK"):
        import traceback  # only for a fault of ours

        message = "".join(traceback.format_exception(error))
    state = State("exited", code=125, error=message, finished=containerlog.now())
    values.write_state(task.directory, state)
