"""A sandbox as its parent sees it: forked, heard while it is made, signalled, reaped.

In: a plan and what it needs. Out: `ExitStatus`, or why there was no sandbox. Used by the zygote
for build steps, and by `terminal.py` in the foreground; both are single-threaded.
Source: pid_namespaces(7), wait4(2); docs/performance.md, "Steps"; docs/security.md, S9.
"""

from __future__ import annotations

import os
import time

from runtime import cgroups, init, process, stubs, syscalls
from runtime.actions import Action, SetOomScore, Supervise
from runtime.channel import Channel, Failed, Ready, Unstarted
from runtime.errors import SandboxError
from runtime.spec import ExitStatus
from runtime.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.stubs import Stub
    from runtime.supervisor import Supervisor

KILL = 9
_DEADLY = (1, 2, 3, 15)
"""SIGHUP, SIGINT, SIGQUIT, SIGTERM: process 1 ignores them unless it handles them."""


class Child:
    """One sandbox that is being made, or runs, or has ended.

    `ready` turns true when its program is about to run; `terminal` is then the outer end of its
    terminal, if it has one, and belongs to whoever takes it.
    """

    def __init__(
        self,
        pid: int,
        status: Channel,
        group: cgroups.Group | None,
        supervisor: Supervisor | None,
        *,
        first: bool = True,
    ) -> None:
        """`first`: it is process 1 of its namespace, and `group` its own."""
        self._supervisor = supervisor
        self.pidfd = os.pidfd_open(pid)
        self._first = first
        self._outer = -1
        self.ready = False
        self.terminal: int | None = None
        self._pid = pid
        self._status = status
        self._group = group
        self._started = time.monotonic()
        self._failed: Failed | None = None
        self._unstarted: Unstarted | None = None
        self._stubs: tuple[Stub, ...] = ()
        self._parents: list[int] = []
        self._asked_to_end_by: int | None = None

    @property
    def status_fd(self) -> int:
        """A descriptor that is readable when `hear` has something to take in."""
        return self._status.fileno()

    @property
    def is_refused(self) -> bool:
        """Whether it has said, by the end of what it says, that it is not the program."""
        return self._unstarted is not None or self._failed is not None

    def signal(self, number: int) -> None:
        """Send a signal; one that process 1 would ignore by default kills it instead.

        What it handles or blocks before it is ready is our doing, and not the program's.
        """
        if self._first and number in _DEADLY and not (self.ready and self._handles(number)):
            self._asked_to_end_by = number
            number = KILL
        try:
            os.kill(self._pid, number)
        except ProcessLookupError:
            return

    def _handles(self, number: int) -> bool:
        """Whether the program catches, ignores or blocks a signal."""
        bit = 1 << (number - 1)
        try:
            path = f"/proc/{self.outer_pid()}/status"
            with open(path, encoding="utf-8", errors="replace") as lines:
                masks = dict(line.split()[:2] for line in lines if line.startswith("Sig"))
        except OSError:
            return True
        return any(int(masks[key], 16) & bit for key in ("SigBlk:", "SigIgn:", "SigCgt:"))

    def outer_pid(self) -> int:
        """Return the number by which /proc knows it, or knew it before its end.

        /proc may be of an outer pid namespace, which knows the process by another number.
        """
        if self._outer < 0:
            with open(f"/proc/self/fdinfo/{self.pidfd}", encoding="utf-8") as lines:
                found = (int(line.split()[1]) for line in lines if line.startswith("Pid:"))
                self._outer = next(found, -1)
        return self._outer

    def hear(self) -> bool:
        """Take in what the process says while it makes the sandbox; false at the end of that."""
        while True:
            try:
                received = self._status.receive(wait=False)
            except BlockingIOError:
                return True
            if received is None:
                return False
            message, fds = received
            if isinstance(message, Ready):
                self.ready = True
                self.outer_pid()
                self.terminal = fds.pop() if message.terminal else None
                self._stubs, self._parents = message.stubs, fds
            elif isinstance(message, Unstarted):
                self._unstarted = message
            elif isinstance(message, Failed):
                self._failed = message

    def finish(self) -> ExitStatus | Failed:
        """Wait for its end, and tidy up after it.

        When this returns, every process of the sandbox is gone: the kernel reports the end of
        process 1 only then.
        """
        self.hear()
        _pid, status, usage = os.wait4(self._pid, 0)
        wall = time.monotonic() - self._started
        self.hear()
        self._status.close()
        os.close(self.pidfd)
        if self._supervisor is not None:
            self._supervisor.end()
        stubs.remove(self._stubs, self._parents)
        used = Usage()
        if self._group is not None:
            used = self._group.usage()
            self._group.remove()
        if self._failed is not None:
            return self._failed
        result = ExitStatus(
            code=0,
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
            wall_seconds=wall,
            peak_memory=used.peak_memory or usage.ru_maxrss * 1024,
            read_bytes=used.read_bytes or usage.ru_inblock * 512,
            written_bytes=used.written_bytes or usage.ru_oublock * 512,
        )
        return self._judge(os.waitstatus_to_exitcode(status), used, result)

    def _judge(self, code: int, used: Usage, result: ExitStatus) -> ExitStatus:
        """Fill in how it ended; a negative `code` is a signal."""
        if self._unstarted is not None:
            missing = self._unstarted
            return result._replace(code=missing.code, started=False, reason=missing.reason)
        signal = -code if code < 0 else None
        if signal == KILL and self._asked_to_end_by is not None:
            signal = self._asked_to_end_by
        code = code if signal is None else 128 + signal
        oom = used.oom_kills > 0 and code != 0
        reason = ""
        if oom:
            limit, peak = used.memory_limit >> 20, used.peak_memory >> 20
            reason = f"out of memory: the limit is {limit} MiB, the peak was {peak} MiB"
        elif used.refused and code != 0:
            reason = f"the limit of {used.process_limit} processes was reached"
        return result._replace(code=code, signal=signal, oom=oom, reason=reason)


def start(
    plan: tuple[Action, ...],
    given: init.Given,
    group: cgroups.Group | None,
    namespace: int,
    *,
    dies_with_parent: bool,
    user: int | None = None,
) -> Child:
    """Fork the sandbox as process 1 of a new pid namespace.

    `namespace` is the caller's own pid namespace, to which it comes back where it may; in a
    user namespace that does not own it, the caller can fork no more. `user`: the user namespace in
    which the sandbox is.
    """
    supervisor = _supervisor(plan)
    ours, theirs = Channel.pair()
    if user is not None:
        return _start_in(user, plan, given, group, (ours, theirs))
    syscalls.unshare(syscalls.CLONE_NEWPID)
    try:
        pid = process.fork()
    except OSError:
        _come_back(namespace)
        if supervisor is not None:
            supervisor.end()
        raise
    if pid == 0:
        try:
            ours.close()
            given = _with(given, supervisor)
            if group is not None:
                group.join()
            init.main(plan, given, theirs, dies_with_parent=dies_with_parent)
        finally:
            os._exit(125)
    theirs.close()
    _come_back(namespace)
    if supervisor is not None:
        supervisor.socket.close()
    return Child(pid, ours, group, supervisor)


def _start_in(
    user: int,
    plan: tuple[Action, ...],
    given: init.Given,
    group: cgroups.Group | None,
    channels: tuple[Channel, Channel],
) -> Child:
    from runtime import userns  # for those who have one

    ours, theirs = channels

    scores = [action for action in plan if isinstance(action, SetOomScore)]
    rest = tuple(action for action in plan if not isinstance(action, SetOomScore))

    def main() -> None:
        init.main(rest, given, theirs, dies_with_parent=False)

    def prepare() -> None:
        ours.close()
        if group is not None:
            group.join()
        for action in scores:
            # Of who is not dumpable, /proc/self belongs to nobody whom the namespace knows.
            process.set_oom_score(action.score)

    try:
        pid = userns.fork_into(user, prepare, main)
    finally:
        theirs.close()
    return Child(pid, ours, group, None)


def join(
    plan: tuple[Action, ...],
    given: init.Given,
    group: cgroups.Group | None,
    namespace: int,
    sandbox: int,
) -> Child:
    """Fork a further process into the pid namespace of `sandbox`, a pidfd of its process 1.

    Until it executes, processes of the sandbox must not be able to look at it: it is this
    interpreter (docs/security.md, S2).
    """
    supervisor = _supervisor(plan)
    ours, theirs = Channel.pair()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.setns(sandbox, syscalls.CLONE_NEWPID)
    try:
        pid = process.fork()
    except OSError:
        _come_back(namespace)
        if supervisor is not None:
            supervisor.end()
        raise
    if pid == 0:
        try:
            ours.close()
            given = _with(given, supervisor)
            if group is not None:
                group.join()
            init.main(plan, given, theirs, dies_with_parent=False)
        finally:
            os._exit(125)
    theirs.close()
    _come_back(namespace)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    if supervisor is not None:
        supervisor.socket.close()
    return Child(pid, ours, None, supervisor, first=False)


def _supervisor(plan: tuple[Action, ...]) -> Supervisor | None:
    """Start a supervisor where the plan asks for one."""
    if not any(type(action) is Supervise for action in plan):
        return None
    # Only who has a single id pays for the import.
    from runtime import supervisor

    return supervisor.start()


def _with(given: init.Given, supervisor: Supervisor | None) -> init.Given:
    return given if supervisor is None else given._replace(supervisor=supervisor.socket.fileno())


def _come_back(namespace: int) -> None:
    try:
        syscalls.setns(namespace, syscalls.CLONE_NEWPID)
    except PermissionError:
        return


def refusal(error: OSError | SandboxError) -> Failed:
    """Return why a sandbox could not even be forked."""
    if isinstance(error, SandboxError):
        return Failed("setup", "start a sandbox", 0, error.message, error.hint)
    return Failed("setup", "start a sandbox", error.errno or 0, error.strerror or "", "")
