"""One thread that waits for many things: descriptors and moments.

In: descriptors with what to call when they are ready; moments likewise. Out: the calls, one after
the other. A call may watch and forget anything, itself included.
"""

from __future__ import annotations

import itertools
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


READ = select.POLLIN
WRITE = select.POLLOUT

_LONGEST_MS = 86_400_000
"""For one wait: poll(2) takes no more than 24 days."""


class Loop:
    """What is waited for. Not for use by several threads."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._ready: dict[int, Callable[[], object]] = {}
        self._moments: list[tuple[float, int]] = []
        self._due: dict[int, Callable[[], object]] = {}
        self._numbers = itertools.count(1)

    def watch(self, fd: int, act: Callable[[], object], events: int = READ) -> None:
        """Call `act` whenever `fd` is ready, or its other end is gone; anew if it is watched."""
        self._ready[fd] = act
        self._poll.register(fd, events)

    def widen(self, fd: int, events: int) -> None:
        """Wait for other events on a descriptor that is watched."""
        if fd in self._ready:
            self._poll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Wait for `fd` no longer; may be called twice, and must be called before its close."""
        if self._ready.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, seconds: float, act: Callable[[], object]) -> int:
        """Call `act` once, after some time; return a number for `cancel`."""
        number = next(self._numbers)
        self._due[number] = act
        self._moments.append((time.monotonic() + seconds, number))
        self._moments.sort()  # there are a few
        return number

    def cancel(self, number: int | None) -> None:
        """Do not call what was to be called; may be called twice."""
        if number is not None:
            self._due.pop(number, None)

    def turn(self) -> None:
        """Wait for something, and make the calls that are due."""
        while self._moments and self._moments[0][1] not in self._due:
            del self._moments[0]
        wait = None
        if self._moments:
            wait = min(max(0.0, self._moments[0][0] - time.monotonic()) * 1000, _LONGEST_MS)
        for fd, _events in self._poll.poll(wait):
            act = self._ready.get(fd)
            if act is not None:
                act()
        now = time.monotonic()
        while self._moments and self._moments[0][0] <= now:
            _moment, number = self._moments.pop(0)
            due = self._due.pop(number, None)
            if due is not None:
                due()
