"""The small single-threaded process that forks one sandbox after the other.

In: plans, on a socket. Out: for each a process that performs it, and its exit status. It is
process 1 of a pid namespace of its own, so that everything dies with it; each sandbox gets a
further one, which needs no second fork: leave, fork, come back. It dies with its caller, whose
end of the socket it watches.
Source: pid_namespaces(7); engineering-facts chapter 10; security.md S9.
"""

import gc
import os
import select
import sys
import time
from typing import NoReturn, cast

from runtime import actions, cgroups, init, process, spec, stubs, syscalls, wire
from runtime.actions import Action
from runtime.channel import Channel, Failed, Ready, Run, Signal, Unstarted, from_memory
from runtime.errors import SandboxError
from runtime.rootfs import CgroupView
from runtime.spec import ExitStatus, Resources
from runtime.stubs import Stub

_KILL = 9
_DEADLY = (1, 2, 3, 15)
"""SIGHUP, SIGINT, SIGQUIT, SIGTERM: process 1 ignores them unless it handles them."""

_TYPES = {
    name: kind
    for module in (actions, spec)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, tuple)
}


def main(control_fd: int) -> NoReturn:
    """Serve the caller at the other end of `control_fd`; never returns.

    The process that is started waits for its child, the zygote proper.
    """
    gc.disable()
    # A Ctrl-C at the terminal is for the caller, who decides what it means.
    os.setsid()
    process.reset_signals()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _KILL)
    syscalls.unshare(syscalls.CLONE_NEWPID)
    child = os.fork()
    if child:
        os.close(control_fd)
        os.waitpid(child, 0)
        os._exit(0)
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _KILL)
        gc.freeze()
        _Zygote(Channel.of(control_fd)).serve()
    finally:
        os._exit(0)


class _Sandbox:
    """One sandbox that is being made, or runs."""

    def __init__(self, caller: Channel, status: Channel, pid: int) -> None:
        self.caller = caller
        self.status = status
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.started = time.monotonic()
        self.group: cgroups.Group | None = None
        self.failed: Failed | None = None
        self.unstarted: Unstarted | None = None
        self.stubs: tuple[Stub, ...] = ()
        self.parents: list[int] = []
        self.asked_to_end_by: int | None = None

    def signal(self, number: int) -> None:
        """Send a signal; one that process 1 would ignore by default kills it instead."""
        if number in _DEADLY and not self._handles(number):
            self.asked_to_end_by = number
            number = _KILL
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def _handles(self, number: int) -> bool:
        """Whether the program catches, ignores or blocks a signal."""
        bit = 1 << (number - 1)
        try:
            # /proc is the caller's and knows other numbers than our namespace.
            with open(f"/proc/self/fdinfo/{self.pidfd}", encoding="ascii") as lines:
                pid = next(line.split()[1] for line in lines if line.startswith("Pid:"))
            with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as lines:
                masks = dict(line.split()[:2] for line in lines if line.startswith("Sig"))
        except (OSError, StopIteration):
            return True
        return any(int(masks[key], 16) & bit for key in ("SigBlk:", "SigIgn:", "SigCgt:"))

    def hear(self) -> None:
        """Take in what the process says while it makes the sandbox."""
        while True:
            try:
                received = self.status.receive(wait=False)
            except BlockingIOError:
                return
            if received is None:
                return
            self._take(*received)

    def _take(self, message: object, fds: list[int]) -> None:
        match message:
            case Ready(made, terminal):
                outer = [fds.pop()] if terminal else []
                self.stubs, self.parents = made, fds
                self.caller.send(Ready((), terminal), outer)
                for fd in outer:
                    os.close(fd)
            case Unstarted():
                self.unstarted = message
            case Failed():
                self.failed = message
            case _:
                raise AssertionError(message)

    def finish(self) -> None:
        """Reap it, tidy up, and tell the caller."""
        _pid, status, usage = os.wait4(self.pid, 0)
        wall = time.monotonic() - self.started
        self.hear()
        stubs.remove(self.stubs, self.parents)
        used = cgroups.Usage()
        if self.group is not None:
            used = self.group.usage()
            self.group.remove()
        if self.failed is not None:
            self.caller.send(self.failed)
        else:
            result = ExitStatus(
                code=0,
                user_seconds=usage.ru_utime,
                system_seconds=usage.ru_stime,
                wall_seconds=wall,
                peak_memory=used.peak_memory or usage.ru_maxrss * 1024,
                read_bytes=used.read_bytes or usage.ru_inblock * 512,
                written_bytes=used.written_bytes or usage.ru_oublock * 512,
            )
            self.caller.send(self._judge(os.waitstatus_to_exitcode(status), used, result))
        self.close()

    def _judge(self, code: int, used: cgroups.Usage, result: ExitStatus) -> ExitStatus:
        """Fill in how it ended; a negative `code` is a signal."""
        if self.unstarted is not None:
            missing = self.unstarted
            return result._replace(code=missing.code, started=False, reason=missing.reason)
        signal = -code if code < 0 else None
        if signal == _KILL and self.asked_to_end_by is not None:
            signal = self.asked_to_end_by
        code = code if signal is None else 128 + signal
        oom = used.oom_kills > 0 and code != 0
        reason = f"out of memory, peak {used.peak_memory} bytes" if oom else ""
        return result._replace(code=code, signal=signal, oom=oom, reason=reason)

    def close(self) -> None:
        """Close what belongs to it."""
        self.caller.close()
        self.status.close()
        os.close(self.pidfd)


class _Zygote:
    """The loop, and what runs."""

    def __init__(self, control: Channel) -> None:
        self._control = control
        self._namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._maker = os.readlink("/proc/self")
        self._layout = cgroups.here()
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)
        self._by_fd: dict[int, _Sandbox] = {}
        self._numbers = 0
        cgroups.collect_stale(self._layout)

    def serve(self) -> None:
        """Start, watch and finish sandboxes until the caller is gone."""
        while True:
            for fd, _events in self._poll.poll():
                if fd == self._control.fileno():
                    received = self._control.receive()
                    if received is None:
                        self._end_all()
                        return
                    self._start(cast("Run", received[0]), received[1])
                elif fd in self._by_fd:
                    self._attend(fd, self._by_fd[fd])

    def _attend(self, fd: int, sandbox: _Sandbox) -> None:
        if fd == sandbox.pidfd:
            self._forget(sandbox)
            sandbox.finish()
        elif fd == sandbox.status.fileno():
            sandbox.hear()
            # Either all has been said, or the process is about to end.
            self._poll.unregister(fd)
            del self._by_fd[fd]
        else:
            received = sandbox.caller.receive()
            if received is not None:
                sandbox.signal(cast("Signal", received[0]).number)
                return
            sandbox.signal(_KILL)
            self._poll.unregister(fd)
            del self._by_fd[fd]

    def _start(self, run: Run, fds: list[int]) -> None:
        caller = Channel.of(fds[0])
        data = from_memory(fds[1])
        plan, resources = cast("tuple[tuple[Action, ...], Resources]", wire.loads(data, _TYPES))
        self._numbers += 1
        try:
            name = cgroups.name_of(self._maker, self._numbers)
            group = cgroups.create(resources, self._layout, name)
            view = CgroupView() if group is None else group.view
            given = init.Given(
                stdio=(fds[2], fds[3], fds[4]),
                fds=dict(zip(run.numbers, fds[5:], strict=True)),
                view=view,
            )
            self._fork(caller, plan, given, group)
        except (OSError, SandboxError) as error:
            caller.send(_refusal(error))
            caller.close()
        for fd in fds[2:]:
            os.close(fd)

    def _fork(
        self,
        caller: Channel,
        plan: tuple[Action, ...],
        given: init.Given,
        group: cgroups.Group | None,
    ) -> None:
        ours, theirs = Channel.pair()
        syscalls.unshare(syscalls.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            try:
                if group is not None:
                    group.join()
                init.main(plan, given, theirs)
            finally:
                os._exit(125)
        syscalls.setns(self._namespace, syscalls.CLONE_NEWPID)
        theirs.close()
        sandbox = _Sandbox(caller, ours, pid)
        sandbox.group = group
        for fd in (sandbox.pidfd, ours.fileno(), caller.fileno()):
            self._by_fd[fd] = sandbox
            self._poll.register(fd, select.POLLIN)

    def _forget(self, sandbox: _Sandbox) -> None:
        for fd in (sandbox.pidfd, sandbox.status.fileno(), sandbox.caller.fileno()):
            if self._by_fd.pop(fd, None) is not None:
                self._poll.unregister(fd)

    def _end_all(self) -> None:
        """Kill what still runs, and tidy up after it."""
        remaining = set(self._by_fd.values())
        for sandbox in remaining:
            sandbox.signal(_KILL)
        for sandbox in remaining:
            sandbox.finish()


def _refusal(error: OSError | SandboxError) -> Failed:
    if isinstance(error, SandboxError):
        return Failed("setup", "start a sandbox", 0, error.message, error.hint)
    return Failed("setup", "start a sandbox", error.errno or 0, error.strerror or "", "")


if __name__ == "__main__":
    main(int(sys.argv[1]))
