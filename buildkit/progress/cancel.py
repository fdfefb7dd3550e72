"""The wish to stop: set once, seen by every thread and by every poll.

In: `set`, from a signal handler or from whoever saw a failure. Out: a flag, and a descriptor that
becomes readable, so that a wait for a process or a socket ends at once. Costs one eventfd and no
import of threading.
"""

from __future__ import annotations

import os
import select

from buildkit.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Cancel:
    """One for each solve; `signal` is what asked for it, 0 when another step failed.

    Close it when the solve is over (it is a context manager).
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._set = False
        self.signal = 0
        self.expired = False
        """Set because a time was over (`progress/deadline.py`)."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set(self, signal: int = 0) -> None:
        """Ask everybody to stop. Safe in a signal handler and when called again.

        A signal that comes after a failure still counts: the exit status will tell of it.
        """
        self.signal = self.signal or signal
        if not self._set:
            self._set = True
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def is_set(self) -> bool:
        """Tell whether to stop."""
        return self._set

    def fileno(self) -> int:
        """Return a descriptor that is readable for good once `set` was called; never read it."""
        return self._fd

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; tell whether to stop."""
        if not self._set:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.poll(seconds * 1000)
        return self._set

    def check(self) -> None:
        """Raise Cancelled when set."""
        if self._set:
            raise Cancelled(self.signal)

    def close(self) -> None:
        """Give the descriptor back; `is_set` goes on telling the truth."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
