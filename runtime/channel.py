"""Messages between the caller, the zygote and the process that becomes the program.

In: values, with descriptors beside them. Out: the same on the other side of a socket that keeps
message boundaries (SOCK_SEQPACKET). What may be large goes through a memfd instead.
Source: unix(7).
"""

from __future__ import annotations

import _socket  # the plain module; `socket` costs 6 ms for its enums

from runtime import wire
from runtime.errors import SandboxError, SetupError, UserError
from runtime.spec import ExitStatus
from runtime.stubs import Stub
from runtime.typed import cast
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, Self, TypeAlias


_MAX_MESSAGE = 1 << 16
_MAX_FDS = 250


class Run(NamedTuple):
    """Caller to zygote: start what the memfd describes.

    Beside it travel the step's own channel, the memfd, stdin, stdout, stderr, and a descriptor
    for each of `numbers`.
    """

    numbers: tuple[int, ...]


class Signal(NamedTuple):
    """Caller to zygote, on the step's channel: send the program a signal."""

    number: int


class Ready(NamedTuple):
    """The sandbox is made and the program about to run.

    To the zygote with the descriptors of `stubs` and the outer end of the terminal; to the
    caller with the latter alone.
    """

    stubs: tuple[Stub, ...]
    terminal: bool


class Unstarted(NamedTuple):
    """The program could not be run."""

    code: int
    reason: str


class Failed(NamedTuple):
    """The sandbox could not be made."""

    kind: Literal["setup", "user"]
    action: str
    number: int
    cause: str
    hint: str

    def error(self) -> SandboxError:
        """Return it as the error to raise."""
        kind = UserError if self.kind == "user" else SetupError
        return kind(self.action, self.cause, hint=self.hint, number=self.number)


class Listener(NamedTuple):
    """To the supervisor, with the descriptor on which the sandbox's calls are heard, and stderr.

    `number` is 0, or the errno for which there is none.
    """

    number: int


Message: TypeAlias = Run | Signal | Ready | Unstarted | Failed | Listener | ExitStatus

_TYPES = wire.named(Run, Signal, Ready, Unstarted, Failed, Listener, ExitStatus, Stub)


class Channel:
    """One end of a socket; close-on-exec."""

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Return both ends of a new channel."""
        one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    @classmethod
    def of(cls, fd: int) -> Self:
        """Take over a descriptor."""
        return cls(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd))

    def fileno(self) -> int:
        """Return the descriptor, for poll."""
        return self._connection.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> bool:
        """Send; return whether anybody is there to hear it."""
        ancillary = []
        if fds:
            ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, wire.packed(fds))]
        try:
            self._connection.sendmsg([wire.dumps(message)], ancillary, _socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, *, wait: bool = True) -> tuple[Message, list[int]] | None:
        """Return the next message with its descriptors, or None at the end.

        Raises BlockingIOError when there is none and `wait` is false.
        """
        flags = _socket.MSG_CMSG_CLOEXEC | (0 if wait else _socket.MSG_DONTWAIT)
        space = _socket.CMSG_SPACE(_MAX_FDS * 4)
        try:
            data, ancillary, _flags, _from = self._connection.recvmsg(_MAX_MESSAGE, space, flags)
        except ConnectionResetError:
            return None
        fds: list[int] = []
        for level, kind, content in ancillary:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                fds += wire.unpacked(content)
        if not data:
            return None
        return cast("Message", wire.loads(data, _TYPES)), fds

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
