"""Running sandboxes: hands plans to the zygote and waits.

In: `SandboxSpec` values and descriptors. Out: `ExitStatus` values. For callers with threads;
`terminal.py` is for the foreground.
"""

from __future__ import annotations

import os
import select
import time

from runtime import host, plan, spawning, wire
from runtime.channel import Channel, Failed, Ready, Run, Signal
from runtime.errors import StateError
from runtime.spec import ExitStatus, SandboxSpec, descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


_KILL = 9

_ENDED = "if it said nothing above, see with 'dmesg' whether the kernel killed it"


class Step:
    """A sandbox that was started. One thread waits; any thread may send signals."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._terminal: int | None = None
        self._ready = False
        self._status: ExitStatus | None = None

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Wait until every process of the sandbox is gone.

        After `timeout` seconds it is killed, and the status says so. Raises SetupError where
        the sandbox could not be made, StateError where the zygote is gone.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        timed_out = False
        while self._status is None:
            if deadline is not None and not self._speaks_by(deadline):
                timed_out, deadline = True, None
                self.kill()
            self._hear()
        status = self._status
        if timed_out and status.signal == _KILL:
            reason = f"timed out after {timeout:g} seconds"
            status = status._replace(timed_out=True, reason=reason)
        return status

    def terminal(self) -> int | None:
        """Wait until the program is about to run; return the outer end of its terminal.

        None means that it has none, or could not be started, which `wait` explains. The caller
        closes the descriptor.
        """
        while not self._ready and self._status is None:
            self._hear()
        return self._terminal

    def fileno(self) -> int:
        """Return a descriptor that is readable once `wait` will not block for long."""
        return self._channel.fileno()

    def signal(self, number: int) -> None:
        """Send the program a signal; a deadly one that it does not handle kills it."""
        self._channel.send(Signal(number))

    def kill(self) -> None:
        """Kill the sandbox with everything in it; `wait` returns soon after."""
        self.signal(_KILL)

    def _speaks_by(self, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def _hear(self) -> None:
        """Take one message in."""
        received = self._channel.receive()
        if received is None:
            self._channel.close()
            raise StateError("the sandbox was ended together with its zygote")
        message, fds = received
        match message:
            case Ready():
                self._ready = True
                self._terminal = fds[0] if fds else None
            case ExitStatus():
                self._status = message
                self._channel.close()
            case Failed():
                self._channel.close()
                raise message.error()
            case _:
                raise StateError(f"unexpected message {message}")


class Zygote:
    """The process that starts sandboxes. Its methods may be called from any thread."""

    def __init__(self, control: Channel, pid: int) -> None:
        self._control = control
        self._pid = pid
        self._host = host.here()

    @classmethod
    def start(cls) -> Self:
        """Spawn a zygote in the namespaces of the caller, without waiting for it."""
        return cls.of(*spawning.spawn())

    @classmethod
    def of(cls, control: int, pid: int) -> Self:
        """Take over what `spawning.spawn` returned; where that fails it has ended."""
        channel = Channel.of(control)
        try:
            return cls(channel, pid)
        except OSError:
            channel.close()
            os.waitpid(pid, 0)
            raise

    def begin(
        self,
        spec: SandboxSpec,
        *,
        stdin: int | None = None,
        stdout: int = 1,
        stderr: int | None = None,
    ) -> Step:
        """Start a sandbox; without `stdin` it reads nothing, without `stderr` as `stdout`.

        The descriptors stay the caller's. Those in the spec (`BindFd`, `Overlay.lowers`) are
        used up, and closed. Raises SpecError where the spec makes no sense.
        """
        actions = plan.plan(spec, self._host)
        used_up = descriptors(spec)
        numbers = used_up if spec.network_fd is None else (*used_up, spec.network_fd)
        ours, theirs = Channel.pair()
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if stdin is None else None
        memory = wire.in_memory((actions, spec.resources))
        try:
            first = null if stdin is None else stdin
            last = stdout if stderr is None else stderr
            fds = [theirs.fileno(), memory, first, stdout, last, *numbers]
            if not self._control.send(Run(numbers), [fd for fd in fds if fd is not None]):
                raise StateError("the helper that starts steps has ended", hint=_ENDED)
        finally:
            theirs.close()
            for fd in (null, memory, *used_up):
                if fd is not None:
                    os.close(fd)
        return Step(ours)

    def run(
        self,
        spec: SandboxSpec,
        *,
        stdin: int | None = None,
        stdout: int = 1,
        stderr: int | None = None,
        timeout: float | None = None,
    ) -> ExitStatus:
        """Run a sandbox to its end; see `begin` and `Step.wait`."""
        return self.begin(spec, stdin=stdin, stdout=stdout, stderr=stderr).wait(timeout)

    def close(self) -> None:
        """Kill what still runs, and end the zygote; may be called twice."""
        self._control.close()
        if self._pid:
            os.waitpid(self._pid, 0)
            self._pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
