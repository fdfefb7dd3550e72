"""The terminal of whoever calls: its size, its raw mode, the signals that are passed on from it.

Source: termios(3), pty(7); the behaviour of the container engines.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 5 ms for its enums
import fcntl
import os
import struct
from contextlib import contextmanager, suppress

from runtime import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


FORWARDED = (
    _signal.SIGHUP,
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGTERM,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGCONT,
)


def size() -> tuple[int, int]:
    """Return rows and columns of the caller's terminal, 24 and 80 if it has none."""
    for fd in (1, 0, 2):
        try:
            answer = fcntl.ioctl(fd, syscalls.TIOCGWINSZ, b"\0" * 8)
        except OSError:
            continue
        rows, columns = struct.unpack("HHHH", answer)[:2]
        if rows and columns:
            return rows, columns
    return 24, 80


@contextmanager
def raw(fd: int | None) -> Iterator[None]:
    """Switch a terminal to raw mode for the time of a block; other files stay as they are.

    At once: what a slow line has not shown yet went through its mode when it was written, and a
    signal ends the wait for it with an error.
    """
    if fd is None or not os.isatty(fd):
        yield
        return
    import termios  # only for terminals

    before = termios.tcgetattr(fd)
    mode = termios.tcgetattr(fd)
    mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    mode[1] &= ~termios.OPOST
    mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    mode[6][termios.VMIN] = 1
    mode[6][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, mode)
    try:
        yield
    finally:
        # A window that was closed has no mode to go back to.
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, before)


def resize(outer: int, rows: int, columns: int) -> None:
    """Give a terminal another size."""
    fcntl.ioctl(outer, syscalls.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def following_size(tell: Callable[[int, int], object]) -> Iterator[None]:
    """Tell the rows and columns of the caller's window whenever they change."""

    def follow(_number: int, _frame: FrameType | None) -> None:
        tell(*size())

    before = _signal.signal(_signal.SIGWINCH, follow)
    try:
        yield
    finally:
        _signal.signal(_signal.SIGWINCH, before)
