"""What a running step says: to the display at once, to its log file in full, to its error the tail.

In: bytes as they come from the step, from any one thread at a time. Out: `StepLog` events, a log
file (made at the first byte), and the last lines for the error message.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque

from buildkit.progress.escape import visible
from buildkit.progress.events import Emit, Moved, StepLog, Warned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


TAIL_LINES = 20
_LINE_LIMIT = 4096


class StepReporter:
    """Reports for step `number`, which started at `started` (time.monotonic of now).

    `log_path` is an absolute path below the state root, empty for no file. A context manager that
    closes the file. Not to be shared by threads that write at the same moment.
    """

    def __init__(self, emit: Emit, number: int, log_path: str = "") -> None:
        self._emit = emit
        self._number = number
        self._path = log_path
        self._fd = -1
        self._started = time.monotonic()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._partial = b""
        self.logged = 0
        """Bytes that are in the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def log(self, data: bytes, stream: int = 1) -> None:
        """Pass on what the step printed (`stream` 1 or 2).

        On a full disk the file ends early, with a warning: the step itself may still tell what it
        lacked the room for. Raises OSError when the file cannot be written for another reason.
        """
        if not data:
            return
        seconds = time.monotonic() - self._started
        self._emit(StepLog(self._number, data, seconds, stream))
        try:
            self._append(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._path = ""
            self.warn(f"the log of this step is cut off: {(error.strerror or '').lower()}")
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._tail.extend(_line(seconds, line) for line in lines[-TAIL_LINES:])
        self._partial = self._partial[-_LINE_LIMIT:]

    def moved(self, what: str, done: int, total: int) -> None:
        """Say that `done` of `total` bytes of `what` are through (total 0: unknown)."""
        self._emit(Moved(what, done, total))

    def warn(self, message: str, place: str = "") -> None:
        """Say something the user should know."""
        self._emit(Warned(message, place))

    def tail(self) -> tuple[str, ...]:
        """Return the last lines, each with the seconds since the step began, safe to print."""
        last = (
            (_line(time.monotonic() - self._started, self._partial),)
            if self._partial.strip()
            else ()
        )
        return (*self._tail, *last)[-TAIL_LINES:]

    def close(self) -> None:
        """Close the log file."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _append(self, data: bytes) -> None:
        if not self._path:
            return
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._fd, view)
                view = view[written:]
                self.logged += written
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from error


def _line(seconds: float, line: bytes) -> str:
    """Return `line` as an error shows it; what a carriage return overwrote is left out."""
    kept = line.rstrip(b"\r").rpartition(b"\r")[2][:_LINE_LIMIT]
    return f"{seconds:.3f} {visible(kept.decode('utf-8', 'surrogateescape'))}"
