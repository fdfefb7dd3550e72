"""Waits for work in other threads, in turns, so that a signal is heard whenever it comes.

Python runs signal handlers in the main thread between two instructions. A signal that arrives after
it has looked for the last time and before the kernel has it wait for a lock ends no wait: the
handler would run only when something else does. So no wait is longer than a turn.
Source: signal(7), "Interruption of system calls and library functions by signal handlers".
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TypeVar

_T = TypeVar("_T")
_TURN = 0.5
"""Seconds."""


def first_failed(works: Collection[Future[_T]]) -> tuple[set[Future[_T]], set[Future[_T]]]:
    """Return what is done and what is not once all are done, or one has failed."""
    while True:
        done, pending = wait(works, timeout=_TURN, return_when=FIRST_EXCEPTION)
        if not pending or any(work.exception() is not None for work in done):
            return done, pending
