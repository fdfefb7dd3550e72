"""The standard streams of a container, as its monitor holds them: pipes, or a terminal.

In: what the container writes. Out: blocks, to `tell`; and what is to be its input, written as fast
as it reads. Nothing here blocks.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections import deque

from runtime import syscalls
from runtime.control import BLOCK
from runtime.loop import WRITE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_END_OF_FILE = b"\x04"
_MOST = 1 << 20


class Streams:
    """Pipes for one run of a container; `given` are the ends for the program, 0, 1 and 2."""

    def __init__(
        self,
        loop: Loop,
        tell: Callable[[int, bytes], object],
        *,
        interactive: bool,
        terminal: bool,
    ) -> None:
        """With `terminal` the program's own will be told by `started`; input waits for it."""
        self._loop = loop
        self._tell = tell
        self._reading: dict[int, int] = {}
        self._input = -1
        self._terminal = False
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._closing = False
        self._paused = False
        self._awaited = terminal
        self.given: tuple[int, ...] = self._pipes(interactive=interactive and not terminal)

    def _pipes(self, *, interactive: bool) -> tuple[int, ...]:
        if interactive:
            stdin, self._input = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._input, False)
        else:
            stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        given = [stdin]
        for stream in (1, 2):
            reading, writing = os.pipe2(os.O_CLOEXEC)
            given.append(writing)
            self._read(reading, stream)
        return tuple(given)

    def _read(self, fd: int, stream: int) -> None:
        os.set_blocking(fd, False)
        self._reading[fd] = stream
        self._loop.watch(fd, lambda: self._take(fd))

    def started(self, terminal: int | None) -> None:
        """Close the program's ends; `terminal` is the outer end of its terminal, if it has one."""
        for fd in self.given:
            os.close(fd)
        self.given = ()
        if terminal is None:
            return
        self._close_pipes()
        self._awaited = False
        self._terminal = True
        self._input = terminal
        self._read(terminal, 1)
        self._write()

    def _close_pipes(self) -> None:
        for fd in list(self._reading):
            self._end(fd)
        if self._input >= 0:
            self._loop.forget(self._input)
            os.close(self._input)
            self._input = -1

    def _take(self, fd: int) -> bool:
        """Take one block of output in; return whether there was one."""
        stream = self._reading[fd]
        try:
            data = os.read(fd, BLOCK)
        except BlockingIOError:
            return False
        except OSError:
            # EIO: the inner end of the terminal is closed everywhere.
            data = b""
        if data:
            self._tell(stream, data)
        else:
            self._end(fd)
        return bool(data)

    def _end(self, fd: int) -> None:
        self._loop.forget(fd)
        del self._reading[fd]
        if fd != self._input:
            os.close(fd)

    def drain(self) -> None:
        """Take in what was written last, after the program's end."""
        for fd in list(self._reading):
            while fd in self._reading and self._take(fd):
                pass

    def pause(self) -> None:
        """Take nothing in for now; the program waits when its pipe is full."""
        if not self._paused:
            self._paused = True
            for fd in self._reading:
                self._loop.forget(fd)

    def resume(self) -> None:
        """Take output in again."""
        if self._paused:
            self._paused = False
            for fd in self._reading:
                self._loop.watch(fd, lambda fd=fd: self._take(fd))  # type: ignore[misc]

    def mute(self, stream: int) -> None:
        """Close a stream that nobody wants, so that the program gets SIGPIPE."""
        for fd, number in list(self._reading.items()):
            if number == stream and not self._terminal:
                self._end(fd)

    @property
    def is_full(self) -> bool:
        """Whether the program reads its input too slowly for more."""
        return self._queued > _MOST

    def feed(self, data: bytes) -> None:
        """Add to the input; nothing is its end."""
        if (self._input < 0 and not self._awaited) or self._closing:
            return
        if not data and (self._terminal or self._awaited):
            data = _END_OF_FILE
        if data:
            self._queue.append(data)
            self._queued += len(data)
        else:
            self._closing = True
        if not self._awaited:
            self._write()

    def _write(self) -> None:
        """Write what the program takes."""
        if self._input < 0:
            return
        while self._queue:
            try:
                written = os.write(self._input, self._queue[0])
            except BlockingIOError:
                self._wait_for_room()
                return
            except OSError:
                # Nobody reads any more.
                self._queue.clear()
                self._queued = 0
                break
            self._queued -= written
            rest = self._queue.popleft()[written:]
            if rest:
                self._queue.appendleft(rest)
        if self._terminal:
            if self._input in self._reading and not self._paused:
                self._loop.watch(self._input, lambda: self._take(self._input))
        else:
            self._loop.forget(self._input)
            if self._closing:
                os.close(self._input)
                self._input = -1

    def _wait_for_room(self) -> None:
        if not self._terminal:
            self._loop.watch(self._input, self._write, WRITE)
            return

        def both() -> None:
            if self._input in self._reading:
                self._take(self._input)
            self._write()

        self._loop.watch(self._input, both, WRITE | 1)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        if self._terminal and self._input >= 0:
            fcntl.ioctl(self._input, syscalls.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """Close everything."""
        for fd in self.given:
            os.close(fd)
        self.given = ()
        self._close_pipes()
        self._terminal = False
