"""A sandbox in the foreground that is no container of any store: nothing of it is kept.

In: a spec, and an empty directory for the moment. Out: an `ExitStatus`. Streams, terminal, signals
and network are as for a container in the foreground.
"""

from __future__ import annotations

import os

from runtime import container, foreground, starting, terminal
from runtime.container import Logging, Task
from runtime.errors import StateError
from runtime.foreground import Manner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.spec import ExitStatus, SandboxSpec


def run_attached(spec: SandboxSpec, directory: str, *, tty: bool, interactive: bool) -> ExitStatus:
    """Run a sandbox on the caller's standard descriptors, to its end.

    The caller must be single-threaded, and can fork no more afterwards. With `tty` the sandbox
    gets a terminal of its own; its input is empty unless `interactive`. Raises SandboxError where
    the sandbox cannot be made.
    """
    if tty:
        process = spec.process._replace(terminal=True, terminal_size=terminal.size())
        spec = spec._replace(process=process)
    task = Task(
        identity="attached",
        directory=directory,
        trash=directory,
        spec=spec,
        logging=Logging(files=0),
        interactive=interactive,
        attached=True,
    )
    lock = container.hold(directory)
    if lock is None:
        raise StateError("the directory of the sandbox is in use")
    connection, monitor = starting.start(task, lock)
    # Without keys there is no leaving.
    status = foreground.stay(connection, Manner(tty=tty, stdin=interactive, keys=b""))
    os.waitpid(monitor, 0)
    if status is None:
        raise StateError("the sandbox was left")
    return status
