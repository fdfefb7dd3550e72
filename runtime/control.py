"""What is said between a container's monitor and the commands about it.

In: values, with descriptors beside them. Out: the same on the other side of a socket. A command
connects by the socket `control` in the container's directory, which only its user can reach, so
both ends trust each other; they may be of different versions of Python, hence marshal's format 4.
Source: unix(7).
"""

from __future__ import annotations

import _socket  # the plain module; `socket` costs 6 ms for its enums
import errno
import os

from runtime import wire
from runtime.container import Exec
from runtime.errors import SandboxError, StateError
from runtime.spec import ExitStatus, Process, Rlimit
from runtime.typed import cast
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self, TypeAlias


BLOCK = 32 << 10
"""Bytes of output or input in one message."""

_accept = _socket.socket._accept  # type: ignore[attr-defined]  # noqa: SLF001 - its plain name
_MAX_MESSAGE = 1 << 17
_MAX_FDS = 16
_SENT = 1 << 20


class Begin(NamedTuple):
    """To a monitor that was forked early: look after the container of the task.

    With it go a memfd that holds the task, and the lock on the container's directory.
    """


class Attach(NamedTuple):
    """Command: show me the output from now on; with `stdin`, what I send is its input."""

    stdin: bool


class Input(NamedTuple):
    """Command: this was typed; nothing means that there will be no more."""

    data: bytes


class Resize(NamedTuple):
    """Command: the window has this size now."""

    rows: int
    columns: int


class Signal(NamedTuple):
    """Command: send the program a signal."""

    number: int


class Mute(NamedTuple):
    """Command: nobody reads this stream of mine any more; the program shall notice, too."""

    stream: int


class Detach(NamedTuple):
    """Command: I leave, and the container stays."""


class Stop(NamedTuple):
    """Command: end it, by `signal` (0 for its own); kill it after `timeout` seconds (-1: its own).

    With `again`, start it again afterwards. Answered by `Done` when that has come to pass.
    """

    signal: int = 0
    timeout: float = -1.0
    again: bool = False


class Pause(NamedTuple):
    """Command: let nothing in it run, or let it run again."""

    paused: bool


class RunExec(NamedTuple):
    """Command: run a further program; beside it a memfd with the `Exec` and stdin, stdout, stderr.

    With `terminal` it has a terminal of its own instead, whose outer end comes with `Started`.
    With `detached` it stays when the command leaves.
    """

    detached: bool = False


class Wait(NamedTuple):
    """Command: tell me (`Done`) when it has ended for good, or has become `health`."""

    health: str = ""


class Look(NamedTuple):
    """Command: give me its root directory, as a descriptor beside `Done`."""


class Processes(NamedTuple):
    """Command: tell me the processes in it, as `Listed`, by their numbers on the host."""


class Started(NamedTuple):
    """Monitor: it runs. Beside it the outer end of a terminal, for `RunExec` with one."""

    pid: int


class Output(NamedTuple):
    """Monitor: it wrote this. Stream 1 or 2."""

    stream: int
    data: bytes


class Done(NamedTuple):
    """Monitor: what was asked for has come to pass."""

    code: int = 0


class Listed(NamedTuple):
    """Monitor: numbers of processes."""

    pids: tuple[int, ...]


class Refused(NamedTuple):
    """Monitor: that cannot be done."""

    message: str
    hint: str = ""

    def error(self) -> SandboxError:
        """Return it as the error to raise."""
        return StateError(self.message, hint=self.hint)


Message: TypeAlias = (
    Begin | Attach | Input | Resize | Signal | Mute | Detach | Stop | Pause | RunExec | Wait | Look
    | Processes | Started | Output | Done | Listed | Refused | ExitStatus
)  # fmt: skip

TYPES = wire.named(
    *(
        Begin,
        Attach,
        Input,
        Resize,
        Signal,
        Mute,
        Detach,
        Stop,
        Pause,
        RunExec,
        Wait,
        Look,
        Processes,
    ),
    *(Started, Output, Done, Listed, Refused, ExitStatus, Exec, Process, Rlimit),
)


class Connection:
    """One end of a socket; close-on-exec."""

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Return both ends of a new connection."""
        one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        return cls(_roomy(one)), cls(_roomy(other))

    @classmethod
    def of(cls, fd: int) -> Self:
        """Take over a descriptor."""
        return cls(_roomy(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)))

    @classmethod
    def to(cls, directory: str) -> Self:
        """Connect to the monitor of a container. Raises StateError where none listens."""
        made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            _by_short_name(directory, made.connect)
        except (ConnectionRefusedError, FileNotFoundError):
            made.close()
            raise StateError("the container is not running") from None
        return cls(_roomy(made))

    def fileno(self) -> int:
        """Return the descriptor, for poll; -1 when closed."""
        return self._connection.fileno()

    def send(self, message: Message, fds: Sequence[int] = (), *, wait: bool = True) -> bool:
        """Send; return whether anybody is there to hear it.

        Raises BlockingIOError where it cannot be sent at once and `wait` is false.
        """
        ancillary = []
        if fds:
            ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, wire.packed(fds))]
        flags = _socket.MSG_NOSIGNAL | (0 if wait else _socket.MSG_DONTWAIT)
        try:
            self._connection.sendmsg([wire.dumps(message)], ancillary, flags)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            if error.errno == errno.EBADF:
                return False
            raise
        return True

    def receive_now(self) -> tuple[Message, list[int]] | None:
        """Do as `receive`, or raise BlockingIOError where there is none yet."""
        return self.receive(_socket.MSG_DONTWAIT)

    def receive(self, flags: int = 0) -> tuple[Message, list[int]] | None:
        """Return the next message with its descriptors, or None at the end."""
        space = _socket.CMSG_SPACE(_MAX_FDS * 4)
        try:
            data, ancillary, _flags, _from = self._connection.recvmsg(
                _MAX_MESSAGE, space, flags | _socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        fds: list[int] = []
        for level, kind, content in ancillary:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                fds += wire.unpacked(content)
        if not data:
            return None
        return cast("Message", wire.loads(data, TYPES)), fds

    def ask(self, message: Message, fds: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Send, and return the answer. Raises StateError for a refusal or none."""
        self.send(message, fds)
        received = self.receive()
        if received is None:
            raise StateError("the container has ended")
        if isinstance(received[0], Refused):
            raise received[0].error()
        return received

    def close(self) -> None:
        """Close this end; may be called twice."""
        self._connection.close()


def listen(directory: str) -> _socket.socket:
    """Return the socket on which the monitor of a container listens."""
    made = _socket.socket(
        _socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    )
    try:
        os.unlink(f"{directory}/control")
    except FileNotFoundError:
        pass
    _by_short_name(directory, made.bind)
    made.listen(64)
    return made


def accept(listening: _socket.socket) -> Connection | None:
    """Return a command that has come, None where it is gone again."""
    try:
        fd, _address = _accept(listening)
    except (BlockingIOError, ConnectionAbortedError):
        return None
    os.set_blocking(fd, True)
    return Connection.of(fd)


def _by_short_name(directory: str, act: Callable[[str], object]) -> None:
    """Name the socket by a descriptor: a path of the file system could be too long for one."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        act(f"/proc/self/fd/{fd}/control")
    finally:
        os.close(fd)


def _roomy(connection: _socket.socket) -> _socket.socket:
    """Give a socket buffers for several messages; the kernel grants what it may."""
    connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _SENT)
    return connection
