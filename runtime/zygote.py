"""The small single-threaded process that forks one sandbox after the other.

In: plans, on a socket. Out: for each a process that performs it, and its exit status. It is
process 1 of a pid namespace of its own, so that everything dies with it; each sandbox gets a
further one, which needs no second fork: leave, fork, come back. It dies with its caller, whose
end of the socket it watches.
Source: pid_namespaces(7); docs/performance.md, "Steps"; docs/security.md, S9.
"""

from __future__ import annotations

import gc
import os
import select

from runtime import actions, cgroups, child, idmap, init, process, spec, syscalls, wire
from runtime.channel import Channel, Ready, Run, Signal
from runtime.child import KILL, Child
from runtime.errors import SandboxError
from runtime.typed import cast
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runtime.actions import Action
    from runtime.spec import Resources


_TYPES = {
    name: kind
    for module in (actions, idmap, spec)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, tuple)
}


def main(control_fd: int, caller_fd: int) -> NoReturn:
    """Serve the caller at the other end of `control_fd`; never returns.

    `caller_fd` is a pidfd of it. The parent-death signal would not do: it is about the thread
    that spawned us. The process that is started waits for its child, the zygote proper.
    """
    gc.disable()
    # A Ctrl-C at the terminal is for the caller, who decides what it means.
    os.setsid()
    process.reset_signals()
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid:
        os.close(control_fd)
        os.close(caller_fd)
        os.waitpid(pid, 0)
        os._exit(0)
    try:
        # Our parent has one thread, so that its death is that of the process.
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, KILL)
        gc.freeze()
        _Zygote(Channel.of(control_fd), caller_fd).serve()
    finally:
        os._exit(0)


class _Running(NamedTuple):
    """A sandbox and the channel to whoever asked for it."""

    child: Child
    caller: Channel


class _Zygote:
    """The loop, and what runs."""

    def __init__(self, control: Channel, caller_fd: int) -> None:
        self._control = control
        self._caller_fd = caller_fd
        self._namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._maker = cgroups.Maker()
        self._poll = select.poll()
        for fd in (control.fileno(), caller_fd):
            self._poll.register(fd, select.POLLIN)
        self._by_fd: dict[int, _Running] = {}

    def serve(self) -> None:
        """Start, watch and finish sandboxes until the caller is gone."""
        while True:
            for fd, _events in self._poll.poll():
                if fd == self._caller_fd:
                    return self._end_all()
                if fd == self._control.fileno():
                    received = self._control.receive()
                    if received is None:
                        return self._end_all()
                    self._start(cast("Run", received[0]), received[1])
                elif fd in self._by_fd:
                    self._attend(fd, self._by_fd[fd])

    def _attend(self, fd: int, running: _Running) -> None:
        sandbox, caller = running
        if fd == sandbox.pidfd:
            self._finish(running)
        elif fd == sandbox.status_fd:
            heard_all = not sandbox.hear()
            if sandbox.ready:
                self._tell_ready(running)
            if heard_all or sandbox.ready:
                # What is said after that waits until the end.
                self._forget(fd)
        else:
            received = caller.receive()
            if received is not None:
                sandbox.signal(cast("Signal", received[0]).number)
                return
            sandbox.signal(KILL)
            self._forget(fd)

    def _start(self, run: Run, fds: list[int]) -> None:
        caller = Channel.of(fds[0])
        received: tuple[tuple[Action, ...], Resources] = wire.from_memory(fds[1], _TYPES)
        plan, resources = received
        try:
            group = self._maker.make(resources)
            given = init.Given(
                stdio=(fds[2], fds[3], fds[4]),
                fds=dict(zip(run.numbers, fds[5:], strict=True)),
                view=self._maker.view(group),
            )
            started = child.start(plan, given, group, self._namespace, dies_with_parent=False)
        except (OSError, SandboxError) as error:
            caller.send(child.refusal(error))
            caller.close()
        else:
            running = _Running(started, caller)
            for fd in (started.pidfd, started.status_fd, caller.fileno()):
                self._by_fd[fd] = running
                self._poll.register(fd, select.POLLIN)
        for fd in fds[2:]:
            os.close(fd)

    def _tell_ready(self, running: _Running) -> None:
        """Tell the caller that the program is about to run, and hand its terminal on."""
        outer = running.child.terminal
        running.caller.send(Ready((), terminal=outer is not None), [outer] if outer else [])
        if outer is not None:
            os.close(outer)
            running.child.terminal = None

    def _finish(self, running: _Running) -> None:
        sandbox, caller = running
        was_ready = sandbox.ready
        for fd in (sandbox.pidfd, sandbox.status_fd, caller.fileno()):
            self._forget(fd)
        result = sandbox.finish()
        if sandbox.ready and not was_ready:
            self._tell_ready(running)
        caller.send(result)
        caller.close()

    def _forget(self, fd: int) -> None:
        if self._by_fd.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _end_all(self) -> None:
        """Kill what still runs, and tidy up after it."""
        remaining = set(self._by_fd.values())
        for running in remaining:
            running.child.signal(KILL)
        for running in remaining:
            running.child.finish()
