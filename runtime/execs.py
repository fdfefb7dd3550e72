"""Further programs in a container: for `exec`, and for health checks.

In: an `Exec` and descriptors. Out: a process in the container's namespaces and groups, and how it
ended. All of them end with the container: they are in its pid namespace.
"""

from __future__ import annotations

import os

from runtime import cgroups, child, host, plan
from runtime.init import Given
from runtime.rootfs import CgroupView
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.channel import Failed
    from runtime.child import Child
    from runtime.container import Exec
    from runtime.loop import Loop
    from runtime.spec import ExitStatus, SandboxSpec


_FD = 0
"""The number in the plan by which the container's process 1 goes."""


class Inside(NamedTuple):
    """A container as its further programs need it; `namespace` is our own pid namespace."""

    spec: SandboxSpec
    pidfd: int
    group: cgroups.Group | None
    namespace: int


class Running:
    """A further program. `ready` is called when it is about to run, `ended` when it has ended."""

    def __init__(
        self,
        loop: Loop,
        program: Child,
        ready: Callable[[Running], object],
        ended: Callable[[Running, ExitStatus | Failed], object],
    ) -> None:
        self.program = program
        self._loop = loop
        self._ready = ready
        self._ended = ended
        self._told = False
        loop.watch(program.pidfd, self._end)
        loop.watch(program.status_fd, self._hear)

    def _hear(self) -> None:
        heard_all = not self.program.hear()
        if self.program.ready and not self._told:
            self._told = True
            self._ready(self)
        if heard_all or self.program.ready:
            self._loop.forget(self.program.status_fd)

    def _end(self) -> None:
        self._loop.forget(self.program.pidfd)
        self._loop.forget(self.program.status_fd)
        result = self.program.finish()
        if self.program.ready and not self._told:
            self._told = True
            self._ready(self)
        self._ended(self, result)


def start(inside: Inside, wanted: Exec, stdio: tuple[int, int, int]) -> Child:
    """Start a further program. Raises OSError, SandboxError."""
    actions = plan.plan_exec(
        wanted.process, inside.spec, host.here(), fd=_FD, privileged=wanted.privileged
    )
    given = Given(stdio=stdio, fds={_FD: inside.pidfd}, view=CgroupView())
    return child.join(actions, given, inside.group, inside.namespace, inside.pidfd)


def descendants(first: set[int]) -> tuple[int, ...]:
    """Return the numbers in /proc of some processes and of all that came from them."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                # The name of the program, in brackets, may hold anything.
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(name)] = int(fields[1])
    found = {pid for pid in first if pid in parents}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return tuple(sorted(found))
        found |= more
