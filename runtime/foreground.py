"""A command at a container: its terminal or streams, its signals, until one of the two leaves.

In: a connection to a monitor. Out: an `ExitStatus`, or None when the user has detached. What is
typed goes in, what the container writes comes out; signals that reach the command are passed on.
Source: termios(3); the behaviour of the container engines.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import os
import select
from contextlib import contextmanager

from runtime import wire
from runtime.control import (
    BLOCK,
    Attach,
    Connection,
    Detach,
    Done,
    Input,
    Message,
    Mute,
    Output,
    Refused,
    Resize,
    RunExec,
    Signal,
)
from runtime.errors import SandboxError
from runtime.spec import ExitStatus
from runtime.terminal import FORWARDED, following_size, raw, resize, size
from runtime.ticks import ticking
from runtime.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from runtime.container import Exec


_LOST = ExitStatus(137, signal=9, reason="the monitor of the container was killed")


class Manner(NamedTuple):
    """How a command takes part. `keys` typed one after the other detach, where there is `tty`."""

    tty: bool = False
    stdin: bool = False
    keys: bytes = b"\x10\x11"
    signals: bool = True
    streams: tuple[int, ...] = (1, 2)


def parse_keys(text: str) -> bytes:
    """Return the bytes of `--detach-keys`: letters or `ctrl-X`, separated by commas."""
    keys = bytearray()
    for word in filter(None, text.split(",")):
        control = word.lower().removeprefix("ctrl-")
        if len(word) == 1:
            keys += word.encode()
        elif len(control) == 1 and (control.isalpha() or control in "@[\\]^_"):
            keys.append(ord(control.upper()) & 0x1F)
        else:
            raise SandboxError(f"invalid key {word!r}", hint="as in ctrl-p,ctrl-q")
    return bytes(keys)


def attach(connection: Connection, manner: Manner) -> ExitStatus | None:
    """Attach to a container that runs, and stay as `stay` does."""
    connection.ask(Attach(manner.stdin))
    if manner.tty:
        connection.send(Resize(*size()))
    return stay(connection, manner)


def stay(connection: Connection, manner: Manner) -> ExitStatus | None:
    """Take part until the container ends (its status) or the user detaches (None).

    Raises SandboxError where the container could not be started.
    """
    seat = _Seat(connection, manner)
    with _forwarding(connection, wanted=manner.signals):
        if not manner.tty:
            return seat.stay()
        with (
            raw(0 if manner.stdin else None),
            following_size(lambda rows, columns: connection.send(Resize(rows, columns))),
        ):
            return seat.stay()


class _Seat:
    """The loop of a command that is attached."""

    def __init__(self, connection: Connection, manner: Manner) -> None:
        self._connection = connection
        self._manner = manner
        self._keys = Keys(manner.keys if manner.tty else b"")
        self._muted: set[int] = set()

    def stay(self) -> ExitStatus | None:
        """Copy both ways."""
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        if self._manner.stdin:
            poll.register(0, select.POLLIN)
        while True:
            for fd, _events in poll.poll():
                if fd == 0:
                    if not self._type():
                        poll.unregister(0)
                    if self._keys.left:
                        self._connection.send(Detach())
                        return None
                    continue
                received = self._connection.receive()
                if received is None:
                    return _LOST
                status = self._hear(received[0])
                if status is not None:
                    return status

    def _type(self) -> bool:
        """Send what was typed; return whether there may be more."""
        try:
            data = os.read(0, BLOCK)
        except OSError:
            data = b""
        if not data:
            self._connection.send(Input(b""))
            return False
        passed = self._keys.filter(data)
        if passed:
            self._connection.send(Input(passed))
        return True

    def _hear(self, message: Message) -> ExitStatus | None:
        match message:
            case Output(stream, data):
                if stream in self._manner.streams and stream not in self._muted:
                    self._write(stream, data)
            case ExitStatus():
                return message
            case Done(code):
                return ExitStatus(code)
            case Refused(text, hint):
                raise SandboxError(text, hint=hint)
            case _:
                pass
        return None

    def _write(self, stream: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(stream, view) :]
        except OSError:
            # Nobody reads it any more: the program shall know, as in a shell's pipe.
            self._muted.add(stream)
            self._connection.send(Mute(stream))


class Keys:
    """Looks for the keys that detach in what is typed."""

    def __init__(self, keys: bytes) -> None:
        self.left = False
        self._keys = keys
        self._seen = 0

    def filter(self, data: bytes) -> bytes:
        """Return what goes on; what may be the beginning of the keys is held back."""
        if not self._keys:
            return data
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    self.left = True
                    return bytes(passed)
                continue
            passed += self._keys[: self._seen]
            self._seen = 1 if byte == self._keys[0] else 0
            if not self._seen:
                passed.append(byte)
        return bytes(passed)


def execute(connection: Connection, wanted: Exec, manner: Manner) -> ExitStatus | None:
    """Run a further program in a container, with our streams or a terminal; return its status."""
    memory = wire.in_memory(wanted)
    if manner.tty:
        _message, fds = connection.ask(RunExec(), [memory])
        return _at_terminal(connection, fds[0], manner)
    stdin = _Pump.stdin(wanted=manner.stdin)
    out, err = _Pump.output(1), _Pump.output(2)
    connection.send(RunExec(), [memory, stdin.theirs, out.theirs, err.theirs])
    for fd in (memory, stdin.theirs, out.theirs, err.theirs):
        os.close(fd)
    with _forwarding(connection, wanted=manner.signals):
        return _pump(connection, [pump for pump in (stdin, out, err) if pump.source >= 0])


def execute_detached(connection: Connection, wanted: Exec) -> None:
    """Run a further program in a container, and leave it there."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    connection.ask(RunExec(detached=True), [wire.in_memory(wanted), null, null, null])


class _Pump(NamedTuple):
    """Copies from one descriptor to another; `theirs` is the end for the program."""

    source: int
    target: int
    theirs: int

    @classmethod
    def stdin(cls, *, wanted: bool) -> _Pump:
        if not wanted:
            return cls(-1, -1, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        reading, writing = os.pipe2(os.O_CLOEXEC)
        return cls(0, writing, reading)

    @classmethod
    def output(cls, stream: int) -> _Pump:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        return cls(reading, stream, writing)

    def copy(self) -> bool:
        """Copy a block; return whether there may be more."""
        try:
            data = os.read(self.source, BLOCK)
            view = memoryview(data)
            while view:
                view = view[os.write(self.target, view) :]
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            # The source is closed, or nobody reads the target: the other side shall know.
            os.close(self.target if self.source == 0 else self.source)
        return bool(data)


def _pump(connection: Connection, pumps: list[_Pump]) -> ExitStatus:
    by_source = {pump.source: pump for pump in pumps}
    poll = select.poll()
    for fd in (*by_source, connection.fileno()):
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _events in poll.poll():
            if fd in by_source:
                if not by_source[fd].copy():
                    poll.unregister(fd)
                    del by_source[fd]
                continue
            status = _heard(connection)
            if status is not None:
                _drain([pump for pump in by_source.values() if pump.source])
                return status


def _heard(connection: Connection) -> ExitStatus | None:
    received = connection.receive()
    if received is None:
        return _LOST
    match received[0]:
        case ExitStatus() as status:
            return status
        case Refused(text, hint):
            raise SandboxError(text, hint=hint)
        case _:
            return None


def _drain(pumps: list[_Pump]) -> None:
    """Copy what was written last; what still runs in the background is not waited for."""
    for pump in pumps:
        os.set_blocking(pump.source, False)
        poll = select.poll()
        poll.register(pump.source, select.POLLIN)
        while poll.poll(0):
            if not pump.copy():
                break


def _at_terminal(connection: Connection, outer: int, manner: Manner) -> ExitStatus | None:
    """Copy between our terminal and the program's."""
    keys = Keys(manner.keys)
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    poll.register(outer, select.POLLIN)
    if manner.stdin:
        poll.register(0, select.POLLIN)
    screen = _Pump(outer, 1, -1)
    shown = True
    with raw(0 if manner.stdin else None), following_size(lambda *new: resize(outer, *new)):
        while True:
            ready = dict(poll.poll())
            if outer in ready and not screen.copy():
                poll.unregister(outer)
                shown = False
            if 0 in ready:
                data = os.read(0, BLOCK)
                os.write(outer, keys.filter(data) if data else b"\x04")
                if not data:
                    poll.unregister(0)
                if keys.left:
                    connection.send(Detach())
                    return None
            if connection.fileno() in ready:
                status = _heard(connection)
                if status is not None:
                    _drain([screen] if shown else [])
                    return status


@contextmanager
def _forwarding(connection: Connection, *, wanted: bool) -> Iterator[None]:
    """Pass signals on to the program for the time of a block."""
    if not wanted:
        yield
        return

    def forward(number: int, _frame: FrameType | None) -> None:
        connection.send(Signal(number))

    before = {number: _signal.signal(number, forward) for number in FORWARDED}
    try:
        with ticking():
            yield
    finally:
        for number, handler in before.items():
            _signal.signal(number, handler)
